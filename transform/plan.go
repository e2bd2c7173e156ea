package transform

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/sfbridge/bridge/schemas"
)

// op says how a JSON value of one kind is written as an Avro type.
type op uint8

const (
	opNone op = iota // the type takes no such value
	opBool
	opInt
	opLong
	opFloat
	opDouble
	opString
	opEnum
	opRecord
	opArray
	opEpochMillis   // text of a date or date/time -> long
	opMillisOfDay   // text of a time of day -> int or long
	opDaysSince1970 // text of a date -> int
)

// branch is what a type does with JSON values of one kind.
type branch struct {
	op    op
	index int64 // of the union's branch
	node  *schemas.Node
	rec   *recordPlan // of opRecord
	items *typePlan   // of opArray
}

// typePlan is an Avro type seen from JSON: one branch per kind of JSON value.
type typePlan struct {
	union     bool
	nullable  bool
	nullIndex int64
	leftOut   bool // null means "left out": the header lists that we fill
	diff      bool // a text can come as a diff
	raw       bool // what is no text is taken as the JSON text that it is

	text, number, boolean, object, array branch

	expected string // for errors
	some     string // the same without null
}

// recordPlan is a record compiled for one scan: names hashed, and a slot for
// the value of every field at any depth.
type recordPlan struct {
	name   string
	fields []fieldPlan
	table  []int16 // open addressing over hashName; -1 is free
	slots  int     // slots that a value of the record takes, nested ones included
}

// absence is what an absent field becomes.
type absence uint8

const (
	absentNull absence = iota
	absentError
	absentDefault
	absentFilled      // by eachListed
	absentExtras      // by what the payload has beyond the schema
	absentNullFields  // by the names of the selected fields that came as null
	absentPayloadJSON // by the JSON text of a payload that is no text
)

// listed is one of the lists of field names in a change event's header.
type listed uint8

const (
	listNone listed = iota
	listChanged
	listNulled
	listDiff
)

type fieldPlan struct {
	name     string
	typ      *typePlan
	sub      int      // of a field that can be a record: its first slot, from the parent's first
	children []string // then: "Parent.Child" for each of its fields
	absent   absence
	required bool // null is an error too
	fill     listed

	defaultAvro, defaultJSON []byte
}

// maxUnionDepth and recursion need no bound here: package schemas hands out
// finite trees of bounded depth.
type compiler struct {
	records map[recordKey]*recordPlan
}

type recordKey struct {
	node   *schemas.Node
	header bool
}

// record compiles a record type. inHeader is set for the ChangeEventHeader and
// what it contains.
func (c *compiler) record(n *schemas.Node, inHeader bool) (*recordPlan, error) {
	key := recordKey{n, inHeader}
	if rec, ok := c.records[key]; ok {
		return rec, nil
	}
	rec := &recordPlan{name: n.Name, fields: make([]fieldPlan, len(n.Fields)), slots: len(n.Fields)}
	for i := range n.Fields {
		f := &n.Fields[i]
		plan, err := c.field(f, inHeader)
		if err != nil {
			return nil, err
		}
		if sub := plan.typ.object.rec; sub != nil {
			plan.sub = rec.slots
			rec.slots += sub.slots
			for _, child := range sub.fields {
				plan.children = append(plan.children, f.Name+"."+child.name)
			}
		}
		rec.fields[i] = plan
	}
	rec.hash(len(rec.fields))
	c.records[key] = rec
	return rec, nil
}

func (c *compiler) field(f *schemas.Field, inHeader bool) (fieldPlan, error) {
	plan := fieldPlan{name: f.Name, required: f.Required}
	header := inHeader || f.Name == schemas.HeaderField
	typ, err := c.typ(f.Type, header)
	if err != nil {
		return plan, err
	}
	plan.typ = typ
	if inHeader {
		plan.fill = listOf(f)
	}
	switch {
	case plan.fill != listNone:
		typ.leftOut = true
		plan.absent = absentFilled
	case f.Required:
		plan.absent = absentError
	case f.Default != nil && string(f.Default) != "null":
		plan.absent = absentDefault
		plan.defaultJSON = f.Default
		plan.defaultAvro, err = encodeDefault(typ, f.Default)
		if err != nil {
			return plan, &schemas.SchemaError{Path: f.Name, Reason: "the default is not a value of the type", Err: err}
		}
	case !typ.nullable:
		plan.absent = absentError
	}
	return plan, nil
}

