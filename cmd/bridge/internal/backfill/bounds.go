package backfill

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

// Margin is how far events of a stream may be out of the order of their times: the
// end of a run is passed by an event that is later than it by that much, and its
// beginning is looked for that much earlier.
const Margin = time.Minute

// Ending says why a run has ended.
type Ending string

// The endings.
const (
	Unfinished Ending = ""        // it was asked to stop, or failed
	Reached    Ending = "reached" // the end of every stream
	TipReached Ending = "tip"     // of at least one stream there was no more, and the id that ends it did not come
	OutOfMoney Ending = "budget"  // as many events as it may take were taken
	OutOfCalls Ending = "calls"   // as many calls of the org's API as it may make were made
	Exhausted  Ending = "limit"   // the org delivers no more today
)

// Bounds ends a run at its end.
type Bounds struct {
	run    Run
	rows   *Rows // nil for none
	settle time.Duration
	most   uint64
	stop   func()

	mu     sync.Mutex
	open   map[string]*openStream
	taken  uint64
	quiet  time.Time // since when nothing came
	ending Ending
	err    error // with Exhausted
}

// openStream is a stream whose end was not reached.
type openStream struct {
	subscribed bool
	since      time.Time     // when that changed last
	passed     bool          // the end that is a time
	begun      chan struct{} // closed with the first event
	first      Seam          // what is known of it
}

func newOpenStream() *openStream {
	return &openStream{since: time.Now(), begun: make(chan struct{})}
}

// NewBounds makes the bounds of a run, which ends when its rows are read, too; nil is
// for none. Stop ends the intake of its lane. Streams of which nothing has come for as
// long as settle have come to what is their end now; 0 of most is no budget.
func NewBounds(run Run, rows *Rows, settle time.Duration, most uint64, stop func()) *Bounds {
	b := &Bounds{run: run, rows: rows, settle: settle, most: most, stop: stop, open: make(map[string]*openStream), quiet: time.Now()}
	for _, s := range run.Streams {
		b.open[s.Channel] = newOpenStream()
	}
	return b
}

// Ending says why the run has ended, and the org's refusal if that was why.
func (b *Bounds) Ending() (Ending, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ending, b.err
}

// Taken is how many events the org has delivered.
func (b *Bounds) Taken() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

// Want says whether a record is part of the run; see [pipeline.LaneConfig].
func (b *Bounds) Want(meta transform.Meta, r *kgo.Record) bool {
	if b.run.To.Position == "" && !meta.Time.IsZero() {
		channel := header(r, "sf-channel")
		if to := b.until(channel); !to.IsZero() && !meta.Time.Before(to) {
			if !meta.Time.Before(to.Add(Margin)) {
				b.pass(channel)
			}
			return false
		}
	}
	return b.run.Filter.wants(meta.Object, header(r, "sf-change-type"), r.Key)
}

func header(r *kgo.Record, key string) string {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}

// pass notes that the end of a stream was passed. The poller acts upon it.
func (b *Bounds) pass(channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.open[channel]; ok {
		s.passed = true
	}
}

// Source watches over what a source brings that resumes streams.
func (b *Bounds) Source(open func(pipeline.SourceTrace) (pipeline.Source, error), resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
	b.begin(resume)
	subscribed, idle := trace.Subscribed, trace.Idle
	trace.Subscribed = func(channel string, on bool) {
		b.subscribed(channel, on)
		subscribed(channel, on)
	}
	trace.Idle = func() {
		idle()
		b.settled() // the org held a request for all streams to its end: there is no more
	}
	src, err := open(trace)
	if err != nil {
		return nil, err
	}
	return &bounded{Source: src, b: b}, nil
}

// begin is the beginning of a session. Streams whose end the last one had seen are
// read again: what it took and did not commit comes once more (I1). A stream whose
// durable position is the id that ends it has nothing left.
func (b *Bounds) begin(resume []pipeline.Resume) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.open)
	for _, r := range resume {
		if last := b.run.To.Position; last == "" || r.Start.After != last {
			b.open[r.Channel] = newOpenStream()
		}
	}
	b.quiet = time.Now()
	if len(b.open) == 0 {
		b.end(Reached, nil)
	}
}

func (b *Bounds) subscribed(channel string, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.open[channel]; ok {
		s.subscribed, s.since = on, time.Now()
	}
	b.quiet = time.Now()
}

// settled ends a run whose streams have no more to bring. One whose rows are being
// read goes on: its streams stay subscribed while they are (rule 1 of pipeline/rows.go).
func (b *Bounds) settled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading() || time.Since(b.rows.since()) < b.settle { // an event that a row has may be on its way
		return
	}
	if b.run.To.Position != "" && len(b.open) > 0 {
		b.end(TipReached, nil)
		return
	}
	b.end(Reached, nil)
}

// until is the end of a stream's events; zero while it is not known.
func (b *Bounds) until(channel string) time.Time {
	if b.rows == nil {
		return b.run.To.Time
	}
	return b.rows.until(channel)
}

// reading says whether rows of a stream are still to be read. The lock is held.
func (b *Bounds) reading() bool {
	for channel := range b.open {
		if b.run.To.Position == "" && b.until(channel).IsZero() {
			return true
		}
	}
	return false
}

