package schemas

import (
	"encoding/json"
	"slices"
	"strings"
)

// maxDocumented bounds a text with docs. Registries keep a text in one Kafka
// record, of at most 1 MB unless somebody changed that, with its quotes escaped.
const maxDocumented = 512 << 10

// document returns s with docs. s itself is not changed.
func document(s *Schema, d *Description) (*Schema, error) {
	row := rowOf(s)
	if row == nil {
		return s, nil
	}
	described := *row
	described.attrs = withDoc(row.attrs, recordDoc(d, row.doc()))
	described.Fields = slices.Clone(row.Fields)
	for i := range described.Fields {
		f := &described.Fields[i]
		at := slices.IndexFunc(d.Fields, func(one FieldDescription) bool { return one.Name == f.Name })
		if at >= 0 {
			f.Doc = fieldDoc(&d.Fields[at], f.Doc)
		}
	}
	out, err := derive(s, withRow(s.Root, row, &described))
	if err == nil && s.TextType == JSONSchemaText {
		out = JSONSchema(out)
	}
	return out, err
}

// rowOf is the record that holds an object's fields, nil if there is none.
func rowOf(s *Schema) *Node {
	name := "after"
	switch {
	case s.Streaming == PushTopicEvent:
		name = RowField
	case !strings.HasPrefix(s.FullName, debeziumNamespace+"."):
		return s.Root
	}
	at := s.Root.Field(name)
	if at < 0 {
		return nil
	}
	row, _ := splitRecord(s.Root.Fields[at].Type)
	return row
}

// withRow is root with another record in place of its row, wherever it has that.
func withRow(root, row, other *Node) *Node {
	if root == row {
		return other
	}
	out := *root
	out.Fields = slices.Clone(root.Fields)
	for i := range out.Fields {
		f := &out.Fields[i]
		if rec, _ := splitRecord(f.Type); rec != row {
			continue
		}
		if f.Type == row {
			f.Type = other
			continue
		}
		union := *f.Type
		union.Branches = slices.Clone(union.Branches)
		union.Branches[slices.Index(union.Branches, row)] = other
		f.Type = &union
	}
	return &out
}

func recordDoc(d *Description, remark string) string {
	return lines(oneLine(d.Label), remark)
}

func fieldDoc(d *FieldDescription, remark string) string {
	label := oneLine(d.Label)
	if label != "" && d.Type != "" {
		label += " (" + d.Type + ")"
	}
	return lines(label, oneLine(d.Help), remark)
}

// oneLine makes one line of a text of people's, so that each line of a doc is one
// thing.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func lines(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), "\n")
}

// remarkOf is what Salesforce's event schema says of a field, out of a doc with or
// without what people say of it.
func remarkOf(doc string) string {
	return doc[strings.LastIndexByte(doc, '\n')+1:]
}

// docKey is where Avro has the doc of a record (Avro 1.12, "Complex Types").
const docKey = "doc"

// doc is a record's doc, "" for none.
func (n *Node) doc() string {
	for _, m := range n.attrs {
		if m.key == docKey {
			doc, _ := text(m.value) // of another type, it is none
			return doc
		}
	}
	return ""
}

func withDoc(attrs []member, doc string) []member {
	out := slices.DeleteFunc(slices.Clone(attrs), func(m member) bool { return m.key == docKey })
	if doc == "" {
		return out
	}
	return append(out, member{docKey, json.RawMessage(appendText(nil, doc))})
}
