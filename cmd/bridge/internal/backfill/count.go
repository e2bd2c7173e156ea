package backfill

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// Count takes the place of Kafka when a run is only tried: it writes nothing, and
// counts what would have been written.
type Count struct {
	org string
	run Run

	mu    sync.Mutex
	tally map[countKey]uint64
}

type countKey struct {
	object string
	hour   time.Time
}

// Tally is how many records of an entity happened within an hour. Tombstones are
// not counted.
type Tally struct {
	Object  string    `json:"object"`
	Hour    time.Time `json:"hour"` // its beginning, UTC
	Records uint64    `json:"records"`
}

// NewCount counts a run of an org.
func NewCount(org string, run Run) *Count {
	return &Count{org: org, run: run, tally: make(map[countKey]uint64)}
}

var (
	_ pipeline.Writer    = (*Count)(nil)
	_ pipeline.Positions = (*Count)(nil)
)

// Commit counts.
func (c *Count) Commit(_ context.Context, records, _ []*kgo.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		if r.Value != nil {
			c.tally[countKey{header(r, "sf-object"), r.Timestamp.UTC().Truncate(time.Hour)}]++
		}
	}
	return nil
}

// Close does nothing.
func (*Count) Close(context.Context) error { return nil }

// Barrier is one that nobody looks for.
func (*Count) Barrier(int32) replay.Barrier { return replay.Barrier{} }

// Load returns where the run begins.
func (c *Count) Load(context.Context, int32, replay.Barrier) (map[replay.Key]replay.Entry, error) {
	out := make(map[replay.Key]replay.Entry)
	for _, s := range c.run.Streams {
		if s.After != "" || !s.Since.IsZero() {
			k := replay.Key{Org: c.org, Channel: s.Channel}
			out[k] = replay.Entry{Key: k, Position: s.After, Since: s.Since}
		}
	}
	return out, nil
}

// Record is one that nobody writes.
func (*Count) Record(replay.Entry) *kgo.Record { return &kgo.Record{} }

// MomentRecord is nil.
func (*Count) MomentRecord(replay.Moment) *kgo.Record { return nil }

// Tallies returns what was counted, by entity and hour.
func (c *Count) Tallies() []Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Tally, 0, len(c.tally))
	for k, n := range c.tally {
		out = append(out, Tally{k.object, k.hour, n})
	}
	slices.SortFunc(out, func(a, b Tally) int { return cmp.Or(cmp.Compare(a.Object, b.Object), a.Hour.Compare(b.Hour)) })
	return out
}
