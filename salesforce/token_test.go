package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// slowGrant takes a time for each exchange and numbers its tokens.
type slowGrant struct {
	takes    time.Duration
	fail     atomic.Bool
	begun    atomic.Int64
	canceled atomic.Int64
}

var errLogin = errors.New("login refused in this test")

func (g *slowGrant) Exchange(ctx context.Context) (salesforce.Token, error) {
	n := g.begun.Add(1)
	timer := time.NewTimer(g.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		g.canceled.Add(1)
		return salesforce.Token{}, ctx.Err()
	}
	if g.fail.Load() {
		return salesforce.Token{}, errLogin
	}
	return salesforce.Token{Access: salesforce.Secret(fmt.Sprintf("token-%d", n))}, nil
}

func TestTokenSourceKeepsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &slowGrant{takes: time.Second}
		source := salesforce.NewTokenSource(grant)
		for _, step := range []struct {
			rejected, want salesforce.Secret
		}{
			{"", "token-1"}, {"", "token-1"}, {"older", "token-1"}, {"token-1", "token-2"}, {"token-1", "token-2"}, {"", "token-2"},
		} {
			token, err := source.Renew(t.Context(), step.rejected)
			if err != nil || token.Access != step.want {
				t.Errorf("Renew(%q) = %q, %v; want %q", step.rejected.Reveal(), token.Access.Reveal(), err, step.want.Reveal())
			}
		}
		if token, err := source.Token(t.Context()); err != nil || token.Access != "token-2" {
			t.Errorf("Token = %q, %v", token.Access.Reveal(), err)
		}
		if n := grant.begun.Load(); n != 2 {
			t.Errorf("%d exchanges, want 2", n)
		}
	})
}

func TestRenewIsOneExchangeForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &slowGrant{takes: time.Second}
		source := salesforce.NewTokenSource(grant)
		for round := 1; round <= 3; round++ {
			rejected := salesforce.Secret(fmt.Sprintf("token-%d", round-1))
			want := salesforce.Secret(fmt.Sprintf("token-%d", round))
			var callers sync.WaitGroup
			for range 100 {
				callers.Go(func() {
					token, err := source.Renew(t.Context(), rejected)
					if err != nil || token.Access != want {
						t.Errorf("round %d: %q, %v", round, token.Access.Reveal(), err)
					}
				})
			}
			callers.Wait()
		}
		if n := grant.begun.Load(); n != 3 {
			t.Errorf("%d exchanges, want 3", n)
		}
	})
}

// TestRenewUnderLoad has no order: it is for the race detector.
func TestRenewUnderLoad(t *testing.T) {
	grant := &slowGrant{}
	source := salesforce.NewTokenSource(grant)
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			var last salesforce.Secret
			for n := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%7 == 0 {
					go cancel()
				}
				token, err := source.Renew(ctx, last)
				cancel()
				switch {
				case err == nil && token.Access == last:
					t.Errorf("got the rejected %q again", last.Reveal())
				case err == nil:
					last = token.Access
				case !errors.Is(err, context.Canceled):
					t.Errorf("got %v", err)
				}
			}
		})
	}
	callers.Wait()
}

func TestFailedExchangeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &slowGrant{takes: time.Second}
		source := salesforce.NewTokenSource(grant)
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		grant.fail.Store(true)
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if token, err := source.Renew(t.Context(), "token-1"); !errors.Is(err, errLogin) || token != (salesforce.Token{}) {
					t.Errorf("got %q, %v", token.Access.Reveal(), err)
				}
			})
		}
		callers.Wait()
		if n := grant.begun.Load(); n != 2 {
			t.Errorf("%d exchanges, want 2", n)
		}
		// The refused token is not handed out again, and neither is the error.
		grant.fail.Store(false)
		if token, err := source.Token(t.Context()); err != nil || token.Access != "token-3" {
			t.Errorf("got %q, %v", token.Access.Reveal(), err)
		}
	})
}

func TestCallerLeavesTheOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &slowGrant{takes: 10 * time.Second}
		source := salesforce.NewTokenSource(grant)
		started := time.Now()

		// The one who begins the exchange leaves first.
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var callers sync.WaitGroup
		callers.Go(func() {
			_, err := source.Token(impatient)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Second {
				t.Errorf("after %v: %v", time.Since(started), err)
			}
		})
		synctest.Wait()
		for range 3 {
			callers.Go(func() {
				token, err := source.Token(t.Context())
				if err != nil || token.Access != "token-1" || time.Since(started) != 10*time.Second {
					t.Errorf("after %v: %q, %v", time.Since(started), token.Access.Reveal(), err)
				}
			})
		}
		callers.Wait()
		if grant.begun.Load() != 1 || grant.canceled.Load() != 0 {
			t.Errorf("%d exchanges, %d canceled", grant.begun.Load(), grant.canceled.Load())
		}
	})
}

func TestLastCallerEndsTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		grant := &slowGrant{takes: 10 * time.Second}
		source := salesforce.NewTokenSource(grant)
		cause := errors.New("the lane was taken away")
		ctx, cancel := context.WithCancelCause(t.Context())
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				_, err := source.Token(ctx)
				if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || salesforce.Retryable(err) {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		cancel(cause)
		callers.Wait()
		if grant.canceled.Load() != 1 {
			t.Errorf("%d exchanges canceled when the last caller had left", grant.canceled.Load())
		}
		if _, err := source.Token(ctx); !errors.Is(err, context.Canceled) || grant.begun.Load() != 1 {
			t.Errorf("a context that has ended begins an exchange: %v", err)
		}
		// What was abandoned is not in the way of the next.
		if token, err := source.Token(t.Context()); err != nil || token.Access != "token-2" {
			t.Errorf("got %q, %v", token.Access.Reveal(), err)
		}
	})
}

// TestAbandonedExchangeBringsNothing: a grant that returns a token though it was
// cancelled does not overwrite a newer one.
func TestAbandonedExchangeBringsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		calls := 0
		source := salesforce.NewTokenSource(grantFunc(func(ctx context.Context) (salesforce.Token, error) {
			calls++
			if calls == 1 {
				<-release
				return salesforce.Token{Access: "stale"}, nil
			}
			return salesforce.Token{Access: "fresh"}, nil
		}))
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := source.Token(ctx)
			left <- err
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-left:
			t.Fatalf("the last caller left a goroutine behind: %v", err)
		default: // it waits for the exchange that it has cancelled
		}
		if token, err := source.Token(t.Context()); err != nil || token.Access != "fresh" {
			t.Errorf("got %q, %v", token.Access.Reveal(), err)
		}
		close(release)
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if token, err := source.Token(t.Context()); err != nil || token.Access != "fresh" {
			t.Errorf("got %q, %v", token.Access.Reveal(), err)
		}
	})
}

func TestExchangeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		source := salesforce.NewTokenSource(grantFunc(func(ctx context.Context) (salesforce.Token, error) {
			if ctx.Value(key{}) != "kept" {
				t.Error("the exchange lost the values of the caller's context")
			}
			<-ctx.Done()
			return salesforce.Token{}, ctx.Err()
		}))
		started := time.Now()
		_, err := source.Token(context.WithValue(t.Context(), key{}, "kept"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != time.Minute || !salesforce.Retryable(err) {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
	})
}

func TestTokenSourceChecksTokens(t *testing.T) {
	other := "00Dxx0000001gPMEAY"
	tokens := []salesforce.Token{
		{}, {Access: "a", OrgID: orgID18}, {Access: "b"}, {Access: "c", OrgID: other}, {Access: "d", OrgID: orgID18},
	}
	source := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
		token := tokens[0]
		tokens = tokens[1:]
		return token, nil
	}))
	if _, err := source.Token(t.Context()); err == nil || salesforce.Retryable(err) {
		t.Errorf("an empty token: %v", err)
	}
	for _, rejected := range []salesforce.Secret{"", "a"} {
		if _, err := source.Renew(t.Context(), rejected); err != nil {
			t.Fatal(err)
		}
	}
	_, err := source.Renew(t.Context(), "b")
	var changed *salesforce.OrgChangedError
	if !errors.As(err, &changed) || changed.From != orgID18 || changed.To != other || salesforce.Retryable(err) {
		t.Errorf("a token of another org: %v", err)
	}
	mustContain(t, err.Error(), orgID18, other, "try: ")
	if token, err := source.Token(t.Context()); err != nil || token.Access != "d" {
		t.Errorf("got %v, %v", token, err)
	}
}

func TestGrantThatLeaves(t *testing.T) {
	source := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
		runtime.Goexit()
		return salesforce.Token{}, nil
	}))
	if _, err := source.Token(wait(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// TestTimeoutsOfRequests: a server that never answers does not hold anyone.
func TestTimeoutsOfRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := &http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		login := salesforce.ClientCredentials{LoginURL: "https://acme.example", ClientID: "id", ClientSecret: "s", HTTP: silent}
		client, err := salesforce.NewClient(salesforce.ClientConfig{
			Tokens: fixedTokens(t, "https://acme.example", "x"), HTTP: silent, APIVersion: "66.0",
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			ask  func(context.Context) error
			want time.Duration
		}{
			{func(ctx context.Context) error { _, err := login.Exchange(ctx); return err }, 30 * time.Second},
			{func(ctx context.Context) error { return client.Get(ctx, "/limits", nil) }, time.Minute},
		} {
			started := time.Now()
			err := tc.ask(t.Context())
			var network *salesforce.NetworkError
			if !errors.As(err, &network) || time.Since(started) != tc.want || !salesforce.Retryable(err) {
				t.Errorf("after %v: %v", time.Since(started), err)
			}
			mustContain(t, err.Error(), "no whole answer within "+tc.want.String())

			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = tc.ask(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) {
				t.Errorf("the caller's end: %v", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err = tc.ask(ctx); !errors.Is(err, context.Canceled) || salesforce.Retryable(err) {
				t.Errorf("the caller's cancellation: %v", err)
			}
		}
	})
}
