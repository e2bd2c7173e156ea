package replay

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// testTasks keeps tasks of two streams, changes one, deletes one, and reads a lane.
func testTasks(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	now := time.Date(2026, 3, 4, 9, 7, 22, 481_000_000, time.UTC)
	key := Key{orgA, "/data/AccountChangeEvent"}
	other := Key{orgA, "/event/Order__e"}
	task := func(k Key, id, body string) *kgo.Record {
		t := Task{Key: k, ID: id, Object: "Account", Covers: now.Add(time.Hour), Updated: now}
		if body != "" {
			t.Body = json.RawMessage(body)
		}
		return s.TaskRecord(t)
	}
	put(t, brokers, task(key, "snapshot/Account", `{"n":1}`), task(key, "a 100%", `"<é>"`), task(other, "a 100%", `7`),
		task(key, "snapshot/Account", `{"n":2}`), task(key, "gone", `1`), task(key, "gone", ""), s.Record(Entry{Key: key, Position: "8"}))
	tasks, err := s.Tasks(testCtx(t), s.LaneOf(key))
	if err != nil {
		t.Fatal(err)
	}
	var mine []Task
	for _, got := range tasks {
		if got.Key == key {
			mine = append(mine, got)
		}
	}
	if len(mine) != 2 || mine[0].ID != "a 100%" || mine[1].ID != "snapshot/Account" {
		t.Fatalf("tasks %+v", mine)
	}
	got := mine[1]
	if string(got.Body) != `{"n":2}` || got.Object != "Account" || !got.Covers.Equal(now.Add(time.Hour)) || !got.Updated.Equal(now) {
		t.Errorf("task %+v", got)
	}
	if all, err := s.All(testCtx(t)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v: tasks are no positions", all, err)
	}
}

// TestTasksMigrate: a task goes where its stream goes.
func TestTasksMigrate(t *testing.T) {
	key := Key{orgA, "/data/AccountChangeEvent"}
	for _, lanes := range []int{1, 3, 8, 50} {
		if got, err := home(Task{Key: key, ID: "snapshot/Account"}.recordKey(), 0, lanes); err != nil || got != LaneOf(key, lanes) {
			t.Errorf("among %d lanes: lane %d, %v, want %d", lanes, got, err, LaneOf(key, lanes))
		}
	}
}
