package transform_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

// avroReader is a second Avro implementation, for reading only, written from the
// specification alone (Apache Avro 1.12, "Binary Encoding") and sharing nothing
// with the library or with what is tested. It knows no logical types.
type avroReader struct {
	in    []byte
	named map[string]definition
}

// definition is a named type and the namespace of what it contains.
type definition struct {
	body      map[string]any
	namespace string
}

// decodeAvro reads a whole value by a schema's text: records and maps as maps,
// int and long as int64, float and double as float64, unions as their value.
func decodeAvro(text string, value []byte) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var schema any
	if err := d.Decode(&schema); err != nil {
		return nil, err
	}
	r := &avroReader{in: value, named: make(map[string]definition)}
	r.define(schema, "")
	v, err := r.value(schema, "")
	if err != nil {
		return nil, fmt.Errorf("%d bytes before the end: %w", len(r.in), err)
	}
	if len(r.in) != 0 {
		return nil, fmt.Errorf("%d bytes are left after the value", len(r.in))
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the value is a %T", v)
	}
	return m, nil
}

var errCut = errors.New("the value is cut off")

func (r *avroReader) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(r.in)) {
		return nil, errCut
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b, nil
}

// long reads a zig-zag varint of at most ten bytes.
func (r *avroReader) long() (int64, error) {
	var u uint64
	for shift := 0; ; shift += 7 {
		b, err := r.take(1)
		switch {
		case err != nil:
			return 0, err
		case shift == 63 && b[0] > 1:
			return 0, errors.New("a varint of more than 64 bits")
		}
		u |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return int64(u>>1) ^ -int64(u&1), nil
		}
	}
}

func (r *avroReader) text() (string, error) {
	n, err := r.long()
	if err != nil {
		return "", err
	}
	b, err := r.take(n)
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string that is not UTF-8")
	}
	return string(b), err
}

// value reads by a type: a name, a union as a list, or a definition.
func (r *avroReader) value(schema any, namespace string) (any, error) {
	switch t := schema.(type) {
	case string:
		return r.byName(t, namespace)
	case []any:
		i, err := r.long()
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= int64(len(t)) {
			return nil, fmt.Errorf("branch %d of %d", i, len(t))
		}
		return r.value(t[i], namespace)
	case map[string]any:
		return r.definition(t, namespace)
	}
	return nil, fmt.Errorf("a schema cannot be %v", schema)
}

func (r *avroReader) byName(name, namespace string) (any, error) {
	switch name {
	case "null":
		return nil, nil
	case "boolean":
		b, err := r.take(1)
		if err == nil && b[0] > 1 {
			err = fmt.Errorf("the boolean %d", b[0])
		}
		return err == nil && b[0] == 1, err
	case "int":
		v, err := r.long()
		if err == nil && v != int64(int32(v)) {
			err = fmt.Errorf("the int %d", v)
		}
		return v, err
	case "long":
		return r.long()
	case "float":
		b, err := r.take(4)
		if err != nil {
			return nil, err
		}
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
	case "double":
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
	case "string", "bytes":
		return r.text()
	}
	full := name
	if !strings.Contains(name, ".") && namespace != "" {
		full = namespace + "." + name
	}
	known, ok := r.named[full]
	if !ok {
		return nil, fmt.Errorf("unknown type %s", full)
	}
	return r.definition(known.body, known.namespace)
}

// define collects the named types, wherever they are: a value need not come by
// the place of a definition before it uses the name.
func (r *avroReader) define(schema any, namespace string) {
	switch t := schema.(type) {
	case []any:
		for _, branch := range t {
			r.define(branch, namespace)
		}
	case map[string]any:
		if name, ok := t["name"].(string); ok {
			name, namespace = fullName(t, name, namespace)
			r.named[name] = definition{body: t, namespace: namespace}
		}
		r.define(t["type"], namespace)
		r.define(t["items"], namespace)
		r.define(t["values"], namespace)
		fields, _ := t["fields"].([]any)
		for _, f := range fields {
			if field, ok := f.(map[string]any); ok {
				r.define(field["type"], namespace)
			}
		}
	}
}

func fullName(t map[string]any, name, namespace string) (full, inner string) {
	if own, ok := t["namespace"].(string); ok {
		namespace = own
	}
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	}
	if namespace != "" {
		name = namespace + "." + name
	}
	return name, namespace
}

