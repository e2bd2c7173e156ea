package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// Column is a field of the rows that are read by query.
type Column struct {
	Name string
	// Type is the field's type as the object's description has it. A field with Parts
	// and the type "string" is the name of a person; one with Parts and no type is a
	// parent, whose fields are the parts.
	Type  string
	Parts []Column
}

// RowSchema says what a schema of rows is made of.
type RowSchema struct {
	Namespace string // of the event; empty for that of Salesforce's events
	Object    string // API name
	Fields    []Column
}

// eventNamespace is that of Salesforce's own event schemas.
const eventNamespace = "com.sforce.eventbus"

// rowHeader is what every change event of Salesforce's begins with (Pub/Sub API guide,
// "Event Schema"), so that whoever reads change events can read rows.
const rowHeader = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[` +
	`{"name":"entityName","type":"string"},` +
	`{"name":"recordIds","type":{"type":"array","items":"string"}},` +
	`{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE","UNDELETE","SNAPSHOT","GAP_CREATE","GAP_UPDATE","GAP_DELETE","GAP_UNDELETE","GAP_OVERFLOW"]}},` +
	`{"name":"changeOrigin","type":"string"},{"name":"transactionKey","type":"string"},` +
	`{"name":"sequenceNumber","type":"int"},{"name":"commitTimestamp","type":"long"},` +
	`{"name":"commitNumber","type":"long"},{"name":"commitUser","type":"string"},` +
	`{"name":"nulledFields","type":{"type":"array","items":"string"}},` +
	`{"name":"diffFields","type":{"type":"array","items":"string"}},` +
	`{"name":"changedFields","type":{"type":"array","items":"string"}}]}}`

// Rows makes the schema of rows that are read by query: what Salesforce's change event
// of the object would be if it had these fields. Its id is a hash of its text, so that
// the same fields give the same id. Errors are [*SchemaError].
func Rows(r RowSchema) (*Schema, error) {
	w := &rowText{records: map[string][]Column{}, written: map[string]bool{}, account: r.Object == "Account"}
	w.collect(r.Fields)
	namespace := r.Namespace
	if namespace == "" {
		namespace = eventNamespace
	}
	fmt.Fprintf(&w.b, `{"name":%q,"namespace":%q,"type":"record","fields":[%s`, changeEventName(r.Object), namespace, rowHeader)
	for _, f := range r.Fields {
		w.b.WriteByte(',')
		if err := w.field(f, ""); err != nil {
			return nil, err
		}
	}
	w.b.WriteString(`]}`)
	return ownEvent([]byte(w.b.String()), NotStreaming)
}

// Keep makes the catalog know a schema that the bridge has made. [Catalog.Schema] has it
// by its id from then on.
func (c *Catalog) Keep(s *Schema) { c.flight.put(s.ID, s) }

// changeEventName is the name of the change event of an object (Change Data Capture
// guide, "Change Event Name").
func changeEventName(object string) string {
	if custom, ok := strings.CutSuffix(object, "__c"); ok {
		return custom + "__ChangeEvent"
	}
	return object + "ChangeEvent"
}

// rowText writes the text of a schema of rows.
type rowText struct {
	b       strings.Builder
	records map[string][]Column // the parts of each shared compound type
	written map[string]bool
	account bool
}

// collect finds the parts of the compound types that several fields share: a type has
// all that one of its fields has.
func (w *rowText) collect(fields []Column) {
	for _, f := range fields {
		name := w.compound(f)
		if name == "" {
			continue
		}
		if w.records[name] == nil {
			w.records[name] = usualParts(name)
		}
		for _, p := range f.Parts {
			if !slices.ContainsFunc(w.records[name], func(o Column) bool { return o.Name == p.Name }) {
				w.records[name] = append(w.records[name], p)
			}
		}
	}
}

// compound is the type that Salesforce's schemas have for a field with parts; "" for a
// parent, and for a field without parts.
func (w *rowText) compound(f Column) string {
	switch {
	case len(f.Parts) == 0 || f.Type == "":
		return ""
	case f.Type == "address":
		return "Address"
	case f.Type == "location":
		return "Location"
	case w.account:
		return "Switchable_PersonName"
	}
	return "PersonName"
}

// usualParts are the parts that Salesforce's types have, in its order.
func usualParts(name string) []Column {
	number := func(name string) Column { return Column{Name: name, Type: "double"} }
	text := func(names ...string) (out []Column) {
		for _, n := range names {
			out = append(out, Column{Name: n, Type: "string"})
		}
		return out
	}
	switch name {
	case "Address":
		return append(append(text("Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode"), number("Latitude"), number("Longitude")), text("GeocodeAccuracy")...)
	case "Location":
		return []Column{number("Latitude"), number("Longitude")}
	}
	return text("Salutation", "FirstName", "MiddleName", "LastName", "Suffix")
}

// field writes a field of the record that path leads to.
func (w *rowText) field(f Column, path string) error {
	if !legalName(f.Name) {
		return &SchemaError{Path: path + f.Name, Reason: "no legal name of a field"}
	}
	branch, doc := "", "Data:"
	switch shared := w.compound(f); {
	case shared != "":
		doc += shared
		if shared == "Switchable_PersonName" {
			branch = `"string",`
		}
		fmt.Fprintf(&w.b, `{"name":%q,"type":["null",%s`, f.Name, branch)
		if err := w.record(shared, w.records[shared], path+f.Name+"."); err != nil {
			return err
		}
	case len(f.Parts) > 0:
		doc = "Fields of the record that " + f.Name + " refers to"
		fmt.Fprintf(&w.b, `{"name":%q,"type":["null",`, f.Name)
		if err := w.record("Parent_"+strings.ReplaceAll(path+f.Name, ".", "_"), f.Parts, path+f.Name+"."); err != nil {
			return err
		}
	default:
		avro, ok := avroOf(f.Type, map[string]bool{})
		if !ok {
			return &SchemaError{Path: path + f.Name, Reason: fmt.Sprintf("the type %q is not known", f.Type)}
		}
		doc = rowDoc(f)
		fmt.Fprintf(&w.b, `{"name":%q,"type":["null",%s`, f.Name, avro)
	}
	fmt.Fprintf(&w.b, `],"doc":%q,"default":null}`, doc)
	return nil
}

func (w *rowText) record(name string, parts []Column, path string) error {
	if w.written[name] {
		fmt.Fprintf(&w.b, "%q", name)
		return nil
	}
	w.written[name] = true
	fmt.Fprintf(&w.b, `{"type":"record","name":%q,"fields":[`, name)
	for i, p := range parts {
		if i > 0 {
			w.b.WriteByte(',')
		}
		if err := w.field(p, path); err != nil {
			return err
		}
	}
	w.b.WriteString(`]}`)
	return nil
}

// rowDoc is the remark that Salesforce puts on a field: where it comes from and its
// type, which is what the logical types follow from.
func rowDoc(f Column) string {
	switch f.Name {
	case "CreatedDate", "LastModifiedDate":
		return f.Name + ":DateTime"
	case "CreatedById", "LastModifiedById":
		return strings.TrimSuffix(f.Name, "Id") + ":EntityId"
	}
	return "Data:" + docOf(f.Type)
}
