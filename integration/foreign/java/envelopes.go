package java

import "testing"

// Enveloped is a record in Debezium's envelope, as it is in a topic.
type Enveloped struct {
	Topic  string `json:"topic"`
	Key    string `json:"key"`
	Schema string `json:"schema"` // Avro's text, as the registry has it
	Value  []byte `json:"value"`  // in Confluent's wire format; nil for a tombstone
}

// Unwrapped is what Debezium's transform io.debezium.transforms.ExtractNewRecordState
// makes of a record.
type Unwrapped struct {
	Dropped bool           `json:"dropped"`
	Name    string         `json:"name"` // of the schema
	Value   map[string]any `json:"value"`
}

// Consumed is what the users of one record get: the transform in three modes of
// delete.tombstone.handling.mode, and Flink's format debezium-avro-confluent, whose
// rows have their kind (+I, -U, +U, -D) as "kind".
type Consumed struct {
	Tombstone Unwrapped        `json:"tombstone"`
	Rewrite   Unwrapped        `json:"rewrite"`
	Drop      Unwrapped        `json:"drop"`
	Flink     []map[string]any `json:"flink"`
}

// Consume gives records to Debezium's and Flink's own classes. columns are those of
// Flink's table, as name:type with STRING, INT, DOUBLE or TIMESTAMP.
func Consume(tb testing.TB, columns string, records []Enveloped) []Consumed {
	tb.Helper()
	return each[Consumed](tb, build(tb, "envelopes/pom.xml", "envelopes/Envelopes.java"), records, columns)
}
