package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// The draws of a seed, before those of each act.
const (
	planDraws = iota
	pauseDraws
	victimDraws
	actDraws
)

func (c *trial) random(draws int) *rand.Rand {
	return rand.New(rand.NewPCG(c.plan.seed, uint64(draws)))
}

// schedule is the plan in the order that the seed gives it.
func (c *trial) schedule() {
	rnd := c.random(planDraws)
	for _, point := range failpoints(c.atLeastOnce) {
		for range c.plan.points {
			c.points = append(c.points, passage{point, 1 + rnd.IntN(passages(point))})
		}
	}
	rnd.Shuffle(len(c.points), func(i, j int) { c.points[i], c.points[j] = c.points[j], c.points[i] })
	for _, one := range []struct {
		n int
		act
	}{
		{c.plan.kills, act{name: "kill", do: c.kill}},
		{c.plan.stops, act{name: "stop", do: c.stop}},
		{c.plan.cuts, act{name: "cut", do: c.cut}},
		{c.plan.rolls, act{name: "rolling restart", do: c.roll}},
		{c.plan.jumps, act{name: "clock jump", do: c.jump}},
		{c.plan.bounces, act{name: "broker restart", do: c.bounceBroker}},
		{c.plan.broker, act{name: "broker kill", do: c.killBroker}},
		{c.plan.nodes, act{name: "node kill", do: c.killNode}},
		{c.plan.mutes, act{name: "node stop", do: c.stopNode}},
		{c.plan.moves, act{name: "leaders moved", do: c.moveLeaders}},
	} {
		c.acts = append(c.acts, slices.Repeat([]act{one.act}, one.n)...)
	}
	rnd.Shuffle(len(c.acts), func(i, j int) { c.acts[i], c.acts[j] = c.acts[j], c.acts[i] })
	for i := range c.acts {
		c.acts[i].rnd = c.random(actDraws + i)
	}
	c.victims = c.random(victimDraws)
}

// passages is how often a process passes a point in a short life. Those of the
// beginning and the end of a lane come seldom.
func passages(point string) int {
	switch point {
	case "assigned", "revoke", "revoked":
		return 1
	case "fenced", "barrier", "loading":
		return 2
	default:
		return 40
	}
}

// act does the next act, unless nobody carries events at the moment.
func (c *trial) act() bool {
	i := c.victim()
	if i < 0 {
		return false
	}
	next := c.acts[0]
	c.acts, c.rnd = c.acts[1:], next.rnd
	c.note("%s: %d", next.name, i)
	next.do(c.members[i])
	c.did(next.name)
	return true
}

