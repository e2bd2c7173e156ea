package pipeline

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// working is a lane of one stream with a worker beside its source.
func (w *world) working(stats *Stats, work RowWorker) *Lane {
	l := w.lane(stats, stream(accounts))
	l.cfg.Rows, l.cfg.Tasks = work, noTasks{}
	return l
}

// noTasks keeps no tasks.
type noTasks struct{}

func (noTasks) Tasks(context.Context, int32) ([]replay.Task, error) { return nil, nil }

func (noTasks) TaskRecord(t replay.Task) *kgo.Record {
	return &kgo.Record{Topic: "positions", Key: []byte(t.ID), Context: context.Background()}
}

// What the committer has taken it answers, though whoever asked has given up: the window
// of rows must not close before they are judged by it.
func TestCommitIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 1)
		told := make(chan error, 1)
		l := w.working(&Stats{}, func(ctx context.Context, d *RowDesk) error {
			if err := d.Subscribed(ctx, accounts); err != nil {
				return err
			}
			impatient, giveUp := context.WithCancel(ctx)
			_, err := d.Commit(impatient, Chunk{Channel: accounts, Beside: func([]string) Beside {
				giveUp()
				return Beside{Records: []*kgo.Record{{Topic: "notices", Value: []byte("done")}}}
			}})
			told <- err
			<-ctx.Done()
			return nil
		})
		if err := carry(t, l, func() {
			if err := <-told; err != nil {
				t.Errorf("what became durable was answered with %v", err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(w.committed, func(r *kgo.Record) bool { return r.Topic == "notices" }) {
			t.Error("it did not become durable")
		}
	})
}

// Of a halted stream no row is written, and the worker is told.
func TestNoRowsOfAHaltedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 1)
		var l *Lane
		told := make(chan error, 2)
		l = w.working(&Stats{}, func(ctx context.Context, d *RowDesk) error {
			told <- d.Subscribed(ctx, accounts)
			l.haltStream(accounts, errLost)
			_, err := d.Commit(ctx, Chunk{Channel: accounts, Beside: func([]string) Beside {
				t.Error("the rows were taken")
				return Beside{}
			}})
			told <- errors.Join(err, d.Subscribed(ctx, accounts))
			<-ctx.Done()
			return nil
		})
		_ = carry(t, l, func() {
			if err := <-told; err != nil {
				t.Error(err)
			}
			if err := <-told; !errors.Is(err, ErrHalted) {
				t.Errorf("told %v", err)
			}
		})
	})
}

// A window remembers what became durable since it was opened, and nothing else.
func TestWindow(t *testing.T) {
	const id = "001000000000001AAA"
	at := time.Date(2026, 3, 4, 9, 0, 5, 400_000_000, time.UTC)
	second := at.Truncate(time.Second)
	for name, tt := range map[string]struct {
		heard    []byte // the key of an event at that time, after the window was opened
		before   bool   // or before that
		modified time.Time
		want     bool
	}{
		"older row":              {heard: []byte(id), modified: second.Add(-time.Second), want: true},
		"row of the same second": {heard: []byte(id), modified: second, want: true},
		"newer row":              {heard: []byte(id), modified: second.Add(time.Second)},
		"a record that is gone":  {heard: []byte(id), want: true},
		"a key in Avro":          {heard: append([]byte{0, 0, 0, 0, 7, 36}, id...), modified: second, want: true},
		"another record":         {heard: []byte("001000000000002AAA"), modified: second},
		"a key that is no id":    {heard: []byte("001*"), modified: second},
		"before it was opened":   {heard: []byte(id), before: true, modified: second},
	} {
		t.Run(name, func(t *testing.T) {
			var r recent
			other := r.begin() // somebody else reads rows too
			defer other.Close()
			hear := func() {
				r.commit()
				r.hear(tt.heard, at)
			}
			if tt.before {
				hear()
			}
			w := r.begin()
			if !tt.before {
				hear()
			}
			if got := w.outdated(id, tt.modified); got != tt.want {
				t.Errorf("outdated: %v", got)
			}
			w.Close()
			other.Close()
			if len(r.ids) > 0 {
				t.Error("something is remembered for nobody")
			}
		})
	}
}

// A row that is too large for Kafka is a dead letter without its payload, counted once.
func TestRowTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 1)
		w.onCommit = func(_ int, records []*kgo.Record) (bool, error) {
			for i, r := range records {
				if string(r.Value) == "row 001000000000001AAA" {
					return false, &sink.RecordTooLargeError{Index: i, Topic: r.Topic, Size: 2, Limit: 1}
				}
			}
			return true, nil
		}
		told := make(chan error, 1)
		l := w.working(stats, func(ctx context.Context, d *RowDesk) error {
			if err := d.Subscribed(ctx, accounts); err != nil {
				return err
			}
			win := d.Window()
			defer win.Close()
			row := func(id string) Row {
				return Row{ID: id, Modified: time.Now(), Event: transform.Event{Channel: accounts, UUID: "row " + id, Payload: []byte(`{}`), ReceivedAt: time.Now()}}
			}
			_, err := d.Commit(ctx, Chunk{Channel: accounts, Object: "Thing", Task: "snapshot/1", Window: win, Rows: []Row{row("001000000000001AAA"), row("001000000000002AAA")}})
			told <- err
			<-ctx.Done()
			return nil
		})
		if err := carry(t, l, func() {
			if err := <-told; err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		s := stats.Stream(accounts).state(accounts)
		if s.Rows != 2 || s.RowsRefused != 1 {
			t.Errorf("%d rows, %d refused, want 2 and 1", s.Rows, s.RowsRefused)
		}
		letters, marked := 0, 0
		for _, r := range w.committed {
			if r.Topic == "dlq" {
				letters++
			}
			for _, h := range r.Headers {
				if h.Key == SnapshotHeader && string(h.Value) == "snapshot/1" {
					marked++
				}
			}
		}
		if letters != 1 || marked != 1 {
			t.Errorf("%d dead letters, %d rows that name their task, want one of each", letters, marked)
		}
	})
}

// A row that cannot become a record becomes a dead letter, or is refused where the
// stream's policy is to halt; the stream goes on in both cases.
func TestBadRow(t *testing.T) {
	for name, halts := range map[string]bool{"dead letter": false, "refused": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stats := newWorld(), &Stats{}
				w.publish(accounts, 1)
				w.onEncode = func(ev *transform.Event) error {
					if ev.UUID == "bad" {
						return &transform.EventError{Reason: "it is bad"}
					}
					return nil
				}
				told := make(chan error, 1)
				l := w.working(stats, func(ctx context.Context, d *RowDesk) error {
					win := d.Window()
					defer win.Close()
					row := Row{ID: "001000000000001AAA", Modified: time.Now(), Event: transform.Event{Channel: accounts, UUID: "bad", Payload: []byte(`{}`)}}
					_, err := d.Commit(ctx, Chunk{Channel: accounts, Object: "Thing", Window: win, Rows: []Row{row}})
					told <- err
					<-ctx.Done()
					return nil
				})
				l.streams[accounts].HaltOnBadEvent = halts
				if err := carry(t, l, func() {
					if err := <-told; isType[*RowRefusedError](err) != halts || (err != nil) != halts {
						t.Errorf("answered with %v", err)
					}
					w.publish(accounts, 1)
				}); err != nil {
					t.Fatal(err)
				}
				if s := stats.Stream(accounts).state(accounts); s.Produced != 2 || (s.RowsRefused == 1) == halts || s.Halted != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}
