package orgsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// issuing is a login that gives a new token each time.
type issuing struct{ o *Org }

func (i issuing) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.o.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: inProcess}, err
}

// rowsReader is the product's own reader of rows. Where it would wait, the org's
// clock goes on.
func rowsReader(t *testing.T, o *Org) (*salesforce.Reader, *salesforce.Client) {
	t.Helper()
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{o}), APIVersion: "66.0", HTTP: &http.Client{Transport: o.RoundTripper()},
	})
	check(t, err)
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{
		Client: client, PageRows: 40, BulkPageRows: 40, Attempts: 30,
		Wait: func(ctx context.Context, d time.Duration) error {
			o.AdvanceClock(d)
			return ctx.Err()
		},
	})
	check(t, err)
	return reader, client
}

// bothWays reads a selection by queries and by a job.
func bothWays(t *testing.T, reader *salesforce.Reader, selection salesforce.Selection) map[string]salesforce.Rows {
	t.Helper()
	query, err := reader.Query(t.Context(), selection)
	check(t, err)
	bulk, err := reader.Bulk(t.Context(), selection)
	check(t, err)
	return map[string]salesforce.Rows{"query": query, "bulk": bulk}
}

// eachRow reads to the end.
func eachRow(t *testing.T, rows salesforce.Rows, do func(salesforce.Row)) {
	t.Helper()
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		do(row)
	}
	check(t, rows.Close())
}

// TestRowsAreEvents: what the readers make of a row is what the event of its
// creation says, value by value.
func TestRowsAreEvents(t *testing.T) {
	o, _ := soqlOrg(t, nil)
	reader, client := rowsReader(t, o)
	events := map[string]map[string]any{}
	for _, entry := range o.Ledger() {
		var payload map[string]any
		check(t, json.Unmarshal(entry.Payload, &payload))
		delete(payload, "ChangeEventHeader")
		events[entry.RecordIDs[0]] = payload
	}
	for _, object := range []string{"Account", "Invoice__c"} {
		described, err := client.Describe(t.Context(), object)
		check(t, err)
		form, err := salesforce.NewForm(salesforce.FormConfig{Describe: described})
		check(t, err)
		for how, rows := range bothWays(t, reader, salesforce.Selection{Form: form}) {
			n := 0
			eachRow(t, rows, func(row salesforce.Row) {
				n++
				var got map[string]any
				check(t, json.Unmarshal(row.JSON, &got))
				if !reflect.DeepEqual(got, events[row.ID]) {
					t.Errorf("%s %s: row %s, event %v", how, object, row.JSON, events[row.ID])
				}
			})
			if n < 2 {
				t.Errorf("%s %s: %d rows", how, object, n)
			}
		}
	}
}

// TestRowsInBadWeather: each row once, though one request in six goes wrong.
func TestRowsInBadWeather(t *testing.T) {
	for seed := range uint64(30) {
		o := newOrg(t, Config{Seed: seed + 1, Bulk: BulkConfig{PageRows: 30}})
		want := map[string]string{}
		for i := range 200 {
			name := fmt.Sprintf("a \"%d\"\r\n,", i)
			id, err := o.Create("Account", Fields{"Name": name, "Description": "x,\n\"y\""})
			check(t, err)
			want[id] = name
		}
		reader, client := rowsReader(t, o)
		described, err := client.Describe(t.Context(), "Account")
		check(t, err)
		form, err := salesforce.NewForm(salesforce.FormConfig{Describe: described})
		check(t, err)
		check(t, o.RunFaults(FaultPlan{Seed: seed, Mix: QueryMix()}))
		for how, rows := range bothWays(t, reader, salesforce.Selection{Form: form}) {
			got := map[string]string{}
			eachRow(t, rows, func(row salesforce.Row) {
				var fields struct{ Name string }
				check(t, json.Unmarshal(row.JSON, &fields))
				if _, twice := got[row.ID]; twice {
					t.Errorf("seed %d, %s: %s comes twice", seed, how, row.ID)
				}
				got[row.ID] = fields.Name
			})
			if !reflect.DeepEqual(got, want) {
				t.Errorf("seed %d, %s: %d rows of %d, or other names", seed, how, len(got), len(want))
			}
		}
	}
}
