package schemas_test

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/schemas"
)

const flatBase = `{"name":"TestChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[
{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
 {"name":"entityName","type":"string"},{"name":"recordIds","type":{"type":"array","items":"string"}},
 {"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE"]}},
 {"name":"changedFields","type":{"type":"array","items":"string"}}]}},
{"name":"Name","type":["null","string",{"type":"record","name":"Switchable_PersonName","fields":[{"name":"FirstName","type":["null","string"]},{"name":"LastName","type":["null","string"]}]}]},
{"name":"BillingAddress","type":["null",{"type":"record","name":"Address","fields":[{"name":"City","type":["null","string"]},{"name":"Latitude","type":["null","double"]}]}]},
{"name":"Address","type":["null","Address"]},
{"name":"Loc__c","type":["null",{"type":"record","name":"Location","fields":[{"name":"Latitude","type":["null","double"]}]}]},
{"name":"Odd","type":["null",{"type":"record","name":"Odd","fields":[{"name":"In","type":["null",{"type":"record","name":"In","fields":[{"name":"X","type":["null","int"]}]}]}]}]},
{"name":"Born__c","type":["null","long"],"doc":"Data:Date:00N"}%s],"uuid":"x"}`

func parseFlat(t *testing.T, more string) *schemas.Schema {
	t.Helper()
	s, err := schemas.Parse("id", []byte(strings.Replace(flatBase, "%s", more, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fieldNames(n *schemas.Node) string {
	var out []string
	for _, f := range n.Fields {
		out = append(out, f.Name)
	}
	return strings.Join(out, " ")
}

// TestFlatNames: the names are SOQL's, and the schema is legal, of its own name,
// the same each time, and leaves what it was made from alone.
func TestFlatNames(t *testing.T) {
	s := parseFlat(t, "")
	before := string(s.JSON)
	flat, err := schemas.Flat(s)
	if err != nil {
		t.Fatal(err)
	}
	const body = "Id Name FirstName LastName BillingCity BillingLatitude City Latitude Loc__Latitude__s Odd_In_X Born__c"
	if got := fieldNames(flat.Root); got != body+" _entityName _changeType _changedFields" {
		t.Errorf("fields %s", got)
	}
	if flat.FullName != "bridge.flat.TestChangeEvent" || flat.ID != "id" || flat.Name != s.Name || flat.Fingerprint == s.Fingerprint || string(s.JSON) != before {
		t.Errorf("got %+v", flat)
	}
	if !strings.Contains(string(flat.JSON), `{"name":"Born__c","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"Data:Date:00N","default":null}`) {
		t.Errorf("text %s", flat.JSON)
	}
	again, err := schemas.Flat(parseFlat(t, ""))
	if err != nil || string(again.JSON) != string(flat.JSON) {
		t.Errorf("made twice it is another: %v", err)
	}
	longer, err := schemas.WithExtras(s)
	if err != nil {
		t.Fatal(err)
	}
	if flat, err = schemas.Flat(longer); err != nil || !strings.HasSuffix(fieldNames(flat.Root), " _extras") {
		t.Errorf("with extras: %v", err)
	}
	if short, err := schemas.Flat(s); err != nil {
		t.Error(err)
	} else if other, err := schemas.WithExtras(short); err != nil || string(other.JSON) != string(flat.JSON) {
		t.Errorf("the field for unknown keys and the envelope in the other order give another schema: %v", err)
	}
	cdc, err := schemas.Debezium(longer)
	if err != nil {
		t.Fatal(err)
	}
	if got := fieldNames(cdc.Root); got != "before after source transaction op ts_ms _extras" || cdc.FullName != "bridge.debezium.TestChangeEvent.Envelope" {
		t.Errorf("%s: %s", cdc.FullName, got)
	}
	if got := fieldNames(cdc.Root.Fields[0].Type.Branches[1]); got != body {
		t.Errorf("the image has %s", got)
	}
	if got := fieldNames(cdc.Root.Fields[2].Type); got != strings.Join(schemas.SourceFields(), " ")+" entityName changeType changedFields" {
		t.Errorf("the source has %s", got)
	}
}

// TestFlatCollisions: two fields of one name are an error that names both.
func TestFlatCollisions(t *testing.T) {
	for more, says := range map[string]string{
		`,{"name":"BillingCity","type":["null","string"]}`:      `"BillingCity"; the other is BillingAddress.City`,
		`,{"name":"City","type":["null","string"]}`:             `"City"; the other is Address.City`,
		`,{"name":"Loc__Latitude__s","type":["null","double"]}`: `the other is Loc__c.Latitude`,
		`,{"name":"Id","type":["null","string"]}`:               `under the name Id`,
	} {
		_, err := schemas.Flat(parseFlat(t, more))
		_, err2 := schemas.Debezium(parseFlat(t, more))
		var wrong *schemas.SchemaError
		if !errors.As(err, &wrong) || !errors.As(err2, &wrong) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", more, err)
		}
	}
	_, err := schemas.Debezium(func() *schemas.Schema {
		s, err := schemas.Parse("id", []byte(strings.Replace(strings.Replace(flatBase, `{"name":"entityName"`, `{"name":"table","type":"string"},{"name":"entityName"`, 1), "%s", "", 1)))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}())
	if err == nil || !strings.Contains(err.Error(), "ChangeEventHeader.table") {
		t.Errorf("a field of the header that is the source's: %v", err)
	}
}

// TestPlatformEventIsFlat: it has neither id nor header, and Avro parses it.
func TestPlatformEventIsFlat(t *testing.T) {
	s, err := schemas.Parse("id", []byte(extrasBase))
	if err != nil {
		t.Fatal(err)
	}
	for env, want := range map[schemas.Envelope]string{
		schemas.EventEnvelope: "CreatedDate Note__c", schemas.FlatEnvelope: "CreatedDate Note__c", schemas.DebeziumEnvelope: "before after source transaction op ts_ms",
	} {
		got, err := env.In(s)
		if err != nil || fieldNames(got.Root) != want {
			t.Fatalf("%s: %v", env, err)
		}
		if _, err := avro.ParseWithCache(string(got.JSON), "", &avro.SchemaCache{}); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// TestJSONSchemaIsRegistered: as what it is, and what the registry has is compared.
func TestJSONSchemaIsRegistered(t *testing.T) {
	s := schemas.JSONSchema(parseFlat(t, ""))
	var doc struct {
		Title                string
		Type                 string
		Properties           map[string]json.RawMessage
		Required             []string
		AdditionalProperties bool
	}
	if err := json.Unmarshal(s.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Title != s.FullName || doc.Type != "object" || len(doc.Properties) != 7 || strings.Join(doc.Required, " ") != "ChangeEventHeader" || doc.AdditionalProperties {
		t.Errorf("got %+v", doc)
	}
	fake := srfake.New()
	server := httptest.NewServer(fake.Handler())
	defer server.Close()
	r, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	id, err := r.Register(t.Context(), "a-value", s)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := sr.NewClient(sr.URLs(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	got, err := cl.SchemaByID(t.Context(), id)
	if err != nil || got.Type != sr.TypeJSON || got.Schema != string(s.JSON) {
		t.Errorf("the registry has %v %v", got.Type, err)
	}
}
