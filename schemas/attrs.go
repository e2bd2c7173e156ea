package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// member is one key of a JSON object, in the order of the text: the attributes
// that Avro does not define are written back as they came.
type member struct {
	key   string
	value json.RawMessage
}

// members splits a JSON object. A key that comes twice is an error: one of the
// two would be lost.
func members(raw json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("expected an object, found %s", snippet(raw))
	}
	var out []member
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("expected a key, found %v", t)
		}
		m := member{key: key}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		for _, other := range out {
			if other.key == m.key {
				return nil, fmt.Errorf("the attribute %q comes twice", m.key)
			}
		}
		out = append(out, m)
	}
	return out, nil
}

// take removes an attribute.
func take(attrs *[]member, key string) (json.RawMessage, bool) {
	for i, m := range *attrs {
		if m.key == key {
			*attrs = append((*attrs)[:i:i], (*attrs)[i+1:]...)
			return m.value, true
		}
	}
	return nil, false
}

// takeText removes a text attribute; one that is missing is empty.
func takeText(attrs *[]member, key string) (string, error) {
	raw, ok := take(attrs, key)
	if !ok {
		return "", nil
	}
	s, err := text(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return s, nil
}

func text(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", fmt.Errorf("expected a text, found %s", snippet(raw))
	}
	return *s, nil
}

// legalName follows Avro 1.12, "Names".
func legalName(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_':
		case c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

func label(n *Node) string {
	if n.Name != "" {
		return n.Name
	}
	return n.Kind.String()
}

func article(k Kind) string {
	switch k {
	case KindInt, KindArray, KindEnum:
		return "an " + k.String()
	}
	return "a " + k.String()
}

func snippet(b []byte) string {
	const most = 80
	s := strings.ToValidUTF8(string(b[:min(len(b), most)]), "?")
	if len(b) > most {
		s += "…"
	}
	return fmt.Sprintf("%q", s)
}

// compact takes the white space out of a JSON text that is known to be valid.
func compact(raw json.RawMessage) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return raw
	}
	return b.Bytes()
}
