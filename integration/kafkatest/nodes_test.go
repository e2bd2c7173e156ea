package kafkatest

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Of three nodes, one can be killed or paused: its partitions get another leader,
// transactions go on, and it comes back.
func TestThreeNodes(t *testing.T) {
	// Kafka takes 9 s to miss a node, and as long again if it led the controllers.
	c := Start(t, Nodes(3), Property("broker.session.timeout.ms", "3000"), Property("broker.heartbeat.interval.ms", "500"))
	t.Log(c)
	if len(c.Brokers()) != 3 || len(c.Nodes()) != 3 {
		t.Fatalf("%v, %d nodes, want three of each", c.Brokers(), len(c.Nodes()))
	}
	if _, ok := c.Node(17); ok {
		t.Error("there is a node 17")
	}
	topic := c.Topic(t)
	createTopic(t, c, topic, 1)
	transact(t, c, topic, "before", 20, kgo.TryCommit)

	down := leader(t, c, topic)
	if err := down.Kill(); err != nil {
		t.Fatal(err)
	}
	transact(t, c, topic, "killed", 20, kgo.TryCommit)
	if now := leader(t, c, topic); now.ID() == down.ID() {
		t.Errorf("the leader is still node %d, which was killed", down.ID())
	}
	if err := down.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}

	paused := leader(t, c, topic)
	if err := paused.Pause(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "another leader", func() error {
		if now := leader(t, c, topic); now.ID() == paused.ID() {
			return fmt.Errorf("it is still node %d, which is paused", paused.ID())
		}
		return nil
	})
	if err := paused.Resume(); err != nil {
		t.Fatal(err)
	}
	transact(t, c, topic, "resumed", 20, kgo.TryCommit)
	if got := readCommitted(t, c, topic, 60); len(got) != 60 {
		t.Errorf("%d of 60 records", len(got))
	}
}

func leader(t *testing.T, c *Cluster, topic string) Node {
	t.Helper()
	var n Node
	waitFor(t, "the topic's leader", func() error {
		topics, err := kadm.NewClient(dial(t, c.Brokers())).ListTopics(t.Context(), topic)
		if err != nil {
			return err
		}
		id := topics[topic].Partitions[0].Leader
		var ok bool
		if n, ok = c.Node(id); !ok {
			return fmt.Errorf("leader %d", id)
		}
		return nil
	})
	return n
}
