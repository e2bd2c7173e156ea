package python

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

func TestParse(t *testing.T) {
	cases := []struct{ out, path, version, want string }{
		{"3\n11\n7\n/usr/bin/python3.11\n", "/usr/bin/python3.11", "3.11.7", ""},
		{"3\n14\n0\n/opt/my python/bin/python3\n", "/opt/my python/bin/python3", "3.14.0", ""},
		{"3\n10\n12\n/usr/bin/python3\n", "", "", "/usr/bin/python3 is Python 3.10.12, at least 3.11 is needed"},
		{"4\n12\n0\n/usr/bin/python3\n", "", "", "is Python 4.12.0"},
		{"hello", "", "", "says no version"},
		{"", "", "", "says no version"},
	}
	for _, c := range cases {
		path, version, err := parse(c.out)
		if path != c.path || version != c.version || (err == nil) != (c.want == "") {
			t.Errorf("%q: %q, %q, %v", c.out, path, version, err)
		}
		var tool *maven.ToolError
		if err != nil && (!errors.As(err, &tool) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want an error that says %q", c.out, err, c.want)
		}
	}
}

// Every line pins one version of one package: otherwise what the cache holds
// would not be what its key says.
func TestRequirementsArePinned(t *testing.T) {
	pin, n := regexp.MustCompile(`^[A-Za-z0-9._-]+==[0-9][0-9.]*$`), 0
	for line := range strings.Lines(requirements) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if n++; !pin.MatchString(line) {
			t.Errorf("requirement %q has no exact version", line)
		}
	}
	if said := Libraries(); n < 2 || strings.Count(said, ",") != 1 || !strings.Contains(said, "fastavro 1") {
		t.Errorf("%d requirements, libraries %q", n, said)
	}
}

func TestMissing(t *testing.T) {
	var unavailable *kafkatest.UnavailableError
	if err := missing(&maven.ToolError{Tool: "python3", Reason: "not found"}); !errors.As(err, &unavailable) {
		t.Errorf("without python3: %v", err)
	}
	if err := missing(&maven.RunError{Tool: "pip"}); !errors.As(err, &unavailable) {
		t.Errorf("without the packages: %v", err)
	}
	if err := missing(&maven.RunError{Tool: checkTool}); errors.As(err, &unavailable) {
		t.Errorf("a list that is not complete: %v", err)
	}
}

// A machine without Python says so, as one without Java does.
func TestWithoutPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var unavailable *kafkatest.UnavailableError
	if _, err := build(t.Context()); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "python3: not found") {
		t.Errorf("got %v", err)
	}
}
