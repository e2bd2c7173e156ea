package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// says runs a command of the site, which must end with an exit code.
func (s *schemaSite) says(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out, stderr := call(t, append(args, "-c", s.path)...)
	if got != code {
		t.Errorf("bridge %v: exit code %d, want %d: %s%s", args, got, code, out, stderr)
	}
	return out + stderr
}

// carries waits until the bridge is ready.
func (r *running) carries() {
	r.t.Helper()
	eventually(r.t, func() error {
		if report := r.ops.ready(); !report.Ready {
			return fmt.Errorf("it is not ready: %+v", report.Reasons)
		}
		return nil
	})
}

// rowsOf are the keys of the rows that a task wrote, in the order of the topic.
func (s *schemaSite) rowsOf(t *testing.T, topic, task string) (keys []string) {
	t.Helper()
	records, err := readTopic(t.Context(), s.kafka, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		for _, h := range r.Headers {
			if h.Key == pipeline.SnapshotHeader && strings.HasPrefix(string(h.Value), task) {
				keys = append(keys, string(r.Key))
			}
		}
	}
	return keys
}

// What is asked for while the bridge runs is read, and told of, as Avro too.
func TestSnapshotByCommand(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	if got := s.says(t, pipeline.ExitEnvironment, "snapshot", "--entity", "Account"); !strings.Contains(got, "has never been carried") {
		t.Errorf("before the first start it says %s", got)
	}
	s.publish(t, 3, nil)
	r := s.run(t)
	r.carries()
	out := s.says(t, pipeline.ExitOK, "snapshot", "--entity", "Account")
	var kinds []string
	for line := range strings.Lines(out) {
		var n snapshot.Notice
		if err := json.Unmarshal([]byte(line), &n); err != nil {
			t.Fatal(err, line)
		}
		kinds = append(kinds, string(n.Type))
	}
	if got := strings.Join(kinds, " "); got != "asked started chunk done" {
		t.Errorf("it was told: %s", got)
	}
	if got := s.rowsOf(t, "salesforce.Account", "snapshot/"); len(got) != 3 {
		t.Errorf("the topic has rows of %v", got)
	}
	if out := s.says(t, pipeline.ExitOK, "snapshot", "status"); !strings.Contains(out, "snapshot/0") || !strings.Contains(out, "done") || !strings.Contains(out, "3 of 3") {
		t.Errorf("status says %s", out)
	}
	if out := s.says(t, pipeline.ExitOK, "snapshot", "status", "--stream", "/event/Order__e", "--json"); out != "[]\n" {
		t.Errorf("of another stream status says %s", out)
	}
	const ghost = "001000000000999AAA"
	s.haunt(t, "salesforce.Account", ghost)
	if out := s.says(t, pipeline.ExitOK, "snapshot", "--entity", "Account", "--sweep"); !strings.Contains(out, `"gone":1`) {
		t.Errorf("of a record that the org does not have it says %s", out)
	}
	if got := s.rowsOf(t, "salesforce.Account", "snapshot/"); !slices.Contains(got, ghost) {
		t.Errorf("the topic has rows of %v, and not of %s", got, ghost)
	}
	if out := s.says(t, pipeline.ExitOK, "snapshot", "--entity", "Account", "--no-wait"); !strings.HasPrefix(out, `{"type":"asked"`) {
		t.Errorf("without waiting it says %s", out)
	}
	r.drain()
}

// haunt gives a topic a record of an id that the org does not have.
func (s *schemaSite) haunt(t *testing.T, topic, id string) {
	t.Helper()
	records, err := readTopic(t.Context(), s.kafka, topic)
	if err != nil || len(records) == 0 {
		t.Fatal(err, len(records))
	}
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	like := records[0]
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(id), Value: like.Value, Headers: like.Headers}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// A stream that begins writes the rows that are there, as configured, once.
func TestSnapshotWhenAStreamBegins(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	s.edit(t, "snapshot: never", "snapshot: initial")
	s.publish(t, 3, nil)
	for range 2 {
		r := s.run(t)
		eventually(t, func() error {
			if len(s.rowsOf(t, "salesforce.Account", "initial/Account")) < 3 {
				return fmt.Errorf("not all rows are there; %+v", r.ops.status())
			}
			return nil
		})
		eventually(t, func() error {
			if tasks := r.ops.status().Tasks; len(tasks) > 0 {
				return fmt.Errorf("the status has %+v", tasks)
			}
			return nil
		})
		for _, one := range r.ops.streams() {
			if one.Rows > 3 {
				t.Errorf("%d rows were written", one.Rows)
			}
		}
		r.drain()
	}
	if got := s.rowsOf(t, "salesforce.Account", ""); len(got) != 3 {
		t.Errorf("the topic has rows of %v", got)
	}
}

