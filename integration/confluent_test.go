package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// translated writes the configuration that a connector's becomes, and returns its
// path with what was said about it.
func translated(t *testing.T, connector map[string]string) (path, told string) {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(map[string]any{"name": connector["name"], "config": connector})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "connector.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd := exec.CommandContext(t.Context(), binary(t), "config", "from-confluent", filepath.Join(dir, "connector.json"))
	cmd.Stderr = &errs
	yaml, err := cmd.Output()
	if err != nil {
		t.Fatal(err, errs.String())
	}
	path = filepath.Join(dir, "bridge.yaml")
	yaml = append(yaml, "ops:\n  listen: "+freeAddress(t)+"\n"...)
	if err := os.WriteFile(path, yaml, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, errs.String()
}

// offsetsOf writes what a worker of Kafka Connect has as the offsets of a connector.
func (s *site) offsetsOf(t *testing.T, topic string, pairs ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	compact := map[string]*string{"cleanup.policy": new("compact")}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 5, 1, compact, topic); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(pairs[i]), Value: []byte(pairs[i+1])}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a connector's configuration becomes is run as it is, with the variables set
// that it asks for, and with the replay id out of the worker's offsets: what the
// connector has not written comes, once, into the topic that it wrote.
func TestBridgeTakesOverFromAConnector(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent")
	pem, err := os.ReadFile(filepath.Join(s.dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	path, told := translated(t, map[string]string{
		"name":            s.name,
		"connector.class": "io.confluent.salesforce.SalesforceCdcSourceConnector",
		"tasks.max":       "1", "curl.logging": "true",
		"salesforce.instance": s.orgURL, "salesforce.grant.type": "JWT_BEARER", "salesforce.username": s.settings["username"],
		"salesforce.consumer.key": "${file:/opt/connect/secrets.properties:key}", "salesforce.jwt.keystore.path": "/etc/kafka/salesforce.jks",
		"salesforce.cdc.channel": "AccountChangeEvent", "salesforce.initial.start": "all", "kafka.topic": s.name + ".${_ObjectType}",
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": s.registry,
		"confluent.topic.bootstrap.servers": strings.Join(s.brokers, ","),
	})
	for _, want := range []string{"SF_CLIENT_ID for org.auth.client_id", "SF_PRIVATE_KEY for org.auth.private_key", "salesforce.jwt.keystore.path: the bridge reads no keystore"} {
		if !strings.Contains(told, want) {
			t.Errorf("it does not say %q:\n%s", want, told)
		}
	}
	const before, behind = 15, 25
	for range before + behind {
		if _, err := s.org.Create("Account", orgsim.Fields{"Name": "Acme"}); err != nil {
			t.Fatal(err)
		}
	}
	published := oracle.Expected(s.org.LedgerFrom(0), s.channels)
	key := func(connector string) string { return `["` + connector + `",{"channel":"AccountChangeEvent"}]` }
	offset := func(i int) string { return fmt.Sprintf(`{"replayId":%d}`, published[i].ReplayID) }
	s.offsetsOf(t, s.name+"-offsets", key(s.name), offset(3), key("another"), offset(30), key(s.name), offset(before-1))

	t.Setenv("SF_CLIENT_ID", s.settings["client_id"])
	t.Setenv("SF_PRIVATE_KEY", string(pem))
	imported := command(t, "positions", "import", "-c", path, "--from", "confluent-connect", "--offsets-topic", s.name+"-offsets", "--connector", s.name)
	if code := imported.exit(t, time.Minute); code != 0 {
		t.Fatalf("exit code %d: %s", code, imported.output())
	}
	p := command(t, "run", "-c", path)
	var got []oracle.Record
	for _, r := range recordsOf(t, s.brokers, s.name+".account", behind) {
		one, err := oracle.Read(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, one)
	}
	p.drain(t)
	for _, d := range oracle.Compare(published[before:], got) {
		t.Error(d)
	}
}
