package integration

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// Three instances share the streams. One is drained and started again, one is
// killed, one is stopped for longer than the group waits and goes on: each event
// comes once, and no stream has two subscribers that an unclean end does not
// explain.
func TestInstancesShareTheStreams(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	s.settings["lanes"] = "4"
	r := s.read(t)
	f := s.fleet(t, 3)
	f.settle(t, 4)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Rate: 300, Events: 9000})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	go func() { loaded <- load.Run(t.Context()) }()
	more := func() { r.wait(t, r.count()+300, time.Minute, f.state) }

	more()
	f.instances[0].drain(t)
	f.settle(t, 4)
	more()
	f.instances[0].restart(t)
	f.settle(t, 4)
	more()

	f.unclean = append(f.unclean, time.Now())
	f.instances[1].kill(t)
	f.settle(t, 4)
	f.instances[1].restart(t)
	f.settle(t, 4)
	more()

	f.unclean = append(f.unclean, time.Now())
	f.instances[2].signal(t, syscall.SIGSTOP)
	running := f.instances
	f.instances = running[:2]
	f.settle(t, 4) // the others have what it had
	f.instances = running
	f.instances[2].signal(t, syscall.SIGCONT)
	f.settle(t, 4) // and it has a part again
	more()

	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	r.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute, f.state)
	for _, i := range f.instances {
		i.drain(t)
	}
	s.exactly(t, r)
	for _, o := range f.alone(t) {
		t.Logf("%s had two subscribers for %s, after an unclean end", o.channel, o.lasted.Round(time.Millisecond))
	}
	for _, session := range s.org.Sessions() {
		if session.Closed.IsZero() && session.Opened.After(f.unclean[len(f.unclean)-1]) {
			t.Errorf("a session is still open: %+v", session)
		}
	}
}
