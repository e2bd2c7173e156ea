package salesforce

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Version is an API version that the org offers.
type Version struct {
	Label   string `json:"label"`   // "Winter '24"
	URL     string `json:"url"`     // "/services/data/v59.0"
	Version string `json:"version"` // "59.0"
}

// Versions asks which API versions the org offers, in Salesforce's order (REST API
// Developer Guide, "Versions").
func (c *Client) Versions(ctx context.Context) ([]Version, error) {
	var versions []Version
	if err := c.Get(ctx, "/services/data/", &versions); err != nil {
		return nil, err
	}
	return versions, nil
}

// APIVersion returns the version that the client uses, such as "66.0": the
// configured one, else the newest of Versions. It is resolved once: all later
// calls get the first answer.
func (c *Client) APIVersion(ctx context.Context) (string, error) {
	c.mu.Lock()
	version := c.version
	c.mu.Unlock()
	if version != "" {
		return version, nil
	}
	versions, err := c.Versions(ctx)
	if err != nil {
		return "", fmt.Errorf("finding the newest API version: %w", err)
	}
	newest, err := newestVersion(versions)
	if err != nil {
		return "", fmt.Errorf("finding the newest API version: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version == "" {
		c.version = newest
	}
	return c.version, nil
}

func newestVersion(versions []Version) (string, error) {
	var (
		newest string
		best   [2]int
	)
	for _, v := range versions {
		number, err := parseVersion(v.Version)
		if err != nil {
			return "", fmt.Errorf("a version of the org %w", err)
		}
		if newest == "" || slices.CompareFunc(number[:], best[:], cmp.Compare[int]) > 0 {
			newest, best = v.Version, number
		}
	}
	if newest == "" {
		return "", &ReplyError{Path: "/services/data/", Status: 200, Problem: "the org offers no version"}
	}
	return newest, nil
}

// parseVersion reads "66.0". Compared as text, "9.0" would be newer.
func parseVersion(text string) ([2]int, error) {
	major, minor, found := strings.Cut(text, ".")
	if !found || !allDigits(major) || !allDigits(minor) {
		return [2]int{}, fmt.Errorf("is %s, not two numbers with a dot between", quote(text))
	}
	var number [2]int
	for i, part := range []string{major, minor} {
		n, err := strconv.Atoi(part)
		if err != nil {
			return [2]int{}, fmt.Errorf("is %s, which is too large", quote(text))
		}
		number[i] = n
	}
	return number, nil
}

func allDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
