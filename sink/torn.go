package sink

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A coordinator that has just started looks for the leaders of a transaction's
// partitions before it knows them, takes them for deleted, writes no markers into
// them, and regards the transaction as complete. What it left open is ended by the
// next transaction that meets the same partition, with an outcome of its own:
// records are lost, or come twice (I2). So a producer looks for it before it begins
// one.

// whole knows what is needed to find transactions that were torn.
type whole struct {
	blind   bool            // nobody tells how transactions ended
	bumps   bool            // each transaction has an epoch of its own
	earlier *ending         // before this producer took over
	last    *ending         // of this producer
	due     bool            // a transaction was ended since last was asked for
	doubts  map[string]bool // topics that have to be looked into
	touched []string        // the topics of the last transaction
	dialled int             // connections, when they were last looked into
}

// ending is how a transaction ended, as its coordinator remembers it.
type ending struct {
	by     producerID
	commit bool
}

// hanging is a transaction that is open in a partition.
type hanging struct {
	by        producerID
	topic     string
	partition int32
	start     int64 // offset of its first record
}

const looking = "looking for torn transactions"

// takeOver fetches the producer id, which fences the older owner (I7) and makes the
// coordinator forget how the last transaction ended. So that is asked first, and what
// was torn where the positions are is ended at once, whatever becomes of the caller:
// the markers there tell of the other partitions later.
func (p *Producer) takeOver(ctx context.Context) error {
	found, err := p.takeStock(ctx)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), p.cfg.TransactionTimeout)
		defer cancel()
	}
	p.id.id, p.id.epoch, err = p.cl.ProducerID(ctx)
	for err == nil && len(found) > 0 {
		if err = p.mend(ctx, found, nil); err == nil {
			found, err = p.hangingAt(ctx, p.cfg.Positions.Topic, p.cfg.Positions.Partition)
		}
	}
	return err
}

// takeStock returns what is torn where the positions are, once it is known how that
// ended. If it is not, another owner may be about to end it: nothing is known while it
// does, and to fence it then would abort what it does.
func (p *Producer) takeStock(ctx context.Context) (found []hanging, err error) {
	if p.cfg.Delivery != ExactlyOnce {
		return nil, nil
	}
	if p.whole.bumps, err = p.bumpsEpochs(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		d, err := p.settled(ctx)
		if err != nil || p.whole.blind || d.State == "" {
			return nil, err
		}
		p.id, p.whole.earlier = producerID{d.ProducerID, d.ProducerEpoch}, p.endingOf(d)
		if found, err = p.hangingBefore(ctx, d); err != nil {
			return nil, err
		}
		switch {
		case d.State == ongoing && !slices.ContainsFunc(found, func(h hanging) bool { return h.by != p.id }):
			if err := p.interrupt(ctx); err != nil {
				return nil, err
			}
			continue
		case d.State == ongoing && time.Since(began) > patience:
			if err := p.finish(ctx, d, found); err != nil && ctx.Err() == nil {
				return nil, err
			}
		case len(found) == 0, d.State != ongoing && p.remembered(found[0]) != "":
			return found, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil, ctx.Err()
			}
			return nil, p.torn(found[0], "", "no owner of the id is about to end it", nil)
		}
	}
}

const (
	ongoing = "Ongoing"
	// patience is how long an owner may be about to end a torn transaction before
	// somebody else does.
	patience = 2 * time.Second
)

// hangingBefore finds what is open where the positions are, and in the partitions of the
// transaction that the older owner has open: if it is of another epoch there, that
// transaction is one that ends a torn one, and must not be aborted.
func (p *Producer) hangingBefore(ctx context.Context, d kadm.DescribedTransaction) ([]hanging, error) {
	found, err := p.hangingAt(ctx, p.cfg.Positions.Topic, p.cfg.Positions.Partition)
	if err != nil || d.State != ongoing {
		return found, err
	}
	for _, in := range d.Topics.Sorted() {
		some, err := p.hangingAt(ctx, in.Topic, in.Partitions...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// interrupt aborts the open transaction of the older owner, as opening does. It is a
// request of its own since the coordinator tells how that ended only until it has given
// out a producer id, and to this request it gives none.
func (p *Producer) interrupt(ctx context.Context) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = &p.cfg.TransactionalID, -1, -1
	req.TransactionTimeoutMillis = int32(p.cfg.TransactionTimeout.Milliseconds())
	_, err := persistent(ctx, p, func(ctx context.Context) (none struct{}, _ error) {
		resp, err := req.RequestWith(ctx, p.cl)
		if err != nil || resp.ErrorCode == kerr.ConcurrentTransactions.Code {
			return none, err
		}
		return none, kerr.ErrorForCode(resp.ErrorCode)
	})
	return err
}

// settled returns what the coordinator says of the last transaction, once it regards
// that one as complete.
func (p *Producer) settled(ctx context.Context) (kadm.DescribedTransaction, error) {
	id := p.cfg.TransactionalID
	d, err := persistent(ctx, p, func(ctx context.Context) (d kadm.DescribedTransaction, err error) {
		all, err := p.adm.DescribeTransactions(ctx, id)
		if d = all[id]; err == nil {
			err = d.Err
		}
		if err == nil && strings.HasPrefix(d.State, "Prepare") {
			err = kerr.ConcurrentTransactions
		}
		return d, err
	})
	switch {
	case errors.Is(err, kerr.TransactionalIDNotFound):
		return d, nil
	case err != nil && p.cannotBeTold(err):
		p.whole.blind = true
		return d, nil
	}
	return d, err
}

// cannotBeTold reports whether brokers are too old for a question, or our rights too
// few. Then it is not asked again. What else went wrong says nothing of what is open.
func (p *Producer) cannotBeTold(err error) bool {
	_, refused := errors.AsType[*kerr.Error](err)
	return (refused || isTooOld(err)) && !p.passes(err) && !isSASL(err)
}

// bumpsEpochs reports whether the brokers give each transaction an epoch of its own
// (transaction.version 2).
func (p *Producer) bumpsEpochs(ctx context.Context) (bool, error) {
	resp, err := persistent(ctx, p, func(ctx context.Context) (*kmsg.ApiVersionsResponse, error) {
		return kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, p.cl)
	})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.FinalizedFeatures, func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
		return f.Name == "transaction.version" && f.MaxVersionLevel >= 2
	}), nil
}

