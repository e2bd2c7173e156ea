package maven

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestCachedMakesOnce(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	var made atomic.Int32
	fill := func(_ context.Context, dir string) error {
		made.Add(1)
		return os.WriteFile(filepath.Join(dir, "file"), []byte("whole"), 0o600)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := Cached(t.Context(), "thing-1", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(filepath.Join(dir, "file")); string(text) != "whole" {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times", made.Load())
	}
}

// What was cut short must neither be taken for a whole one nor stay for ever.
func TestCachedKeepsNothingHalf(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(base, "bridge-test", "thing-2.tmp-123")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut")
	_, err = Cached(t.Context(), "thing-2", func(_ context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o600); err != nil {
			return err
		}
		return cut
	})
	if !errors.Is(err, cut) {
		t.Errorf("got %v, want the error of what fills it", err)
	}
	names, err := filepath.Glob(filepath.Join(base, "bridge-test", "thing-2*"))
	if err != nil || len(names) != 1 || !strings.HasSuffix(names[0], ".lock") {
		t.Errorf("left behind: %v, %v", names, err)
	}
	dir, err := Cached(t.Context(), "thing-2", func(context.Context, string) error { return nil })
	if err != nil || filepath.Base(dir) != "thing-2" {
		t.Errorf("the next attempt: %s, %v", dir, err)
	}
}

// One who waits for another process gives up with its context.
func TestCachedWaitsNoLongerThanAsked(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Cached(t.Context(), "thing-3", func(context.Context, string) error {
		if _, err := Cached(ctx, "thing-3", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another makes it: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReleaseOf(t *testing.T) {
	cases := []struct {
		text string
		want int
	}{
		{`openjdk version "17.0.15" 2025-04-15`, 17},
		{"Picked up JAVA_TOOL_OPTIONS: -Dx=1\n" + `openjdk version "21" 2023-09-19 LTS`, 21},
		{`java version "1.8.0_412"`, 8},
		{`openjdk version "26-ea" 2026-03-17`, 26},
		{"command not found", 0},
	}
	for _, c := range cases {
		got, err := releaseOf(c.text)
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("releaseOf(%q) = %d, %v, want %d", c.text, got, err, c.want)
		}
	}
}

// The errors say what is missing.
func TestMissingAndOldTools(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("JAVA_HOME", "")
	var missing *ToolError
	_, javaErr := Java(t.Context(), 17)
	for tool, err := range map[string]error{
		"java":  javaErr,
		"mvn":   Artifact(t.Context(), "g:a:1", bin),
		"javac": Compile(t.Context(), 17, bin, bin),
	} {
		if !errors.As(err, &missing) || missing.Tool != tool {
			t.Errorf("without %s: %v", tool, err)
		}
	}
	script(t, bin, "java", `echo 'openjdk version "11.0.2" 2019-01-15' >&2`)
	if _, err := Java(t.Context(), 17); err == nil || !strings.Contains(err.Error(), "is Java 11, at least 17 is needed") {
		t.Errorf("an old Java: %v", err)
	}
	script(t, bin, "mvn", `echo "no such artifact"; exit 3`)
	var failed *RunError
	err := Dependencies(t.Context(), []byte("<project/>"), bin)
	if !errors.As(err, &failed) || failed.Output != "no such artifact" || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a run that did not succeed: %v", err)
	}
}

func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

func ExampleCached() {
	cache, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer removeAll(cache)
	_ = os.Setenv("XDG_CACHE_HOME", cache)
	defer func() { _ = os.Unsetenv("XDG_CACHE_HOME") }()
	for range 2 {
		dir, err := Cached(context.Background(), "greeting-1", func(_ context.Context, dir string) error {
			fmt.Println("made")
			return os.WriteFile(filepath.Join(dir, "greeting"), []byte("hello"), 0o600)
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		text, err := os.ReadFile(filepath.Join(dir, "greeting"))
		fmt.Println(string(text), err)
	}
	// Output:
	// made
	// hello <nil>
	// hello <nil>
}
