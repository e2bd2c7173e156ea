package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// expiring is a grant whose tokens tell when they end.
type expiring struct {
	life   time.Duration
	takes  time.Duration
	again  bool  // the same token every time, with what is left of its life
	fail   error // of all but the first
	begun  atomic.Int64
	issued time.Time
}

func (g *expiring) Exchange(ctx context.Context) (salesforce.Token, error) {
	n := g.begun.Add(1)
	timer := time.NewTimer(g.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return salesforce.Token{}, ctx.Err()
	}
	if n > 1 && g.fail != nil {
		return salesforce.Token{}, g.fail
	}
	if g.again {
		n = 1
	}
	if n > 1 || g.issued.IsZero() {
		g.issued = time.Now()
	}
	return salesforce.Token{Access: salesforce.Secret(fmt.Sprint("token-", n)), Expires: g.issued.Add(g.life)}, nil
}

var errBusy = &salesforce.OAuthError{Code: "server_error", Temporary: true}

// TestExpiresIn: what replies say of the end of a token.
func TestExpiresIn(t *testing.T) {
	now := time.Unix(1_772_615_722, 0)
	for text, want := range map[string]time.Duration{
		`7200`: 2 * time.Hour, `"7200"`: 2 * time.Hour, `null`: 0, `0`: 0, `-5`: 0, `"soon"`: 0, `99999999999999`: 0, `1.5`: 0,
	} {
		server := serve(t, answer(200, "application/json",
			`{"access_token":"x","instance_url":"https://acme.example","issued_at":"1","expires_in":`+text+`}`))
		token, err := salesforce.JWTBearer{
			LoginURL: server, ClientID: "id", Username: "u", Key: newKey(t), Now: func() time.Time { return now },
		}.Exchange(wait(t))
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 && !token.Expires.IsZero() || want > 0 && !token.Expires.Equal(now.Add(want)) {
			t.Errorf("expires_in %s: %v", text, token.Expires)
		}
	}
}

// TestRenewalAhead: a token is renewed once before it ends, whoever asks, and
// nobody has to wait for it but the one who does it.
func TestRenewalAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &expiring{life: 2 * time.Hour, takes: time.Second}
		source := salesforce.NewTokenSource(grant)
		ask := func(want string) {
			t.Helper()
			token, err := source.Token(t.Context())
			if err != nil || token.Access.Reveal() != want {
				t.Errorf("%q, %v, want %q", token.Access.Reveal(), err, want)
			}
		}
		ask("token-1")
		<-time.After(114 * time.Minute)
		ask("token-1")
		<-time.After(2 * time.Minute)
		var callers sync.WaitGroup
		var renewed atomic.Int64
		for range 50 {
			callers.Go(func() {
				started := time.Now()
				token, err := source.Token(t.Context())
				switch {
				case err != nil:
					t.Error(err)
				case token.Access == "token-2":
					renewed.Add(1)
				case time.Since(started) > 0:
					t.Error("waited for a token that was at hand")
				}
			})
		}
		callers.Wait()
		if renewed.Load() != 1 || grant.begun.Load() != 2 {
			t.Errorf("%d callers renewed, %d exchanges", renewed.Load(), grant.begun.Load())
		}
		ask("token-2")
		// Nobody asks for a day: no exchange happens, and the next caller gets a good one.
		<-time.After(24 * time.Hour)
		ask("token-3")
		if grant.begun.Load() != 3 {
			t.Errorf("%d exchanges", grant.begun.Load())
		}
	})
}

// TestRenewalAheadFails: the old token serves as long as it lives, and the
// endpoint is not asked at every call.
func TestRenewalAheadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &expiring{life: time.Hour, fail: errBusy}
		source := salesforce.NewTokenSource(grant)
		started := time.Now()
		for time.Since(started) < time.Hour {
			if token, err := source.Token(t.Context()); err != nil || token.Access != "token-1" {
				t.Fatalf("after %v: %v", time.Since(started), err)
			}
			<-time.After(100 * time.Millisecond)
		}
		asked := grant.begun.Load()
		if asked < 5 || asked > 80 {
			t.Errorf("%d exchanges in the last 5 minutes", asked)
		}
		if _, err := source.Token(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("the token has ended: %v", err)
		}
	})
}

// TestRenewalAheadIsRefused: what nobody but the user can cure is told at once.
func TestRenewalAheadIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := &salesforce.OAuthError{Code: "invalid_grant", Status: http.StatusBadRequest}
		source := salesforce.NewTokenSource(&expiring{life: time.Hour, fail: refused})
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(58 * time.Minute)
		for range 3 {
			if _, err := source.Token(t.Context()); !errors.Is(err, refused) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// TestRenewalAheadOfARefusedToken: a token that Salesforce refused is not served,
// though by its own word it lives.
func TestRenewalAheadOfARefusedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &expiring{life: time.Hour, takes: time.Second, fail: errBusy}
		source := salesforce.NewTokenSource(grant)
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-time.After(58 * time.Minute)
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := source.Token(t.Context()); !errors.Is(err, errBusy) {
				t.Errorf("the one who renews: %v", err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if _, err := source.Renew(t.Context(), "token-1"); !errors.Is(err, errBusy) {
				t.Errorf("the one who was refused: %v", err)
			}
		})
		callers.Wait()
		if grant.begun.Load() != 2 {
			t.Errorf("%d exchanges, want one for both", grant.begun.Load())
		}
	})
}

// TestTokenHandedOutAgain: Salesforce gives the same token with less life left; it
// is not asked at every call.
func TestTokenHandedOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &expiring{life: time.Hour, again: true}
		source := salesforce.NewTokenSource(grant)
		for range 36_000 - 100 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-time.After(100 * time.Millisecond)
		}
		if n := grant.begun.Load(); n > 60 {
			t.Errorf("%d exchanges", n)
		}
	})
}
