package salesforce

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	defaultLifetime = 2 * time.Minute
	// maxLifetime is Salesforce's bound on exp (Salesforce help, "OAuth 2.0 JWT
	// Bearer Flow for Server-to-Server Integration").
	maxLifetime = 3 * time.Minute
)

// JWTBearer logs in as a user by an assertion signed with the private key whose
// certificate is stored with the app (RFC 7523; Salesforce help, "OAuth 2.0 JWT
// Bearer Flow for Server-to-Server Integration"). The user must be approved for
// the app beforehand.
type JWTBearer struct {
	// LoginURL is the login host or the org's My Domain, with scheme. Empty:
	// ProductionLoginURL.
	LoginURL string
	// Audience is the assertion's aud. Empty: what AudienceFor makes of LoginURL.
	// Experience Cloud sites need their own URL, and some external client apps the
	// My Domain URL.
	Audience string
	// ClientID is the app's consumer key, Username the user to log in as.
	ClientID string
	Username string
	Key      *rsa.PrivateKey `json:"-"`
	// KeyFrom gives the key for each exchange in place of Key, such as KeyFile.Key,
	// which follows a file. If it returns a key and an error, the key is used, and
	// the error is told only if the exchange fails.
	KeyFrom func() (*rsa.PrivateKey, error) `json:"-"`
	// HTTP sends the request. Nil: http.DefaultTransport. Redirects are not followed.
	HTTP *http.Client `json:"-"`
	// Now is the clock. Nil: time.Now.
	Now func() time.Time `json:"-"`
	// Lifetime is how long an assertion is valid: 0 means 2 minutes, 3 minutes is
	// the most that Salesforce takes.
	Lifetime time.Duration
	// AllowPlainHTTP permits http to hosts other than loopback.
	AllowPlainHTTP bool
}

// Exchange signs an assertion and asks for a token.
func (g JWTBearer) Exchange(ctx context.Context) (Token, error) {
	login, err := parseLoginURL("JWTBearer.LoginURL", g.LoginURL, g.AllowPlainHTTP)
	if err != nil {
		return Token{}, err
	}
	lifetime, err := g.check()
	if err != nil {
		return Token{}, err
	}
	key, doubt := g.Key, error(nil)
	if g.KeyFrom != nil {
		key, doubt = g.KeyFrom()
	}
	if key == nil {
		return Token{}, doubt
	}
	token, err := g.exchange(ctx, login, lifetime, key)
	if err != nil && doubt != nil {
		return Token{}, fmt.Errorf("%w; the login used the key of before, since the present one cannot be: %w", err, doubt)
	}
	return token, err
}

func (g JWTBearer) exchange(ctx context.Context, login *url.URL, lifetime time.Duration, key *rsa.PrivateKey) (Token, error) {
	now := g.Now
	if now == nil {
		now = time.Now
	}
	// Whole seconds are cut off, so the assertion never lives longer than asked.
	claims := jwt.MapClaims{
		"iss": g.ClientID,
		"sub": g.Username,
		"aud": g.audience(login.Hostname()),
		"exp": now().Add(lifetime).Unix(),
	}
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		return Token{}, &KeyError{Problem: "cannot sign: " + err.Error(), Try: "use an RSA key of 2048 bits"}
	}
	return tokenRequest{
		grant:    grantJWT,
		login:    login,
		http:     g.HTTP,
		now:      now,
		lifetime: lifetime,
		plain:    g.AllowPlainHTTP,
		form: url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"assertion":  {assertion},
		},
		secrets: []string{assertion},
	}.send(ctx)
}

// check returns the assertion's lifetime, or what is wrong with the settings.
func (g JWTBearer) check() (time.Duration, error) {
	lifetime := g.Lifetime
	if lifetime == 0 {
		lifetime = defaultLifetime
	}
	switch {
	case g.ClientID == "":
		return 0, &ConfigError{Field: "JWTBearer.ClientID", Problem: "is empty", Try: "give the app's consumer key"}
	case g.Username == "":
		return 0, &ConfigError{Field: "JWTBearer.Username", Problem: "is empty", Try: "give the name of the integration user"}
	case g.Key == nil && g.KeyFrom == nil:
		return 0, &ConfigError{Field: "JWTBearer.Key", Problem: "is missing", Try: "read the app's private key with ParsePrivateKey, or set KeyFrom"}
	case lifetime < time.Second || lifetime > maxLifetime:
		return 0, &ConfigError{
			Field:   "JWTBearer.Lifetime",
			Problem: "is " + lifetime.String() + ", but Salesforce takes assertions of at most 3m0s",
			Try:     "leave it at 0, which means 2m0s",
		}
	}
	return lifetime, nil
}

func (g JWTBearer) audience(host string) string {
	if g.Audience != "" {
		return g.Audience
	}
	return AudienceFor(host)
}
