package integration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// failpoints are the points at which the program can kill itself. Without
// transactions it does not pass those of a transaction's end.
func failpoints(atLeastOnce bool) []string {
	points := []string{"assigned", "fenced", "barrier", "begin", "record", "position", "acknowledged", "revoke", "revoked"}
	if !atLeastOnce {
		points = append(points, "loading", "committing", "committed")
	}
	return points
}

// trial is a fleet that undergoes an ordeal. The test's goroutine does everything
// in turn: what takes its time is begun, and ended later.
type trial struct {
	*fleet
	t           *testing.T
	plan        ordeal
	atLeastOnce bool
	hold, lapse time.Duration
	clock       jumpingClock
	cluster     *kafkatest.Cluster
	reader      *reader
	rnd         *rand.Rand // of the next act; its own, so that a seed says what is done, whenever it is

	victims *rand.Rand
	members []*member
	points  []passage // that are to come
	acts    []act
	done    map[string]int // what was done, by name
	diary   []string
	tell    bool // at once, what is in the diary

	moved      int // partitions that changed their leader
	doubled    int
	stale      int // keys
	explained  int // records that may come again without transactions
	overlapped []overlap
}

// member is an instance with what is being done to it.
type member struct {
	*instance
	kafka, org, registry *proxy   // nil: none
	armed                *passage // at which it kills itself
	heal                 func()   // ends what was begun
	since, until         time.Time
	lives                []*process
}

func (m *member) alive() bool {
	select {
	case <-m.process.done:
		return false
	default:
		return true
	}
}

// passage is the n-th time that a process passes a point.
type passage struct {
	point string
	n     int
}

func (p *passage) String() string { return fmt.Sprintf("%s:%d", p.point, p.n) }

// act is something that is done to a member that carries events, or to what all
// share.
type act struct {
	name string
	do   func(m *member)
	rnd  *rand.Rand
}

// jumpingClock is the org's.
type jumpingClock struct{ off atomic.Int64 }

func (c *jumpingClock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

const loadRate = 150 // changes a second

func (c *trial) begin(s *site, proxies bool) {
	c.reader = s.read(c.t)
	c.schedule()
	const instances = 3
	c.fleet = s.fleet(c.t, instances, func(one *site) {
		m := &member{}
		c.members = append(c.members, m)
		if !proxies {
			return
		}
		m.kafka = newKafkaProxy(c.t, s.brokers[0])
		m.org = newProxy(c.t, strings.TrimPrefix(s.orgURL, "http://"))
		m.registry = newProxy(c.t, strings.TrimPrefix(s.registry, "http://"))
		one.brokers = []string{m.kafka.addr}
		one.orgURL, one.registry = "http://"+m.org.addr, "http://"+m.registry.addr
	})
	for i, m := range c.members {
		m.instance = c.instances[i]
		m.lives = []*process{m.process}
	}
	c.settle(c.t, lanesOfTrial)
	if err := s.org.StartLoad(orgsim.LoadConfig{Rate: loadRate, Seed: c.plan.seed}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *trial) note(format string, args ...any) {
	line := time.Now().UTC().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	c.diary = append(c.diary, line)
	if c.tell {
		c.t.Log(line)
	}
}

func (c *trial) did(name string) { c.done[name]++ }

// run goes through the plan. An act comes when something was read since the last
// one, so that it meets traffic.
func (c *trial) run() {
	seen, next, last := -1, time.Now(), time.Now()
	pauses := c.random(pauseDraws)
	nudge, told := time.Now(), time.Now()
	for len(c.acts) > 0 || c.unrest() {
		c.attend()
		if time.Since(told) > time.Minute {
			told = time.Now()
			c.t.Logf("%d records read; %d acts and %d points to come", c.reader.count(), len(c.acts), len(c.points))
		}
		if now := c.reader.count(); now > seen && time.Now().After(next) {
			if len(c.acts) > 0 {
				if c.act() {
					seen, last = now, time.Now()
				}
			} else if time.Since(nudge) > 2*session {
				// Points of handing over need somebody who comes or goes.
				nudge, last = time.Now(), time.Now()
				c.nudge()
			}
			next = time.Now().Add(time.Duration(pauses.Int64N(int64(300 * time.Millisecond))))
		}
		if time.Since(last) > patience {
			c.t.Fatalf("nothing was read, or nobody owns a lane, for %s; to do: %d acts, points %v\n%s", patience, len(c.acts), c.points, c.state())
		}
		c.pause(10 * time.Millisecond)
	}
}

func (c *trial) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.t.Context().Done():
		c.t.Fatal(c.t.Context().Err())
	}
}

