package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// fourChannels have a single-entity change stream each, and platform events.
var fourChannels = []string{
	"/data/AccountChangeEvent", "/data/ContactChangeEvent", "/data/Invoice__ChangeEvent", "/event/Order__e",
}

// chaos says how much is done to the bridge. `make chaos` asks for the long
// form through the environment.
type chaos struct {
	events, kills, brokerKills, faults int
	seed                               uint64
}

func chaosPlan(tb testing.TB) chaos {
	tb.Helper()
	c := chaos{events: 12_000, kills: 4, brokerKills: 1, faults: 4, seed: 1}
	for name, v := range map[string]*int{
		"BRIDGE_CHAOS_EVENTS": &c.events, "BRIDGE_CHAOS_KILLS": &c.kills,
		"BRIDGE_CHAOS_BROKER_KILLS": &c.brokerKills, "BRIDGE_CHAOS_FAULTS": &c.faults,
	} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			*v = n
		}
	}
	if text := os.Getenv("BRIDGE_CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			tb.Fatalf("BRIDGE_CHAOS_SEED: %v", err)
		}
		c.seed = n
	}
	return c
}

// The bridge is killed with SIGKILL, the broker is killed and restarted, tokens
// expire, sessions are forgotten and connections are cut, at random moments
// while events flow: a read_committed consumer sees each event exactly once, in
// order per key.
func TestExactlyOnceUnderChaos(t *testing.T) {
	plan := chaosPlan(t)
	cluster := kafkatest.Start(t)
	s := newSite(t, "chaos", cluster.Brokers(), fourChannels...)
	r := s.read(t)
	began := time.Now()
	d := &disturber{site: s, cluster: cluster, reader: r, rnd: rand.New(rand.NewPCG(plan.seed, 1)), bridge: s.start(t)} //nolint:gosec // reproducible on purpose
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: plan.events, Seed: plan.seed, Rate: 3000})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- load.Run(t.Context()) }()
	acts := d.schedule(plan)
	for i, act := range acts {
		// Acts come at even shares of the records, so that they meet traffic.
		d.progress(t, (i+1)*plan.events/(len(acts)+2))
		act(t)
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	want := len(oracle.Expected(s.org.LedgerFrom(0), s.channels))
	d.wait(t, want, 5*time.Minute)
	s.balanced(t)
	d.bridge.drain(t)
	s.exactly(t, r)
	stats := s.org.Stats()
	t.Logf("seed %d: %d events, %d records in %s; %d SIGKILLs of the bridge, %d of the broker, %d tokens expired, %d sessions forgotten, %d replies cut, %d starts beside a dead broker; org: %d sessions, %d tokens, %d events delivered",
		plan.seed, load.Published(), want, time.Since(began).Round(time.Second), plan.kills, plan.brokerKills,
		plan.faults, plan.faults, stats.Cuts, d.restarts, stats.SessionsOpened, stats.TokensIssued, stats.EventsDelivered)
}

// patience is for the client's: after failures that follow each other within a
// minute its pauses grow up to a minute each.
const patience = 5 * time.Minute

// disturber does things to a bridge that runs.
type disturber struct {
	site    *site
	cluster *kafkatest.Cluster
	reader  *reader
	rnd     *rand.Rand
	bridge  *process
	// restarts counts bridges that ended by themselves with exit code 3.
	restarts int
}

// schedule shuffles the plan's acts.
func (d *disturber) schedule(plan chaos) []func(testing.TB) {
	var acts []func(testing.TB)
	add := func(n int, act func(testing.TB)) {
		for range n {
			acts = append(acts, act)
		}
	}
	add(plan.kills, d.killBridge)
	add(plan.brokerKills, d.killBroker)
	add(plan.faults, func(testing.TB) { d.site.org.ExpireTokens() })
	add(plan.faults, func(testing.TB) { d.site.org.ForgetSessions() })
	add(plan.faults, d.cut)
	d.rnd.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	return acts
}

// progress waits until the consumer has seen n records and then for a random
// moment, so that acts meet every step of the way.
func (d *disturber) progress(tb testing.TB, n int) {
	tb.Helper()
	d.wait(tb, n, patience)
	moment := time.Duration(d.rnd.Int64N(int64(300 * time.Millisecond)))
	select {
	case <-time.After(moment):
	case <-d.bridge.done:
	}
}

// revive is to the bridge what Kubernetes is: one that was started beside a dead
// broker ends with exit code 3, and is started again.
func (d *disturber) revive(tb testing.TB) {
	tb.Helper()
	if code := d.bridge.cmd.ProcessState.ExitCode(); code != 3 {
		tb.Fatalf("the bridge ended by itself with exit code %d\n%s", code, d.state())
	}
	d.restarts++
	d.bridge = d.site.start(tb)
}

// wait blocks until the consumer has seen n records.
func (d *disturber) wait(tb testing.TB, n int, within time.Duration) {
	tb.Helper()
	late := time.After(within)
	for d.reader.count() < n {
		select {
		case <-d.reader.moved:
		case <-d.bridge.done:
			d.revive(tb)
		case <-late:
			tb.Fatalf("%d of %d records after %s\n%s", d.reader.count(), n, within, d.state())
		}
	}
}

func (d *disturber) killBridge(tb testing.TB) {
	d.bridge.kill(tb)
	d.bridge = d.site.start(tb)
}

// cut breaks a reply somewhere in its body, or a held connect when nothing
// flows, and waits until one broke.
func (d *disturber) cut(tb testing.TB) {
	tb.Helper()
	late := time.After(patience)
	at := d.rnd.IntN(200_000)
	for before := d.site.org.Stats().Cuts; d.site.org.Stats().Cuts == before; {
		d.site.org.CutConnections(at)
		select {
		case <-d.reader.moved:
		case <-time.After(100 * time.Millisecond):
			at = 0
		case <-d.bridge.done:
			d.revive(tb)
		case <-late:
			tb.Fatalf("no reply to cut for %s\n%s", patience, d.state())
		}
	}
}

func (d *disturber) killBroker(tb testing.TB) {
	if err := d.cluster.Kill(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	if err := d.cluster.Restart(ctx); err != nil {
		tb.Fatal(err)
	}
}

func (d *disturber) state() string {
	return fmt.Sprintf("org: %+v\nbridge:\n%s", d.site.org.Stats(), tail(d.bridge.output()))
}
