package integration

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// The right to write is taken from a bridge that runs: it lives, its probe says
// what is missing, and once the right is back it brings everything exactly once.
// What a commit does in each trouble of Kafka's is tested in package sink.
func TestRightsRevokedWhileRunning(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Authorizer(), kafkatest.User("bridge", "bridge-secret"))
	acls := kadm.NewClient((&site{brokers: cluster.Brokers()}).admin(t))
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := acls.CreateACLs(t.Context(), kadm.NewACLs().Allow("User:bridge").AllowHosts("*").
		Topics("*").Groups("*").TransactionalIDs("*").Clusters().Operations(kadm.OpAll).ResourcePatternType(kadm.ACLPatternLiteral))
	must("granting everything", err)

	s := newSite(t, "revoked", cluster.Brokers(), "/data/AccountChangeEvent")
	r := s.read(t)
	s.brokers = cluster.SASLBrokers()
	s.kafka = "  sasl:\n    mechanism: plain\n    username: bridge\n    password: bridge-secret\n"
	publish := func() {
		if err := s.org.Bulk(orgsim.Bulk{Object: "Account", Count: 200, Batch: 20}); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	w := &stalled{site: s, bridge: s.start(t), cluster: cluster}
	w.all(t, r, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute)

	_, err = acls.CreateACLs(t.Context(), writing().Deny("User:bridge").DenyHosts("*"))
	must("denying", err)
	w.since = time.Now()
	publish()
	w.until(t, false, time.Minute)
	_, err = acls.DeleteACLs(t.Context(), writing().Deny("User:bridge").DenyHosts("*"))
	must("granting again", err)
	publish()
	w.since = time.Now()
	w.until(t, true, greenWithin)
	w.all(t, r, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), greenWithin)
	s.balanced(t)
	w.bridge.drain(t)
	s.exactly(t, r)
	t.Logf("readyz red after %s, green %s after the right was back", w.red.Round(time.Millisecond), w.green.Round(time.Millisecond))
}

func writing() *kadm.ACLBuilder {
	return kadm.NewACLs().Topics("*").Operations(kadm.OpWrite).ResourcePatternType(kadm.ACLPatternLiteral)
}
