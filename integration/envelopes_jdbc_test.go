package integration

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/foreign/java"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// Debezium's JDBC sink connector takes both envelopes as they are, into a real
// PostgreSQL, and alters the table when an object gets a field. What becomes of a
// row is what README warns of: an update clears what Salesforce did not send, and
// so does a gap event; of a flat DELETE only the tombstone removes the row.
func TestJDBCSinkTakesTheEnvelopes(t *testing.T) {
	const empty = "- - - - - - - -" // a row of nulls
	// Name, LastName, Rating, NumberOfEmployees, AnnualRevenue, BillingCity,
	// BillingCountry and Score__c after each record of the key; "" is no row.
	want := map[string][]string{
		"company":  {"Späti 🙂 - Hot 12 1.5 Lyon France -", "- - - - - Malmö - -", "- - Cold - - - - -", "", "", "Späti 🙂 - Cold 12 1.5 Malmö France -", ""},
		"person":   {"- Berg - - - - - -", "- - Cold - - - - -", empty},
		"scored":   {"Scored - - - - - - 12.5"},
		"overflow": {empty},
	}
	for envelope, after := range map[string]struct{ delete, gapDelete string }{
		"debezium": {},
		"flat":     {delete: empty, gapDelete: empty},
	} {
		t.Run(envelope, func(t *testing.T) {
			r := newRealRegistry(t)
			names := map[string]string{}
			company, person := changeAccounts(t, r.org)
			names[company], names[person] = "company", "person"
			if err := r.org.AddField("Account", orgsim.Field{Name: "Score__c", Type: orgsim.Number}); err != nil {
				t.Fatal(err)
			}
			scored, err := r.org.Create("Account", orgsim.Fields{"Name": "Scored", "Score__c": 12.5})
			if err != nil {
				t.Fatal(err)
			}
			names[scored] = "scored"
			got := map[string][]string{}
			for _, row := range r.intoTable(t, envelope) {
				name := names[row.key]
				if name == "" {
					name = "overflow" // the event is about no record
				}
				got[name] = append(got[name], row.line)
			}
			for name, want := range want {
				want = slices.Clone(want)
				if name == "company" {
					want[3], want[6] = after.delete, after.gapDelete
				}
				if !slices.Equal(got[name], want) {
					t.Errorf("%s:\n%q, want\n%q", name, got[name], want)
				}
			}
		})
	}
}

// rowAfter is the row of a record's key after the record.
type rowAfter struct{ key, line string }

// intoTable runs the bridge with an envelope and gives what it wrote to the sink: one
// by one, for the rows after each record, and in one batch, after which the table
// must be the same.
func (r *realRegistry) intoTable(t *testing.T, envelope string) []rowAfter {
	t.Helper()
	var all []java.SinkRecord
	var single [][]java.SinkRecord
	for _, rec := range enveloped(t, r, "envelope: "+envelope+"\n") {
		all = append(all, java.SinkRecord{Topic: rec.Topic, Key: string(rec.Key), Value: rec.Value})
		single = append(single, all[len(all)-1:])
	}
	settings := []string{
		"collection.name.format=accounts", "schema.evolution=basic", "insert.mode=upsert", "delete.enabled=true",
		"primary.key.mode=record_key", "primary.key.fields=Id",
	}
	tables := java.JDBCSink(t, r.url, "accounts", settings, single)
	batch := java.JDBCSink(t, r.url, "accounts", settings, [][]java.SinkRecord{all})
	if one := tables[len(tables)-1]; !reflect.DeepEqual(one, batch[0]) {
		t.Errorf("one by one the table becomes\n%v\nin a batch\n%v", one, batch[0])
	}
	created := r.createdDates(t)
	var out []rowAfter
	for i, rows := range tables {
		after := rowAfter{key: all[i].Key}
		for _, row := range rows {
			if row["id"] != after.key {
				continue
			}
			after.line = line(row)
			if at := fmt.Sprint(row["createddate"]); row["name"] != nil && !strings.HasPrefix(at, created[after.key]) {
				t.Errorf("%s was created at %s, want %s", after.key, at, created[after.key])
			}
		}
		out = append(out, after)
	}
	return out
}

// createdDates are the times at which accounts were created, as a database has
// them, in seconds.
func (r *realRegistry) createdDates(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for e := range r.org.LedgerFrom(0) {
		var payload struct{ CreatedDate string }
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if e.ChangeType == "CREATE" {
			out[e.RecordIDs[0]] = strings.Replace(payload.CreatedDate[:len("2006-01-02T15:04:05")], "T", " ", 1)
		}
	}
	return out
}

func line(row java.Row) string {
	var out []string
	for _, column := range []string{"name", "lastname", "rating", "numberofemployees", "annualrevenue", "billingcity", "billingcountry", "score__c"} {
		if row[column] == nil {
			out = append(out, "-")
		} else {
			out = append(out, fmt.Sprint(row[column]))
		}
	}
	return strings.Join(out, " ")
}
