package config

import (
	"strings"
	"testing"
)

// Two documents have the same fingerprint if and only if they make the same of the
// same events.
func TestFingerprint(t *testing.T) {
	two := strings.Replace(minimal, "streams:\n", "streams:\n  - channel: /data/ContactChangeEvent\n", 1)
	base := parse(t, two).Fingerprint()
	for name, tt := range map[string]struct {
		document string
		same     bool
	}{
		"once more":          {two, true},
		"another log level":  {two + "log: {level: debug}\n", true},
		"another ops port":   {two + "ops: {listen: ':9999'}\n", true},
		"another order":      {strings.Replace(minimal, "/data/AccountChangeEvent", "/data/AccountChangeEvent\n  - channel: /data/ContactChangeEvent", 1), true},
		"another login url":  {strings.Replace(two, "acme.my", "acme--uat.sandbox.my", 1), true},
		"other brokers":      {strings.Replace(two, "localhost:9092", "kafka:9092", 1), true},
		"another client id":  {strings.Replace(two, "3MVG9", "3MVG10", 1), true},
		"a stream less":      {minimal, false},
		"another start":      {strings.Replace(two, "/data/ContactChangeEvent", "/data/ContactChangeEvent\n    start: earliest", 1), false},
		"other lanes":        {two + "lanes: 5\n", false},
		"another delivery":   {two + "delivery: at_least_once\n", false},
		"another template":   {two + "topics: {template: 'x.{{.Object}}'}\n", false},
		"another envelope":   {two + "envelope: flat\n", false},
		"another batch size": {two + "batch: {max_events: 7}\n", false},
	} {
		if got := parse(t, tt.document).Fingerprint(); (got == base) != tt.same {
			t.Errorf("%s: %s and %s, want the same: %v", name, got, base, tt.same)
		}
	}
	if again := parse(t, two); again.Fingerprint() != base || len(again.Streams) != 2 || again.Streams[0].Channel != "/data/ContactChangeEvent" {
		t.Error("taking the fingerprint changed the configuration")
	}
}
