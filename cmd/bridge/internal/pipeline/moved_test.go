package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/replay"
)

// A position that a command moved back is taken up with what is known of it, and not
// with the time until which the stream was seen at the place it had reached: that
// would hide what is lost if it ages out on the way.
func TestWhatWasSeenDoesNotHoldForAMovedPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 3)
		began := time.Now()
		l := w.lane(stats, retained(accounts))
		if err := carry(t, l, func() { w.idle(l, 3*time.Hour) }); err != nil {
			t.Fatal(err)
		}
		if w.times[accounts].Seen.IsZero() {
			t.Fatal("nothing was seen")
		}
		w.positions[accounts] = "1"
		w.times[accounts] = replay.Entry{EventTime: began}
		if err := carry(t, w.lane(stats, retained(accounts)), nil); err != nil {
			t.Fatal(err)
		}
		if e := w.times[accounts]; w.positions[accounts] != "3" || !e.Seen.IsZero() {
			t.Errorf("position %s, seen until %s", w.positions[accounts], e.Seen)
		}
	})
}
