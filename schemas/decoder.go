package schemas

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/hamba/avro/v2"
)

// DecodeError says why a record's value cannot be read.
type DecodeError struct {
	SchemaID int // the registry's id, 0 if the value names none
	Reason   string
	Err      error
}

func (e *DecodeError) Error() string {
	s := "record value"
	if e.SchemaID != 0 {
		s += fmt.Sprintf(" of schema %d", e.SchemaID)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DecodeError) Unwrap() error { return e.Err }

// Decoder reads values in Confluent's wire format (Confluent Schema Registry,
// "Wire format"): a zero byte, the schema's id in four bytes, Avro binary. The
// schema comes from the registry, so that a Decoder knows no more of a record
// than any other consumer does. It is for tools and tests, not for speed. It is
// safe for concurrent use.
type Decoder struct {
	registry *Registry

	mu    sync.Mutex
	known map[int]avro.Schema
}

// Decoder returns a decoder that takes schemas from this registry.
func (r *Registry) Decoder() *Decoder {
	return &Decoder{registry: r, known: make(map[int]avro.Schema)}
}

// wireHeader is the size of the magic byte and the id.
const wireHeader = 5

// JSON renders a value as a JSON object with its fields in the schema's order.
// Unions show their value alone, longs and doubles their digits, bytes base64.
// A value that is cut or longer than its schema says is a *[DecodeError].
func (d *Decoder) JSON(ctx context.Context, value []byte) ([]byte, error) {
	if len(value) < wireHeader || value[0] != 0 {
		return nil, &DecodeError{Reason: "does not begin with a zero byte and a schema id"}
	}
	id := int(binary.BigEndian.Uint32(value[1:wireHeader]))
	schema, err := d.schema(ctx, id)
	if err != nil {
		return nil, err
	}
	body := bytes.NewReader(value[wireHeader:])
	r := avro.NewReader(body, len(value))
	out, err := appendJSON(nil, schema, r)
	if err == nil {
		err = atEnd(r)
	}
	if err != nil {
		return nil, &DecodeError{SchemaID: id, Reason: "is not what its schema says", Err: err}
	}
	return out, nil
}

// atEnd checks that nothing is left: the Avro library itself would not mind.
func atEnd(r *avro.Reader) error {
	if r.Error != nil {
		return r.Error
	}
	r.Peek()
	if errors.Is(r.Error, io.EOF) {
		return nil
	}
	return errors.New("bytes are left over")
}

func (d *Decoder) schema(ctx context.Context, id int) (avro.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.known[id]; ok {
		return s, nil
	}
	text, err := d.registry.client.SchemaByID(ctx, id)
	if err != nil {
		return nil, &DecodeError{SchemaID: id, Reason: "asking the registry for the schema", Err: err}
	}
	// A fresh cache: the library's own is one for the whole process, in which a
	// schema would find names that others defined.
	s, err := avro.ParseWithCache(text.Schema, "", &avro.SchemaCache{})
	if err != nil {
		return nil, &DecodeError{SchemaID: id, Reason: "parsing the schema", Err: err}
	}
	d.known[id] = s
	return s, nil
}

// appendJSON renders the next value.
func appendJSON(dst []byte, schema avro.Schema, r *avro.Reader) ([]byte, error) {
	switch s := schema.(type) {
	case *avro.RefSchema:
		return appendJSON(dst, s.Schema(), r)
	case *avro.RecordSchema:
		return appendRecord(dst, s, r)
	case *avro.UnionSchema:
		i := r.ReadLong()
		if r.Error != nil {
			return nil, r.Error
		}
		if i < 0 || i >= int64(len(s.Types())) {
			return nil, fmt.Errorf("union branch %d of %d", i, len(s.Types()))
		}
		return appendJSON(dst, s.Types()[i], r)
	case *avro.EnumSchema:
		i := int(r.ReadInt())
		symbol, ok := s.Symbol(i)
		if !ok {
			return nil, fmt.Errorf("symbol %d of enum %s", i, s.FullName())
		}
		return appendText(dst, symbol), r.Error
	case *avro.ArraySchema:
		return appendArray(dst, s, r)
	case *avro.MapSchema:
		return appendMap(dst, s, r)
	default:
		return appendPrimitive(dst, schema, r)
	}
}

func appendRecord(dst []byte, s *avro.RecordSchema, r *avro.Reader) ([]byte, error) {
	dst = append(dst, '{')
	for i, f := range s.Fields() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, f.Name()), ':')
		var err error
		if dst, err = appendJSON(dst, f.Type(), r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	return append(dst, '}'), nil
}

func appendArray(dst []byte, s *avro.ArraySchema, r *avro.Reader) ([]byte, error) {
	dst = append(dst, '[')
	for first := true; ; {
		n, _ := r.ReadBlockHeader()
		if r.Error != nil {
			return nil, r.Error
		}
		if n == 0 {
			return append(dst, ']'), nil
		}
		for range n {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			var err error
			if dst, err = appendJSON(dst, s.Items(), r); err != nil {
				return nil, err
			}
		}
	}
}

func appendMap(dst []byte, s *avro.MapSchema, r *avro.Reader) ([]byte, error) {
	dst = append(dst, '{')
	for first := true; ; {
		n, _ := r.ReadBlockHeader()
		if r.Error != nil {
			return nil, r.Error
		}
		if n == 0 {
			return append(dst, '}'), nil
		}
		for range n {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendText(dst, r.ReadString()), ':')
			var err error
			if dst, err = appendJSON(dst, s.Values(), r); err != nil {
				return nil, err
			}
		}
	}
}

func appendPrimitive(dst []byte, schema avro.Schema, r *avro.Reader) ([]byte, error) {
	switch schema.Type() {
	case avro.Null:
		dst = append(dst, "null"...)
	case avro.Boolean:
		dst = strconv.AppendBool(dst, r.ReadBool())
	case avro.Int:
		dst = strconv.AppendInt(dst, int64(r.ReadInt()), 10)
	case avro.Long:
		dst = strconv.AppendInt(dst, r.ReadLong(), 10)
	case avro.Double:
		f := r.ReadDouble()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("double %v", f)
		}
		dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	case avro.String:
		dst = appendText(dst, r.ReadString())
	default:
		return nil, fmt.Errorf("type %s is not one of an event schema", schema.Type())
	}
	return dst, r.Error
}
