package pipeline

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

const polled = "/query/Entitlement"

// kinds is a lane with a source of each of two kinds, and what they were opened for.
func (w *world) kinds(stats *Stats, opened map[string][]string) *Lane {
	other := stream(polled)
	other.Source = "query"
	l := w.lane(stats, stream(accounts), other)
	open := l.cfg.OpenSource
	var mu sync.Mutex
	l.cfg.OpenSource = func(ctx context.Context, kind string, streams []Resume, trace SourceTrace) (Source, error) {
		mu.Lock()
		for _, s := range streams {
			opened[kind] = append(opened[kind], s.Channel)
		}
		mu.Unlock()
		return open(ctx, kind, streams, trace)
	}
	return l
}

// TestSourcesOfTwoKinds: each kind has a source of its own, for its own streams, and
// all of them commit through one.
func TestSourcesOfTwoKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats, opened := newWorld(), &Stats{}, make(map[string][]string)
		w.publish(accounts, 150)
		w.publish(polled, 150)
		if err := carry(t, w.kinds(stats, opened), func() { w.publish(accounts, 50); w.publish(polled, 50) }); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		w.exactly(t, polled)
		if !slices.Equal(opened[CometD], []string{accounts}) || !slices.Equal(opened["query"], []string{polled}) {
			t.Errorf("opened %v", opened)
		}
	})
}

// TestOneKindHalts: the other goes on when all streams of one kind are halted, and the
// lane ends when all are.
func TestOneKindHalts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 5)
		l := w.kinds(stats, make(map[string][]string))
		if err := carry(t, l, func() {
			l.haltStream(polled, errLost)
			w.publish(accounts, 5)
		}); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		l.haltStream(accounts, errLost)
		wantExit(t, l.Run(t.Context(), t.Context()), ExitHalted, polled)
	})
}
