package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	orgA = "00D000000000001AAA"
	orgB = "00D000000000002AAA"
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
		Client:            []kgo.Opt{kgo.SeedBrokers(brokers...)},
		Topic:             unique(t, "positions"),
		Org:               orgA,
		Lanes:             4,
		Create:            true,
		ReplicationFactor: 1,
	}
}

func mustOpen(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(testCtx(t), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// put writes records outside of transactions.
func put(t *testing.T, brokers []string, rs ...*kgo.Record) {
	t.Helper()
	if err := client(t, brokers).ProduceSync(testCtx(t), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// owner is the producer of a lane. Package sink has a better one; here a plain
// one does, so that the two packages are tested apart.
type owner struct {
	t  *testing.T
	cl *kgo.Client
}

func newOwner(t *testing.T, brokers []string, id string) *owner {
	t.Helper()
	cl := client(t, brokers, kgo.TransactionalID(id), kgo.TransactionTimeout(30*time.Second))
	if _, _, err := cl.ProducerID(testCtx(t)); err != nil {
		t.Fatal(err)
	}
	return &owner{t: t, cl: cl}
}

func (o *owner) begin(rs ...*kgo.Record) {
	o.t.Helper()
	if err := o.cl.BeginTransaction(); err != nil {
		o.t.Fatal(err)
	}
	if err := o.cl.ProduceSync(testCtx(o.t), rs...).FirstErr(); err != nil {
		o.t.Fatal(err)
	}
	// See package sink: the client must know the partitions before the end.
	for _, r := range rs {
		for {
			if l, _, _ := o.cl.PartitionLeader(r.Topic, r.Partition); l >= 0 {
				break
			}
			if o.t.Context().Err() != nil {
				o.t.Fatal("partition was never loaded")
			}
		}
	}
}

func (o *owner) end(how kgo.TransactionEndTry) {
	o.t.Helper()
	if err := o.cl.EndTransaction(testCtx(o.t), how); err != nil {
		o.t.Fatal(err)
	}
}

func (o *owner) commit(rs ...*kgo.Record) {
	o.t.Helper()
	o.begin(rs...)
	o.end(kgo.TryCommit)
}

func (o *owner) abort(rs ...*kgo.Record) {
	o.t.Helper()
	o.begin(rs...)
	o.end(kgo.TryAbort)
}

// takeOver loads a lane as its new owner does.
func takeOver(t *testing.T, s *Store, brokers []string, lane int32) (map[Key]Entry, error) {
	t.Helper()
	o := newOwner(t, brokers, fmt.Sprintf("%s-lane-%d", s.cfg.Topic, lane))
	b := s.Barrier(lane)
	o.commit(b.Record())
	return s.Load(testCtx(t), lane, b)
}

func mustTakeOver(t *testing.T, s *Store, brokers []string, lane int32) map[Key]Entry {
	t.Helper()
	m, err := takeOver(t, s, brokers, lane)
	if err != nil {
		t.Fatalf("load lane %d: %v", lane, err)
	}
	return m
}

func entry(channel string, p Position) Entry {
	return Entry{Key: Key{Org: orgA, Channel: channel}, Position: p, Source: "cometd"}
}

func wantEntries(t *testing.T, got map[Key]Entry, want ...Entry) {
	t.Helper()
	m := make(map[Key]Entry)
	for _, e := range want {
		m[e.Key] = e
	}
	if !maps.Equal(got, m) {
		t.Fatalf("positions are %v, want %v", got, m)
	}
}

// inLane finds n channels whose streams belong to a lane.
func inLane(t *testing.T, s *Store, lane int32, n int) []string {
	t.Helper()
	var found []string
	for i := 0; len(found) < n; i++ {
		c := "/event/E" + string(rune('A'+i%26)) + string(rune('A'+i/26)) + "__e"
		if s.LaneOf(Key{Org: orgA, Channel: c}) == lane {
			found = append(found, c)
		}
	}
	return found
}

func admin(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	return kadm.NewClient(client(t, brokers))
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

func alter(name, value string) []kadm.AlterConfig {
	return []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
}
