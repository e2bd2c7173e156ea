package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse holds, for any bytes:
//   - Parse returns;
//   - a Config is there exactly if no problem is an Error;
//   - every problem says something, in the order of lines, without line breaks;
//   - what references hold is in no problem.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/invalid/*.yaml", "testdata/valid/*.yaml", "testdata/warning/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(Reference()))
	f.Add([]byte(MinimalExample()))
	env := testEnv()
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := Parse(data, "b.yaml", env)
		if (c == nil) != HasErrors(problems) {
			t.Fatalf("config %v, problems:\n%s", c != nil, render(problems))
		}
		last := 0
		for _, p := range problems {
			if p.Message == "" || p.Line < last || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("%+v after line %d", p, last)
			}
			last = p.Line
			if !bytes.Contains(data, []byte(secretValue)) && strings.Contains(p.String(), secretValue) {
				t.Errorf("a secret is shown: %s", p)
			}
		}
	})
}
