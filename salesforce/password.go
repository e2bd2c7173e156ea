package salesforce

import (
	"context"
	"net/http"
	"net/url"
)

// Password logs in with a user's name and password (Salesforce help, "OAuth 2.0
// Username-Password Flow for Special Scenarios"). New orgs block this flow and
// external client apps do not have it: prefer JWTBearer or ClientCredentials.
type Password struct {
	// LoginURL is the login host or the org's My Domain, with scheme. Empty:
	// ProductionLoginURL.
	LoginURL string
	// ClientID and ClientSecret are the app's consumer key and consumer secret; the
	// secret may be empty for apps that do not ask for one.
	ClientID     string
	ClientSecret Secret
	Username     string
	Password     Secret
	// SecurityToken is appended to the password. It is needed unless the machine's
	// address is in the org's trusted ranges.
	SecurityToken Secret
	// HTTP sends the request. Nil: http.DefaultTransport. Redirects are not followed.
	HTTP *http.Client `json:"-"`
	// AllowPlainHTTP permits http to hosts other than loopback.
	AllowPlainHTTP bool
}

// Exchange asks for a token.
func (g Password) Exchange(ctx context.Context) (Token, error) {
	switch {
	case g.ClientID == "":
		return Token{}, &ConfigError{Field: "Password.ClientID", Problem: "is empty", Try: "give the app's consumer key"}
	case g.Username == "":
		return Token{}, &ConfigError{Field: "Password.Username", Problem: "is empty", Try: "give the name of the integration user"}
	case g.Password == "":
		return Token{}, &ConfigError{Field: "Password.Password", Problem: "is empty", Try: "give the user's password"}
	}
	login, err := parseLoginURL("Password.LoginURL", g.LoginURL, g.AllowPlainHTTP)
	if err != nil {
		return Token{}, err
	}
	form := url.Values{
		"grant_type": {"password"},
		"client_id":  {g.ClientID},
		"username":   {g.Username},
		"password":   {g.Password.Reveal() + g.SecurityToken.Reveal()},
	}
	if g.ClientSecret != "" {
		form.Set("client_secret", g.ClientSecret.Reveal())
	}
	return tokenRequest{
		grant: grantPassword,
		login: login,
		http:  g.HTTP,
		plain: g.AllowPlainHTTP,
		form:  form,
		secrets: []string{
			form.Get("password"), g.Password.Reveal(), g.SecurityToken.Reveal(), g.ClientSecret.Reveal(),
		},
	}.send(ctx)
}