// endingOf is nil unless d tells of a transaction that has ended. Where several have one
// epoch, it is the last of them that can be open: before each, that is looked for.
func (p *Producer) endingOf(d kadm.DescribedTransaction) *ending {
	e := &ending{by: producerID{d.ProducerID, d.ProducerEpoch}}
	switch d.State {
	case "CompleteCommit":
		e.commit = true
	case "CompleteAbort":
	default:
		return nil
	}
	if p.whole.bumps {
		e.by.epoch-- // it is that of the next one already
	}
	return e
}

// makeWhole ends what torn transactions have left open where the next one may write.
// It costs one request, unless a broker was connected to since it was last called:
// only one that has just started tears. Asking the coordinator first takes no longer
// than the next transaction would wait anyway for the last one's markers; and a
// connection to a coordinator that has started since is counted by then.
func (p *Producer) makeWhole(ctx context.Context, positions []*kgo.Record) error {
	w := &p.whole
	if w.blind {
		return nil
	}
	if w.due {
		d, err := p.settled(ctx)
		if err != nil {
			return err
		}
		w.last, w.due = p.endingOf(d), false
	}
	if dialled := p.watch.connections(); dialled != w.dialled {
		w.dialled = dialled
		for _, topic := range w.touched {
			w.doubts[topic] = true
		}
	}
	for len(w.doubts) > 0 {
		var found []hanging
		for _, topic := range slices.Sorted(maps.Keys(w.doubts)) {
			some, err := p.hangingAt(ctx, topic)
			if err != nil {
				return err
			}
			found = append(found, some...)
		}
		if len(found) == 0 {
			clear(w.doubts)
			break
		}
		if err := p.mend(ctx, found, positions); err != nil { // and look again: that may be torn as well
			return err
		}
	}
	return nil
}

// hangingAt finds what is open of this transactional id in partitions of a topic, or in
// all of them. At this time nothing should be.
func (p *Producer) hangingAt(ctx context.Context, topic string, partitions ...int32) (found []hanging, _ error) {
	if topic == "" {
		return nil, nil
	}
	described, err := p.describeProducers(ctx, topic, partitions...)
	if err != nil {
		return nil, err
	}
	for _, part := range described[topic].Partitions {
		for _, d := range part.ActiveProducers {
			if d.CurrentTxnStartOffset >= 0 && p.ours(d.ProducerID) {
				found = append(found, hanging{producerID{d.ProducerID, d.ProducerEpoch}, topic, part.Partition, d.CurrentTxnStartOffset})
			}
		}
	}
	return found, nil
}

// doubtGone is how long a topic is asked for that the brokers do not list: one that
// has just started does not know all of them.
const doubtGone = 3 * time.Second

// describeProducers is nil where a topic is gone, or may not be read.
func (p *Producer) describeProducers(ctx context.Context, topic string, partitions ...int32) (kadm.DescribedProducersTopics, error) {
	set, least := kadm.TopicsSet{}, len(partitions)
	if set.Add(topic, partitions...); least == 0 {
		least = p.topics[topic].Partitions
	}
	gone := time.Now().Add(doubtGone)
	described, err := persistent(ctx, p, func(ctx context.Context) (kadm.DescribedProducersTopics, error) {
		all, err := p.adm.DescribeProducers(ctx, set)
		parts := all[topic].Partitions
		for _, part := range parts {
			if err == nil {
				err = part.Err
			}
		}
		if err == nil && len(parts) < least {
			err = kerr.UnknownTopicOrPartition
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) && time.Now().After(gone) {
			return all, nil
		}
		return all, err
	})
	if err != nil && p.cannotBeTold(err) {
		return nil, nil
	}
	return described, err
}

// ours reports whether id is, or was until it was used up, that of this producer.
func (p *Producer) ours(id int64) bool {
	return id == p.id.id || p.whole.earlier != nil && id == p.whole.earlier.by.id || p.whole.last != nil && id == p.whole.last.by.id
}

// persistent repeats call while the answer is "not now", or none, until the end of
// ctx, which is its error then. The markers of a transaction are written within a
// millisecond or two, and so few questions may follow each other without a pause: a
// timer's is as long as the whole transaction.
func persistent[T any](ctx context.Context, p *Producer, call func(context.Context) (T, error)) (T, error) {
	const atOnce = 5
	pause := time.Millisecond
	for asked := 1; ; asked++ {
		v, err := within(ctx, p, call)
		if err == nil || !p.passes(err) {
			return v, err
		}
		if asked < atOnce && errors.Is(err, kerr.ConcurrentTransactions) && ctx.Err() == nil {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return v, ctx.Err()
		}
		pause = min(pause+pause/2, 500*time.Millisecond)
	}
}

// passes reports whether the same question may be answered later.
func (p *Producer) passes(err error) bool {
	return errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.UnknownServerError) || kerr.IsRetriable(err) || p.isTransport(err)
}
