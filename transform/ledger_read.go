package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
)

// ValueDecoder turns a value in the registry's wire format into JSON.
type ValueDecoder interface {
	JSON(ctx context.Context, value []byte) ([]byte, error)
}

var _ ValueDecoder = (*schemas.Decoder)(nil)

// LedgerRecordError says that a record of the gap ledger cannot be read. What it
// tells of must count as a hole.
type LedgerRecordError struct {
	Key       string
	Partition int32
	Offset    int64
	Reason    string
	Err       error // nil for none
}

func (e *LedgerRecordError) Error() string {
	s := fmt.Sprintf("record %q of the gap ledger (partition %d, offset %d): %s", e.Key, e.Partition, e.Offset, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *LedgerRecordError) Unwrap() error { return e.Err }

// LedgerEntry is a record of the gap ledger: a state of a hole.
type LedgerEntry struct {
	ID string // the record's key
	Hole
	// Unknown are fields that this version of the bridge does not know. They would
	// be lost if the entry were written again.
	Unknown []string
}

// LedgerReader reads what a [Ledger] has written, now or under another
// configuration: each record tells its format. It is safe for concurrent use.
type LedgerReader struct {
	decoder ValueDecoder
	schema  avro.Schema
}

// NewLedgerReader returns a reader that takes schemas from the decoder; nil where
// there is no registry.
func NewLedgerReader(decoder ValueDecoder) (*LedgerReader, error) {
	own := schemas.Gap()
	schema, err := avro.ParseBytesWithCache(own.JSON, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", own.FullName, err)
	}
	return &LedgerReader{decoder: decoder, schema: schema}, nil
}

// Read reads a record that has a value. Errors are *[LedgerRecordError]; if the
// registry is in trouble, [Retryable] says so.
func (l *LedgerReader) Read(ctx context.Context, r *kgo.Record) (LedgerEntry, error) {
	fail := func(reason string, err error) (LedgerEntry, error) {
		return LedgerEntry{}, &LedgerRecordError{Key: string(r.Key), Partition: r.Partition, Offset: r.Offset, Reason: reason, Err: err}
	}
	var e LedgerEntry
	var err error
	switch {
	case len(r.Value) == 0:
		return fail("it has no value", nil)
	case r.Value[0] == '{':
		err = e.fromJSON(r.Value)
	case r.Value[0] != 0:
		err = e.fromAvro(l.schema, r.Value)
	case l.decoder == nil:
		return fail("its schema is in a registry; try: registry.url in the configuration", nil)
	default:
		var text []byte
		if text, err = l.decoder.JSON(ctx, r.Value); err == nil {
			err = e.fromJSON(text)
		}
	}
	switch {
	case err != nil:
		return fail("it cannot be decoded", err)
	case e.ID != string(r.Key):
		return fail(fmt.Sprintf("its value is that of %q", e.ID), nil)
	case e.State == "" || e.Channel == "":
		return fail("it lacks its channel or its state", nil)
	}
	return e, nil
}

// fromAvro reads a value that names no schema. It is tried with ours, and must be
// that to the last byte.
func (e *LedgerEntry) fromAvro(schema avro.Schema, value []byte) error {
	var w holeWire
	reader := avro.NewReader(bytes.NewReader(value), len(value))
	if reader.ReadVal(schema, &w); reader.Error != nil {
		return fmt.Errorf("it is not by the schema of this version: %w", reader.Error)
	}
	if reader.Peek(); !errors.Is(reader.Error, io.EOF) {
		return errors.New("it is not by the schema of this version: bytes are left over")
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return t.UTC()
	}
	*e = LedgerEntry{ID: w.ID, Hole: Hole{
		Org: w.Org, Channel: w.Channel, Object: text(w.Object), Reason: w.Reason, ChangeType: text(w.ChangeType),
		RecordIDs: w.RecordIDs, FromPosition: text(w.FromPosition), ToPosition: text(w.ToPosition),
		FromTime: at(w.FromTime), ToTime: at(w.ToTime), State: w.State, Detected: w.Detected.UTC(), Detail: w.Detail,
	}}
	return nil
}

// ledgerTime is a time as text, or as the milliseconds of Avro.
type ledgerTime struct{ time.Time }

func (t *ledgerTime) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if ms, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		t.Time = time.UnixMilli(ms).UTC()
		return nil
	}
	return t.Time.UnmarshalJSON(text)
}

// fromJSON reads a value as JSON text: null leaves a text or a time unknown.
func (e *LedgerEntry) fromJSON(value []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil {
		return err
	}
	var from, to, detected ledgerTime
	known := map[string]any{
		"id": &e.ID, "org": &e.Org, "channel": &e.Channel, "object": &e.Object, "reason": &e.Reason, "changeType": &e.ChangeType,
		"recordIds": &e.RecordIDs, "fromPosition": &e.FromPosition, "toPosition": &e.ToPosition, "fromTime": &from, "toTime": &to,
		"state": &e.State, "detected": &detected, "detail": &e.Detail,
	}
	for name, text := range fields {
		into, ok := known[name]
		if !ok {
			e.Unknown = append(e.Unknown, name)
			continue
		}
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	slices.Sort(e.Unknown)
	e.FromTime, e.ToTime, e.Detected = from.Time, to.Time, detected.Time
	return nil
}
