package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

var bin struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	kafkatest.Main(m, func() error { return os.RemoveAll(bin.dir) })
}

// binary builds the program once for all tests.
func binary(tb testing.TB) string {
	tb.Helper()
	bin.once.Do(func() {
		if bin.dir, bin.err = os.MkdirTemp("", "bridge-integration-"); bin.err != nil {
			return
		}
		cmd := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(bin.dir, "bridge"), "../cmd/bridge")
		if out, err := cmd.CombinedOutput(); err != nil {
			bin.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if bin.err != nil {
		tb.Fatal("building the bridge:", bin.err)
	}
	return filepath.Join(bin.dir, "bridge")
}

// site is one installation: an org, a registry, and a configuration that names
// a Kafka.
type site struct {
	name     string
	org      *orgsim.Org
	orgURL   string
	registry string
	brokers  []string
	channels []string
	prefix   string // of the record topics
	dir      string
	ops      string // address that the bridge's probes listen on
	file     string // of the configuration
	settings map[string]string
	extra    string // further configuration text
	kafka    string // further configuration text of the section kafka
	program  string // "": that of everybody
	env      []string

	lastOutput string
}

// newSite starts an org and a fake registry beside the brokers.
func newSite(tb testing.TB, name string, brokers []string, channels ...string) *site {
	tb.Helper()
	s := &site{name: name, brokers: brokers, channels: channels, prefix: name, dir: tb.TempDir(), ops: freeAddress(tb), file: "bridge.yaml"}
	registry := httptest.NewServer(srfake.New().Handler())
	tb.Cleanup(registry.Close)
	s.registry = registry.URL
	s.settings = map[string]string{
		"client_id": orgsim.DefaultApp(nil).ClientID, "username": orgsim.DefaultUser().Username,
		"private_key": "${file:client.key}", "start": "earliest", "delivery": "exactly_once", "lanes": "2", "log": "info", "snapshot": "never",
	}
	s.replaceOrg(tb, func(*orgsim.Config) {})
	return s
}

// replaceOrg makes the site's org, with a key of its own, as the function says.
func (s *site) replaceOrg(tb testing.TB, change func(*orgsim.Config)) {
	tb.Helper()
	key, pem, err := orgsim.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	cfg := orgsim.Config{Seed: 7, Apps: []orgsim.App{orgsim.DefaultApp(&key.PublicKey)}}
	change(&cfg)
	if s.org, err = orgsim.New(cfg); err != nil {
		tb.Fatal(err)
	}
	org := s.org
	server := httptest.NewServer(org.Handler())
	tb.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := org.Close(); err != nil {
			tb.Error(err)
		}
	})
	s.orgURL = server.URL
	if err := os.WriteFile(filepath.Join(s.dir, "client.key"), pem, 0o600); err != nil {
		tb.Fatal(err)
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	address, err := kafkatest.FreeAddress(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

// config writes the configuration file and returns its path.
func (s *site) config(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `name: %s
org:
  login_url: %s
  auth:
    type: jwt_bearer
    client_id: %s
    username: %s
    audience: https://login.salesforce.com
    private_key: %s
kafka:
  brokers: [%s]
%sregistry:
  url: %s
topics:
  prefix: %s
  partitions: 6
delivery: %s
lanes: %s
ops:
  listen: %s
log:
  level: %s
%sstreams:
`, s.name, s.orgURL, s.settings["client_id"], s.settings["username"], s.settings["private_key"],
		strings.Join(s.brokers, ", "), s.kafka, s.registry, s.prefix, s.settings["delivery"], s.settings["lanes"], s.ops, s.settings["log"], s.extra)
	for _, c := range s.channels {
		fmt.Fprintf(&b, "  - channel: %s\n    start: %s\n", c, s.settings["start"])
		if strings.HasPrefix(c, "/data/") {
			fmt.Fprintf(&b, "    snapshot: %s\n", s.settings["snapshot"])
		}
	}
	path := filepath.Join(s.dir, s.file)
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// process is a running bridge.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs the binary; it is killed at the end of the test if it still runs.
func (s *site) start(tb testing.TB) *process {
	tb.Helper()
	program := s.program
	if program == "" {
		program = binary(tb)
	}
	return launch(tb, program, s.env, "run", "--config", s.config(tb))
}

func command(tb testing.TB, args ...string) *process {
	tb.Helper()
	return launch(tb, binary(tb), nil, args...)
}

func launch(tb testing.TB, program string, env []string, args ...string) *process {
	tb.Helper()
	p := &process{done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = dieWithParent()
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // its code is in ProcessState
	}()
	tb.Cleanup(func() { p.signal(tb, syscall.SIGKILL); <-p.done })
	return p
}

func (p *process) signal(tb testing.TB, sig os.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Fatal(err)
	}
}

// kill ends it with SIGKILL, as the kernel or a node failure does.
func (p *process) kill(tb testing.TB) {
	tb.Helper()
	p.signal(tb, syscall.SIGKILL)
	<-p.done
}

// exit waits for the end by itself and returns the exit code.
func (p *process) exit(tb testing.TB, within time.Duration) int {
	tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		tb.Fatalf("the bridge did not end within %s:\n%s", within, tail(p.output()))
		return -1
	}
}

// drain asks for the orderly end and checks it.
func (p *process) drain(tb testing.TB) {
	tb.Helper()
	p.signal(tb, syscall.SIGTERM)
	if code := p.exit(tb, time.Minute); code != 0 {
		tb.Errorf("exit code %d after SIGTERM:\n%s", code, tail(p.output()))
	}
}

func tail(s string) string {
	const keep = 8000
	if len(s) > keep {
		return "…" + s[len(s)-keep:]
	}
	return s
}

// status asks the bridge's ops server.
func (s *site) status(ctx context.Context) (out struct {
	Streams []struct {
		Stream                                          string
		Received, Produced, Records, Filtered, Returned uint64
		DeadLettered                                    uint64 `json:"dead_lettered"`
		InFlight                                        uint64 `json:"in_flight"`
	}
}, err error) {
	body, _, err := get(ctx, "http://"+s.ops+"/status")
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(body, &out)
}

func get(ctx context.Context, url string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return body, resp.StatusCode, err
}

// balanced checks the counter law of a bridge that is at rest, or will be soon:
// it may have been started a moment ago, or still be confirming what a consumer
// has seen already.
func (s *site) balanced(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for {
		problem := s.unbalanced(ctx)
		if problem == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatal(problem)
		}
	}
}

func (s *site) unbalanced(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	if len(st.Streams) != len(s.channels) {
		return fmt.Errorf("%d streams in the status, want %d", len(st.Streams), len(s.channels))
	}
	for _, c := range st.Streams {
		if c.InFlight != 0 || c.Received != c.Produced+c.DeadLettered+c.Filtered+c.Returned {
			return fmt.Errorf("counters of %s do not balance: %+v", c.Stream, c)
		}
	}
	return nil
}
