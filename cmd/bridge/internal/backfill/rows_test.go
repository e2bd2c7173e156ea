package backfill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// withRows is a run that reads rows of accounts, and orders from their earliest event.
func withRows() Run {
	return Run{
		ID: "r1", To: End{Time: time.Now()},
		Streams: []Stream{{Channel: accounts, Rows: &RowPart{Since: time.Now().Add(-100 * time.Hour), Entities: []string{"Account"}}}, {Channel: orders}},
	}
}

// byBody reads the outcome of a task out of its body: a time, a refusal, or nothing.
func byBody(t replay.Task) (o Outcome, err error) {
	switch text := string(t.Body); {
	case text == "going":
	case strings.HasPrefix(text, "refused"):
		o.Ended, o.Failed = t.Updated, text
	case text == "done":
		o.Ended = t.Updated
	default:
		err = errors.New("unreadable")
	}
	return o, err
}

func task(id, body string, at time.Time) replay.Task {
	return replay.Task{Key: replay.Key{Channel: accounts}, ID: id, Body: []byte(body), Updated: at}
}

// keep makes a task durable, as a commit of the lane does.
func keep(t *testing.T, r *Rows, one replay.Task) {
	t.Helper()
	record := &kgo.Record{}
	r.mu.Lock()
	r.going[record] = one
	r.mu.Unlock()
	if err := r.Writer(&Count{}).Commit(t.Context(), nil, []*kgo.Record{record}); err != nil {
		t.Error(err)
	}
}

func changedAt(at time.Time) pipeline.Batch {
	b := batch(accounts, "1")
	b.Events[0].Payload = fmt.Appendf(nil, `{"ChangeEventHeader":{"commitTimestamp":%d}}`, at.UnixMilli())
	b.Bytes = len(b.Events[0].Payload)
	return b
}

// The first event of a stream waits until the seam before it is in the ledger, and a
// run whose events have all come goes on until its rows are read, and for as long again
// as an event may be on its way.
func TestRunEndsWithItsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		run := withRows()
		rows := Runs{}.NewRows(run, byBody)
		b := NewBounds(run, rows, 30*time.Second, 0, stop)
		first, began := time.UnixMilli(1_700_000_000_000).UTC(), time.Now()
		worked := make(chan struct{})
		go func() {
			defer close(worked)
			<-time.After(time.Second) // the session is open
			at, err := b.edge(ctx, accounts)
			if err != nil || at.First != "1" || !at.Time.Equal(first) {
				t.Errorf("the seam is %+v, %v", at, err)
			}
			<-time.After(time.Minute)
			keep(t, rows, task(sealID, "{}", time.Now()))
			<-time.After(time.Hour)
			keep(t, rows, task(TaskID("Account"), "going", time.Now()))
			keep(t, rows, task(TaskID("Account"), "done", time.Now()))
		}()
		got := read(t, b, ctx, &script{batches: []any{batch(orders, "a"), changedAt(first)}}, func(position string) {
			if after := time.Since(began); position == "1" && after < time.Minute || position == "a" && after > time.Second {
				t.Errorf("event %s came after %s", position, after)
			}
		})
		<-worked
		if why, _ := b.Ending(); why != Reached || !slices.Equal(got, []string{"a", "1"}) {
			t.Errorf("%v, ended by %q", got, why)
		}
		if took, want := time.Since(began), time.Hour+time.Minute+time.Second+30*time.Second; took != want {
			t.Errorf("it ended after %s, want %s", took, want)
		}
	})
}

// A stream that brings nothing has a seam too, and so has one whose first event is long
// in coming; one that is not subscribed has to be waited for, and a halted one has none.
func TestEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := withRows()
		b := NewBounds(run, Runs{}.NewRows(run, byBody), 30*time.Second, 0, func() {})
		began := time.Now()
		go func() {
			<-time.After(time.Hour)
			b.subscribed(accounts, true)
		}()
		at, err := b.edge(t.Context(), accounts)
		if took := time.Since(began); err != nil || at.First != "" || !at.Time.Equal(time.Now()) || took < time.Hour+30*time.Second || took > time.Hour+time.Minute {
			t.Errorf("%+v, %v after %s", at, err, took)
		}
		go func() {
			<-time.After(time.Second)
			if err := (&bounded{Source: &script{}, b: b}).Halt(orders); err != nil {
				t.Error(err)
			}
		}()
		if _, err := b.edge(t.Context(), orders); !errors.Is(err, pipeline.ErrHalted) {
			t.Errorf("of a halted stream: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("another seam failed"))
		b.begin([]pipeline.Resume{{Channel: accounts}})
		if _, err := b.edge(ctx, accounts); err == nil || err.Error() != "another seam failed" {
			t.Errorf("%v", err)
		}
	})
}

