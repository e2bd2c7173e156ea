package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// StringKey returns the schema of record keys that are texts, Avro's "string",
// for [Registry.Register]. It is not a schema of events.
func StringKey() *Schema {
	const text = `"string"`
	sum := sha256.Sum256([]byte(text))
	return &Schema{
		Name: "string", FullName: "string", JSON: []byte(text), Fingerprint: hex.EncodeToString(sum[:]),
		Root: &Node{Kind: KindString},
	}
}

// isKey reports whether a schema is one of keys.
func (s *Schema) isKey() bool { return s.Root != nil && s.Root.Kind == KindString }

// parseKey reads what should be a schema of keys as a registry has it.
func parseKey(text []byte) (*Schema, error) {
	if !json.Valid(text) {
		return nil, &SchemaError{Reason: "not JSON: " + snippet(text)}
	}
	p := &parser{named: make(map[string]*Node), asIs: true}
	root, err := p.parseType(scope{}, text)
	if err != nil {
		return nil, err
	}
	return &Schema{JSON: text, Root: root}, nil
}
