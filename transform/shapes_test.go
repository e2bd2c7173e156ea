package transform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// TestSyntax breaks an event that is fine otherwise: none of it is JSON.
func TestSyntax(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	for _, c := range []struct{ old, broken string }{
		{`["001xx000003DGb2AAG"]`, `["001xx000003DGb2AAG",]`}, {`["001xx000003DGb2AAG"]`, `[,"001xx000003DGb2AAG"]`},
		{`["001xx000003DGb2AAG"]`, `["001xx000003DGb2AAG" "001xx000003DGb2AAG"]`}, {`["001xx000003DGb2AAG"]`, `["001xx000003DGb2AAG"}`},
		{`"Rating":"Hot",`, `"Rating":"Hot",,`}, {`"Rating":"Hot",`, `"Rating":"Hot"`}, {`"Rating":"Hot",`, `"Rating" "Hot",`}, {`"Rating":"Hot",`, `"Rating":,`},
		{`"Rating":"Hot",`, `Rating:"Hot",`}, {`"Rating":"Hot",`, `'Rating':"Hot",`}, {`"Rating":"Hot",`, `"Rating":Hot,`},
		{`"Rating":"Hot",`, "\"Rating\":\"H\not\","}, {`"Rating":"Hot",`, "\"Rating\":\"H\x00ot\","}, {`"Rating":"Hot",`, "\"Rating\":\"\xc3\x28\","},
		{`"Rating":"Hot",`, "\"Rating\":\"\xed\xa0\x80\","}, {`"Rating":"Hot",`, "\"Rating\":\"\xc0\x80\","}, {`"Rating":"Hot",`, "\"Rating\":\"\xf4\x90\x80\x80\","},
		{`"Rating":"Hot",`, `"Rating":"\q",`}, {`"Rating":"Hot",`, `"Rating":"\u12g4",`}, {`"Rating":"Hot",`, `"Rating":"\ud800",`}, {`"Rating":"Hot",`, `"Rating":"\udc00\ud800",`},
		{`"Rating":"Hot",`, `"Rating":"\ud800\u0041",`}, {`"Rating":"Hot",`, `"Rating":"\ud800\n",`}, {`"Rating":"Hot",`, "\"Rating\":\u00a0\"Hot\","},
		{`"IsPersonAccount":false`, `"IsPersonAccount":falsy`}, {`"IsPersonAccount":false`, `"IsPersonAccount":False`}, {`"IsPersonAccount":false`, `"IsPersonAccount":nul`},
		{`:250,`, `:0250,`}, {`:250,`, `:250.,`}, {`:250,`, `:+250,`}, {`:250,`, `:2_50,`}, {`:250,`, `:0x250,`}, {`:250,`, `:-,`}, {`:250,`, `:250e,`}, {`:250,`, `:250e+,`}, {`:250,`, `:Infinity,`},
		{`plant."}`, `plant."},`}, {`plant."}`, `plant.",}`}, {`plant."}`, `plant."]`}, {`plant."}`, `plant."}{}`}, {`plant."}`, `plant."} null`},
		{`{"LastModifiedDate"`, `[{"LastModifiedDate"`}, {`{"LastModifiedDate"`, "\ufeff{\"LastModifiedDate\""}, {`{"LastModifiedDate"`, `{,"LastModifiedDate"`},
	} {
		broken := *ev
		broken.Payload = []byte(strings.Replace(string(ev.Payload), c.old, c.broken, 1))
		if string(broken.Payload) == string(ev.Payload) {
			t.Fatalf("%s is not in the event", c.old)
		}
		_, _, err := e.Encode(t.Context(), nil, &broken)
		var event *transform.EventError
		if !errors.As(err, &event) || event.Offset < 0 || event.Offset > len(broken.Payload) {
			t.Errorf("%s: %v", c.broken, err)
		}
	}
}

