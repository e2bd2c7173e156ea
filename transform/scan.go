package transform

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// kind is what the payload has for a field.
type kind uint8

const (
	kindAbsent kind = iota
	kindNull
	kindText   // span without the quotes, in the payload
	kindNumber // span in the payload
	kindTrue
	kindFalse
	kindObject // a record: its own slots say more
	kindArray  // span in aux: already encoded
	kindDiff   // span of the diff text without the quotes, in the payload
	kindRaw    // span of a value of any kind but text, in the payload
)

// slot is where the value of one field was found.
type slot struct {
	start, end int32
	kind       kind
	escaped    bool // a text with escapes
	empty      bool // an array without elements
}

type span struct {
	start, end int32
	escaped    bool
}

// scan holds one event between the reading of its payload and the writing of
// its value. Slots are addressed by index because arrays of records borrow some
// at the end while they are read.
type scan struct {
	p     []byte
	slots []slot
	aux   []byte // elements of arrays, encoded as they are read
	json  bool   // aux and value are JSON rather than Avro

	root   *recordPlan // whose fields the header's lists name
	header *headerPlan // nil unless the event is a change event
	note   *notePlan   // of a schema that the bridge made
	ids    []span      // the elements of the header's recordIds

	nulls, diffs int // how many were read: most events have none to list
	given        []given
	names        *nameTable // of the row that is written; nil if the value is the event
	holes        []int32    // where in the value the record's id goes

	keep   bool // unknown keys are extras rather than an error
	extras []extra

	scratch []byte // for texts that need their escapes resolved
}

// reset prepares for a payload.
func (s *scan) reset(payload []byte, cd *codec) {
	s.p = payload
	s.root = cd.root
	s.note = &cd.note
	s.header = nil
	if cd.schema.ChangeEvent {
		s.header = &cd.header
	}
	s.aux = s.aux[:0]
	s.ids = s.ids[:0]
	s.given = s.given[:0]
	s.holes = s.holes[:0]
	s.keep = cd.schema.Extras
	s.extras = s.extras[:0]
	s.nulls, s.diffs = 0, 0
	if cap(s.slots) < cd.root.slots {
		s.slots = make([]slot, cd.root.slots)
	}
	s.slots = s.slots[:cd.root.slots]
	clear(s.slots)
}

// payload reads the whole payload into the slots.
func (s *scan) payload() error {
	i := s.space(0)
	if s.at(i) != '{' {
		return s.syntax(i, "an event's payload is an object")
	}
	i, err := s.record(i, s.root, 0)
	if err != nil {
		return err
	}
	if i = s.space(i); i != len(s.p) {
		return s.syntax(i, "more after the payload's end")
	}
	return nil
}

// record reads an object, whose brace is at i, into the slots from base on. It
// returns the place after it.
func (s *scan) record(i int, rec *recordPlan, base int) (int, error) {
	i = s.space(i + 1)
	if s.at(i) == '}' {
		return i + 1, nil
	}
	for {
		if s.at(i) != '"' {
			return i, s.syntax(i, "expected a key")
		}
		start := i + 1
		end, escaped, err := s.text(start)
		if err != nil {
			return i, err
		}
		key := s.p[start:end]
		if escaped {
			s.scratch = unescape(s.scratch[:0], key)
			key = s.scratch
		}
		f := rec.find(key)
		if i = s.space(end + 1); s.at(i) != ':' {
			return i, within(string(key), s.syntax(i, "expected a colon"))
		}
		if i = s.space(i + 1); f < 0 {
			i, err = s.unknown(i, rec, key)
		} else {
			i, err = s.field(i, &rec.fields[f], base+f, base+rec.fields[f].sub)
		}
		if err != nil {
			return i, err
		}
		switch i = s.space(i); s.at(i) {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1, nil
		default:
			return i, s.syntax(i, "expected a comma or a closing brace")
		}
	}
}

// field reads the value at i of a field into slot at.
func (s *scan) field(i int, f *fieldPlan, at, sub int) (int, error) {
	if s.slots[at].kind != kindAbsent {
		return i, within(f.name, &FieldError{Found: "the key twice", Expected: "each key once"})
	}
	kept := len(s.extras)
	next, err := s.value(i, f.typ, at, sub)
	if err != nil {
		return i, within(f.name, err)
	}
	if len(s.extras) > kept {
		s.extrasWithin(f.name, kept)
	}
	return next, nil
}

