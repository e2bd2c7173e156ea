package polling

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
)

// BenchmarkRows reads 10,000 rows of a simulated org, whole and by a query. Most of it is
// the org's work.
func BenchmarkRows(b *testing.B) {
	const n = 10_000
	org, err := orgsim.New(orgsim.Config{Seed: 1, InstanceURL: instance})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = org.Close() })
	if err := org.Transact(orgsim.TxOptions{}, func(tx *orgsim.Tx) error {
		for i := range n {
			if _, err := tx.Create("Account", orgsim.Fields{"Name": fmt.Sprint("Acme ", i), "BillingAddress": orgsim.Fields{"City": "Lyon"}}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	org.AdvanceClock(time.Hour)
	if _, err := org.Create("Account", orgsim.Fields{"Name": "now"}); err != nil { // from which the org's time is known
		b.Fatal(err)
	}
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{org}), APIVersion: "66.0", HTTP: &http.Client{Transport: org.RoundTripper()},
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, what := range map[string]Stream{"object": {Object: "Account"}, "soql": {SOQL: "SELECT Id, SystemModstamp, Name, BillingCity FROM Account"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(Config{Client: client, Catalog: schemas.NewCatalog(nil), Streams: map[string]Stream{"/query/x": what}},
					[]pipeline.Resume{{Channel: "/query/x", Start: pipeline.Start{Earliest: true}}}, pipeline.SourceTrace{
						Subscribed: func(string, bool) {}, SessionEnded: func(pipeline.Condition) {}, Alive: func() {}, Idle: func() {},
					})
				if err != nil {
					b.Fatal(err)
				}
				for got := 0; got <= n; {
					batch, err := s.Next(context.Background())
					if err != nil {
						b.Fatal(err)
					}
					got += len(batch.Events)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
