package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

const startWithin = time.Minute

// Each bad start ends by itself, with the exit code of its kind and one message
// that says what is wrong and what to try.
func TestBadStarts(t *testing.T) {
	cluster := kafkatest.Shared(t)
	for _, c := range []struct {
		name  string
		code  int
		says  []string
		spoil func(t *testing.T, s *site)
	}{
		{"wrong key", 3, []string{"salesforce login", "invalid assertion"}, func(t *testing.T, s *site) {
			_, pem, err := orgsim.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(s.dir, "client.key"), string(pem))
		}},
		{"unapproved user", 3, []string{"salesforce login", "user hasn't approved this consumer"}, func(t *testing.T, s *site) {
			s.replaceOrg(t, func(c *orgsim.Config) { c.Apps[0].Approved = nil })
		}},
		{"unknown channel", 2, []string{"/data/NopeChangeEvent", "unknown channel"}, func(_ *testing.T, s *site) {
			s.channels = append(s.channels, "/data/NopeChangeEvent")
		}},
		{"unreachable kafka", 3, []string{"none of the brokers", "kafka.brokers"}, func(t *testing.T, s *site) {
			s.brokers = []string{freeAddress(t)}
		}},
		{"positions topic that forgets", 3, []string{"cleanup.policy", "delete"}, func(t *testing.T, s *site) {
			s.createPositions(t, 2, "delete")
		}},
		{"positions topic with other partitions", 3, []string{"3", "partition"}, func(t *testing.T, s *site) {
			s.createPositions(t, 3, "compact")
		}},
		{"positions of another org", 3, []string{"org", "00Dxx0000001gPLEAY"}, func(t *testing.T, s *site) {
			s.createPositions(t, 2, "compact")
			s.storePosition(t, "stream/00Dxx0000001gPLEAY/data/AccountChangeEvent", `{"v":1,"position":"5","source":"cometd"}`)
		}},
		{"unreadable position", 3, []string{"positions", "offset 0"}, func(t *testing.T, s *site) {
			s.createPositions(t, 2, "compact")
			s.storePosition(t, "stream/"+s.org.ID()+"/data/AccountChangeEvent", `{"v":1,"position":`)
		}},
		{"position that is no replay id", 3, []string{"position", "twelve"}, func(t *testing.T, s *site) {
			s.createPositions(t, 2, "compact")
			s.storePosition(t, "stream/"+s.org.ID()+"/data/AccountChangeEvent", `{"v":1,"position":"twelve","source":"cometd","updated":"2026-01-02T03:04:05Z","owner":"x"}`)
		}},
		{"invalid yaml", 2, []string{"bridge.yaml:", "streems", "streams"}, func(_ *testing.T, s *site) {
			s.extra = "streems: []\n"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent")
			c.spoil(t, s)
			s.failsToStart(t, c.code, c.says...)
		})
	}
}

func TestBrokerWithoutTheRights(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Authorizer(), kafkatest.User("bridge", "bridge-secret"))
	s := newSite(t, "rights", cluster.SASLBrokers(), "/data/AccountChangeEvent")
	s.kafka = "  sasl:\n    mechanism: plain\n    username: bridge\n    password: bridge-secret\n"
	s.failsToStart(t, 3, "not authorised", "kafka-acls.sh")
	if out := s.lastOutput; strings.Contains(out, "bridge-secret") {
		t.Error("the password is in the output")
	}
	p := s.replay(t, "--all", "--from", "earliest")
	if code := p.exit(t, startWithin); code != 3 || !strings.Contains(p.output(), "not authorised") || !strings.Contains(p.output(), "rights.replays") {
		t.Errorf("a replay without rights ended with %d:\n%s", code, tail(p.output()))
	}
}

// failsToStart runs the bridge and checks how it ends.
func (s *site) failsToStart(t *testing.T, code int, says ...string) {
	t.Helper()
	p := s.start(t)
	got := p.exit(t, startWithin)
	s.lastOutput = p.output()
	if got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	var last string // what is not a log line
	for line := range strings.Lines(s.lastOutput) {
		if !strings.HasPrefix(line, "{") {
			last += line
		}
	}
	t.Logf("exit %d: %s", got, strings.TrimSpace(last))
	for _, part := range says {
		if !strings.Contains(last, part) {
			t.Errorf("the message does not say %q", part)
		}
	}
	if n := strings.Count(strings.TrimSpace(last), "\n"); n > 1 {
		t.Errorf("%d lines in place of one clear message", n+1)
	}
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (s *site) admin(tb testing.TB) *kgo.Client {
	tb.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cl.Close)
	return cl
}

func (s *site) createPositions(tb testing.TB, partitions int32, policy string) {
	tb.Helper()
	s.makeTopic(tb, s.name+".positions", partitions, map[string]*string{"cleanup.policy": &policy})
}

func (s *site) makeTopic(tb testing.TB, name string, partitions int32, settings map[string]*string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startWithin)
	defer cancel()
	resp, err := kadm.NewClient(s.admin(tb)).CreateTopic(ctx, partitions, 1, settings, name)
	if err != nil || resp.Err != nil {
		tb.Fatal(err, resp.Err)
	}
}

func (s *site) storePosition(tb testing.TB, key, value string) {
	tb.Helper()
	r := &kgo.Record{Topic: s.name + ".positions", Key: []byte(key), Value: []byte(value)}
	if err := s.admin(tb).ProduceSync(tb.Context(), r).FirstErr(); err != nil {
		tb.Fatal(err)
	}
}
