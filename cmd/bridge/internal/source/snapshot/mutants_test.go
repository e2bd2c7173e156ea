package snapshot

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutant is the program with one of its rules switched off.
type mutant struct {
	file     string // from the module's root
	old, new string
}

func mutants() map[string]mutant {
	const (
		window = "cmd/bridge/internal/pipeline/window.go"
		rows   = "cmd/bridge/internal/pipeline/rows.go"
		work   = "cmd/bridge/internal/source/snapshot/work.go"
	)
	return map[string]mutant{
		"rule 1: rows are read before the stream is subscribed": {work,
			"if err := b.desk.Subscribed(ctx, t.key.Channel); err != nil {", "if err := ctx.Err(); err != nil {"},
		"rule 3: nobody remembers what had events": {window,
			"r.ids[id] = heard{at: latestOf(h.at, at), commit: r.now}", "_ = h"},
		"rule 4: an event of the row's second does not count": {window,
			"!h.at.Before(modified.Truncate(time.Second))", "h.at.Truncate(time.Second).After(modified)"},
		"rule 4: rows of another task do not count": {rows,
			"c.l.recent.hear([]byte(r.ID), latestOf(r.Modified, r.Until))", "_ = r"},
		"a hole behind which nothing comes is not entered": {"cmd/bridge/internal/pipeline/poller.go",
			"p.idle = true", "p.idle = false"},
		"rule 5: late events are not marked": {rows,
			"return ok && !at.After(until)", "return ok && at.After(until)"},
	}
}

// enough is how many histories find a fault.
const enough = "1000"

// TestRulesAreNeeded: TestHistories finds it when one of the rules is switched off.
func TestRulesAreNeeded(t *testing.T) {
	root, err := filepath.Abs("../../../../..")
	must(t, err)
	for name, m := range mutants() {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(root, filepath.FromSlash(m.file))
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
			cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, ".", "-run", "^TestHistories$", "-count=1", "-history.count", enough)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "again: go test") {
				t.Errorf("%s histories did not find it (%v):\n%s", enough, err, out)
			}
			t.Log(firstFault(string(out)))
		})
	}
}

// firstFault is the line that says what was found.
func firstFault(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": history ") {
			return strings.TrimSpace(line)
		}
	}
	return "nothing was found"
}