// oddSchema has what Salesforce's schemas could have and mostly do not.
const oddSchema = `{"name":"OddChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[
 {"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
  {"name":"entityName","type":"string"},{"name":"recordIds","type":{"type":"array","items":"string"}},
  {"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE"]}},
  {"name":"transactionKey","type":["null","string"]},{"name":"sequenceNumber","type":["null","int"]},
  {"name":"commitTimestamp","type":"long"},{"name":"commitNumber","type":["null","long"]},
  {"name":"nulledFields","type":{"type":"array","items":"string"}},{"name":"diffFields","type":{"type":"array","items":"string"}},
  {"name":"changedFields","type":{"type":"array","items":"string"}},
  {"name":"extra","type":{"type":"record","name":"Extra","fields":[{"name":"a","type":"int"}]},"default":{"a":7}}]}},
 {"name":"Day__c","type":["null","int"],"doc":"Data:Date"},
 {"name":"Clock__c","type":["null","long"],"doc":"Data:Time"},
 {"name":"Ratio__c","type":["null","float"]},
 {"name":"Raw__c","type":["null","bytes"]},
 {"name":"Map__c","type":["null",{"type":"map","values":"string"}]},
 {"name":"Level__c","type":["null",{"type":"enum","name":"Level","symbols":["LOW","HIGH"]},"string"]},
 {"name":"Num__c","type":["null","long","double"]},
 {"name":"Outer__c","type":["null",{"type":"record","name":"Outer","fields":[
   {"name":"Inner","type":["null",{"type":"record","name":"Inner","fields":[{"name":"Text","type":"string"},{"name":"diff","type":"string"}]},"string"]}]}]},
 {"name":"Texts__c","type":["null",{"type":"array","items":"string"}]}]}`

const oddHeader = `"ChangeEventHeader":{"entityName":"Odd","changeType":"UPDATE","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG"]}`

// TestOddTypes goes through types at the edge, in both formats.
func TestOddTypes(t *testing.T) {
	const lists = `{"ChangeEventHeader":{"entityName":"Odd","recordIds":["001xx000003DGb2AAG"],"changeType":"UPDATE","commitTimestamp":5,`
	head := func(nulled, diffs, changed string) string {
		return lists + `"nulledFields":[` + nulled + `],"diffFields":[` + diffs + `],"changedFields":[` + changed + `],"extra":{"a":7}}`
	}
	for _, c := range []struct{ body, want string }{
		{`"Day__c":"1970-01-11"`, head(``, ``, `"Day__c"`) + `,"Day__c":10}`},
		{`"Day__c":-3`, head(``, ``, `"Day__c"`) + `,"Day__c":-3}`},
		{`"Clock__c":"00:00:01.5Z"`, head(``, ``, `"Clock__c"`) + `,"Clock__c":1500}`},
		{`"Ratio__c":0.5`, head(``, ``, `"Ratio__c"`) + `,"Ratio__c":0.5}`},
		{`"Raw__c":null`, head(`"Raw__c"`, ``, `"Raw__c"`) + `,"Raw__c":null}`},
		{`"Level__c":"whatever"`, head(``, ``, `"Level__c"`) + `,"Level__c":"whatever"}`},
		{`"Num__c":3`, head(``, ``, `"Num__c"`) + `,"Num__c":3}`},
		{`"Outer__c":{"Inner":{"Text":null,"diff":"own field"}}`, head(`"Outer__c.Inner.Text"`, ``, `"Outer__c.Inner.Text","Outer__c.Inner.diff"`) + `,"Outer__c":{"Inner":{"Text":null,"diff":"own field"}}}`},
		{`"Outer__c":{"Inner":{"Text":{"diff":"@@"}}}`, head(``, `"Outer__c.Inner.Text"`, `"Outer__c.Inner.Text"`) + `,"Outer__c":{"Inner":{"Text":"@@"}}}`},
		{`"Outer__c":{"Inner":"text"}`, head(``, ``, `"Outer__c.Inner"`) + `,"Outer__c":{"Inner":"text"}}`},
		{`"Outer__c":{}`, head(``, ``, ``) + `,"Outer__c":{}}`},
		{`"Texts__c":[ ]`, head(``, ``, `"Texts__c"`) + `,"Texts__c":[]}`},
		{`"Texts__c":["a","\u0062"]`, head(``, ``, `"Texts__c"`) + `,"Texts__c":["a","\u0062"]}`},
	} {
		cat := catalogOf(map[string]string{"id": oddSchema})
		ev := &transform.Event{Channel: "/data/OddChangeEvent", Position: "1", SchemaID: "id", Payload: []byte("{" + oddHeader + "," + c.body + "}")}
		records, _, err := newEncoder(t, transform.Config{Schemas: cat, Format: transform.JSON}).Encode(t.Context(), nil, ev)
		if err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if got := string(records[0].Value); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.body, got, c.want)
		}
		if header(records[0], "sf-sequence") != "" || header(records[0], "sf-transaction-key") != "" {
			t.Error("an absent header field became a header")
		}
		checkAvro(t, cat, ev, records[0].Value)
	}
}

