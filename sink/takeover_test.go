package sink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// halfEnded is a rig whose producer has begun to end its last transaction, which is
// committed, in partition 1 of the records, where it is still open.
type halfEnded struct {
	*rig
	cl *kgo.Client // that ends it
	by producerID
	// closed is set as the transaction is no longer open there.
	closed atomic.Bool
}

func newHalfEnded(t *testing.T) *halfEnded {
	t.Helper()
	r := &halfEnded{rig: newRig(t, func(c *Config) { c.TransactionTimeout = 20 * time.Second })}
	if !r.p.whole.bumps {
		t.Fatal("transactions have no epochs of their own")
	}
	var err error
	if r.by.id, r.by.epoch, err = r.p.cl.ProducerID(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	if r.cl, err = r.p.aside(oldEnding()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cl.Close)
	if err := r.p.addPartitions(testCtx(t), r.cl, r.by, []hanging{{topic: r.topic, partition: 1}}); err != nil {
		t.Fatal(err)
	}
	r.c.ControlKey(int16(kmsg.DescribeProducers), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		r.c.KeepControl()
		topics := kreq.(*kmsg.DescribeProducersRequest).Topics
		if r.closed.Load() || topics[0].Topic != r.topic {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.DescribeProducersResponse)
		in := kmsg.NewDescribeProducersResponseTopic()
		in.Topic = r.topic
		for _, partition := range topics[0].Partitions {
			part := kmsg.NewDescribeProducersResponseTopicPartition()
			part.Partition = partition
			if partition == 1 {
				active := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
				active.ProducerID, active.ProducerEpoch, active.CurrentTxnStartOffset = r.by.id, int32(r.by.epoch)-1, 7
				part.ActiveProducers = append(part.ActiveProducers, active)
			}
			in.Partitions = append(in.Partitions, part)
		}
		resp.Topics = append(resp.Topics, in)
		return resp, nil, true
	})
	return r
}

// goOn has the producer end the torn transaction, and begin one with a record.
func (r *halfEnded) goOn(t *testing.T) error {
	ctx := testCtx(t)
	if err := r.p.endAs(ctx, r.cl, r.by, outcomeCommit); err != nil {
		return err
	}
	r.closed.Store(true)
	if err := r.p.cl.BeginTransaction(); err != nil {
		return err
	}
	return r.p.cl.ProduceSync(ctx, record(r.topic, "a", "half")).FirstErr()
}

// An owner that is slow, and not gone, ends a torn transaction while the next one finds
// out how. Its next transaction has the same epoch, and is not committed by halves.
func TestTornEndedBySlowOwner(t *testing.T) {
	t.Parallel()
	r := newHalfEnded(t)
	went := errors.New("nobody read the position")
	var once sync.Once
	r.c.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.c.SleepControl(func() { once.Do(func() { went = r.goOn(t) }) })
		return nil, nil, false
	})
	cfg := r.cfg
	cfg.Positions = Place{r.pos, 0}
	next := mustOpen(t, cfg)
	if went != nil {
		t.Fatal(went)
	}
	mustCommit(t, next, []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.topic), "1", "2")
	wantValues(t, readAll(t, r.c.ListenAddrs(), r.pos), "p1", "p2")
}

// What opening waits for in vain is told, also if its time is up while it reads the
// positions.
func TestTornToldWhenTimeIsUp(t *testing.T) {
	t.Parallel()
	r := newHalfEnded(t)
	cfg := r.cfg
	cfg.Positions = Place{r.pos, 3} // where nothing is
	cfg.Grace, cfg.OpenTimeout = 10*time.Second, patience+time.Second
	_, err := Open(testCtx(t), cfg)
	if e := wantError[*TornError](t, err, false, r.topic, "no owner"); e.Partition != 1 || e.Offset != 7 {
		t.Errorf("%+v", e)
	}
}

// The partitions of an open transaction are asked for together: each topic may be one
// that is gone, and be waited for.
func TestTakingOverAsksTopicsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.p.cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if err := r.p.cl.ProduceSync(testCtx(t), record(r.topic, key, "half")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var asked, partitions atomic.Int32
	r.c.ControlKey(int16(kmsg.DescribeProducers), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		r.c.KeepControl()
		asked.Add(1)
		for _, in := range kreq.(*kmsg.DescribeProducersRequest).Topics {
			partitions.Add(int32(len(in.Partitions)))
		}
		return nil, nil, false
	})
	mustOpen(t, r.cfg)
	if asked.Load() != 1 || partitions.Load() != 3 {
		t.Errorf("it asked %d times for %d partitions", asked.Load(), partitions.Load())
	}
}

// An error that says nothing about the question is not taken for a refusal to answer.
func TestTornUnforeseen(t *testing.T) {
	r := newRig(t)
	if r.p.cannotBeTold(errors.New("unknown broker")) {
		t.Error("nothing would be looked for any more")
	}
}

// Once the caller has gone, no further end of a torn transaction is begun.
func TestTornNotBegunAfterCancel(t *testing.T) {
	r := newRig(t)
	left := r.remnant(t, "CompleteCommit")
	ctx, cancel := context.WithCancel(testCtx(t))
	cancel()
	err := r.p.endAgain(ctx, r.p.cl, producerID{1, 1}, []hanging{{topic: r.topic, partition: left.partition}}, outcomeCommit)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// A look into topics that nothing was written to yet tells what they lack.
func TestFirstLookForTornTellsWhatTopicsLack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := mustOpen(t, r.cfg)
	for _, topic := range []string{r.topic, r.pos} {
		if _, err := p.Topic(testCtx(t), topic); err != nil {
			t.Fatal(err)
		}
	}
	r.c.Fault(fault([]kmsg.Key{kmsg.DescribeProducers}, kerr.NotLeaderForPartition, -1))
	leaderless(t, r)
	err := p.Commit(testCtx(t), []*kgo.Record{record(r.topic, "a", "2")}, r.position(0, "p2"))
	wantError[*StalledError](t, err, true, looking, r.topic, "has no leader")
}
