package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	codeInvalidSession = "INVALID_SESSION_ID"
	// Texts of a 401 that a new token does not cure; clients that renew on them
	// do so for ever.
	textNotForREST  = "This session is not valid for use with the REST API"
	textNoAgent     = "Connected app is not attached to Agent"
	textBadUserinfo = "Bad_OAuth_Token"
)

// ConfigError says that a setting cannot be right. It is found before anything is
// sent, except for the instance URL, which the token reply brings.
type ConfigError struct {
	Field   string // such as "JWTBearer.ClientID"
	Problem string
	Try     string
}

func (e *ConfigError) Error() string { return e.Field + " " + e.Problem + "; try: " + e.Try }

// KeyError says why a private key cannot be used. It shows nothing of the key.
type KeyError struct {
	Problem string
	Try     string
	// Protected says that the key needs a password and none, or another one, was given.
	Protected bool
}

func (e *KeyError) Error() string { return "reading the private key: " + e.Problem + "; try: " + e.Try }

// OAuthError is a refusal by the token or the authorize endpoint (Salesforce help,
// "OAuth 2.0 Authorization Errors").
type OAuthError struct {
	Code        string // "error" of the reply, empty if it was not the API's JSON
	Description string // "error_description", or what came instead
	Hint        string // what to change, in plain language
	Status      int    // of HTTP, 0 if the refusal came with a redirect
	Host        string // that was asked
	// Temporary says that the same login can succeed later though nobody changes
	// anything.
	Temporary bool
	// Skew is how far the clock of this machine is ahead of the server's (negative:
	// behind) by its Date header. JWT bearer only; 0 if within 2 seconds or unknown.
	Skew time.Duration
}

func (e *OAuthError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "logging in at %s: ", e.Host)
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	b.WriteString(e.Description)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.Hint != "" {
		b.WriteString("; try: " + e.Hint)
	}
	return b.String()
}

// StoreError says why a stored refresh token cannot be read, locked or replaced.
type StoreError struct {
	Path    string
	Problem string
	Try     string
	Err     error // may be nil
	// Temporary says that the same can succeed later though nobody changes anything.
	Temporary bool
}

func (e *StoreError) Error() string {
	text := "refresh token in " + quote(e.Path) + " " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; try: " + e.Try
}

// Unwrap returns what the file system said.
func (e *StoreError) Unwrap() error { return e.Err }

// Refusals of a redirect by Authorization.Finish.
var (
	// ErrState: the redirect belongs to another authorization, or to nobody's.
	ErrState = errors.New("the redirect has another state than the one that was sent; try: begin the login again, and open its URL only once")
	// ErrCodeUsed: an authorization brings one login.
	ErrCodeUsed = errors.New("this authorization has been used; try: begin the login again")
)

// APIError is a refusal by the REST API (REST API Developer Guide, "Status Codes
// and Error Responses"). If the reply lists several errors it has the code and
// fields of the first and the messages of all.
type APIError struct {
	Status  int      // of HTTP
	Code    string   // errorCode, empty if the reply was not the API's JSON
	Message string   // or what came instead
	Fields  []string // names of the fields that the error is about
	Path    string   // that was asked, without the query
	Hint    string   // what to try, may be empty
}

func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "getting %s: ", e.Path)
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	fmt.Fprintf(&b, "%s (HTTP %d)", e.Message, e.Status)
	if len(e.Fields) > 0 {
		b.WriteString(", fields " + strings.Join(e.Fields, ", "))
	}
	if e.Hint != "" {
		b.WriteString("; try: " + e.Hint)
	}
	return b.String()
}

// ReplyError is a reply of success that cannot be used.
type ReplyError struct {
	Host        string
	Path        string // without the query
	Status      int    // of HTTP
	ContentType string
	Problem     string
	// Temporary says that something between here and Salesforce, or a maintenance
	// page, may have answered.
	Temporary bool
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("reading the reply of %s to %s (HTTP %d, %s): %s",
		e.Host, e.Path, e.Status, quote(e.ContentType), e.Problem)
}

// NetworkError says that no whole reply arrived.
type NetworkError struct {
	Host string
	Path string // without the query
	Err  error
}

func (e *NetworkError) Error() string {
	return fmt.Sprintf("asking %s for %s: %v; try: check the host's name, DNS, proxy and firewall", e.Host, e.Path, e.Err)
}

// Unwrap returns what the network said.
func (e *NetworkError) Unwrap() error { return e.Err }

// OrgChangedError says that a renewed token belongs to another org than the
// first one, as after a sandbox refresh. Positions of one org mean nothing in
// another, so the token is not used.
type OrgChangedError struct {
	From, To string // 18-character ids
}

func (e *OrgChangedError) Error() string {
	return fmt.Sprintf("renewing the access token: it is for org %s, the one before was for org %s; "+
		"try: restart if the org was replaced on purpose (a sandbox refresh does that), else correct the login", e.To, e.From)
}

// Retryable says whether the same call can succeed later without anyone changing
// anything: network trouble, HTTP 420, 429 and 5xx, limits that pass with time,
// login restrictions that do, queries that ran too long, and pages that are not
// Salesforce's. The end of the caller's context by cancellation is not.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var (
		oauth   *OAuthError
		api     *APIError
		reply   *ReplyError
		network *NetworkError
		store   *StoreError
	)
	switch {
	case errors.As(err, &store):
		return store.Temporary
	case errors.As(err, &oauth):
		return oauth.Temporary
	case errors.As(err, &api):
		return api.retryable()
	case errors.As(err, &reply):
		return reply.Temporary
	case errors.As(err, &network):
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

func (e *APIError) retryable() bool {
	switch {
	case retryableStatus(e.Status):
		return true
	case e.Code == "REQUEST_LIMIT_EXCEEDED", e.Code == "SERVER_UNAVAILABLE", e.Code == "QUERY_TIMEOUT", e.Code == "EXCEEDEDQUOTA":
		return true
	}
	// A redirect to another host is how a page of maintenance is shown, too.
	return isRedirect(e.Status)
}

// Unauthorized says whether Salesforce refused the credentials: a login that must
// not be repeated unchanged, or an access token that was refused even after it
// had been renewed.
func Unauthorized(err error) bool {
	var (
		oauth *OAuthError
		api   *APIError
	)
	switch {
	case errors.As(err, &oauth):
		return !oauth.Temporary
	case errors.As(err, &api):
		return api.Status == http.StatusUnauthorized || api.sessionEnded()
	}
	return false
}

// sessionEnded says whether a new token may cure the error.
func (e *APIError) sessionEnded() bool {
	if strings.Contains(e.Message, textNotForREST) || strings.Contains(e.Message, textNoAgent) {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized:
		return e.Code == codeInvalidSession || e.Code == ""
	case http.StatusForbidden:
		// The userinfo resource speaks another dialect.
		return e.Code == "" && strings.Contains(e.Message, textBadUserinfo)
	}
	return false
}

// retryableStatus: 420 is Salesforce's wish for a pause; 501 and 505 are the two
// of the 5xx that time does not cure.
func retryableStatus(status int) bool {
	switch status {
	case 420, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return status >= 500
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// endedError reports the end of the caller's context. It wraps ctx.Err() whatever
// cause was given, so that Retryable and callers can tell.
func endedError(ctx context.Context, doing string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	return fmt.Errorf("%s: %w: %w", doing, ctx.Err(), cause)
}
