package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInvalid holds one file for each rule and the exact messages it gives.
func TestInvalid(t *testing.T) {
	const atLeast = 35
	if n := corpus(t, "invalid", true); n < atLeast {
		t.Errorf("%d invalid files, want at least %d", n, atLeast)
	}
}

// TestWarnings is the same for what is allowed, but told.
func TestWarnings(t *testing.T) {
	if n := corpus(t, "warning", false); n == 0 {
		t.Error("no files")
	}
}

func corpus(t *testing.T, folder string, invalid bool) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, problems := Parse(data, name, testEnv())
			got := render(problems)
			if len(problems) == 0 || HasErrors(problems) != invalid || (c == nil) != invalid {
				t.Errorf("config %v, errors %v, problems:\n%s", c != nil, HasErrors(problems), got)
			}
			if strings.Contains(got, secretValue) || strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".want", got)
		})
	}
	return len(paths)
}
