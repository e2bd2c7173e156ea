package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/sink"
)

func latest(channel string) Stream {
	s := stream(channel)
	s.Start = Start{Latest: true}
	return s
}

// consumed are the events of a channel that are in Kafka.
func (w *world) consumed(channel string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.committed {
		if r.Topic == channel {
			n++
		}
	}
	return n
}

// A stream that begins at "latest" and is stopped before its first event loses
// nothing that was published meanwhile, and takes nothing that is older.
func TestLatestMeansOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 30) // long before
		sleep(t.Context(), time.Hour)
		if err := carry(t, w.lane(stats, latest(accounts)), nil); err != nil {
			t.Fatal(err)
		}
		if n := w.consumed(accounts); n != 0 {
			t.Fatalf("%d old events were taken", n)
		}
		sleep(t.Context(), time.Hour)
		w.publish(accounts, 20) // while nobody runs
		fail := true
		w.onCommit = func(_ int, records []*kgo.Record) (bool, error) {
			if fail && len(records) > 0 { // the old ones are passed by then, and the moment must not be forgotten
				fail = false
				return false, &sink.AbortedError{Err: errLost}
			}
			return true, nil
		}
		if err := carry(t, w.lane(stats, latest(accounts)), func() {
			sleep(t.Context(), newBackoff().MaxInterval)
			w.publish(accounts, 5)
		}); err != nil {
			t.Fatal(err)
		}
		if n := w.consumed(accounts); n != 25 {
			t.Errorf("%d events consumed, want the 25 since the beginning", n)
		}
		if s := stats.Snapshot()[0]; s.Filtered < 30 || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
		if !w.since[accounts].IsZero() {
			t.Error("the moment is kept though an event gave a position")
		}
		if err := carry(t, w.lane(stats, latest(accounts)), nil); err != nil || w.consumed(accounts) != 25 {
			t.Errorf("%d events after another start, %v", w.consumed(accounts), err)
		}
	})
}

// While it runs, a stream that begins at "latest" takes whatever comes: our
// clock has no say in it.
func TestLatestTakesWhatComesWhateverTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		if err := carry(t, w.lane(stats, latest(accounts)), func() {
			w.mu.Lock()
			w.add(accounts, "1")
			w.events[0].ReceivedAt = time.Now().Add(-24 * time.Hour) // the org's clock is a day behind
			w.mu.Unlock()
			w.publish(accounts, 1)
		}); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
	})
}

// Only a stream that began at "latest" may be rewound, and only before its first
// event: one that came there by on_expired or on_starvation has no moment since
// when events are wanted, or has had events since then that would come again.
func TestRewind(t *testing.T) {
	l := newWorld().lane(&Stats{}, latest(accounts), stream(contacts))
	l.beginsNow(l.streams[accounts])
	rewind := l.trace(CometD).Rewind
	if !rewind(accounts) || rewind(contacts) || rewind("/data/NopeChangeEvent") {
		t.Error("want accounts rewound, and nothing else")
	}
	l.streams[accounts].stats.progress("7", time.Now(), time.Now())
	if rewind(accounts) {
		t.Error("want accounts not rewound over its own events")
	}
	if !l.streams[accounts].since.bound.Load() || l.streams[contacts].since.bound.Load() {
		t.Error("want accounts bound to its moment, and nothing else")
	}
}