// checkAvro compares the Avro value with the JSON one.
func checkAvro(t *testing.T, cat *schemas.Catalog, ev *transform.Event, asJSON []byte) {
	t.Helper()
	s, err := cat.Schema(t.Context(), ev.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	records, _, err := newEncoder(t, transform.Config{Schemas: cat}).Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeAvro(string(s.JSON), records[0].Value)
	if err != nil {
		t.Fatalf("%s: %v", asJSON, err)
	}
	j, err := decodeJSON(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	if err := sameRecord("value", a, j); err != nil {
		t.Error(err)
	}
}

func TestOddTypesRefused(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`"Day__c":"1970-01-11T00:00:00Z"`, `field Day__c: found the text "1970-01-11T00:00:00Z", expected a date or a number, for int or null`},
		{`"Clock__c":"2026-03-04"`, `expected a time of day or a number, for long or null`},
		{`"Ratio__c":1e39`, `field Ratio__c: found the number "1e39", which does not fit, expected float or null`},
		{`"Ratio__c":1e999`, `which does not fit`},
		{`"Raw__c":"AA=="`, "field Raw__c: found a text, expected bytes or null"},
		{`"Map__c":{"a":"b"}`, "field Map__c: found an object, expected map or null"},
		{`"Num__c":3.5`, `field Num__c: found the number "3.5", which is not whole`},
		{`"Texts__c":["a",null]`, "field Texts__c[1]: found null, expected string"},
		{`"Texts__c":["a",{"diff":"x"}]`, "field Texts__c[1]: found a diff"},
		{`"Texts__c":"a"`, "field Texts__c: found a text, expected array or null"},
		{`"Outer__c":[]`, "field Outer__c: found an array, expected record Outer or null"},
		{`"Outer__c":{"Inner":{"Text":7}}`, "field Outer__c.Inner.Text: found a number"},
		{`"Outer__c":{"Inner":{"X":7}}`, "field Outer__c.Inner.X: found a number, expected no such key: it is not in the schema com.sforce.eventbus.Inner"},
		{`"Outer__c":{"Inner":{"Text":{"diff":7}}}`, "field Outer__c.Inner.Text.diff: found a number, expected a text"},
		{`"Outer__c":{"Inner":{"Text":{"diff":"x","sha":"y"}}}`, "found a diff object with more than its diff"},
	} {
		e := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{"id": oddSchema})})
		_, _, err := e.Encode(t.Context(), nil, &transform.Event{
			Channel: "/data/OddChangeEvent", SchemaID: "id", Payload: []byte("{" + oddHeader + "," + c.body + "}"),
		})
		if err == nil || !strings.Contains(err.Error(), c.want) || !transform.BadEvent(err) {
			t.Errorf("%s:\n got %v\nwant %s", c.body, err, c.want)
		}
	}
}