// value reads the value at i into slot at; sub is the first slot of the record
// that it may be. It returns the place after the value.
func (s *scan) value(i int, t *typePlan, at, sub int) (int, error) {
	if t.raw && s.at(i) != '"' {
		return s.raw(i, at)
	}
	switch c := s.at(i); c {
	case '"':
		end, escaped, err := s.text(i + 1)
		if err != nil {
			return i, err
		}
		if t.text.op == opNone {
			return i, mismatch("a text", t)
		}
		s.slots[at] = slot{kind: kindText, start: int32(i + 1), end: int32(end), escaped: escaped}
		return end + 1, nil
	case '{':
		return s.object(i, t, at, sub)
	case '[':
		if t.array.op == opNone {
			return i, mismatch("an array", t)
		}
		return s.array(i, t.array.items, at)
	case 'n':
		if !t.nullable && !t.leftOut {
			return i, mismatch("null", t)
		}
		s.slots[at].kind = kindNull
		s.nulls++
		return s.literal(i, "null")
	case 't', 'f':
		if t.boolean.op == opNone {
			return i, mismatch("a boolean", t)
		}
		if c == 't' {
			s.slots[at].kind = kindTrue
			return s.literal(i, "true")
		}
		s.slots[at].kind = kindFalse
		return s.literal(i, "false")
	default:
		end, ok := s.number(i)
		if !ok {
			return i, s.syntax(i, "expected a value")
		}
		if t.number.op == opNone {
			return i, mismatch("a number", t)
		}
		s.slots[at] = slot{kind: kindNumber, start: int32(i), end: int32(end)}
		return end, nil
	}
}

// object reads a record, or the {"diff": "…"} that stands for a large text.
func (s *scan) object(i int, t *typePlan, at, sub int) (int, error) {
	if t.diff && s.isDiff(i) && (t.object.op == opNone || t.object.rec.find([]byte("diff")) < 0) {
		return s.diff(i, at)
	}
	if t.object.op == opNone {
		return i, mismatch("an object", t)
	}
	s.slots[at].kind = kindObject
	return s.record(i, t.object.rec, sub)
}

func (s *scan) isDiff(i int) bool {
	i = s.space(i + 1)
	return i+6 <= len(s.p) && string(s.p[i:i+6]) == `"diff"`
}

func (s *scan) diff(i, at int) (int, error) {
	if s.header == nil || s.header.diffs == 0 || at >= s.root.slots {
		return i, &FieldError{Found: "a diff", Expected: "a text: there is no diffFields to list a diff in"}
	}
	i = s.space(s.space(i+1) + len(`"diff"`))
	if s.at(i) != ':' {
		return i, s.syntax(i, "expected a colon")
	}
	if i = s.space(i + 1); s.at(i) != '"' {
		return i, &FieldError{Path: "diff", Found: s.kindAt(i), Expected: "a text"}
	}
	end, escaped, err := s.text(i + 1)
	if err != nil {
		return i, err
	}
	s.diffs++
	s.slots[at] = slot{kind: kindDiff, start: int32(i + 1), end: int32(end), escaped: escaped}
	if i = s.space(end + 1); s.at(i) != '}' {
		return i, &FieldError{Found: "a diff object with more than its diff", Expected: `{"diff": "…"}`}
	}
	return i + 1, nil
}

// array reads an array and encodes it into aux.
func (s *scan) array(i int, items *typePlan, at int) (int, error) {
	start := len(s.aux)
	if s.json {
		s.aux = append(s.aux, '[')
	}
	n, first := 0, len(s.aux)
	i = s.space(i + 1)
	for s.at(i) != ']' || n > 0 {
		if s.json && n > 0 {
			s.aux = append(s.aux, ',')
		}
		kept := len(s.extras)
		next, err := s.item(i, items, at)
		if err != nil {
			return i, within("["+strconv.Itoa(n)+"]", err)
		}
		if len(s.extras) > kept {
			s.extrasWithin("["+strconv.Itoa(n)+"]", kept)
		}
		n++
		i = s.space(next)
		if c := s.at(i); c == ',' {
			i = s.space(i + 1)
		} else if c == ']' {
			break
		} else {
			return i, s.syntax(i, "expected a comma or a closing bracket")
		}
	}
	switch {
	case s.json:
		s.aux = append(s.aux, ']')
	case n == 0:
		s.aux = append(s.aux, 0)
	default:
		// Avro writes the number of elements first; it is known only now.
		var count [binary.MaxVarintLen64]byte
		w := binary.PutVarint(count[:], int64(n))
		s.aux = append(s.aux, count[:w]...)
		copy(s.aux[first+w:], s.aux[first:])
		copy(s.aux[first:], count[:w])
		s.aux = append(s.aux, 0)
	}
	s.slots[at] = slot{kind: kindArray, start: int32(start), end: int32(len(s.aux)), empty: n == 0}
	return i + 1, nil
}

