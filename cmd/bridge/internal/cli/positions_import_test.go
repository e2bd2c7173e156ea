package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A bridge of another name and another number of lanes goes on where the exported
// one stopped, and finds times as that one did. It undoes to what it had: nothing.
func TestPositionsMoveToAnotherBridge(t *testing.T) {
	s := newStreamSite(t, 4)
	was := s.position(t)
	path := s.exported(t, "", "")
	s.edit(t, "name: demo\n", "name: moved\n")
	s.edit(t, "lanes: 2\n", "lanes: 5\n")
	s.publish(t, 2, nil)
	out, _ := s.positions(t, 0, "import", "--file", path, "--dry-run")
	if !strings.Contains(out, "no position") || !strings.Contains(out, "nothing was changed") {
		t.Error(out)
	}
	if n := s.written(t, "moved.positions"); n != 0 {
		t.Errorf("a dry run wrote %d records", n)
	}
	s.positions(t, 0, "import", "--file", path)
	now := s.position(t)
	if now.Position != was.Position || !now.EventTime.Equal(was.EventTime) || now.IndexFrom.IsZero() || !now.IndexFrom.Equal(was.IndexFrom) || now.Undo == nil || now.Undo.To != nil {
		t.Errorf("%+v, was %+v", now, was)
	}
	s.runs(t, 6)
	s.came(t, 1, 1, 1, 1, 1, 1)
	before := s.written(t, "moved.positions")
	if _, errs := s.positions(t, 2, "import", "--file", path, "--yes"); !strings.Contains(errs, "a position already") || !strings.Contains(errs, "--replace") {
		t.Error(errs)
	}
	if after := s.written(t, "moved.positions"); after != before {
		t.Errorf("%d records were written", after-before)
	}
	s.positions(t, 0, "import", "--file", path, "--yes", "--replace")
	s.runs(t, 8)
	s.came(t, 1, 1, 1, 1, 2, 2)
}

// What is not an export of this org's positions, whole and of our version, changes
// nothing.
func TestPositionsImportRefuses(t *testing.T) {
	s := newStreamSite(t, 2)
	at := `"channel": "` + accountEvents + `"`
	paths := make(map[string]string)
	for name, c := range map[string]struct{ old, changed string }{
		"positions of the org":                {s.org.ID(), "00Dxx0000001gPLEAZ"},
		"was it exported by a newer one":      {`"version": 1`, `"version": 2`},
		"not what bridge positions export":    {"bridge-positions", "something"},
		"unknown field":                       {`"name"`, `"nom"`},
		"has version 9":                       {`"v": 1`, `"v": 9`},
		"no position or no time":              {`"moments": [`, `"moments": [{},`},
		"has no channel":                      {at, `"channel": "accounts"`},
		"nothing to import":                   {at, `"channel": "/data/ContactChangeEvent"`},
		"the org takes no replay id 88888888": {`"position": "` + s.ids[1] + `"`, `"position": "88888888"`},
	} {
		paths[name] = s.exported(t, c.old, c.changed)
	}
	s.edit(t, "name: demo\n", "name: moved\n")
	for says, path := range paths {
		if _, errs := s.positions(t, 2, "import", "--file", path, "--yes"); !strings.Contains(errs, says) {
			t.Errorf("%q does not say %q", errs, says)
		}
	}
	if n := s.written(t, "moved.positions"); n != 0 {
		t.Errorf("%d records were written", n)
	}
	if _, errs := s.positions(t, 3, "export"); !strings.Contains(errs, "no positions in moved.positions") {
		t.Error(errs)
	}
}

// connectOffsets makes a topic of a worker's offsets with a replay id in it.
func (s *schemaSite) connectOffsets(t *testing.T, topic string, records map[string]string) {
	t.Helper()
	cl, err := kgo.NewClient(append(s.kafka, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 3, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for key, value := range records {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// A connector's replay id is taken over from its worker's topic, or from what the
// worker answers; what does not map is named.
func TestPositionsOfAConnector(t *testing.T) {
	s := newStreamSite(t, 4)
	s.connectOffsets(t, "connect-offsets", map[string]string{
		`["sf-cdc",{"channel":"/data/AccountChangeEvent"}]`: fmt.Sprintf(`{"replayId":%s}`, s.ids[1]),
		`["sf-cdc",{"channel":"/data/ContactChangeEvent"}]`: `{"replayId":7}`,
		`["sf-cdc",{"what":"ever"}]`:                        `{"at":"here"}`,
		`["other",{"channel":"/data/AccountChangeEvent"}]`:  `{"replayId":3}`,
	})
	s.edit(t, "name: demo\n", "name: moved\n")
	_, errs := s.positions(t, 0, "import", "--from", "confluent-connect", "--connector", "sf-cdc", "--offsets-topic", "connect-offsets")
	for _, says := range []string{"/data/ContactChangeEvent is left out", "not taken: connector sf-cdc"} {
		if !strings.Contains(errs, says) {
			t.Errorf("%q does not say %q", errs, says)
		}
	}
	if p := s.position(t); p.Position != s.ids[1] || !p.EventTime.IsZero() {
		t.Errorf("%+v", p)
	}
	s.runs(t, 6)
	s.came(t, 1, 1, 2, 2)
	path := filepath.Join(t.TempDir(), "offsets.json")
	answer := fmt.Sprintf(`{"offsets":[{"partition":{"channel":"/data/AccountChangeEvent"},"offset":{"replayId":%s}}]}`, s.ids[2])
	if err := os.WriteFile(path, []byte(answer), 0o600); err != nil {
		t.Fatal(err)
	}
	s.positions(t, 0, "import", "--from", "confluent-connect", "--file", path, "--replace", "--yes")
	s.runs(t, 7)
	s.came(t, 1, 1, 2, 3)
}

// Two commands at the same time, or a command and an instance that begins, cannot
// both write: the later one has the lane.
func TestPositionsContested(t *testing.T) {
	s := newStreamSite(t, 2)
	d, err := openPositionDesk(t.Context(), s.path, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	stored, err := d.entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := stored[d.key(accountEvents)]
	e.Position = "1"
	changes := []change{d.change(t.Context(), stored, d.key(accountEvents), &e)}
	changes[0].fresh = true // as of an import that saw none
	held, err := d.hold(t.Context(), changes)
	d.letGo(t.Context(), held)
	if exitCode(err) != 2 || !strings.Contains(err.Error(), "a position already") {
		t.Errorf("a position that came meanwhile: %v", err)
	}
	changes[0].fresh = false
	held, err = d.hold(t.Context(), changes)
	defer d.letGo(t.Context(), held)
	if err != nil {
		t.Fatal(err)
	}
	s.positions(t, 0, "set", "--channel", accountEvents, "--id", s.ids[0], "--yes")
	if err := d.write(t.Context(), held); exitCode(err) != 3 || !strings.Contains(err.Error(), "took the lane at the same moment") || changes[0].applied {
		t.Error(err)
	}
	if p := s.position(t); p.Position != s.ids[0] {
		t.Errorf("%+v", p)
	}
}
