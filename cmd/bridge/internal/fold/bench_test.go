package fold_test

import (
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// numbered is a record id.
func numbered(i int) string {
	text := strconv.FormatInt(int64(i), 36)
	return "001xx0000000000"[:15-len(text)] + text + "AAA"
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkMemory tells what many records take: as ids, and with the checksums of 40
// fields.
func BenchmarkMemory(b *testing.B) {
	body := ""
	for i := range 40 {
		body += `,"Field` + strconv.Itoa(i) + `__c":"value"`
	}
	ids := fold.Config{Object: "Account", Org: "00D"}
	fields := ids
	fields.Keep, fields.Format = func(string) bool { return true }, transform.JSON
	in := func(n int) []int {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		return order
	}
	for _, c := range []struct {
		name  string
		cfg   fold.Config
		order []int
	}{
		{"ids in order", ids, in(1_000_000)}, {"ids at random", ids, rand.Perm(1_000_000)}, {"40 fields", fields, in(200_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				f, err := fold.New(c.cfg)
				if err != nil {
					b.Fatal(err)
				}
				before, began := heap(), time.Now()
				r := said("CREATE", "", 0, "", body[1:])
				for _, i := range c.order {
					r.Key = []byte(numbered(i))
					if err := f.Apply(b.Context(), r); err != nil {
						b.Fatal(err)
					}
				}
				took, n := time.Since(began), float64(len(c.order))
				b.ReportMetric(float64(heap()-before)/n, "bytes/record")
				b.ReportMetric(n/took.Seconds(), "records/s")
				if f.Len() != len(c.order) {
					b.Fatalf("%d records", f.Len())
				}
			}
		})
	}
}

// BenchmarkApply tells how fast the records of a small org's accounts are folded with
// their fields.
func BenchmarkApply(b *testing.B) {
	org, client := livedOrg(b)
	server := httptest.NewServer(srfake.New().Handler())
	b.Cleanup(server.Close)
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{server.URL}})
	check(b, err)
	for _, format := range []transform.Format{transform.Avro, transform.JSON} {
		b.Run(format.String(), func(b *testing.B) {
			encoder, err := transform.NewEncoder(transform.Config{OrgID: org.ID(), Schemas: schemas.NewCatalog(fetcher{client}), Registry: registry, Format: format})
			check(b, err)
			records := encoded(b, encoder, org)
			f, err := fold.New(fold.Config{Object: "Account", Org: org.ID(), Keep: func(string) bool { return true }, Decoder: registry.Decoder()})
			check(b, err)
			n := 0
			for b.Loop() {
				check(b, f.Apply(b.Context(), records[n%len(records)]))
				n++
			}
		})
	}
}
