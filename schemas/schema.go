package schemas

import "fmt"

// HeaderField is the name of the field that every change event starts with
// (Change Data Capture guide, "Change Event Header Fields").
const HeaderField = "ChangeEventHeader"

// Schema is one event schema of Salesforce's, ready for use. It is immutable.
type Schema struct {
	// ID is Salesforce's schema id, opaque (22 characters of base64url today).
	ID string
	// Name is the event's API name, such as AccountChangeEvent or Low_Ink__e.
	Name string
	// FullName is namespace and name, such as com.sforce.eventbus.Low_Ink__e.
	FullName string
	// JSON is the text for the schema registry; see the package comment for
	// what it adds to Salesforce's.
	JSON []byte
	// TextType says what JSON is written in.
	TextType TextType
	// Fingerprint is the SHA-256 of JSON in lower-case hex: it identifies the
	// schema where there is no registry.
	Fingerprint string
	// ChangeEvent is true if the event has a ChangeEventHeader.
	ChangeEvent bool
	// Extras is true if the last field is [ExtrasField], which is not
	// Salesforce's.
	Extras bool
	// Streaming says what the event looks like if the schema is one that the
	// bridge made.
	Streaming Streaming
	// Root is the compiled record type that JSON describes.
	Root *Node

	object string // that a PushTopic's query selects from
}

// TextType is the language of a schema's text.
type TextType uint8

// The languages.
const (
	AvroText TextType = iota
	JSONSchemaText
)

// Kind is an Avro type.
type Kind uint8

// The kinds, as in Avro 1.12, "Schema Declaration".
const (
	KindInvalid Kind = iota
	KindNull
	KindBoolean
	KindInt
	KindLong
	KindFloat
	KindDouble
	KindBytes
	KindString
	KindRecord
	KindEnum
	KindArray
	KindMap
	KindFixed
	KindUnion
)

// String returns Avro's name of the kind.
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBoolean:
		return "boolean"
	case KindInt:
		return "int"
	case KindLong:
		return "long"
	case KindFloat:
		return "float"
	case KindDouble:
		return "double"
	case KindBytes:
		return "bytes"
	case KindString:
		return "string"
	case KindRecord:
		return "record"
	case KindEnum:
		return "enum"
	case KindArray:
		return "array"
	case KindMap:
		return "map"
	case KindFixed:
		return "fixed"
	case KindUnion:
		return "union"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Temporal is what an int or a long counts.
type Temporal uint8

// The temporal meanings. Of a long: milliseconds since 1970-01-01 UTC for
// DateTime and Date (midnight), milliseconds since midnight for Time. Of an
// int: days since 1970-01-01 for Date, milliseconds since midnight for Time.
const (
	NotTemporal Temporal = iota
	DateTime
	Date
	Time
)

// Node is one type of a compiled schema. Trees are finite: recursive types are
// refused. Named types that a schema uses twice are one shared Node.
type Node struct {
	Kind Kind
	// Name is the full name of a record, enum or fixed.
	Name string
	// Fields of a record, in schema order.
	Fields []Field
	// Symbols of an enum.
	Symbols []string
	// Items is the element type of an array, the value type of a map.
	Items *Node
	// Branches of a union; null, if it is one of them, comes first.
	Branches []*Node
	// Size of a fixed, in bytes.
	Size int
	// Temporal meaning of an int or long.
	Temporal Temporal

	logical string   // logicalType for the text, "" for none
	attrs   []member // further attributes for the text, in their order
}

// Field is one field of a record.
type Field struct {
	Name string
	// Doc is Salesforce's doc text, such as "CreatedDate:DateTime".
	Doc  string
	Type *Node
	// Required is true if a well-formed event always carries the field and
	// never as null: the fields of a platform event that Salesforce declares
	// so, although the registry text lets them be null.
	Required bool
	// Default is the default's JSON text, nil if there is none.
	Default []byte

	attrs []member
}

// Field returns the index of the field with the given name, -1 if a record has
// none.
func (n *Node) Field(name string) int {
	for i := range n.Fields {
		if n.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Nullable reports whether null is a value of the type.
func (n *Node) Nullable() bool {
	return n.Kind == KindNull || n.Kind == KindUnion && n.Branches[0].Kind == KindNull
}
