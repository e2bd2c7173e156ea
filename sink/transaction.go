package sink

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// commit is one transaction, or two if the first one has to be repeated to find
// the record that is too large. A *RecordTooLargeError comes apart from the
// other errors, since it alone leaves the producer usable.
func (p *Producer) commit(ctx context.Context, records, positions []*kgo.Record) (*RecordTooLargeError, error) {
	bounded, cancel := context.WithTimeout(ctx, p.cfg.TransactionTimeout)
	defer cancel()
	if err := p.ensure(bounded, records, positions); err != nil {
		return nil, p.ended(ctx, err)
	}
	for {
		e, err := p.oversized(bounded, records)
		if err != nil {
			return nil, p.ended(ctx, err)
		}
		if e != nil {
			return e, nil // nothing was begun
		}
		if err := p.begin(ctx, bounded, positions); err != nil {
			return nil, p.ended(ctx, err)
		}
		fail := p.produce(bounded, records, positions)
		if fail == nil {
			return nil, p.end(ctx)
		}
		switch {
		case isFenced(fail.err):
			// The coordinator aborted it already, or will for the new owner.
			return nil, p.typed(fail.err, fail.topic(), "producing")
		case isForgotten(fail.err):
			return nil, p.aborted(fail.err)
		}
		if err := p.abort(ctx); err != nil {
			return nil, err
		}
		if !isTooLarge(fail.err) || fail.index(records) < 0 {
			return nil, p.ended(ctx, p.refused(ctx, fail, records))
		}
		if e := p.culprit(fail, records); e != nil {
			return e, nil
		}
		p.alone[fail.record.Topic] = true
	}
}

// ended prefers the end of the caller's context over what it led to.
func (p *Producer) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || is[*UnreachableError](err)) {
		return &endedError{delivery: p.cfg.Delivery, err: ctx.Err(), cause: context.Cause(ctx)}
	}
	return err
}

// endedError says that the caller's context ended a commit, cleanly.
type endedError struct {
	delivery   Delivery
	err, cause error
}

func (e *endedError) Error() string {
	if e.delivery == AtLeastOnce {
		return "commit given up, some records may have been written: " + e.cause.Error()
	}
	return "commit given up, nothing was written: " + e.cause.Error()
}

func (e *endedError) Unwrap() []error { return []error{e.err, e.cause} }

// failure is the first record that could not be produced. The record is nil if
// the wait for all of them ended instead.
type failure struct {
	record *kgo.Record
	err    error
	single bool // it was the only record of its batch
}

func (f *failure) topic() string {
	if f.record == nil {
		return ""
	}
	return f.record.Topic
}

// index is the place of the failed record in records, or -1.
func (f *failure) index(records []*kgo.Record) int {
	if f.record == nil {
		return -1
	}
	return slices.Index(records, f.record)
}

// refused gives the failure of a record, whose transaction was aborted, its type.
func (p *Producer) refused(ctx context.Context, f *failure, records []*kgo.Record) error {
	const doing = "producing"
	if p.cfg.Delivery == ExactlyOnce && isAbortable(f.err) {
		return p.aborted(f.err)
	}
	if err := p.stalled(ctx, f.err, doing); err != nil {
		return err
	}
	if err := p.kind(f.err, f.topic(), doing); err != nil {
		if e, ok := errors.AsType[*TopicError](err); ok && f.record != nil && f.index(records) < 0 {
			// Nobody creates a positions topic anew: it is lost, with what it held.
			e.transient, e.Hint = false, "the positions are in it: restore it"
		}
		return err
	}
	if f.record == nil {
		return f.err
	}
	return &RejectedError{Topic: f.topic(), Partition: f.record.Partition, Index: f.index(records), Err: f.err}
}

