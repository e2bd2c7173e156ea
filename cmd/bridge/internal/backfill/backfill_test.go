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
	"github.com/sfbridge/bridge/transform"
)

const (
	accounts = "/data/AccountChangeEvent"
	orders   = "/event/Order__e"
)

// script is a source that brings batches, and then nothing.
type script struct {
	pipeline.Source
	trace   pipeline.SourceTrace
	batches []any // pipeline.Batch or error
	halted  []string
}

func (s *script) Next(ctx context.Context) (pipeline.Batch, error) {
	if len(s.batches) == 0 {
		<-ctx.Done()
		for _, channel := range []string{accounts, orders} { // as a session does that is given up
			s.trace.Subscribed(channel, false)
		}
		return pipeline.Batch{}, ctx.Err()
	}
	next := s.batches[0]
	s.batches = s.batches[1:]
	if err, failed := next.(error); failed {
		return pipeline.Batch{}, err
	}
	return next.(pipeline.Batch), nil
}

func (s *script) Halt(channel string) error {
	s.halted = append(s.halted, channel)
	return nil
}

func batch(channel string, positions ...string) pipeline.Batch {
	var b pipeline.Batch
	for _, p := range positions {
		b.Events = append(b.Events, transform.Event{Channel: channel, Position: p, Payload: []byte("{}")})
		b.Bytes += 2
	}
	return b
}

// read asks the bounded source until the run ends, and returns the positions that
// came.
func read(t *testing.T, b *Bounds, ctx context.Context, s *script, during func(string)) []string { //nolint:revive // the test's context is another
	t.Helper()
	var resume []pipeline.Resume
	for _, stream := range b.run.Streams {
		resume = append(resume, pipeline.Resume{Channel: stream.Channel, Start: pipeline.Start{After: stream.After}})
	}
	src, err := b.Source(func(trace pipeline.SourceTrace) (pipeline.Source, error) {
		s.trace = trace
		return s, nil
	}, resume, pipeline.SourceTrace{Subscribed: func(string, bool) {}, Idle: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	for channel := range b.open {
		s.trace.Subscribed(channel, true)
	}
	var out []string
	for ctx.Err() == nil {
		got, err := src.Next(ctx)
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		size := 0
		for _, ev := range got.Events {
			size += len(ev.Payload)
			out = append(out, ev.Position)
			if during != nil {
				during(ev.Position)
			}
		}
		if size != got.Bytes {
			t.Errorf("%d events of %d bytes", len(got.Events), got.Bytes)
		}
	}
	return out
}

func TestBounds(t *testing.T) {
	limit := &pipeline.SourceError{Condition: pipeline.LimitExceeded, Err: errors.New("no more today")}
	for name, tt := range map[string]struct {
		run     Run
		most    uint64
		batches []any
		passes  string // at this position the end that is a time is passed
		want    string
		ending  Ending
		halted  string
	}{
		"nothing more comes": {
			run:     Run{Streams: []Stream{{Channel: accounts}}, To: End{Time: time.Now()}},
			batches: []any{batch(accounts, "1", "2"), batch(accounts, "3")}, want: "1 2 3", ending: Reached,
		},
		"the id ends it within a batch, with all that share it": {
			run:     Run{Streams: []Stream{{Channel: accounts}}, To: End{Position: "3"}},
			batches: []any{batch(accounts, "1"), batch(accounts, "2", "3", "3", "4")}, want: "1 2 3 3", ending: Reached, halted: accounts,
		},
		"the id does not come": {
			run:     Run{Streams: []Stream{{Channel: accounts}}, To: End{Position: "9"}},
			batches: []any{batch(accounts, "1", "10")}, want: "1 10", ending: TipReached,
		},
		"the time passes on one stream, and silence ends the other": {
			run:     Run{Streams: []Stream{{Channel: accounts}, {Channel: orders}}, To: End{Time: time.Now()}},
			batches: []any{batch(accounts, "1", "2"), batch(orders, "a"), batch(accounts, "3"), batch(orders, "b")},
			passes:  "2", want: "1 2 a b", ending: Reached, halted: accounts,
		},
		"the budget": {
			run:  Run{Streams: []Stream{{Channel: accounts}}, To: End{Time: time.Now()}},
			most: 3, batches: []any{batch(accounts, "1", "2"), batch(accounts, "3", "4"), batch(accounts, "5")}, want: "1 2 3 4", ending: OutOfMoney,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				b := NewBounds(tt.run, nil, 30*time.Second, tt.most, stop)
				s := &script{batches: tt.batches}
				got := read(t, b, ctx, s, func(position string) {
					if position == tt.passes {
						b.pass(accounts)
					}
				})
				why, err := b.Ending()
				if strings.Join(got, " ") != tt.want || why != tt.ending || err != nil || strings.Join(s.halted, " ") != tt.halted {
					t.Errorf("%v, ended by %q, %v, halted %v", got, why, err, s.halted)
				}
			})
		})
	}
	t.Run("the org's allocation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			b := NewBounds(Run{Streams: []Stream{{Channel: accounts}}, To: End{Position: "9"}}, nil, time.Minute, 0, stop)
			src := &bounded{Source: &script{batches: []any{limit}}, b: b}
			if _, err := src.Next(ctx); !errors.Is(err, limit) {
				t.Errorf("%v", err)
			}
			if why, err := b.Ending(); why != Exhausted || !errors.Is(err, limit) || ctx.Err() == nil {
				t.Errorf("%q, %v", why, err)
			}
		})
	})
}

