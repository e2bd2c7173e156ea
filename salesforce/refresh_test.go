package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// memory is a store that can be told to fail.
type memory struct {
	mu      sync.Mutex
	token   salesforce.Secret
	failing bool
	saved   int
}

var errDisk = errors.New("disk full in this test")

func (m *memory) Load(context.Context) (salesforce.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, nil
}

func (m *memory) Save(_ context.Context, token salesforce.Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing {
		return errDisk
	}
	m.token = token
	m.saved++
	return nil
}

// rotating is a token endpoint that rotates: the nth refresh token is "refresh-n",
// and one that is not current is refused.
type rotating struct {
	mu      sync.Mutex
	current int
	refused int
	keep    bool // no rotation
}

func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := req.ParseForm(); err != nil || req.PostForm.Get("grant_type") != "refresh_token" {
		http.Error(w, "no refresh", http.StatusTeapot)
		return
	}
	if req.PostForm.Get("refresh_token") != fmt.Sprintf("refresh-%d", r.current) {
		r.refused++
		answer(400, "application/json", `{"error":"invalid_grant","error_description":"expired access/refresh token"}`)(w, req)
		return
	}
	more := ""
	if !r.keep {
		r.current++
		more = fmt.Sprintf(`,"refresh_token":"refresh-%d"`, r.current)
	}
	body := tokenJSON(fmt.Sprintf("access-%d", r.current), "https://acme.my.salesforce.com")
	answer(200, "application/json", strings.TrimSuffix(body, "}")+more+"}")(w, req)
}

func refreshGrant(server string, store salesforce.Store) *salesforce.RefreshToken {
	return &salesforce.RefreshToken{LoginURL: server, ClientID: "id", ClientSecret: "s3cr3t-s3cr3t", Store: store}
}

func TestRefreshToken(t *testing.T) {
	var form string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		form = parseForm(t, r).Encode()
		answer(200, "application/json", tokenJSON("access", "https://acme.my.salesforce.com"))(w, r)
	})
	store := &memory{token: "refresh/+="}
	for secret, want := range map[salesforce.Secret]string{
		"":    "client_id=id&grant_type=refresh_token&refresh_token=refresh%2F%2B%3D",
		"s&c": "client_id=id&client_secret=s%26c&grant_type=refresh_token&refresh_token=refresh%2F%2B%3D",
	} {
		grant := &salesforce.RefreshToken{LoginURL: server, ClientID: "id", ClientSecret: secret, Store: store}
		token, err := grant.Exchange(wait(t))
		if err != nil || token.Access != "access" || token.OrgID != orgID18 {
			t.Fatalf("%v, %v", token, err)
		}
		if form != want {
			t.Errorf("sent %s, want %s", form, want)
		}
	}
	if store.saved != 0 {
		t.Error("a token that stayed the same was saved")
	}
}

// TestRotation: the new token is stored before the access token is given out, and
// the next exchange uses it.
func TestRotation(t *testing.T) {
	endpoint := &rotating{}
	server := serve(t, endpoint.ServeHTTP)
	store := tokenFile(t, "refresh-0\n", 0o600)
	source := salesforce.NewTokenSource(refreshGrant(server, store))
	var rejected salesforce.Secret
	for n := 1; n <= 3; n++ {
		token, err := source.Renew(wait(t), rejected)
		if err != nil || token.Access.Reveal() != fmt.Sprintf("access-%d", n) {
			t.Fatalf("%q, %v", token.Access.Reveal(), err)
		}
		if got, err := store.Load(t.Context()); err != nil || got.Reveal() != fmt.Sprintf("refresh-%d", n) {
			t.Errorf("stored %q, %v", got.Reveal(), err)
		}
		rejected = token.Access
	}
}

// TestRotationThatCannotBeSaved: the access token is not given out; the rotated
// token is saved before anything else is sent, and the spent one never is.
func TestRotationThatCannotBeSaved(t *testing.T) {
	endpoint := &rotating{}
	server := serve(t, endpoint.ServeHTTP)
	store := &memory{token: "refresh-0", failing: true}
	grant := refreshGrant(server, store)
	for range 3 {
		token, err := grant.Exchange(wait(t))
		if !errors.Is(err, errDisk) || token != (salesforce.Token{}) {
			t.Fatalf("%v, %v", token, err)
		}
		checkSilent(t, err, "refresh-0", "refresh-1", "access-1", "s3cr3t")
	}
	for way, text := range outputs(t, grant) {
		for _, secret := range []string{"refresh-", "s3cr3t", "726566726573682d"} {
			if strings.Contains(text, secret) {
				t.Errorf("shows its secrets by %s: %s", way, text)
			}
		}
	}
	if endpoint.current != 1 || endpoint.refused != 0 {
		t.Errorf("asked %d times, refused %d", endpoint.current, endpoint.refused)
	}
	store.failing = false
	if token, err := grant.Exchange(wait(t)); err != nil || token.Access != "access-2" || store.token != "refresh-2" || store.saved != 2 {
		t.Errorf("%v, %v; %d saved", token, err, store.saved)
	}
	// A new login by the user wins over what could not be saved.
	store.failing = true
	if _, err := grant.Exchange(wait(t)); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	store.failing, store.token = false, "refresh-7"
	endpoint.current = 7
	if token, err := grant.Exchange(wait(t)); err != nil || token.Access != "access-8" {
		t.Errorf("%v, %v", token, err)
	}
}

