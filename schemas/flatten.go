package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// IDField is the first field of the rows that [Flat] and [Debezium] make of
// change events: the record's id, which Salesforce has in the header's list of
// ids only.
const IDField = "Id"

// HeaderPrefix stands before the names that the header's fields have in [Flat]
// rows. Names of Salesforce's begin with a letter, so that none is taken.
const HeaderPrefix = "_"

// recordIDs is the header's list of ids, which rows have as [IDField], each its
// own.
const recordIDs = "recordIds"

// FlatField is one field of a flat row and where it is in the event.
type FlatField struct {
	Field
	// Path has the index of the field in each record from the event's root on:
	// more than one for a part of a compound field.
	Path []int
	// Whole is true for what is left of a field that may be a record or
	// something else (an account's Name) when the record's parts are taken out:
	// it is null for an event that has the record.
	Whole bool
}

// Flatten returns the fields of an event's body as those of one flat record, in
// schema order, parts of a compound field in its place. The ChangeEventHeader and
// [ExtrasField] are left out; arrays stay what they are.
//
// Names are those that SOQL has for the same values (Salesforce object reference,
// "Compound Fields"): parts of Name as they are (FirstName), of BillingAddress
// without Address (BillingCity), of Address alone as they are (City), of custom
// ones with __s (Site__c.Latitude is Site__Latitude__s). Parts of anything else
// are named by parent and part with an underscore between.
//
// Two fields that get one name are a [*SchemaError].
func Flatten(s *Schema) ([]FlatField, error) {
	var out []FlatField
	for i, f := range s.Root.Fields {
		if f.Name == HeaderField && s.ChangeEvent || s.Extras && i == len(s.Root.Fields)-1 {
			continue
		}
		out = flattenField(out, f, f.Name, []int{i}, true)
	}
	seen := make(map[string][]int, len(out))
	for _, f := range out {
		other, taken := seen[f.Name]
		if !taken && s.ChangeEvent && f.Name == IDField {
			return nil, &SchemaError{ID: s.ID, Path: pathName(s.Root, f.Path), Reason: "a row has the record's id under the name " + IDField + ", and the event has a field that is called so"}
		}
		if taken {
			return nil, &SchemaError{
				ID: s.ID, Path: pathName(s.Root, f.Path),
				Reason: fmt.Sprintf("two fields of a flat row would be called %q; the other is %s", f.Name, pathName(s.Root, other)),
			}
		}
		seen[f.Name] = f.Path
	}
	return out, nil
}

func flattenField(out []FlatField, f Field, name string, path []int, top bool) []FlatField {
	rec, rest := splitRecord(f.Type)
	if rec == nil {
		f.Name = name
		return append(out, FlatField{Field: f, Path: slices.Clone(path)})
	}
	if rest != nil {
		whole := f
		whole.Name, whole.Type, whole.Required = name, rest, false
		out = append(out, FlatField{Field: whole, Path: slices.Clone(path), Whole: true})
	}
	for i, part := range rec.Fields {
		part.Type, part.Default = nullable(part.Type), []byte("null")
		out = flattenField(out, part, partName(name, part.Name, top), append(path[:len(path):len(path)], i), false)
	}
	return out
}

// splitRecord returns the record that a type may be, nil if none, and what else
// it may be, nil if nothing.
func splitRecord(n *Node) (rec, rest *Node) {
	if n.Kind == KindRecord {
		return n, nil
	}
	if n.Kind != KindUnion {
		return nil, n
	}
	at := slices.IndexFunc(n.Branches, func(b *Node) bool { return b.Kind == KindRecord })
	if at < 0 {
		return nil, n
	}
	left := slices.Delete(slices.Clone(n.Branches), at, at+1)
	if len(left) == 0 || len(left) == 1 && left[0].Kind == KindNull {
		return n.Branches[at], nil
	}
	return n.Branches[at], nullable(&Node{Kind: KindUnion, Branches: left})
}

// nullable is the type or null.
func nullable(n *Node) *Node {
	switch {
	case n.Nullable():
		return n
	case n.Kind == KindUnion:
		return &Node{Kind: KindUnion, Branches: append([]*Node{{Kind: KindNull}}, n.Branches...)}
	}
	return &Node{Kind: KindUnion, Branches: []*Node{{Kind: KindNull}, n}}
}

// partName is SOQL's name for a part of a compound field.
func partName(parent, part string, top bool) string {
	if !top {
		return parent + "_" + part
	}
	if custom, ok := strings.CutSuffix(parent, "__c"); ok {
		return custom + "__" + strings.TrimSuffix(strings.TrimSuffix(part, "__s"), "__c") + "__s"
	}
	if parent == "Name" {
		return part
	}
	if kind, ok := strings.CutSuffix(parent, "Address"); ok {
		return kind + part
	}
	return parent + "_" + part
}

// pathName is the path of a field by names.
func pathName(root *Node, path []int) string {
	var names []string
	for at := root; len(path) > 0; path = path[1:] {
		f := &at.Fields[path[0]]
		names = append(names, f.Name)
		at, _ = splitRecord(f.Type)
	}
	return strings.Join(names, ".")
}
