package replay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestKey(t *testing.T) {
	k := Key{Org: orgA, Channel: "/data/AccountChangeEvent"}
	const wire = "stream/00D000000000001AAA/data/AccountChangeEvent"
	if k.String() != wire {
		t.Errorf("%q, want %q", k, wire)
	}
	got, err := ParseKey(wire)
	if err != nil || got != k {
		t.Errorf("%v, %v, want %v", got, err, k)
	}
	for _, bad := range []string{"", "stream", "stream/", "stream//c", "stream/org", "stream/org/", "barrier/1", "Stream/o/c"} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) = %v, want an error", bad, k)
		}
	}
}

// The hashes are those of Kafka's own test of murmur2 (org.apache.kafka.common.
// utils.UtilsTest): a partitioner that differs from Java's would put streams
// into lanes where no other tool finds them.
func TestPartitionerIsKafkas(t *testing.T) {
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		for _, n := range []int{1, 2, 3, 4, 7, 64, 10_000} {
			want := int(uint32(hash)&0x7fffffff) % n
			if got := kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: []byte(key)}, n); got != want {
				t.Errorf("%q of %d: partition %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestLaneOfIsTheDefaultPartitioner(t *testing.T) {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	seen := make(map[int32]bool)
	for i := range 200 {
		k := Key{Org: orgA, Channel: fmt.Sprintf("/data/Object%d__ChangeEvent", i)}
		for _, n := range []int{1, 4, 13} {
			want := p.Partition(&kgo.Record{Key: []byte(k.String())}, n)
			if got := LaneOf(k, n); int(got) != want {
				t.Fatalf("%s of %d lanes: %d, want %d", k, n, got, want)
			}
		}
		seen[LaneOf(k, 4)] = true
	}
	if len(seen) != 4 {
		t.Errorf("200 streams use lanes %v of 4", seen)
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"stream/00D000000000001AAA/data/AccountChangeEvent", "stream/o/c", "barrier/3", "stream//", "stream/o/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			return
		}
		if k.String() != s {
			t.Fatalf("%q is read as %q", s, k)
		}
		if k.Org == "" || k.Channel == "" || strings.Contains(k.Org, "/") {
			t.Fatalf("%q is read as %+v", s, k)
		}
		if lane := LaneOf(k, 4); lane < 0 || lane > 3 {
			t.Fatalf("lane %d of 4", lane)
		}
	})
}
