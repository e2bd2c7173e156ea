package snapshot

import (
	"testing"
	"time"

	"github.com/sfbridge/bridge/replay"
)

// TestOldTasks: what somebody asked for is forgotten a week after its end, and nothing
// that would be done again if it were.
func TestOldTasks(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	b := &board{tasks: make(map[taskKey]*task)}
	put := func(id string, kind Kind, standing Standing, ended time.Time) {
		key := replay.Key{Org: "00Dxx0000001gPLEAY", Channel: "/data/AccountChangeEvent"}
		b.tasks[taskKey{key, id}] = &task{key: key, id: id, state: &State{Kind: kind, Standing: standing, Ended: ended}}
	}
	week := now.Add(-keepEnded)
	put("asked", Asked, Done, week.Add(-time.Second))
	put("reread, stopped", Reread, Aborted, week.Add(-time.Second))
	put("a moment younger", Asked, Done, week.Add(time.Second))
	put("running", Asked, Running, time.Time{})
	put("paused", Asked, Paused, time.Time{})
	put("initial", Initial, Done, week.Add(-time.Hour))
	put("repair, refused", Repair, Aborted, week.Add(-time.Hour))
	got := make(map[string]bool)
	for _, one := range b.old(now) {
		got[one.id] = true
	}
	if len(got) != 2 || !got["asked"] || !got["reread, stopped"] {
		t.Errorf("to be forgotten: %v", got)
	}
}