// TestKeyFields: what a platform event's configured key field makes of values.
func TestKeyFields(t *testing.T) {
	const text = `{"name":"K__e","type":"record","fields":[{"name":"B","type":["null","boolean"]},{"name":"L","type":["null","long"]},
		{"name":"D","type":["null","double"]},{"name":"T","type":["null","string"]},{"name":"A","type":{"type":"array","items":"string"}}]}`
	for _, c := range []struct{ field, payload, want string }{
		{"B", `{"A":[],"B":true}`, "true"}, {"B", `{"A":[],"B":false}`, "false"}, {"L", `{"A":[],"L":20.0}`, "20"}, {"L", `{"A":[],"L":-9223372036854775808}`, "-9223372036854775808"},
		{"D", `{"A":[],"D":20}`, "20"}, {"D", `{"A":[],"D":2.0E1}`, "20"}, {"T", `{"A":[],"T":"\u00e9"}`, "é"}, {"T", `{"A":[],"T":""}`, "the-uuid"}, {"T", `{"A":[]}`, "the-uuid"},
	} {
		e := newEncoder(t, transform.Config{
			Schemas: catalogOf(map[string]string{"id": text}), Streams: map[string]transform.StreamOptions{"/event/K__e": {KeyField: c.field}},
		})
		records, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/event/K__e", SchemaID: "id", UUID: "the-uuid", Payload: []byte(c.payload)})
		if err != nil || string(records[0].Key) != c.want {
			t.Errorf("%s of %s: %v", c.field, c.payload, err)
		}
	}
	e := newEncoder(t, transform.Config{
		Schemas: catalogOf(map[string]string{"id": text}), Streams: map[string]transform.StreamOptions{"/event/K__e": {KeyField: "A"}},
	})
	_, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/event/K__e", SchemaID: "id", UUID: "u", Payload: []byte(`{"A":[]}`)})
	var config *transform.ConfigError
	if !errors.As(err, &config) || transform.BadEvent(err) || !transform.SchemaRefused(err) {
		t.Errorf("an array as key: %v", err)
	}
}

// TestErrorPlaces: errors name the path in the payload and, apart from it, the
// schema's field.
func TestErrorPlaces(t *testing.T) {
	for _, c := range []struct{ body, path, field string }{
		{`"Texts__c":["a",7]`, "Texts__c[1]", "Texts__c"},
		{`"Outer__c":{"Inner":{"Text":7}}`, "Outer__c.Inner.Text", "Text"},
		{`"Outer__c":{"Inner":{"Text":{"diff":7}}}`, "Outer__c.Inner.Text.diff", "Text"},
		{`"Outer__c":{"Inner":{"Text":"a","Text":"b"}}`, "Outer__c.Inner.Text", "Text"},
		{`"Num__c":3.5`, "Num__c", "Num__c"},
		{`"Day__c":"2026-02-30"`, "Day__c", "Day__c"},
	} {
		e := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{"id": oddSchema})})
		_, _, err := e.Encode(t.Context(), nil, &transform.Event{
			Channel: "/data/OddChangeEvent", SchemaID: "id", Payload: []byte("{" + oddHeader + "," + c.body + "}"),
		})
		var field *transform.FieldError
		if !errors.As(err, &field) || field.Path != c.path || field.Field != c.field || field.Found == "" || field.Expected == "" {
			t.Errorf("%s: %+v", c.body, err)
		}
	}
	for _, c := range []struct{ body, path, found string }{
		{`"Texts__c":["a",x]`, "Texts__c[1]", "'x'"},
		{`"Outer__c":{"Inner":{"Text":"\q"}}`, "Outer__c.Inner.Text", `'\\'`},
		{`"Num__c":01`, "", "'1'"},
		{`"Num__c":`, "Num__c", "'}'"},
		{"\"Num__c\":\xff", "Num__c", "the byte 0xff"},
	} {
		e := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{"id": oddSchema})})
		_, _, err := e.Encode(t.Context(), nil, &transform.Event{
			Channel: "/data/OddChangeEvent", SchemaID: "id", Payload: []byte("{" + oddHeader + "," + c.body + "}"),
		})
		var event *transform.EventError
		if !errors.As(err, &event) || event.Path != c.path || event.Found != c.found || event.Reason == "" {
			t.Errorf("%s: %+v", c.body, err)
		}
	}
}
