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

// Gap returns the schema of the gap ledger's records, for [Registry.Register].
// It has no Root: it is not a schema of events.
func Gap() *Schema {
	var text bytes.Buffer
	if err := json.Compact(&text, gapText); err != nil {
		panic(err) // the text is part of the program, and a test parses it
	}
	sum := sha256.Sum256(text.Bytes())
	return &Schema{
		Name: "Gap", FullName: "bridge.ledger.Gap", JSON: text.Bytes(), Fingerprint: hex.EncodeToString(sum[:]),
	}
}
