package transform

import (
	"strconv"
)

// appendRecordJSON writes a record whose slots start at base as JSON, in schema
// order.
func (s *scan) appendRecordJSON(dst []byte, rec *recordPlan, base int) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	for i := range rec.fields {
		f := &rec.fields[i]
		sl := &s.slots[base+i]
		absent := sl.leftOut(f)
		if absent && s.leavesOut(f.absent) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, f.name...)
		dst = append(dst, '"', ':')
		var err error
		switch {
		case absent:
			dst, err = s.appendAbsentJSON(dst, f, sl.kind)
		case f.fill != listNone && s.completes(f):
			dst = s.appendList(dst, f, sl)
		default:
			dst, err = s.appendJSON(dst, f.typ, base+i, base+f.sub)
		}
		if err != nil {
			return dst, within(f.name, err)
		}
	}
	return append(dst, '}'), nil
}

// leavesOut reports whether an absent field is left out of JSON.
func (s *scan) leavesOut(a absence) bool {
	switch a {
	case absentNull:
		return true
	case absentExtras:
		return len(s.extras) == 0
	case absentNullFields:
		return s.countNullFields() == 0
	case absentPayloadJSON:
		return s.rawPayload() == nil
	}
	return false
}

func (s *scan) appendAbsentJSON(dst []byte, f *fieldPlan, k kind) ([]byte, error) {
	switch f.absent {
	case absentDefault:
		return append(dst, f.defaultJSON...), nil
	case absentExtras:
		return s.appendExtrasJSON(dst), nil
	case absentNullFields:
		return s.appendNullFieldsJSON(dst), nil
	case absentPayloadJSON:
		return appendJSONText(dst, s.rawPayload()), nil
	case absentFilled:
		dst = append(dst, '[')
		first := true
		s.eachListed(f.fill, func(name string) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, '"')
			dst = append(dst, name...)
			dst = append(dst, '"')
		})
		return append(dst, ']'), nil
	}
	return s.appendAbsent(dst, f, k)
}

// appendJSON writes the value in slot at as JSON.
func (s *scan) appendJSON(dst []byte, t *typePlan, at, sub int) ([]byte, error) {
	sl := &s.slots[at]
	b := t.branchOf(sl.kind)
	switch sl.kind {
	case kindText, kindDiff:
		if b.op != opString {
			return s.appendCountJSON(dst, t, b, sl)
		}
		dst = append(dst, '"')
		dst = append(dst, s.p[sl.start:sl.end]...)
		return append(dst, '"'), nil
	case kindNumber:
		text := s.p[sl.start:sl.end]
		if b.op == opDouble || b.op == opFloat {
			// Out of range is an error here as it is in Avro.
			_, err := floating(t, b, text)
			return append(dst, text...), err
		}
		v, err := integer(t, b, text)
		return strconv.AppendInt(dst, v, 10), err
	case kindTrue:
		return append(dst, "true"...), nil
	case kindFalse:
		return append(dst, "false"...), nil
	case kindObject:
		return s.appendRecordJSON(dst, b.rec, sub)
	case kindArray:
		return append(dst, s.aux[sl.start:sl.end]...), nil
	}
	return append(dst, "null"...), nil
}

// appendCountJSON writes a text that is no string in the schema: an enum's
// symbol, or a date or time as the number that Avro has for it.
func (s *scan) appendCountJSON(dst []byte, t *typePlan, b *branch, sl *slot) ([]byte, error) {
	if b.op == opEnum {
		i, err := symbol(t, b, s.bytes(sl))
		dst = append(dst, '"')
		dst = append(dst, b.node.Symbols[i]...)
		return append(dst, '"'), err
	}
	v, err := temporal(b.op, s.bytes(sl), t)
	return strconv.AppendInt(dst, v, 10), err
}

// bytes returns a text with its escapes resolved. It is good until the next
// call.
func (s *scan) bytes(sl *slot) []byte {
	text := s.p[sl.start:sl.end]
	if sl.escaped {
		s.scratch = unescape(s.scratch[:0], text)
		text = s.scratch
	}
	return text
}
