package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/sfbridge/bridge/salesforce"
)

// maxTopic is Kafka's limit on a topic's name; maxName leaves room for the
// suffixes that the bridge adds to its own name.
const (
	maxTopic = 249
	maxName  = 200
)

// checkName is the grammar of the bridge's name: the part of Kafka's topic
// grammar that cannot collide in metrics (where . and _ become the same) or on
// file systems (where case is lost).
func checkName(s string) *valueError {
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !plain && (i == 0 || !strings.ContainsRune("._-", rune(c))) {
			wrong := &valueError{message: quote(s) + " is not a name: lower-case letters, digits, and . _ - after the first"}
			if lower := strings.ToLower(s); lower != s && checkName(lower) == nil {
				wrong.hint = lower
			}
			return wrong
		}
	}
	if len(s) > maxName {
		return &valueError{message: fmt.Sprintf("must have at most %d characters, not %d", maxName, len(s))}
	}
	return nil
}

// checkTopic is Kafka's grammar of topic names.
func checkTopic(s string) *valueError {
	for i := range len(s) {
		if !isTopicByte(s[i]) {
			return &valueError{message: quote(s) + " is not a topic name: letters, digits and . _ - only"}
		}
	}
	switch {
	case s == "." || s == "..":
		return &valueError{message: quote(s) + " is not a topic name"}
	case len(s) > maxTopic:
		return &valueError{message: fmt.Sprintf("must have at most %d characters, not %d", maxTopic, len(s))}
	}
	return nil
}

func isTopicByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// checkAPIVersion wants 66.0: no v, one decimal, at least Salesforce's oldest
// streaming version (Streaming API guide, error codes: "37.0 and later").
func checkAPIVersion(s string) *valueError {
	major, zero, _ := strings.Cut(s, ".")
	n, err := strconv.Atoi(major)
	if err != nil || zero != "0" || strconv.Itoa(n) != major {
		wrong := &valueError{message: quote(s) + " is not an API version", hint: "66.0"}
		trimmed := strings.TrimLeft(s, "vV")
		if n, err := strconv.Atoi(strings.TrimSuffix(trimmed, ".0")); err == nil && n >= 37 {
			wrong.hint = strconv.Itoa(n) + ".0"
		}
		return wrong
	}
	if n < 37 {
		return &valueError{message: "must be 37.0 or newer, not " + s}
	}
	return nil
}

// checkURL wants scheme://host[:port][/path] and no more.
func checkURL(s string) *valueError {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		wrong := &valueError{message: quote(s) + " is not a URL with scheme and host"}
		if bare := "https://" + s; err == nil && u.Scheme == "" && checkURL(bare) == nil {
			wrong.hint = bare
		} else if err == nil && u.Opaque != "" && checkURL(bare) == nil {
			wrong.hint = bare // host:port parses as scheme:opaque
		}
		return wrong
	case u.Scheme != "https" && u.Scheme != "http":
		return &valueError{message: "must begin with https://, not " + quote(u.Scheme+"://")}
	case u.User != nil:
		return &valueError{message: "must not hold a user name or password"}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return &valueError{message: quote(s) + " must not have a query or a fragment"}
	}
	if port := u.Port(); port != "" && !isPort(port) {
		return &valueError{message: quote(s) + " has no valid port"}
	}
	return nil
}

// checkLoginURL is checkURL without the path of an API; an Experience Cloud
// site's login has a path of its own.
func checkLoginURL(s string) *valueError {
	if wrong := checkURL(s); wrong != nil {
		return wrong
	}
	u, err := url.Parse(s)
	if err != nil {
		return &valueError{message: quote(s) + " is not a URL"}
	}
	switch {
	case strings.Contains(u.Path+"/", "/services/"):
		return &valueError{message: quote(s) + " must not have the path of an API", hint: u.Scheme + "://" + u.Host}
	}
	for _, page := range userInterfaces() {
		if org, ok := strings.CutSuffix(u.Hostname(), page[0]); ok {
			return &valueError{message: quote(s) + " is the address of the user interface, which does not give tokens", hint: "https://" + org + page[1]}
		}
	}
	return nil
}

// userInterfaces are the hosts that people see in the browser, and the My Domain
// beside each.
func userInterfaces() [][2]string {
	return [][2]string{
		{".lightning.force.com", ".my.salesforce.com"},
		{".my.salesforce-setup.com", ".my.salesforce.com"},
		{".lightning.crmforce.mil", ".my.salesforce.mil"},
		{".lightning.force.mil", ".my.salesforce.mil"},
		{".lightning.sfcrmapps.cn", ".my.sfcrmproducts.cn"},
	}
}

// checkProxy wants scheme://[user:password@]host[:port]. Its messages do not
// repeat the URL, which may hold a password.
func checkProxy(s string) *valueError {
	const hint = "http://proxy.acme.example:3128"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return &valueError{message: "is not a URL with scheme and host", hint: hint}
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return &valueError{message: "must begin with http://, https:// or socks5://", hint: hint}
	case u.Port() != "" && !isPort(u.Port()):
		return &valueError{message: "has no valid port", hint: hint}
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return &valueError{message: "must not have a path, a query or a fragment", hint: hint}
	}
	return nil
}

func checkRegistryURL(s string) *valueError {
	if s == registryNone {
		return nil
	}
	wrong := checkURL(s)
	if wrong != nil && wrong.hint == "" {
		wrong.hint = registryNone + " to work without a registry"
	}
	return wrong
}

// checkBroker wants host:port.
func checkBroker(s string) *valueError {
	if _, after, found := strings.Cut(s, "://"); found {
		return &valueError{message: quote(s) + " must not have a scheme", hint: strings.TrimRight(after, "/")}
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil && checkHost(s):
		return &valueError{message: quote(s) + " has no port", hint: s + ":9092"}
	case err != nil || !checkHost(host):
		return &valueError{message: quote(s) + " is not host:port", hint: "localhost:9092"}
	case !isPort(port) || port == "0":
		return &valueError{message: quote(s) + " has no valid port", hint: net.JoinHostPort(host, "9092")}
	}
	return nil
}

func checkHost(host string) bool {
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return true
	}
	for i := range len(host) {
		if !isTopicByte(host[i]) {
			return false
		}
	}
	return host != ""
}

// checkListen wants host:port or :port; port 0 takes any free one.
func checkListen(s string) *valueError {
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil && isPort(s):
		return &valueError{message: quote(s) + " is not an address to listen on", hint: `":` + s + `"`}
	case err != nil || host != "" && !checkHost(host):
		return &valueError{message: quote(s) + " is not an address to listen on", hint: `":8080" for all interfaces, "127.0.0.1:8080" for this machine only`}
	case !isPort(port):
		return &valueError{message: quote(s) + " has no valid port"}
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func checkField(s string) *valueError {
	if !isName(s) {
		return &valueError{message: quote(s) + " is not the name of a field", hint: "Order_Number__c"}
	}
	return nil
}

// checkPrivateKey reads the key as the login will. Its messages show nothing of
// the key or its password.
func checkPrivateKey(s string, password Secret) *valueError {
	_, err := salesforce.ParseProtectedKey([]byte(s), salesforce.Secret(password.Reveal()))
	var keyErr *salesforce.KeyError
	switch {
	case err == nil:
		return nil
	case !strings.Contains(s, "-----BEGIN "):
		return &valueError{message: "is not a private key in PEM text", hint: "private_key_file for the path of one"}
	case errors.As(err, &keyErr):
		return &valueError{message: keyErr.Problem, hint: keyErr.Try}
	}
	return &valueError{message: "is not a private key"}
}

// isLoopback says whether a URL's host is this machine.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
