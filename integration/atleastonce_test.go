package integration

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// Without transactions a killed bridge loses nothing; what its last commit held
// may come again, and not more than that.
func TestAtLeastOnceLosesNothing(t *testing.T) {
	const events, kills = 6000, 3
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	s.settings["delivery"] = "at_least_once"
	r := s.read(t)
	d := &disturber{site: s, cluster: cluster, reader: r, rnd: rand.New(rand.NewPCG(2, 1)), bridge: s.start(t)} //nolint:gosec // reproducible on purpose
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: events, Rate: 3000})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- load.Run(t.Context()) }()
	for i := range kills {
		d.progress(t, (i+1)*events/(kills+2))
		d.killBridge(t)
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	want := oracle.Expected(s.org.LedgerFrom(0), s.channels)
	missing := make(map[oracle.Record]bool, len(want))
	for _, rec := range want {
		missing[rec] = true
	}
	doubled := r.until(t, missing, 2*time.Minute, d.state)
	s.balanced(t)
	d.bridge.drain(t)
	const lanes, batch = 2, 1000 // of the configuration
	if doubled > kills*lanes*batch {
		t.Errorf("%d records came again, more than %d kills explain", doubled, kills)
	}
	t.Logf("%d records, %d came again after %d kills", len(want), doubled, kills)
}

// until consumes until nothing is missing any more and returns how many records
// came again.
func (r *reader) until(tb testing.TB, missing map[oracle.Record]bool, within time.Duration, state func() string) (doubled int) {
	tb.Helper()
	late := time.After(within)
	for next := 0; ; {
		r.mu.Lock()
		fresh := r.seen[next:]
		next = len(r.seen)
		r.mu.Unlock()
		for _, rec := range fresh {
			rec.Topic = ""
			if !missing[rec] {
				doubled++
			}
			delete(missing, rec)
		}
		if len(missing) == 0 {
			return doubled
		}
		select {
		case <-r.moved:
		case <-late:
			tb.Fatalf("%d records are missing after %s\n%s", len(missing), within, state())
		}
	}
}
