package streaming

import (
	"context"
	"fmt"
	"strings"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/salesforce"
)

// OtherOrgError says that a renewed token belongs to another org than the one
// whose positions are being resumed.
type OtherOrgError struct {
	Want, Got string
}

func (e *OtherOrgError) Error() string {
	return fmt.Sprintf("the login leads to org %s, but this bridge holds the positions of org %s; "+
		"if it is a sandbox that was refreshed, its event bus is a new one: on_other_org in the section org says what the next start does", e.Got, e.Want)
}

// authorizer gives the client the shared token, and a renewed one in place of
// one that the org refused.
func authorizer(cfg Config) func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
	return func(ctx context.Context, rejected cometd.Credentials) (cometd.Credentials, error) {
		token, err := token(ctx, cfg.Tokens, rejected)
		if err != nil {
			return cometd.Credentials{}, err
		}
		if token.OrgID != cfg.OrgID {
			return cometd.Credentials{}, &OtherOrgError{Want: cfg.OrgID, Got: token.OrgID}
		}
		return cometd.Credentials{
			Endpoint:      strings.TrimSuffix(token.InstanceURL, "/") + "/cometd/" + cfg.APIVersion,
			Authorization: scheme + token.Access.Reveal(),
		}, nil
	}
}

const scheme = "Bearer "

func token(ctx context.Context, tokens *salesforce.TokenSource, rejected cometd.Credentials) (salesforce.Token, error) {
	if rejected == (cometd.Credentials{}) {
		return tokens.Token(ctx)
	}
	return tokens.Renew(ctx, salesforce.Secret(strings.TrimPrefix(rejected.Authorization, scheme)))
}
