package sink

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// A lane without events for longer than transactional.id.expiration.ms, a week by
// default, is one whose id the coordinator has forgotten. Nobody else owns it.
func kafkaIDForgotten(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	adm := admin(t, c.Brokers())
	ctx := testCtx(t)
	for listed := true; listed; {
		txns, err := adm.ListTransactions(ctx, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, listed = txns[k.cfg.TransactionalID]
		<-time.After(50 * time.Millisecond)
	}
	wantError[*AbortedError](t, k.commit(t), true, "INVALID_PRODUCER_ID_MAPPING")
	k.reopened(t)
	k.whole(t)
}

// A broker whose only disk is full stops itself. What it had promised is there when
// it has room again.
func kafkaDiskFull(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c, func(cfg *Config) { cfg.TransactionTimeout, cfg.Grace = 3*time.Second, time.Second })
	// Seen by a reader first: a broker that dies right after it said yes may still
	// owe the marker of the transaction, and Kafka 4.3.1 can forget it at its start.
	if at := k.position(t); at != k.next {
		t.Fatalf("position %d, want %d", at, k.next)
	}
	if err := c.FillDisk(testCtx(t)); err != nil {
		kafkatest.GiveUp(t, err)
	}
	began := time.Now()
	err := k.commit(t)
	if err == nil {
		t.Fatal("a commit went well on a full disk")
	}
	if took, limit := time.Since(began), bound(k.cfg); took > limit {
		t.Errorf("took %s, want less than %s", took, limit)
	}
	if err := errors.Join(c.Kill(), c.Restart(testCtx(t))); err != nil {
		t.Fatal(err)
	}
	k.survives(t, err)
	k.whole(t)
}

// leaderOf is the node that leads the topic's first partition.
func leaderOf(t *testing.T, c *kafkatest.Cluster, topic string) kafkatest.Node {
	t.Helper()
	d, err := admin(t, c.Brokers()).ListTopics(testCtx(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	n, ok := c.Node(d[topic].Partitions[0].Leader)
	if !ok {
		t.Fatalf("no leader: %+v", d[topic])
	}
	return n
}

func coordinatorOf(t *testing.T, c *kafkatest.Cluster, id string) kafkatest.Node {
	t.Helper()
	for _, r := range admin(t, c.Brokers()).FindTxnCoordinators(testCtx(t), id) {
		if n, ok := c.Node(r.NodeID); ok && r.Err == nil {
			return n
		}
	}
	t.Fatalf("no coordinator of %s", id)
	return kafkatest.Node{}
}

// loses carries on while a node is killed in the middle of a transaction, and while
// it comes back.
func (k *carried) loses(t *testing.T, n kafkatest.Node) {
	t.Helper()
	wait := k.during(t, n.Kill)
	began := time.Now()
	err := k.commit(t)
	wait()
	t.Logf("without node %d: %s", n.ID(), time.Since(began).Round(time.Millisecond))
	k.survives(t, err)
	k.whole(t)
	if err := n.Restart(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	k.survives(t, k.commit(t))
	k.whole(t)
}

func kafkaLeaderKilled(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	k.loses(t, leaderOf(t, c, k.topic))
}

func kafkaCoordinatorKilled(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c)
	k.loses(t, coordinatorOf(t, c, k.cfg.TransactionalID))
}

// A topic whose only replica is away holds up the commits that write to it, and the
// error names it. The others can be written to.
func kafkaNoLeader(t *testing.T, c *kafkatest.Cluster) {
	k := carry(t, c, func(cfg *Config) { cfg.TransactionTimeout, cfg.Grace = 3*time.Second, 2*time.Second })
	lone := unique(t, "lone")
	mustTopic(t, c.Brokers(), lone, 1)
	mustCommit(t, k.p, []*kgo.Record{record(lone, "a", "1")}, nil)
	n := leaderOf(t, c, lone)
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitNoLeader(t, c, lone)
	wantError[*StalledError](t, k.p.Commit(testCtx(t), []*kgo.Record{record(lone, "a", "2")}, nil), true, lone, "has no leader")
	k.reopened(t)
	k.whole(t)
	if err := n.Restart(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, k.p, []*kgo.Record{record(lone, "a", "3")}, nil)
	wantValues(t, readAll(t, c.Brokers(), lone), "1", "3")
}

func awaitNoLeader(t *testing.T, c *kafkatest.Cluster, topic string) {
	t.Helper()
	ctx := testCtx(t)
	adm := admin(t, c.Brokers())
	for {
		d, err := adm.ListTopics(ctx, topic)
		if err == nil && len(d[topic].Partitions) > 0 && d[topic].Partitions[0].Leader < 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s has still a leader: %+v (%v)", topic, d, err)
		}
		<-time.After(100 * time.Millisecond)
	}
}
