package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
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

// What a connector's configuration becomes is run as it is, with the variables set
// that it asks for: everything comes, into the topic that the connector wrote.
func TestConfigurationOfAConnectorIsRun(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent")
	key, err := os.ReadFile(filepath.Join(s.dir, "client.key"))
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
	const events = 40
	for range events {
		if _, err := s.org.Create("Account", orgsim.Fields{"Name": "Acme"}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SF_CLIENT_ID", s.settings["client_id"])
	t.Setenv("SF_PRIVATE_KEY", string(key))
	p := command(t, "run", "-c", path)
	got := recordsOf(t, s.brokers, s.name+".account", events)
	p.drain(t)
	if len(got) != events {
		t.Errorf("%d records, want %d", len(got), events)
	}
}