// What was read and waits for a seam is not lost when the call ends: the next one has
// it, also if the stream was halted meanwhile and there will be no seam.
func TestHeldBatch(t *testing.T) {
	for _, halted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			run := withRows()
			rows := Runs{}.NewRows(run, byBody)
			b := NewBounds(run, rows, time.Minute, 0, func() {})
			src := &bounded{Source: &script{batches: []any{batch(accounts, "1", "2")}}, b: b}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got, err := src.Next(ctx); len(got.Events) != 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%v, %v before the seam", got, err)
			}
			if halted {
				if err := src.Halt(accounts); err != nil {
					t.Fatal(err)
				}
			} else {
				keep(t, rows, task(sealID, "{}", time.Now()))
			}
			if got, err := src.Next(t.Context()); err != nil || len(got.Events) != 2 || b.Taken() != 2 {
				t.Errorf("halted %v: %v, %v, %d taken", halted, got, err, b.Taken())
			}
		})
	}
}

// While rows are read all events are wanted; then those up to when that was, since a
// row may have what they tell of.
func TestWantBesideRows(t *testing.T) {
	run := withRows()
	rows := Runs{}.NewRows(run, byBody)
	b := NewBounds(run, rows, time.Minute, 0, func() {})
	record := &kgo.Record{Headers: []kgo.RecordHeader{{Key: "sf-channel", Value: []byte(accounts)}}}
	want := func(at time.Time) bool { return b.Want(transform.Meta{Object: "Account", Time: at}, record) }
	ended := time.Now().Add(time.Hour)
	if !want(ended.Add(time.Hour)) || len(b.passed()) > 0 {
		t.Error("an event that came while rows were read was dropped")
	}
	keep(t, rows, task(TaskID("Account"), "done", ended))
	if !want(ended.Add(Margin - 1)) {
		t.Error("an event that a row may have was dropped")
	}
	if want(ended.Add(Margin)) || len(b.passed()) > 0 {
		t.Error("the end is where the rows were read")
	}
	if want(ended.Add(2*Margin)) || !slices.Equal(b.passed(), []string{accounts}) {
		t.Error("the end was not passed")
	}
	record.Headers[0].Value = []byte(orders)
	if want(run.To.Time) {
		t.Error("a stream without rows ends later for another's")
	}
}

// broken is a Kafka that takes nothing.
type broken struct{ Count }

var errBroken = errors.New("no commit")

func (*broken) Commit(context.Context, []*kgo.Record, []*kgo.Record) error { return errBroken }

// What a task says counts when it is durable, and not before (I2).
func TestOutcomes(t *testing.T) {
	run := withRows()
	run.Streams[0].Rows.Entities = []string{"Account", "AccountShare"}
	r := Runs{}.NewRows(run, byBody)
	at := time.Now()
	record := &kgo.Record{}
	r.going[record] = task(TaskID("Account"), "done", at)
	if err := r.Writer(&broken{}).Commit(t.Context(), nil, []*kgo.Record{record}); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	if o := r.Outcomes(); len(o) != 2 || !o[0].Ended.IsZero() || !r.until(accounts).IsZero() {
		t.Errorf("%+v after a commit that failed", o)
	}
	keep(t, r, task(TaskID("Account"), "done", at))
	keep(t, r, task("rows/Account", "{}", at)) // the lane's own
	if !r.until(accounts).IsZero() {
		t.Error("the rows of one entity are not all rows")
	}
	keep(t, r, task(TaskID("AccountShare"), "refused: no access", at))
	if o := r.Outcomes(); o[0].Object != "Account" || o[0].Failed != "" || o[1].Failed != "refused: no access" || r.until(accounts) != at.Add(Margin) {
		t.Errorf("%+v, until %s", o, r.until(accounts))
	}
	if err := r.durable(task(TaskID("Account"), "?", at)); err == nil {
		t.Error("a task that cannot be read was taken")
	}
	if (Runs{}).NewRows(Run{Streams: []Stream{{Channel: orders}}}, byBody) != nil {
		t.Error("a run without rows has some")
	}
}

