package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ChangeKind says in which way a schema differs from an earlier one.
type ChangeKind string

// The kinds of change. A field is named by its path from the event, such as
// BillingAddress.City; the items of an array or map are []; the event itself is
// the empty path.
const (
	FieldAdded     ChangeKind = "added"          // New is its type
	FieldRemoved   ChangeKind = "removed"        // Old was its type
	FieldRetyped   ChangeKind = "retyped"        // from Old to New
	TypeRenamed    ChangeKind = "renamed"        // the full name of a record, enum or fixed
	SymbolAdded    ChangeKind = "symbol_added"   // New is the enum's symbol
	SymbolRemoved  ChangeKind = "symbol_removed" // Old was the enum's symbol
	DefaultChanged ChangeKind = "default"        // JSON texts; empty for none
	DocChanged     ChangeKind = "doc"            // which no reader depends on
	OrderChanged   ChangeKind = "reordered"      // fields or symbols that both have, in another order
	TextChanged    ChangeKind = "text"           // of JSON Schemas, which are compared as a whole
)

// Change is one difference between two schemas.
type Change struct {
	Kind ChangeKind
	// Path of the field concerned, empty for the event itself.
	Path string
	// Old and New are what the kind says, empty where there is none.
	Old, New string
}

// String tells the change to people.
func (c Change) String() string {
	at := "field " + c.Path
	if c.Path == "" {
		at = "the event"
	}
	switch c.Kind {
	case FieldAdded:
		return fmt.Sprintf("%s added (%s)", at, c.New)
	case FieldRemoved:
		return fmt.Sprintf("%s removed (%s)", at, c.Old)
	case FieldRetyped:
		return fmt.Sprintf("%s retyped from %s to %s", at, c.Old, c.New)
	case TypeRenamed:
		return fmt.Sprintf("%s: type %s renamed to %s", at, c.Old, c.New)
	case SymbolAdded:
		return fmt.Sprintf("%s: symbol %s added", at, c.New)
	case SymbolRemoved:
		return fmt.Sprintf("%s: symbol %s removed", at, c.Old)
	case DefaultChanged:
		return fmt.Sprintf("%s: default changed from %s to %s", at, orNone(c.Old), orNone(c.New))
	case DocChanged:
		if c.Old == c.New {
			return "descriptions are others" // of JSON Schemas, which are compared as a whole
		}
		return fmt.Sprintf("%s: doc changed from %q to %q", at, c.Old, c.New)
	case OrderChanged:
		return fmt.Sprintf("%s: fields or symbols in another order", at)
	case TextChanged:
		return "the JSON Schema is another"
	}
	return fmt.Sprintf("%s: %s from %s to %s", at, c.Kind, c.Old, c.New)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// Changes are the differences between two schemas, in the order of the fields:
// those of the new schema with what was added and changed, and behind them what
// is no longer there.
type Changes []Change

// String tells all changes in one line.
func (c Changes) String() string {
	if len(c) == 0 {
		return "no differences"
	}
	parts := make([]string, len(c))
	for i := range c {
		parts[i] = c[i].String()
	}
	return strings.Join(parts, "; ")
}

// most is String with at most n changes told.
func (c Changes) most(n int) string {
	if len(c) <= n {
		return c.String()
	}
	return fmt.Sprintf("%s; and %d more", c[:n].String(), len(c)-n)
}

// Structural are the changes without those of docs. If there are none, what is
// written by one schema can be read by the other's id.
//
// A doc that says Date where the other says DateTime counts: the two have one Avro
// type, and nothing else tells them apart.
func (c Changes) Structural() Changes {
	return slices.DeleteFunc(slices.Clone(c), Change.docOnly)
}

func (c Change) docOnly() bool {
	return c.Kind == DocChanged && !retimed(c.Old, c.New)
}

// retimed says whether two docs tell two meanings of one type. A doc that tells
// none contradicts nothing.
func retimed(old, now string) bool {
	was, is := docTemporal(remarkOf(old)), docTemporal(remarkOf(now))
	return was != is && was != NotTemporal && is != NotTemporal
}

// Diff returns what is different in schema now, seen from schema old. It is empty
// if both describe the same records. Attributes that Avro does not define are
// not compared. JSON Schemas are the same if they are the same JSON.
func Diff(old, now *Schema) Changes {
	if old.TextType == JSONSchemaText || now.TextType == JSONSchemaText {
		return diffText(old, now)
	}
	d := differ{same: make(map[[2]*Node]bool)}
	d.types("", old.Root, now.Root)
	return d.found
}

func diffText(old, now *Schema) Changes {
	var a, b any
	switch {
	case old.TextType != now.TextType || json.Unmarshal(old.JSON, &a) != nil || json.Unmarshal(now.JSON, &b) != nil:
	case reflect.DeepEqual(a, b):
		return nil
	case alike(a, b):
		return Changes{{Kind: DocChanged}}
	}
	return Changes{{Kind: TextChanged}}
}

// alike compares parts of JSON Schemas without their docs. A description that is
// no text is a property of that name.
func alike(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && alikeObjects(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, alike)
	}
	return a == b
}

func alikeObjects(a, b map[string]any) bool {
	const doc = "description"
	a, b = maps.Clone(a), maps.Clone(b)
	one, isText := a[doc].(string)
	if isText {
		delete(a, doc)
	}
	other, isText := b[doc].(string)
	if isText {
		delete(b, doc)
	}
	return !retimed(one, other) && maps.EqualFunc(a, b, alike)
}

