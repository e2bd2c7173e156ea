package sink

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ofSize makes a record that is size bytes alone in a batch.
func ofSize(t *testing.T, topic string, size int) *kgo.Record {
	t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte("a key"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "empty"}}}
	for n := size; n >= 0; n-- {
		r.Value = []byte(strings.Repeat("x", n))
		if aloneSize(r) == size {
			return r
		}
	}
	t.Fatalf("no record has %d bytes", size)
	return nil
}

// The size that we compute is the one that a broker compares with the limit.
func TestAloneSizeIsTheBrokers(t *testing.T) {
	for _, limit := range []string{"1000", "100000"} {
		r := newRig(t, func(c *Config) { c.Compression = CompressNone })
		topic := unique(t, "limited")
		mustTopic(t, r.c.ListenAddrs(), topic, 1, "max.message.bytes", limit)
		// Without the topic's setting the broker decides.
		r.c.Fault(fault([]kmsg.Key{kmsg.DescribeConfigs}, kerr.TopicAuthorizationFailed, 1))
		n := map[string]int{"1000": 1000, "100000": 100000}[limit]
		mustCommit(t, r.p, []*kgo.Record{ofSize(t, topic, n)}, nil)
		err := r.p.Commit(testCtx(t), []*kgo.Record{ofSize(t, topic, n-1), ofSize(t, topic, n+1)}, nil)
		if e := wantError[*RecordTooLargeError](t, err, false); e.Index != 1 || e.Size != n+1 {
			t.Errorf("limit %s: %+v", limit, e)
		}
	}
}

func TestOversizedLooksAtKnownLimitsOnly(t *testing.T) {
	l := &limits{}
	l.set("small", 1000)
	l.set("unknown", 0)
	big := strings.Repeat("x", 5_000_000)
	rs := []*kgo.Record{record("unknown", "k", big), record("small", "k", "v"), record("small", "k", big)}
	if e := l.oversized(rs); e == nil || e.Index != 2 || e.Limit != 1000 {
		t.Fatalf("%+v, want index 2", e)
	}
	if e := l.oversized(rs[:2]); e != nil {
		t.Fatalf("%+v, want none", e)
	}
}

func TestVarint(t *testing.T) {
	for n, want := range map[int]int{0: 1, 63: 1, 64: 2, 8191: 2, 8192: 3, 1 << 20: 4} {
		if got := varint(n); got != want {
			t.Errorf("varint(%d) = %d, want %d", n, got, want)
		}
	}
}
