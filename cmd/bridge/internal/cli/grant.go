package cli

import (
	"fmt"
	"net/http"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// grant is the configured way to get access tokens.
func grant(org config.Org, client *http.Client) (salesforce.Grant, error) {
	a := org.Auth
	switch a.Type {
	case config.AuthJWTBearer:
		return jwtBearer(org, client)
	case config.AuthClientCredentials:
		return salesforce.ClientCredentials{
			LoginURL: org.LoginURL, ClientID: a.ClientID, ClientSecret: secret(a.ClientSecret),
			HTTP: client, AllowPlainHTTP: org.AllowPlainHTTP,
		}, nil
	case config.AuthRefreshToken:
		return &salesforce.RefreshToken{
			LoginURL: org.LoginURL, ClientID: a.ClientID, ClientSecret: secret(a.ClientSecret),
			Store: salesforce.FileStore{Path: a.TokenFile}, HTTP: client, AllowPlainHTTP: org.AllowPlainHTTP,
		}, nil
	case config.AuthPassword:
		return salesforce.Password{
			LoginURL: org.LoginURL, ClientID: a.ClientID, ClientSecret: secret(a.ClientSecret),
			Username: a.Username, Password: secret(a.Password), SecurityToken: secret(a.SecurityToken),
			HTTP: client, AllowPlainHTTP: org.AllowPlainHTTP,
		}, nil
	default:
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("org.auth.type %q is not one that this version speaks", a.Type))
	}
}

// jwtBearer signs with a key that was in the configuration, or with the one that
// is in its file at the time.
func jwtBearer(org config.Org, client *http.Client) (salesforce.Grant, error) {
	a := org.Auth
	g := salesforce.JWTBearer{
		LoginURL: org.LoginURL, Audience: a.Audience, ClientID: a.ClientID, Username: a.Username,
		HTTP: client, AllowPlainHTTP: org.AllowPlainHTTP,
	}
	if a.PrivateKeyFile != "" {
		g.KeyFrom = salesforce.NewKeyFile(a.PrivateKeyFile, secret(a.PrivateKeyPassword)).Key
		return g, nil
	}
	var err error
	if g.Key, err = salesforce.ParseProtectedKey([]byte(a.PrivateKey.Reveal()), secret(a.PrivateKeyPassword)); err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("org.auth.private_key: %w", err))
	}
	return g, nil
}

func secret(s config.Secret) salesforce.Secret { return salesforce.Secret(s.Reveal()) }
