package schemas_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/sfbridge/bridge/schemas"
)

const extrasBase = `{"name":"A__e","namespace":"com.sforce.eventbus","type":"record","fields":[{"name":"CreatedDate","type":"long","doc":"CreatedDate:DateTime"},{"name":"Note__c","type":["null","string"],"default":null}],"uuid":"x"}`

// TestWithExtras: one field more at the end, all else as it was, and the schema
// that it was made from untouched.
func TestWithExtras(t *testing.T) {
	s, err := schemas.Parse("id", []byte(extrasBase))
	if err != nil {
		t.Fatal(err)
	}
	before := string(s.JSON)
	got, err := schemas.WithExtras(s)
	if err != nil {
		t.Fatal(err)
	}
	if string(s.JSON) != before || len(s.Root.Fields) != 2 || s.Extras {
		t.Error("the schema it was made from was changed")
	}
	if got.ID != s.ID || got.Name != s.Name || got.FullName != s.FullName || got.ChangeEvent != s.ChangeEvent || !got.Extras {
		t.Errorf("got %+v", got)
	}
	sum := sha256.Sum256(got.JSON)
	if got.Fingerprint != hex.EncodeToString(sum[:]) || got.Fingerprint == s.Fingerprint {
		t.Errorf("fingerprint %s", got.Fingerprint)
	}
	if n := len(got.Root.Fields); n != 3 || got.Root.Field(schemas.ExtrasField) != 2 || !got.Root.Fields[2].Type.Nullable() {
		t.Errorf("%d fields", n)
	}
	head, tail := before[:len(before)-len("]}")], string(got.JSON)
	if !strings.HasPrefix(tail, head+`,{"name":"_extras","type":["null",{"type":"map","values":"string"}],"doc":"`) || !strings.HasSuffix(tail, `","default":null}]}`) {
		t.Errorf("text %s", tail)
	}
	parsed, err := avro.ParseWithCache(string(got.JSON), "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	if record, ok := parsed.(*avro.RecordSchema); !ok || record.FullName() != s.FullName || record.Fields()[2].Type().Type() != avro.Union {
		t.Errorf("parsed %s", parsed)
	}
	again, err := schemas.WithExtras(got)
	if err != nil || again != got {
		t.Errorf("a second time: %v", err)
	}
	twin, err := schemas.WithExtras(s)
	if err != nil || twin.Fingerprint != got.Fingerprint {
		t.Errorf("made twice, it is not the same: %v", err)
	}
}

func TestWithExtrasNameTaken(t *testing.T) {
	s, err := schemas.Parse("id", []byte(strings.Replace(extrasBase, "Note__c", schemas.ExtrasField, 1)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = schemas.WithExtras(s)
	var schema *schemas.SchemaError
	if !errors.As(err, &schema) || schema.ID != "id" || schema.Path != "A__e._extras" {
		t.Errorf("got %v", err)
	}
}
