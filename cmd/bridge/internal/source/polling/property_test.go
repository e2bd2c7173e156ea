package polling

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

const rows = "/query/Entitlement"

func histories(t *testing.T) (from, to uint64) {
	t.Helper()
	if text := os.Getenv("BRIDGE_POLL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed, seed + 1
	}
	n := uint64(usualHistories)
	if text := os.Getenv("BRIDGE_POLL_HISTORIES"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return 0, n
}

// written is a record of the topic.
type written struct {
	at   int64
	text string
	gone bool
}

// topic is what a lane has committed of a stream, and the position that goes with it.
type topic struct {
	position replay.Position
	log      map[string][]written
	twice    []string
	records  int
}

func (c *topic) commit(t *testing.T, b pipeline.Batch) {
	t.Helper()
	for _, ev := range b.Events {
		if ev.Position != b.Events[0].Position {
			t.Fatal("the events of a batch have several positions")
		}
		id, w := decoded(t, ev)
		for i, before := range c.log[id] {
			if before == w && (!w.gone || i == len(c.log[id])-1) { // a record may come and go within a second
				c.twice = append(c.twice, fmt.Sprintf("%s %+v", id, w))
			}
		}
		c.log[id] = append(c.log[id], w)
		c.records++
	}
	c.position = replay.Position(b.Events[0].Position)
}

func decoded(t *testing.T, ev transform.Event) (string, written) {
	t.Helper()
	var p struct {
		ChangeEventHeader struct {
			RecordIDs       []string `json:"recordIds"`
			ChangeType      string   `json:"changeType"`
			CommitTimestamp int64    `json:"commitTimestamp"`
		}
		Name string
	}
	if err := json.Unmarshal(ev.Payload, &p); err != nil || len(p.ChangeEventHeader.RecordIDs) != 1 {
		t.Fatalf("%s: %v", ev.Payload, err)
	}
	h := p.ChangeEventHeader
	return h.RecordIDs[0], written{at: h.CommitTimestamp, text: p.Name, gone: h.ChangeType == "DELETE"}
}

// life is a lane that reads a history, is killed and comes again.
type life struct {
	*topic
	h       *history
	cfg     Config
	what    Stream
	crashes float64
	idle    int // rounds since the last event in which nothing was found, behind the end
}

func (l *life) open(t *testing.T) *Source {
	t.Helper()
	start := pipeline.Start{After: l.position}
	if l.position == "" {
		start = pipeline.Start{Earliest: true}
	}
	cfg := l.cfg
	cfg.Streams = map[string]Stream{rows: l.what}
	cfg.open = func(_ context.Context, s *stream) error {
		s.table, s.entity, s.schemaID, s.deletions = l.h, "Entitlement", "schema", s.what.Deletions
		return nil
	}
	s, err := Open(cfg, []pipeline.Resume{{Channel: rows, Start: start}}, pipeline.SourceTrace{
		Subscribed: func(string, bool) {}, SessionEnded: func(pipeline.Condition) {}, Alive: func() {}, Idle: func() {
			if time.Now().After(l.last()) {
				l.idle++
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// last is when everything is settled. Lists of deletions are by the minute, and complete
// a minute later.
func (l *life) last() time.Time { return l.h.end.Add(l.what.Overlap + 3*time.Minute) }

// live reads until nothing can come any more.
func (l *life) live(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 240*time.Hour)
	defer cancel()
	s := l.open(t)
	crash := func() bool { return time.Now().Before(l.last()) && l.h.r.Float64() < l.crashes }
	for l.idle < 3 {
		turn, over := context.WithTimeout(ctx, time.Minute)
		b, err := s.Next(turn)
		if over(); ctx.Err() != nil {
			t.Fatal("it does not come to an end")
		}
		if turn.Err() != nil {
			err = nil
		}
		if err != nil && pipeline.Decide(pipeline.Classify(err), false).Action != pipeline.GoOn {
			t.Fatal(err)
		}
		if len(b.Events) > l.cfg.MaxEvents*2 {
			t.Fatalf("%d events in a batch", len(b.Events))
		}
		if crash() { // what was taken and not committed comes again
			s = l.open(t)
			continue
		}
		if len(b.Events) > 0 {
			l.idle = 0
			l.commit(t, b)
			if crash() {
				s = l.open(t)
			}
		}
	}
}

// judge compares the topic, folded by key, with the table.
func (l *life) judge(t *testing.T) {
	t.Helper()
	for _, text := range l.twice {
		t.Errorf("twice: %s", text)
	}
	for id, versions := range l.h.records {
		last := versions[len(versions)-1]
		log := l.log[id]
		if last.gone {
			if len(log) > 0 && !log[len(log)-1].gone && l.what.Deletions != NoDeletions {
				t.Errorf("%s is gone since %s (visible %s), and the topic has %+v", id, last.stamp, last.visible.UTC(), log)
			}
			continue
		}
		want := written{at: last.stamp.UnixMilli(), text: last.text}
		if len(log) == 0 || log[len(log)-1] != want {
			t.Errorf("%s is %+v (visible %s), and the topic has %+v", id, want, last.visible.UTC(), log)
		}
	}
}

// Whatever happens to records, requests and the bridge: the topic becomes the table, and
// no row comes twice as it is.
func TestTopicBecomesTheTable(t *testing.T) {
	from, to := histories(t)
	total, crowded := 0, 0
	for seed := from; seed < to; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // reproducible on purpose
				overlap := []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second}[r.IntN(3)]
				l := &life{topic: &topic{log: map[string][]written{}}, h: newHistory(t, r, overlap), what: Stream{
					Every:     []time.Duration{time.Second, 7 * time.Second, time.Minute}[r.IntN(3)],
					Overlap:   overlap,
					Deletions: []Deletions{QueryAll, Deleted, NoDeletions}[r.IntN(3)],
				}, crashes: []float64{0, .02, .2}[r.IntN(3)]}
				l.cfg = Config{MaxEvents: []int{1, 7, 100}[r.IntN(3)], MaxBytes: []int{60, 1 << 20}[r.IntN(2)], remember: []int{5, 40, 500}[r.IntN(3)]}
				l.h.all = l.what.Deletions == QueryAll
				l.live(t)
				l.judge(t)
				total += l.records
				if l.cfg.remember < 500 {
					crowded++
				}
			})
		})
	}
	t.Logf("%d histories, %d records, %d histories with little memory", to-from, total, crowded)
}
