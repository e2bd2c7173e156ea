package kafkatest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("KAFKATEST_ORPHAN") != "" {
		orphan()
	}
	Main(m)
}

// orphan starts a broker, says where, and waits to be killed.
func orphan() {
	o, err := gather(nil)
	if err == nil {
		var nodes []*local
		if nodes, err = newLocals(context.Background(), o); err == nil {
			_, _ = fmt.Fprintln(os.Stdout, nodes[0].clients, nodes[0].dir)
			<-make(chan struct{})
		}
	}
	_, _ = fmt.Fprintln(os.Stdout, "error:", err)
	os.Exit(1)
}

// A test process that is killed cannot clean up; the watchdog does.
func TestKilledTestProcessLeavesNoBroker(t *testing.T) {
	Shared(t) // without Kafka the test has nothing to say
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KAFKATEST_ORPHAN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	killed := cmd.Process.Kill()
	ended := cmd.Wait()
	addr, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || killed != nil || !ok || addr == "error:" {
		t.Fatalf("the process that was to be orphaned said %q (%v, %v, %v)", line, err, killed, ended)
	}
	waitFor(t, "the broker's end", func() error {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			closeQuietly(conn)
			return fmt.Errorf("%s still accepts connections", addr)
		}
		return nil
	})
	waitFor(t, "the data's end", func() error {
		if _, err := os.Stat(dir); err == nil {
			return fmt.Errorf("%s is still there", dir)
		}
		return nil
	})
}

// What this machine does not have must be said, and must not pass for a success
// in CI.
func TestWithoutAnyKafka(t *testing.T) {
	cases := []struct {
		name, ci, test string
		wantErr        bool
		want           string
	}{
		{"outside CI", "", "TestSharedProducesAndConsumes", false, "kafkatest: tests were skipped: no Apache Kafka to be had here: "},
		{"CI=false", "false", "TestSharedProducesAndConsumes", false, "kafkatest: tests were skipped: no Apache Kafka to be had here: "},
		{"in CI", "true", "TestSharedProducesAndConsumes", true, "kafkatest: in CI that is a failure: no Apache Kafka to be had here: "},
		{"registry outside CI", "", "TestRegistry", false, "kafkatest: tests were skipped: no Apicurio Registry to be had here: "},
		{"registry in CI", "1", "TestRegistry", true, "kafkatest: in CI that is a failure: no Apicurio Registry to be had here: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, err := rerun(t, c.test, "CI="+c.ci, "PATH="+t.TempDir(), "JAVA_HOME=", "XDG_CACHE_HOME="+t.TempDir(),
				"HOME="+t.TempDir(), "DOCKER_HOST=unix:///nonexistent.sock", "BRIDGE_TEST_BROKERS=")
			if (err != nil) != c.wantErr {
				t.Errorf("ended with %v, want an error: %v\n%s", err, c.wantErr, out)
			}
			lines := strings.Split(strings.TrimSpace(out), "\n")
			last := lines[len(lines)-1]
			if !strings.HasPrefix(last, c.want) || !strings.Contains(last, "java: not found") {
				t.Errorf("last line is %q, want it to begin with %q and to name Java", last, c.want)
			}
		})
	}
}

// Brokers that somebody names are used as they are, and a name that leads nowhere
// is a failure even outside CI.
func TestBrokersFromTheEnvironment(t *testing.T) {
	addr := Shared(t).Brokers()[0]
	out, err := rerun(t, "TestSharedProducesAndConsumes", "CI=", "PATH="+t.TempDir(), "BRIDGE_TEST_BROKERS= "+addr+" ,")
	if err != nil || !strings.Contains(out, "Apache Kafka of BRIDGE_TEST_BROKERS") {
		t.Errorf("ended with %v:\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	nobody := closedPort(t)
	_, err = openShared(ctx, nobody)
	var missing *UnavailableError
	if err == nil || errors.As(err, &missing) || !strings.Contains(err.Error(), "BRIDGE_TEST_BROKERS="+nobody+": ") {
		t.Errorf("a broker that is not there: %v, want a failure that names it", err)
	}
}

func TestSharedNeedsMain(t *testing.T) {
	var s shared
	if _, err := s.sharedCluster(); err == nil || !strings.Contains(err.Error(), "kafkatest.Main") {
		t.Errorf("the shared Kafka without Main: %v", err)
	}
	if _, err := s.sharedRegistry(); err == nil || !strings.Contains(err.Error(), "kafkatest.Main") {
		t.Errorf("the registry without Main: %v", err)
	}
}

// rerun runs one test of this binary in another environment.
func rerun(t *testing.T, test string, env ...string) (string, error) {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), "BRIDGE_TEST_NOTES="), env...) // its notes are not those of this run
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func closedPort(t *testing.T) string {
	t.Helper()
	ports, err := freePorts(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0])
}
