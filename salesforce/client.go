package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	restReplyBytes = 16 << 20
	restTimeout    = time.Minute
	// maxErrorsTold bounds how many errors of one reply are told.
	maxErrorsTold = 5
)

// ClientConfig configures a Client.
type ClientConfig struct {
	// Tokens gives the access token and the instance URL. Required.
	Tokens *TokenSource
	// APIVersion is such as "66.0". Empty: the newest that the org offers.
	APIVersion string
	// HTTP sends the requests. Nil: http.DefaultTransport. Its CheckRedirect is not
	// used: redirects are followed within one scheme and host only.
	HTTP *http.Client
	// UserAgent is the header of that name. Empty: "sfbridge".
	UserAgent string
	// AllowPlainHTTP permits an instance URL of http to hosts other than loopback.
	AllowPlainHTTP bool
}

// Client reads from the REST API of one org. Make it with NewClient.
type Client struct {
	tokens    *TokenSource
	http      *http.Client
	userAgent string
	plain     bool

	calls atomic.Uint64

	mu         sync.Mutex
	version    string          // empty: not resolved yet
	noModified map[string]bool // objects that lack LastModifiedDate
}

// NewClient checks the configuration; it sends nothing. Its error is a *ConfigError.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Tokens == nil {
		return nil, &ConfigError{Field: "ClientConfig.Tokens", Problem: "is missing", Try: "give a token source made by NewTokenSource"}
	}
	if config.APIVersion != "" {
		if _, err := parseVersion(config.APIVersion); err != nil {
			return nil, &ConfigError{Field: "ClientConfig.APIVersion", Problem: err.Error(), Try: `"66.0", without a v, or leave it empty to use the newest`}
		}
	}
	userAgent := config.UserAgent
	if userAgent == "" {
		userAgent = "sfbridge"
	}
	return &Client{
		tokens:    config.Tokens,
		http:      clientWith(config.HTTP, followSameHost),
		userAgent: userAgent,
		plain:     config.AllowPlainHTTP,
		version:   config.APIVersion,
	}, nil
}

// Calls tells how many requests the client has sent: repeated ones count each
// time, requests for access tokens and hops of a redirect do not.
func (c *Client) Calls() uint64 { return c.calls.Load() }

// Get asks for a path and decodes the JSON of the reply into v, unless v is nil.
// The path is percent-encoded, begins with a slash and may have a query. It is
// relative to /services/data/v<version>, except if it begins with /services/.
// A v of type *json.RawMessage gets the bytes as they came; numbers decoded into
// an interface are json.Number.
//
// If Salesforce says that the session has ended, the token is renewed and the
// request sent once more. There is no other retry.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	if !strings.HasPrefix(path, "/") {
		return &ConfigError{Field: "path", Problem: "is " + quote(path), Try: "begin it with a slash"}
	}
	if !strings.HasPrefix(path, "/services/") {
		version, err := c.APIVersion(ctx)
		if err != nil {
			return err
		}
		path = "/services/data/v" + version + path
	}
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return err
	}
	err = c.get(ctx, token, path, v)
	var refused *APIError
	if !errors.As(err, &refused) || !refused.sessionEnded() {
		return err
	}
	token, err = c.tokens.Renew(ctx, token.Access)
	if err != nil {
		return fmt.Errorf("renewing the access token that was refused for %s: %w", refused.Path, err)
	}
	return c.get(ctx, token, path, v)
}

// get sends one request.
func (c *Client) get(ctx context.Context, token Token, path string, v any) error {
	req, err := c.request(ctx, token, path)
	if err != nil {
		return err
	}
	c.calls.Add(1)
	got, err := roundTrip(ctx, c.http, req, restReplyBytes, restTimeout)
	if err != nil && !errors.Is(err, errTooLarge) {
		return err
	}
	if got.status < 200 || got.status > 299 {
		return apiError(got, req.URL.Path, token.Access.Reveal())
	}
	unusable := &ReplyError{Host: req.URL.Host, Path: req.URL.Path, Status: got.status, ContentType: got.contentType()}
	if err != nil {
		unusable.Problem = "it is larger than 16 MiB"
		return unusable
	}
	if v == nil {
		return nil
	}
	if err := decode(got.body, v); err != nil {
		unusable.Problem = "it has another shape than expected: " + clean(err.Error(), token.Access.Reveal())
		if !json.Valid(got.body) {
			unusable.Temporary = true
			unusable.Problem = "it is " + got.describe(token.Access.Reveal())
		}
		return unusable
	}
	return nil
}

func (c *Client) request(ctx context.Context, token Token, path string) (*http.Request, error) {
	base, err := parseInstanceURL(token.InstanceURL, c.plain)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(base.Scheme + "://" + base.Host + path)
	if err != nil || target.Host != base.Host || target.User != nil || target.Fragment != "" {
		return nil, &ConfigError{Field: "path", Problem: "is " + quote(path) + ", which makes no URL", Try: "percent-encode its parts"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, &ConfigError{Field: "path", Problem: "makes no request: " + clean(err.Error()), Try: "percent-encode its parts"}
	}
	req.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	return req, nil
}

// apiErrorBody is one error: of the REST API, or of its OAuth-flavoured resources.
type apiErrorBody struct {
	ErrorCode   string   `json:"errorCode"`
	Message     string   `json:"message"`
	Fields      []string `json:"fields"`
	Error       string   `json:"error"`
	Description string   `json:"error_description"`
}

func (b apiErrorBody) code() string {
	if b.ErrorCode != "" {
		return b.ErrorCode
	}
	return b.Error
}

func (b apiErrorBody) text() string {
	if b.Message != "" {
		return b.Message
	}
	return b.Description
}

// apiError reads the errors of a reply: an array, rarely one object, or a page of
// something else.
func apiError(got *reply, path, secret string) error {
	refused := &APIError{Status: got.status, Path: path}
	var several []apiErrorBody
	if decode(got.body, &several) != nil {
		var one apiErrorBody
		several = nil
		if decode(got.body, &one) == nil {
			several = []apiErrorBody{one}
		}
	}
	switch {
	case len(several) > 0 && several[0].code() != "":
		refused.Code = clean(several[0].code(), secret)
		var texts []string
		for _, e := range several[:min(len(several), maxErrorsTold)] {
			texts = append(texts, clean(e.text(), secret))
		}
		refused.Message = strings.Join(texts, "; ")
		for _, field := range several[0].Fields {
			refused.Fields = append(refused.Fields, clean(field, secret))
		}
	case isRedirect(got.status):
		refused.Message = "a redirect to " + got.redirectHost()
	default:
		refused.Message = got.describe(secret)
	}
	refused.Hint = apiHint(got, refused)
	return refused
}
