package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// httpTimeout bounds one REST or OAuth request as a whole; the streaming client
// has its own.
const httpTimeout = 60 * time.Second

// org is a logged-in Salesforce org.
type org struct {
	id         string
	tokens     *salesforce.TokenSource
	rest       *salesforce.Client
	apiVersion string
	// transport is the way to Salesforce; a session of the streaming API gets a
	// clone, so that one lane's broken connection is not another's.
	transport *http.Transport
}

// login gets the first token, so that a mistake is seen at the start.
func login(ctx context.Context, cfg config.Org, counter *tokenCounter) (*org, error) {
	transport, err := orgTransport(cfg)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	client := &http.Client{Timeout: httpTimeout, Transport: transport}
	g, err := grant(cfg, client)
	if err != nil {
		return nil, err
	}
	o := &org{transport: transport, tokens: salesforce.NewTokenSource(countedGrant{g, counter})}
	token, err := o.tokens.Token(ctx)
	if err != nil {
		return nil, outside("salesforce login", err)
	}
	o.rest, err = salesforce.NewClient(salesforce.ClientConfig{
		Tokens: o.tokens, APIVersion: cfg.APIVersion, HTTP: client,
		UserAgent: "bridge/" + build().Version, AllowPlainHTTP: cfg.AllowPlainHTTP,
	})
	if err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("org: %w", err))
	}
	if o.apiVersion, err = o.rest.APIVersion(ctx); err != nil {
		return nil, outside("salesforce API version", err)
	}
	if o.id = token.OrgID; o.id == "" {
		if o.id, err = o.rest.Organization(ctx); err != nil {
			return nil, outside("salesforce organization id", err)
		}
	}
	return o, nil
}

// outside makes an environment error of trouble with something outside, unless
// we were asked to stop meanwhile.
func outside(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf("%s: %w", what, err))
}
