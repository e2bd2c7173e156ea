package sink

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// passing is what the client gets over by itself while a commit is under way.
func passing() map[string]func(t *testing.T) {
	return map[string]func(t *testing.T){
		"request-lost":         both(lost(false)),
		"answer-lost":          both(lost(true)),
		"leader-moves":         both(testLeaderMoves),
		"leader-unknown":       both(passes(kmsg.Produce, kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch)),
		"too-few-replicas":     both(passes(kmsg.Produce, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend)),
		"disk-full-for-once":   both(passes(kmsg.Produce, kerr.KafkaStorageError)),
		"concurrent":           once(passes(kmsg.Produce, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions)),
		"concurrent-at-end":    once(passes(kmsg.EndTxn, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions)),
		"coordinator-moves":    once(testCoordinatorMoves),
		"coordinator-unknown":  once(passes(kmsg.EndTxn, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress)),
		"throttled":            both(testThrottled),
		"creation-put-off":     testCreationPutOff,
		"sequence-alone":       alone(kerr.OutOfOrderSequenceNumber),
		"producer-alone":       alone(kerr.UnknownProducerID),
		"coordinator-on-start": testOpenWaits,
		"torn":                 testTorn,
	}
}

// lost cuts the connection at a produce request, before the broker has it or
// after it has written what is in it.
func lost(after bool) func(t *testing.T, change func(*Config)) {
	return func(t *testing.T, change func(*Config)) {
		r := newRig(t, change)
		hit := false
		if after {
			r.c.Fault(kfake.Fault{Keys: onProduce, Observe: true, When: func(kmsg.Request) bool {
				hit = true
				r.net.drop()
				return true
			}})
		} else {
			r.c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				hit = true
				return nil, errors.New("lost"), true
			})
		}
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
		if !hit {
			t.Error("no connection was lost")
		}
		r.reopened(t, true)
	}
}

// drop ends the connections that there are. New ones may be made.
func (g *gate) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

func testLeaderMoves(t *testing.T, change func(*Config)) {
	c := newFake(t, kfake.NumBrokers(3))
	r := rigOn(t, c, change)
	var want []string
	for round := range 4 {
		for _, topic := range []string{r.topic, r.pos} {
			for partition := range int32(3) {
				if err := c.MoveTopicPartition(topic, partition, (c.LeaderFor(topic, partition)+1)%3); err != nil {
					t.Fatal(err)
				}
			}
		}
		mustCommit(t, r.p, r.batch(100*round, 20), r.position(0, "p"))
		for i := range 20 {
			want = append(want, fmt.Sprint(100*round+i))
		}
	}
	wantValues(t, readAll(t, c.ListenAddrs(), r.topic), append(want, "1")...)
}

func testCoordinatorMoves(t *testing.T, change func(*Config)) {
	c := newFake(t, kfake.NumBrokers(3))
	r := rigOn(t, c, change)
	moved := 0
	for range 6 {
		before := c.CoordinatorFor(r.cfg.TransactionalID)
		c.RehashCoordinators()
		if c.CoordinatorFor(r.cfg.TransactionalID) != before {
			moved++
		}
		mustCommit(t, r.p, nil, r.position(0, "p"))
	}
	if moved == 0 {
		t.Error("the coordinator did not move once")
	}
	if err := r.commit(t); err != nil {
		t.Fatal(err)
	}
	wantValues(t, readAll(t, c.ListenAddrs(), r.topic), "1", "2")
}

func testThrottled(t *testing.T, change func(*Config)) {
	r := newRig(t, change)
	const wait = 600 * time.Millisecond
	throttle(r.c, 1, wait)
	began := time.Now()
	if err := r.commit(t); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < wait {
		t.Errorf("took %s: the client does not keep to the quota", took)
	}
	r.reopened(t, true)
}

func testCreationPutOff(t *testing.T) {
	c := newFake(t)
	cfg := config(t, c.ListenAddrs())
	cfg.TransactionTimeout = 4 * time.Second
	h := c.Fault(fault([]kmsg.Key{kmsg.CreateTopics}, kerr.ThrottlingQuotaExceeded, 2))
	p := mustOpen(t, cfg)
	topic := unique(t, "records")
	mustCommit(t, p, []*kgo.Record{record(topic, "a", "1")}, nil)
	if h.Hits() != 2 {
		t.Errorf("%d faults met, want 2", h.Hits())
	}
	h = c.Fault(fault([]kmsg.Key{kmsg.CreateTopics}, kerr.ThrottlingQuotaExceeded, -1))
	err := p.Commit(testCtx(t), []*kgo.Record{record(unique(t, "other"), "a", "2")}, nil)
	wantError[*TopicError](t, err, true, "put off")
	h.Remove()
	mustCommit(t, mustOpen(t, cfg), []*kgo.Record{record(topic, "a", "3")}, nil)
	wantValues(t, readAll(t, c.ListenAddrs(), topic), "1", "3")
}

// alone is what a producer without transactions does when a broker has lost its
// memory of it: the client takes a new epoch and repeats what was refused.
func alone(cause *kerr.Error) func(t *testing.T) {
	return func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Delivery = AtLeastOnce })
		h := r.c.Fault(fault(onProduce, cause, 1))
		if err := r.commit(t); err != nil {
			t.Fatal(err)
		}
		if h.Hits() != 1 {
			t.Error("no fault was met")
		}
		r.reopened(t, true)
	}
}

func testOpenWaits(t *testing.T) {
	c := newFake(t)
	h := c.Fault(fault(onInit, kerr.NotCoordinator, 1), fault(onInit, kerr.CoordinatorLoadInProgress, 1), fault(onInit, kerr.ConcurrentTransactions, 1))
	cfg := config(t, c.ListenAddrs())
	mustOpen(t, cfg)
	if h.Hits() != 3 {
		t.Errorf("%d faults met, want 3", h.Hits())
	}
	h = c.Fault(fault(onInit, kerr.CoordinatorLoadInProgress, -1))
	cfg.OpenTimeout = time.Second
	_, err := Open(testCtx(t), cfg)
	if err == nil || !Retryable(err) || !strings.Contains(err.Error(), "opening the producer") {
		t.Errorf("%T %v", err, err)
	}
	h.Remove()
	mustOpen(t, cfg)
}
