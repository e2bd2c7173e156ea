package snapshot_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// way is one of the forms that records can have.
type way struct {
	format   transform.Format
	envelope schemas.Envelope
}

func ways() []way {
	return []way{
		{transform.Avro, schemas.EventEnvelope}, {transform.Avro, schemas.FlatEnvelope}, {transform.Avro, schemas.DebeziumEnvelope},
		{transform.JSON, schemas.EventEnvelope}, {transform.JSON, schemas.FlatEnvelope}, {transform.JSON, schemas.DebeziumEnvelope},
		{transform.Raw, schemas.EventEnvelope},
	}
}

func (w way) String() string { return w.format.String() + " " + w.envelope.String() }

// encoders has an encoder for each way.
type encoders map[way]*transform.Encoder

func newEncoders(tb testing.TB, client *salesforce.Client) encoders {
	tb.Helper()
	all := encoders{}
	for _, w := range ways() {
		e, err := transform.NewEncoder(transform.Config{
			OrgID: shapeOrg, Schemas: schemas.NewCatalog(client), Format: w.format,
			Streams:   map[string]transform.StreamOptions{"/data/ChangeEvents": {Envelope: w.envelope}},
			Tombstone: func(string) bool { return true },
		})
		if err != nil {
			tb.Fatal(err)
		}
		all[w] = e
	}
	return all
}

func (e encoders) record(tb testing.TB, w way, ev transform.Event) (*kgo.Record, transform.Meta) {
	tb.Helper()
	records, meta, err := e[w].Encode(tb.Context(), nil, &ev)
	if err != nil {
		tb.Fatalf("%s: %v of %s", w, err, ev.Payload)
	}
	if len(records) != 1 || meta.Records != 1 || meta.Tombstones != 0 || meta.Gap != nil || meta.Extras != 0 {
		tb.Fatalf("%s: %d records, %+v of %s", w, len(records), meta, ev.Payload)
	}
	return records[0], meta
}

// cutHeader parts a payload into its header and its fields.
func cutHeader(tb testing.TB, payload []byte) (string, map[string]json.RawMessage) {
	tb.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		tb.Fatalf("%s: %v", payload, err)
	}
	header := string(all["ChangeEventHeader"])
	delete(all, "ChangeEventHeader")
	return header, all
}

// under is an event with another header.
func under(ev transform.Event, header string, body map[string]json.RawMessage) transform.Event {
	p := `{"ChangeEventHeader":` + header
	for _, name := range slices.Sorted(maps.Keys(body)) {
		p += `,"` + name + `":` + string(body[name])
	}
	ev.Payload = []byte(p + "}")
	return ev
}

// sameRecord demands that a row's record is that of the event which created it, apart
// from what the header says. created is the event's payload.
func (e encoders) sameRecord(t *testing.T, row transform.Event, created []byte) {
	t.Helper()
	header, _ := cutHeader(t, row.Payload)
	_, body := cutHeader(t, created)
	asCreate := under(row, strings.Replace(header, `"SNAPSHOT"`, `"CREATE"`, 1), body)
	for w := range e {
		got, _ := e.record(t, w, row)
		want, _ := e.record(t, w, asCreate)
		if !bytes.Equal(got.Key, want.Key) || got.Topic != want.Topic || !got.Timestamp.Equal(want.Timestamp) || !slices.EqualFunc(got.Headers, want.Headers, sameHeader) {
			t.Errorf("%s: record %s %s %s %q, the event's %s %s %s %q", w, got.Topic, got.Key, got.Timestamp, got.Headers, want.Topic, want.Key, want.Timestamp, want.Headers)
		}
		switch {
		case w.format != transform.Avro:
			if got, want := plainly(t, got.Value), plainly(t, want.Value); got != want {
				t.Errorf("%s:\nrow   %s\nevent %s", w, got, want)
			}
		case w.envelope != schemas.DebeziumEnvelope:
			// The symbol of the change type is one byte in both.
			if n := differences(got.Value, want.Value); n != 1 {
				t.Errorf("%s: %d bytes differ\nrow   %q\nevent %q\nof %s\nand %s", w, n, got.Value, want.Value, row.Payload, created)
			}
		default:
			want, _ := e.record(t, w, under(row, header, body)) // the operation is told in several places
			if !bytes.Equal(got.Value, want.Value) {
				t.Errorf("%s:\nrow   %q\nevent %q", w, got.Value, want.Value)
			}
		}
	}
}

func sameHeader(a, b kgo.RecordHeader) bool {
	return a.Key == b.Key && (a.Key == "sf-change-type" || bytes.Equal(a.Value, b.Value))
}

func differences(a, b []byte) int {
	if len(a) != len(b) {
		return max(len(a), len(b))
	}
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// plainly is a JSON value without nulls, and without what tells of the operation.
// Numbers are as exact as they came, however they were spelled.
func plainly(tb testing.TB, text []byte) string {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	out, err := json.Marshal(prune(v))
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

func prune(v any) any {
	switch v := v.(type) {
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return r.RatString()
		}
	case map[string]any:
		for _, name := range []string{"changeType", "_changeType", "snapshot", "op"} {
			delete(v, name)
		}
		for name, part := range v {
			if v[name] = prune(part); v[name] == nil {
				delete(v, name)
			}
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

func decode(tb testing.TB, text string, v any) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
}
