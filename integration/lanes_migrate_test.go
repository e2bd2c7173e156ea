package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// mover is a site whose number of lanes is changed between two runs.
type mover struct {
	*site
	reader *reader
	load   *orgsim.Load
	rnd    *rand.Rand
	kills  int // of migrations
}

// The number of lanes goes up and down, the command that does it is killed at
// random moments, and a read_committed consumer sees each event exactly once.
func TestLanesChange(t *testing.T) {
	cluster := kafkatest.Shared(t)
	m := newLanes(t, cluster, "exactly_once")
	for _, lanes := range []string{"6", "2"} {
		m.carry(t, 400)
		m.settings["lanes"] = lanes
		m.publish(t, 200) // while nobody reads
		m.failsToStart(t, 3, "lanes", "bridge positions migrate")
		m.migrate(t, 6)
		m.positions(t, lanes)
	}
	m.carry(t, 400)
	m.exactly(t, m.reader)
	t.Logf("%d migrations were killed", m.kills)
}

// Without transactions, too, positions come over whole: a bridge that was drained
// goes on where it was, and doubles nothing.
func TestLanesChangeAtLeastOnce(t *testing.T) {
	cluster := kafkatest.Shared(t)
	m := newLanes(t, cluster, "at_least_once")
	for _, lanes := range []string{"6", "2"} {
		m.carry(t, 200)
		m.settings["lanes"] = lanes
		m.migrate(t, 1)
		m.positions(t, lanes)
	}
	m.carry(t, 200)
	m.exactly(t, m.reader)
}

// A migration beside a bridge that runs says who it is.
func TestLanesChangeWhileRunning(t *testing.T) {
	cluster := kafkatest.Shared(t)
	m := newLanes(t, cluster, "exactly_once")
	m.publish(t, 50)
	p := m.start(t)
	m.reader.wait(t, m.published(), time.Minute, p.output)
	m.settings["lanes"] = "6"
	move := command(t, "positions", "migrate", "-c", m.config(t))
	if code := move.exit(t, time.Minute); code != 3 || !strings.Contains(move.output(), "is running") || !strings.Contains(move.output(), "127.0.0.1") {
		t.Errorf("exit code %d:\n%s", code, move.output())
	}
	p.drain(t)
	m.exactly(t, m.reader)
}

func newLanes(t *testing.T, cluster *kafkatest.Cluster, delivery string) *mover {
	t.Helper()
	m := &mover{site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)}
	m.settings["lanes"], m.settings["delivery"] = "4", delivery
	m.rnd = rand.New(rand.NewPCG(5, 1)) //nolint:gosec // reproducible on purpose
	m.reader = m.read(t)
	var err error
	if m.load, err = m.org.NewLoad(orgsim.LoadConfig{Seed: 5}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mover) publish(t *testing.T, steps int) {
	t.Helper()
	for range steps {
		if err := m.load.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *mover) published() int { return len(oracle.Expected(m.org.LedgerFrom(0), m.channels)) }

// carry publishes, and runs the bridge until everything has arrived.
func (m *mover) carry(t *testing.T, steps int) {
	t.Helper()
	p := m.start(t)
	m.publish(t, steps)
	m.reader.wait(t, m.published(), 2*time.Minute, p.output)
	m.balanced(t)
	p.drain(t)
}

// migrate runs the command until it ends by itself. The first ones are killed at a
// random moment, of the first step or the second; then the bridge does not start
// as long as there is something left to do.
func (m *mover) migrate(t *testing.T, kills int) {
	t.Helper()
	path := m.config(t)
	for range kills {
		p := command(t, "positions", "migrate", "-c", path)
		if !p.ends(t, m.rnd.IntN(2), time.Duration(m.rnd.Int64N(int64(50*time.Millisecond)))) {
			p.kill(t)
			m.kills++
		}
		left := m.left(t, path)
		t.Logf("killed after %d steps, left to do: %q", strings.Count(p.output(), "done: "), left)
		if len(left) > 0 {
			m.failsToStart(t, 3, "bridge positions migrate")
		}
	}
	p := command(t, "positions", "migrate", "-c", path)
	if code := p.exit(t, 2*time.Minute); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.output())
	}
	if left := m.left(t, path); len(left) > 0 {
		t.Errorf("after the end, %q is left to do", left)
	}
}

