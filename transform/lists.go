package transform

import (
	"encoding/binary"
)

// given is a name that the payload itself has in one of the header's lists.
type given struct {
	list listed
	text span
}

// isUpdate reports whether the event says that fields of a record changed.
func (s *scan) isUpdate() bool { return s.header != nil && s.changeIs("UPDATE") }

// changeIs compares the type of a change.
func (s *scan) changeIs(change string) bool {
	sl := &s.slots[s.header.change]
	return sl.kind == kindText && string(s.bytes(sl)) == change
}

// countListed returns how many fields a header list has that we fill.
func (s *scan) countListed(list listed) int {
	n := 0
	s.eachListed(list, func(string) { n++ })
	return n
}

// eachListed calls yield with the name of each field of the body that belongs
// into a header list: top-level fields first, then the parts of compound ones,
// both in schema order. It is the order in which bitmaps list them, see
// [DecodeBitmap].
func (s *scan) eachListed(list listed, yield func(string)) {
	switch {
	case list == listDiff && s.diffs == 0, list == listNulled && s.nulls == 0:
		return
	case list != listDiff && !s.isUpdate():
		return
	}
	compounds := false
	for i := range s.root.fields {
		switch k := s.slots[i].kind; {
		case s.header != nil && i == s.header.field:
		case k == kindObject:
			compounds = true
		case belongs(list, k):
			yield(s.root.fields[i].name)
		}
	}
	if !compounds {
		return
	}
	for i := range s.root.fields {
		if s.slots[i].kind != kindObject || s.header != nil && i == s.header.field {
			continue
		}
		f := &s.root.fields[i]
		for c, child := range f.children {
			s.listChild(list, f.typ.object.rec, c, f.sub, child, yield)
		}
	}
}

// listChild handles field c of a record whose slots start at base. Salesforce's
// compounds nest one level; deeper ones are named by their whole path.
func (s *scan) listChild(list listed, rec *recordPlan, c, base int, name string, yield func(string)) {
	k := s.slots[base+c].kind
	if k != kindObject {
		if belongs(list, k) {
			yield(name)
		}
		return
	}
	f := &rec.fields[c]
	for g := range f.typ.object.rec.fields {
		inner := f.typ.object.rec
		s.listChild(list, inner, g, base+f.sub, name+"."+inner.fields[g].name, yield)
	}
}

func belongs(list listed, k kind) bool {
	switch list {
	case listChanged:
		return k != kindAbsent
	case listNulled:
		return k == kindNull
	}
	return k == kindDiff
}

// isGiven reports whether the payload's own list has a name.
func (s *scan) isGiven(list listed, name string) bool {
	for _, g := range s.given {
		if g.list == list && string(s.bytes(&slot{start: g.text.start, end: g.text.end, escaped: g.text.escaped})) == name {
			return true
		}
	}
	return false
}

// completes reports whether a list that the payload carries may lack names that
// the payload's values call for: a null of an UPDATE is a cleared field and a
// diff is a diff, whatever the lists say. What changed is Salesforce's to say:
// enriched fields are in the payload and in no list.
func (s *scan) completes(f *fieldPlan) bool {
	return f.fill == listNulled && s.nulls > 0 || f.fill == listDiff && s.diffs > 0
}

// appendList writes a list of names that the payload carries, as it came, and
// behind it those that it lacks. Avro lets an array come in several blocks.
func (s *scan) appendList(dst []byte, f *fieldPlan, sl *slot) []byte {
	dst = append(dst, s.aux[sl.start:sl.end-1]...) // without the end
	n := 0
	s.eachListed(f.fill, func(name string) {
		if !s.isGiven(f.fill, name) {
			n++
		}
	})
	if n > 0 && !s.json {
		dst = binary.AppendVarint(dst, int64(n))
	}
	s.eachListed(f.fill, func(name string) {
		switch {
		case s.isGiven(f.fill, name):
		case s.json:
			dst = append(dst, ',')
			dst = appendJSONText(dst, []byte(name))
		default:
			dst = binary.AppendVarint(dst, int64(len(name)))
			dst = append(dst, name...)
		}
	})
	return append(dst, s.aux[sl.end-1])
}
