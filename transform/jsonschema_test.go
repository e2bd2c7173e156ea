package transform_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
)

// jsonSchema is a second implementation of as much of JSON Schema (draft 7) as
// package schemas writes.
type jsonSchema map[string]any

func parseJSONSchema(tb testing.TB, s *schemas.Schema) jsonSchema {
	tb.Helper()
	var out jsonSchema
	if err := json.Unmarshal(schemas.JSONSchema(s).JSON, &out); err != nil {
		tb.Fatalf("%v in %s", err, schemas.JSONSchema(s).JSON)
	}
	return out
}

// accepts says why a decoded document does not follow the schema.
func (s jsonSchema) accepts(path string, v any) error {
	if branches, ok := s["oneOf"].([]any); ok {
		fit, why := 0, ""
		for _, b := range branches {
			err := jsonSchema(b.(map[string]any)).accepts(path, v)
			if err == nil {
				fit++
			} else {
				why = err.Error()
			}
		}
		if fit != 1 {
			return fmt.Errorf("%s: %d of %d branches fit: %s", path, fit, len(branches), why)
		}
		return nil
	}
	typ, fits := s["type"].(string), false
	switch v := v.(type) {
	case nil:
		fits = typ == "null"
	case bool:
		fits = typ == "boolean"
	case string:
		symbols, isEnum := s["enum"].([]any)
		fits = typ == "string" && (!isEnum || slices.Contains(symbols, any(v)))
	case json.Number:
		fits = typ == "number" || typ == "integer" && !strings.ContainsAny(v.String(), ".eE")
		if low, ok := s["minimum"].(float64); ok && fits {
			f, err := v.Float64()
			fits = err == nil && f >= low && f <= s["maximum"].(float64)
		}
	case []any:
		fits = typ == "array"
		for i, item := range v {
			if !fits {
				break
			}
			if err := jsonSchema(s["items"].(map[string]any)).accepts(fmt.Sprintf("%s[%d]", path, i), item); err != nil {
				return err
			}
		}
	case map[string]any:
		if typ == "object" {
			return s.acceptsObject(path, v)
		}
	}
	if !fits {
		return fmt.Errorf("%s: %v is no %s", path, v, typ)
	}
	return nil
}

func (s jsonSchema) acceptsObject(path string, v map[string]any) error {
	properties, _ := s["properties"].(map[string]any)
	for name, value := range v {
		sub, ok := properties[name].(map[string]any)
		if !ok {
			sub, ok = s["additionalProperties"].(map[string]any)
		}
		if !ok {
			return fmt.Errorf("%s.%s: no such property", path, name)
		}
		if err := jsonSchema(sub).accepts(path+"."+name, value); err != nil {
			return err
		}
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s.%s: is required", path, name)
		}
	}
	return nil
}

// TestJSONSchemaJudges: the checker refuses what the schema does.
func TestJSONSchemaJudges(t *testing.T) {
	_, text := benchEvent(t)
	parsed, err := schemas.Parse("id", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := parseJSONSchema(t, parsed)
	for _, doc := range []string{
		`{}`, `{"ChangeEventHeader":1}`, `{"ChangeEventHeader":{},"Phone":1}`,
	} {
		v, err := decodeJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if s.accepts("value", v) == nil {
			t.Errorf("%s is accepted", doc)
		}
	}
}
