package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
)

// Config says what is compared with what.
type Config struct {
	// Reader reads rows, Sampler the few rows that a part of a sample takes: it should
	// have small pages. Both may be one.
	Reader, Sampler *salesforce.Reader
	// Shape makes events of rows, Encoder records of those: in the envelope of the
	// topic and in format JSON, without a registry.
	Shape   *snapshot.Shape
	Encoder pipeline.Encoder
	// Topic is how the topic is folded. Keep and Changed are set here.
	Topic fold.Config

	// Sample is how many records of the org are compared, and how many of the topic;
	// 0: all.
	Sample int
	// Settle is how long a doubt may last. 0: two minutes.
	Settle time.Duration
	// MostDoubts is how many records may be in doubt at once. 0: 100,000.
	MostDoubts int

	// Draw gives a number below n, for samples. Required.
	Draw func(n int) int
	// Now and Wait are the clock. Nil: this machine's.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
	// Progress is told what is being done. Nil: nobody is.
	Progress func(Step)
}

// Step is what an audit is doing: how much of it is done, and of how much; 0 if nobody
// knows.
type Step struct {
	Doing    string
	Done, Of int64
}

const (
	defaultSettle = 2 * time.Minute
	mostDoubts    = 100_000
)

// audit is one comparison under way.
type audit struct {
	Config
	topic  *fold.Fold
	report Report
	doubts map[string]*doubt
	count  count
}

// Run compares. The error of a reader ends it.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	a := &audit{Config: cfg, doubts: make(map[string]*doubt), count: count{met: true}}
	a.defaults()
	a.report.Left = cfg.Shape.Left()
	examine := a.all
	if cfg.Sample > 0 {
		examine = a.sample
	}
	if err := examine(ctx); err != nil {
		return nil, err
	}
	if err := a.settle(ctx); err != nil {
		return nil, err
	}
	a.report.Topic = a.topic.Len()
	a.report.CountsDiffer = !a.count.met
	a.report.Equal = a.report.Compared - len(a.report.Drifts) - len(a.report.Undecided)
	return &a.report, nil
}

func (a *audit) defaults() {
	if a.Settle == 0 {
		a.Settle = defaultSettle
	}
	if a.MostDoubts == 0 {
		a.MostDoubts = mostDoubts
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Wait == nil {
		a.Wait = pause
	}
	if a.Progress == nil {
		a.Progress = func(Step) {}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *audit) object() string { return a.Shape.Form().Object() }

// open begins to fold the topic, and reads it to its end.
func (a *audit) open(ctx context.Context, keep func(id string) bool) error {
	cfg := a.Topic
	cfg.Keep, cfg.Changed = keep, a.changed
	cfg.Progress = func(done, of int64) { a.Progress(Step{Doing: "reading the topic", Done: done, Of: of}) }
	var err error
	if a.topic, err = fold.New(cfg); err != nil {
		return err
	}
	return a.follow(ctx)
}

// follow reads what the topic has become longer by.
func (a *audit) follow(ctx context.Context) error {
	if err := a.topic.Read(ctx); err != nil {
		return fmt.Errorf("reading the topic of %s: %w", a.object(), err)
	}
	return nil
}

// all compares each row with the topic, and then looks for what the topic has besides.
// The topic is read first: what a row says must not be behind the topic already.
func (a *audit) all(ctx context.Context) error {
	if err := a.open(ctx, func(string) bool { return true }); err != nil {
		return err
	}
	var seen fold.IDSet
	rows, err := a.Reader.Open(ctx, salesforce.Selection{Form: a.Shape.Form()})
	if err != nil {
		return a.reading(err)
	}
	if err := a.eachRow(rows, func(row salesforce.Row) error {
		if seen.Add(row.ID); seen.Len()%1000 == 0 {
			a.Progress(Step{Doing: "comparing rows", Done: int64(seen.Len()), Of: int64(a.topic.Len())})
		}
		return a.examine(ctx, row)
	}); err != nil {
		return err
	}
	a.report.Org = seen.Len()
	for id := range a.topic.IDs() {
		if !seen.Has(id) {
			if err := a.compare(ctx, salesforce.Row{ID: id, Missing: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachRow reads to the end and closes.
func (a *audit) eachRow(rows salesforce.Rows, do func(salesforce.Row) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return a.reading(err)
		}
		if err := do(row); err != nil {
			return err
		}
	}
}

func (a *audit) reading(err error) error {
	return fmt.Errorf("reading rows of %s: %w", a.object(), err)
}

// examine compares a row of the org. What is on its way comes while others are read: it
// is not among too many.
func (a *audit) examine(ctx context.Context, row salesforce.Row) error {
	if len(a.doubts) >= a.MostDoubts {
		if err := a.follow(ctx); err != nil {
			return err
		}
	}
	return a.compare(ctx, row)
}

// compare looks at a record for the first time.
func (a *audit) compare(ctx context.Context, row salesforce.Row) error {
	a.report.Compared++
	want, err := a.wanted(ctx, row)
	if err != nil {
		return err
	}
	d := &doubt{wants: []*fold.Row{want}, modified: row.Modstamp, since: a.Now()}
	var unclear int
	if d.kind, d.fields, unclear = a.judge(row.ID, want); d.kind == "" {
		a.report.Unclear += unclear
		return nil
	}
	if len(a.doubts) >= a.MostDoubts {
		return &TooManyError{Object: a.object(), Bound: a.MostDoubts}
	}
	a.doubts[row.ID] = d
	return nil
}

// wanted is what the topic should say of a row; nil: nothing.
func (a *audit) wanted(ctx context.Context, row salesforce.Row) (*fold.Row, error) {
	if row.Missing || row.Deleted {
		return nil, nil
	}
	ev := a.Shape.Event(row)
	records, _, err := a.Encoder.Encode(ctx, nil, &ev)
	if err != nil {
		return nil, fmt.Errorf("making a record of the row %s of %s: %w", row.ID, a.object(), err)
	}
	return a.topic.RowOf(ctx, records[0])
}

// judge says what is wrong with a record; nothing is "".
func (a *audit) judge(id string, want *fold.Row) (kind Kind, fields []fold.Difference, unclear int) {
	have, is := a.topic.Row(id)
	switch {
	case want == nil && a.topic.Has(id):
		return Gone, nil, 0
	case want == nil:
		return "", nil, 0
	case !is:
		return Missing, nil, 0
	}
	if fields, unclear = a.topic.Compare(want, have); len(fields) > 0 {
		kind = Differs
	}
	return kind, fields, unclear
}
