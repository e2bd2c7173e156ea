package pipeline

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

// SchemaChanges makes the records of schema changes; *[transform.SchemaLog] is
// one.
type SchemaChanges interface {
	Record(ctx context.Context, c *transform.SchemaChange) (*kgo.Record, error)
}

var _ SchemaChanges = (*transform.SchemaLog)(nil)

// SchemaHistory knows which schemas of which entities are recorded in the topic
// of schema changes, for all lanes of a process. What is known was committed:
// two lanes that meet a schema at the same time may both record it, under one
// key, so that compaction leaves one.
type SchemaHistory struct {
	log SchemaChanges

	mu    sync.Mutex
	known map[seenSchema]bool
	last  map[string]string // by object: the schema that was new last
}

// seenSchema is one schema of one entity.
type seenSchema struct {
	object, id string
}

// NewSchemaHistory returns a history that knows nothing yet.
func NewSchemaHistory(log SchemaChanges) *SchemaHistory {
	return &SchemaHistory{log: log, known: make(map[seenSchema]bool), last: make(map[string]string)}
}

// Know says that the schema of an entity is recorded, in the order in which that
// was done.
func (h *SchemaHistory) Know(object, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := seenSchema{object, id}
	if !h.known[one] {
		h.known[one] = true
		h.last[object] = id
	}
}

// ask says whether a schema is recorded, and which one was the last before it.
func (h *SchemaHistory) ask(one seenSchema) (known bool, last string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[one], h.last[one.object]
}

// noteSchema appends the record of a schema change behind the records of the
// first event with the schema.
func (c *committer) noteSchema(ctx context.Context, s *laneStream, ev *transform.Event, meta transform.Meta, first *kgo.Record, f *fate) error {
	h := c.l.cfg.Schemas
	if h == nil || ev.SchemaID == "" {
		return nil
	}
	one := seenSchema{meta.Object, ev.SchemaID}
	known, last := h.ask(one)
	for _, pending := range c.changes {
		known = known || pending == one
		if pending.object == one.object {
			last = pending.id
		}
	}
	if known {
		return nil
	}
	r, err := h.log.Record(ctx, &transform.SchemaChange{
		Org: s.Key.Org, Channel: ev.Channel, Object: one.object, OldID: last, NewID: one.id,
		Time: meta.Time, Position: ev.Position, First: first,
	})
	if err != nil {
		return fmt.Errorf("schema changes: %w", err)
	}
	c.records = append(c.records, r)
	c.changes = append(c.changes, one)
	f.changes++
	return nil
}

// learn makes known what the commit has made durable.
func (c *committer) learn() {
	for _, one := range c.changes {
		_, last := c.l.cfg.Schemas.ask(one)
		c.l.cfg.Schemas.Know(one.object, one.id)
		c.l.cfg.Log.Info().Str("object", one.object).Str("schema", one.id).Str("before", last).Msg("events have a new schema")
	}
	c.changes = c.changes[:0]
}
