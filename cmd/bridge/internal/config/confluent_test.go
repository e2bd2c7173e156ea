package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// connectors are the connectors' configurations of the tests, by name.
func connectors(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/confluent/*.json")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	out := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".json")] = string(text)
	}
	return out
}

// Each connector's translation is what its file says, and no secret is in it.
func TestFromConfluent(t *testing.T) {
	for name, text := range connectors(t) {
		got, err := FromConfluent([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b strings.Builder
		b.WriteString(got.YAML)
		for _, k := range got.Keys {
			fmt.Fprintf(&b, "\n# %s: %s", k.Key, k.Fate)
			if len(k.To) > 0 {
				b.WriteString(" to " + strings.Join(k.To, ", "))
			}
			if k.Note != "" {
				b.WriteString(" (" + k.Note + ")")
			}
		}
		for _, m := range got.Missing {
			b.WriteString("\n# missing: " + m)
		}
		golden(t, "testdata/confluent/"+name+".golden", b.String()+"\n")
		all, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{secretValue, "aHVudGVyMi1kby1ub3Qtc2hvdw"} {
			if strings.Contains(string(all), secret) {
				t.Errorf("%s: the translation holds a secret:\n%s", name, all)
			}
		}
	}
}

// Each key of a connector has exactly one fate, and what was carried is there.
func TestFromConfluentNamesEveryKey(t *testing.T) {
	for name, text := range connectors(t) {
		got, err := FromConfluent([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := readConnector([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, k := range got.Keys {
			keys = append(keys, k.Key)
			if k.Fate != Carried && k.Note == "" {
				t.Errorf("%s: nothing is said about %s", name, k.Key)
			}
			for _, to := range k.To {
				last := to[strings.LastIndexByte(to, '.')+1:]
				if k.Fate == Carried && k.Key != "kafka.topic.lowercase" && !strings.Contains(got.YAML, last+":") && !strings.HasPrefix(to, "topics.settings.") {
					t.Errorf("%s: %s went to %s, which is not there:\n%s", name, k.Key, to, got.YAML)
				}
			}
		}
		if want := slices.Sorted(maps.Keys(in)); !slices.Equal(keys, want) {
			t.Errorf("%s: keys %v, want %v", name, keys, want)
		}
	}
}

// With the variables set that it asks for, a translation is valid.
func TestFromConfluentIsValid(t *testing.T) {
	world := testEnv()
	values := map[string]string{
		"SF_PRIVATE_KEY": string(rsaPEM()), "SF_LOGIN_URL": "https://acme.my.salesforce.com", "SF_PROXY_URL": "http://u:p@proxy:3128",
		"KAFKA_BROKERS": "a:9092,b:9092", "REGISTRY_URL": "https://registry.acme.example", "SF_CHANNEL": "/data/AccountChangeEvent",
	}
	for name, text := range connectors(t) {
		got, err := FromConfluent([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		asked := make(map[string]bool)
		env := Env{ReadFile: world.ReadFile, Lookup: func(name string) (string, bool) {
			asked[name] = true
			if v, ok := values[name]; ok {
				return v, true
			}
			return "something", true
		}}
		_, problems := Parse([]byte(got.YAML), "bridge.yaml", env)
		if HasErrors(problems) {
			t.Errorf("%s: %s\n%s", name, render(problems), got.YAML)
		}
		var told []string
		for _, p := range got.Placeholders {
			told = append(told, p.Name)
		}
		if want := slices.Sorted(maps.Keys(asked)); !slices.Equal(told, want) {
			t.Errorf("%s: it tells of %v, and refers to %v", name, told, want)
		}
	}
}

func TestFromConfluentRefuses(t *testing.T) {
	for text, says := range map[string]string{
		`[]`: "is not a connector's configuration",
		`{}`: `there is no "connector.class"`,
		`{"connector.class":"io.confluent.salesforce.SalesforceSObjectSinkConnector"}`: "SalesforceSObjectSinkConnector\" is not one that can be translated",
		`{"connector.class":"SalesforceCdcSource","x":{}}`:                             "x is not a value",
	} {
		if _, err := FromConfluent([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
}

// The table has no rule that another one before it hides.
func TestConfluentRulesAreReached(t *testing.T) {
	rules := confluentRules()
	for i, r := range rules {
		for _, before := range rules[:i] {
			if before.key == r.key || strings.HasSuffix(before.key, "*") && before.fits(strings.TrimSuffix(r.key, "*")) {
				t.Errorf("the rule of %s is hidden by that of %s", r.key, before.key)
			}
		}
	}
}

// Whatever a connector says, the translation is a document, and says as much of it.
func FuzzFromConfluent(f *testing.F) {
	f.Add("salesforce.instance", "https://u:p@acme.example", "SalesforceCdcSource", "x\n- y: \u2028z")
	f.Add("topic.creation.default.a: b", "${file:/x:y}", "SalesforcePushTopicSource", "")
	f.Add("kafka.topic", "${_ObjectType}{{.X}}", "SalesforceCdcSource", "#")
	f.Add("confluent.topic.bootstrap.servers", ",,://,", "SalesforcePlatformEventSource", "a")
	f.Fuzz(func(t *testing.T, key, value, class, name string) {
		text, err := json.Marshal(map[string]any{"name": name, "config": map[string]string{key: value, "connector.class": class}})
		if err != nil {
			return
		}
		got, err := FromConfluent(text)
		if err != nil {
			return
		}
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(got.YAML), &doc); err != nil {
			t.Fatalf("%v:\n%s", err, got.YAML)
		}
		if doc["org"] == nil || doc["streams"] == nil || doc["kafka"] == nil {
			t.Errorf("something is missing:\n%s", got.YAML)
		}
	})
}

// A password in a URL is a secret.
func TestFromConfluentHidesPasswordsOfURLs(t *testing.T) {
	for key, value := range map[string]string{
		"http.proxy":                          "http://reader:" + secretValue + "@proxy:3128",
		"value.converter.schema.registry.url": "https://reader:" + secretValue + "@registry.acme.example",
		"salesforce.instance":                 "https://reader:" + secretValue + "@acme.my.salesforce.com",
		"kafka.endpoint":                      "SASL_SSL://reader:" + secretValue + "@kafka:9092",
		"salesforce.cdc.channel":              "https://reader:" + secretValue + "@x/AccountChangeEvent",
		"kafka.topic":                         "https://reader:" + secretValue + "@x",
	} {
		text, err := json.Marshal(map[string]string{"connector.class": "SalesforceCdcSource", "value.converter": "AvroConverter", key: value})
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromConfluent(text)
		if err != nil {
			t.Fatal(err)
		}
		if all, err := json.Marshal(got); err != nil || strings.Contains(string(all), secretValue) {
			t.Errorf("%s: %s, %v", key, all, err)
		}
	}
}
