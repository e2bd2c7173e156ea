package fold

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/schemas"
)

// envelope is the shape of a value.
type envelope uint8

const (
	noEnvelope envelope = iota
	eventEnvelope
	flatEnvelope
	debeziumEnvelope
)

// Change types that are told apart.
const (
	created     = "CREATE"
	undeleted   = "UNDELETE"
	updated     = "UPDATE"
	snapshotRow = "SNAPSHOT"
)

// change is what the value of a record says.
type change struct {
	kind                   string
	at                     time.Time
	envelope               envelope
	leaves                 []leaf // fields with a value
	changed, nulled, diffs []string
}

// leaf is a field that is no record, and its value as canonical JSON.
type leaf struct {
	name string
	text json.RawMessage
}

// whole says whether the change has the record from beginning to end.
func (c *change) whole() bool {
	return c.kind == created || c.kind == undeleted || c.kind == snapshotRow && len(c.changed) == 0
}

// tells says whether the change shows what a field of its list became.
func (c *change) tells(name string) bool {
	return slices.ContainsFunc(c.leaves, func(l leaf) bool { return covers(name, l.name) }) ||
		slices.ContainsFunc(c.nulled, func(n string) bool { return covers(n, name) || covers(name, n) })
}

// lists is what the header of a change has, wherever the envelope puts it.
type lists struct {
	CommitTimestamp json.Number `json:"commitTimestamp"`
	ChangedFields   []string    `json:"changedFields"`
	NulledFields    []string    `json:"nulledFields"`
	DiffFields      []string    `json:"diffFields"`
}

// wirePrefix is the length of Confluent's magic byte and schema id.
const wirePrefix = 5

var (
	errNoRegistry = errors.New("its schema is in a registry, and none is configured")
	errNoSchema   = errors.New("it is Avro that names no schema")
	errNoShape    = errors.New("it is in none of the envelopes event, flat and debezium")
)

// text is a value as JSON.
func (f *Fold) text(ctx context.Context, value []byte) ([]byte, error) {
	switch {
	case value[0] == '{':
		return value, nil
	case value[0] != 0 || len(value) <= wirePrefix:
		return nil, errNoSchema
	case value[wirePrefix] == '{': // no Avro of an event begins so
		return value[wirePrefix:], nil
	case f.cfg.Decoder == nil:
		return nil, errNoRegistry
	}
	return f.cfg.Decoder.JSON(ctx, value)
}

// read reads the value of a change of a kind.
func (f *Fold) read(ctx context.Context, kind string, value []byte) (*change, error) {
	text, err := f.text(ctx, value)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	c := &change{kind: kind}
	header, row := fields[schemas.HeaderField], fields
	switch {
	case header != nil:
		c.envelope = eventEnvelope
		delete(row, schemas.HeaderField)
	case fields["source"] != nil && fields["op"] != nil:
		c.envelope, header, row = debeziumEnvelope, fields["source"], nil
		if err := json.Unmarshal(orNull(fields["after"]), &row); err != nil {
			return nil, err
		}
	case fields[schemas.HeaderPrefix+"changeType"] != nil:
		c.envelope = flatEnvelope
		header, err = flatHeader(row)
	default:
		return nil, errNoShape
	}
	if err != nil {
		return nil, err
	}
	if err := c.readHeader(header); err != nil {
		return nil, err
	}
	delete(row, schemas.ExtrasField)
	return c, c.readFields("", row)
}

// flatHeader takes the header's fields out of a flat row.
func flatHeader(row map[string]json.RawMessage) (json.RawMessage, error) {
	header := make(map[string]json.RawMessage)
	for name, text := range row {
		if rest, ok := strings.CutPrefix(name, schemas.HeaderPrefix); ok {
			header[rest] = text
			delete(row, name)
		}
	}
	return json.Marshal(header)
}

func orNull(text json.RawMessage) json.RawMessage {
	if text == nil {
		return json.RawMessage("null")
	}
	return text
}

func (c *change) readHeader(text json.RawMessage) error {
	var h lists
	if err := json.Unmarshal(text, &h); err != nil {
		return err
	}
	ms, err := strconv.ParseInt(h.CommitTimestamp.String(), 10, 64)
	if err != nil {
		return fmt.Errorf("its header has the commitTimestamp %q", h.CommitTimestamp)
	}
	c.at = time.UnixMilli(ms)
	c.changed, c.nulled, c.diffs = h.ChangedFields, h.NulledFields, h.DiffFields
	return nil
}

// readFields adds the fields of a record with a value.
func (c *change) readFields(within string, fields map[string]json.RawMessage) error {
	for name, text := range fields {
		switch text[0] {
		case 'n':
			continue
		case '{':
			var parts map[string]json.RawMessage
			if err := json.Unmarshal(text, &parts); err != nil {
				return err
			}
			if err := c.readFields(within+name+".", parts); err != nil {
				return err
			}
			continue
		}
		canonical, err := appendCanonical(nil, text)
		if err != nil {
			return fmt.Errorf("field %s%s: %w", within, name, err)
		}
		c.leaves = append(c.leaves, leaf{name: within + name, text: canonical})
	}
	return nil
}

// appendCanonical writes a value so that texts with other escapes, and numbers with
// another spelling, are the same.
func appendCanonical(dst []byte, text json.RawMessage) ([]byte, error) {
	text = bytes.TrimSpace(text)
	switch text[0] {
	case '"':
		return appendQuoted(dst, text)
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return nil, err
		}
		dst = append(dst, '[')
		for i, item := range items {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendCanonical(dst, item); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case '{', 't', 'f', 'n':
		return append(dst, text...), nil
	}
	return appendNumber(dst, string(text))
}

// appendQuoted writes a text with as few escapes as there may be.
func appendQuoted(dst []byte, text json.RawMessage) ([]byte, error) {
	const separators = "\u2028\u2029" // the encoder escapes them, and others do not
	if bytes.IndexByte(text, '\\') < 0 && !bytes.ContainsAny(text, separators) {
		return append(dst, text...), nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(s)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// appendNumber keeps whole numbers to their last digit, and gives fractions as a
// double has them.
func appendNumber(dst []byte, text string) ([]byte, error) {
	if !strings.ContainsAny(text, ".eE") {
		return append(dst, text...), nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	const exact = 1 << 53
	if whole := int64(v); float64(whole) == v && whole > -exact && whole < exact {
		return strconv.AppendInt(dst, whole, 10), nil
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64), nil
}
