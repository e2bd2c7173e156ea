package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// on makes a lane of an org that lives on an instance.
func (w *world) on(instance string, stats *Stats, streams ...Stream) *Lane {
	l := w.lane(stats, streams...)
	l.cfg.OrgInstance = func(context.Context) (string, error) { return instance, nil }
	return l
}

// migrate gives the world's org a new bus, whose positions begin again.
func (w *world) migrate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = nil
}

// read carries what the org has in a lane's life of its own.
func (w *world) read(t *testing.T, instance string, streams ...Stream) *Stats {
	t.Helper()
	stats := &Stats{}
	if err := carry(t, w.on(instance, stats, streams...), nil); err != nil {
		t.Fatal(err)
	}
	balanced(t, stats)
	return stats
}

// An org that lives elsewhere has another bus, which takes the old position for one
// of its own. Everything that was published there comes, once, and the hole is in the
// ledger, once.
func TestMovedOrgIsReadFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 3)
		w.read(t, "NA1", stream(accounts))
		if e := w.times[accounts]; e.OrgInstance != "NA1" || e.Generation != 0 {
			t.Fatalf("%+v", e)
		}
		last := w.times[accounts].EventTime
		sleep(t.Context(), time.Hour)
		w.migrate()
		w.publish(accounts, 5) // the third has the position that is stored
		w.onSource = func(streams []Resume) {
			if want := (Start{Earliest: true}); streams[0].Start != want {
				t.Errorf("resumed at %+v", streams[0].Start)
			}
		}
		stats := w.read(t, "USA5", stream(accounts))
		if n := w.consumed(accounts); n != 3+5 {
			t.Errorf("%d events, want 3 of the old bus and 5 of the new one", n)
		}
		if got := w.entries(); len(got) != 1 || !strings.HasPrefix(got[0], accounts+` org_changed from "3" to ""`) {
			t.Errorf("ledger: %q", got)
		}
		if e := w.times[accounts]; e.OrgInstance != "USA5" || e.Generation != 1 || e.Position != "5" || !e.Since.IsZero() {
			t.Errorf("position: %+v", e)
		}
		if s := stats.Snapshot()[0]; s.Gaps != 1 {
			t.Errorf("%d gaps counted", s.Gaps)
		}
		if i := slices.IndexFunc(w.moments, func(m replay.Moment) bool { return m.Generation == 1 }); i < 0 || !w.moments[i].Time.After(last) {
			t.Errorf("moments of the index: %+v", w.moments)
		}
		w.onSource = nil
		w.read(t, "USA5", stream(accounts))
		if n, gaps := w.consumed(accounts), len(w.entries()); n != 8 || gaps != 1 {
			t.Errorf("taken up again: %d events, %d gaps", n, gaps)
		}
	})
}

// A bus that still has events of before gives those again: they are left out, but
// for the last minutes, within which an event may come behind a later one.
func TestMovedOrgThatStillHasOldEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 4)
		sleep(t.Context(), 2*overlap)
		w.publish(accounts, 1)
		w.read(t, "NA1", stream(accounts))
		stats := w.read(t, "USA5", stream(accounts))
		if n, filtered := w.consumed(accounts), stats.Snapshot()[0].Filtered; n != 5+1 || filtered != 4 {
			t.Errorf("%d records, %d events left out; want 6, with the last one doubled, and 4", n, filtered)
		}
	})
}

func TestMovedOrgByPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 3)
		w.publish(contacts, 2)
		w.read(t, "NA1", stream(accounts), stream(contacts))
		sleep(t.Context(), time.Hour)
		w.migrate()
		w.publish(accounts, 7)
		w.publish(contacts, 4)
		sleep(t.Context(), time.Hour)
		halts, tip := stream(accounts), stream(contacts)
		halts.OnExpired, tip.OnExpired = Start{}, Start{Latest: true}
		if err := carry(t, w.on("USA5", stats, halts, tip), func() { w.publish(contacts, 1) }); err != nil {
			t.Fatal(err)
		}
		if why := stats.Stream(accounts).haltedWhy(); !strings.Contains(why, "NA1 to USA5") || !strings.Contains(why, "earliest or latest") {
			t.Errorf("halted: %q", why)
		}
		if e := w.times[accounts]; e.Position != "3" || e.OrgInstance != "NA1" {
			t.Errorf("the position of the halted stream is %+v", e)
		}
		if a, c := w.consumed(accounts), w.consumed(contacts); a != 3 || c != 2+1 {
			t.Errorf("%d and %d events", a, c)
		}
		if got := w.entries(); len(got) != 1 || !strings.Contains(got[0], contacts) {
			t.Errorf("ledger: %q", got)
		}
	})
}

