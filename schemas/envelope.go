package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hamba/avro/v2"
)

// Envelope is the shape of a record's value.
type Envelope uint8

const (
	// EventEnvelope is the event as Salesforce has it.
	EventEnvelope Envelope = iota
	// FlatEnvelope is one flat row, see [Flat].
	FlatEnvelope
	// DebeziumEnvelope is a change as Debezium has it, see [Debezium].
	DebeziumEnvelope
)

// String returns the envelope's name in configurations.
func (e Envelope) String() string {
	switch e {
	case EventEnvelope:
		return "event"
	case FlatEnvelope:
		return "flat"
	case DebeziumEnvelope:
		return "debezium"
	}
	return fmt.Sprintf("Envelope(%d)", uint8(e))
}

// In returns the schema of the values that events of s have in the envelope.
func (e Envelope) In(s *Schema) (*Schema, error) {
	switch e {
	case FlatEnvelope:
		return Flat(s)
	case DebeziumEnvelope:
		return Debezium(s)
	}
	return s, nil
}

// Namespaces of the schemas that are made of Salesforce's.
const (
	flatNamespace     = "bridge.flat"
	debeziumNamespace = "bridge.debezium"
)

// Flat returns the schema of an event as one flat row: bridge.flat.<name>. Of a
// change event it has [IDField], the fields of [Flatten], then the header's
// fields, recordIds aside, with [HeaderPrefix] before their names; of a platform
// event those of Flatten alone. [ExtrasField], if s has it, is last. The id stays
// Salesforce's. Errors are [*SchemaError].
func Flat(s *Schema) (*Schema, error) {
	fields, err := Flatten(s)
	if err != nil {
		return nil, err
	}
	root := &Node{Kind: KindRecord, Name: flatNamespace + "." + s.Name}
	root.Fields = rowFields(s, fields)
	for _, f := range headerFields(s) {
		f.Name = HeaderPrefix + f.Name
		root.Fields = append(root.Fields, f)
	}
	if s.Extras {
		root.Fields = append(root.Fields, s.Root.Fields[len(s.Root.Fields)-1])
	}
	return derive(s, root)
}

func rowFields(s *Schema, fields []FlatField) []Field {
	var out []Field
	if s.ChangeEvent {
		out = append(out, Field{Name: IDField, Type: &Node{Kind: KindString}, Doc: "The record's id, of 18 characters"})
	}
	for _, f := range fields {
		out = append(out, f.Field)
	}
	return out
}

// headerFields are the fields of a change event's header that are the same for
// all of its records.
func headerFields(s *Schema) []Field {
	if !s.ChangeEvent {
		return nil
	}
	var out []Field
	header := s.Root.Fields[s.Root.Field(HeaderField)].Type
	for _, f := range header.Fields {
		if f.Name != recordIDs {
			out = append(out, f)
		}
	}
	return out
}

// Debezium returns the schema of an event as Debezium has changes (Debezium
// documentation, "Change events"): bridge.debezium.<name>.Envelope with before,
// after, source, transaction, op, ts_ms and, if s has it, [ExtrasField]. before and after
// are rows as [Flat] has them, without the header, which is in source. Errors are
// [*SchemaError].
func Debezium(s *Schema) (*Schema, error) {
	fields, err := Flatten(s)
	if err != nil {
		return nil, err
	}
	space := debeziumNamespace + "." + s.Name + "."
	row := nullable(&Node{Kind: KindRecord, Name: space + "Value", Fields: rowFields(s, fields)})
	long, text := &Node{Kind: KindLong}, &Node{Kind: KindString}
	source := &Node{Kind: KindRecord, Name: space + "Source"}
	for _, name := range SourceFields() {
		f := Field{Name: name, Type: text}
		if name == "ts_ms" {
			f.Type = long
		}
		source.Fields = append(source.Fields, f)
	}
	for _, f := range headerFields(s) {
		if source.Field(f.Name) >= 0 {
			return nil, &SchemaError{ID: s.ID, Path: HeaderField + "." + f.Name, Reason: "Debezium's source has a field of that name with another meaning"}
		}
		source.Fields = append(source.Fields, f)
	}
	transaction := &Node{Kind: KindRecord, Name: "event.block", Fields: []Field{
		{Name: "id", Type: text}, {Name: "total_order", Type: long}, {Name: "data_collection_order", Type: long},
	}}
	null := []byte("null")
	root := &Node{Kind: KindRecord, Name: space + "Envelope", Fields: []Field{
		{Name: "before", Type: row, Default: null},
		{Name: "after", Type: row, Default: null},
		{Name: "source", Type: source},
		{Name: "transaction", Type: nullable(transaction), Default: null},
		{Name: "op", Type: text},
		{Name: "ts_ms", Type: nullable(long), Default: null},
	}}
	if s.Extras {
		root.Fields = append(root.Fields, s.Root.Fields[len(s.Root.Fields)-1])
	}
	return derive(s, root)
}

// SourceFields are the names of the fields of [Debezium]'s source that do not
// come from the event's header, in their order. ts_ms is a long, the others are
// texts.
func SourceFields() []string {
	return []string{"version", "connector", "name", "ts_ms", "snapshot", "db", "table", "channel", "replayId", "schemaId"}
}

// derive makes a schema of ours of one of Salesforce's.
func derive(s *Schema, root *Node) (*Schema, error) {
	out := *s
	out.Root, out.FullName = root, root.Name
	out.JSON = appendType(nil, root, "", make(map[string]bool))
	if _, err := avro.ParseWithCache(string(out.JSON), "", &avro.SchemaCache{}); err != nil {
		return nil, &SchemaError{ID: s.ID, Path: root.Name, Reason: "not a legal Avro schema", Err: err}
	}
	sum := sha256.Sum256(out.JSON)
	out.Fingerprint = hex.EncodeToString(sum[:])
	return &out, nil
}
