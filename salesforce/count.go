package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// soqlTime is a point of time in SOQL (SOQL and SOSL Reference, "Date Formats and
// Date Literals"): without a fraction, since SystemModstamp has none.
const soqlTime = "2006-01-02T15:04:05Z"

// CountModified counts the rows of an object that were changed after one point of
// time and up to another. Rows in the recycle bin and rows that the user may not
// see are not counted.
//
// SystemModstamp, which is indexed, bounds the search on both sides, and
// LastModifiedDate must lie behind after too: it leaves out what only the system
// touched, for which there is no change event. An object without LastModifiedDate
// is asked a second time without that condition, and only that way from then on.
//
// Both columns have whole seconds. after is rounded up, so that the row of an
// event that happened at after is never counted; upTo is rounded down, and its
// second counts whole. Nothing is asked if no whole second is left between them.
//
// An object that does not exist, or that the user may not read, is an *APIError
// with the code INVALID_TYPE.
func (c *Client) CountModified(ctx context.Context, object string, after, upTo time.Time) (int, error) {
	if !isObjectName(object) {
		return 0, &ConfigError{Field: "object name", Problem: "is " + quote(object), Try: "letters, digits and underscores, such as Account or Invoice__c"}
	}
	after, upTo = secondAtOrAfter(after.UTC()), upTo.UTC().Truncate(time.Second)
	if !upTo.After(after) {
		return 0, nil
	}
	if err := checkSOQLTimes(after, upTo); err != nil {
		return 0, err
	}
	question := fmt.Sprintf("SELECT COUNT() FROM %s WHERE SystemModstamp > %s AND SystemModstamp <= %s",
		object, after.Format(soqlTime), upTo.Format(soqlTime))
	if c.lacksModified(object) {
		return c.count(ctx, question)
	}
	n, err := c.count(ctx, question+" AND LastModifiedDate > "+after.Format(soqlTime))
	var refused *APIError
	if !errors.As(err, &refused) || refused.Code != "INVALID_FIELD" {
		return n, err
	}
	// Which field is meant stands at the end of a long text. The second answer tells.
	if n, err = c.count(ctx, question); err == nil {
		c.noteNoModified(object)
	}
	return n, err
}

// count asks for the number of rows of a SELECT COUNT().
func (c *Client) count(ctx context.Context, soql string) (int, error) {
	var got countReply
	if err := c.Get(ctx, "/query?q="+url.QueryEscape(soql), &got); err != nil {
		return 0, err
	}
	return got.n, nil
}

// countReply is the whole answer to a SELECT COUNT(), which has no pages.
type countReply struct{ n int }

func (r *countReply) UnmarshalJSON(data []byte) error {
	var body struct {
		TotalSize *int  `json:"totalSize"`
		Done      *bool `json:"done"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	switch {
	case body.TotalSize == nil:
		return errors.New("totalSize is missing")
	case *body.TotalSize < 0:
		return fmt.Errorf("totalSize is %d", *body.TotalSize)
	case body.Done == nil || !*body.Done:
		return errors.New("a count that is not done")
	}
	r.n = *body.TotalSize
	return nil
}

func (c *Client) lacksModified(object string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noModified[object]
}

func (c *Client) noteNoModified(object string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noModified == nil {
		c.noModified = map[string]bool{}
	}
	c.noModified[object] = true
}

// isObjectName admits what can be the API name of an object, so that nothing else
// gets into a query.
func isObjectName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}

func secondAtOrAfter(t time.Time) time.Time {
	whole := t.Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}

// checkSOQLTimes holds SOQL's range of years. The zero time is out of it, too.
func checkSOQLTimes(after, upTo time.Time) error {
	for _, t := range []struct {
		field string
		at    time.Time
	}{{"after", after}, {"upTo", upTo}} {
		if year := t.at.Year(); year < 1700 || year > 4000 {
			return &ConfigError{Field: t.field, Problem: fmt.Sprintf("is in the year %d", year), Try: "a year from 1700 to 4000, which SOQL knows"}
		}
	}
	return nil
}