// Events that a session took and did not commit come again in the next one, also those
// of a stream whose end the first had seen; what lies behind an id that is durable is
// not read; and a stream that a policy halts keeps nobody waiting.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := Run{Streams: []Stream{{Channel: accounts}, {Channel: orders}}, To: End{Time: time.Now()}}
		for range 2 {
			ctx, stop := context.WithCancel(t.Context())
			b := NewBounds(run, nil, time.Second, 0, stop)
			b.begin([]pipeline.Resume{{Channel: accounts}, {Channel: orders}})
			b.pass(accounts)
			if ended := b.passed(); !slices.Equal(ended, []string{accounts}) {
				t.Fatalf("ended %v", ended)
			}
			s := &script{batches: []any{batch(accounts, "1"), batch(orders, "a")}}
			if got := read(t, b, ctx, s, nil); !slices.Equal(got, []string{"1", "a"}) {
				t.Errorf("the next session brought %v", got)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		b := NewBounds(Run{Streams: []Stream{{Channel: accounts, After: "7"}}, To: End{Position: "7"}}, nil, time.Second, 0, stop)
		if got := read(t, b, ctx, &script{batches: []any{batch(accounts, "8")}}, nil); len(got) != 0 {
			t.Errorf("%v came behind the last id", got)
		}
		if why, _ := b.Ending(); why != Reached {
			t.Errorf("ended by %q", why)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		b := NewBounds(Run{Streams: []Stream{{Channel: accounts}}, To: End{Position: "9"}}, nil, time.Second, 0, stop)
		s := &script{}
		if err := (&bounded{Source: s, b: b}).Halt(accounts); err != nil || ctx.Err() == nil || len(s.halted) != 1 {
			t.Errorf("%v, halted %v, ended: %v", err, s.halted, ctx.Err())
		}
	})
}

// While a stream is not subscribed its silence means nothing.
func TestSilenceBeforeTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		b := NewBounds(Run{Streams: []Stream{{Channel: accounts}}, To: End{Position: "9"}}, nil, time.Second, 0, stop)
		fired := b.onceQuiet(func() {})
		<-time.After(time.Hour)
		b.subscribed(accounts, true)
		if fired() {
			t.Error("an hour without a subscription was taken for silence")
		}
		if ctx.Err() != nil {
			t.Error("the run ended")
		}
	})
}

