package sink

import (
	"context"
	"net"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl"
)

const (
	outcomeCommit = "commit"
	outcomeAbort  = "abort"
)

// mend ends what was found as its transaction ended elsewhere: by a transaction that
// has its partitions, no records, and its outcome.
func (p *Producer) mend(ctx context.Context, found []hanging, positions []*kgo.Record) error {
	id, epoch, err := p.cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	byOutcome := make(map[string][]hanging)
	for _, h := range found {
		outcome, err := p.outcome(ctx, h, positions)
		switch {
		case err != nil:
			return err
		case outcome == "":
			return p.torn(h, outcome, "neither its coordinator nor its position tell", nil)
		case h.by.id != id:
			return p.torn(h, outcome, "its producer id is used up", nil)
		}
		byOutcome[outcome] = append(byOutcome[outcome], h)
	}
	cl, err := p.aside(oldEnding())
	if err != nil {
		return err
	}
	defer cl.Close()
	for outcome, some := range byOutcome {
		if err := p.endAgain(ctx, cl, producerID{id, epoch}, some, outcome); err != nil {
			return err
		}
	}
	return nil
}

func (p *Producer) torn(h hanging, outcome, why string, err error) error {
	return &TornError{
		TransactionalID: p.cfg.TransactionalID, Topic: h.topic, Partition: h.partition,
		ProducerID: h.by.id, Offset: h.start, Outcome: outcome, Why: why, Err: err,
	}
}

// outcome is how the transaction ended, or "" if that cannot be found out.
func (p *Producer) outcome(ctx context.Context, h hanging, positions []*kgo.Record) (string, error) {
	if outcome := p.remembered(h); outcome != "" {
		return outcome, nil
	}
	return p.witnessed(ctx, h, positions)
}

// remembered is the same, of what the coordinator was asked for in time.
func (p *Producer) remembered(h hanging) string {
	for _, e := range []*ending{p.whole.last, p.whole.earlier} {
		if e != nil && e.by == h.by {
			return outcomeOf(e.commit)
		}
	}
	return ""
}

func outcomeOf(commit bool) string {
	if commit {
		return outcomeCommit
	}
	return outcomeAbort
}

// endAgain is a transaction of partitions without records. Once it has begun, the
// context of the caller does not cut it: if it is left open, it is aborted, and what
// it was to commit is lost.
func (p *Producer) endAgain(ctx context.Context, cl *kgo.Client, by producerID, some []hanging, outcome string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.TransactionTimeout)
	defer cancel()
	if err := p.addPartitions(ctx, cl, by, some); err != nil {
		return err
	}
	err := p.endAs(ctx, cl, by, outcome)
	if err != nil {
		return p.torn(some[0], outcome, "ending it there was not confirmed", err)
	}
	p.whole.due = false // what it leaves is known, and its markers are waited for by looking again
	_, err = p.settled(ctx)
	return err
}

// endAs asks for the end of the transaction that by has open.
func (p *Producer) endAs(ctx context.Context, cl *kgo.Client, by producerID, outcome string) error {
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch = p.cfg.TransactionalID, by.id, by.epoch
	end.Commit = outcome == outcomeCommit
	_, err := persistent(ctx, p, func(ctx context.Context) (struct{}, error) {
		resp, err := end.RequestWith(ctx, cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		return struct{}{}, err
	})
	return err
}

// finish ends the transaction d by which an older owner, which is gone, was about to end a
// torn one, if its position tells with what outcome.
func (p *Producer) finish(ctx context.Context, d kadm.DescribedTransaction, found []hanging) error {
	at := []*kgo.Record{{Topic: p.cfg.Positions.Topic, Partition: p.cfg.Positions.Partition}}
	var outcome string
	for _, h := range found {
		witnessed, err := p.witnessed(ctx, h, at)
		if err != nil {
			return err
		}
		if witnessed == "" || outcome != "" && witnessed != outcome {
			return nil // nobody knows: it is waited for, and told
		}
		outcome = witnessed
	}
	cl, err := p.aside(oldEnding())
	if err != nil {
		return err
	}
	defer cl.Close()
	// An owner that is not gone, but slow, may have ended it while the position was read,
	// and have begun one with records, which has the same epoch.
	now, err := p.settled(ctx)
	if err != nil || now.State != d.State || now.StartTimestamp != d.StartTimestamp {
		return err
	}
	return p.endAs(ctx, cl, p.id, outcome)
}

func (p *Producer) addPartitions(ctx context.Context, cl *kgo.Client, by producerID, some []hanging) error {
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch = p.cfg.TransactionalID, by.id, by.epoch
	for _, h := range some {
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = h.topic, []int32{h.partition}
		if n := len(add.Topics); n > 0 && add.Topics[n-1].Topic == h.topic {
			add.Topics[n-1].Partitions = append(add.Topics[n-1].Partitions, h.partition)
			continue
		}
		add.Topics = append(add.Topics, t)
	}
	_, err := persistent(ctx, p, func(ctx context.Context) (struct{}, error) {
		resp, err := add.RequestWith(ctx, cl)
		if err != nil {
			return struct{}{}, err
		}
		for _, t := range resp.Topics {
			for _, part := range t.Partitions {
				if part.ErrorCode != 0 && part.ErrorCode != kerr.OperationNotAttempted.Code {
					return struct{}{}, kerr.ErrorForCode(part.ErrorCode)
				}
			}
		}
		return struct{}{}, nil
	})
	return err
}

// oldEnding keeps to the requests of before KIP-890: the end of a transaction does
// not give the producer an epoch then that its client would not know of.
func oldEnding() kgo.Opt {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.AddPartitionsToTxn), 3)
	v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
	return kgo.MaxVersions(v)
}

// aside is a client for a moment that connects as the producer's does. It does not
// have the caller's other options: hooks may be for one client alone.
func (p *Producer) aside(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(p.brokers...), kgo.AlwaysRetryEOF())
	if id, ok := p.cl.OptValue(kgo.ClientID).(string); ok && id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	if dial, ok := p.cl.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error)); ok && dial != nil {
		opts = append(opts, kgo.Dialer(dial))
	}
	if logins, ok := p.cl.OptValue(kgo.SASL).([]sasl.Mechanism); ok {
		opts = append(opts, kgo.SASL(logins...))
	}
	return kgo.NewClient(opts...)
}
