package foreign

import "encoding/json"

// Record is what a reader saw of a record. All programs print this, one JSON
// object a line.
type Record struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp int64  `json:"timestamp"` // milliseconds since 1970

	Key     []byte   `json:"key"` // nil: none
	Headers []Header `json:"headers"`

	// Value is the Avro value as plain JSON: a union is the value alone, bytes and
	// fixed are base64, NaN and the infinities are strings, and a long has all its
	// digits. Nil for a tombstone, which has no schema either.
	Value    json.RawMessage `json:"value"`
	Schema   string          `json:"schema"` // full name
	SchemaID int             `json:"schemaId"`
}

// Header is one header of a record.
type Header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// Header returns the value of the first header of that name.
func (r *Record) Header(key string) (value []byte, ok bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value, true
		}
	}
	return nil, false
}