// listOf recognises the header's lists of field names.
func listOf(f *schemas.Field) listed {
	if f.Type.Kind != schemas.KindArray || f.Type.Items.Kind != schemas.KindString {
		return listNone
	}
	switch f.Name {
	case "changedFields":
		return listChanged
	case "nulledFields":
		return listNulled
	case "diffFields":
		return listDiff
	}
	return listNone
}

func (c *compiler) typ(n *schemas.Node, inHeader bool) (*typePlan, error) {
	t := &typePlan{}
	branches := []*schemas.Node{n}
	if n.Kind == schemas.KindUnion {
		t.union = true
		branches = n.Branches
	}
	var names []string
	for i, b := range branches {
		if b.Kind == schemas.KindNull {
			t.nullable, t.nullIndex = true, int64(i)
			continue
		}
		name := b.Kind.String()
		if b.Name != "" {
			name += " " + b.Name[strings.LastIndexByte(b.Name, '.')+1:]
		}
		names = append(names, name)
		if err := c.branch(t, b, int64(i), inHeader); err != nil {
			return nil, err
		}
	}
	if t.some = strings.Join(names, " or "); t.nullable {
		names = append(names, "null")
	}
	t.expected = strings.Join(names, " or ")
	return t, nil
}

// branch adds one non-null type. The first that takes a kind of JSON value
// keeps it, except that a text is a string before it is anything else.
func (c *compiler) branch(t *typePlan, n *schemas.Node, index int64, inHeader bool) error {
	b := branch{index: index, node: n}
	put := func(at *branch, o op) {
		if at.op == opNone {
			b.op = o
			*at = b
		}
	}
	switch n.Kind {
	case schemas.KindBoolean:
		put(&t.boolean, opBool)
	case schemas.KindInt:
		put(&t.number, opInt)
		if n.Temporal == schemas.Date {
			put(&t.text, opDaysSince1970)
		} else if !inHeader {
			put(&t.text, opMillisOfDay)
		}
	case schemas.KindLong:
		put(&t.number, opLong)
		if n.Temporal == schemas.Time {
			put(&t.text, opMillisOfDay)
		} else if !inHeader {
			put(&t.text, opEpochMillis)
		}
	case schemas.KindFloat:
		put(&t.number, opFloat)
	case schemas.KindDouble:
		put(&t.number, opDouble)
	case schemas.KindString:
		b.op = opString
		t.text, t.diff = b, !inHeader
	case schemas.KindEnum:
		put(&t.text, opEnum)
	case schemas.KindRecord:
		rec, err := c.record(n, inHeader)
		if err != nil {
			return err
		}
		b.rec = rec
		put(&t.object, opRecord)
	case schemas.KindArray:
		items, err := c.typ(n.Items, inHeader)
		if err != nil {
			return err
		}
		b.items = items
		put(&t.array, opArray)
	}
	return nil
}

// encodeDefault writes a default as a value of its type.
func encodeDefault(t *typePlan, text []byte) ([]byte, error) {
	s := &scan{p: text, slots: make([]slot, 1)}
	if t.object.rec != nil {
		s.slots = make([]slot, 1+t.object.rec.slots)
	}
	if _, err := s.value(s.space(0), t, 0, 1); err != nil {
		return nil, err
	}
	return s.appendValue(nil, t, 0, 1)
}

const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0xc2b2ae3d27d4eb4f
	hashC = 0x165667b19e3779f9
)