func TestWant(t *testing.T) {
	to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	record := func(changeType, key string) *kgo.Record {
		return &kgo.Record{Key: []byte(key), Headers: []kgo.RecordHeader{{Key: "sf-channel", Value: []byte(accounts)}, {Key: "sf-change-type", Value: []byte(changeType)}}}
	}
	const id = "001000000000001AAA"
	for name, tt := range map[string]struct {
		filter Filter
		end    End
		at     time.Time
		want   bool
		passed bool
	}{
		"no filter":                   {end: End{Time: to}, at: to.Add(-time.Millisecond), want: true},
		"at the end":                  {end: End{Time: to}, at: to},
		"a little behind it":          {end: End{Time: to}, at: to.Add(Margin - 1)},
		"behind it":                   {end: End{Time: to}, at: to.Add(Margin), passed: true},
		"of no time":                  {end: End{Time: to}, want: true},
		"late, where an id ends it":   {end: End{Position: "7"}, at: to.Add(time.Hour), want: true},
		"of the entity":               {filter: Filter{Entities: []string{"Contact", "Account"}}, end: End{Time: to}, want: true},
		"of another entity":           {filter: Filter{Entities: []string{"Contact"}}, end: End{Time: to}},
		"of the change type":          {filter: Filter{ChangeTypes: []string{"UPDATE"}}, end: End{Time: to}, want: true},
		"of another change type":      {filter: Filter{ChangeTypes: []string{"DELETE"}}, end: End{Time: to}},
		"of the record":               {filter: Filter{RecordIDs: []string{id}}, end: End{Time: to}, want: true},
		"of the record, short":        {filter: Filter{RecordIDs: []string{id[:15]}}, end: End{Time: to}, want: true},
		"of another record":           {filter: Filter{RecordIDs: []string{"001000000000002AAA"}}, end: End{Time: to}},
		"of record and entity":        {filter: Filter{RecordIDs: []string{id}, Entities: []string{"Account"}}, end: End{Time: to}, want: true},
		"of record, of other entity":  {filter: Filter{RecordIDs: []string{id}, Entities: []string{"Contact"}}, end: End{Time: to}},
		"of change type, not the one": {filter: Filter{ChangeTypes: []string{"CREATE", "DELETE"}, Entities: []string{"Account"}}, end: End{Time: to}},
	} {
		b := NewBounds(Run{Streams: []Stream{{Channel: accounts}}, To: tt.end, Filter: tt.filter}, nil, time.Minute, 0, func() {})
		got := b.Want(transform.Meta{Object: "Account", Time: tt.at}, record("UPDATE", "\x00\x00\x00\x00\x07\x24"+id))
		if passed := len(b.passed()) == 1; got != tt.want || passed != tt.passed {
			t.Errorf("%s: %v, passed %v", name, got, passed)
		}
	}
}

func TestTarget(t *testing.T) {
	for into, want := range map[string]string{
		"":                 "crm.Account",
		SideTopic:          "crm.Account.replay.r1",
		"again-{{.Topic}}": "again-crm.Account",
		"all":              "all",
		"{{.Topic}}":       "error",
		"{{.Object}}":      "error",
		"a/b":              "error",
		"{{.Topic":         "error",
	} {
		got, err := Run{ID: "r1", Into: into}.Target("crm.Account")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("into %q: %q, %v, want %q", into, got, err, want)
		}
	}
	if _, err := (Run{ID: "r1", Into: SideTopic}).Target(strings.Repeat("t", 245)); err == nil {
		t.Error("a name that is too long was taken")
	}
}

// plain makes two records of an event, and fails for one without a payload.
type plain struct{}

