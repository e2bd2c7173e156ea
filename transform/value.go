package transform

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// appendAny writes the value in slot at in the scan's format.
func (s *scan) appendAny(dst []byte, t *typePlan, at, sub int) ([]byte, error) {
	if s.json {
		return s.appendJSON(dst, t, at, sub)
	}
	return s.appendValue(dst, t, at, sub)
}

// appendRecord writes a record whose slots start at base as Avro binary, in
// schema order.
func (s *scan) appendRecord(dst []byte, rec *recordPlan, base int) ([]byte, error) {
	var err error
	for i := range rec.fields {
		f := &rec.fields[i]
		sl := &s.slots[base+i]
		switch {
		case sl.leftOut(f):
			dst, err = s.appendAbsent(dst, f, sl.kind)
		case f.fill != listNone && s.completes(f):
			dst = s.appendList(dst, f, sl)
		default:
			dst, err = s.appendValue(dst, f.typ, base+i, base+f.sub)
		}
		if err != nil {
			return dst, within(f.name, err)
		}
	}
	return dst, nil
}

// leftOut reports whether the field is to be treated as absent.
func (sl *slot) leftOut(f *fieldPlan) bool {
	switch sl.kind {
	case kindAbsent:
		return true
	case kindNull:
		return f.required || f.typ.leftOut
	}
	return sl.empty && f.fill != listNone
}

func (s *scan) appendAbsent(dst []byte, f *fieldPlan, k kind) ([]byte, error) {
	switch f.absent {
	case absentNull:
		return binary.AppendVarint(dst, f.typ.nullIndex), nil
	case absentDefault:
		return append(dst, f.defaultAvro...), nil
	case absentExtras:
		return s.appendExtras(dst), nil
	case absentNullFields:
		return s.appendNullFields(dst), nil
	case absentPayloadJSON:
		return s.appendRawPayload(dst), nil
	case absentFilled:
		n := s.countListed(f.fill)
		if n > 0 {
			dst = binary.AppendVarint(dst, int64(n))
			s.eachListed(f.fill, func(name string) {
				dst = binary.AppendVarint(dst, int64(len(name)))
				dst = append(dst, name...)
			})
		}
		return append(dst, 0), nil
	}
	found := "no such key"
	if k == kindNull {
		found = "null"
	}
	return dst, &FieldError{Found: found, Expected: f.typ.some + ", always: Salesforce's schema lets the field be neither null nor absent"}
}

// appendValue writes the value in slot at as Avro binary. The scan has checked
// that the type takes the value's kind.
func (s *scan) appendValue(dst []byte, t *typePlan, at, sub int) ([]byte, error) {
	sl := &s.slots[at]
	b := t.branchOf(sl.kind)
	if t.union {
		index := t.nullIndex
		if b != nil {
			index = b.index
		}
		dst = binary.AppendVarint(dst, index)
	}
	switch sl.kind {
	case kindText, kindDiff:
		return s.appendText(dst, t, b, sl)
	case kindNumber:
		return appendNumber(dst, t, b, s.p[sl.start:sl.end])
	case kindTrue:
		return append(dst, 1), nil
	case kindFalse:
		return append(dst, 0), nil
	case kindObject:
		return s.appendRecord(dst, b.rec, sub)
	case kindArray:
		return append(dst, s.aux[sl.start:sl.end]...), nil
	}
	return dst, nil
}

// branchOf returns the branch that takes a kind of value, nil for null.
func (t *typePlan) branchOf(k kind) *branch {
	switch k {
	case kindText, kindDiff:
		return &t.text
	case kindNumber:
		return &t.number
	case kindTrue, kindFalse:
		return &t.boolean
	case kindObject:
		return &t.object
	case kindArray:
		return &t.array
	}
	return nil
}

func (s *scan) appendText(dst []byte, t *typePlan, b *branch, sl *slot) ([]byte, error) {
	text := s.p[sl.start:sl.end]
	if b.op == opString && !sl.escaped {
		dst = binary.AppendVarint(dst, int64(len(text)))
		return append(dst, text...), nil
	}
	if sl.escaped {
		s.scratch = unescape(s.scratch[:0], text)
		text = s.scratch
	}
	switch b.op {
	case opString:
		dst = binary.AppendVarint(dst, int64(len(text)))
		return append(dst, text...), nil
	case opEnum:
		i, err := symbol(t, b, text)
		return binary.AppendVarint(dst, int64(i)), err
	}
	v, err := temporal(b.op, text, t)
	return binary.AppendVarint(dst, v), err
}

// symbol returns the index of an enum's symbol.
func symbol(t *typePlan, b *branch, text []byte) (int, error) {
	for i, known := range b.node.Symbols {
		if string(text) == known {
			return i, nil
		}
	}
	return 0, &FieldError{Found: quoted("the symbol", text), Expected: "one of " + strings.Join(b.node.Symbols, ", ") + ", for " + t.expected}
}

// temporal reads a text for a field that counts.
func temporal(o op, text []byte, t *typePlan) (int64, error) {
	var (
		v    int64
		ok   bool
		want string
	)
	switch o {
	case opEpochMillis:
		v, ok = epochMillis(text)
		want = "date or date and time"
	case opDaysSince1970:
		v, ok = daysSince1970(text)
		want = "date"
	case opMillisOfDay:
		v, ok = millisOfDay(text)
		want = "time of day"
	}
	if !ok {
		return 0, &FieldError{Found: quoted("the text", text), Expected: "a " + want + " or a number, for " + t.expected}
	}
	return v, nil
}

func appendNumber(dst []byte, t *typePlan, b *branch, text []byte) ([]byte, error) {
	switch b.op {
	case opDouble:
		f, err := floating(t, b, text)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), err
	case opFloat:
		f, err := floating(t, b, text)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), err
	}
	v, err := integer(t, b, text)
	return binary.AppendVarint(dst, v), err
}

// floating reads a number for a double or a float.
func floating(t *typePlan, b *branch, text []byte) (float64, error) {
	f, ok := double(text)
	if ok && b.op == opFloat {
		var err error
		f, err = strconv.ParseFloat(string(text), 32)
		ok = err == nil
	}
	if !ok {
		return 0, &FieldError{Found: quoted("the number", text) + ", which does not fit", Expected: t.expected}
	}
	return f, nil
}

// integer reads a number for an int or a long.
func integer(t *typePlan, b *branch, text []byte) (int64, error) {
	v, why := wholeNumber(text)
	if why == "" && b.op == opInt && v != int64(int32(v)) {
		why = "does not fit"
	}
	if why != "" {
		return 0, &FieldError{Found: quoted("the number", text) + ", which " + why, Expected: t.expected}
	}
	return v, nil
}
