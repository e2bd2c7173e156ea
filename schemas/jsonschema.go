package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// JSONSchema returns the JSON Schema (draft 7) of the records that an encoder
// writes as JSON by s: its JSON is that text, and [Registry.Register] registers
// it as what it is. Root stays.
//
// Objects take no other members than those named, so that to add one is
// compatible backward by Confluent's rules ("JSON Schema compatibility"); those
// that are always there are required. What is null in Avro is null or missing.
// Docs are descriptions.
func JSONSchema(s *Schema) *Schema {
	out := *s
	out.TextType = JSONSchemaText
	b := append([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","title":`), appendText(nil, s.FullName)...)
	b = append(b, ',')
	b = append(b, appendJSONType(nil, s.Root)[1:]...)
	out.JSON = b
	sum := sha256.Sum256(b)
	out.Fingerprint = hex.EncodeToString(sum[:])
	return &out
}

func appendJSONType(b []byte, n *Node) []byte {
	switch n.Kind {
	case KindUnion:
		b = append(b, `{"oneOf":[`...)
		for i, branch := range n.Branches {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONType(b, branch)
		}
		return append(b, "]}"...)
	case KindRecord:
		return appendDescribed(b, n.doc(), appendJSONObject(nil, n))
	case KindEnum:
		b = append(b, `{"type":"string","enum":[`...)
		for i, s := range n.Symbols {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, s)
		}
		return append(b, "]}"...)
	case KindArray:
		return append(appendJSONType(append(b, `{"type":"array","items":`...), n.Items), '}')
	case KindMap:
		return append(appendJSONType(append(b, `{"type":"object","additionalProperties":`...), n.Items), '}')
	case KindInt:
		b = append(b, `{"type":"integer","minimum":-2147483648,"maximum":2147483647`...)
	case KindLong:
		b = append(b, `{"type":"integer"`...)
	case KindFloat, KindDouble:
		b = append(b, `{"type":"number"`...)
	case KindBoolean:
		b = append(b, `{"type":"boolean"`...)
	case KindNull:
		b = append(b, `{"type":"null"`...)
	default:
		b = append(b, `{"type":"string"`...)
	}
	return append(b, '}')
}

func appendJSONObject(b []byte, n *Node) []byte {
	b = append(b, `{"type":"object","properties":{`...)
	var required []string
	for i := range n.Fields {
		f := &n.Fields[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, f.Name), ':') // a legal Avro name
		if f.Doc != "" && f.Type.Kind == KindRecord {
			b = appendDescribed(b, f.Doc, appendJSONObject(nil, f.Type)) // in place of the type's own doc
		} else {
			b = appendDescribed(b, f.Doc, appendJSONType(nil, f.Type))
		}
		if !f.Type.Nullable() && f.Default == nil {
			required = append(required, f.Name)
		}
	}
	b = append(b, `},"additionalProperties":false`...)
	for i, name := range required {
		if i == 0 {
			b = append(b, `,"required":[`...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, name)
	}
	if len(required) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendDescribed writes an object with a doc as its first member; none if it is
// empty.
func appendDescribed(b []byte, doc string, object []byte) []byte {
	if doc == "" {
		return append(b, object...)
	}
	b = appendText(append(b, `{"description":`...), doc)
	return append(append(b, ','), object[1:]...)
}