func TestSameOrUnknownInstanceResumes(t *testing.T) {
	for name, instances := range map[string][2]string{
		"same": {"NA1", "NA1"}, "not known now": {"NA1", ""}, "not known before": {"", "NA1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.publish(accounts, 3)
				w.read(t, instances[0], stream(accounts))
				w.publish(accounts, 2)
				w.read(t, instances[1], stream(accounts))
				w.exactly(t, accounts)
				if got := w.entries(); len(got) != 0 || w.times[accounts].OrgInstance != "NA1" {
					t.Errorf("ledger %q, position %+v", got, w.times[accounts])
				}
			})
		})
	}
}

// Whatever fails while a stream begins anew, it begins once: the ledger's entry and
// what takes the place of the position are there together or not at all (I2).
func TestBeginningAnewIsOneUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 3)
		w.read(t, "NA1", stream(accounts))
		sleep(t.Context(), time.Hour)
		w.migrate()
		w.publish(accounts, 4)
		refusals, writes := 2, 0
		w.onLedger = func() error {
			if refusals--; refusals >= 0 {
				return errors.New("the registry is down")
			}
			return nil
		}
		w.onCommit = func(_ int, records []*kgo.Record) (bool, error) {
			if writes++; writes == 1 {
				if len(records) != 1 || w.positions[accounts] != "3" {
					t.Errorf("%d records, position %q", len(records), w.positions[accounts])
				}
				return false, &sink.AbortedError{Err: errLost}
			}
			return true, nil
		}
		stats := &Stats{}
		if err := carry(t, w.on("USA5", stats, stream(accounts)), func() { sleep(t.Context(), time.Hour) }); err != nil {
			t.Fatal(err)
		}
		if n := w.consumed(accounts); n != 3+4 {
			t.Errorf("%d events", n)
		}
		if got := w.entries(); len(got) != 1 || w.times[accounts].Generation != 1 {
			t.Errorf("ledger: %q, position %+v", got, w.times[accounts])
		}
	})
}

// An org that moves while it is read: the source ends the session, and what it has
// held back comes in the next one, from the beginning of the new bus.
func TestOrgThatMovesWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		var instance atomic.Value
		instance.Store("NA1")
		w.publish(accounts, 3)
		l := w.lane(stats, stream(accounts))
		l.cfg.OrgInstance = func(context.Context) (string, error) { return instance.Load().(string), nil }
		if err := carry(t, l, func() {
			sleep(t.Context(), time.Hour)
			w.mu.Lock()
			w.onNext = once(w.nexts+1, OrgMoved, "") // the one after that under way
			w.mu.Unlock()
			instance.Store("USA5")
			w.publish(accounts, 1)
			synctest.Wait() // it is committed, and the lane waits before it is taken up again
			w.migrate()
			w.publish(accounts, 2)
			sleep(t.Context(), time.Hour)
		}); err != nil {
			t.Fatal(err)
		}
		if got := w.entries(); len(got) != 1 || !strings.Contains(got[0], ` org_changed from "4"`) {
			t.Errorf("ledger: %q", got)
		}
		if n := w.consumed(accounts); n != 4+2 {
			t.Errorf("%d events", n)
		}
		balanced(t, stats)
	})
}