// ends waits until a migration has taken some steps and then for a moment, and says
// whether it has ended by itself before.
func (p *process) ends(t *testing.T, steps int, moment time.Duration) bool {
	t.Helper()
	late := time.After(time.Minute)
	often := time.NewTicker(time.Millisecond)
	defer often.Stop()
	for strings.Count(p.output(), "done: ") < steps || !strings.Contains(p.output(), "to do: ") {
		select {
		case <-p.done:
			return true
		case <-often.C:
		case <-late:
			t.Fatalf("%d steps were not taken:\n%s", steps, p.output())
		}
	}
	select {
	case <-p.done:
		return true
	case <-time.After(moment):
		return false
	}
}

// left are the steps that a migration would take.
func (m *mover) left(t *testing.T, path string) []string {
	t.Helper()
	p := command(t, "positions", "migrate", "-c", path, "--dry-run", "--json")
	code := p.exit(t, time.Minute)
	var report struct{ Planned []string }
	if err := json.Unmarshal([]byte(p.output()), &report); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v:\n%s", code, err, p.output())
	}
	return report.Planned
}

// positions checks what the topic is in the end.
func (m *mover) positions(t *testing.T, lanes string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	topic := m.name + ".positions"
	listed, err := kadm.NewClient(m.admin(t)).ListTopics(ctx, topic, topic+".migrating")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(listed[topic].Partitions); fmt.Sprint(n) != lanes || listed[topic+".migrating"].Err == nil {
		t.Errorf("%d partitions, want %s; copy: %v", n, lanes, listed[topic+".migrating"].Err)
	}
}

// What the messages ask for, one after the other, is what it takes, and no more.
func TestLanesChangeRights(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Authorizer(), kafkatest.User("bridge", "bridge-secret"))
	s := newSite(t, "rights", cluster.Brokers(), "/data/AccountChangeEvent")
	s.createPositions(t, 4, "compact")
	s.storePosition(t, "stream/"+s.org.ID()+"/data/AccountChangeEvent", `{"v":1,"position":"5","source":"cometd"}`)
	adm := kadm.NewClient(s.admin(t))
	s.brokers, s.settings["lanes"] = cluster.SASLBrokers(), "2"
	s.kafka = "  sasl:\n    mechanism: plain\n    username: bridge\n    password: bridge-secret\n"
	path := s.config(t)

	granted := map[string]bool{}
	grant := func(operation, kind, name string) {
		granted[kind+" "+name+" "+operation] = true
		if err := allow(t.Context(), adm, operation, kind, name); err != nil {
			t.Fatal(err)
		}
	}
	grant("Describe", "group", s.name)
	advice := regexp.MustCompile(`try: kafka-acls.sh .* --operation (\w+) --(topic|group|transactional-id) (\S+)`)
	for code, tries := -1, 0; code != 0; tries++ {
		p := command(t, "positions", "migrate", "-c", path)
		code = p.exit(t, time.Minute)
		m := advice.FindStringSubmatch(p.output())
		if code != 0 && (code != 3 || m == nil) || tries > 60 {
			t.Fatalf("exit code %d:\n%s", code, p.output())
		}
		if code != 0 {
			grant(m[1], m[2], m[3])
		}
	}
	want := map[string]bool{"group rights Describe": true}
	for _, topic := range []string{"rights.positions", "rights.positions.migrating"} {
		for _, operation := range []string{"Create", "Delete", "Describe", "DescribeConfigs", "Read", "Write"} {
			want["topic "+topic+" "+operation] = true
		}
	}
	for lane := range 4 {
		want[fmt.Sprintf("transactional-id rights-lane-%d Write", lane)] = true
	}
	if !maps.Equal(granted, want) {
		t.Errorf("it took\n%v, want\n%v", slices.Sorted(maps.Keys(granted)), slices.Sorted(maps.Keys(want)))
	}
}

func allow(ctx context.Context, adm *kadm.Client, operation, kind, name string) error {
	op, err := kmsg.ParseACLOperation(operation)
	if err != nil {
		return err
	}
	acl := kadm.NewACLs().Allow("User:bridge").AllowHosts("*").Operations(op).ResourcePatternType(kadm.ACLPatternLiteral)
	switch kind {
	case "group":
		acl.Groups(name)
	case "transactional-id":
		acl.TransactionalIDs(name)
	default:
		acl.Topics(name)
	}
	_, err = adm.CreateACLs(ctx, acl)
	return err
}
