package maven

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ToolError says that a program is not on this machine, or too old.
type ToolError struct {
	Tool   string // "java", "mvn", …
	Reason string
}

func (e *ToolError) Error() string {
	return fmt.Sprintf("%s: %s: install it or put it first in PATH", e.Tool, e.Reason)
}

// RunError is a run of a tool that did not succeed.
type RunError struct {
	Tool   string
	Args   []string
	Output string // the end of what it printed
	Err    error
}

func (e *RunError) Error() string {
	return fmt.Sprintf("%s %s: %v: %s", e.Tool, strings.Join(e.Args, " "), e.Err, e.Output)
}

func (e *RunError) Unwrap() error { return e.Err }

// Dependencies copies everything that pom's project needs at run time into out,
// as jars.
func Dependencies(ctx context.Context, pom []byte, out string) error {
	dir, err := os.MkdirTemp("", "bridge-maven-")
	if err != nil {
		return fmt.Errorf("directory for the pom: %w", err)
	}
	defer removeAll(dir)
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, pom, 0o600); err != nil {
		return fmt.Errorf("write the pom: %w", err)
	}
	return mvn(ctx, dir, "-f", file, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+out)
}

// Artifact copies one artifact, group:artifact:version[:type[:classifier]], into
// the directory out.
func Artifact(ctx context.Context, coordinates, out string) error {
	return mvn(ctx, out, "dependency:copy", "-Dartifact="+coordinates, "-DoutputDirectory="+out)
}

func mvn(ctx context.Context, dir string, args ...string) error {
	path, err := exec.LookPath("mvn")
	if err != nil {
		return &ToolError{Tool: "mvn", Reason: "not found"}
	}
	return run(ctx, dir, path, append([]string{"-q", "-B"}, args...)...)
}

// run runs a tool to its end and keeps what it says for the error.
func run(ctx context.Context, dir, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	// A grandchild that holds the output open must not outlive the deadline.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return &RunError{Tool: filepath.Base(path), Args: args, Output: tail(string(out)), Err: err}
}

func tail(s string) string {
	const keep = 2000
	s = strings.TrimSpace(s)
	if len(s) > keep {
		s = "…" + s[len(s)-keep:]
	}
	return s
}

// The first number of the version is the release, except for the 1.8 of old.
var version = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// Java returns the path of a java of the given release or a newer one: that of
// JAVA_HOME if it is set, else the first in PATH.
func Java(ctx context.Context, release int) (string, error) {
	path, err := javaTool("java")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-version")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", &ToolError{Tool: "java", Reason: fmt.Sprintf("%s -version: %v: %s", path, err, tail(string(out)))}
	}
	have, err := releaseOf(string(out))
	if err != nil {
		return "", &ToolError{Tool: "java", Reason: err.Error()}
	}
	if have < release {
		return "", &ToolError{Tool: "java", Reason: fmt.Sprintf("%s is Java %d, at least %d is needed", path, have, release)}
	}
	return path, nil
}

func releaseOf(text string) (int, error) {
	m := version.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("java -version said no version: %s", tail(text))
	}
	return strconv.Atoi(m[1])
}

// Compile compiles Java sources for a release against the jars in libs and puts
// the classes into out.
func Compile(ctx context.Context, release int, libs, out string, sources ...string) error {
	path, err := javaTool("javac")
	if err != nil {
		return err
	}
	args := append([]string{"--release", strconv.Itoa(release), "-Xlint:all,-processing", "-Werror", "-proc:none",
		"-cp", filepath.Join(libs, "*"), "-d", out}, sources...)
	return run(ctx, out, path, args...)
}

func javaTool(name string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &ToolError{Tool: name, Reason: "not found"}
	}
	return path, nil
}
