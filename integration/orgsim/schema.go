package orgsim

import (
	"crypto/md5" //nolint:gosec // the schema id is an MD5 fingerprint by definition
	"encoding/base64"
	"strconv"
	"strings"
)

// schema is one version of an event's definition. Both forms are kept as the
// event schema resource shows them; neither ever changes.
type schema struct {
	id       string
	event    string
	compact  []byte
	expanded []byte
}

const avroNamespace = "com.sforce.eventbus"

// newSchema renders the definition (Platform Events guide, event schema;
// Pub/Sub API guide, change event schema). The id is the base64url MD5 of the
// compact text without its uuid.
func newSchema(ob *object) *schema {
	fields := schemaFields(ob, true)
	head := `{"name":` + strconv.Quote(ob.def.EventName()) + `,"namespace":"` + avroNamespace + `","type":"record","fields":[` + fields + `]`
	sum := md5.Sum([]byte(head + "}")) //nolint:gosec // see above
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	event := `{"name":"replayId","type":"long"}`
	if ob.def.IsEvent() {
		event = `{"name":"EventUuid","type":"string"},` + event + `,{"name":"EventApiName","type":"string"}`
	}
	expanded := `{"name":` + strconv.Quote(ob.def.EventName()) + `,"namespace":"` + avroNamespace + `","type":"expanded-record","fields":[` +
		`{"name":"data","type":{"type":"record","name":"Data","namespace":"","fields":[` +
		`{"name":"schema","type":"string"},` +
		`{"name":"payload","type":{"type":"record","name":"Payload","doc":"","fields":[` + schemaFields(ob, false) + `]}},` +
		`{"name":"event","type":{"type":"record","name":"Event","fields":[` + event + `]}}]}},` +
		`{"name":"channel","type":"string"}]}`
	return &schema{
		id:       id,
		event:    ob.def.EventName(),
		compact:  []byte(head + `,"uuid":"` + id + `"}`),
		expanded: []byte(expanded),
	}
}

// headerSchema is field 0 of every change event.
const headerSchema = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[` +
	`{"name":"entityName","type":"string"},` +
	`{"name":"recordIds","type":{"type":"array","items":"string"}},` +
	`{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE","UNDELETE","SNAPSHOT","GAP_CREATE","GAP_UPDATE","GAP_DELETE","GAP_UNDELETE","GAP_OVERFLOW"]}},` +
	`{"name":"changeOrigin","type":"string"},{"name":"transactionKey","type":"string"},` +
	`{"name":"sequenceNumber","type":"int"},{"name":"commitTimestamp","type":"long"},` +
	`{"name":"commitNumber","type":"long"},{"name":"commitUser","type":"string"},` +
	`{"name":"nulledFields","type":{"type":"array","items":"string"}},` +
	`{"name":"diffFields","type":{"type":"array","items":"string"}},` +
	`{"name":"changedFields","type":{"type":"array","items":"string"}}]}}`

func schemaFields(ob *object, compact bool) string {
	var parts []string
	seen := map[string]bool{}
	if !ob.def.IsEvent() {
		parts = append(parts, headerSchema)
	}
	for _, f := range ob.fields {
		parts = append(parts, fieldSchema(f, ob.def.IsEvent(), compact, seen))
	}
	return strings.Join(parts, ",")
}

func fieldSchema(f *field, event, compact bool, seen map[string]bool) string {
	avro := avroType(f, compact, seen)
	doc := f.doc()
	if event && f.system {
		return `{"name":"` + f.Name + `","type":` + avro + `,"doc":"` + doc + `"}`
	}
	return `{"name":"` + f.Name + `","type":["null",` + avro + `],"doc":"` + doc + `","default":null}`
}

// avroType is the type within the field's union. A record is written out once
// a schema and named after that.
func avroType(f *field, compact bool, seen map[string]bool) string {
	switch f.Type {
	case Checkbox:
		return `"boolean"`
	case Integer:
		return `"int"`
	case Number, Currency, Percent:
		return `"double"`
	case Date, DateTime:
		if compact {
			return `"long"`
		}
		return `"string"`
	case Time:
		if compact {
			return `"int"`
		}
		return `"string"`
	case PersonName:
		return recordType("PersonName", f.parts, seen)
	case AccountName:
		return `"string",` + recordType("Switchable_PersonName", f.parts, seen)
	case Address:
		return recordType("Address", f.parts, seen)
	case Geolocation:
		return recordType("Location", f.parts, seen)
	default:
		return `"string"`
	}
}

func recordType(name string, parts []part, seen map[string]bool) string {
	if seen[name] {
		return `"` + name + `"`
	}
	seen[name] = true
	var b strings.Builder
	b.WriteString(`{"type":"record","name":"` + name + `","fields":[`)
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		typ, doc := "string", "Data:Text"
		if p.number {
			typ, doc = "double", "Data:Double"
		}
		b.WriteString(`{"name":"` + p.name + `","type":["null","` + typ + `"],"doc":"` + doc + `","default":null}`)
	}
	b.WriteString(`]}`)
	return b.String()
}

// doc is the remark that Salesforce puts on a field: where it comes from, its
// type, and for custom fields its id.
func (f *field) doc() string {
	switch f.Name {
	case "CreatedDate", "LastModifiedDate":
		return f.Name + ":DateTime"
	case "CreatedById", "LastModifiedById":
		return strings.TrimSuffix(f.Name, "Id") + ":EntityId"
	}
	names := map[Kind]string{
		Text: "Text", LongText: "StringPlusClob", Email: "Email", Phone: "Phone", URL: "Url", Picklist: "DynamicEnum",
		MultiPicklist: "MultiEnum", AutoNumber: "Text", Checkbox: "Boolean", Integer: "Integer", Number: "Double",
		Currency: "Currency", Percent: "Percent", Date: "DateOnly", DateTime: "DateTime", Time: "TimeOnly",
		Lookup: "EntityId", PersonName: "PersonName", AccountName: "Switchable_PersonName", Address: "Address", Geolocation: "Location",
	}
	doc := "Data:" + names[f.Type]
	if f.id != "" {
		doc += ":" + f.id
	}
	return doc
}
