package salesforce

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const (
	authorizePath = "/services/oauth2/authorize"
	stateBytes    = 32
	verifierBytes = 64 // 86 characters; RFC 7636 wants 43 to 128
)

// WebServer is the login of a user by the browser, which ends at RedirectURL with
// a code that is good for one exchange (Salesforce help, "OAuth 2.0 Web Server
// Flow"; RFC 6749, 4.1). It always uses PKCE with S256 (RFC 7636), so that the
// code alone is worth nothing.
type WebServer struct {
	// LoginURL is the login host or the org's My Domain, with scheme. Empty:
	// ProductionLoginURL.
	LoginURL string
	// ClientID is the app's consumer key. ClientSecret may be empty for apps that do
	// not ask for it.
	ClientID     string
	ClientSecret Secret
	// RedirectURL must be one of the app's callback URLs, letter by letter.
	RedirectURL string
	// Scopes are asked for. None: api and refresh_token.
	Scopes []string
	// HTTP sends the request for the token. Nil: http.DefaultTransport. Redirects are
	// not followed.
	HTTP *http.Client `json:"-"`
	// Rand is the source of state and verifier. Nil: crypto/rand.
	Rand io.Reader `json:"-"`
	// AllowPlainHTTP permits http to hosts other than loopback.
	AllowPlainHTTP bool
}

// Authorization is one login under way. It is for one use, by any goroutine.
type Authorization struct {
	// URL is where the user's browser begins. It holds no secret: it shows state
	// and challenge, and what they protect needs the verifier as well.
	URL string

	flow     *WebServer
	login    *url.URL
	state    string
	verifier *Secret // behind a pointer: package fmt does not call methods of fields

	mu   sync.Mutex
	used bool
}

// Format writes the type's name only: the fields hold secrets.
func (a *Authorization) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "salesforce.Authorization")
}

// Begin makes the URL to open. It sends nothing. Its errors are *ConfigError,
// except those of Rand.
func (w WebServer) Begin() (*Authorization, error) {
	switch {
	case w.ClientID == "":
		return nil, &ConfigError{Field: "WebServer.ClientID", Problem: "is empty", Try: "give the app's consumer key"}
	case w.RedirectURL == "":
		return nil, &ConfigError{Field: "WebServer.RedirectURL", Problem: "is empty", Try: "give one of the app's callback URLs"}
	}
	login, err := parseLoginURL("WebServer.LoginURL", w.LoginURL, w.AllowPlainHTTP)
	if err != nil {
		return nil, err
	}
	if w.Rand == nil {
		w.Rand = rand.Reader
	}
	random := make([]byte, stateBytes+verifierBytes)
	if _, err := io.ReadFull(w.Rand, random); err != nil {
		return nil, fmt.Errorf("making the state of a login: %w", err)
	}
	verifier := Secret(base64.RawURLEncoding.EncodeToString(random[stateBytes:]))
	a := &Authorization{
		flow: &w, login: login, verifier: &verifier, state: base64.RawURLEncoding.EncodeToString(random[:stateBytes]),
	}
	scopes := w.Scopes
	if len(scopes) == 0 {
		scopes = []string{"api", "refresh_token"}
	}
	challenge := sha256.Sum256([]byte(verifier.Reveal()))
	page := *login
	page.Path += authorizePath
	page.RawPath = ""
	page.RawQuery = url.Values{
		"response_type":         {"code"},
		"client_id":             {w.ClientID},
		"redirect_uri":          {w.RedirectURL},
		"scope":                 {strings.Join(scopes, " ")},
		"state":                 {a.state},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode()
	a.URL = page.String()
	return a, nil
}

// Matches says whether the query of a redirect belongs to this authorization: its
// state is the one that was sent. The comparison takes the same time for all
// states of the right length.
func (a *Authorization) Matches(redirect url.Values) bool {
	return subtle.ConstantTimeCompare([]byte(redirect.Get("state")), []byte(a.state)) == 1
}

// Finish exchanges the code in the query of a redirect for an access token and a
// refresh token, which is empty if the app gives none. A redirect that brings a
// refusal is an *OAuthError without a status; one of another state is ErrState
// and spends nothing. The first redirect of the right state is the last: all
// later ones are ErrCodeUsed.
func (a *Authorization) Finish(ctx context.Context, redirect url.Values) (Token, Secret, error) {
	if !a.Matches(redirect) {
		return Token{}, "", ErrState
	}
	a.mu.Lock()
	used := a.used
	a.used = true
	a.mu.Unlock()
	if used {
		return Token{}, "", ErrCodeUsed
	}
	code := redirect.Get("code")
	if refused := redirect.Get("error"); refused != "" {
		return Token{}, "", a.refusal(refused, redirect.Get("error_description"))
	}
	if code == "" {
		return Token{}, "", a.refusal("invalid_response", "the redirect has neither a code nor an error")
	}
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"client_id":     {a.flow.ClientID},
		"redirect_uri":  {a.flow.RedirectURL},
		"code_verifier": {a.verifier.Reveal()},
	}
	if a.flow.ClientSecret != "" {
		form.Set("client_secret", a.flow.ClientSecret.Reveal())
	}
	got, err := tokenRequest{
		grant: grantCode, login: a.login, http: a.flow.HTTP, plain: a.flow.AllowPlainHTTP, form: form,
		secrets: []string{code, a.verifier.Reveal(), a.flow.ClientSecret.Reveal()},
	}.exchange(ctx)
	if err != nil {
		return Token{}, "", err
	}
	return got.token, got.refresh, nil
}

// refusal is an error that came with a redirect.
func (a *Authorization) refusal(code, description string) error {
	if description == "" {
		description = "no description"
	}
	answer := oauthHint(grantCode, code, description)
	return &OAuthError{
		Code: clean(code), Description: clean(description), Hint: answer.hint, Host: a.login.Host,
		Temporary: answer.class == classLater,
	}
}
