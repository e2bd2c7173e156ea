package java

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

const (
	javaRelease = 17
	buildTime   = 3 * time.Minute
	runTime     = 3 * time.Minute

	// lacking is the exit status of a program that cannot have here what it needs.
	lacking = 3
)

//go:embed pom.xml src/main/java/Reader.java envelopes/pom.xml envelopes/Envelopes.java jdbc/pom.xml jdbc/JdbcSink.java
var projects embed.FS

// program is a compiled Java program.
type program struct {
	java  string
	dir   string // with libs/ and classes/
	class string
}

// build makes the program of a pom and of one source file, and keeps it in the
// cache.
func build(tb testing.TB, pomFile, codeFile string) *program {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime)
	defer cancel()
	p, err := cached(ctx, pomFile, codeFile)
	if err != nil {
		kafkatest.GiveUp(tb, err)
	}
	return p
}

func cached(ctx context.Context, pomFile, codeFile string) (*program, error) {
	pom, err := projects.ReadFile(pomFile)
	if err != nil {
		return nil, err
	}
	code, err := projects.ReadFile(codeFile)
	if err != nil {
		return nil, err
	}
	java, err := maven.Java(ctx, javaRelease)
	if err != nil {
		return nil, missing(err)
	}
	hash := sha256.New()
	_, _ = hash.Write(pom)
	_, _ = hash.Write(code)
	name := filepath.Base(codeFile)
	dir, err := maven.Cached(ctx, fmt.Sprintf("foreign-java-%x", hash.Sum(nil)[:8]), func(ctx context.Context, dir string) error {
		return compile(ctx, dir, pom, name, code)
	})
	if err != nil {
		return nil, missing(err)
	}
	return &program{java: java, dir: dir, class: name[:len(name)-len(".java")]}, nil
}

func compile(ctx context.Context, dir string, pom []byte, name string, code []byte) error {
	libs, classes, file := filepath.Join(dir, "libs"), filepath.Join(dir, "classes"), filepath.Join(dir, name)
	if err := os.Mkdir(classes, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file, code, 0o600); err != nil {
		return err
	}
	if err := maven.Dependencies(ctx, pom, libs); err != nil {
		return err
	}
	return maven.Compile(ctx, javaRelease, libs, classes, file)
}

// missing tells a machine that lacks something from a program of ours that does
// not compile.
func missing(err error) error {
	var run *maven.RunError
	if errors.As(err, &run) && run.Tool == "javac" {
		return err
	}
	return &kafkatest.UnavailableError{What: "Java client of Kafka", Reasons: []string{err.Error()}}
}

// command returns the program, ready to start. It is killed with the context.
func (p *program) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, p.java, append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", filepath.Join(p.dir, "classes") + string(os.PathListSeparator) + filepath.Join(p.dir, "libs", "*"), p.class}, args...)...)
}

// each gives a program values, one JSON object a line, and returns its answers.
func each[Out, In any](tb testing.TB, p *program, values []In, args ...string) []Out {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), runTime)
	defer cancel()
	var in, said bytes.Buffer
	lines := json.NewEncoder(&in)
	for i := range values {
		if err := lines.Encode(&values[i]); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := p.command(ctx, args...)
	cmd.Stdin, cmd.Stderr = &in, &said
	// What the program started ends with it, if it is asked to end; and must not
	// hold its output open if it does not.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == lacking {
		kafkatest.GiveUp(tb, &kafkatest.UnavailableError{What: "server for " + p.class, Reasons: []string{strings.TrimSpace(said.String())}, Optional: true})
	}
	if err != nil {
		tb.Fatalf("the Java program %s: %v: %s", p.class, err, strings.TrimSpace(said.String()))
	}
	var got []Out
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var o Out
		if err := d.Decode(&o); err != nil {
			tb.Fatalf("%v in %s", err, out)
		}
		got = append(got, o)
	}
	if len(got) != len(values) {
		tb.Fatalf("%d answers to %d records", len(got), len(values))
	}
	return got
}
