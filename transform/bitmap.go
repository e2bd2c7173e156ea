package transform

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/sfbridge/bridge/schemas"
)

// BitmapError says that a bitmap of changedFields, nulledFields or diffFields
// cannot be read by a schema.
type BitmapError struct {
	Schema   string // full name of the schema
	SchemaID string // Salesforce's id of it
	Index    int    // of the element in the list
	Element  string
	Found    string
	Expected string
}

func (e *BitmapError) Error() string {
	return fmt.Sprintf("bitmap element %d, %s, by the schema %s (%s): found %s, expected %s; try: the schema that the event itself names",
		e.Index, quoted("the text", []byte(e.Element)), e.Schema, e.SchemaID, e.Found, e.Expected)
}

// DecodeBitmap returns the names of the fields that a bitmap stands for
// (Salesforce Pub/Sub API, "Event Deserialization Considerations", changedFields,
// nulledFields and diffFields). s must be the schema that the event was written
// with.
//
// An element "0x400800" has bit i set, counted from the least significant one,
// for field i of the event; "4-0x01" does the same for the fields of the
// compound field 4 and gives "BillingAddress.Street". Names come in the order of
// the elements, and by rising bit within each: the order in which the encoder
// fills the lists of events that carry none. Hex digits are of either case and
// any number.
//
// Errors are [*BitmapError]: bits that the schema has no field for, text that is
// no bitmap, a top-level bitmap behind a compound one, a bitmap that comes twice.
func DecodeBitmap(s *schemas.Schema, fields []string) ([]string, error) {
	own := s.Root.Fields
	if s.Extras {
		own = own[:len(own)-1] // ours: Salesforce's bits know nothing of it
	}
	var out []string
	seen := make(map[int]bool) // compound fields
	for i, element := range fields {
		fail := func(found, expected string) ([]string, error) {
			return nil, &BitmapError{Schema: s.FullName, SchemaID: s.ID, Index: i, Element: element, Found: found, Expected: expected}
		}
		prefix, in := "", own
		parent, digits, compound := strings.Cut(element, "-")
		if compound {
			n, ok := fieldIndex(parent)
			if !ok || n >= len(own) {
				return fail("the field number "+strconv.Quote(parent), fmt.Sprintf("one from 0 to %d", len(own)-1))
			}
			rec := compoundOf(own[n].Type)
			if rec == nil {
				return fail("parts of "+own[n].Name, "a compound field")
			}
			if seen[n] {
				return fail("a second bitmap of "+own[n].Name, "one for each compound field")
			}
			seen[n] = true
			prefix, in = own[n].Name+".", rec.Fields
		} else if digits = element; i > 0 {
			return fail("a bitmap of the event behind another", "it first and once")
		}
		bits, ok := bitmapBytes(digits)
		if !ok {
			return fail(quoted("the text", []byte(digits)), `"0x" and hexadecimal digits`)
		}
		for bit := range 8 * len(bits) {
			if bits[len(bits)-1-bit/8]>>(bit%8)&1 == 0 {
				continue
			}
			if bit >= len(in) {
				return fail(fmt.Sprintf("bit %d", bit), fmt.Sprintf("none above %d", len(in)-1))
			}
			out = append(out, prefix+in[bit].Name)
		}
	}
	return out, nil
}

// compoundOf returns the record that a field's type is or may be, nil if there
// is none.
func compoundOf(n *schemas.Node) *schemas.Node {
	switch n.Kind {
	case schemas.KindRecord:
		return n
	case schemas.KindUnion:
		for _, b := range n.Branches {
			if b.Kind == schemas.KindRecord {
				return b
			}
		}
	}
	return nil
}

// fieldIndex reads the number before the dash: digits and nothing else.
func fieldIndex(text string) (int, bool) {
	for i := range len(text) {
		if text[i]-'0' > 9 {
			return 0, false
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// bitmapBytes reads "0x" and hexadecimal digits, most significant first.
func bitmapBytes(text string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || digits == "" {
		return nil, false
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	return b, err == nil
}
