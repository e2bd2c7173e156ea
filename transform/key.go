package transform

import (
	"encoding/binary"
	"fmt"
)

// KeyFormat is how record keys are written.
type KeyFormat uint8

const (
	// StringKeys are the bare text.
	StringKeys KeyFormat = iota
	// AvroKeys are the text in Confluent's wire format, by the Avro schema "string".
	AvroKeys
)

// String returns the format's name in configurations.
func (f KeyFormat) String() string {
	switch f {
	case StringKeys:
		return "string"
	case AvroKeys:
		return "avro"
	}
	return fmt.Sprintf("KeyFormat(%d)", uint8(f))
}

// keySubject is where the schema of a topic's keys is registered, whatever the
// strategy of the values: "string" has no name that a subject could be made of.
func keySubject(topic string) string { return topic + "-key" }

// keyRoom is what may stand before the text of a key: the wire prefix and the
// text's length.
const keyRoom = wirePrefix + binary.MaxVarintLen32

// startKey leaves room in buf before a key. The key itself stays a text there
// until the records are laid out, since values and gaps are made of it too.
func (e *Encoder) startKey() {
	if e.cfg.KeyFormat == AvroKeys {
		e.buf = append(e.buf, make([]byte, keyRoom)...)
	}
}

// recordKey is a key in the arena as records have it.
func (e *Encoder) recordKey(arena []byte, key span, id int) []byte {
	if e.cfg.KeyFormat != AvroKeys {
		return cut(arena, key)
	}
	var head [keyRoom]byte
	binary.BigEndian.PutUint32(head[1:], uint32(id)) //nolint:gosec // the registry's client gives ids that fit
	n := wirePrefix + binary.PutVarint(head[wirePrefix:], int64(key.end-key.start))
	key.start -= int32(copy(arena[key.start-int32(n):], head[:n]))
	return cut(arena, key)
}

// keyFits checks that keys can be written as they shall be.
func (c *Config) keyFits() error {
	switch {
	case c.KeyFormat > AvroKeys:
		return &ConfigError{Setting: "key format", Reason: "unknown " + c.KeyFormat.String()}
	case c.KeyFormat == AvroKeys && c.Registry == nil:
		return &ConfigError{Setting: "key format", Reason: "avro needs a registry"}
	}
	return nil
}
