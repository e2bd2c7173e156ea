package fold_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

const at = "https://org.invalid"

type issuing struct{ o *orgsim.Org }

func (i issuing) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.o.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: at, OrgID: i.o.ID()}, err
}

type fetcher struct{ client *salesforce.Client }

func (f fetcher) EventSchema(ctx context.Context, id string) ([]byte, error) {
	return f.client.EventSchema(ctx, id)
}

// livedOrg is an org that has seen changes of all kinds.
func livedOrg(t testing.TB) (*orgsim.Org, *salesforce.Client) {
	t.Helper()
	org, err := orgsim.New(orgsim.Config{Seed: 5, Retention: -1})
	check(t, err)
	t.Cleanup(func() { check(t, org.Close()) })
	rnd := rand.New(rand.NewPCG(5, 5)) //nolint:gosec // reproducible on purpose
	var ids []string
	for i := range 60 {
		id, err := org.Create("Account", orgsim.Fields{
			"Name": "n" + strconv.Itoa(i), "Site": "s\"\u00e9", "AnnualRevenue": float64(i) * 1e6 / 3,
			"BillingAddress": orgsim.Fields{"City": "c" + strconv.Itoa(i), "Street": "x"},
		})
		check(t, err)
		ids = append(ids, id)
	}
	gone := map[string]bool{}
	for i := range 300 {
		id := ids[rnd.IntN(len(ids))]
		switch n := rnd.IntN(10); {
		case gone[id]:
			check(t, org.Undelete("Account", id))
			gone[id] = false
		case n == 0:
			check(t, org.Delete("Account", id))
			gone[id] = true
		case n == 1:
			check(t, org.Update("Account", id, orgsim.Fields{"Site": nil, "BillingAddress": nil}))
		case n < 4:
			check(t, org.Update("Account", id, orgsim.Fields{"BillingAddress": orgsim.Fields{"City": "d" + strconv.Itoa(i)}}))
		default:
			check(t, org.Update("Account", id, orgsim.Fields{"Site": strconv.Itoa(i), "AnnualRevenue": float64(i)}))
		}
	}
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{org}), APIVersion: "66.0", HTTP: &http.Client{Transport: org.RoundTripper()},
	})
	check(t, err)
	return org, client
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Folding what the bridge writes gives what the org has, in all envelopes and formats.
func TestFoldsEqualTheOrg(t *testing.T) {
	org, client := livedOrg(t)
	server := httptest.NewServer(srfake.New().Handler())
	t.Cleanup(server.Close)
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{server.URL}})
	check(t, err)
	shape, err := snapshot.NewShape(t.Context(), snapshot.ShapeConfig{Client: client, Org: org.ID(), Channel: "/data/AccountChangeEvent", Object: "Account"})
	check(t, err)
	for _, envelope := range []schemas.Envelope{schemas.EventEnvelope, schemas.FlatEnvelope, schemas.DebeziumEnvelope} {
		for _, format := range []string{"avro", "json", "json schema"} {
			t.Run(fmt.Sprint(envelope, " ", format), func(t *testing.T) {
				cfg := transform.Config{
					OrgID: org.ID(), Schemas: schemas.NewCatalog(fetcher{client}), Format: transform.JSON, TopicTemplate: "{{.Object}}." + envelope.String() + "." + format[:4],
					Streams: map[string]transform.StreamOptions{"/data/AccountChangeEvent": {Envelope: envelope}},
				}
				rows, err := transform.NewEncoder(cfg)
				check(t, err)
				if format == "avro" {
					cfg.Format = transform.Avro
				}
				if cfg.JSONSchema = format == "json schema"; format != "json" {
					cfg.Registry = registry
				}
				events, err := transform.NewEncoder(cfg)
				check(t, err)
				f := made(t, fold.Config{
					Object: "Account", Org: org.ID(), Keep: func(string) bool { return true }, Values: true, Decoder: registry.Decoder(),
				}, encoded(t, events, org)...)
				equalsOrg(t, f, shape, rows, client)
			})
		}
	}
}

// encoded are the records of all that the org published.
func encoded(t testing.TB, e *transform.Encoder, org *orgsim.Org) (records []*kgo.Record) {
	t.Helper()
	for entry := range org.LedgerFrom(0) {
		if entry.Object != "Account" {
			continue
		}
		var err error
		records, _, err = e.Encode(t.Context(), records, &transform.Event{
			Channel: "/data/AccountChangeEvent", Position: strconv.FormatInt(entry.ReplayID, 10), SchemaID: entry.SchemaID, Payload: entry.Payload,
		})
		check(t, err)
	}
	return records
}

func equalsOrg(t *testing.T, f *fold.Fold, shape *snapshot.Shape, rows *transform.Encoder, client *salesforce.Client) {
	t.Helper()
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: client})
	check(t, err)
	all, err := reader.Query(t.Context(), salesforce.Selection{Form: shape.Form()})
	check(t, err)
	n := 0
	for ; ; n++ {
		row, err := all.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		ev := shape.Event(row)
		records, _, err := rows.Encode(t.Context(), nil, &ev)
		check(t, err)
		want, err := f.RowOf(t.Context(), records[0])
		check(t, err)
		have, ok := f.Row(row.ID)
		if !ok {
			t.Fatalf("%s is not in the topic", row.ID)
		}
		if differ, unclear := f.Compare(want, have); len(differ) > 0 || unclear > 0 {
			t.Fatalf("%s: %+v differ, %d unclear\n%s", row.ID, differ, unclear, row.JSON)
		}
		if want.Fields() < 5 {
			t.Fatalf("%s has %d fields: too few are compared", row.ID, want.Fields())
		}
	}
	if n != f.Len() || n < 30 {
		t.Errorf("the org has %d records, the topic %d", n, f.Len())
	}
}
