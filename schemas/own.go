package schemas

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the schemas of records that are not Salesforce's
	"encoding/hex"
	"encoding/json"
)

//go:embed gap.avsc
var gapText []byte

//go:embed schema-change.avsc
var schemaChangeText []byte

// Gap returns the schema of the gap ledger's records, for [Registry.Register].
// It has no Root: it is not a schema of events.
func Gap() *Schema { return own("Gap", gapText) }

// SchemaChange returns the schema of the records of schema changes, as [Gap]
// does for its own.
func SchemaChange() *Schema { return own("SchemaChange", schemaChangeText) }

func own(name string, text []byte) *Schema {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		panic(err) // the text is part of the program, and a test parses it
	}
	sum := sha256.Sum256(b.Bytes())
	return &Schema{
		Name: name, FullName: "bridge.ledger." + name, JSON: b.Bytes(), Fingerprint: hex.EncodeToString(sum[:]),
	}
}