func (plain) Encode(_ context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error) {
	if ev.Payload == nil {
		return dst, transform.Meta{}, errors.New("nothing in it")
	}
	return append(dst, &kgo.Record{Topic: "a"}, &kgo.Record{Topic: "b"}), transform.Meta{Object: "Account"}, nil
}

func TestMarking(t *testing.T) {
	before := []*kgo.Record{{Topic: "before"}}
	m := Marking(plain{}, Run{ID: "r1", Into: SideTopic})
	got, meta, err := m.Encode(t.Context(), slices.Clone(before), &transform.Event{Payload: []byte("{}")})
	var topics []string
	for _, r := range got {
		topics = append(topics, fmt.Sprint(r.Topic, header(r, HeaderRun)))
	}
	if err != nil || meta.Object != "Account" || !slices.Equal(topics, []string{"before", "a.replay.r1r1", "b.replay.r1r1"}) {
		t.Errorf("%v, %+v, %v", topics, meta, err)
	}
	if got, _, err = m.Encode(t.Context(), before, &transform.Event{}); err == nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	_, _, err = Marking(plain{}, Run{ID: "r1", Into: "a"}).Encode(t.Context(), nil, &transform.Event{Payload: []byte("{}")})
	if _, ok := errors.AsType[*transform.ConfigError](err); !ok || !transform.SchemaRefused(err) {
		t.Errorf("%v has to halt the stream", err)
	}
}

func TestCount(t *testing.T) {
	run := Run{ID: "r1", Streams: []Stream{{Channel: accounts, After: "7"}, {Channel: orders}}}
	c := NewCount("00D", run)
	at := time.Date(2026, 1, 1, 10, 59, 59, 0, time.UTC)
	record := func(object string, at time.Time, value []byte) *kgo.Record {
		return &kgo.Record{Value: value, Timestamp: at, Headers: []kgo.RecordHeader{{Key: "sf-object", Value: []byte(object)}}}
	}
	err := c.Commit(t.Context(), []*kgo.Record{
		record("Account", at, []byte("v")), record("Account", at, nil), record("Account", at.Add(time.Second), []byte("v")), record("Order__e", at, []byte("v")),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []Tally{{"Account", at.Truncate(time.Hour), 1}, {"Account", at.Add(time.Second), 1}, {"Order__e", at.Truncate(time.Hour), 1}}
	if got := c.Tallies(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	stored, err := c.Load(t.Context(), 0, c.Barrier(0))
	if err != nil || len(stored) != 1 {
		t.Errorf("%v, %v", stored, err)
	}
}

func TestCheck(t *testing.T) {
	at := time.Now()
	good := func() Run {
		return Run{ID: "r", Streams: []Stream{{Channel: accounts, Since: at.Add(-time.Hour)}}, To: End{Time: at}, Into: SideTopic}
	}
	if err := good().Check(); err != nil {
		t.Errorf("a good run: %v", err)
	}
	for want, change := range map[string]func(*Run){
		"needs an id":                func(r *Run) { r.ID = "" },
		"needs a stream":             func(r *Run) { r.Streams = nil },
		"needs an end":               func(r *Run) { r.To = End{} },
		"belongs to one channel":     func(r *Run) { r.To, r.Streams = End{Position: "3"}, append(r.Streams, Stream{Channel: orders}) },
		"nothing lies between 2":     func(r *Run) { r.Streams[0].Since = at },
		"the replay id 3 and itself": func(r *Run) { r.To, r.Streams[0].After = End{Position: "3"}, "3" },
		"is not a record id":         func(r *Run) { r.Filter.RecordIDs = []string{"001"} },
		"letters and digits":         func(r *Run) { r.Filter.RecordIDs = []string{"001') OR ('a'='a')"} },
		"needs a run without":        func(r *Run) { r.To, r.Streams[0].Rows = End{Position: "3"}, &RowPart{} },
		"unknown placeholder":        func(r *Run) { r.Into = "{{.X}}" },
	} {
		run := good()
		change(&run)
		if err := run.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
