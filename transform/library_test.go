package transform_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/sfbridge/bridge/schemas"
)

// library encodes the reference's values with the usual Avro library: the slow
// way to what the encoder makes.
type library struct {
	schema avro.Schema
	root   *schemas.Node
}

func newLibrary(tb testing.TB, s *schemas.Schema) *library {
	tb.Helper()
	// Logical types would ask for times of package time; the numbers matter.
	var text any
	if err := json.Unmarshal(s.JSON, &text); err != nil {
		tb.Fatal(err)
	}
	bare, err := json.Marshal(withoutLogical(text))
	if err != nil {
		tb.Fatal(err)
	}
	schema, err := avro.ParseWithCache(string(bare), "", &avro.SchemaCache{})
	if err != nil {
		tb.Fatal(err)
	}
	return &library{schema: schema, root: s.Root}
}

func withoutLogical(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "logicalType")
		for k := range v {
			v[k] = withoutLogical(v[k])
		}
	case []any:
		for i := range v {
			v[i] = withoutLogical(v[i])
		}
	}
	return v
}

func (l *library) encode(v map[string]any) ([]byte, error) {
	in, err := libraryValue(l.root, v)
	if err != nil {
		return nil, err
	}
	return avro.Marshal(l.schema, in)
}

// libraryValue gives a value of the reference the Go type that the library asks
// for: a union's value in a map under the name of its branch.
func libraryValue(n *schemas.Node, v any) (any, error) {
	switch n.Kind {
	case schemas.KindUnion:
		if v == nil {
			return nil, nil
		}
		for _, b := range n.Branches {
			if b.Kind == schemas.KindNull || !fitsKind(b.Kind, v) {
				continue
			}
			inner, err := libraryValue(b, v)
			name := b.Kind.String()
			if b.Name != "" {
				name = b.Name
			}
			return map[string]any{name: inner}, err
		}
	case schemas.KindRecord:
		m, _ := v.(map[string]any)
		out := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			inner, err := libraryValue(f.Type, m[f.Name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			out[f.Name] = inner
		}
		return out, nil
	case schemas.KindArray:
		list, _ := v.([]any)
		out := make([]any, len(list))
		for i := range list {
			var err error
			if out[i], err = libraryValue(n.Items, list[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case schemas.KindInt:
		if i, ok := v.(int64); ok {
			return int(i), nil
		}
	default:
		if fitsKind(n.Kind, v) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a %T is no %s", v, n.Kind)
}

func fitsKind(k schemas.Kind, v any) bool {
	switch v.(type) {
	case bool:
		return k == schemas.KindBoolean
	case string:
		return k == schemas.KindString || k == schemas.KindEnum
	case int64:
		return k == schemas.KindInt || k == schemas.KindLong
	case float64:
		return k == schemas.KindDouble
	case []any:
		return k == schemas.KindArray
	case map[string]any:
		return k == schemas.KindRecord || k == schemas.KindMap
	}
	return false
}

// sameValue compares two trees; doubles by their bits, so that -0 is not 0.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		if !ok || len(m) != len(a) {
			return false
		}
		for k := range a {
			other, ok := m[k]
			if !ok || !sameValue(a[k], other) {
				return false
			}
		}
		return true
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], l[i]) {
				return false
			}
		}
		return true
	case float64:
		f, ok := b.(float64)
		return ok && math.Float64bits(f) == math.Float64bits(a)
	}
	return a == b
}
