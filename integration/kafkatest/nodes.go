package kafkatest

import (
	"context"
	"errors"
)

// Node is one broker of a cluster, which can fail while the others go on.
type Node struct {
	c *Cluster
	b broker
}

// Nodes are the cluster's nodes in the order of their ids. The brokers of
// BRIDGE_TEST_BROKERS are not ours, and none of them is here.
func (c *Cluster) Nodes() []Node {
	nodes := make([]Node, len(c.nodes))
	for i, b := range c.nodes {
		nodes[i] = Node{c, b}
	}
	return nodes
}

// Node is the node with that id, as Kafka's metadata give it for a leader or a
// coordinator; ok is false if there is none.
func (c *Cluster) Node(id int32) (n Node, ok bool) {
	for _, n := range c.Nodes() {
		if n.ID() == id {
			return n, true
		}
	}
	return Node{}, false
}

// ID is Kafka's id of the node.
func (n Node) ID() int32 { return n.b.node() }

// Kill ends the node as [Cluster.Kill] does.
func (n Node) Kill() error { return n.with(broker.kill) }

// Stop shuts the node down in its orderly way, in which it hands on what it leads.
func (n Node) Stop() error { return n.with(broker.stop) }

// Restart starts the node again, after stopping it if it runs, and returns when it
// has joined the others. They must be enough for a quorum.
func (n Node) Restart(ctx context.Context) error {
	return n.with(func(b broker) error { return restart(ctx, b) })
}

// Pause and Resume do to the node what [Cluster.Pause] does to all.
func (n Node) Pause() error { return n.with(broker.pause) }

// Resume lets a paused node go on.
func (n Node) Resume() error { return n.with(broker.resume) }

func (n Node) with(do func(broker) error) error {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	return do(n.b)
}

// atOnce does the same to all and waits for all of them.
func atOnce[T any](all []T, do func(T) error) error {
	errs := make(chan error, len(all))
	for _, one := range all {
		go func() { errs <- do(one) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}
