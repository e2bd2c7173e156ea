package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// ExtrasField is the last field of a schema made by [WithExtras]. Names of
// Salesforce's begin with a letter, so none of its fields is called so.
const ExtrasField = "_extras"

// extrasDoc is what readers of the schema are told of the field.
const extrasDoc = "Added by the bridge: keys of the event that its schema lacks, by their path, each with its value as JSON text. Null if there are none."

// WithExtras returns s with one more field at the end: [ExtrasField], a
// nullable map from the path of a key that Salesforce's schema lacks to the JSON
// text of its value. Id and full name stay, text and fingerprint are those of
// the longer schema. s itself is not changed; a schema that has the field
// already is returned as it is.
//
// A schema of Salesforce's with a field of that name is a [*SchemaError].
func WithExtras(s *Schema) (*Schema, error) {
	if s.Extras {
		return s, nil
	}
	if s.Root.Field(ExtrasField) >= 0 {
		return nil, &SchemaError{ID: s.ID, Path: s.Name + "." + ExtrasField, Reason: "Salesforce's schema has a field of the name that unknown keys are kept under"}
	}
	root := *s.Root
	root.Fields = append(slices.Clip(root.Fields), Field{
		Name: ExtrasField,
		Doc:  extrasDoc,
		Type: &Node{Kind: KindUnion, Branches: []*Node{
			{Kind: KindNull},
			{Kind: KindMap, Items: &Node{Kind: KindString}},
		}},
		Default: []byte("null"),
	})
	out := *s
	out.Root = &root
	out.Extras = true
	out.JSON = appendType(nil, &root, "", make(map[string]bool))
	sum := sha256.Sum256(out.JSON)
	out.Fingerprint = hex.EncodeToString(sum[:])
	return &out, nil
}
