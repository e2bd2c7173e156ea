package replay

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// testIndex keeps moments of two streams and reads those of one.
func testIndex(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	s := mustOpen(t, cfg)
	key, other := Key{orgA, "/data/AccountChangeEvent"}, Key{orgA, "/event/Order__e"}
	began := time.Date(2026, 3, 4, 9, 7, 22, 481_000_000, time.UTC)
	var records []*kgo.Record
	for i := range 2 * indexSlots {
		at := began.Add(time.Duration(i) * IndexEvery)
		records = append(records, s.MomentRecord(Moment{Key: key, Time: at, Position: Position(at.Format(time.RFC3339))}))
	}
	records = append(records, s.MomentRecord(Moment{Key: other, Time: began, Position: "7"}), s.Record(Entry{Key: key, Position: "8"}))
	put(t, brokers, records...)
	moments, err := s.Index(testCtx(t), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(moments) != int(indexSlots) || !moments[0].Time.Equal(began.Add(time.Duration(indexSlots)*IndexEvery)) {
		t.Fatalf("%d moments from %s, want the last %d", len(moments), moments[0].Time, indexSlots)
	}
	for i, m := range moments {
		if m.Key != key || m.Position != Position(m.Time.Format(time.RFC3339)) || i > 0 && !moments[i-1].Time.Before(m.Time) {
			t.Errorf("moment %d: %+v", i, m)
		}
	}
	if all, err := s.All(testCtx(t)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v: moments are no positions", all, err)
	}
}

func TestBefore(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	moments := []Moment{{Time: at(10), Position: "a"}, {Time: at(20), Position: "b"}, {Time: at(30), Position: "c"}}
	for minute, want := range map[int]Position{9: "", 10: "a", 19: "a", 20: "b", 29: "b", 30: "c", 59: "c"} {
		got, ok := Before(moments, at(minute))
		if got.Position != want || ok != (want != "") {
			t.Errorf("before minute %d: %q, %v, want %q", minute, got.Position, ok, want)
		}
	}
	if _, ok := Before(nil, at(1)); ok {
		t.Error("there is a moment in an empty index")
	}
}

// testNotes writes notes, one anew, deletes one, and reads the rest.
func testNotes(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	now := time.Date(2026, 3, 4, 9, 7, 22, 0, time.UTC)
	put(t, brokers,
		s.NoteRecord(Note{Name: "run/a", Body: json.RawMessage(`{"n":1}`), Updated: now}),
		s.NoteRecord(Note{Name: "run/b", Body: json.RawMessage(`"<é>"`), Updated: now}),
		s.NoteRecord(Note{Name: "run/a", Body: json.RawMessage(`{"n":2}`), Updated: now}),
		s.NoteRecord(Note{Name: "gone", Body: json.RawMessage(`1`), Updated: now}),
		s.NoteRecord(Note{Name: "gone"}))
	notes, err := s.Notes(testCtx(t))
	if err != nil || len(notes) != 2 {
		t.Fatalf("%v, %v", notes, err)
	}
	for name, want := range map[string]string{"run/a": `{"n":2}`, "run/b": `"<é>"`} {
		if n := notes[name]; n.Name != name || string(n.Body) != want || !n.Updated.Equal(now) {
			t.Errorf("%s: %+v", name, n)
		}
	}
	if all, err := s.All(testCtx(t)); err != nil || len(all) != 0 {
		t.Errorf("%v, %v: notes are no positions", all, err)
	}
}

// What lies beside the positions is judged as strictly as they are.
func TestBadRecordsBeside(t *testing.T) {
	for name, tt := range map[string]struct {
		key, value string
		lane       int32
		want       string
	}{
		"moment without a slot":         {"index/7", `{}`, 0, "no slot"},
		"moment of nothing":             {"index/7/x", `{}`, 0, "has no channel"},
		"moment without a time":         {"index/0/" + orgA + "/data/A", `{"v":1,"position":"7"}`, 0, "missing"},
		"moment in another slot":        {"index/1/" + orgA + "/data/A", `{"v":1,"position":"7","time":"1970-01-01T00:00:00.001Z"}`, 0, `slot "1"`},
		"moment with something unknown": {"index/1/" + orgA + "/data/A", `{"v":1,"position":"7","more":1}`, 0, "more"},
		"moment of another org":         {"index/0/" + orgB + "/data/A", `{"v":1,"position":"7","time":"1970-01-01T00:00:00.001Z"}`, LaneOf(Key{orgB, "/data/A"}, 4), "belongs to org " + orgB},
		"task without a stream":         {"task/7", `{}`, 0, "no stream"},
		"task of nothing":               {"task/7/x", `{}`, 0, "has no channel"},
		"task without an id":            {"task//" + orgA + "/data/A", `{"v":1,"body":1}`, 0, "for an id"},
		"task without a body":           {"task/a/" + orgA + "/data/A", `{"v":1}`, LaneOf(Key{orgA, "/data/A"}, 4), "no body"},
		"task with something unknown":   {"task/a/" + orgA + "/data/A", `{"v":1,"body":1,"more":1}`, LaneOf(Key{orgA, "/data/A"}, 4), "more"},
		"task of another org":           {"task/a/" + orgB + "/data/A", `{"v":1,"body":1}`, LaneOf(Key{orgB, "/data/A"}, 4), "belongs to org " + orgB},
		"task in another lane":          {"task/a/" + orgA + "/data/A", `{"v":1,"body":1}`, (LaneOf(Key{orgA, "/data/A"}, 4) + 1) % 4, "belongs in partition"},
		"note without an org":           {"note/n", `{"v":1,"body":1}`, 0, "missing"},
		"note of a newer version":       {"note/n", `{"v":2}`, 0, "version 2"},
		"note of another org":           {"note/n", `{"v":1,"org":"` + orgB + `","body":1}`, 0, "belongs to org " + orgB},
		"note in another partition":     {"note/n", `{"v":1,"org":"` + orgA + `","body":1}`, 1, "notes are in partition 0"},
	} {
		t.Run(name, func(t *testing.T) {
			brokers := newFake(t).ListenAddrs()
			cfg := config(t, brokers)
			s := mustOpen(t, cfg)
			put(t, brokers, &kgo.Record{Topic: cfg.Topic, Partition: tt.lane, Key: []byte(tt.key), Value: []byte(tt.value)})
			_, err := s.All(testCtx(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !isOurs(err) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if _, again := Open(testCtx(t), cfg); again == nil {
				t.Error("it was opened")
			}
		})
	}
}