// item reads one element and appends its encoding to aux. Slots at the end of
// the list are borrowed for it.
func (s *scan) item(i int, t *typePlan, at int) (int, error) {
	base := len(s.slots)
	s.slots = append(s.slots, slot{})
	if t.object.rec != nil {
		for range t.object.rec.slots {
			s.slots = append(s.slots, slot{})
		}
	}
	mark := len(s.aux)
	next, err := s.value(i, t, base, base+1)
	if err != nil {
		return i, err
	}
	if s.header != nil && s.slots[base].kind == kindText {
		s.headerItem(at, &s.slots[base])
	}
	// Arrays inside the element are encoded in aux already; the element is
	// written behind them and then moved into their place.
	inner := len(s.aux)
	s.aux, err = s.appendAny(s.aux, t, base, base+1)
	if err != nil {
		return i, err
	}
	if inner > mark {
		n := copy(s.aux[mark:], s.aux[inner:])
		s.aux = s.aux[:mark+n]
	}
	s.slots = s.slots[:base]
	return next, nil
}

// headerItem remembers a text of one of the header's lists, if slot at is one.
func (s *scan) headerItem(at int, sl *slot) {
	text := span{sl.start, sl.end, sl.escaped}
	switch at {
	case s.header.ids:
		s.ids = append(s.ids, text)
	case s.header.nulls:
		s.given = append(s.given, given{listNulled, text})
	case s.header.diffs:
		s.given = append(s.given, given{listDiff, text})
	case s.header.changed:
		s.given = append(s.given, given{listChanged, text})
	}
}

// at returns the byte at i, 0 behind the end: no JSON has a 0 outside texts.
func (s *scan) at(i int) byte {
	if i < len(s.p) {
		return s.p[i]
	}
	return 0
}

// space skips white space.
func (s *scan) space(i int) int {
	for i < len(s.p) && s.p[i] <= ' ' {
		switch s.p[i] {
		case ' ', '\n', '\t', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

func (s *scan) literal(i int, want string) (int, error) {
	end := i + len(want)
	if end > len(s.p) || string(s.p[i:end]) != want {
		return i, s.syntax(i, "expected "+want)
	}
	return end, nil
}

// number checks a number by JSON's grammar (RFC 8259, 6) and returns its end.
func (s *scan) number(i int) (int, bool) {
	if s.at(i) == '-' {
		i++
	}
	switch c := s.at(i); {
	case c == '0':
		i++
	case c >= '1' && c <= '9':
		i = s.digits(i)
	default:
		return i, false
	}
	if s.at(i) == '.' {
		end := s.digits(i + 1)
		if end == i+1 {
			return i, false
		}
		i = end
	}
	if c := s.at(i); c == 'e' || c == 'E' {
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		end := s.digits(i)
		if end == i {
			return i, false
		}
		i = end
	}
	return i, true
}

func (s *scan) digits(i int) int {
	for i < len(s.p) && s.p[i]-'0' <= 9 {
		i++
	}
	return i
}

func (s *scan) syntax(i int, what string) error {
	if i >= len(s.p) {
		return &EventError{Reason: "the payload is cut off: " + what, Offset: len(s.p)}
	}
	return &EventError{Reason: what, Found: byteName(s.p[i]), Offset: i}
}

// byteName shows one byte of a payload in an error.
func byteName(c byte) string {
	if c < utf8.RuneSelf {
		return fmt.Sprintf("%q", rune(c))
	}
	return fmt.Sprintf("the byte 0x%02x", c)
}

func mismatch(found string, t *typePlan) error {
	return &FieldError{Found: found, Expected: t.expected}
}

// quoted shows a short value in an error.
func quoted(what string, b []byte) string {
	const most = 40
	if len(b) > most {
		return fmt.Sprintf("%s %q…", what, b[:most])
	}
	return fmt.Sprintf("%s %q", what, b)
}