// The budget ends a run behind what it has taken: the next one must not begin where
// this one did.
func TestBudgetBesideRows(t *testing.T) {
	run := withRows()
	rows := Runs{}.NewRows(run, byBody)
	ctx, stop := context.WithCancel(t.Context())
	b := NewBounds(run, rows, time.Minute, 1, stop)
	keep(t, rows, task(sealID, "{}", time.Now()))
	src := &bounded{Source: &script{batches: []any{batch(accounts, "1", "2")}}, b: b}
	if got, err := src.Next(ctx); err != nil || len(got.Events) != 2 || ctx.Err() == nil {
		t.Errorf("%v, %v, ended: %v", got, err, ctx.Err())
	}
	if why, _ := b.Ending(); why != OutOfMoney {
		t.Errorf("ended by %q", why)
	}
	b = NewBounds(run, rows, time.Minute, 0, func() {})
	b.OutOfCalls()
	if why, _ := b.Ending(); why != OutOfCalls {
		t.Errorf("ended by %q", why)
	}
}

// typed makes a record of each kind of change, as the lane's encoder does.
type typed struct{}

func (typed) Encode(_ context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error) {
	record := &kgo.Record{Topic: "a", Key: ev.Payload, Headers: []kgo.RecordHeader{{Key: "sf-change-type", Value: []byte(ev.SchemaID)}}}
	return append(dst, record), transform.Meta{Object: "Account"}, nil
}

// Of rows only what the filter wants is written; the lane asks for events itself.
func TestMarkingRows(t *testing.T) {
	const id = "001000000000001AAA"
	run := Run{ID: "r1", Filter: Filter{RecordIDs: []string{id}, ChangeTypes: []string{"SNAPSHOT"}}}
	for name, tt := range map[string]struct {
		ev   transform.Event
		want int
	}{
		"row":                    {transform.Event{SchemaID: "SNAPSHOT", Payload: []byte(id)}, 1},
		"row of another record":  {transform.Event{SchemaID: "SNAPSHOT", Payload: []byte("001000000000002AAA")}, 0},
		"deletion":               {transform.Event{SchemaID: "DELETE", Payload: []byte(id)}, 0},
		"event, which Want sees": {transform.Event{SchemaID: "DELETE", Payload: []byte(id), Position: "7"}, 1},
	} {
		before := []*kgo.Record{{Topic: "before"}}
		got, _, err := Marking(typed{}, run).Encode(t.Context(), before, &tt.ev)
		if err != nil || len(got) != 1+tt.want || got[0] != before[0] {
			t.Errorf("%s: %d records, %v", name, len(got)-1, err)
		}
	}
}

// That the org has no more events ends nothing while rows are read, nor right after:
// one that a row has may be on its way.
func TestIdleBesideRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := withRows()
		rows := Runs{}.NewRows(run, byBody)
		b := NewBounds(run, rows, time.Minute, 0, func() {})
		s := &script{}
		_, err := b.Source(func(trace pipeline.SourceTrace) (pipeline.Source, error) {
			s.trace = trace
			return s, nil
		}, []pipeline.Resume{{Channel: accounts}}, pipeline.SourceTrace{Subscribed: func(string, bool) {}, Idle: func() {}})
		if err != nil {
			t.Fatal(err)
		}
		idle := func(want Ending) {
			t.Helper()
			s.trace.Idle()
			if why, _ := b.Ending(); why != want {
				t.Errorf("ended by %q, want %q", why, want)
			}
		}
		idle(Unfinished)
		keep(t, rows, task(TaskID("Account"), "done", time.Now()))
		<-time.After(time.Minute - 1)
		idle(Unfinished)
		<-time.After(1)
		idle(Reached)
	})
}