// hashName mixes length, first and last bytes of a name: enough to spread the
// field names of one object, and a handful of instructions.
func hashName(b []byte) uint64 {
	var x, y uint64
	n := len(b)
	switch {
	case n >= 8:
		x = binary.LittleEndian.Uint64(b)
		y = binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x = uint64(binary.LittleEndian.Uint32(b))
		y = uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	h := (x*hashA ^ y*hashB) + uint64(n)*hashC
	h *= hashA
	return h ^ h>>32
}

// hash builds the table of the first n fields at a load of at most a half.
func (r *recordPlan) hash(n int) {
	size := 4
	for size < 2*n {
		size *= 2
	}
	r.table = make([]int16, size)
	for i := range r.table {
		r.table[i] = -1
	}
	mask := uint64(size - 1)
	for i := range n {
		at := hashName([]byte(r.fields[i].name)) & mask
		for r.table[at] >= 0 {
			at = (at + 1) & mask
		}
		r.table[at] = int16(i)
	}
}

// find returns the index of the field called name, -1 if there is none.
func (r *recordPlan) find(name []byte) int {
	mask := uint64(len(r.table) - 1)
	for at := hashName(name) & mask; ; at = (at + 1) & mask {
		i := int(r.table[at])
		if i < 0 {
			return -1
		}
		if r.fields[i].name == string(name) {
			return i
		}
	}
}

// codec is a schema compiled for encoding.
type codec struct {
	schema *schemas.Schema
	root   *recordPlan
	id     []byte          // schema.ID, for the header
	finger []byte          // out.Fingerprint, for the header
	out    *schemas.Schema // of the values; schema itself unless there is an envelope
	env    *envelopePlan   // nil if the value is the event

	created int // slot of CreatedDate, -1 if the event has none
	header  headerPlan
	note    notePlan // of a schema that the bridge made
}

// headerPlan has the slots of the ChangeEventHeader's fields. base is 0 for a
// platform event: slot 0 is the first field of the root, never the header's.
type headerPlan struct {
	field, base                                         int
	entity, ids, change, transaction, sequence, commitT int
	commitN                                             int
	diffs, nulls                                        int // the lists diffFields and nulledFields, 0 if there is none
	changed                                             int // the list changedFields if its elements are wanted, else -1
}

func compile(s *schemas.Schema) (*codec, error) {
	if len(s.Root.Fields) > 1<<14 {
		return nil, &schemas.SchemaError{ID: s.ID, Reason: fmt.Sprintf("%d fields are more than any event has", len(s.Root.Fields))}
	}
	c := &compiler{records: make(map[recordKey]*recordPlan)}
	root, err := c.record(s.Root, false)
	if err != nil {
		return nil, err
	}
	if s.Extras {
		// It is no field of the event: a key that is called so is unknown too.
		root.fields[len(root.fields)-1].absent = absentExtras
		root.hash(len(root.fields) - 1)
	}
	cd := &codec{schema: s, out: s, root: root, id: []byte(s.ID), finger: []byte(s.Fingerprint), created: s.Root.Field("CreatedDate")}
	if cd.created >= 0 {
		if o := root.fields[cd.created].typ.text.op; o != opEpochMillis {
			cd.created = -1
		}
	}
	if s.Streaming != schemas.NotStreaming {
		if err := cd.compileNote(); err != nil {
			return nil, err
		}
	}
	if s.ChangeEvent {
		if err := cd.compileHeader(); err != nil {
			return nil, err
		}
	}
	return cd, nil
}

func (cd *codec) compileHeader() error {
	h := &cd.header
	h.changed = -1
	h.field = cd.root.find([]byte(schemas.HeaderField))
	f := &cd.root.fields[h.field]
	rec := f.typ.object.rec
	h.base = f.sub
	for _, want := range []struct {
		name string
		at   *int
		ok   func(*typePlan) bool
	}{
		{"entityName", &h.entity, func(t *typePlan) bool { return t.text.op == opString }},
		{"recordIds", &h.ids, func(t *typePlan) bool { return t.array.op == opArray && t.array.items.text.op == opString }},
		{"changeType", &h.change, func(t *typePlan) bool { return t.text.op == opEnum }},
		{"transactionKey", &h.transaction, func(t *typePlan) bool { return t.text.op == opString }},
		{"sequenceNumber", &h.sequence, func(t *typePlan) bool { return t.number.op == opInt || t.number.op == opLong }},
		{"commitTimestamp", &h.commitT, func(t *typePlan) bool { return t.number.op == opLong }},
		{"commitNumber", &h.commitN, func(t *typePlan) bool { return t.number.op == opLong }},
	} {
		i := rec.find([]byte(want.name))
		if i < 0 || !want.ok(rec.fields[i].typ) {
			return &schemas.SchemaError{
				ID: cd.schema.ID, Path: schemas.HeaderField + "." + want.name,
				Reason: "the change event header lacks the field or has it with another type",
			}
		}
		*want.at = h.base + i
	}
	for i := range rec.fields {
		switch rec.fields[i].fill {
		case listNulled:
			h.nulls = h.base + i
		case listDiff:
			h.diffs = h.base + i
		}
	}
	return nil
}
