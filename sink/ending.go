package sink

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// producerID is what the brokers know a producer by.
type producerID struct {
	id    int64
	epoch int16
}

// begin begins a transaction, if there are any. bounded is ctx, which is the caller's, within
// the time that a transaction may take.
func (p *Producer) begin(ctx, bounded context.Context, positions []*kgo.Record) error {
	const doing = "beginning a transaction"
	if p.cfg.Delivery != ExactlyOnce {
		return nil
	}
	if err := p.makeWhole(bounded, positions); err != nil {
		if is[*TornError](err) {
			return err
		}
		return p.explained(ctx, err, looking)
	}
	if err := p.cl.BeginTransaction(); err != nil {
		return p.typed(err, "", doing)
	}
	var err error
	if p.id.id, p.id.epoch, err = p.cl.ProducerID(bounded); err != nil {
		return p.typed(err, "", doing)
	}
	return nil
}

var errRenewed = errors.New("the client had to renew its producer id, which aborts what was written before")

// sameProducer returns errRenewed if the transaction to be ended is not the one
// that was begun. Where a broker has forgotten a producer because what it wrote
// was deleted, the client renews its id at the coordinator and goes on: that
// aborts the transaction, and what is written from then on begins another, which
// has the position and not the records, or the other way round (I2).
func (p *Producer) sameProducer(ctx context.Context) error {
	id, epoch, err := p.cl.ProducerID(ctx)
	if err == nil && p.id != (producerID{id, epoch}) {
		return errRenewed
	}
	return nil // without an id, the request that follows says what is wrong
}

// abort takes back everything of the commit under way, also when its context
// has ended. A nil error means that nothing of it will ever be visible.
func (p *Producer) abort(ctx context.Context) error {
	if err := p.abortWithin(context.WithoutCancel(ctx)); err != nil {
		return p.notAborted(ctx, err)
	}
	return nil
}

// abortWithin is bounded by ctx and Config.Grace. Its error is the client's.
func (p *Producer) abortWithin(ctx context.Context) error {
	actx, cancel := context.WithTimeout(ctx, p.cfg.Grace)
	defer cancel()
	if err := p.cl.AbortBufferedRecords(actx); err != nil {
		return err
	}
	return p.endTransaction(actx, kgo.TryAbort)
}

// notAborted gives the failure of an abort its type.
func (p *Producer) notAborted(ctx context.Context, err error) error {
	if p.cfg.Delivery == AtLeastOnce {
		const doing = "waiting for requests in flight"
		if stalled := p.stalled(ctx, err, doing); stalled != nil {
			return stalled
		}
		return p.unreachable(err, doing)
	}
	const doing = "aborting"
	switch {
	case isFenced(err):
		return p.typed(err, "", doing)
	case isForgotten(err):
		return p.aborted(err) // there is nothing left to abort
	default:
		return &UnknownOutcomeError{TransactionalID: p.cfg.TransactionalID, Step: stepAbort, Err: p.explained(ctx, err, doing)}
	}
}

func (p *Producer) aborted(err error) error {
	return &AbortedError{TransactionalID: p.cfg.TransactionalID, Err: err}
}

// end commits the transaction. From here on the context of the caller does not
// cut the request: nobody could say any more what became of it.
func (p *Producer) end(ctx context.Context) error {
	if p.cfg.Delivery == AtLeastOnce {
		return nil
	}
	if ctx.Err() != nil {
		if err := p.abort(ctx); err != nil {
			return err
		}
		return p.ended(ctx, ctx.Err())
	}
	ectx, cancel := lingering(ctx, p.cfg.TransactionTimeout, p.cfg.Grace)
	defer cancel()
	err := p.sameProducer(ectx)
	if err == nil {
		err = p.endTransaction(ectx, kgo.TryCommit)
	}
	switch {
	case err == nil:
		return nil
	case isFenced(err):
		return p.typed(err, "", "committing")
	case errors.Is(err, errRenewed), errors.Is(err, kerr.OperationNotAttempted), errors.Is(err, kerr.TransactionAbortable):
		// All of them say that nothing was committed, and that an abort is due.
		if aerr := p.abort(ctx); aerr != nil {
			return aerr
		}
		return p.aborted(err)
	default:
		// Whatever else came may be the answer to a repeated request whose
		// first copy did commit.
		return &UnknownOutcomeError{TransactionalID: p.cfg.TransactionalID, Step: stepCommit, Err: p.explained(ctx, err, "committing")}
	}
}

// endTransaction ends the transaction, if there are any, and only after the
// client has noted which partitions are in it.
//
// The client collects them from its table of topics. A topic enters that table
// only after the records that waited for it were handed on, so that they can be
// acknowledged first. EndTransaction would then find no partition, send no
// commit (or, since KIP-890, an abort instead of it), and return nil: the first
// commit of a producer would be reported and lost.
func (p *Producer) endTransaction(ctx context.Context, how kgo.TransactionEndTry) error {
	if p.cfg.Delivery != ExactlyOnce {
		return nil
	}
	for topic, partition := range p.open.ackedTopics() {
		for pause := time.Millisecond; !p.listed(topic, partition); pause = min(2*pause, 100*time.Millisecond) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	p.whole.due = true
	_, err := within(ctx, p, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.cl.EndTransaction(ctx, how)
	})
	return err
}

// listed reports whether the client's table of topics has the partition. One
// that has lost its leader is in it, with an error.
func (p *Producer) listed(topic string, partition int32) bool {
	leader, _, err := p.cl.PartitionLeader(topic, partition)
	return leader >= 0 || err != nil
}

// lingering returns a context that outlives ctx by grace, and ends after limit
// in any case.
func lingering(ctx context.Context, limit, grace time.Duration) (context.Context, context.CancelFunc) {
	lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(lctx, func() { t.Stop() })
	})
	return lctx, func() {
		stop()
		cancel()
	}
}
