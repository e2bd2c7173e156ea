package fold

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// dummyID stands for "some records" in overflow events, behind any key prefix.
const dummyID = "000000000000AAA"

// headers are what is used of a record's headers.
type headers struct {
	object, org, change string
	contained           bool // an earlier row may contain it
}

func headersOf(r *kgo.Record) (h headers) {
	for i := range r.Headers {
		switch text := r.Headers[i].Value; r.Headers[i].Key {
		case "sf-object":
			h.object = string(text)
		case "sf-org":
			h.org = string(text)
		case "sf-change-type":
			h.change = string(text)
		case pipeline.InSnapshotHeader:
			h.contained = true
		}
	}
	return h
}

// Apply folds one record. Its errors are *[RecordError].
func (f *Fold) Apply(ctx context.Context, r *kgo.Record) error {
	h := headersOf(r)
	if f.foreign(&h, r) {
		return nil
	}
	key, ok := keyText(r.Key)
	f.counts.Records++
	if ok && (strings.HasSuffix(key, "*") || strings.HasSuffix(key, dummyID) || h.change == "GAP_OVERFLOW") {
		f.counts.Open++
		return nil
	}
	d, isID := packID(key)
	if !ok || !isID {
		return fail(r, "its key is no record id", "a topic of change events", nil)
	}
	if err := f.fold(ctx, r, &h, d, key); err != nil {
		return err
	}
	if f.cfg.Changed != nil {
		f.cfg.Changed(key)
	}
	return nil
}

// foreign says whether a record is of something else. A tombstone that somebody made by
// hand has no headers, and takes away what has its key.
func (f *Fold) foreign(h *headers, r *kgo.Record) bool {
	if r.Value == nil && h.object == "" {
		return false
	}
	return f.cfg.Object != "" && h.object != f.cfg.Object || f.cfg.Org != "" && h.org != f.cfg.Org
}

func (f *Fold) fold(ctx context.Context, r *kgo.Record, h *headers, d id, key string) error {
	if r.Value == nil {
		h.change = "DELETE"
	}
	c, err := f.wanted(ctx, r, h, key)
	if err != nil {
		return fail(r, "its value cannot be read", "the format, registry.url and envelope of the bridge that wrote it", err)
	}
	at := r.Timestamp
	if c != nil {
		at = c.at
	}
	if h.contained && at.Before(f.rowTime(d)) {
		f.counts.Contained++ // rule 5 of pipeline's rows
		return nil
	}
	switch h.change {
	case "DELETE", "GAP_DELETE":
		f.alive.remove(d)
		delete(f.rows, d)
		return nil
	case created, undeleted, snapshotRow, updated, "GAP_CREATE", "GAP_UPDATE", "GAP_UNDELETE":
	default: // I5
		return fail(r, "its change type "+h.change+" is not known", "a newer version of the bridge", nil)
	}
	f.live(d, h.change, at)
	if c == nil {
		return nil
	}
	if err := f.keep(d, c); err != nil {
		return fail(r, "it has too many fields", "a topic of one object", err)
	}
	return nil
}

// wanted reads the value of a record whose fields are kept; else it is nil.
func (f *Fold) wanted(ctx context.Context, r *kgo.Record, h *headers, key string) (*change, error) {
	switch {
	case r.Value == nil || f.cfg.Keep == nil || !f.cfg.Keep(key):
		return nil, nil
	case len(r.Value) == 0:
		return nil, errors.New("it is empty")
	}
	return f.read(ctx, h.change, r.Value)
}

// keep lays a change over what is known of a record.
func (f *Fold) keep(d id, c *change) error {
	row := f.rows[d]
	if row == nil || c.whole() {
		row = &Row{}
		f.rows[d] = row
	}
	return f.merge(row, c)
}

// RowOf is the row that a record of a SNAPSHOT says by itself, to compare others of this
// Fold with.
func (f *Fold) RowOf(ctx context.Context, r *kgo.Record) (*Row, error) {
	c, err := f.read(ctx, snapshotRow, r.Value)
	if err != nil {
		return nil, fail(r, "its value cannot be read", "", err)
	}
	row := &Row{}
	if err := f.merge(row, c); err != nil {
		return nil, fail(r, "it has too many fields", "", err)
	}
	if len(c.changed) > 0 {
		row.only = c.changed
	}
	return row, nil
}

// rowTime is when the record was last written as a row.
func (f *Fold) rowTime(d id) time.Time {
	at, _ := f.alive.time(d)
	return time.Unix(int64(at), 0)
}

// live keeps that there is a record, and when it was a row. Rows have whole seconds.
func (f *Fold) live(d id, change string, at time.Time) {
	was, _ := f.alive.time(d)
	if change == snapshotRow {
		was = uint32(min(max(at.Unix(), 0), math.MaxUint32)) //nolint:gosec // bounded
	}
	f.alive.put(d, was)
}

// keyText is the text of a key: itself, or within Confluent's wire format as an Avro
// string.
func keyText(key []byte) (string, bool) {
	if len(key) <= wirePrefix || key[0] != 0 {
		return string(key), true
	}
	n, width := binary.Varint(key[wirePrefix:])
	text := key[wirePrefix+max(width, 0):]
	return string(text), width > 0 && n == int64(len(text))
}

func fail(r *kgo.Record, problem, try string, err error) error {
	return &RecordError{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Problem: problem, Try: try, Err: err}
}
