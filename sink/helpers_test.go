package sink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// testCtx ends before the test binary does, so that a test that hangs says
// where.
func testCtx(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func newFake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// unique makes a name that no other run of the tests uses on the same broker.
func unique(t *testing.T, what string) string {
	t.Helper()
	return strings.NewReplacer("/", ".", ",", "").Replace(t.Name()) + "." + what + "." + rand.Text()[:8]
}

func config(t *testing.T, brokers []string) Config {
	t.Helper()
	return Config{
		Client:          []kgo.Opt{kgo.SeedBrokers(brokers...)},
		TransactionalID: unique(t, "txn"),
		Topics:          TopicConfig{Create: true, Partitions: 3, ReplicationFactor: 1},
	}
}

func mustOpen(t *testing.T, cfg Config) *Producer {
	t.Helper()
	p, err := Open(testCtx(t), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = p.Close(context.WithoutCancel(t.Context())) })
	return p
}

func mustCommit(t *testing.T, p *Producer, records, positions []*kgo.Record) {
	t.Helper()
	if err := p.Commit(testCtx(t), records, positions); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func admin(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// mustTopic creates a topic. settings are pairs of name and value.
func mustTopic(t *testing.T, brokers []string, name string, partitions int32, settings ...string) {
	t.Helper()
	conf := make(map[string]*string)
	for i := 0; i < len(settings); i += 2 {
		conf[settings[i]] = &settings[i+1]
	}
	if _, err := admin(t, brokers).CreateTopic(testCtx(t), partitions, 1, conf, name); err != nil {
		t.Fatalf("creating topic %s: %v", name, err)
	}
}

// positions makes a topic for positions and a function that makes records for
// it.
func positions(t *testing.T, brokers []string) (string, func(partition int32, value string) []*kgo.Record) {
	t.Helper()
	name := unique(t, "positions")
	mustTopic(t, brokers, name, 4, "cleanup.policy", "compact")
	return name, func(partition int32, value string) []*kgo.Record {
		return []*kgo.Record{{Topic: name, Partition: partition, Key: []byte("k"), Value: []byte(value)}}
	}
}

func record(topic, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
}

func records(topic string, n int) []*kgo.Record {
	rs := make([]*kgo.Record, n)
	for i := range rs {
		rs[i] = record(topic, fmt.Sprintf("key-%d", i%50), fmt.Sprintf("%d", i))
	}
	return rs
}

// readAll returns what a read_committed consumer sees of topics now. It commits
// an end mark through a producer of its own and reads until all marks are back.
func readAll(t *testing.T, brokers []string, topics ...string) []*kgo.Record {
	t.Helper()
	ctx := testCtx(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	details, err := kadm.NewClient(cl).ListTopics(ctx, topics...)
	if err != nil {
		t.Fatal(err)
	}
	mark := "mark-" + rand.Text()
	var marks []*kgo.Record
	details.EachPartition(func(d kadm.PartitionDetail) {
		marks = append(marks, &kgo.Record{Topic: d.Topic, Partition: d.Partition, Key: []byte(mark), Value: []byte("-")})
	})
	if err := cl.ProduceSync(ctx, marks...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var got []*kgo.Record
	for left := len(marks); left > 0; {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %v: %d of %d partitions did not come to their end", topics, left, len(marks))
		}
		fs.EachRecord(func(r *kgo.Record) {
			switch {
			case string(r.Key) == mark:
				left--
			case !strings.HasPrefix(string(r.Key), "mark-"):
				got = append(got, r)
			}
		})
	}
	return got
}

func values(rs []*kgo.Record) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = string(r.Value)
	}
	slices.Sort(out)
	return out
}

func wantValues(t *testing.T, got []*kgo.Record, want ...string) {
	t.Helper()
	slices.Sort(want)
	if v := values(got); !slices.Equal(v, want) {
		t.Fatalf("a read_committed consumer sees %.300q, want %.300q", v, want)
	}
}

// wantError checks the type of an error, whether it is worth a retry, and that
// its text names what a reader needs.
func wantError[T error](t *testing.T, err error, retryable bool, mentions ...string) T {
	t.Helper()
	e, ok := errors.AsType[T](err)
	if !ok {
		t.Fatalf("error is %T (%v), want %T", err, err, e)
	}
	if Retryable(err) != retryable {
		t.Errorf("Retryable(%v) = %v, want %v", err, !retryable, retryable)
	}
	for _, m := range mentions {
		if !strings.Contains(err.Error(), m) {
			t.Errorf("error %q does not mention %q", err, m)
		}
	}
	return e
}

// alterTopic changes a topic behind the producer's back, and returns when the
// broker knows: the controller does before.
func alterTopic(t *testing.T, brokers []string, topic, name, value string) {
	t.Helper()
	adm, ctx := admin(t, brokers), testCtx(t)
	resps, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, topic)
	if err != nil || resps[0].Err != nil {
		t.Fatal(err, resps)
	}
	for known := false; !known; {
		confs, err := adm.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		known = slices.ContainsFunc(confs[0].Configs, func(c kadm.Config) bool { return c.Key == name && c.MaybeValue() == value })
	}
}