func (r *avroReader) definition(t map[string]any, namespace string) (any, error) {
	kind, ok := t["type"].(string)
	if !ok {
		return r.value(t["type"], namespace)
	}
	if name, ok := t["name"].(string); ok {
		_, namespace = fullName(t, name, namespace)
	}
	switch kind {
	case "record":
		return r.record(t, namespace)
	case "enum":
		i, err := r.long()
		symbols, _ := t["symbols"].([]any)
		if err == nil && (i < 0 || i >= int64(len(symbols))) {
			err = fmt.Errorf("symbol %d of %d", i, len(symbols))
		}
		if err != nil {
			return nil, err
		}
		return symbols[i], nil
	case "array":
		out := []any{}
		err := r.blocks(func() error {
			v, err := r.value(t["items"], namespace)
			out = append(out, v)
			return err
		})
		return out, err
	case "map":
		out := map[string]any{}
		err := r.blocks(func() error {
			key, err := r.text()
			if err != nil {
				return err
			}
			if _, twice := out[key]; twice {
				return fmt.Errorf("the key %q comes twice", key)
			}
			out[key], err = r.value(t["values"], namespace)
			return err
		})
		return out, err
	}
	return r.byName(kind, namespace)
}

func (r *avroReader) record(t map[string]any, namespace string) (any, error) {
	out := map[string]any{}
	fields, _ := t["fields"].([]any)
	for _, f := range fields {
		field, _ := f.(map[string]any)
		name, _ := field["name"].(string)
		v, err := r.value(field["type"], namespace)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = v
	}
	return out, nil
}

// blocks reads the items of an array or a map: blocks that begin with their
// number of items, which is negative if their size in bytes follows, and behind
// the last one a zero.
func (r *avroReader) blocks(item func() error) error {
	for {
		n, err := r.long()
		if err != nil || n == 0 {
			return err
		}
		end := -1
		if n < 0 {
			size, err := r.long()
			if err != nil || size < 0 || size > int64(len(r.in)) {
				return errCut
			}
			n, end = -n, len(r.in)-int(size)
		}
		for ; n > 0; n-- {
			if err := item(); err != nil {
				return err
			}
		}
		if end >= 0 && len(r.in) != end {
			return errors.New("a block has not the size that it says")
		}
	}
}

// TestAvroReader holds the reader to the specification's own examples, and to
// refusing what is no value.
func TestAvroReader(t *testing.T) {
	const schema = `{"type":"record","name":"test","namespace":"a.b","fields":[{"name":"x","type":%s}]}`
	for _, c := range []struct {
		typ, in string
		want    any
	}{
		{`"long"`, "\x00", int64(0)}, {`"long"`, "\x01", int64(-1)}, {`"long"`, "\x02", int64(1)}, {`"int"`, "\x7f", int64(-64)}, {`"int"`, "\x80\x01", int64(64)},
		{`"long"`, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", int64(math.MinInt64)},
		{`"string"`, "\x06foo", "foo"}, {`["null","string"]`, "\x02\x02a", "a"}, {`["null","string"]`, "\x00", nil}, {`"boolean"`, "\x01", true},
		{`"double"`, "\x00\x00\x00\x00\x00\x00\xf0\x3f", 1.0}, {`"float"`, "\x00\x00\x80\x3f", 1.0},
		{`{"type":"array","items":"long"}`, "\x04\x06\x36\x00", []any{int64(3), int64(27)}},
		{`{"type":"array","items":"long"}`, "\x03\x04\x06\x36\x00", []any{int64(3), int64(27)}},
		{`{"type":"array","items":"long"}`, "\x02\x06\x02\x36\x00", []any{int64(3), int64(27)}},
		{`{"type":"map","values":"long"}`, "\x02\x02a\x06\x00", map[string]any{"a": int64(3)}},
		{`{"type":"enum","name":"Foo","symbols":["A","B","C","D"]}`, "\x06", "D"},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"b","type":"E"},{"name":"c","type":"a.b.E"}]}`, "\x00\x00\x00", map[string]any{"a": "A", "b": "A", "c": "A"}},
	} {
		got, err := decodeAvro(fmt.Sprintf(schema, c.typ), []byte(c.in))
		if err != nil || fmt.Sprintf("%#v", got["x"]) != fmt.Sprintf("%#v", c.want) {
			t.Errorf("%s of % x: %#v, %v", c.typ, c.in, got["x"], err)
		}
	}
	for _, c := range [][2]string{
		{`"long"`, ""}, {`"long"`, "\x80"}, {`"long"`, "\x00\x00"}, {`"int"`, "\xfe\xff\xff\xff\x1f"}, {`"long"`, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"},
		{`"string"`, "\x06fo"}, {`"string"`, "\x01"}, {`"string"`, "\x02\xff"}, {`["null"]`, "\x02"}, {`["null"]`, "\x01"}, {`"boolean"`, "\x02"}, {`"double"`, "\x00"},
		{`{"type":"array","items":"long"}`, "\x04\x06\x36"}, {`{"type":"array","items":"long"}`, "\x03\x06\x06\x36\x00"}, {`{"type":"map","values":"long"}`, "\x04\x02a\x06\x02a\x06\x00"},
		{`{"type":"enum","name":"Foo","symbols":["A"]}`, "\x02"}, {`"unknown"`, "\x00"},
	} {
		if got, err := decodeAvro(fmt.Sprintf(schema, c[0]), []byte(c[1])); err == nil {
			t.Errorf("%s of % x: %v", c[0], c[1], got)
		}
	}
}
