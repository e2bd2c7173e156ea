package salesforce

import (
	"net"
	"net/url"
	"strings"
)

// parseURL checks the address of a host that will see credentials. One that may
// itself hold a password is refused and not shown.
func parseURL(field, raw string, allowPlain bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own text can quote a part of a password.
		return nil, &ConfigError{Field: field, Problem: "is no URL", Try: "https://<host>"}
	}
	shown := quote(raw)
	if strings.ContainsAny(raw, "@?#") {
		shown = "a URL that is not shown"
	}
	switch {
	case u.Scheme == "", u.Host == "":
		return nil, &ConfigError{Field: field, Problem: "is " + shown + ", which lacks the scheme or the host", Try: "https://<host>"}
	case u.User != nil:
		return nil, &ConfigError{Field: field, Problem: "is " + shown + ", which holds a user name", Try: "https://<host>, and the credentials in their own settings"}
	case u.RawQuery != "", u.Fragment != "":
		return nil, &ConfigError{Field: field, Problem: "is " + shown + ", which holds a query or a fragment", Try: "https://<host>"}
	case u.Scheme == "http" && !allowPlain && !isLoopback(u.Hostname()):
		return nil, &ConfigError{
			Field:   field,
			Problem: "is " + shown + ": plain http shows tokens to the network and is allowed on loopback only",
			Try:     "https, or set AllowPlainHTTP where the network can be trusted",
		}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &ConfigError{Field: field, Problem: "is " + shown + ", whose scheme is not https", Try: "https://<host>"}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// parseLoginURL checks a login URL; an Experience Cloud site's has a path.
func parseLoginURL(field, raw string, allowPlain bool) (*url.URL, error) {
	if raw == "" {
		raw = ProductionLoginURL
	}
	u, err := parseURL(field, raw, allowPlain)
	if err != nil {
		return nil, err
	}
	if strings.Contains(u.Path, "/services/") {
		return nil, &ConfigError{
			Field:   field,
			Problem: "is " + quote(raw) + ", which holds the path of an API",
			Try:     "leave the path away: " + u.Scheme + "://" + u.Host,
		}
	}
	return u, nil
}

// parseInstanceURL checks the base of all data calls and returns it as scheme and
// host.
func parseInstanceURL(raw string, allowPlain bool) (*url.URL, error) {
	const field = "instance URL"
	u, err := parseURL(field, raw, allowPlain)
	if err != nil {
		return nil, err
	}
	if u.Path != "" {
		return nil, &ConfigError{Field: field, Problem: "is " + quote(raw) + ", which holds a path", Try: "check what answers at the login URL"}
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// pathPart percent-encodes one part of a path. Parts that would change the path
// itself are refused.
func pathPart(what, part string) (string, error) {
	if part == "" || part == "." || part == ".." {
		return "", &ConfigError{Field: what, Problem: "is " + quote(part), Try: "give its name"}
	}
	return url.PathEscape(part), nil
}
