package integration

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/foreign/java"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// enveloped runs a site to its end with further configuration text and returns
// the records of its accounts, in order.
func enveloped(t *testing.T, r *realRegistry, extra string) []*kgo.Record {
	t.Helper()
	r.extra = extra
	p := r.startCompacted(t)
	want := len(withTombstones(oracle.Expected(r.org.LedgerFrom(0), r.channels)))
	r.reader.wait(t, want, time.Minute, func() string { return tail(p.output()) })
	r.balanced(t)
	p.drain(t)
	return recordsOf(t, r.brokers, r.prefix+".Account", want)
}

// recordsOf reads n records of a topic from its beginning.
func recordsOf(t *testing.T, brokers []string, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records of %s", len(out), n, topic)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

// changeAccounts makes the org publish every kind of change of an account, and
// returns the ids of a business account and of a person's.
func changeAccounts(t *testing.T, org *orgsim.Org) (company, person string) {
	t.Helper()
	must := func(id string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	company = must(org.Create("Account", orgsim.Fields{"Name": "Späti 🙂", "Rating": "Hot", "NumberOfEmployees": 12, "AnnualRevenue": 1.5,
		"BillingAddress": orgsim.Fields{"City": "Lyon", "Country": "France"}}))
	person = must(org.Create("Account", orgsim.Fields{"Name": orgsim.Fields{"FirstName": "Zoë", "LastName": "Berg"}}))
	must("", org.Update("Account", company, orgsim.Fields{"Rating": nil, "BillingAddress": orgsim.Fields{"City": "Malmö"}}))
	must("", org.UpdateAll("Account", []string{company, person}, orgsim.Fields{"Rating": "Cold"}))
	must("", org.Emit("Account", "GAP_UPDATE", person))
	must("", org.Delete("Account", company))
	must("", org.Undelete("Account", company))
	must("", org.Emit("Account", "GAP_DELETE", company))
	must("", org.Emit("Account", "GAP_OVERFLOW"))
	return company, person
}

// The classes that users of Debezium's envelope have take the bridge's records
// unchanged: Debezium's unwrap transform and Flink's format, as their makers
// publish them.
func TestDebeziumsUsersTakeTheEnvelope(t *testing.T) {
	r := newRealRegistry(t)
	company, person := changeAccounts(t, r.org)
	records := enveloped(t, r, "envelope: debezium\n")
	texts := map[uint32]string{}
	var in []java.Enveloped
	for _, rec := range records {
		e := java.Enveloped{Topic: rec.Topic, Key: string(rec.Key), Value: rec.Value}
		if rec.Value != nil {
			id := wire.BigEndian.Uint32(rec.Value[1:5])
			if texts[id] == "" {
				var got struct{ Schema string }
				r.ask(t, http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), nil, &got)
				texts[id] = got.Schema
			}
			e.Schema = texts[id]
		}
		in = append(in, e)
	}
	out := java.Consume(t, "Id:STRING,Name:STRING,LastName:STRING,Rating:STRING,NumberOfEmployees:INT,AnnualRevenue:DOUBLE,BillingCity:STRING", in)
	seen := map[string]int{}
	for i, rec := range records {
		kind := headerOf(rec, "sf-change-type")
		if rec.Value == nil {
			kind = "tombstone"
		}
		seen[kind]++
		if wrong := consumed(kind, string(rec.Key), company, person, &out[i]); wrong != "" {
			t.Errorf("%s of %s: %s\n%+v", kind, rec.Key, wrong, out[i])
		}
	}
	want := map[string]int{"CREATE": 2, "UPDATE": 3, "GAP_UPDATE": 1, "DELETE": 1, "tombstone": 1, "UNDELETE": 1, "GAP_DELETE": 1, "GAP_OVERFLOW": 1}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("records %v, want %v", seen, want)
	}
}