// culprit says which record was too large, or nil if a whole batch was refused
// and it is not known which of its records is at fault.
func (p *Producer) culprit(f *failure, records []*kgo.Record) *RecordTooLargeError {
	size := aloneSize(f.record)
	e := &RecordTooLargeError{Index: f.index(records), Topic: f.record.Topic, Size: size}
	if limit := int(p.limits.forClient(f.record.Topic)); size+lengthSlack > limit {
		e.Limit = limit
		return e
	}
	if f.single || p.alone[e.Topic] {
		return e
	}
	return nil
}

// delivery collects the acknowledgements of what was handed to the client.
type delivery struct {
	records, positions []*kgo.Record

	wg   sync.WaitGroup
	stop context.CancelFunc // ends the wait at the first failure

	mu    sync.Mutex
	first *failure
	acked map[string]int32 // topic -> a partition of it that acknowledged
}

func (d *delivery) promise(r *kgo.Record, err error) {
	d.mu.Lock()
	if err == nil {
		d.acked[r.Topic] = r.Partition
	} else if d.first == nil {
		d.first = &failure{record: r, err: err}
	}
	d.mu.Unlock()
	if err != nil {
		d.stop()
	}
	d.wg.Done()
}

// release lets go of the records, which are the caller's: a lane may be idle for
// long after this commit.
func (d *delivery) release() {
	if d != nil {
		d.records, d.positions = nil, nil
	}
}

// ackedTopics returns a copy of acked; a nil delivery has none.
func (d *delivery) ackedTopics() map[string]int32 {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.acked)
}

func (d *delivery) failure() *failure {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.first
}

// produce hands over everything and waits until all of it is acknowledged.
// Without a transaction the positions wait for the records, so that a position
// is never durable before what it stands for (I2).
func (p *Producer) produce(ctx context.Context, records, positions []*kgo.Record) *failure {
	if p.cfg.Delivery == AtLeastOnce {
		if fail := p.send(ctx, records, nil); fail != nil {
			return fail
		}
		return p.send(ctx, nil, positions)
	}
	return p.send(ctx, records, positions)
}

func (p *Producer) send(ctx context.Context, records, positions []*kgo.Record) *failure {
	sctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &delivery{records: records, positions: positions, stop: stop, acked: make(map[string]int32)}
	p.open = d
	p.whole.touched = d.topics()
	one := func(r *kgo.Record, rctx context.Context) {
		// Set in every commit: the client keeps the context of the first
		// attempt, which has ended by now, and would fail the record for it.
		r.Context = rctx
		d.wg.Add(1)
		p.cl.Produce(sctx, r, d.promise)
	}
	for _, r := range records {
		if p.alone[r.Topic] {
			if fail := p.sendAlone(sctx, d, r, one); fail != nil {
				return fail
			}
			continue
		}
		one(r, sctx)
		if sctx.Err() != nil {
			break
		}
	}
	pctx := fixed(sctx)
	for _, r := range positions {
		one(r, pctx)
	}
	return p.wait(sctx, d)
}

// sendAlone makes r the only record of its batch.
func (p *Producer) sendAlone(ctx context.Context, d *delivery, r *kgo.Record, one func(*kgo.Record, context.Context)) *failure {
	if fail := p.wait(ctx, d); fail != nil {
		return fail
	}
	one(r, ctx)
	fail := p.wait(ctx, d)
	if fail != nil {
		fail.single = true
	}
	return fail
}

// wait returns when every record handed over so far is acknowledged, or with
// the first failure.
func (p *Producer) wait(ctx context.Context, d *delivery) *failure {
	err := p.cl.Flush(ctx)
	if err == nil {
		// A record that failed before it was buffered does not count for the
		// flush: its promise may still be on its way, but needs no network.
		d.wg.Wait()
	}
	if fail := d.failure(); fail != nil {
		// The first failure cancels the other records of the commit, so that
		// context.Canceled comes from the commit's own context only.
		return fail
	}
	if err != nil {
		return &failure{err: err}
	}
	return nil
}
