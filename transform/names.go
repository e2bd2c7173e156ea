package transform

import (
	"encoding/binary"
	"slices"
	"strings"
)

// nameTable knows by which names of a flat row the fields of an event go that
// the header's lists name.
type nameTable struct {
	paths   recordPlan // of which only the names and their table are used
	entries []nameEntry
}

// nameEntry has the row's names for one of the event's fields: for a compound one
// those of all parts. whole says that the first of them is what the field is if it
// is no record, and at is its slot.
type nameEntry struct {
	names []string
	whole bool
	at    int
}

// add enters a field of the row under the path that it has in the event, and
// under those of what it is a part of.
func (t *nameTable) add(o *outField, name string) {
	path := slices.Concat(o.in, []string{o.f.name})
	for n := 1; n <= len(path); n++ {
		full := strings.Join(path[:n], ".")
		i := slices.IndexFunc(t.paths.fields, func(f fieldPlan) bool { return f.name == full })
		if i < 0 {
			i = len(t.entries)
			t.paths.fields = append(t.paths.fields, fieldPlan{name: full})
			t.entries = append(t.entries, nameEntry{})
		}
		e := &t.entries[i]
		if e.names = append(e.names, name); o.whole && n == len(path) {
			e.whole, e.at = true, o.at
		}
	}
}

func (t *nameTable) index() { t.paths.hash(len(t.paths.fields)) }

// rowNames returns the row's names for what a list of the header names, nil for a
// name that no field has.
func (s *scan) rowNames(path []byte) []string {
	i := s.names.paths.find(path)
	if i < 0 {
		return nil
	}
	e := &s.names.entries[i]
	if e.whole {
		switch s.slots[e.at].kind {
		case kindObject:
			return e.names[1:]
		case kindAbsent, kindNull:
		default:
			return e.names[:1]
		}
	}
	return e.names
}

// appendNames writes a list of the header with the row's names: what Salesforce
// lists, then what the payload proves, as appendList does.
func (s *scan) appendNames(dst []byte, f *fieldPlan, sl *slot) []byte {
	start := len(dst)
	if dst = append(dst, 0); s.json {
		dst[start] = '['
	}
	n := 0
	absent := sl.leftOut(f)
	if !absent {
		for _, g := range s.given {
			if g.list == f.fill {
				dst, n = s.appendName(dst, n, s.bytes(&slot{start: g.text.start, end: g.text.end, escaped: g.text.escaped}))
			}
		}
	}
	if absent || s.completes(f) {
		s.eachListed(f.fill, func(name string) {
			if absent || !s.isGiven(f.fill, name) {
				s.scratch = append(s.scratch[:0], name...)
				dst, n = s.appendName(dst, n, s.scratch)
			}
		})
	}
	switch {
	case s.json:
		return append(dst, ']')
	case n == 0:
		return dst
	case n < 64:
		dst[start] = byte(n << 1)
	default:
		// Avro writes the number of elements first; it is known only now.
		var count [binary.MaxVarintLen64]byte
		w := binary.PutVarint(count[:], int64(n))
		dst = slices.Replace(dst, start, start+1, count[:w]...)
	}
	return append(dst, 0)
}

// appendName writes one name of a list that has n already.
func (s *scan) appendName(dst []byte, n int, path []byte) ([]byte, int) {
	names := s.rowNames(path)
	if names == nil {
		return appendListed(dst, path, s.json, n), n + 1
	}
	for _, name := range names {
		dst = appendListed(dst, name, s.json, n)
		n++
	}
	return dst, n
}

func appendListed[T string | []byte](dst []byte, name T, json bool, before int) []byte {
	if !json {
		return append(binary.AppendVarint(dst, int64(len(name))), name...)
	}
	if before > 0 {
		dst = append(dst, ',')
	}
	return appendJSONText(dst, name)
}
