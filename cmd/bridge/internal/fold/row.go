package fold

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"math"
	"slices"
	"strings"
)

// Row is what is known of a record's fields. It must not be changed.
type Row struct {
	// cells are the fields with a value, or of which nothing is known, by number: the
	// number in the upper 16 bits, the checksum in the others.
	cells    []uint64
	envelope envelope
	// vague: of fields that have no cell nothing is known. Else they have no value.
	vague bool
	// only are the fields that a SNAPSHOT speaks for, by names that may be those of
	// compound ones; nil is all.
	only []string
	// values are the texts of the fields, if they are kept.
	values map[uint16]json.RawMessage
}

const (
	sumBits = 48
	sumMask = 1<<sumBits - 1
	// unknown is the checksum of a value that nobody knows.
	unknown = 0
)

// errTooManyFields ends a topic of more names than any object of Salesforce's has.
var errTooManyFields = errors.New("there are more than 65,535 names of fields")

// names numbers the fields.
type names struct {
	numbers map[string]uint16
	texts   []string
}

func (n *names) number(name string) (uint16, error) {
	if i, ok := n.numbers[name]; ok {
		return i, nil
	}
	if len(n.texts) > math.MaxUint16 {
		return 0, errTooManyFields
	}
	i := uint16(len(n.texts)) //nolint:gosec // bounded above
	if n.numbers == nil {
		n.numbers = make(map[string]uint16)
	}
	n.numbers[name] = i
	n.texts = append(n.texts, name)
	return i, nil
}

// covers says whether a name of a list means a field: it is its own, or that of the
// compound field which it is a part of.
func covers(name, field string) bool {
	rest, ok := strings.CutPrefix(field, name)
	return ok && (rest == "" || rest[0] == '.')
}

func (r *Row) find(field uint16) (at int, ok bool) {
	return slices.BinarySearchFunc(r.cells, field, func(cell uint64, f uint16) int { return int(cell>>sumBits) - int(f) })
}

func (r *Row) set(field uint16, sum uint64) {
	cell := uint64(field)<<sumBits | sum
	if at, ok := r.find(field); ok {
		r.cells[at] = cell
	} else {
		r.cells = slices.Insert(r.cells, at, cell)
	}
	delete(r.values, field)
}

// clear takes the values of fields away that a list names.
func (r *Row) clear(n *names, listed string) {
	r.cells = slices.DeleteFunc(r.cells, func(cell uint64) bool { return covers(listed, n.texts[cell>>sumBits]) })
	for field := range r.values {
		if covers(listed, n.texts[field]) {
			delete(r.values, field)
		}
	}
}

// state of a field in a row.
func (r *Row) state(field uint16) (sum uint64, known bool) {
	at, ok := r.find(field)
	if !ok {
		return 0, !r.vague
	}
	sum = r.cells[at] & sumMask
	return sum, sum != unknown
}

// speaksFor says whether a row was asked for a field at all.
func (r *Row) speaksFor(field string) bool {
	return r.only == nil || slices.ContainsFunc(r.only, func(name string) bool { return covers(name, field) })
}

// Equal says whether two rows of one Fold say the same.
func (r *Row) Equal(o *Row) bool {
	return r.envelope == o.envelope && r.vague == o.vague && slices.Equal(r.cells, o.cells)
}

// Difference is a field that two rows have otherwise. A checksum is empty where there
// is no value; a value is nil there too, and where values are not kept.
type Difference struct {
	Field                string
	WantSum, HaveSum     string
	WantValue, HaveValue json.RawMessage
}

// Compare tells in which fields a row differs from the wanted one. Fields that the
// wanted row does not speak for are left out; those of which have knows nothing are
// counted.
func (f *Fold) Compare(want, have *Row) (differ []Difference, unclear int) {
	for number, name := range f.names.texts {
		field := uint16(number) //nolint:gosec // there are no more names
		if !want.speaksFor(name) {
			continue
		}
		wanted, known := want.state(field)
		got, clear := have.state(field)
		switch {
		case !known, wanted == 0 && !clear && have.vague:
		case !clear, want.envelope != have.envelope:
			unclear++
		case wanted != got:
			differ = append(differ, Difference{
				Field: name, WantSum: sumText(wanted), HaveSum: sumText(got), WantValue: want.values[field], HaveValue: have.values[field],
			})
		}
	}
	return differ, unclear
}

func sumText(sum uint64) string {
	if sum == 0 {
		return ""
	}
	const digits, width = "0123456789abcdef", sumBits / 4
	var out [width]byte
	for i := range out {
		out[width-1-i] = digits[sum>>(4*i)&15]
	}
	return string(out[:])
}

// sum is a value's checksum, which is never the one of no value.
func (f *Fold) sum(canonical []byte) uint64 {
	return max(maphash.Bytes(f.seed, canonical)&sumMask, 1)
}

// merge lays a change over a row. A whole change leaves nothing of what was before,
// except what it does not speak for.
func (f *Fold) merge(row *Row, c *change) error {
	if row.envelope != noEnvelope && row.envelope != c.envelope && !c.whole() {
		*row = Row{vague: true}
	}
	row.envelope = c.envelope
	for _, name := range c.nulled {
		row.clear(&f.names, name)
	}
	if c.kind == snapshotRow {
		for _, name := range c.changed {
			row.clear(&f.names, name)
		}
	}
	if row.cells == nil {
		row.cells = make([]uint64, 0, len(c.leaves))
	}
	for _, leaf := range c.leaves {
		field, err := f.names.number(leaf.name)
		if err != nil {
			return err
		}
		row.set(field, f.sum(leaf.text))
		if f.cfg.Values {
			if row.values == nil {
				row.values = make(map[uint16]json.RawMessage)
			}
			row.values[field] = leaf.text
		}
	}
	return f.blur(row, c)
}

// blur marks what an update says to have changed, and not into what.
func (f *Fold) blur(row *Row, c *change) error {
	lost := c.diffs
	if c.kind == updated {
		lost = slices.Concat(lost, slices.DeleteFunc(slices.Clone(c.changed), c.tells))
	}
	for _, name := range lost {
		field, err := f.names.number(name)
		if err != nil {
			return err
		}
		row.set(field, unknown)
	}
	return nil
}
