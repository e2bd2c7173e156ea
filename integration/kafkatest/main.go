package kafkatest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// state is what the tests of one process share; see the package comment.
var state shared

type shared struct {
	mu       sync.Mutex
	main     bool // Main runs: somebody will stop what is started
	cluster  *Cluster
	kafka    error // why there is no cluster
	registry *registry
	apicurio error // why there is no registry
	cleanup  []func() error

	notesMu sync.Mutex // apart from mu, which is held while a broker starts
	notes   []string
	missed  bool // something that CI must have
}

func (s *shared) note(err *UnavailableError) {
	s.notesMu.Lock()
	defer s.notesMu.Unlock()
	s.missed = s.missed || !err.Optional
	for _, n := range s.notes {
		if n == err.Error() {
			return
		}
	}
	s.notes = append(s.notes, err.Error())
}

// Main runs a package's tests, stops what they shared, removes its data and
// exits. It is all that a TestMain needs to call.
//
// If a test could not have its Kafka (or registry, or Java, or Python), the last
// line of the output says why. The exit status is then 0 outside CI and 1 in CI
// (but not for what is optional), unless some test failed, which is 1 everywhere. The functions after are called when the tests
// have ended.
func Main(m *testing.M, after ...func() error) {
	state.mu.Lock()
	state.cleanup = append(state.cleanup, after...)
	state.mu.Unlock()
	os.Exit(run(m.Run, os.Stdout)) //nolint:forbidigo // it stands for the main of the test binary
}

func run(tests func() int, out io.Writer) int {
	state.mu.Lock()
	state.main = true
	state.mu.Unlock()
	code := tests()
	if err := state.close(); err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest:", err)
		code = max(code, 1)
	}
	state.notesMu.Lock()
	defer state.notesMu.Unlock()
	if len(state.notes) == 0 {
		return code
	}
	verdict := "tests were skipped"
	if inCI() && state.missed {
		verdict = "in CI that is a failure"
		code = max(code, 1)
	}
	line := fmt.Sprintf("kafkatest: %s: %s\n", verdict, strings.ReplaceAll(strings.Join(state.notes, "; "), "\n", " "))
	_, _ = io.WriteString(out, line)
	if err := note(line); err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest:", err)
		code = max(code, 1)
	}
	return code
}

// note appends the last line to the file that BRIDGE_TEST_NOTES names: `go test`
// does not show what a package that passes printed, `make test` shows that file.
func note(line string) (err error) {
	path := os.Getenv("BRIDGE_TEST_NOTES")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // whoever runs the tests names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(line)
	return err
}

func (s *shared) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.main = false
	var first error
	for _, f := range s.cleanup {
		if err := f(); err != nil && first == nil {
			first = err
		}
	}
	s.cleanup = nil
	return first
}

// inCI is what CI systems announce: CI=true, or CI=1.
func inCI() bool {
	switch strings.ToLower(os.Getenv("CI")) {
	case "", "0", "false":
		return false
	}
	return true
}