// victim is a member that carries a stream and that nothing is done to, or -1.
func (c *trial) victim() int {
	var found []int
	for i, m := range c.members {
		if m.heal != nil || !m.alive() {
			continue
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		o, err := m.ownership(ctx)
		cancel()
		if err == nil && o.carries() {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[c.victims.IntN(len(found))]
}

func (c *trial) kill(m *member) {
	c.disarm(m)
	c.unclean = append(c.unclean, time.Now())
	m.kill(c.t)
}

// stop keeps a member from everything for longer than the group waits for it.
func (c *trial) stop(m *member) {
	m.signal(c.t, syscall.SIGSTOP)
	p := m.process
	c.begun(m, func() { p.signal(c.t, syscall.SIGCONT) })
}

// begun notes what is to be ended when the group has missed the member.
func (c *trial) begun(m *member, heal func()) {
	c.unclean = append(c.unclean, time.Now())
	m.heal, m.since = heal, time.Now()
	m.until = m.since.Add(session + session/4 + time.Duration(c.rnd.Int64N(int64(2*session))))
}

// cut disturbs what a member says to one of those it talks to, and hears of it.
func (c *trial) cut(m *member) {
	parties := []struct {
		name string
		*proxy
	}{{"kafka", m.kafka}, {"org", m.org}, {"registry", m.registry}}
	weights := []int{0, 0, 0, 1, 1, 2}
	party := parties[weights[c.rnd.IntN(len(weights))]]
	how := []cut{reset, silent, unheard, mute}[c.rnd.IntN(4)]
	c.note("cut: %s, %s", party.name, how)
	c.did(fmt.Sprintf("  cut from %s, %s", party.name, how))
	party.set(how)
	c.begun(m, func() { party.set(whole) })
}

// roll drains and starts one after the other, as a rollout does.
func (c *trial) roll(*member) {
	for i, m := range c.members {
		c.healed(m)
		c.drained(i, m)
		c.settled()
	}
}

func (c *trial) drained(i int, m *member) {
	p := m.process
	p.signal(c.t, syscall.SIGTERM)
	select {
	case <-p.done:
		c.note("%d ended after SIGTERM: %s", i, p.cmd.ProcessState)
		c.buried(i, m)
		c.revive(i, m)
	case <-time.After(time.Minute):
		c.t.Fatalf("instance %d did not end within a minute of SIGTERM\n%s", i, tail(p.output()))
	}
}

// settled waits until each lane has an owner that is ready, however many start
// and end meanwhile.
func (c *trial) settled() {
	late := time.Now().Add(patience)
	for {
		c.attend()
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		problem := c.unsettled(ctx, lanesOfTrial)
		cancel()
		if problem == nil {
			return
		}
		if time.Now().After(late) {
			c.t.Fatalf("%v\n%s", problem, c.state())
		}
		c.pause(20 * time.Millisecond)
	}
}

// nudge makes lanes move: a member is drained and started again, whether or not it
// carries a stream. The others may have none either, and pass no point.
func (c *trial) nudge() {
	i := c.victims.IntN(len(c.members))
	if m := c.members[i]; m.heal == nil && m.alive() {
		c.did("restart")
		c.drained(i, m)
	}
}

// jump sets the org's clock up to a minute and a half off, either way: more, and
// the org refuses the bridge's assertions, as it should.
func (c *trial) jump(*member) {
	const most = 90 * time.Second
	off := time.Duration(c.rnd.Int64N(int64(2*most))) - most
	c.note("the org's clock is off by %s", off)
	c.clock.off.Store(int64(off))
}

// bounceBroker restarts the broker in its orderly way.
func (c *trial) bounceBroker(*member) { c.restarted(c.cluster.Restart) }

func (c *trial) killBroker(*member) {
	if err := c.cluster.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.pause(time.Duration(c.rnd.Int64N(int64(time.Second))))
	c.restarted(c.cluster.Restart)
}

func (c *trial) restarted(restart func(context.Context) error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	if err := restart(ctx); err != nil {
		c.t.Fatal(err)
	}
	c.unclean = append(c.unclean, time.Now())
}

// killNode kills one node of a cluster that is whole, and starts it after a
// while in which its leaders are elsewhere.
func (c *trial) killNode(*member) {
	node, before := c.node()
	if err := node.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.meanwhile(2*time.Second + time.Duration(c.rnd.Int64N(int64(2*time.Second))))
	c.restarted(node.Restart)
	c.moved += changed(before, c.leaders(false))
}

// stopNode makes one node silent until the others have replaced it: when it goes
// on, it still takes itself for the leader that it was.
func (c *trial) stopNode(*member) {
	node, before := c.node()
	if err := node.Pause(); err != nil {
		c.t.Fatal(err)
	}
	c.meanwhile(nodeSession + time.Second + time.Duration(c.rnd.Int64N(int64(3*time.Second))))
	if err := node.Resume(); err != nil {
		c.t.Fatal(err)
	}
	c.unclean = append(c.unclean, time.Now())
	c.moved += changed(before, c.leaders(true))
}

// node is one of a cluster that is whole, with the leaders of that moment.
func (c *trial) node() (kafkatest.Node, map[string]int32) {
	before := c.leaders(true)
	nodes := c.cluster.Nodes()
	node := nodes[c.rnd.IntN(len(nodes))]
	c.note("node %d", node.ID())
	return node, before
}

func (c *trial) meanwhile(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); c.pause(20 * time.Millisecond) {
		c.attend()
	}
}

// moveLeaders gives each partition back to its preferred leader.
func (c *trial) moveLeaders(*member) {
	before := c.leaders(true)
	c.admin(func(ctx context.Context, adm *kadm.Client) error {
		_, err := adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
		return err
	})
	c.moved += changed(before, c.leaders(false))
}

func changed(before, after map[string]int32) (n int) {
	for partition, leader := range before {
		if after[partition] != leader {
			n++
		}
	}
	return n
}

// leaders are those of all partitions; complete waits until every replica is in
// sync, so that no node is missed that is needed.
func (c *trial) leaders(complete bool) map[string]int32 {
	leaders := make(map[string]int32)
	late := time.Now().Add(patience)
	for {
		missing := ""
		c.admin(func(ctx context.Context, adm *kadm.Client) error {
			details, err := adm.ListTopicsWithInternal(ctx)
			if err != nil {
				return err
			}
			details.EachPartition(func(p kadm.PartitionDetail) {
				leaders[fmt.Sprintf("%s/%d", p.Topic, p.Partition)] = p.Leader
				if len(p.ISR) < len(p.Replicas) {
					missing = fmt.Sprintf("%s/%d has %v of %v in sync", p.Topic, p.Partition, p.ISR, p.Replicas)
				}
			})
			return nil
		})
		if missing == "" || !complete {
			return leaders
		}
		if time.Now().After(late) {
			c.t.Fatalf("%s after %s", missing, patience)
		}
		c.meanwhile(50 * time.Millisecond)
	}
}

func (c *trial) admin(do func(ctx context.Context, adm *kadm.Client) error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.site.brokers...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := do(ctx, kadm.NewClient(cl)); err != nil {
		c.t.Fatal(err)
	}
}
