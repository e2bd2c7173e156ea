package schemas_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sfbridge/bridge/schemas"
)

var goodText = []byte(event(`{"name":"A","type":["null","string"]}`))

// TestCatalogFetchesOnce: any number of callers, one request for each id.
func TestCatalogFetchesOnce(t *testing.T) {
	var fetches atomic.Int32
	c := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		fetches.Add(1)
		return goodText, nil
	}))
	const ids, callers = 5, 200
	got := make([]*schemas.Schema, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			s, err := c.Schema(t.Context(), fmt.Sprint(i%ids))
			if err != nil {
				t.Error(err)
			}
			got[i] = s
		})
	}
	wg.Wait()
	if n := fetches.Load(); n != ids {
		t.Errorf("%d fetches for %d ids", n, ids)
	}
	for i := range got {
		if got[i] != got[i%ids] || got[i].ID != fmt.Sprint(i%ids) {
			t.Fatalf("caller %d has schema %s at %p", i, got[i].ID, got[i])
		}
	}
}

// TestCatalogCallerGivesUp: a caller that stops waiting is answered at once and
// disturbs nobody; if it was the one who fetched, another takes over.
func TestCatalogCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches int
		release := make(chan struct{})
		c := schemas.NewCatalog(schemas.FetcherFunc(func(ctx context.Context, _ string) ([]byte, error) {
			fetches++ // one at a time, or the race detector says so
			select {
			case <-release:
				return goodText, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}))
		call := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := c.Schema(ctx, "id")
				done <- err
			}()
			synctest.Wait()
			return done
		}
		leaderCtx, stopLeader := context.WithCancel(t.Context())
		leader := call(leaderCtx)
		impatientCtx, stopImpatient := context.WithCancel(t.Context())
		impatient := call(impatientCtx)
		patient := call(t.Context())

		stopImpatient()
		if err := <-impatient; !errors.Is(err, context.Canceled) {
			t.Errorf("the impatient caller got %v", err)
		}
		stopLeader()
		if err := <-leader; !errors.Is(err, context.Canceled) || !schemas.Retryable(err) {
			t.Errorf("the leader got %v", err)
		}
		synctest.Wait()
		if len(patient) != 0 || fetches != 2 {
			t.Fatalf("after the leader gave up: %d fetches, %d answers", fetches, len(patient))
		}
		close(release)
		if err := <-patient; err != nil {
			t.Errorf("the patient caller got %v", err)
		}
	})
}

// TestCatalogErrors: passing trouble is forgotten, permanent errors are kept
// until somebody says otherwise.
func TestCatalogErrors(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name    string
		answer  func() ([]byte, error)
		fetches int
		retry   bool
	}{
		{"unreachable", func() ([]byte, error) { return nil, down }, 2, true},
		{"permanent", func() ([]byte, error) { return nil, schemas.Permanent(down) }, 1, false},
		{"wrapped permanent", func() ([]byte, error) { return nil, fmt.Errorf("x: %w", schemas.Permanent(down)) }, 1, false},
		{"unusable text", func() ([]byte, error) { return []byte("{}"), nil }, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fetches := 0
			cat := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
				fetches++
				return c.answer()
			}))
			_, err := cat.Schema(t.Context(), "id")
			if _, again := cat.Schema(t.Context(), "id"); err == nil || again == nil || fetches != c.fetches {
				t.Errorf("errors %v and %v, %d fetches, want %d", err, again, fetches, c.fetches)
			}
			if got := schemas.Retryable(err); got != c.retry {
				t.Errorf("%v: retryable is %t", err, got)
			}
			cat.Forget("id")
			fetches = 0
			if _, err := cat.Schema(t.Context(), "id"); err == nil || fetches != 1 {
				t.Errorf("after Forget: %v, %d fetches", err, fetches)
			}
		})
	}
}

func TestCatalogSecondTrySucceeds(t *testing.T) {
	fail := true
	cat := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		if fail {
			return nil, errors.New("status 503")
		}
		return goodText, nil
	}))
	if _, err := cat.Schema(t.Context(), "id"); err == nil {
		t.Fatal("no error")
	}
	fail = false
	if _, err := cat.Schema(t.Context(), "id"); err != nil {
		t.Error(err)
	}
	if _, err := cat.Schema(t.Context(), ""); err == nil || schemas.Retryable(err) {
		t.Errorf("an empty id: %v", err)
	}
}

// TestCatalogSurvivesPanic: a fetcher that panics takes its own caller down and
// leaves nobody waiting for ever.
func TestCatalogSurvivesPanic(t *testing.T) {
	cat := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) { panic("boom") }))
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = cat.Schema(t.Context(), "id")
		}()
	}
}

func TestFetchErrorShowsCause(t *testing.T) {
	cause := errors.New("status 503")
	err := error(&schemas.FetchError{ID: "TJ7X", Err: cause})
	if !errors.Is(err, cause) || err.Error() != "fetch event schema TJ7X: status 503" {
		t.Errorf("got %v", err)
	}
	if schemas.Permanent(nil) != nil || schemas.Retryable(nil) || schemas.Retryable(cause) {
		t.Error("nil and foreign errors are not judged as they should be")
	}
}
