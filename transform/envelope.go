package transform

import (
	"encoding/binary"
	"strconv"

	"github.com/sfbridge/bridge/schemas"
)

// maxFanOut bounds the bytes of all values of one event whose records have a
// value each.
const maxFanOut = 64 << 20

// envelopePlan says how a value in another shape than Salesforce's is written
// from what the scan found.
type envelopePlan struct {
	kind   schemas.Envelope
	needs  []outField // compound fields that there must be
	row    []outField
	header []outField
	names  nameTable
	nulls  []byte // the row's fields when all are null, in Avro
}

// outField is a field of the value and the slot that it is written from.
type outField struct {
	f       *fieldPlan // as it is scanned
	t       *typePlan  // as it is written
	at, sub int
	parent  int  // slot of the compound field that it is a part of, -1 for none
	whole   bool // null if the slot has a record
	key     string
	in      []string // names of what contains it in the event, the outermost first
}

// fail puts an error of the field's where the event has the field.
func (o *outField) fail(err error) error {
	err = within(o.f.name, err)
	for i := len(o.in) - 1; i >= 0; i-- {
		err = within(o.in[i], err)
	}
	return err
}

// compileEnvelope makes the plan of an envelope, and the schema that its values
// have.
func (cd *codec) compileEnvelope(env schemas.Envelope) error {
	out, err := env.In(cd.schema)
	if err != nil {
		return err
	}
	fields, err := schemas.Flatten(cd.schema)
	if err != nil {
		return err
	}
	plan := &envelopePlan{kind: env}
	plan.need(cd.root, outField{parent: -1})
	c := &compiler{records: make(map[recordKey]*recordPlan)}
	for i := range fields {
		o := cd.place(fields[i].Path)
		o.key, o.whole = `"`+fields[i].Name+`":`, fields[i].Whole
		if o.whole {
			if o.t, err = c.typ(fields[i].Type, false); err != nil {
				return err
			}
		}
		plan.row = append(plan.row, o)
		plan.nulls = binary.AppendVarint(plan.nulls, o.t.nullIndex)
		plan.names.add(&o, fields[i].Name)
	}
	plan.names.index()
	if cd.schema.ChangeEvent {
		plan.compileHeader(cd)
	}
	cd.out, cd.env, cd.finger = out, plan, []byte(out.Fingerprint)
	return nil
}

// place finds the slot of a field by its path.
func (cd *codec) place(path []int) outField {
	o := outField{parent: -1}
	rec, base := cd.root, 0
	for depth, i := range path {
		f := &rec.fields[i]
		o.f, o.t, o.at, o.sub = f, f.typ, base+i, base+f.sub
		if depth < len(path)-1 {
			o.parent = o.at
			o.in = append(o.in, f.name)
			rec, base = f.typ.object.rec, base+f.sub
		}
	}
	return o
}

// need collects the records below rec that an event must have.
func (p *envelopePlan) need(rec *recordPlan, parent outField) {
	for i := range rec.fields {
		f := &rec.fields[i]
		if f.typ.object.rec == nil {
			continue
		}
		o := outField{f: f, t: f.typ, at: parent.sub + i, sub: parent.sub + f.sub, parent: parent.at, in: parent.in}
		if parent.f == nil {
			o.parent = -1
		}
		if f.absent == absentError {
			p.needs = append(p.needs, o)
		}
		o.in = append(o.in[:len(o.in):len(o.in)], f.name)
		p.need(f.typ.object.rec, o)
	}
}

// compileHeader adds the header's fields. The ids of its records are not
// written, each record has its own, but must be there.
func (p *envelopePlan) compileHeader(cd *codec) {
	h := &cd.header
	rec := cd.root.fields[h.field].typ.object.rec
	prefix := ""
	if p.kind == schemas.FlatEnvelope {
		prefix = schemas.HeaderPrefix
	}
	for i := range rec.fields {
		o := cd.place([]int{h.field, i})
		o.key = `"` + prefix + o.f.name + `":`
		switch {
		case o.at == h.ids:
			p.needs = append(p.needs, o)
			continue
		case o.f.fill == listChanged:
			h.changed = o.at
		}
		p.header = append(p.header, o)
	}
}

