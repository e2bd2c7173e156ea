package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// positionsSite is an org and a Kafka with positions in it.
type positionsSite struct {
	*schemaSite
	cluster *kfake.Cluster
}

const positionsTopic = "demo.positions"

// newPositionsSite has one position for each of ten channels, in as many lanes.
func newPositionsSite(t *testing.T, delivery string, lanes int) *positionsSite {
	t.Helper()
	s := &positionsSite{schemaSite: newSchemaSite(t, "", "/data/AccountChangeEvent")}
	var err error
	if s.cluster, err = kfake.NewCluster(kfake.NumBrokers(1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cluster.Close)
	s.schemaSite.kafka = []kgo.Opt{kgo.SeedBrokers(s.cluster.ListenAddrs()...)}
	s.edit(t, `(?m)^  brokers: .*$`, fmt.Sprintf("  brokers: [%q]", s.cluster.ListenAddrs()[0]))
	s.edit(t, `(?m)^lanes: .*$`, "delivery: "+delivery+"\nlanes: 1")
	s.lanes(t, lanes)
	store, err := s.open(t, lanes)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := range 10 {
		s.put(t, store.Record(replay.Entry{Key: s.key(i), Position: replay.Position(fmt.Sprint(i)), Source: "cometd"}))
	}
	return s
}

func (s *positionsSite) key(i int) replay.Key {
	return replay.Key{Org: s.org.ID(), Channel: fmt.Sprintf("/event/E%d__e", i)}
}

// edit changes the configuration file.
func (s *positionsSite) edit(t *testing.T, pattern, text string) {
	t.Helper()
	old, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(pattern).ReplaceAll(old, []byte(text))
	if err := os.WriteFile(s.path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *positionsSite) lanes(t *testing.T, n int) {
	t.Helper()
	s.edit(t, `(?m)^lanes: .*$`, fmt.Sprint("lanes: ", n))
}

func (s *positionsSite) put(t *testing.T, r *kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(append(s.schemaSite.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (s *positionsSite) open(t *testing.T, lanes int) (*replay.Store, error) {
	t.Helper()
	return replay.Open(t.Context(), replay.Config{
		Client: s.schemaSite.kafka, Topic: positionsTopic, Org: s.org.ID(), Lanes: lanes, Create: true, ReplicationFactor: 1,
	})
}

// whole checks that the bridge would find every position, in so many lanes.
func (s *positionsSite) whole(t *testing.T, lanes int) {
	t.Helper()
	store, err := s.open(t, lanes)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := store.All(t.Context())
	if err != nil || len(all) != 10 {
		t.Fatalf("%d positions, %v", len(all), err)
	}
	for i := range 10 {
		if got := all[s.key(i)].Position; got != replay.Position(fmt.Sprint(i)) {
			t.Errorf("position %q, want %d", got, i)
		}
	}
}

// cutter stops a migration after some steps, as a signal does.
type cutter struct {
	jsonMigration
	after int
	stop  func()
}

func (c *cutter) did(step replay.Step) error {
	if c.after--; c.after == 0 {
		c.stop()
	}
	return c.jsonMigration.did(step)
}

func TestMigratePositions(t *testing.T) {
	for _, delivery := range []string{"exactly_once", "at_least_once"} {
		t.Run(delivery, func(t *testing.T) {
			s := newPositionsSite(t, delivery, 4)
			migrate := []string{"positions", "migrate", "-c", s.path}
			code, out, stderr := call(t, migrate...)
			if code != 0 || !strings.Contains(out, "demo.positions has 4 lanes") || !strings.Contains(out, "nothing to do") {
				t.Errorf("same lanes: exit code %d:\n%s%s", code, out, stderr)
			}
			s.lanes(t, 6)
			code, out, stderr = call(t, append(migrate, "--dry-run")...)
			if code != 0 || !strings.Contains(out, "to do: add partitions, move positions") || !strings.Contains(out, "nothing was changed") {
				t.Errorf("dry run: exit code %d:\n%s%s", code, out, stderr)
			}
			s.whole(t, 4)
			code, out, stderr = call(t, migrate...)
			if code != 0 || !strings.Contains(out, "done: move positions\ndemo.positions has 6 lanes\n") {
				t.Errorf("exit code %d:\n%s%s", code, out, stderr)
			}
			for i := range 10 {
				row := fmt.Sprintf(`(?m)^%s +%d +%d$`, s.key(i).Channel, replay.LaneOf(s.key(i), 4), replay.LaneOf(s.key(i), 6))
				if !regexp.MustCompile(row).MatchString(out) {
					t.Errorf("no line %s in\n%s", row, out)
				}
			}
			s.whole(t, 6)
			s.lanes(t, 2)
			code, out, stderr = call(t, append(migrate, "--json")...)
			var report migrationReport
			if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v:\n%s%s", code, err, out, stderr)
			}
			if report.Topic != positionsTopic || report.From != 6 || report.To != 2 || report.DryRun || len(report.Streams) != 10 ||
				len(report.Done) != 6 || !slices.Equal(report.Done, report.Planned) {
				t.Errorf("%+v", report)
			}
			s.whole(t, 2)
		})
	}
}

// Stopped after any of its steps it says so, the bridge does not start, and the
// next one finishes.
func TestMigratePositionsStopped(t *testing.T) {
	s := newPositionsSite(t, "exactly_once", 4)
	from := 4
	for _, c := range []struct{ to, steps int }{{6, 2}, {2, 6}} {
		for after := 1; after < c.steps; after++ {
			s.lanes(t, c.to)
			ctx, cancel := context.WithCancel(t.Context())
			var out bytes.Buffer
			err := migratePositions(ctx, s.path, false, &cutter{jsonMigration{w: &out}, after, cancel}, &out)
			cancel()
			if e, ok := errors.AsType[*pipeline.ExitError](err); !ok || e.Code != 3 || !strings.Contains(err.Error(), "stopped before the end") {
				t.Fatalf("after %d steps: %v\n%s", after, err, out.String())
			}
			for _, lanes := range []int{from, c.to} {
				if store, err := s.open(t, lanes); err == nil || !strings.Contains(err.Error(), "bridge positions migrate") {
					t.Errorf("%v, %v: the bridge starts with %d lanes after %d steps", store, err, lanes, after)
				}
			}
			if code, out, stderr := call(t, "positions", "migrate", "-c", s.path); code != 0 {
				t.Fatalf("exit code %d:\n%s%s", code, out, stderr)
			}
			s.whole(t, c.to)
			s.lanes(t, from)
			if code, out, stderr := call(t, "positions", "migrate", "-c", s.path); code != 0 {
				t.Fatalf("back: exit code %d:\n%s%s", code, out, stderr)
			}
			s.whole(t, from)
		}
	}
}

func TestMigratePositionsRefused(t *testing.T) {
	group := func(t *testing.T, s *positionsSite) {
		t.Helper()
		assigned := make(chan struct{}, 9)
		cl, err := kgo.NewClient(append(s.schemaSite.kafka, kgo.ClientID("the-other-one"), kgo.ConsumerGroup("demo"), kgo.ConsumeTopics(positionsTopic),
			kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		<-assigned
	}
	fault := func(key kmsg.Key, err *kerr.Error) func(t *testing.T, s *positionsSite) {
		return func(_ *testing.T, s *positionsSite) {
			s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: err, Count: -1})
		}
	}
	for name, c := range map[string]struct {
		code  int
		says  []string
		spoil func(t *testing.T, s *positionsSite)
	}{
		"running": {3, []string{"the-other-one", "127.0.0.1", "is running"}, group},
		"no topic": {3, []string{"orders.positions", "missing"}, func(t *testing.T, s *positionsSite) {
			s.edit(t, `(?m)^name: .*$`, "name: orders")
		}},
		"another org": {3, []string{"00Dxx0000001gPLEAY"}, func(t *testing.T, s *positionsSite) {
			s.put(t, &kgo.Record{Topic: positionsTopic, Key: []byte("stream/00Dxx0000001gPLEAY/data/AccountChangeEvent"), Value: []byte(`{"v":1,"position":"5","source":"cometd"}`)})
		}},
		"may not see the group":     {3, []string{"consumer group", "GROUP_AUTHORIZATION_FAILED"}, fault(kmsg.DescribeGroups, kerr.GroupAuthorizationFailed)},
		"may not add partitions":    {3, []string{"Alter", positionsTopic, "kafka-acls.sh"}, fault(kmsg.CreatePartitions, kerr.TopicAuthorizationFailed)},
		"may not use transactions":  {3, []string{"transactional-id", "demo-lane-0"}, fault(kmsg.InitProducerID, kerr.TransactionalIDAuthorizationFailed)},
		"a configuration of nobody": {2, []string{"lanes"}, func(t *testing.T, s *positionsSite) { s.edit(t, `(?m)^lanes: .*$`, "lanes: none") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPositionsSite(t, "exactly_once", 4)
			s.lanes(t, 6)
			c.spoil(t, s)
			code, out, stderr := call(t, "positions", "migrate", "-c", s.path)
			if code != c.code {
				t.Errorf("exit code %d, want %d:\n%s%s", code, c.code, out, stderr)
			}
			for _, says := range c.says {
				if !strings.Contains(stderr, says) {
					t.Errorf("%q does not say %q", stderr, says)
				}
			}
		})
	}
}

// intruder takes over a lane after a step, as an instance does that started then.
type intruder struct {
	jsonMigration
	after replay.Step
	enter func()
}

func (i *intruder) did(step replay.Step) error {
	if step == i.after {
		i.enter()
	}
	return i.jsonMigration.did(step)
}

// A lane that was taken over meanwhile may have got a newer position: the topic is
// not deleted.
func TestMigratePositionsFenced(t *testing.T) {
	s := newPositionsSite(t, "exactly_once", 6)
	s.lanes(t, 2)
	enter := func() {
		cl, err := kgo.NewClient(append(s.schemaSite.kafka, kgo.TransactionalID("demo-lane-4"))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if _, _, err := cl.ProducerID(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := migratePositions(t.Context(), s.path, false, &intruder{jsonMigration{w: &out}, replay.WriteCopy, enter}, &out)
	if e, ok := errors.AsType[*pipeline.ExitError](err); !ok || e.Code != 3 || !strings.Contains(err.Error(), "has started meanwhile") {
		t.Fatal(err)
	}
	s.lanes(t, 6)
	if code, out, stderr := call(t, "positions", "migrate", "-c", s.path); code != 0 {
		t.Fatalf("exit code %d:\n%s%s", code, out, stderr)
	}
	s.whole(t, 6)
}

// A topic that somebody made meanwhile has lanes that were never there: they are
// taken over as well.
func TestMigratePositionsByHand(t *testing.T) {
	s := newPositionsSite(t, "exactly_once", 4)
	s.lanes(t, 2)
	enter := func() {
		cl, err := kgo.NewClient(s.schemaSite.kafka...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		policy := "compact"
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 8, 1, map[string]*string{"cleanup.policy": &policy}, positionsTopic); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := migratePositions(t.Context(), s.path, false, &intruder{jsonMigration{w: &out}, replay.DeleteTopic, sync.OnceFunc(enter)}, &out); err != nil {
		t.Fatal(err)
	}
	s.whole(t, 2)
}
