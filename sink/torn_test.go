package sink

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// remnant makes the fake say that the producer's last transaction is complete, with
// that outcome, and still open in a partition of the records, until one ends that has
// the partition.
type remnant struct {
	partition int32
	open      atomic.Bool
	ends      atomic.Value // outcome and version of the request that ended it
}

func (r *rig) remnant(t *testing.T, state string) *remnant {
	t.Helper()
	const start = 7
	left := &remnant{partition: 1}
	left.open.Store(true)
	id, epoch, err := r.p.cl.ProducerID(testCtx(t))
	if err != nil {
		t.Fatal(err)
	}
	r.c.ControlKey(int16(kmsg.DescribeTransactions), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		r.c.KeepControl()
		resp := kreq.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		st := kmsg.NewDescribeTransactionsResponseTransactionState()
		st.TransactionalID, st.State, st.ProducerID, st.ProducerEpoch = r.cfg.TransactionalID, state, id, epoch
		resp.TransactionStates = append(resp.TransactionStates, st)
		return resp, nil, true
	})
	r.c.ControlKey(int16(kmsg.DescribeProducers), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		r.c.KeepControl()
		resp := kreq.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, rt := range kreq.(*kmsg.DescribeProducersRequest).Topics {
			st := kmsg.NewDescribeProducersResponseTopic()
			st.Topic = rt.Topic
			for _, p := range rt.Partitions {
				sp := kmsg.NewDescribeProducersResponseTopicPartition()
				sp.Partition = p
				if rt.Topic == r.topic && p == left.partition && left.open.Load() {
					producer := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					producer.ProducerID, producer.ProducerEpoch, producer.CurrentTxnStartOffset = id, int32(epoch), start
					if r.p.whole.bumps {
						producer.ProducerEpoch--
					}
					sp.ActiveProducers = append(sp.ActiveProducers, producer)
				}
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
	var added atomic.Bool
	r.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Observe: true, Count: -1, When: func(kreq kmsg.Request) bool {
		topics := kreq.(*kmsg.AddPartitionsToTxnRequest).Topics
		added.Store(len(topics) == 1 && topics[0].Topic == r.topic && len(topics[0].Partitions) == 1 && topics[0].Partitions[0] == left.partition)
		return true
	}})
	r.c.Fault(kfake.Fault{Keys: onEnd, Observe: true, Count: -1, When: func(kreq kmsg.Request) bool {
		if end := kreq.(*kmsg.EndTxnRequest); added.Load() && left.open.CompareAndSwap(true, false) {
			left.ends.Store(fmt.Sprintf("%s, version %d", outcomeOf(end.Commit), end.Version))
		}
		return true
	}})
	r.net.drop()
	return left
}

// testTorn has a producer go on that was cut off after its last transaction.
func testTorn(t *testing.T) {
	for state, outcome := range map[string]string{"CompleteCommit": outcomeCommit, "CompleteAbort": outcomeAbort} {
		// Version 5 gives the producer an epoch that its client would not know of.
		for version, opts := range map[int][]kfake.Opt{4: nil, 3: {kfake.MaxVersions(kversion.V3_6_0())}} {
			t.Run(fmt.Sprintf("%s, version %d", outcome, version), func(t *testing.T) {
				t.Parallel()
				r := rigOn(t, newFake(t, opts...))
				left := r.remnant(t, state)
				if err := r.commit(t); err != nil {
					t.Fatal(err)
				}
				if got, want := left.ends.Load(), fmt.Sprintf("%s, version %d", outcome, version); got != want {
					t.Errorf("it was ended by %v, want %s", got, want)
				}
				r.reopened(t, true)
			})
		}
	}
}

// testTornUnknown has nobody who knows how the transaction ended: its coordinator says
// that there was none, and there are no positions.
func testTornUnknown(t *testing.T) {
	r := newRig(t)
	left := r.remnant(t, "Empty")
	err := r.p.Commit(testCtx(t), []*kgo.Record{record(r.topic, "a", "2")}, nil)
	e := wantError[*TornError](t, err, false, r.topic, r.cfg.TransactionalID, "nobody knows", "kafka-transactions.sh abort")
	if e.Partition != left.partition || e.Offset != 7 || e.Outcome != "" {
		t.Errorf("%+v", e)
	}
	if r.p.usable() == nil {
		t.Error("the producer takes another commit")
	}
	if left.ends.Load() != nil {
		t.Errorf("it was ended by %v", left.ends.Load())
	}
	left.open.Store(false) // by an operator
	r.reopened(t, false)
}

// A used up producer id cannot end what was begun with it.
func TestTornOfAnotherID(t *testing.T) {
	r := newRig(t)
	if err := r.commit(t); err != nil {
		t.Fatal(err)
	}
	left := r.remnant(t, "CompleteCommit")
	h := hanging{by: producerID{r.p.id.id - 1, 3}, topic: r.topic, partition: left.partition}
	r.p.whole.earlier = &ending{by: h.by, commit: true}
	err := r.p.mend(testCtx(t), []hanging{h}, nil)
	if e := wantError[*TornError](t, err, false, "used up"); e.Outcome != outcomeCommit {
		t.Errorf("%+v", e)
	}
}

// Brokers that are too old for the questions, or rights that are too few, stop nobody.
func TestTornCannotBeTold(t *testing.T) {
	producers, transactions := []kmsg.Key{kmsg.DescribeProducers}, []kmsg.Key{kmsg.DescribeTransactions}
	for name, faults := range map[string][]kfake.Fault{
		"no Read on topics": {fault(producers, kerr.TopicAuthorizationFailed, -1)},
		"no Describe on id": {fault(transactions, kerr.TransactionalIDAuthorizationFailed, -1)},
		"refused":           {fault(producers, kerr.UnsupportedVersion, -1), fault(transactions, kerr.UnsupportedVersion, -1)},
		"Kafka 2.7":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opts []kfake.Opt
			if faults == nil {
				opts = append(opts, kfake.MaxVersions(kversion.V2_7_0()))
			}
			c := newFake(t, opts...)
			c.Fault(faults...)
			r := rigOn(t, c, func(cfg *Config) { cfg.Positions = Place{Topic: unique(t, "positions"), Partition: 0} })
			r.net.drop()
			if err := r.commit(t); err != nil {
				t.Fatal(err)
			}
			r.reopened(t, true)
		})
	}
}

// As long as no connection is made, a commit asks the coordinator once, and no
// partition.
func TestLookingForTornIsCheap(t *testing.T) {
	r := newRig(t)
	var asked [2]atomic.Int32
	for i, key := range []kmsg.Key{kmsg.DescribeTransactions, kmsg.DescribeProducers} {
		r.c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Observe: true, Count: -1, When: func(kmsg.Request) bool {
			asked[i].Add(1)
			return true
		}})
	}
	const warm, commits = 2, 20
	for i := range warm + commits {
		if i == warm {
			asked[0].Store(0)
			asked[1].Store(0)
		}
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
	}
	if t0, p0 := asked[0].Load(), asked[1].Load(); t0 != commits || p0 != 0 {
		t.Errorf("%d commits asked the coordinator %d times, and for partitions %d times", commits, t0, p0)
	}
}