// envelope writes the value of the event in hand, in another shape than
// Salesforce's, behind what buf has. The places for the record's id stay empty:
// each record gets a value of its own.
func (e *Encoder) envelope(ev *Event, ch *channel, cd *codec) error {
	s := &e.scan
	if cd.schema.ChangeEvent && !ch.change {
		return &EventError{Offset: -1, Reason: "the schema " + cd.schema.FullName + " is that of a change event, but the channel " + ch.name + " carries platform events"}
	}
	if err := s.complete(cd.env); err != nil {
		return err
	}
	s.names = &cd.env.names
	var err error
	if cd.env.kind == schemas.DebeziumEnvelope {
		e.buf, err = e.appendDebezium(e.buf, ev, ch, cd)
	} else {
		e.buf, err = s.appendFlat(e.buf, cd)
	}
	return err
}

// complete checks that the event has the records that it must have: of one that
// is missing, a row would only have lacked the parts.
func (s *scan) complete(p *envelopePlan) error {
	for i := range p.needs {
		o := &p.needs[i]
		if sl := &s.slots[o.at]; (o.parent < 0 || s.slots[o.parent].kind == kindObject) && sl.leftOut(o.f) && o.f.absent == absentError {
			_, err := s.appendAbsent(nil, o.f, sl.kind)
			return o.fail(err)
		}
	}
	return nil
}

// appendFlat writes one flat row.
func (s *scan) appendFlat(dst []byte, cd *codec) ([]byte, error) {
	if s.json {
		dst = append(dst, '{')
	}
	dst, err := s.appendRow(dst, cd.env)
	if err == nil {
		dst, err = s.appendOut(dst, cd.env.header)
	}
	if err != nil {
		return dst, err
	}
	dst = s.appendTail(dst, cd)
	if s.json {
		return append(dst, '}'), nil
	}
	return dst, nil
}

// appendRow writes the record's id, if the event is a change, and the body.
func (s *scan) appendRow(dst []byte, p *envelopePlan) ([]byte, error) {
	return s.appendOut(s.appendIDHole(dst), p.row)
}

// appendIDHole remembers where the record's id goes.
func (s *scan) appendIDHole(dst []byte) []byte {
	switch {
	case s.header == nil:
	case s.json:
		dst = append(dst, `"`+schemas.IDField+`":""`...)
		s.holes = append(s.holes, int32(len(dst)-1))
	default:
		s.holes = append(s.holes, int32(len(dst)))
	}
	return dst
}

// appendTail writes what the event has beyond its schema.
func (s *scan) appendTail(dst []byte, cd *codec) []byte {
	switch {
	case !cd.schema.Extras || s.json && len(s.extras) == 0:
		return dst
	case s.json:
		return s.appendExtrasJSON(append(comma(dst), `"`+schemas.ExtrasField+`":`...))
	}
	return s.appendExtras(dst)
}

// comma puts one behind a member of an object.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// appendOut writes fields, one behind the other.
func (s *scan) appendOut(dst []byte, fields []outField) ([]byte, error) {
	if s.json {
		return s.appendOutJSON(dst, fields)
	}
	var err error
	for i := range fields {
		o := &fields[i]
		sl := &s.slots[o.at]
		switch {
		case sl.kind == kindAbsent && o.f.absent == absentNull, o.parent >= 0 && s.slots[o.parent].kind != kindObject, o.whole && sl.kind == kindObject:
			dst = binary.AppendVarint(dst, o.t.nullIndex)
		case o.f.fill != listNone:
			dst = s.appendNames(dst, o.f, sl)
		case sl.leftOut(o.f):
			dst, err = s.appendAbsent(dst, o.f, sl.kind)
		default:
			dst, err = s.appendValue(dst, o.t, o.at, o.sub)
		}
		if err != nil {
			return dst, o.fail(err)
		}
	}
	return dst, nil
}