// A signal that somebody wrote by hand, and wrongly, is told of by the lane of the
// stream that it names.
func TestSignalByHand(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	r := s.run(t)
	r.carries()
	s.says(t, pipeline.ExitOK, "snapshot", "--entity", "Account") // so that it listens
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, value := range []string{`nonsense`, `{"v":1,"type":"snapshot","channel":"` + accountEvents + `","object":"Account","limit":3}`} {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: r.signalsTopic(), Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		records, err := readTopic(t.Context(), s.kafka, r.notificationsTopic())
		if err != nil || len(records) == 0 {
			return fmt.Errorf("nothing is told: %w", err)
		}
		n, err := snapshot.ReadNotice(records[len(records)-1].Value)
		if err != nil || n.Type != snapshot.Refused || n.Channel != accountEvents || !strings.Contains(n.Why, "limit") {
			return fmt.Errorf("%+v %w", n, err)
		}
		return nil
	})
	r.drain()
}

// A topic of signals that somebody has made with several partitions is used all the same:
// what is asked for goes to the one that is read, and what is in the others hides nothing.
func TestSignalsInOnePartition(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	cl, err := kgo.NewClient(append(s.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	const topic, partitions = "demo.signals", 20
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("nonsense")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r := s.run(t)
	r.carries()
	if r.signalsTopic() != topic {
		t.Fatalf("signals are in %s", r.signalsTopic())
	}
	s.publish(t, 1, nil)
	if out := s.says(t, pipeline.ExitOK, "snapshot", "--entity", "Account"); !strings.Contains(out, `"type":"done"`) {
		t.Errorf("it was told: %s", out)
	}
	r.drain()
}

// What is told in a transaction that was open when the watch began is not missed.
func TestWatchOfAnOpenTransaction(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	d := &taskDesk{laneOwner{bridge: &bridge{cfg: &config.Config{Name: "demo"}, kafka: s.kafka}}}
	cl, err := kgo.NewClient(append(s.kafka, kgo.TransactionalID("lane"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, d.notificationsTopic()); err != nil {
		t.Fatal(err)
	}
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	done := &kgo.Record{Topic: d.notificationsTopic(), Value: []byte(`{"v":1,"type":"done","channel":"` + accountEvents + `","task":"snapshot/0"}`)}
	if err := cl.ProduceSync(t.Context(), done).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w := &taskWatch{desk: d, show: jsonTasks{io.Discard}, ends: endsTask}
	w.expect(accountEvents, "snapshot/0", "Account")
	if err := w.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.cl.Close()
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := w.poll(t.Context()); err != nil || !w.tasks[0].ended {
			return fmt.Errorf("the end is not seen: %w", err)
		}
		return nil
	})
}

// notes takes what is noted.
type notes struct {
	jsonTasks
	texts chan string
}

func (n notes) note(text string) error {
	n.texts <- text
	return nil
}

// It is told that no instance runs any more, however long one ran before that.
func TestWatchOfAnInstanceThatDies(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	d := &taskDesk{laneOwner{bridge: &bridge{cfg: &config.Config{Name: "demo"}, kafka: s.kafka}}}
	r := s.run(t)
	r.carries()
	w := &taskWatch{desk: d, show: notes{jsonTasks{io.Discard}, make(chan string, 100)}, ends: endsTask, patience: 20 * time.Millisecond}
	w.expect(accountEvents, "snapshot/0", "Account")
	w.tasks[0].last.Type = snapshot.Started
	if err := w.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer w.cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	looks := make(chan struct{}, 1000)
	d.kafka = append(d.kafka, kgo.WithHooks(onDescribe(func() { looks <- struct{}{} })))
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	<-looks
	r.drain()
	select {
	case text := <-w.show.(notes).texts: //nolint:forcetypeassert // see above
		if !strings.Contains(text, "no instance of the bridge runs any more") {
			t.Error(text)
		}
	case <-ctx.Done():
		t.Error("nothing is noted")
	}
	cancel()
	if code := exitCode(<-ended); code != pipeline.ExitHalted {
		t.Errorf("exit code %d", code)
	}
}

// onDescribe is called before a group is described.
type onDescribe func()

func (f onDescribe) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.DescribeGroups) {
		f()
	}
}

// What is wrong with a configuration is told.
func TestGapsRepairOfAWrongConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(path, []byte("name: demo\nlanez: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := call(t, "gaps", "repair", "--all-open", "-c", path)
	if code != pipeline.ExitUsage || strings.Count(stderr, "lanez: unknown key") != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What cannot be repaired is told at once.
func TestGapsRepairRefuses(t *testing.T) {
	s := newGapSite(t, "")
	for name, tt := range map[string]struct {
		want string
		args []string
	}{
		"nothing is named":    {"ids of gaps are needed", nil},
		"both":                {"ids of gaps are needed", []string{s.holes[0].ID(), "--all-open"}},
		"no such gap":         {"no gap in", []string{"0000000000"}},
		"the stream says off": {"repair: off", []string{s.holes[0].ID()}},
		"it is repaired":      {"it is repaired already", []string{s.holes[3].ID()}},
		"a platform event's":  {"in no row", []string{s.holes[4].ID()}},
		"not configured":      {"does not have /data/ChangeEvents any more", []string{s.holes[1].ID()}},
	} {
		if got := s.gaps(t, pipeline.ExitUsage, append([]string{"repair"}, tt.args...)...); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := s.gaps(t, pipeline.ExitOK, "repair", "--all-open"); !strings.Contains(got, "no gap is open that can be repaired") {
		t.Errorf("all of none: %s", got)
	}
}
