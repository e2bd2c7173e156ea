package schemas_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/sfbridge/bridge/schemas"
)

// header is a ChangeEventHeader as Salesforce writes it.
const header = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
 {"name":"entityName","type":"string"},
 {"name":"recordIds","type":{"type":"array","items":"string"}},
 {"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE"]}},
 {"name":"commitTimestamp","type":"long"}]}}`

func event(fields ...string) string {
	return `{"name":"X__e","namespace":"com.sforce.eventbus","type":"record","fields":[` + strings.Join(fields, ",") + `],"uuid":"u"}`
}

func mustParse(t *testing.T, text string) *schemas.Schema {
	t.Helper()
	s, err := schemas.Parse("id", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestText shows for single fields what the registry text makes of them.
func TestText(t *testing.T) {
	for _, c := range []struct {
		name, field, want string
		temporal          schemas.Temporal
		required          bool
	}{
		{name: "nullable stays", field: `{"name":"A","type":["null","string"],"doc":"Data:Text:00N","default":null}`,
			want: `{"name":"A","type":["null","string"],"doc":"Data:Text:00N","default":null}`},
		{name: "made nullable", field: `{"name":"A","type":"string","doc":"CreatedBy:EntityId"}`, required: true,
			want: `{"name":"A","type":["null","string"],"doc":"CreatedBy:EntityId","default":null}`},
		{name: "date time", field: `{"name":"A","type":"long","doc":"CreatedDate:DateTime"}`, required: true, temporal: schemas.DateTime,
			want: `{"name":"A","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"CreatedDate:DateTime","default":null}`},
		{name: "date", field: `{"name":"A","type":["null","long"],"doc":"Data:Date:00N","default":null}`, temporal: schemas.Date,
			want: `{"name":"A","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"Data:Date:00N","default":null}`},
		{name: "date as int", field: `{"name":"A","type":["null","int"],"doc":"Data:Date"}`, temporal: schemas.Date,
			want: `{"name":"A","type":["null",{"type":"int","logicalType":"date"}],"doc":"Data:Date","default":null}`},
		{name: "time", field: `{"name":"A","type":["null","int"],"doc":"Data:Time"}`, temporal: schemas.Time,
			want: `{"name":"A","type":["null",{"type":"int","logicalType":"time-millis"}],"doc":"Data:Time","default":null}`},
		{name: "time as long has no logical type", field: `{"name":"A","type":["null","long"],"doc":"Data:Time"}`, temporal: schemas.Time,
			want: `{"name":"A","type":["null","long"],"doc":"Data:Time","default":null}`},
		{name: "nothing else is read from doc", field: `{"name":"A","type":["null","string"],"doc":"Data:DateTime:long \"x\""}`,
			want: `{"name":"A","type":["null","string"],"doc":"Data:DateTime:long \"x\"","default":null}`},
		{name: "a logical type that is there stays", field: `{"name":"A","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"doc":"Data:DateTime"}`,
			want: `{"name":"A","type":["null",{"type":"long","logicalType":"timestamp-micros"}],"doc":"Data:DateTime","default":null}`},
		{name: "null goes first", field: `{"name":"A","type":["string","null"],"default":""}`,
			want: `{"name":"A","type":["null","string"],"default":null}`},
		{name: "nullless union", field: `{"name":"A","type":["string","boolean"]}`, required: true,
			want: `{"name":"A","type":["null","string","boolean"],"default":null}`},
		{name: "unknown attributes stay", field: `{"name":"A","type":["null",{"type":"string","avro.java.string": "String"}],"x-label": {"en" : "A & B"}}`,
			want: `{"name":"A","type":["null",{"type":"string","avro.java.string":"String"}],"default":null,"x-label":{"en":"A & B"}}`},
		{name: "array", field: `{"name":"A","type":{"type":"array","items":"string"}}`, required: true,
			want: `{"name":"A","type":["null",{"type":"array","items":"string"}],"default":null}`},
		{name: "nested record", field: `{"name":"A","type":["null",{"type":"record","name":"Loc","fields":[{"name":"At","type":"long","doc":"x:DateTime"}]}]}`,
			want: `{"name":"A","type":["null",{"type":"record","name":"Loc","fields":[{"name":"At","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"x:DateTime","default":null}]}],"default":null}`},
		{name: "own namespace", field: `{"name":"A","type":["null",{"type":"enum","name":"E","namespace":"other","symbols":["X"]}]}`,
			want: `{"name":"A","type":["null",{"type":"enum","name":"E","namespace":"other","symbols":["X"]}],"default":null}`},
		{name: "empty namespace is the enclosing one", field: `{"name":"A","type":["null",{"type":"enum","name":"E","namespace":"","symbols":["X"]}]}`,
			want: `{"name":"A","type":["null",{"type":"enum","name":"E","symbols":["X"]}],"default":null}`},
		{name: "type in an object", field: `{"name":"A","type":{"type":["null",{"type":"double"}]}}`,
			want: `{"name":"A","type":["null","double"],"default":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustParse(t, event(c.field))
			want := `{"type":"record","name":"X__e","namespace":"com.sforce.eventbus","fields":[` + c.want + `]}`
			if got := string(s.JSON); got != want {
				t.Errorf("text\n got %s\nwant %s", got, want)
			}
			f := s.Root.Fields[0]
			if f.Required != c.required {
				t.Errorf("required is %t", f.Required)
			}
			if got := f.Type.Branches[1].Temporal; got != c.temporal {
				t.Errorf("temporal is %d, want %d", got, c.temporal)
			}
		})
	}
}

func TestChangeEvent(t *testing.T) {
	s := mustParse(t, event(header,
		`{"name":"A","type":["null",{"type":"record","name":"Address","fields":[{"name":"City","type":"string"}]}]}`,
		`{"name":"B","type":["null","Address"]}`,
		`{"name":"C","type":["null","com.sforce.eventbus.Address"]}`,
	))
	if !s.ChangeEvent || s.Name != "X__e" || s.FullName != "com.sforce.eventbus.X__e" || s.ID != "id" {
		t.Errorf("got %+v", s)
	}
	// Salesforce's header stays as it is, the body does not.
	for _, want := range []string{
		`{"name":"entityName","type":"string"}`, `{"name":"commitTimestamp","type":"long"}`,
		`{"name":"City","type":["null","string"],"default":null}`,
		`{"name":"B","type":["null","com.sforce.eventbus.Address"],"default":null}`,
	} {
		if !strings.Contains(string(s.JSON), want) {
			t.Errorf("the text lacks %s:\n%s", want, s.JSON)
		}
	}
	address := s.Root.Fields[1].Type.Branches[1]
	if s.Root.Fields[2].Type.Branches[1] != address || s.Root.Fields[3].Type.Branches[1] != address {
		t.Error("a type used twice is not one node")
	}
	if address.Fields[0].Required {
		t.Error("a field of a change event's body can always be missing")
	}
	if s.Root.Field("B") != 2 || s.Root.Field("b") != -1 {
		t.Error("fields are not found by name")
	}
}

// TestStable: parsing our own text again gives the same text, and white space
// and uuid do not matter, so that equal schemas are one schema to a registry.
func TestStable(t *testing.T) {
	field := `{"name":"A","type":["null","long"],"doc":"x:DateTime","default":null}`
	one := mustParse(t, event(header, field))
	two := mustParse(t, string(one.JSON))
	if string(one.JSON) != string(two.JSON) || one.Fingerprint != two.Fingerprint {
		t.Errorf("parsed twice:\n%s\n%s", one.JSON, two.JSON)
	}
	three := mustParse(t, strings.ReplaceAll(strings.Replace(event(header, field), `"uuid":"u"`, `"uuid":"v"`, 1), ",", " ,\n"))
	if one.Fingerprint != three.Fingerprint || len(one.Fingerprint) != 64 {
		t.Errorf("fingerprints %s and %s", one.Fingerprint, three.Fingerprint)
	}
	if !json.Valid(one.JSON) {
		t.Error("the text is not JSON")
	}
}

// TestNoForeignNames: a name that another schema defined is unknown here, even
// if it is known to the Avro library's process-wide cache.
func TestNoForeignNames(t *testing.T) {
	//nolint:forbidigo // filling the process-wide cache is what is tried here
	if _, err := avro.Parse(`{"type":"enum","name":"Foreign","namespace":"com.sforce.eventbus","symbols":["A"]}`); err != nil {
		t.Fatal(err)
	}
	mustParse(t, event(`{"name":"A","type":["null",{"type":"enum","name":"Elsewhere","symbols":["A"]}]}`))
	for _, name := range []string{"Foreign", "Elsewhere"} {
		_, err := schemas.Parse("id", []byte(event(`{"name":"A","type":["null","`+name+`"]}`)))
		if err == nil || !strings.Contains(err.Error(), `unknown type "`+name+`"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusedSchemas(t *testing.T) {
	deep := strings.Repeat(`{"type":"array","items":`, 40) + `"string"` + strings.Repeat("}", 40)
	for _, c := range []struct{ name, text, want string }{
		{"html", `<html>down</html>`, `not JSON: "<html>down</html>"`},
		{"empty", ``, "not JSON"},
		{"cut", `{"name":"X"`, "not JSON"},
		{"not a record", `{"type":"array","items":"string"}`, "an event is a record, this is an array"},
		{"number", `7`, `a type is a name, an object or an array, not "7"`},
		{"expanded", `{"name":"X","type":"expanded-record","fields":[]}`, "ask for payloadFormat=COMPACT"},
		{"no name", `{"type":"record","fields":[]}`, `"" is not a legal Avro name`},
		{"illegal event name", `{"type":"record","name":"9X","fields":[]}`, `"9X" is not a legal Avro name`},
		{"illegal namespace", `{"type":"record","name":"X","namespace":"a-b","fields":[]}`, `"a-b" is not a legal Avro namespace`},
		{"no fields", `{"type":"record","name":"X"}`, "a record needs a list of fields"},
		{"illegal field name", event(`{"name":"Größe__c","type":"string"}`), `at X__e.field 0: "Größe__c" is not a legal Avro name`},
		{"dashed field name", event(`{"name":"a-b","type":"string"}`), `"a-b" is not a legal Avro name`},
		{"field twice", event(`{"name":"A","type":"string"}`, `{"name":"A","type":"int"}`), `two fields are called "A"`},
		{"attribute twice", event(`{"name":"A","name":"B","type":"string"}`), `the attribute "name" comes twice`},
		{"field without type", event(`{"name":"A"}`), "at X__e.A: a field without type"},
		{"field no object", event(`"A"`), "expected an object"},
		{"name no text", event(`{"name":7,"type":"string"}`), `name: expected a text, found "7"`},
		{"unknown type", event(`{"name":"A","type":"datetime"}`), `at X__e.A: unknown type "datetime"`},
		{"recursive", event(`{"name":"A","type":["null","X__e"]}`), `type "X__e" contains itself`},
		{"defined twice", event(`{"name":"A","type":{"type":"enum","name":"E","symbols":["A"]}}`, `{"name":"B","type":{"type":"enum","name":"E","symbols":["A"]}}`), "defined twice"},
		{"empty union", event(`{"name":"A","type":[]}`), "a union without branches"},
		{"union in union", event(`{"name":"A","type":["null",["null","int"]]}`), "a union directly inside a union"},
		{"branch twice", event(`{"name":"A","type":["null","int","int"]}`), "two branches of type int"},
		{"enum without symbols", event(`{"name":"A","type":{"type":"enum","name":"E","symbols":[]}}`), "an enum needs a list of symbols"},
		{"illegal symbol", event(`{"name":"A","type":{"type":"enum","name":"E","symbols":["A-B"]}}`), `"A-B" is not a legal Avro enum symbol`},
		{"symbol twice", event(`{"name":"A","type":{"type":"enum","name":"E","symbols":["A","A"]}}`), `the enum symbol "A" comes twice`},
		{"array without items", event(`{"name":"A","type":{"type":"array"}}`), "an array without items"},
		{"fixed without size", event(`{"name":"A","type":{"type":"fixed","name":"F"}}`), "a fixed needs a size above 0"},
		{"too deep", event(`{"name":"A","type":` + deep + `}`), "types nest deeper than 32"},
		{"header no record", event(`{"name":"ChangeEventHeader","type":"string"}`), "the change event header is a record, this is a string"},
		{"bad default in the header", event(strings.Replace(header, `"type":"long"`, `"type":"long","default":"x"`, 1)), "not a legal Avro schema"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := schemas.Parse("the-id", []byte(c.text))
			var schema *schemas.SchemaError
			if !errors.As(err, &schema) || schema.ID != "the-id" {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to contain %q", err, c.want)
			}
			if schemas.Retryable(err) {
				t.Error("a schema's text does not change by asking again")
			}
		})
	}
}

// TestOtherTypes: types that events do not have today still compile.
func TestOtherTypes(t *testing.T) {
	s := mustParse(t, event(
		`{"name":"A","type":{"type":"map","values":"long"}}`,
		`{"name":"B","type":["null",{"type":"fixed","name":"F","size":16}]}`,
		`{"name":"C","type":["null","bytes","float"]}`,
		`{"name":"D","type":"null"}`,
	))
	if _, err := avro.ParseWithCache(string(s.JSON), "", &avro.SchemaCache{}); err != nil {
		t.Error(err)
	}
	if n := s.Root.Fields[0].Type.Branches[1]; n.Kind != schemas.KindMap || n.Items.Kind != schemas.KindLong {
		t.Errorf("the map is %+v", n)
	}
	if n := s.Root.Fields[1].Type.Branches[1]; n.Size != 16 || n.Kind.String() != "fixed" {
		t.Errorf("the fixed is %+v", n)
	}
}

// FuzzParse: whatever the text, there is no panic, errors are typed, and what
// is accepted is accepted again in our own writing, unchanged.
func FuzzParse(f *testing.F) {
	f.Add(event(header, `{"name":"A","type":["null","long"],"doc":"x:DateTime","default":null}`))
	f.Add(event(`{"name":"A","type":{"type":"array","items":{"type":"record","name":"R","fields":[]}}}`))
	f.Add(`{"type":"record","name":"a.b.C","fields":[{"name":"x","type":["int","null"],"default":3}]}`)
	f.Add(`["null"]`)
	f.Add(`{"type":{"type":"string"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := schemas.Parse("id", []byte(text))
		if err != nil {
			var schema *schemas.SchemaError
			if !errors.As(err, &schema) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := schemas.Parse("id", s.JSON)
		if err != nil {
			t.Fatalf("our own text is refused: %v\n%s", err, s.JSON)
		}
		if string(again.JSON) != string(s.JSON) {
			t.Fatalf("text changed:\n%s\n%s", s.JSON, again.JSON)
		}
	})
}