// unrest says whether something is under way or to come.
func (c *trial) unrest() bool {
	return len(c.points) > 0 || slices.ContainsFunc(c.members, func(m *member) bool {
		return m.heal != nil || m.armed != nil || !m.alive()
	})
}

// attend ends what has lasted long enough, and starts those that have ended, as
// Kubernetes does.
func (c *trial) attend() {
	for i, m := range c.members {
		if m.heal != nil && time.Now().After(m.until) {
			c.healed(m)
		}
		if !m.alive() {
			c.buried(i, m)
			c.revive(i, m)
		}
	}
}

func (c *trial) healed(m *member) {
	if m.heal != nil {
		m.heal()
		m.heal = nil
		c.unclean = append(c.unclean, time.Now())
		c.explain(time.Since(m.since))
	}
}

// explain notes what an unclean end may double where nobody is fenced: what was
// under way; and, since one that was away may write a position that is older than
// that of the next owner, all that has come since, if that owner ends before it has
// written the next one.
func (c *trial) explain(away time.Duration) {
	c.explained += len(c.site.channels) * batchOfTrial
	if away > 0 {
		const events = 2 // of a change, at most and on average
		c.explained += events * int(loadRate*(away+2*session).Seconds())
	}
}

// buried finds out why a member has ended.
func (c *trial) buried(i int, m *member) {
	status, _ := m.process.cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := m.process.cmd.ProcessState.ExitCode()
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL && m.armed != nil:
		c.note("%d died at %v", i, m.armed)
		c.did("kill at " + m.armed.point)
		m.armed = nil
	case status.Signaled() && status.Signal() == syscall.SIGKILL: // by us
	case code == 3:
		lines := strings.Split(strings.TrimSpace(m.process.output()), "\n")
		c.note("%d ended with exit code 3: %s", i, lines[len(lines)-1])
		c.did("(exit code 3)")
	case code == 0 && m.heal == nil: // drained
	default:
		c.t.Errorf("instance %d ended by itself with exit code %d, %v\n%s", i, code, status, tail(m.process.output()))
	}
	if code != 0 {
		c.explain(0)
	}
	c.unclean = append(c.unclean, time.Now())
	c.disarm(m)
}

func (c *trial) disarm(m *member) {
	if m.armed != nil {
		c.points = append(c.points, *m.armed)
		m.armed = nil
	}
}

// revive starts a member; all but one have a point at which they end.
func (c *trial) revive(i int, m *member) {
	armed := 0
	for _, other := range c.members {
		if other.armed != nil {
			armed++
		}
	}
	m.env = nil
	if len(c.points) > 0 && armed < len(c.members)-1 {
		next := c.points[0]
		m.armed, c.points = &next, c.points[1:]
		m.env = []string{"BRIDGE_FAILPOINT=" + m.armed.String()}
	}
	c.note("%d starts, %v", i, m.env)
	m.restart(c.t)
	m.lives = append(m.lives, m.process)
}

func (c *trial) state() string {
	var b strings.Builder
	for _, line := range c.diary[max(0, len(c.diary)-40):] {
		b.WriteString(line + "\n")
	}
	return b.String() + c.fleet.state()
}
