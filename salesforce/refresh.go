package salesforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// rotationGrace is how long a refresh may go on after its caller has left: an
// answer that is not waited for may take the only valid refresh token with it.
const rotationGrace = 5 * time.Second

// Store keeps a refresh token. FileStore is one.
//
// A Store that is shared by several processes should also be a Locker.
type Store interface {
	// Load returns the token that is stored now. Not to have one is an error.
	Load(ctx context.Context) (Secret, error)
	// Save replaces it. When it returns nil the token must survive a crash.
	Save(ctx context.Context, token Secret) error
}

// Locker keeps others from using a stored token while it may be rotated.
type Locker interface {
	// Lock waits until nobody else has the lock, or ctx ends.
	Lock(ctx context.Context) (unlock func(), err error)
}

// RefreshToken logs in by the refresh token that a user's login left (Salesforce
// help, "OAuth 2.0 Refresh Token Flow"; see WebServer). If the app rotates refresh
// tokens, each exchange brings another one and makes the old one invalid, and to
// use the old one again revokes all. Hence the token is read anew from the store
// for each exchange, under its lock, and a new one is saved before the access
// token that came with it is given to anyone.
//
// Use one value by its pointer: it remembers a token that could not be saved, and
// saves it before the next exchange.
type RefreshToken struct {
	// LoginURL is the login host or the org's My Domain, with scheme. Empty:
	// ProductionLoginURL.
	LoginURL string
	// ClientID is the consumer key of the app that the user allowed. ClientSecret
	// may be empty for apps that do not ask for it.
	ClientID     string
	ClientSecret Secret
	// Store keeps the refresh token. Required.
	Store Store
	// HTTP sends the request. Nil: http.DefaultTransport. Redirects are not followed.
	HTTP *http.Client
	// AllowPlainHTTP permits http to hosts other than loopback.
	AllowPlainHTTP bool

	mu      sync.Mutex
	unsaved *rotation
}

// rotation is the replacement of one refresh token by another.
type rotation struct {
	from, to Secret
}

// Format writes the type's name only: the fields can hold a token.
func (g *RefreshToken) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "salesforce.RefreshToken")
}

// MarshalJSON writes the settings only.
func (g *RefreshToken) MarshalJSON() ([]byte, error) { return []byte(`"salesforce.RefreshToken"`), nil }

// Exchange asks for a token. If ctx ends while the request is under way, the
// answer is waited for some seconds more, so that a rotated token is not lost.
func (g *RefreshToken) Exchange(ctx context.Context) (Token, error) {
	switch {
	case g.ClientID == "":
		return Token{}, &ConfigError{Field: "RefreshToken.ClientID", Problem: "is empty", Try: "give the app's consumer key"}
	case g.Store == nil:
		return Token{}, &ConfigError{Field: "RefreshToken.Store", Problem: "is missing", Try: "give a FileStore with the file that holds the refresh token"}
	}
	login, err := parseLoginURL("RefreshToken.LoginURL", g.LoginURL, g.AllowPlainHTTP)
	if err != nil {
		return Token{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if locker, ok := g.Store.(Locker); ok {
		unlock, err := locker.Lock(ctx)
		if err != nil {
			return Token{}, err
		}
		defer unlock()
	}
	refresh, err := g.current(ctx)
	if err != nil {
		return Token{}, err
	}
	return g.exchange(ctx, login, refresh)
}

// current is the token to use: the stored one, unless that is one which a former
// exchange replaced and could not save.
func (g *RefreshToken) current(ctx context.Context) (Secret, error) {
	stored, err := g.Store.Load(ctx)
	if g.unsaved == nil {
		return stored, err
	}
	if err == nil && stored != g.unsaved.from {
		g.unsaved = nil // somebody has logged in anew
		return stored, nil
	}
	if err := g.Store.Save(ctx, g.unsaved.to); err != nil {
		return "", fmt.Errorf("saving the refresh token that replaces one used before: %w", err)
	}
	refresh := g.unsaved.to
	g.unsaved = nil
	return refresh, nil
}

func (g *RefreshToken) exchange(ctx context.Context, login *url.URL, refresh Secret) (Token, error) {
	form := url.Values{
		"grant_type":    {"refresh_token"},
		"client_id":     {g.ClientID},
		"refresh_token": {refresh.Reveal()},
	}
	if g.ClientSecret != "" {
		form.Set("client_secret", g.ClientSecret.Reveal())
	}
	lasting, end := outlive(ctx, rotationGrace)
	defer end()
	got, err := tokenRequest{
		grant: grantRefresh, login: login, http: g.HTTP, plain: g.AllowPlainHTTP, form: form,
		secrets: []string{refresh.Reveal(), g.ClientSecret.Reveal()},
	}.exchange(lasting)
	if got.refresh != "" && got.refresh != refresh {
		g.unsaved = &rotation{from: refresh, to: got.refresh}
		if saveErr := g.Store.Save(lasting, got.refresh); saveErr != nil {
			return Token{}, errors.Join(fmt.Errorf(
				"saving the refresh token that Salesforce gave in place of the stored one, which is worth nothing now: %w", saveErr), err)
		}
		g.unsaved = nil
	}
	return got.token, err
}

// outlive returns a context that ends a while after ctx. The caller must end it.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-lasting.Done():
		}
	})
	return lasting, func() { stop(); cancel() }
}