// consumed says what is wrong with what the classes made of a record.
func consumed(kind, key, company, person string, c *java.Consumed) string {
	if kind == "tombstone" {
		if c.Tombstone.Value != nil || len(c.Flink) != 0 {
			return "a tombstone became something"
		}
		return ""
	}
	op := map[string]string{"CREATE": "c", "UNDELETE": "c", "UPDATE": "u", "GAP_UPDATE": "u", "GAP_OVERFLOW": "u", "DELETE": "d", "GAP_DELETE": "d"}[kind]
	row := c.Rewrite.Value
	if row["__op"] != op || row["__source_table"] != "Account" || row["__transaction_id"] == nil || row["Id"] != key {
		return "rewrite: op, source, transaction or id"
	}
	kinds := map[string]string{"c": "[+I]", "u": "[-U +U]", "d": "[-D]"}[op]
	var got []any
	for _, r := range c.Flink {
		if got = append(got, r["kind"]); r["Id"] != key {
			return "flink: id"
		}
	}
	if fmt.Sprint(got) != kinds {
		return fmt.Sprintf("flink: rows %v, want %s", got, kinds)
	}
	if op == "d" {
		switch {
		case row["__deleted"] != "true":
			return "rewrite: not deleted"
		case c.Tombstone.Dropped || c.Tombstone.Value != nil, !c.Drop.Dropped:
			return "a delete is a tombstone, or dropped"
		}
		return ""
	}
	if row["__deleted"] != "false" || !strings.HasSuffix(c.Drop.Name, ".Value") {
		return "rewrite: deleted, or the name"
	}
	last := c.Flink[len(c.Flink)-1]
	for name, value := range last {
		if name != "kind" && !reflect.DeepEqual(value, c.Drop.Value[name]) {
			return fmt.Sprintf("flink and debezium do not agree about %s", name)
		}
	}
	switch {
	case kind == "CREATE" && key == company && (last["Name"] != "Späti 🙂" || last["NumberOfEmployees"] != 12.0 || last["AnnualRevenue"] != 1.5 || last["BillingCity"] != "Lyon"),
		kind == "CREATE" && key == person && (last["Name"] != nil || last["LastName"] != "Berg"),
		kind == "UPDATE" && last["BillingCity"] != "Malmö" && last["Rating"] != "Cold",
		strings.HasPrefix(kind, "GAP") && last["Rating"] != nil:
		return "values"
	}
	return ""
}

func headerOf(rec *kgo.Record, key string) string {
	for _, h := range rec.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// A stranger reads flat rows by their schema in a real registry, with SOQL's names.
func TestFlatRowsAreRead(t *testing.T) {
	r := newRealRegistry(t)
	company, person := changeAccounts(t, r.org)
	records := enveloped(t, r, "envelope: flat\n")
	created := 0
	for _, rec := range java.Reader(t).Read(t, r.brokers, r.url, []string{r.prefix + ".Account"}, len(records)) {
		if rec.Value == nil {
			continue
		}
		var row map[string]any
		if err := json.Unmarshal(rec.Value, &row); err != nil {
			t.Fatal(err)
		}
		if rec.Schema != "bridge.flat.AccountChangeEvent" || row["Id"] != string(rec.Key) {
			t.Errorf("%s of %s: %v", rec.Schema, rec.Key, row)
		}
		switch {
		case row["_changeType"] != "CREATE":
		case row["Id"] == company && row["Name"] == "Späti 🙂" && row["BillingCity"] == "Lyon" && row["LastName"] == nil,
			row["Id"] == person && row["Name"] == nil && row["FirstName"] == "Zoë" && row["LastName"] == "Berg":
			created++
		}
		if row["_changeType"] == "UPDATE" && row["BillingCity"] == "Malmö" && fmt.Sprint(row["_nulledFields"]) != "[Rating]" {
			t.Errorf("cleared fields %v", row["_nulledFields"])
		}
	}
	if created != 2 {
		t.Errorf("%d accounts were created as published, want 2", created)
	}
}

// Format json with json_schema: a real registry takes the JSON Schema, and each
// value says which it is.
func TestJSONSchemaIsRegistered(t *testing.T) {
	r := newRealRegistry(t)
	company, _ := changeAccounts(t, r.org)
	r.registry += "\n  json_schema: true" // the configuration has it behind the url
	records := enveloped(t, r, "format: json\nenvelope: flat\n")
	checked := 0
	for _, rec := range records {
		if rec.Value == nil {
			continue
		}
		if len(rec.Value) < 6 || rec.Value[0] != 0 {
			t.Fatalf("the value is %q", rec.Value)
		}
		var row map[string]any
		if err := json.Unmarshal(rec.Value[5:], &row); err != nil {
			t.Fatal(err)
		}
		var got struct{ Schema, SchemaType string }
		r.ask(t, http.MethodGet, fmt.Sprintf("/schemas/ids/%d", wire.BigEndian.Uint32(rec.Value[1:5])), nil, &got)
		if got.SchemaType != "JSON" || !strings.Contains(got.Schema, `"title"`) {
			t.Fatalf("the registry has %s %.100s", got.SchemaType, got.Schema)
		}
		if row["Id"] == company {
			checked++
		}
	}
	if checked < 4 {
		t.Errorf("%d records of the account", checked)
	}
}

// Format raw: the payload is the value, byte for byte, and no registry is asked.
func TestRawIsThePayload(t *testing.T) {
	r := newRealRegistry(t)
	company, _ := changeAccounts(t, r.org)
	records := enveloped(t, r, "format: raw\n")
	payloads := map[string][]byte{}
	for e := range r.org.LedgerFrom(0) {
		payloads[fmt.Sprint(e.ReplayID)] = e.Payload
	}
	checked := 0
	for _, rec := range records {
		if rec.Value == nil {
			continue
		}
		if want := payloads[headerOf(rec, "sf-replay-id")]; !bytes.Equal(rec.Value, want) {
			t.Errorf("%s: the value is\n%s\nthe payload\n%s", rec.Key, rec.Value, want)
		}
		if string(rec.Key) == company {
			checked++
		}
	}
	if checked < 4 {
		t.Errorf("%d records of the account", checked)
	}
}