// A source that sees that what comes does not follow the position, and a first event
// that happened long before the one at the position, mean a new bus. A stream begins
// anew for either, and only once.
func TestEventsThatDoNotFollowThePosition(t *testing.T) {
	for name, seen := range map[string]bool{"seen by the source": true, "seen by the times": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.publish(accounts, 4)
				sleep(t.Context(), 2*overlap)
				w.publish(accounts, 1)
				w.read(t, "NA1", stream(accounts))
				if seen {
					w.onNext = once(w.nexts+1, PositionForeign, accounts)
				} else {
					w.events[1].Position, w.events[4].Position = "5", "100" // five is an old event now
				}
				stats, failing := &Stats{}, 0
				if err := carry(t, w.on("NA1", stats, stream(accounts)), func() {
					sleep(t.Context(), time.Hour)
					w.mu.Lock()
					w.onCommit = func(n int, _ []*kgo.Record) (bool, error) { // the lane is taken up once more
						if n == failing {
							return false, &sink.AbortedError{Err: errLost}
						}
						return true, nil
					}
					failing = w.commits + 1
					w.mu.Unlock()
					w.publish(accounts, 2)
					sleep(t.Context(), time.Hour)
				}); err != nil {
					t.Fatal(err)
				}
				if got := w.entries(); len(got) != 1 || !strings.HasPrefix(got[0], accounts+` bus_reset from "5" to ""`) {
					t.Errorf("ledger: %q", got)
				}
				if n := w.consumed(accounts); n != 5+1+2 {
					t.Errorf("%d records, want 8: the event at the position is doubled, the older ones are not", n)
				}
				balanced(t, stats)
			})
		})
	}
}

// Events that are a little out of order are none of that.
func TestEventsOfOneTransactionMayBeOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 1)
		w.events[0].ReceivedAt = time.Now().Add(overlap - time.Second)
		w.read(t, "NA1", stream(accounts))
		w.publish(accounts, 1)
		w.read(t, "NA1", stream(accounts))
		w.exactly(t, accounts)
		if got := w.entries(); len(got) != 0 {
			t.Errorf("ledger: %q", got)
		}
	})
}

// A stream that is restarted because its position is refused has jumped already: from
// the times of what comes nothing more is concluded.
func TestRefusedPositionIsNotDoubtedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 2)
		sleep(t.Context(), 2*overlap)
		w.positions[accounts] = "gone"
		w.times[accounts] = replay.Entry{EventTime: time.Now()}
		w.onNext = once(1, ReplayInvalid, accounts)
		w.read(t, "NA1", stream(accounts))
		if got := w.entries(); len(got) != 1 || !strings.Contains(got[0], " replay_id_refused ") {
			t.Errorf("ledger: %q", got)
		}
		w.exactly(t, accounts)
	})
}

// A position that the org refuses ends a generation, with the first event behind it.
func TestRefusedPositionEndsAGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.positions[accounts] = "gone"
		w.times[accounts] = replay.Entry{Generation: 6}
		w.onNext = once(1, ReplayInvalid, accounts)
		w.publish(accounts, 2)
		w.read(t, "NA1", stream(accounts))
		if e := w.times[accounts]; e.Generation != 7 || len(w.moments) == 0 || w.moments[0].Generation != 7 {
			t.Errorf("position %+v, moments %+v", e, w.moments)
		}
	})
}

func TestBeginAnew(t *testing.T) {
	event, since := time.Now().Add(-3*time.Hour).UTC(), time.Now().Add(-5*time.Hour).UTC()
	old := replay.Entry{Key: stream(accounts).Key, Position: "9", EventTime: event}
	tip := stream(accounts)
	tip.OnExpired = Start{Latest: true}
	for name, c := range map[string]struct {
		stream Stream
		old    replay.Entry
		copied time.Time
		want   time.Time
	}{
		"behind the last event":           {stream(accounts), old, event, event.Add(-overlap)},
		"nothing copied":                  {stream(accounts), old, time.Time{}, time.UnixMilli(0)},
		"began at latest, had no event":   {stream(accounts), replay.Entry{Key: old.Key, Since: since}, time.Time{}, since},
		"began shortly before its events": {stream(accounts), replay.Entry{Key: old.Key, Position: "9", EventTime: event, Since: event.Add(-time.Minute)}, event, event.Add(-time.Minute)},
		"latest":                          {tip, old, event, time.Now().Add(-clockMargin)},
	} {
		next, hole := BeginAnew(c.stream, c.old, c.copied, transform.OrgChanged, "why")
		if d := next.Since.Sub(c.want); d < -time.Second || d > time.Minute || next.Position != "" || next.Generation != 1 || next.Seen.IsZero() {
			t.Errorf("%s: %+v, want since %s", name, next, c.want)
		}
		if hole.FromPosition != string(c.old.Position) || hole.FromTime.IsZero() || !hole.ToTime.Equal(next.Seen) || hole.State != transform.HoleOpen {
			t.Errorf("%s: %+v", name, hole)
		}
	}
}
