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
