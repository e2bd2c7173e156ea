package orgsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

const benchEvents = 100_000

// benchOrg holds 100,000 events of about 1.2 kB.
func benchOrg(b *testing.B, object string) *Org {
	b.Helper()
	o := newOrg(b, Config{Seed: 1})
	start := time.Now()
	if err := o.Bulk(Bulk{Object: object, Count: benchEvents, Bytes: 1200}); err != nil {
		b.Fatal(err)
	}
	size := 0
	for e := range o.LedgerFrom(0) {
		size += len(e.Payload)
	}
	b.Logf("%d events of %d bytes published in %v", benchEvents, size/benchEvents, time.Since(start))
	return o
}

// BenchmarkServe reads 100,000 events off a loopback socket, as fast as they
// come, by a reader that looks at nothing but the end of each reply.
func BenchmarkServe(b *testing.B) {
	o := benchOrg(b, "Order__e")
	base := serve(b, o)
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		c := newClient(b, o, base, nil).ready(-2, "/event/Order__e")
		body, err := json.Marshal([]any{map[string]any{"id": 1, "channel": "/meta/connect", "clientId": c.clientID, "connectionType": "long-polling"}})
		if err != nil {
			b.Fatal(err)
		}
		before := o.Stats().EventsDelivered
		for o.Stats().EventsDelivered-before < benchEvents {
			req, err := http.NewRequest(http.MethodPost, base+"/cometd/66.0", bytes.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+c.token)
			res, err := c.http.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, res.Body)
			if err != nil || n < 1000 {
				b.Fatal(n, err)
			}
			_ = res.Body.Close()
		}
	}
	b.ReportMetric(float64(benchEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkBulk publishes events of about 1.2 kB.
func BenchmarkBulk(b *testing.B) {
	for _, object := range []string{"Order__e", "Invoice__c"} {
		b.Run(object, func(b *testing.B) {
			for b.Loop() {
				o := newOrg(b, Config{Seed: 1})
				if err := o.Bulk(Bulk{Object: object, Count: 10_000, Bytes: 1200}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkQuery reads a table of 200,000 rows: rows/s that the condition was tested
// on, and how many times as long as a plain loop over the records that takes.
func BenchmarkQuery(b *testing.B) {
	const rows = 200_000
	o := newOrg(b, Config{Seed: 1, DropTrimmed: true})
	if err := o.Bulk(Bulk{Object: "Account", Count: rows, Records: rows, Batch: 1000}); err != nil {
		b.Fatal(err)
	}
	index := o.objects["Account"].index
	count := func(q string) func() int {
		return func() int {
			s, err := parseSOQL(q)
			if err != nil {
				b.Fatal(err)
			}
			bound, err := o.catalogue(o.users[0]).bind(s, false)
			if err != nil {
				b.Fatal(err)
			}
			if s.count {
				return bound.count()
			}
			return len(bound.run())
		}
	}
	middle := index[rows/2].id
	var loop time.Duration
	for _, c := range []struct {
		name string
		do   func() int
	}{
		{"loop", func() (n int) {
			for _, r := range index {
				if !r.deleted && r.modstamp > 0 {
					n++
				}
			}
			return n
		}},
		{"modstamp", count("SELECT COUNT() FROM Account WHERE SystemModstamp > 2020-01-01T00:00:00Z")},
		{"where", count("SELECT Id FROM Account WHERE (NumberOfEmployees > 100 OR Rating = 'Hot') AND NOT Name LIKE 'a%'")},
		{"parent", count("SELECT Id FROM Account WHERE Parent.Rating = 'Hot'")},
		{"order", count("SELECT Id FROM Account WHERE SystemModstamp > 2020-01-01T00:00:00Z ORDER BY Name, SystemModstamp")},
		{"page", count("SELECT Id FROM Account WHERE Id > '" + middle + "' ORDER BY Id LIMIT 2000")},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.do()
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
			each := b.Elapsed() / time.Duration(b.N)
			if c.name == "loop" {
				loop = each
			}
			b.ReportMetric(float64(each)/float64(max(loop, 1)), "loops")
		})
	}
}

// BenchmarkBulkResults renders pages of CSV.
func BenchmarkBulkResults(b *testing.B) {
	const rows = 20_000
	o := newOrg(b, Config{Seed: 1})
	if err := o.Bulk(Bulk{Object: "Account", Count: rows, Records: rows, Batch: 1000}); err != nil {
		b.Fatal(err)
	}
	s, err := parseSOQL("SELECT Id, Name, BillingCity, BillingStreet, Phone, AnnualRevenue, NumberOfEmployees, CreatedDate, SystemModstamp, IsDeleted FROM Account")
	if err != nil {
		b.Fatal(err)
	}
	j := &job{soql: s, object: "Account", user: o.users[0], bounds: []string{""}, delimiter: ',', lineEnd: "\n", spec: jobSpec{Operation: "query"}}
	if err := o.readChunk(j); err != nil {
		b.Fatal(err)
	}
	size := 0
	for b.Loop() {
		body, _ := j.csv(0, rows, true)
		size = len(body)
	}
	b.SetBytes(int64(size))
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
