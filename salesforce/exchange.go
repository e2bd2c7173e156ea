package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	tokenPath       = "/services/oauth2/token"
	tokenReplyBytes = 1 << 20
	tokenTimeout    = 30 * time.Second
)

// grantKind tells hints apart: one error text has different causes by grant.
type grantKind int

const (
	grantJWT grantKind = iota + 1
	grantClientCredentials
	grantPassword
	grantRefresh
	grantCode
)

// tokenRequest is one request to the token endpoint.
type tokenRequest struct {
	grant    grantKind
	login    *url.URL // checked
	http     *http.Client
	form     url.Values
	secrets  []string         // texts that no error may show
	plain    bool             // plain http is allowed
	now      func() time.Time // JWT bearer only
	lifetime time.Duration    // of the assertion
}

// tokenReply is the union of success and error.
type tokenReply struct {
	AccessToken      string          `json:"access_token"`
	InstanceURL      string          `json:"instance_url"`
	ID               string          `json:"id"`
	TokenType        string          `json:"token_type"`
	IssuedAt         json.RawMessage `json:"issued_at"`  // string of ms
	ExpiresIn        json.RawMessage `json:"expires_in"` // seconds, as number or string; mostly absent
	RefreshToken     string          `json:"refresh_token"`
	Error            string          `json:"error"`
	ErrorDescription string          `json:"error_description"`
}

// issued is what the token endpoint gives out.
type issued struct {
	token   Token
	refresh Secret // empty: none came
}

// send asks for a token.
func (r tokenRequest) send(ctx context.Context) (Token, error) {
	got, err := r.exchange(ctx)
	return got.token, err
}

// exchange asks for a token. Redirects are not followed: a 307 would send the
// login form, with its secrets, to wherever it points. A refresh token that came
// with a reply that cannot be used otherwise is returned with the error: the one
// that it replaces may be worth nothing any more.
func (r tokenRequest) exchange(ctx context.Context) (issued, error) {
	if r.now == nil {
		r.now = time.Now
	}
	endpoint := *r.login
	endpoint.Path += tokenPath
	if endpoint.RawPath != "" {
		endpoint.RawPath += tokenPath
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.String(), strings.NewReader(r.form.Encode()))
	if err != nil {
		return issued{}, &ConfigError{Field: "LoginURL", Problem: "makes no request: " + clean(err.Error(), r.secrets...), Try: "https://<host>"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")

	got, err := roundTrip(ctx, clientWith(r.http, followNone), req, tokenReplyBytes, tokenTimeout)
	if err != nil && !errors.Is(err, errTooLarge) {
		return issued{}, err
	}
	var parsed tokenReply
	isJSON := err == nil && decode(got.body, &parsed) == nil
	switch {
	case got.status != http.StatusOK, isJSON && parsed.Error != "":
		return issued{}, r.refusal(got, parsed)
	case !isJSON:
		// The body is not shown: it may hold the token.
		problem, temporary := "it is not the JSON of a token", true
		if err != nil {
			problem, temporary = "it is larger than 1 MiB", false
		} else if title := htmlTitle(string(got.body)); title != "" {
			problem = "it is an HTML page titled " + strconv.Quote(clean(title, r.secrets...))
		}
		return issued{}, r.unusable(got, problem, temporary)
	}
	token, err := r.token(got, parsed)
	return issued{token: token, refresh: Secret(parsed.RefreshToken)}, err
}

// token checks a reply of success.
func (r tokenRequest) token(got *reply, parsed tokenReply) (Token, error) {
	if parsed.AccessToken == "" {
		return Token{}, r.unusable(got, "it has no access_token", false)
	}
	if parsed.TokenType != "" && !strings.EqualFold(parsed.TokenType, "Bearer") {
		return Token{}, r.unusable(got, "its token_type is "+quote(parsed.TokenType)+", not Bearer", false)
	}
	if parsed.InstanceURL == "" {
		return Token{}, r.unusable(got, "it has no instance_url", false)
	}
	instance, err := parseInstanceURL(parsed.InstanceURL, r.plain)
	if err != nil {
		return Token{}, err
	}
	token := Token{
		Access:      Secret(parsed.AccessToken),
		InstanceURL: instance.Scheme + "://" + instance.Host,
		IssuedAt:    r.now(),
	}
	if parsed.ID != "" {
		if token.OrgID, token.UserID, err = parseIdentity(parsed.ID); err != nil {
			return Token{}, r.unusable(got, err.Error(), false)
		}
	}
	if ms, err := strconv.ParseInt(string(bytes.Trim(parsed.IssuedAt, `"`)), 10, 64); err == nil {
		token.IssuedAt = time.UnixMilli(ms)
	}
	// By our clock and from now: issued_at is Salesforce's clock, and a token that
	// is handed out again has an issued_at long ago.
	if seconds, err := strconv.ParseInt(string(bytes.Trim(parsed.ExpiresIn, `"`)), 10, 32); err == nil && seconds > 0 {
		token.Expires = r.now().Add(time.Duration(seconds) * time.Second)
	}
	return token, nil
}

func (r tokenRequest) unusable(got *reply, problem string, temporary bool) error {
	return &ReplyError{
		Host: r.login.Host, Path: r.login.Path + tokenPath, Status: got.status,
		ContentType: got.contentType(), Problem: problem, Temporary: temporary,
	}
}

// refusal turns a reply of failure into an *OAuthError with its hint.
func (r tokenRequest) refusal(got *reply, parsed tokenReply) error {
	refused := &OAuthError{
		Code:        clean(parsed.Error, r.secrets...),
		Description: clean(parsed.ErrorDescription, r.secrets...),
		Status:      got.status,
		Host:        r.login.Host,
		Temporary:   retryableStatus(got.status),
	}
	if refused.Code == "" {
		refused.Description = got.describe(r.secrets...)
		refused.Hint = pageHint(got)
		return refused
	}
	if refused.Description == "" {
		refused.Description = "no description"
	}
	answer := oauthHint(r.grant, refused.Code, refused.Description)
	refused.Hint = answer.hint
	refused.Temporary = refused.Temporary || answer.class == classLater || answer.class == classExpired
	if r.grant == grantJWT {
		refused.Skew = skew(got, r.now())
		if refused.Code == "invalid_grant" && answer.class.maybeClock() {
			r.blameClock(refused)
		}
	}
	return refused
}

// blameClock replaces the hint if the server's Date shows that the assertion was
// outside the time in which it is valid.
func (r tokenRequest) blameClock(refused *OAuthError) {
	left := r.lifetime + refused.Skew // of the assertion, by the server's clock
	if left > 0 && left <= maxLifetime {
		return
	}
	side, amount := "ahead of", refused.Skew
	if amount < 0 {
		side, amount = "behind", -amount
	}
	refused.Hint = "set the clock of this machine (NTP): it is " + amount.String() + " " + side +
		" Salesforce's, so the assertion, valid for " + r.lifetime.String() + ", is refused"
	refused.Temporary = false
}

// skew is how far the local clock is ahead, 0 if within the error of measurement.
func skew(got *reply, now time.Time) time.Duration {
	date, err := http.ParseTime(got.header.Get("Date"))
	if err != nil {
		return 0
	}
	ahead := now.Sub(date).Round(time.Second)
	if ahead.Abs() <= 2*time.Second {
		return 0
	}
	return ahead
}
