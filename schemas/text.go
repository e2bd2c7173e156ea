package schemas

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// enrich makes the body nullable and adds logical types, in place. header is
// the index of the ChangeEventHeader, -1 for a platform event.
func enrich(root *Node, header int) *SchemaError {
	done := make(map[*Node]bool)
	for i := range root.Fields {
		if i == header {
			if root.Fields[i].Type.Kind != KindRecord {
				return &SchemaError{Path: root.Name + "." + HeaderField, Reason: "the change event header is a record, this is " + article(root.Fields[i].Type.Kind)}
			}
			done[root.Fields[i].Type] = true
			continue
		}
		enrichField(&root.Fields[i], header < 0, done)
	}
	return nil
}

// enrichField handles one field of the body. keepRequired is set for platform
// events: change events carry parts of a record, in them any field can be
// missing.
func enrichField(f *Field, keepRequired bool, done map[*Node]bool) {
	f.Required = keepRequired && !f.Type.Nullable() && f.Default == nil
	if !f.Type.Nullable() {
		null := &Node{Kind: KindNull}
		if f.Type.Kind == KindUnion {
			f.Type.Branches = append([]*Node{null}, f.Type.Branches...)
		} else {
			f.Type = &Node{Kind: KindUnion, Branches: []*Node{null, f.Type}}
		}
	}
	f.Default = []byte("null")
	temporal := docTemporal(f.Doc)
	for _, b := range f.Type.Branches {
		markTemporal(b, temporal)
		enrichNested(b, keepRequired, done)
	}
}

func enrichNested(n *Node, keepRequired bool, done map[*Node]bool) {
	switch n.Kind {
	case KindRecord:
		if done[n] {
			return
		}
		done[n] = true
		for i := range n.Fields {
			enrichField(&n.Fields[i], keepRequired, done)
		}
	case KindArray, KindMap:
		enrichNested(n.Items, keepRequired, done)
	case KindUnion:
		for _, b := range n.Branches {
			enrichNested(b, keepRequired, done)
		}
	}
}

// docTemporal reads the Salesforce type out of a doc text such as
// "CreatedDate:DateTime" or "Data:Date:00Nxx000001krnv".
func docTemporal(doc string) Temporal {
	_, rest, _ := strings.Cut(doc, ":")
	typ, _, _ := strings.Cut(rest, ":")
	switch typ {
	case "DateTime":
		return DateTime
	case "Date", "DateOnly":
		return Date
	case "Time", "TimeOnly":
		return Time
	}
	return NotTemporal
}

// markTemporal adds the logical type that the Avro type can carry. A long that
// counts a time of day gets the meaning but no logical type: Avro has none for
// it.
func markTemporal(n *Node, t Temporal) {
	if n.logical != "" || t == NotTemporal {
		return
	}
	switch n.Kind {
	case KindLong:
		n.Temporal = t
		if t != Time {
			n.logical = "timestamp-millis"
		}
	case KindInt:
		switch t {
		case Date:
			n.Temporal, n.logical = t, "date"
		case Time:
			n.Temporal, n.logical = t, "time-millis"
		}
	}
}

// appendType writes the JSON text of a type. Named types are written out where
// they first come and by full name after that.
func appendType(b []byte, n *Node, namespace string, written map[string]bool) []byte {
	switch n.Kind {
	case KindUnion:
		b = append(b, '[')
		for i, branch := range n.Branches {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendType(b, branch, namespace, written)
		}
		return append(b, ']')
	case KindRecord, KindEnum, KindFixed:
		return appendNamed(b, n, namespace, written)
	case KindArray, KindMap:
		b = append(b, `{"type":"`...)
		b = append(b, n.Kind.String()...)
		if n.Kind == KindArray {
			b = append(b, `","items":`...)
		} else {
			b = append(b, `","values":`...)
		}
		b = appendType(b, n.Items, namespace, written)
		return append(appendAttrs(b, n.attrs), '}')
	}
	if n.logical == "" && len(n.attrs) == 0 {
		b = append(b, '"')
		b = append(b, n.Kind.String()...)
		return append(b, '"')
	}
	b = append(b, `{"type":"`...)
	b = append(b, n.Kind.String()...)
	b = append(b, '"')
	if n.logical != "" {
		b = append(b, `,"logicalType":`...)
		b = appendText(b, n.logical)
	}
	return append(appendAttrs(b, n.attrs), '}')
}

func appendNamed(b []byte, n *Node, namespace string, written map[string]bool) []byte {
	if written[n.Name] {
		b = append(b, '"')
		b = append(b, n.Name...)
		return append(b, '"')
	}
	written[n.Name] = true
	name, own := n.Name, ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		own, name = name[:i], name[i+1:]
	}
	b = append(b, `{"type":"`...)
	b = append(b, n.Kind.String()...)
	b = append(b, `","name":"`...)
	b = append(b, name...)
	b = append(b, '"')
	if own != namespace {
		b = append(b, `,"namespace":"`...)
		b = append(b, own...)
		b = append(b, '"')
	}
	b = appendAttrs(b, n.attrs)
	switch n.Kind {
	case KindFixed:
		b = append(b, `,"size":`...)
		b = strconv.AppendInt(b, int64(n.Size), 10)
	case KindEnum:
		b = append(b, `,"symbols":[`...)
		for i, s := range n.Symbols {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = append(b, s...)
			b = append(b, '"')
		}
		b = append(b, ']')
	default:
		b = append(b, `,"fields":[`...)
		for i := range n.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendField(b, &n.Fields[i], own, written)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendField(b []byte, f *Field, namespace string, written map[string]bool) []byte {
	b = append(b, `{"name":"`...)
	b = append(b, f.Name...)
	b = append(b, `","type":`...)
	b = appendType(b, f.Type, namespace, written)
	if f.Doc != "" {
		b = append(b, `,"doc":`...)
		b = appendText(b, f.Doc)
	}
	if f.Default != nil {
		b = append(b, `,"default":`...)
		b = append(b, compact(f.Default)...)
	}
	return append(appendAttrs(b, f.attrs), '}')
}

func appendAttrs(b []byte, attrs []member) []byte {
	for _, m := range attrs {
		b = append(b, ',')
		b = appendText(b, m.key)
		b = append(b, ':')
		b = append(b, compact(m.value)...)
	}
	return b
}

// appendText writes a JSON string; characters that matter only in HTML are left
// as they are.
func appendText(b []byte, s string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always marshals
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
