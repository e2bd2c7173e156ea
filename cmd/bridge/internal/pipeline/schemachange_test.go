package pipeline

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// changeLog writes a schema change in words.
type changeLog struct{ fails func() error }

func (l changeLog) Record(_ context.Context, c *transform.SchemaChange) (*kgo.Record, error) {
	if l.fails != nil {
		if err := l.fails(); err != nil {
			return nil, err
		}
	}
	return &kgo.Record{
		Topic: "changes", Key: []byte(c.Key()),
		Value: fmt.Appendf(nil, "%s %q to %q at %s behind %s", c.Object, c.OldID, c.NewID, c.Position, c.First.Value),
	}, nil
}

// publishAs adds an event with a schema.
func (w *world) publishAs(channel string, schema ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range schema {
		w.add(channel, fmt.Sprint(len(w.events)+1))
		w.events[len(w.events)-1].SchemaID = id
	}
	close(w.arrived)
	w.arrived = make(chan struct{})
}

func (w *world) schemaChanges() []string { return w.valuesIn("changes") }

// withHistory gives a lane a history of schemas.
func withHistory(l *Lane, h *SchemaHistory) *Lane {
	l.cfg.Schemas = h
	return l
}

// Each new schema has one record, behind the first event with it; a schema that
// comes again has none, in this process and in the next one.
func TestSchemaChangesAreRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publishAs(accounts, "s1", "s1", "s2", "s1", "s3", "s3")
		history := NewSchemaHistory(changeLog{})
		if err := carry(t, withHistory(w.lane(stats, stream(accounts)), history), nil); err != nil {
			t.Fatal(err)
		}
		want := []string{
			`Thing "" to "s1" at 1 behind e0`, `Thing "s1" to "s2" at 3 behind e2`, `Thing "s2" to "s3" at 5 behind e4`,
		}
		if got := w.schemaChanges(); !slices.Equal(got, want) {
			t.Errorf("records %q", got)
		}
		if s := stats.Snapshot()[0]; s.Records != 6 || s.Produced != 6 || s.Gaps != 0 {
			t.Errorf("records of schema changes are counted as the events': %+v", s)
		}
		again := NewSchemaHistory(changeLog{}) // as it is read from the topic
		for _, id := range []string{"s1", "s2", "s3"} {
			again.Know("Thing", id)
		}
		w.publishAs(accounts, "s2", "s4")
		if err := carry(t, withHistory(w.lane(stats, stream(accounts)), again), nil); err != nil {
			t.Fatal(err)
		}
		if got := w.schemaChanges(); !slices.Equal(got, append(want, `Thing "s3" to "s4" at 8 behind e7`)) {
			t.Errorf("after a restart: %q", got)
		}
		w.exactly(t, accounts)
		balanced(t, stats)
	})
}

// The record is in the transaction of its event: if that fails, the schema is as
// new as before.
func TestSchemaChangeOfAFailedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publishAs(accounts, "s1", "s2")
		w.onCommit = func(n int, records []*kgo.Record) (bool, error) {
			if len(records) != 4 {
				t.Errorf("commit %d has %d records, want both events and both changes", n, len(records))
			}
			if n <= 2 {
				return false, &sink.AbortedError{Err: errLost}
			}
			return true, nil
		}
		if err := carry(t, withHistory(w.lane(stats, stream(accounts)), NewSchemaHistory(changeLog{})), func() {
			sleep(t.Context(), 4*newBackoff().MaxInterval)
		}); err != nil {
			t.Fatal(err)
		}
		if got := w.schemaChanges(); len(got) != 2 {
			t.Errorf("records %q", got)
		}
		w.exactly(t, accounts)
	})
}

// An event whose record of a schema change has to wait is encoded again, and has
// each of its records once. Another stream that halts in the same batch takes
// nothing with it.
func TestSchemaChangeThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		failures := 2
		log := changeLog{fails: func() error {
			if failures--; failures >= 0 {
				return errLost
			}
			return nil
		}}
		w.onEncode = func(ev *transform.Event) error {
			if ev.Channel == contacts {
				return &schemas.NotRegisteredError{Subject: "x", Schema: "y"}
			}
			return nil
		}
		w.publishAs(accounts, "s1", "s2")
		w.publishAs(contacts, "c1")
		w.publishAs(accounts, "s3")
		if err := carry(t, withHistory(w.lane(stats, stream(accounts), stream(contacts)), NewSchemaHistory(log)), func() {
			sleep(t.Context(), 4*newBackoff().MaxInterval)
		}); err != nil {
			t.Fatal(err)
		}
		if got := w.schemaChanges(); len(got) != 3 {
			t.Errorf("records %q", got)
		}
		w.exactly(t, accounts)
		for _, s := range stats.Snapshot() {
			if halted := s.Halted != ""; halted != (s.Channel == contacts) {
				t.Errorf("%s: halted %q", s.Channel, s.Halted)
			}
		}
	})
}

// What is filtered out, becomes a dead letter, or has no schema is no first event.
func TestSchemaChangeNeedsARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.onEncode = func(ev *transform.Event) error {
			if ev.Position == "1" {
				return &transform.EventError{Reason: "bad", Offset: -1}
			}
			return nil
		}
		w.publishAs(accounts, "s1", "", "s1")
		if err := carry(t, withHistory(w.lane(stats, stream(accounts)), NewSchemaHistory(changeLog{})), nil); err != nil {
			t.Fatal(err)
		}
		if got := w.schemaChanges(); !slices.Equal(got, []string{`Thing "" to "s1" at 3 behind e2`}) {
			t.Errorf("records %q", got)
		}
	})
}
