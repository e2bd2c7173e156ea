package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

const connectorsAt = "../config/testdata/confluent/"

// The translation goes to standard output, what could not be carried over to standard
// error, and the translation is a configuration.
func TestConfigFromConfluent(t *testing.T) {
	code, yaml, told := call(t, "config", "from-confluent", connectorsAt+"cdc-password.json")
	if code != 0 || !strings.Contains(yaml, "channel: /data/ContactChangeEvent") || strings.Contains(yaml, "curl.logging") {
		t.Fatalf("exit code %d: %s", code, yaml)
	}
	for _, want := range []string{
		"of 20 keys of the connector are in the translation", "To be decided:\n  confluent.topic.bootstrap.servers: ", "Without a meaning for the bridge:\n",
		"\n  curl.logging: the bridge never logs requests", "Environment variables to be set:\n  SF_CLIENT_ID for org.auth.client_id: salesforce.consumer.key\n",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("it does not say %q:\n%s", want, told)
		}
	}
	for _, name := range []string{"SF_CLIENT_ID", "SF_CLIENT_SECRET", "SF_PASSWORD", "SF_SECURITY_TOKEN"} {
		t.Setenv(name, "something")
	}
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, "config", "validate", "-c", path); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestConfigFromConfluentAsJSON(t *testing.T) {
	code, out, told := call(t, "config", "from-confluent", connectorsAt+"cdc-jwt-avro.json", "--json")
	var got config.Translation
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || told != "" {
		t.Fatal(code, err, told)
	}
	if len(got.Of(config.UnknownKey)) != 1 || got.Of(config.UnknownKey)[0].Key != "max.batch.events" || len(got.Placeholders) == 0 || !strings.Contains(got.YAML, "jwt_bearer") {
		t.Errorf("%+v", got)
	}
}

func TestConfigFromConfluentRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "connector.json")
	if err := os.WriteFile(bad, []byte(`{"connector.class":"SalesforceSourceV2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, args := range map[string][]string{
		"accepts 1 arg(s)": {}, "no such file": {"/nonexistent.json"}, "is not one that can be translated": {bad},
	} {
		if code, _, told := call(t, append([]string{"config", "from-confluent"}, args...)...); code != 2 || !strings.Contains(told, says) {
			t.Errorf("%v: exit code %d, %s", args, code, told)
		}
	}
}
