package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// ordeal says how much is done to a fleet. `make chaos` asks for the long form
// through the environment.
type ordeal struct {
	seed    uint64
	points  int // SIGKILLs at each point of the program
	kills   int // SIGKILLs at any moment
	stops   int // SIGSTOP for longer than the session, then SIGCONT
	cuts    int // of the network between an instance and something
	rolls   int // rolling restarts of all instances
	jumps   int // of the org's clock
	bounces int // orderly restarts of the only broker
	broker  int // SIGKILLs of the only broker
	nodes   int // SIGKILLs of one node of three
	mutes   int // SIGSTOP of one node of three for longer than the others wait
	moves   int // elections of the preferred leaders
}

// fromEnvironment replaces what the environment says otherwise.
func (o *ordeal) fromEnvironment(tb testing.TB, share int) {
	tb.Helper()
	for name, v := range map[string]*int{
		"POINTS": &o.points, "KILLS": &o.kills, "STOPS": &o.stops, "CUTS": &o.cuts, "ROLLS": &o.rolls,
		"JUMPS": &o.jumps, "BROKER_KILLS": &o.broker, "NODE_KILLS": &o.nodes, "NODE_STOPS": &o.mutes, "LEADER_MOVES": &o.moves,
	} {
		if text := os.Getenv("BRIDGE_FLEET_" + name); text != "" && (*v > 0 || name == "BROKER_KILLS" && o.bounces > 0) {
			n, err := strconv.Atoi(text)
			if err != nil {
				tb.Fatalf("BRIDGE_FLEET_%s: %v", name, err)
			}
			*v = (n + share - 1) / share
		}
	}
	if text := os.Getenv("BRIDGE_CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			tb.Fatalf("BRIDGE_CHAOS_SEED: %v", err)
		}
		o.seed = n
	}
}

// all is the share of a plan that is all of it.
const all = 1

// Three instances are killed at any moment and at each point of the program at
// which something has been said and the answer is open, stopped for longer than
// the group waits, cut off from Kafka, from the org and from the registry, and
// restarted in turn: a read_committed consumer sees each event once, in order per
// key.
func TestFleetUnderChaos(t *testing.T) {
	t.Parallel()
	plan := ordeal{seed: 1, points: 1, kills: 4, stops: 3, cuts: 6, rolls: 1}
	plan.fromEnvironment(t, all)
	cluster := kafkatest.Start(t, shortSessions())
	undergo(t, cluster, plan, true, nil)
}

// The only broker is restarted under three instances, and in the long form killed.
// Apache Kafka itself tears transactions then, about one in four kills: a coordinator
// that comes back looks for the leaders of partitions before it knows them, and skips
// their markers ("likely deleted already and hence can be skipped"). Package sink finds
// them and ends them as they ended elsewhere. With other nodes it is not the one that
// comes back. The short form has the orderly restart, since sink has a torn transaction
// made for each way to end it, and [TestExactlyOnceUnderChaos] one kill.
func TestFleetOutlivesItsBroker(t *testing.T) {
	t.Parallel()
	plan := ordeal{seed: 1, bounces: 2, kills: 1}
	plan.fromEnvironment(t, all)
	plan.kills = max(plan.kills, plan.broker)
	cluster := kafkatest.Start(t, shortSessions())
	undergo(t, cluster, plan, false, nil)
}

// One node of three at a time is killed, or silent until the others have replaced
// it and then back with what it knew; leaders move, and the org's clock jumps both
// ways.
func TestFleetOnThreeNodes(t *testing.T) {
	t.Parallel()
	plan := ordeal{seed: 1, nodes: 1, mutes: 1, moves: 1, jumps: 2, kills: 1}
	plan.fromEnvironment(t, all)
	plan.kills = plan.nodes
	cluster := kafkatest.Start(t, shortSessions(), kafkatest.Nodes(3), kafkatest.Property("min.insync.replicas", "2"),
		kafkatest.Property("broker.session.timeout.ms", strconv.Itoa(int(nodeSession.Milliseconds()))),
		kafkatest.Property("broker.heartbeat.interval.ms", "500"))
	undergo(t, cluster, plan, false, nil)
}

