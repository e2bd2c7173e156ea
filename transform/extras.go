package transform

import (
	"encoding/binary"
	"slices"
	"strings"
)

// maxUnknownDepth bounds how deep an unknown value may nest: a schema bounds
// the others.
const maxUnknownDepth = 500

// keptExtras is how much room for unknown keys may stay between events.
const keptExtras = 1 << 10

// extra is a key of the payload that the schema lacks.
type extra struct {
	path       string
	start, end int32 // of its value in the payload
}

// unknown handles a key that rec lacks and whose value is at i. It returns the
// place after the value.
func (s *scan) unknown(i int, rec *recordPlan, key []byte) (int, error) {
	path := string(key)
	if !s.keep {
		return i, &UnknownFieldError{Path: path, Schema: rec.name, Found: s.kindAt(i)}
	}
	end, err := s.skip(i, 1)
	if err != nil {
		return i, within(path, err)
	}
	s.extras = append(s.extras, extra{path: path, start: int32(i), end: int32(end)})
	return end, nil
}

// kindAt says what kind of value begins at i.
func (s *scan) kindAt(i int) string {
	switch c := s.at(i); c {
	case '"':
		return "a text"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	default:
		if c == '-' || c-'0' <= 9 {
			return "a number"
		}
		return "no value"
	}
}

// extrasWithin prefixes the paths of the extras from the given one on with the
// name of what contains them.
func (s *scan) extrasWithin(name string, from int) {
	for i := from; i < len(s.extras); i++ {
		x := &s.extras[i]
		if strings.HasPrefix(name, "[") || !strings.HasPrefix(x.path, "[") {
			x.path = name + "." + x.path
		} else {
			x.path = name + x.path
		}
	}
}

// sortExtras brings the extras into the order of their paths, so that the same
// event gives the same bytes whatever the order of its keys, and refuses a path
// that comes twice: of two values under one key of a map, readers see one.
func (s *scan) sortExtras() error {
	slices.SortFunc(s.extras, func(a, b extra) int { return strings.Compare(a.path, b.path) })
	for i := 1; i < len(s.extras); i++ {
		if path := s.extras[i].path; path == s.extras[i-1].path {
			return &FieldError{Path: path, Field: path, Found: "the key twice", Expected: "each key once"}
		}
	}
	return nil
}

// skip checks the value at i by JSON's grammar and returns the place after it.
func (s *scan) skip(i, depth int) (int, error) {
	if depth > maxUnknownDepth {
		return i, s.syntax(i, "an unknown field nests too deep")
	}
	switch s.at(i) {
	case '"':
		end, _, err := s.text(i + 1)
		return end + 1, err
	case '{':
		return s.skipObject(i, depth)
	case '[':
		return s.skipArray(i, depth)
	case 'n':
		return s.literal(i, "null")
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	}
	end, ok := s.number(i)
	if !ok {
		return i, s.syntax(i, "expected a value")
	}
	return end, nil
}

func (s *scan) skipObject(i, depth int) (int, error) {
	if i = s.space(i + 1); s.at(i) == '}' {
		return i + 1, nil
	}
	for {
		if s.at(i) != '"' {
			return i, s.syntax(i, "expected a key")
		}
		end, _, err := s.text(i + 1)
		if err != nil {
			return i, err
		}
		if i = s.space(end + 1); s.at(i) != ':' {
			return i, s.syntax(i, "expected a colon")
		}
		if i, err = s.skip(s.space(i+1), depth+1); err != nil {
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

func (s *scan) skipArray(i, depth int) (int, error) {
	if i = s.space(i + 1); s.at(i) == ']' {
		return i + 1, nil
	}
	for {
		var err error
		if i, err = s.skip(i, depth+1); err != nil {
			return i, err
		}
		switch i = s.space(i); s.at(i) {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1, nil
		default:
			return i, s.syntax(i, "expected a comma or a closing bracket")
		}
	}
}

// appendExtras writes the extras as a union's map branch of texts.
func (s *scan) appendExtras(dst []byte) []byte {
	if len(s.extras) == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, 1)
	dst = binary.AppendVarint(dst, int64(len(s.extras)))
	for _, x := range s.extras {
		dst = binary.AppendVarint(dst, int64(len(x.path)))
		dst = append(dst, x.path...)
		dst = binary.AppendVarint(dst, int64(x.end-x.start))
		dst = append(dst, s.p[x.start:x.end]...)
	}
	return append(dst, 0)
}

// appendExtrasJSON writes the extras as an object of texts.
func (s *scan) appendExtrasJSON(dst []byte) []byte {
	dst = append(dst, '{')
	for i, x := range s.extras {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONText(dst, []byte(x.path))
		dst = append(dst, ':')
		dst = appendJSONText(dst, s.p[x.start:x.end])
	}
	return append(dst, '}')
}

// appendJSONText writes UTF-8 as a JSON text, escaping only what must be.
func appendJSONText[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
