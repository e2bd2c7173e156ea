package javareader

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

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

// Consume gives records to Debezium's and Flink's own classes, from Maven.
// columns are those of Flink's table, as name:type with STRING, INT, DOUBLE or
// TIMESTAMP. Anything that one of the classes cannot take fails the test.
func Consume(tb testing.TB, columns string, records []Enveloped) []Consumed {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime+readTime)
	defer cancel()
	p, err := build(ctx, "envelopes/pom.xml", "envelopes/Envelopes.java")
	if err != nil {
		kafkatest.GiveUp(tb, err)
	}
	var in, said bytes.Buffer
	lines := json.NewEncoder(&in)
	for i := range records {
		if err := lines.Encode(&records[i]); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, p.java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-cp", filepath.Join(p.dir, "classes")+string(os.PathListSeparator)+filepath.Join(p.dir, "libs", "*"), "Envelopes", columns)
	cmd.Stdin, cmd.Stderr = &in, &said
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("Debezium's and Flink's classes: %v: %s", err, strings.TrimSpace(said.String()))
	}
	var got []Consumed
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var c Consumed
		if err := d.Decode(&c); err != nil {
			tb.Fatalf("%v in %s", err, out)
		}
		got = append(got, c)
	}
	if len(got) != len(records) {
		tb.Fatalf("%d answers to %d records", len(got), len(records))
	}
	return got
}