// OutOfCalls ends a run that has made as many calls as it may.
func (b *Bounds) OutOfCalls() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(OutOfCalls, nil)
}

// end is called with the lock held.
func (b *Bounds) end(why Ending, err error) {
	if b.ending == Unfinished {
		b.ending, b.err = why, err
		b.stop()
	}
}

// bounded is a source that ends where the run does.
type bounded struct {
	pipeline.Source
	b *Bounds
	// held is what was read and waits for a seam. A call that ends meanwhile leaves it
	// to the next one, so that nothing that was taken is left out (I1).
	held *delivery
}

type delivery struct {
	batch pipeline.Batch
	err   error
}

// Next returns what is part of the run, and ends streams whose end was reached.
func (s *bounded) Next(ctx context.Context) (pipeline.Batch, error) {
	if s.held == nil {
		batch, err := s.read(ctx)
		s.held = &delivery{batch, err}
	}
	if err := s.b.sealed(ctx, s.held.batch); err != nil {
		return pipeline.Batch{}, err
	}
	got := s.held
	s.held = nil
	s.b.spent()
	return got.batch, got.err
}

func (s *bounded) read(ctx context.Context) (pipeline.Batch, error) {
	if err := s.close(s.b.passed()); err != nil {
		return pipeline.Batch{}, err
	}
	asking, cancel := context.WithCancel(ctx)
	fired := s.b.onceQuiet(cancel)
	batch, err := s.Source.Next(asking)
	quiet := fired() && ctx.Err() == nil
	if quiet && errors.Is(err, context.Canceled) {
		err = nil // it was us
	}
	batch, ended := s.b.cut(batch)
	if cerr := s.close(ended); cerr != nil {
		err = errors.Join(err, cerr)
	}
	if failed, ok := errors.AsType[*pipeline.SourceError](err); ok && failed.Condition == pipeline.LimitExceeded {
		s.b.exhausted(err)
	}
	if len(batch.Events) == 0 && err == nil && quiet {
		s.b.settled()
	}
	return batch, err
}

// onceQuiet calls f when every stream is subscribed and nothing has come for as long
// as it takes to believe that nothing will. The returned function ends the wait and
// says whether it was called.
func (b *Bounds) onceQuiet(f func()) (end func() bool) {
	ctx, cancel := context.WithCancel(context.Background())
	fired := make(chan bool, 1)
	go func() {
		for {
			t := time.NewTimer(b.untilQuiet())
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				fired <- false
				return
			}
			if b.untilQuiet() <= 0 {
				f()
				fired <- true
				return
			}
		}
	}()
	return func() bool {
		cancel()
		defer f()
		return <-fired
	}
}

// close ends the subscriptions of streams.
func (s *bounded) close(channels []string) error {
	for _, channel := range channels {
		if err := s.Source.Halt(channel); err != nil {
			return err
		}
	}
	return nil
}

// Halt ends a stream that a policy has halted: the others must not wait for it.
func (s *bounded) Halt(channel string) error {
	s.b.mu.Lock()
	if _, open := s.b.open[channel]; open {
		s.b.ended(channel)
	}
	s.b.mu.Unlock()
	return s.Source.Halt(channel)
}

// passed takes the streams off whose end was passed.
func (b *Bounds) passed() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for channel, s := range b.open {
		if s.passed {
			out = append(out, channel)
			b.ended(channel)
		}
	}
	return out
}

// ended is called with the lock held.
func (b *Bounds) ended(channel string) {
	delete(b.open, channel)
	if len(b.open) == 0 {
		b.end(Reached, nil)
	}
}

// cut drops events of streams that have ended and those behind the id that ends one,
// and returns the streams that ended.
func (b *Bounds) cut(batch pipeline.Batch) (pipeline.Batch, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(batch.Events) > 0 {
		b.quiet = time.Now()
	}
	b.taken += uint64(len(batch.Events))
	last := b.run.To.Position
	kept, bytes, met := batch.Events[:0], 0, false
	for _, ev := range batch.Events {
		if _, open := b.open[ev.Channel]; !open || met && ev.Position != string(last) {
			continue
		}
		met = met || last != "" && ev.Position == string(last)
		b.meet(&ev)
		kept, bytes = append(kept, ev), bytes+len(ev.Payload)
	}
	batch.Events, batch.Bytes = kept, bytes
	var ended []string
	if met { // events with one id are in one batch
		ended = []string{b.run.Streams[0].Channel}
		b.ended(ended[0])
	}
	return batch, ended
}

// spent ends a run that has taken as many events as it may.
func (b *Bounds) spent() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most > 0 && b.taken >= b.most {
		b.end(OutOfMoney, nil)
	}
}

func (b *Bounds) exhausted(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end(Exhausted, err)
}

// untilQuiet is how long nothing more has to come; all of it while a stream is not
// subscribed, or rows are read.
func (b *Bounds) untilQuiet() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading() {
		return b.settle
	}
	for _, s := range b.open {
		if !s.subscribed {
			return b.settle
		}
	}
	quiet := b.quiet
	if read := b.rows.since(); read.After(quiet) {
		quiet = read
	}
	return b.settle - time.Since(quiet)
}
