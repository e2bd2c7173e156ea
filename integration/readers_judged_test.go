package integration

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/orgsim"
)

func TestSameValue(t *testing.T) {
	n := func(s string) json.Number { return json.Number(s) }
	for _, c := range []struct {
		sent, got any
		same      bool
	}{
		{n("9007199254740993"), n("9007199254740993"), true},
		{n("9007199254740993"), n("9007199254740992"), false}, // what a double makes of it
		{n("9007199254740993"), n("9.007199254740992E15"), false},
		{n("12"), n("12.0"), true},
		{n("12.5"), n("1.25e1"), true},
		{n("0.1"), n("0.10000000149011612"), false}, // what a float makes of it
		{n("1.0E18"), n("1e+18"), true},
		{n("1"), "1", false},
		{n("1"), true, false},
		{"1", n("1"), false},
		{"2026-03-04T09:15:22.001Z", n("1772615722001"), true},
		{"2026-03-04T09:15:22.001Z", n("1772615722000"), false},
		{"1969-12-31", n("-86400000"), true},
		{"23:59:59.999Z", n("86399999"), true},
		{"text", n("-1"), false},
		{"true", true, false},
		{"a", "a", true},
		{"a", "a ", false},
		{nil, nil, true},
		{nil, "", false},
		{"", nil, false},
		{[]any{"a b"}, []any{"a", "b"}, false},
		{[]any{"a"}, []any{"a"}, true},
	} {
		if sameValue(c.sent, c.got) != c.same {
			t.Errorf("sent %#v, got %#v: same is %v", c.sent, c.got, !c.same)
		}
	}
}

// The judge finds whatever is not as the ledger says: each case spoils one thing
// of a record that is right.
func TestJudgeFindsDifferences(t *testing.T) {
	const payload = `{"ChangeEventHeader":{"commitNumber":9007199254740993,"changeType":"UPDATE","changedFields":["Name","Text","Address.City"],
		"recordIds":["001A","001B"]},"Name":null,"Text":{"diff":"-a"},"Address":{"City":null},"Count":7}`
	const value = `{"ChangeEventHeader":{"commitNumber":9007199254740993,"changeType":"UPDATE","changedFields":["Name","Text","Address.City"],
		"recordIds":["001A","001B"],"nulledFields":["Name","Address.City"],"diffFields":["Text"]},
		"Name":null,"Text":"-a","Address":{"City":null,"State":null},"Count":7,"Other":null}`
	entry := orgsim.Entry{ReplayID: 5, Object: "Account", ChangeType: "UPDATE", RecordIDs: []string{"001A", "001B"}, SchemaID: "S",
		TransactionKey: "K", Sequence: 2, Commit: time.UnixMilli(1234).UTC(), Payload: json.RawMessage(payload)}
	right := foreign.Record{Topic: "p.Account", Timestamp: 1234, Key: []byte("001B"), Value: json.RawMessage(value)}
	for _, h := range []string{"sf-org=O", "sf-channel=/data/A", "sf-replay-id=5", "sf-object=Account", "sf-change-type=UPDATE", "sf-schema-id=S",
		"sf-transaction-key=K", "sf-sequence=2", "sf-commit-number=9007199254740993", "sf-record-index=1", "sf-record-count=2"} {
		key, text, _ := strings.Cut(h, "=")
		right.Headers = append(right.Headers, foreign.Header{Key: key, Value: []byte(text)})
	}
	in := func(old, fresh string) func(*foreign.Record) {
		return func(r *foreign.Record) {
			if !strings.Contains(value, old) {
				t.Errorf("%s is not in the value", old)
			}
			r.Value = json.RawMessage(strings.Replace(value, old, fresh, 1))
		}
	}
	for name, c := range map[string]struct {
		spoil func(*foreign.Record)
		want  string // "": nothing is wrong
	}{
		"right":             {func(*foreign.Record) {}, ""},
		"another topic":     {func(r *foreign.Record) { r.Topic = "p.Contact" }, "an event of Account"},
		"another time":      {func(r *foreign.Record) { r.Timestamp++ }, "its time is 1235"},
		"another key":       {func(r *foreign.Record) { r.Key = []byte("001C") }, "no event has"},
		"another header":    {func(r *foreign.Record) { r.Headers[7].Value = []byte("3") }, "sf-sequence=3"},
		"a header too few":  {func(r *foreign.Record) { r.Headers = r.Headers[:10] }, "headers"},
		"a tombstone":       {func(r *foreign.Record) { r.Value = nil }, "a tombstone"},
		"no JSON":           {func(r *foreign.Record) { r.Value = json.RawMessage("{") }, "unexpected EOF"},
		"digits":            {in("9007199254740993", "9007199254740992"), "commitNumber"},
		"a value":           {in(`"Count":7`, `"Count":8`), "Count is 8, Salesforce sent 7"},
		"null for a value":  {in(`"Count":7`, `"Count":null`), "Count is <nil>"},
		"a value for null":  {in(`"Other":null`, `"Other":""`), "did not send it"},
		"nested":            {in(`"State":null`, `"State":"x"`), "State is x"},
		"a field missing":   {in(`"Count":7,`, ``), "Count is missing"},
		"a diff's text":     {in(`"-a"`, `"-b"`), "Text is -b"},
		"nulled, too few":   {in(`"Name","Address.City"],"diff`, `"Name"],"diff`), "nulledFields"},
		"nulled, too many":  {in(`"nulledFields":[`, `"nulledFields":["Other",`), "nulledFields"},
		"diffs, too few":    {in(`"diffFields":["Text"]`, `"diffFields":[]`), "diffFields"},
		"changed, in order": {in(`"Name","Text","Address.City"],`, `"Text","Name","Address.City"],`), "changedFields"},
	} {
		p := published{Entry: entry, channel: "/data/A", payload: decode(t, entry.Payload), index: 1}
		j := &judge{org: "O", prefix: "p", published: map[subject]published{{5, "001B"}: p},
			valued: map[string]bool{}, kinds: map[string]int{}, schemas: map[string]map[int]bool{}}
		r := right
		r.Headers = slices.Clone(right.Headers)
		c.spoil(&r)
		j.record(&r)
		if c.want == "" && len(j.differences) > 0 || c.want != "" && (len(j.differences) != 1 || !strings.Contains(j.differences[0], c.want)) {
			t.Errorf("%s: %q, want %q", name, j.differences, c.want)
		}
	}
}

