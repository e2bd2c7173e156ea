package snapshot

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/transform"
)

// notices are what was told of a kind, by task.
func (h *history) notices(kind NoticeType) (tasks []string) {
	for _, r := range h.topics.all() {
		var n Notice
		if r.Topic == "notices" && json.Unmarshal(r.Value, &n) == nil && n.Type == kind {
			tasks = append(tasks, n.Task)
		}
	}
	return tasks
}

// waitFor waits for what has to be seen within an hour of virtual time.
func waitFor(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for range 3600 {
		if seen() {
			return
		}
		pause(t.Context(), time.Second)
	}
	t.Fatalf("%s: not within an hour", what)
}

// A wish to have a hole repaired waits until the holes are known, and one for what is
// under way is answered.
func TestRepairIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, 1)
		h.repair, h.topics.trouble = RepairManual, 0
		hole := &transform.Hole{
			Org: h.org.ID(), Channel: channelOf("Account"), Reason: transform.Starved, State: transform.HoleOpen,
			FromTime: time.Now(), Detected: time.Now(), Detail: "nothing came",
		}
		ledger, err := transform.NewLedger("gaps", transform.Config{Format: transform.JSON})
		must(t, err)
		entry, err := ledger.Record(t.Context(), hole)
		must(t, err)
		h.holes.hidden.Store(true)
		kill := h.process(t)
		waitFor(t, "the initial rows", func() bool { return len(h.notices(TaskDone)) == len(historyObjects()) })
		h.topics.mu.Lock()
		h.topics.records = append(h.topics.records, entry)
		h.topics.mu.Unlock()
		ask := Signal{Type: AskRepair, Channel: hole.Channel, Hole: hole.ID()}
		h.wishes.put(ask)
		pause(t.Context(), time.Minute)
		if refused := h.notices(Refused); len(refused) > 0 {
			t.Errorf("refused %v while the holes were not known", refused)
		}
		h.holes.hidden.Store(false)
		h.wishes.put(ask) // another one asks for the same
		waitFor(t, "the repair", func() bool { return h.holes.none() && len(h.notices(TaskDone)) == len(historyObjects())+1 })
		if refused := h.notices(Refused); !slices.Equal(refused, []string{repairID(hole.ID())}) {
			t.Errorf("refused %v, want the second wish to be answered", refused)
		}
		kill()
		must(t, h.org.Close())
	})
}
