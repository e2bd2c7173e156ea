package polling

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is the package with one of its rules switched off.
type mutant struct{ file, old, new string }

func mutants() map[string]mutant {
	return map[string]mutant{
		"rule 2: what becomes visible late is not waited for":     {"clock.go", "at.Add(-overlap)", "at.Add(-overlap+overlap)"},
		"rule 2: a look takes for settled what it read too early": {"stream.go", "s.bound = p.settled", "s.bound = time.Time{}"},
		"rule 3: what comes again is not left out":                {"stream.go", "same := known && e.digest == d", "same := known && e.digest == d && false"},
		"rule 3: the position does not have what was handed out":  {"position.go", "if len(p.seen.entries) > 0 {", "if len(p.seen.entries) < 0 {"},
		"rule 4: a row of the same time is the same row":          {"stream.go", "same := known && e.digest == d", "same := known && (e.digest == d || true)"},
		"rule 5: rows without room are taken for read":            {"stream.go", "p.rows, p.more, p.crowded = p.rows[:i], false, true", "p.more = p.more && i < 0; s.p.rows = place{r.at.Add(time.Second), \"\"}"},
		"a deletion is believed without a look":                   {"deletions.go", "missing[d.ID])", "missing[d.ID] || true)"},
		"deletions that are not settled are not remembered":       {"deletions.go", "!known && s.p.deletions", "(!known || true) && s.p.deletions"},
		"the list of deletions is done though some are not":       {"deletions.go", "!l.left && len(l.pending) == 0 && l.settled", "l.settled"},
		"deletions from before the first look are not asked for":  {"position.go", "p.deletions = place{at: begin}", "p.deletions = place{at: last}"},
	}
}

// enough is how many histories find a fault.
const enough = "1500"

// TestRulesAreNeeded: TestTopicBecomesTheTable finds it when one of the rules is
// switched off.
func TestRulesAreNeeded(t *testing.T) {
	root, err := filepath.Abs(".")
	must(t, err)
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(root, m.file)
			text, err := os.ReadFile(path)
			must(t, err)
			if n := strings.Count(string(text), m.old); n != 1 {
				t.Fatalf("%s has %q %d times, want once: the mutant must follow the code", m.file, m.old, n)
			}
			dir := t.TempDir()
			changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
			must(t, os.WriteFile(changed, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600))
			replaced, err := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
			must(t, err)
			must(t, os.WriteFile(overlay, replaced, 0o600))
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, ".", "-run", "^TestTopicBecomesTheTable$", "-count=1", "-failfast")
			cmd.Env = append(os.Environ(), "BRIDGE_POLL_HISTORIES="+enough)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "the topic has") && !strings.Contains(string(out), "twice:") {
				t.Errorf("%s histories did not find it (%v):\n%s", enough, err, out)
			}
			t.Log(firstFault(string(out)))
		})
	}
}

// firstFault is the first history that found it.
func firstFault(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "    --- FAIL: ") {
			return strings.TrimSpace(line)
		}
	}
	return "nothing was found"
}
