package pipeline

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// A stream leaves a moment in its index for each part of it in which it had events,
// not more, with the position and the time of the batch's last event.
func TestIndexOfTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		const hours = 3
		err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), func() {
			for range hours * 12 { // every five minutes
				w.publish(accounts, 2)
				pass(5 * time.Minute)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		slots := make(map[int64]bool)
		for _, m := range w.moments {
			if slot := replay.Slot(m.Time); m.Key.Channel != accounts || slots[slot] {
				t.Errorf("%+v: of another stream, or the second of its slot", m)
			} else {
				slots[slot] = true
			}
			if ev := w.events[w.index(m.Key.Channel, Start{After: m.Position})-1]; ev.Position != string(m.Position) || !ev.ReceivedAt.Equal(m.Time) {
				t.Errorf("%+v is no event with that time: %+v", m, ev)
			}
		}
		if n := len(slots); n < hours*4 || n > hours*4+1 {
			t.Errorf("%d moments in %d hours", n, hours)
		}
	})
}

// Of the records of an event only those that are wanted are written, and an event
// of which none is counts as filtered; its position is passed.
func TestOnlyWhatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		cfg := w.lane(stats, stream(accounts)).cfg
		cfg.Ledger = nil
		cfg.Want = func(meta transform.Meta, r *kgo.Record) bool {
			return meta.Object == "Thing" && !strings.HasSuffix(string(r.Value), "3")
		}
		w.publish(accounts, 5)
		w.group(accounts, "gap6", 1)
		if err := carry(t, NewLane(cfg), nil); err != nil {
			t.Fatal(err)
		}
		s := stats.Snapshot()[0]
		if len(w.committed) != 5 || s.Produced != 5 || s.Filtered != 1 || s.Gaps != 0 || w.positions[accounts] != "gap6" {
			t.Errorf("%d records at %s, %+v", len(w.committed), w.positions[accounts], s)
		}
	})
}
