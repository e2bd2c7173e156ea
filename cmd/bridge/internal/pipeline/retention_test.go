package pipeline

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

const retention = 72 * time.Hour

func retained(channel string) Stream {
	s := stream(channel)
	s.Retention = retention
	return s
}

// idle makes the world's org answer held requests with nothing for a time, as a
// quiet org does every 110 s.
func (w *world) idle(l *Lane, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		pass(10 * time.Minute)
		l.trace(CometD).Idle()
	}
	pass(0)
}

// A position that aged out while its stream was quiet is no loss: the stream goes
// on with the earliest event, whatever on_expired says, and there is no gap.
func TestPositionThatAgedOutOnAQuietStream(t *testing.T) {
	for _, policy := range []Start{{Earliest: true}, {Latest: true}, {}} {
		synctest.Test(t, func(t *testing.T) {
			w, stats := newWorld(), &Stats{}
			s := retained(accounts)
			s.OnExpired = policy
			l := w.lane(&Stats{}, s)
			if err := carry(t, l, func() {
				w.publish(accounts, 1)
				w.idle(l, retention+3*time.Hour)
			}); err != nil {
				t.Fatal(err)
			}
			w.onNext = once(w.nexts+1, ReplayInvalid, accounts)
			w.events = nil
			if err := carry(t, w.lane(stats, s), func() { w.publish(accounts, 1) }); err != nil {
				t.Fatal(err)
			}
			if len(w.consumedOf(accounts)) != 2 {
				t.Errorf("consumed %v", w.consumedOf(accounts))
			}
			if !slices.Equal(w.restarts, []string{accounts}) || stats.Stream(accounts).haltedWhy() != "" {
				t.Errorf("%+v: restarted %v, halted %q", policy, w.restarts, stats.Stream(accounts).haltedWhy())
			}
			if got := w.entries(); len(got) != 0 {
				t.Errorf("ledger: %q", got)
			}
		})
	}
}

// The time until which a quiet stream was seen outlives the process: it is written
// every hour, and when a session ends.
func TestSeenIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		l := w.lane(stats, retained(accounts), retained(contacts))
		began := time.Now()
		if err := carry(t, l, func() {
			w.publish(accounts, 1)
			pass(time.Second)
			commits := w.commits
			w.idle(l, 24*time.Hour)
			if n := w.commits - commits; n < 22 || n > 26 {
				t.Errorf("%d commits in a quiet day", n)
			}
			if seen := w.times[accounts].Seen; time.Since(seen) > 2*time.Hour {
				t.Errorf("seen until %s, after %s", seen.Sub(began), time.Since(began))
			}
			if s := stats.Snapshot()[0]; time.Until(s.LostAfter) < retention-time.Hour && s.Channel == accounts {
				t.Errorf("lost after %s", time.Until(s.LostAfter))
			}
			pass(20 * time.Minute)
			l.trace(CometD).Idle()
		}); err != nil {
			t.Fatal(err)
		}
		if seen := w.times[accounts].Seen; time.Since(seen) > time.Minute {
			t.Errorf("at the end seen until %s ago", time.Since(seen))
		}
		if w.positions[accounts] != "1" || w.positions[contacts] != "" {
			t.Errorf("positions %v", w.positions) // a stream without one has nothing to keep
		}
		again := &Stats{}
		if err := carry(t, w.lane(again, retained(accounts)), nil); err != nil {
			t.Fatal(err)
		}
		if s := again.Snapshot()[0]; time.Since(s.Seen) > time.Minute || s.PositionExpires.Sub(began) < retention {
			t.Errorf("%+v", s)
		}
	})
}

// A stream that was away for longer than the org retains its events has a hole,
// even if the org does not refuse the position.
func TestAwayForTooLong(t *testing.T) {
	for name, refused := range map[string]bool{"refused": true, "accepted": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stats := newWorld(), &Stats{}
				w.positions[accounts] = "old"
				w.times[accounts] = replay.Entry{EventTime: time.Now().Add(-2 * retention), Seen: time.Now().Add(-retention - time.Minute)}
				if refused {
					w.onNext = once(1, ReplayInvalid, accounts)
				}
				w.publish(accounts, 2)
				if err := carry(t, w.lane(stats, retained(accounts)), nil); err != nil {
					t.Fatal(err)
				}
				got := w.entries()
				want := " retention_passed "
				if refused {
					want = " replay_id_refused "
				}
				if len(got) != 1 || !strings.Contains(got[0], want) {
					t.Errorf("ledger: %q", got)
				}
				w.exactly(t, accounts)
			})
		})
	}
}

func TestSeenIsNotWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		s := watchedStream(accounts, RouseNone, "Account")
		s.Retention = retention
		watch(t, w, r, stats, 1000, func() {
			w.publish(accounts, 1)
			pass(time.Second)
			stats.Stream(accounts).sawUntil(time.Now())
			reached := stats.Snapshot()[0].EventTime
			pass(time.Minute)
			r.change("Account", 1)
			pass(time.Hour)
			stats.Stream(accounts).sawUntil(time.Now())
			if got := stats.Snapshot()[0]; got.Starving == nil || got.Seen.After(reached) {
				t.Errorf("starving %v, and seen until %s", got.Starving, got.Seen)
			}
		}, s)
	})
}

// Events that were taken and are not durable lie behind the position: while there
// are some, nothing says that there are none.
func TestNothingIsSeenBeforeWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		hang := make(chan struct{})
		w.onCommit = func(int, []*kgo.Record) (bool, error) {
			w.mu.Unlock() // it hangs outside of the world
			<-hang
			w.mu.Lock()
			return true, nil
		}
		l := w.lane(stats, retained(accounts))
		if err := carry(t, l, func() {
			w.publish(accounts, 1)
			w.idle(l, 3*time.Hour)
			if s := stats.Snapshot()[0]; !s.Seen.IsZero() {
				t.Errorf("seen until %s with %d in flight", s.Seen, s.InFlight)
			}
			close(hang)
			w.idle(l, time.Hour)
			if s := stats.Snapshot()[0]; time.Since(s.Seen) > 10*time.Minute {
				t.Errorf("seen until %s ago with nothing in flight", time.Since(s.Seen))
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// An event without a time does not make it unknown how old the position is.
func TestEventWithoutTimeKeepsTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.onEncode = func(ev *transform.Event) error {
			if ev.Position == "2" {
				return &transform.EventError{Reason: "bad", Offset: -1}
			}
			return nil
		}
		began := time.Now()
		if err := carry(t, w.lane(stats, retained(accounts)), func() {
			w.publish(accounts, 1)
			pass(time.Minute)
			w.publish(accounts, 1)
		}); err != nil {
			t.Fatal(err)
		}
		if e := w.times[accounts]; w.positions[accounts] != "2" || !e.EventTime.Equal(began) {
			t.Errorf("position %s of %s, want that of the event before it, %s", w.positions[accounts], e.EventTime, began)
		}
	})
}
