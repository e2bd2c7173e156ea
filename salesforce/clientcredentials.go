package salesforce

import (
	"context"
	"net/http"
	"net/url"
)

// ClientCredentials logs in as the app's own run-as user (Salesforce help, "OAuth
// 2.0 Client Credentials Flow for Server-to-Server Integration").
type ClientCredentials struct {
	// LoginURL is the org's My Domain, with scheme. It is required: Salesforce
	// does not serve this flow on the general login hosts.
	LoginURL string
	// ClientID and ClientSecret are the app's consumer key and consumer secret.
	ClientID     string
	ClientSecret Secret
	// HTTP sends the request. Nil: http.DefaultTransport. Redirects are not followed.
	HTTP *http.Client `json:"-"`
	// AllowPlainHTTP permits http to hosts other than loopback.
	AllowPlainHTTP bool
}

// Exchange asks for a token.
func (g ClientCredentials) Exchange(ctx context.Context) (Token, error) {
	switch {
	case g.LoginURL == "":
		return Token{}, &ConfigError{
			Field: "ClientCredentials.LoginURL", Problem: "is empty",
			Try: "give the org's My Domain, such as https://acme.my.salesforce.com",
		}
	case g.ClientID == "":
		return Token{}, &ConfigError{Field: "ClientCredentials.ClientID", Problem: "is empty", Try: "give the app's consumer key"}
	case g.ClientSecret == "":
		return Token{}, &ConfigError{Field: "ClientCredentials.ClientSecret", Problem: "is empty", Try: "give the app's consumer secret"}
	}
	login, err := parseLoginURL("ClientCredentials.LoginURL", g.LoginURL, g.AllowPlainHTTP)
	if err != nil {
		return Token{}, err
	}
	return tokenRequest{
		grant: grantClientCredentials,
		login: login,
		http:  g.HTTP,
		plain: g.AllowPlainHTTP,
		form: url.Values{
			"grant_type":    {"client_credentials"},
			"client_id":     {g.ClientID},
			"client_secret": {g.ClientSecret.Reveal()},
		},
		secrets: []string{g.ClientSecret.Reveal()},
	}.send(ctx)
}
