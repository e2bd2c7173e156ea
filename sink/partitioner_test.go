package sink

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A key lies in the partition in which Kafka's own Java client would put it, so
// that what the bridge writes can be joined with what others write. The vectors
// are the Java class's own, see testdata/Murmur2.java.
func TestPartitionsAreThoseOfTheJavaClient(t *testing.T) {
	text, err := os.ReadFile("testdata/murmur2.tsv")
	if err != nil {
		t.Fatal(err)
	}
	hashes := make(map[string]int)
	for line := range strings.Lines(string(text)) {
		key, hash, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if hashes[key], err = strconv.Atoi(hash); err != nil {
			t.Fatal(err)
		}
	}
	if len(hashes) < 200 {
		t.Fatalf("%d vectors", len(hashes))
	}
	counts := []int32{1, 3, 6, 12, 64}
	var topics []kfake.Opt
	for _, n := range counts {
		topics = append(topics, kfake.SeedTopics(n, "t"+strconv.Itoa(int(n))))
	}
	p := mustOpen(t, config(t, newFake(t, topics...).ListenAddrs()))
	for _, n := range counts {
		var records []*kgo.Record
		for key := range hashes {
			records = append(records, &kgo.Record{Topic: "t" + strconv.Itoa(int(n)), Key: []byte(key), Value: []byte("v")})
		}
		if err := p.Commit(testCtx(t), records, nil); err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if want := int32(hashes[string(r.Key)]) % n; r.Partition != want { //nolint:gosec // 31 bits
				t.Errorf("%q of %d partitions: in %d, the Java client puts it into %d", r.Key, n, r.Partition, want)
			}
		}
	}
}