type differ struct {
	found Changes
	// same holds pairs of types that were compared without a finding: a type
	// that many fields share is compared once.
	same map[[2]*Node]bool
}

func (d *differ) add(kind ChangeKind, path, old, now string) {
	d.found = append(d.found, Change{Kind: kind, Path: path, Old: old, New: now})
}

// types compares the types that one field has in both schemas.
func (d *differ) types(path string, old, now *Node) {
	pair := [2]*Node{old, now}
	if d.same[pair] {
		return
	}
	before := len(d.found)
	switch {
	case old.Kind != now.Kind, old.logical != now.logical, old.Kind == KindFixed && old.Size != now.Size:
		d.add(FieldRetyped, path, describeType(old), describeType(now))
	case old.Kind == KindUnion:
		d.unions(path, old, now)
	case old.Kind == KindArray, old.Kind == KindMap:
		d.types(path+"[]", old.Items, now.Items)
	case old.Name != "":
		d.named(path, old, now)
	}
	d.same[pair] = len(d.found) == before
}

// unions compares the branches that both have; a union with other branches, or in
// another order, is another type.
func (d *differ) unions(path string, old, now *Node) {
	pairs, whole := matchBranches(old.Branches, now.Branches)
	for i := range pairs {
		whole = whole && pairs[i][0] == old.Branches[i] && pairs[i][1] == now.Branches[i]
	}
	if !whole {
		d.add(FieldRetyped, path, describeType(old), describeType(now))
	}
	for _, p := range pairs {
		d.types(path, p[0], p[1])
	}
}

// matchBranches pairs the branches of two unions, in the order of the new one: by
// type and name, and what is left on either side if only its name is another.
// whole is false if a branch has no partner.
func matchBranches(old, now []*Node) (pairs [][2]*Node, whole bool) {
	rest := slices.Clone(old)
	left := make([]*Node, len(now)) // partners of now's branches
	alone := 0
	for i, n := range now {
		at := slices.IndexFunc(rest, func(o *Node) bool { return o.Kind == n.Kind && o.Name == n.Name && o.logical == n.logical })
		if at < 0 {
			alone++
			continue
		}
		left[i] = rest[at]
		rest = slices.Delete(rest, at, at+1)
	}
	for i, n := range now {
		if left[i] == nil && alone == 1 && len(rest) == 1 && rest[0].Kind == n.Kind && n.Name != "" {
			left[i], rest, alone = rest[0], nil, 0
		}
		if left[i] != nil {
			pairs = append(pairs, [2]*Node{left[i], n})
		}
	}
	return pairs, len(rest)+alone == 0
}

func (d *differ) named(path string, old, now *Node) {
	if old.Name != now.Name {
		d.add(TypeRenamed, path, old.Name, now.Name)
	}
	switch old.Kind {
	case KindRecord:
		d.records(path, old, now)
	case KindEnum:
		d.symbols(path, old, now)
	}
}

func (d *differ) symbols(path string, old, now *Node) {
	for _, s := range now.Symbols {
		if !slices.Contains(old.Symbols, s) {
			d.add(SymbolAdded, path, "", s)
		}
	}
	for _, s := range old.Symbols {
		if !slices.Contains(now.Symbols, s) {
			d.add(SymbolRemoved, path, s, "")
		}
	}
	last := -1
	for _, s := range now.Symbols {
		was := slices.Index(old.Symbols, s)
		if was >= 0 && was < last {
			d.add(OrderChanged, path, "", "")
			return
		}
		last = max(last, was)
	}
}

func (d *differ) records(path string, old, now *Node) {
	last, reordered := -1, false
	for i := range now.Fields {
		f := &now.Fields[i]
		at := joinPath(path, f.Name)
		was := old.Field(f.Name)
		if was < 0 {
			d.add(FieldAdded, at, "", describeType(f.Type))
			continue
		}
		reordered = reordered || was < last
		last = max(last, was)
		d.fields(at, &old.Fields[was], f)
	}
	for i := range old.Fields {
		if f := &old.Fields[i]; now.Field(f.Name) < 0 {
			d.add(FieldRemoved, joinPath(path, f.Name), describeType(f.Type), "")
		}
	}
	if reordered {
		d.add(OrderChanged, path, "", "")
	}
}

func (d *differ) fields(at string, old, now *Field) {
	d.types(at, old.Type, now.Type)
	if a, b := compact(old.Default), compact(now.Default); !bytes.Equal(a, b) {
		d.add(DefaultChanged, at, string(a), string(b))
	}
	if old.Doc != now.Doc {
		d.add(DocChanged, at, old.Doc, now.Doc)
	}
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// describeType names a type in one word: null|string, array<string>,
// long(timestamp-millis), or the full name of what has one.
func describeType(n *Node) string {
	switch n.Kind {
	case KindUnion:
		parts := make([]string, len(n.Branches))
		for i, b := range n.Branches {
			parts[i] = describeType(b)
		}
		return strings.Join(parts, "|")
	case KindArray, KindMap:
		return n.Kind.String() + "<" + describeType(n.Items) + ">"
	case KindRecord, KindEnum:
		return n.Name
	case KindFixed:
		return fmt.Sprintf("%s(%d bytes)", n.Name, n.Size)
	}
	if n.logical != "" {
		return n.Kind.String() + "(" + n.logical + ")"
	}
	return n.Kind.String()
}