// Without transactions the same loses nothing; what comes again is counted, and
// is not more than each unclean end explains.
func TestFleetAtLeastOnce(t *testing.T) {
	t.Parallel()
	const share = 10
	plan := ordeal{seed: 1, points: 1, kills: 2, stops: 2, cuts: 2, rolls: 1}
	plan.fromEnvironment(t, share)
	cluster := kafkatest.Start(t, shortSessions())
	undergo(t, cluster, plan, true, func(s *site) { s.settings["delivery"] = "at_least_once" })
}

// session is how long an instance may be silent, in these tests: a thousand ends
// would take hours otherwise.
const session = time.Second

// nodeSession is how long a node of a cluster may be silent.
const nodeSession = 3 * time.Second

func shortSessions() kafkatest.Option {
	return kafkatest.Property("group.min.session.timeout.ms", strconv.Itoa(int(session.Milliseconds()/2)))
}

// undergo does it all: three instances of a program with failpoints, load, the
// plan, and the judgement.
func undergo(t *testing.T, cluster *kafkatest.Cluster, plan ordeal, proxies bool, change func(*site)) {
	t.Helper()
	began := time.Now()
	s := newSite(t, "fleet", cluster.Brokers(), fourChannels...)
	c := &trial{t: t, plan: plan, cluster: cluster, done: make(map[string]int), hold: 5 * time.Second, lapse: 5 * time.Second,
		tell: os.Getenv("BRIDGE_CHAOS_DIARY") != ""}
	s.replaceOrg(t, func(o *orgsim.Config) {
		o.Now, o.Hold, o.Lapse, o.Seed = c.clock.now, c.hold, c.lapse, plan.seed
	})
	s.settings["lanes"] = strconv.Itoa(lanesOfTrial)
	s.kafka = fmt.Sprintf("  session_timeout: %s\n", session)
	s.extra = fmt.Sprintf("batch: {max_events: %d}\n", batchOfTrial)
	s.program = failing(t)
	if change != nil {
		change(s)
	}
	c.atLeastOnce = s.settings["delivery"] == "at_least_once"
	c.begin(s, proxies)
	t.Cleanup(c.keepEvidence)
	c.run()
	c.judge()
	c.summary(time.Since(began))
}

const (
	lanesOfTrial = 8   // whoever comes gets some of each other instance
	batchOfTrial = 100 // events
)

var withFailpoints struct {
	once sync.Once
	path string
	err  error
}

// failing builds the program with failpoints, once for all tests.
func failing(tb testing.TB) string {
	tb.Helper()
	b := &withFailpoints
	normal := binary(tb)
	b.once.Do(func() {
		b.path = filepath.Join(filepath.Dir(normal), "bridge-failpoints")
		cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", "failpoints", "-o", b.path, "../cmd/bridge")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if b.err != nil {
		tb.Fatal("building the bridge with failpoints:", b.err)
	}
	return b.path
}

// Only a build for tests knows failpoints, and the chaos knows all of them.
func TestFailpointsAreForTests(t *testing.T) {
	t.Parallel()
	const variable = "BRIDGE_FAILPOINT"
	if text, err := os.ReadFile(binary(t)); err != nil || strings.Contains(string(text), variable) {
		t.Errorf("the program has failpoints, or cannot be read: %v", err)
	}
	if text, err := os.ReadFile(failing(t)); err != nil || !strings.Contains(string(text), variable) {
		t.Errorf("the build for tests has no failpoints, or cannot be read: %v", err)
	}
	source, err := os.ReadFile("../cmd/bridge/internal/cli/failpoint_on.go")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, found := range regexp.MustCompile(`\tpoint[A-Z]\w+ += "(\w+)"`).FindAllSubmatch(source, -1) {
		points = append(points, string(found[1]))
	}
	slices.Sort(points)
	if known := slices.Sorted(slices.Values(failpoints(false))); !slices.Equal(points, known) {
		t.Errorf("the program has the points %v, the chaos %v", points, known)
	}
}
