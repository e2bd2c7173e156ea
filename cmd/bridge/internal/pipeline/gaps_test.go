package pipeline

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// entries are the records of the ledger.
func (w *world) entries() []string { return w.valuesIn("gaps") }

// valuesIn are the values of a topic's records.
func (w *world) valuesIn(topic string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.committed {
		if r.Topic == topic {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// A gap event is a record and an entry of the ledger, in one transaction.
func TestGapEventsAreInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 2)
		w.group(accounts, "gap7", 1)
		w.publish(accounts, 2)
		w.onCommit = func(n int, _ []*kgo.Record) (bool, error) {
			if n == 1 {
				return false, &sink.AbortedError{Err: errLost} // all of it comes again, the entry too
			}
			return true, nil
		}
		if err := carry(t, w.lane(stats, stream(accounts)), func() { sleep(t.Context(), newBackoff().MaxInterval) }); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		if got := w.entries(); !slices.Equal(got, []string{accounts + ` gap_event from "gap7" to "gap7" [001]`}) {
			t.Errorf("ledger: %q", got)
		}
		if s := stats.Snapshot()[0]; s.Gaps != 1 || s.Records != 5 || s.Produced != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// A refused position is entered with the first event behind the hole, from the
// position before it, in the transaction that jumps over it.
func TestRefusedPositionIsInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.positions[accounts] = "old"
		w.publish(contacts, 3)
		w.onNext = once(1, ReplayInvalid, accounts)
		if err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), func() {
			if got := w.entries(); len(got) != 0 {
				t.Errorf("the ledger has %q before anything came behind the hole", got)
			}
			w.publish(accounts, 2)
		}); err != nil {
			t.Fatal(err)
		}
		if got := w.entries(); !slices.Equal(got, []string{accounts + ` replay_id_refused from "old" to "4" []`}) {
			t.Errorf("ledger: %q", got)
		}
		w.exactly(t, accounts)
		w.exactly(t, contacts)
	})
}

// The event behind the hole need not become a record: a dead letter has a
// position too, and so has an event that is filtered out.
func TestHoleBeforeADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.positions[accounts] = "old"
		w.onNext = once(1, ReplayInvalid, accounts)
		w.onEncode = func(ev *transform.Event) error {
			if ev.Position == "1" {
				return &transform.EventError{Reason: "bad", Offset: -1}
			}
			return nil
		}
		failures := 2
		w.onLedger = func() error { // the letter must not be there twice when the entry is tried again
			if failures--; failures >= 0 {
				return errLost
			}
			return nil
		}
		w.publish(accounts, 2)
		if err := carry(t, w.lane(stats, stream(accounts)), func() { sleep(t.Context(), newBackoff().MaxInterval) }); err != nil {
			t.Fatal(err)
		}
		if got := w.entries(); !slices.Equal(got, []string{accounts + ` replay_id_refused from "old" to "1" []`}) {
			t.Errorf("ledger: %q", got)
		}
		if s := stats.Snapshot()[0]; s.DeadLettered != 1 || s.Produced != 1 || s.Records != 1 || s.Gaps != 1 || len(w.committed) != 3 {
			t.Errorf("%+v, %d records", s, len(w.committed))
		}
	})
}

// While the ledger's schema cannot be registered the batch is held.
func TestLedgerThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		up := &atomic.Bool{}
		w.onLedger = func() error { return unless(up, errLost) }
		w.group(accounts, "gap1", 1)
		if err := carry(t, w.lane(stats, stream(accounts)), func() {
			if len(w.entries()) != 0 || len(w.positions) != 0 {
				t.Error("the position moved over a gap that is not in the ledger")
			}
			up.Store(true)
			sleep(t.Context(), newBackoff().MaxInterval)
		}); err != nil {
			t.Fatal(err)
		}
		if len(w.entries()) != 1 {
			t.Errorf("ledger: %q", w.entries())
		}
	})
}

func TestJoinKeepsHolesBeforeTheirEvents(t *testing.T) {
	a := Batch{Events: make([]transform.Event, 3), Bytes: 3, Holes: []Hole{{Channel: "a", At: 1}}}
	b := Batch{Events: make([]transform.Event, 2), Bytes: 2, Holes: []Hole{{Channel: "b"}}}
	got := a.join(b)
	if len(got.Events) != 5 || got.Bytes != 5 || got.Holes[0].At != 1 || got.Holes[1].At != 3 {
		t.Errorf("%+v", got)
	}
}