// TestRotationWithAnUselessReply: the refresh token of a reply that is otherwise
// of no use is kept.
func TestRotationWithAnUselessReply(t *testing.T) {
	server := serve(t, answer(200, "application/json", `{"access_token":"x","refresh_token":"next"}`))
	store := &memory{token: "first"}
	_, err := refreshGrant(server, store).Exchange(wait(t))
	var unusable *salesforce.ReplyError
	if !errors.As(err, &unusable) || store.token != "next" {
		t.Errorf("stored %q, %v", store.token.Reveal(), err)
	}
}

// TestRefreshAmongProcesses: many sources with one file, as processes have, never
// use a token twice.
func TestRefreshAmongProcesses(t *testing.T) {
	endpoint := &rotating{}
	server := serve(t, endpoint.ServeHTTP)
	store := tokenFile(t, "refresh-0", 0o600)
	var processes sync.WaitGroup
	for range 5 {
		processes.Go(func() {
			grant := refreshGrant(server, store)
			for range 4 {
				if _, err := grant.Exchange(wait(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	processes.Wait()
	if endpoint.current != 20 || endpoint.refused != 0 {
		t.Errorf("%d refreshed, %d refused", endpoint.current, endpoint.refused)
	}
}

func TestLostRefreshToken(t *testing.T) {
	server := serve(t, (&rotating{current: 5}).ServeHTTP)
	_, err := refreshGrant(server, &memory{token: "refresh-4"}).Exchange(wait(t))
	var refused *salesforce.OAuthError
	if !errors.As(err, &refused) || !salesforce.Unauthorized(err) || salesforce.Retryable(err) {
		t.Fatalf("got %v", err)
	}
	mustContain(t, err.Error(), "expired access/refresh token", `run "bridge login" again`, "rotated")
	checkSilent(t, err, "refresh-4")
	echo := serve(t, answer(400, "application/json", `{"error":"invalid_grant","error_description":"no refresh-4 here"}`))
	_, err = refreshGrant(echo, &memory{token: "refresh-4"}).Exchange(wait(t))
	checkSilent(t, err, "refresh-4")
}

func TestRefreshTokenSettings(t *testing.T) {
	for _, tc := range []struct {
		grant *salesforce.RefreshToken
		part  string
	}{
		{&salesforce.RefreshToken{Store: &memory{}}, "RefreshToken.ClientID is empty"},
		{&salesforce.RefreshToken{ClientID: "id"}, "RefreshToken.Store is missing"},
		{&salesforce.RefreshToken{ClientID: "id", Store: &memory{}, LoginURL: "acme.example"}, "RefreshToken.LoginURL"},
		{&salesforce.RefreshToken{ClientID: "id", Store: &memory{}, LoginURL: "http://acme.example"}, "plain http"},
	} {
		_, err := tc.grant.Exchange(t.Context())
		var config *salesforce.ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("%v, want %q", err, tc.part)
		}
	}
}

// TestRefreshOutlivesItsCaller: the answer that brings the rotated token is waited
// for although the caller has left, and not for ever.
func TestRefreshOutlivesItsCaller(t *testing.T) {
	for takes, saved := range map[time.Duration]salesforce.Secret{3 * time.Second: "next", time.Hour: "first"} {
		synctest.Test(t, func(t *testing.T) {
			network := transportFunc(func(r *http.Request) (*http.Response, error) {
				timer := time.NewTimer(takes)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				body := strings.TrimSuffix(tokenJSON("x", "https://acme.example"), "}") + `,"refresh_token":"next"}`
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			})
			store := &memory{token: "first"}
			source := salesforce.NewTokenSource(&salesforce.RefreshToken{
				LoginURL: "https://acme.example", ClientID: "id", Store: store, HTTP: &http.Client{Transport: network},
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			started := time.Now()
			_, err := source.Token(ctx)
			if took := time.Since(started); !errors.Is(err, context.DeadlineExceeded) || took > 6*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
			if store.token != saved {
				t.Errorf("%v: stored %q, want %q", takes, store.token.Reveal(), saved.Reveal())
			}
		})
	}
}