// appendOutJSON writes fields as members of an object. What the event lacks is
// left out; parts of a compound field that was cleared are null as it is.
func (s *scan) appendOutJSON(dst []byte, fields []outField) ([]byte, error) {
	var err error
	for i := range fields {
		o := &fields[i]
		sl := &s.slots[o.at]
		cleared := false
		if o.parent >= 0 && s.slots[o.parent].kind != kindObject {
			if cleared = s.slots[o.parent].kind == kindNull; !cleared {
				continue
			}
		} else if sl.leftOut(o.f) && s.leavesOut(o.f.absent) || o.whole && sl.kind == kindObject {
			continue
		}
		dst = append(comma(dst), o.key...)
		switch {
		case cleared:
			dst = append(dst, "null"...)
		case o.f.fill != listNone:
			dst = s.appendNames(dst, o.f, sl)
		case sl.leftOut(o.f):
			dst, err = s.appendAbsentJSON(dst, o.f, sl.kind)
		default:
			dst, err = s.appendJSON(dst, o.t, o.at, o.sub)
		}
		if err != nil {
			return dst, o.fail(err)
		}
	}
	return dst, nil
}

// fansOut checks that all values of an event whose records have a value each fit.
func (e *Encoder) fansOut(valueEnd int) error {
	if all := len(e.keys) * valueEnd; len(e.scan.holes) > 0 && all > maxFanOut {
		return &EventError{Offset: -1, Reason: "the values of its " + strconv.Itoa(len(e.keys)) + " records would have " + strconv.Itoa(all) +
			" bytes; try: envelope: event, in which they share one"}
	}
	return nil
}

// arena copies buf into memory of its own. If each record has a value of its
// own they come first, and what buf has behind the value moves.
func (e *Encoder) arena(p *parts) []byte {
	holes := e.scan.holes
	if len(holes) == 0 {
		e.values = append(e.values[:0], span{end: int32(p.valueEnd)})
		return append(make([]byte, 0, len(e.buf)), e.buf...)
	}
	size := len(e.buf) - p.valueEnd
	for _, key := range e.keys {
		size += p.valueEnd + len(holes)*e.idSize(key)
	}
	arena := make([]byte, 0, size)
	e.values = e.values[:0]
	for _, key := range e.keys {
		start, from := len(arena), 0
		for _, hole := range holes {
			arena = append(arena, e.buf[from:hole]...)
			if !e.scan.json {
				arena = append(arena, byte(key.end-key.start)<<1) // Avro's length: ids have at most 18 characters
			}
			arena = append(arena, e.buf[key.start:key.end]...)
			from = int(hole)
		}
		arena = append(arena, e.buf[from:p.valueEnd]...)
		e.values = append(e.values, span{start: int32(start), end: int32(len(arena))})
	}
	moved := int32(len(arena) - p.valueEnd)
	arena = append(arena, e.buf[p.valueEnd:]...)
	for i := range e.keys {
		e.keys[i].move(moved)
	}
	for _, t := range []*span{&p.texts.position, &p.texts.uuid, &p.texts.transaction, &p.texts.sequence, &p.texts.commit} {
		t.move(moved)
	}
	return arena
}

func (s *span) move(by int32) {
	if s.end > s.start {
		s.start += by
		s.end += by
	}
}

// idSize is how many bytes a key takes as the id in a value.
func (e *Encoder) idSize(key span) int {
	n := int(key.end - key.start)
	if e.scan.json {
		return n
	}
	return n + 1
}

// valueOf is where in the arena the value of a record is: its own, or that of all.
func (e *Encoder) valueOf(record int) span { return e.values[min(record, len(e.values)-1)] }
