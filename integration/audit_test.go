package integration

import (
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// finding is a line of `bridge audit --json`: a record, or the summary.
type finding struct {
	Type, ID, Kind        string
	Same                  bool
	Equal, Settled        int
	Undecided, Unclear    int
	OrgRecords            int `json:"org_records"`
	TopicRecords, Drifted int
	Fields                []struct{ Field string }
}

// audit runs the command, and returns its exit code, the kinds of drifts by id, and the
// summary.
func (s *site) audit(t *testing.T, args ...string) (code int, drifts map[string]string, sum finding) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"audit", "-c", s.config(t), "--entity", "Account", "--json"}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if code = cmd.ProcessState.ExitCode(); code > 1 {
		t.Fatalf("bridge audit: %v\n%s%s", err, out, errs.String())
	}
	drifts = make(map[string]string)
	for line := range strings.Lines(string(out)) {
		var f finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if f.Type == "drift" {
			drifts[f.ID] = f.Kind
		} else {
			sum = f
		}
	}
	return code, drifts, sum
}

// restless changes accounts, each of them again and again, until it is stopped.
func (s *site) restless(t *testing.T, ids []string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				ended <- nil
				return
			}
			id := ids[i*i%len(ids)]
			if err := s.org.Update("Account", id, orgsim.Fields{"Site": strconv.Itoa(i)}); err != nil {
				ended <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// meddle writes into the topic what the bridge never would: it takes one record out,
// puts another back to what it first was, and makes up a third.
func (s *site) meddle(t *testing.T, missing, stale, gone string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumeTopics(s.prefix+".Account"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var first *kgo.Record
	for first == nil {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			if first == nil && string(r.Key) == stale {
				first = r
			}
		}
	}
	again := func(key string, value []byte) *kgo.Record {
		return &kgo.Record{Topic: first.Topic, Key: []byte(key), Value: value, Headers: first.Headers, Timestamp: first.Timestamp}
	}
	if err := cl.ProduceSync(ctx, again(missing, nil), again(stale, first.Value), again(gone, first.Value)).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// The built binary finds what somebody did to the topic and nothing else, while the
// bridge runs and records change 200 times a second, and has it repaired.
func TestAudit(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent")
	var ids []string
	for i := range 300 {
		id, err := s.org.Create("Account", orgsim.Fields{"Name": "A" + strconv.Itoa(i), "Sic": "1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.org.Update("Account", id, orgsim.Fields{"Sic": "2"}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	seen, bridge := s.read(t), s.start(t)
	seen.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute, bridge.output)
	stop := s.restless(t, ids[2:])
	t.Cleanup(stop)

	for _, mode := range []string{"--full", "--sample=1000"} {
		code, drifts, sum := s.audit(t, mode, "--settle", "10s")
		if code != 0 || len(drifts) > 0 || !sum.Same || sum.Equal != 300 {
			t.Fatalf("%s of equal sides: exit code %d, %v, %+v", mode, code, drifts, sum)
		}
	}
	const strange = "001000000000999AAA"
	s.meddle(t, ids[0], ids[1], strange)
	want := map[string]string{ids[0]: "missing", ids[1]: "differs", strange: "gone"}
	for _, mode := range []string{"--full", "--sample=1000"} {
		code, drifts, sum := s.audit(t, mode, "--settle", "5s")
		if code != 1 || !maps.Equal(drifts, want) || sum.Same || sum.Undecided > 0 || sum.Equal != 298 {
			t.Errorf("%s: exit code %d, drifts %v, want %v; %+v", mode, code, drifts, want, sum)
		}
	}
	if code, _, _ := s.audit(t, "--full", "--settle", "5s", "--repair"); code != 1 {
		t.Errorf("with --repair: exit code %d", code)
	}
	// What is asked for is done soon, and what is done is seen by the next audit.
	for began := time.Now(); ; {
		code, drifts, sum := s.audit(t, "--full", "--settle", "5s")
		if code == 0 && sum.Equal == 300 {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("not repaired: %v, %+v\n%s", drifts, sum, tail(bridge.output()))
		}
	}
	stop()
	bridge.drain(t)
}