// Two readings differ whenever a consumer could tell them apart.
func TestReadersDisagree(t *testing.T) {
	right := foreign.Record{Topic: "t", Key: []byte("k"), Value: json.RawMessage(`{"a":1.0,"b":{"c":[1]}}`), Schema: "S", SchemaID: 1}
	for name, spoil := range map[string]func(*foreign.Record){
		"":             func(r *foreign.Record) { r.Value = json.RawMessage(`{"b":{"c":[1]},"a":1E+00}`) },
		"offset":       func(r *foreign.Record) { r.Offset++ },
		"time":         func(r *foreign.Record) { r.Timestamp++ },
		"no key":       func(r *foreign.Record) { r.Key = nil },
		"header":       func(r *foreign.Record) { r.Headers = []foreign.Header{{Key: "h"}} },
		"schema":       func(r *foreign.Record) { r.SchemaID++ },
		"tombstone":    func(r *foreign.Record) { r.Value = nil },
		"value":        func(r *foreign.Record) { r.Value = json.RawMessage(`{"a":1.5,"b":{"c":[1]}}`) },
		"nested":       func(r *foreign.Record) { r.Value = json.RawMessage(`{"a":1.0,"b":{"c":[2]}}`) },
		"one too few":  func(r *foreign.Record) { r.Value = json.RawMessage(`{"a":1.0}`) },
		"another name": func(r *foreign.Record) { r.Value = json.RawMessage(`{"a":1.0,"d":{"c":[1]}}`) },
	} {
		j, r := &judge{}, right
		spoil(&r)
		j.agree([]foreign.Record{right}, []foreign.Record{r})
		if (len(j.differences) == 0) != (name == "") {
			t.Errorf("%s: %q", name, j.differences)
		}
	}
}
