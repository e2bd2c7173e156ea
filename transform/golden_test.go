package transform_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

var update = flag.Bool("update", false, "rewrite the golden records")

// goldenEvent is testdata/<case>/event.json: an event and the settings that it
// is encoded with.
type goldenEvent struct {
	Channel  string          `json:"channel"`
	Position string          `json:"position"`
	Schema   string          `json:"schema"`
	UUID     string          `json:"uuid"`
	APIName  string          `json:"apiName"`
	Payload  json.RawMessage `json:"payload"`

	Topic     string `json:"topic"` // template
	Prefix    string `json:"prefix"`
	Key       string `json:"key"`
	Format    string `json:"format"`
	Registry  string `json:"registry"`
	Tombstone bool   `json:"tombstone"`
	Extras    bool   `json:"extras"` // unknown keys are kept
	Envelope  string `json:"envelope"`

	avroKeys bool
}

// goldenResult is testdata/<case>/record.json.
type goldenResult struct {
	Error    string         `json:"error,omitempty"`
	BadEvent *bool          `json:"badEvent,omitempty"`
	Gap      string         `json:"gap,omitempty"`
	Extras   int            `json:"extras,omitempty"`
	Records  []goldenRecord `json:"records,omitempty"`
}

type goldenRecord struct {
	Topic     string            `json:"topic"`
	Key       string            `json:"key"`
	Timestamp string            `json:"timestamp"`
	Headers   map[string]string `json:"headers"`
	Value     any               `json:"value"` // decoded
	Binary    string            `json:"binary,omitempty"`
}

// TestGolden encodes each case and compares the outcome with what is on file.
// What is on file was read back by an independent Avro implementation; run with
// -update to write it anew, and read the difference.
func TestGolden(t *testing.T) { eachCase(t, "testdata/*", 75, golden) }

// eachCase runs a test of each directory that has an event, of which there are
// some at least.
func eachCase(t *testing.T, dirs string, least int, test func(t *testing.T, dir string)) {
	t.Helper()
	cases, err := filepath.Glob(dirs + "/event.json")
	if err != nil || len(cases) < least {
		t.Fatalf("found %d cases (%v)", len(cases), err)
	}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) { test(t, dir) })
	}
}

func golden(t *testing.T, dir string) {
	ev, text := readCase(t, dir)
	result := goldenResult{}
	schema, err := schemas.Parse(ev.Schema, []byte(text))
	if err == nil && ev.Extras {
		schema, err = schemas.WithExtras(schema)
	}
	if err == nil && !strings.HasPrefix(filepath.Base(dir), "error_") {
		schema, err = envelopeOf(ev.Envelope).In(schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	records, meta, err := encodeCase(t, ev, text, ev.Format)
	if err != nil {
		bad := transform.BadEvent(err)
		result.Error, result.BadEvent = err.Error(), &bad
	} else if ev.Format != "raw" {
		compareFormats(t, ev, text, schema, records)
	}
	result.Extras = meta.Extras
	if meta.Gap != nil {
		result.Gap = fmt.Sprintf("%s of %s %v", meta.Gap.Reason, meta.Gap.Entity, meta.Gap.RecordIDs)
	}
	result.Records = goldenRecords(t, ev, schema, records)
	compareGolden(t, filepath.Join(dir, "record.json"), result)
}

func goldenRecords(t *testing.T, ev *goldenEvent, schema *schemas.Schema, records []*kgo.Record) []goldenRecord {
	t.Helper()
	var out []goldenRecord
	for _, r := range records {
		g := goldenRecord{Topic: r.Topic, Key: string(r.Key), Timestamp: r.Timestamp.UTC().Format(time.RFC3339Nano), Headers: map[string]string{}}
		for _, h := range r.Headers {
			if _, twice := g.Headers[h.Key]; twice {
				t.Errorf("the header %s comes twice", h.Key)
			}
			g.Headers[h.Key] = string(h.Value)
		}
		if r.Value != nil {
			g.Value = decodeRecord(t, ev, schema, r)
			if ev.Format != "json" && ev.Format != "raw" {
				g.Binary = base64.StdEncoding.EncodeToString(r.Value)
			}
		}
		out = append(out, g)
	}
	return out
}

func readEvent(tb testing.TB, dir string) *goldenEvent {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "event.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var ev goldenEvent
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&ev); err != nil {
		tb.Fatal(err)
	}
	return &ev
}

func readCase(tb testing.TB, dir string) (*goldenEvent, string) {
	tb.Helper()
	schema, err := os.ReadFile(filepath.Join(dir, "schema.avsc"))
	if err != nil {
		tb.Fatal(err)
	}
	return readEvent(tb, dir), string(schema)
}

func encodeCase(tb testing.TB, ev *goldenEvent, schema, format string) ([]*kgo.Record, transform.Meta, error) {
	tb.Helper()
	cfg := transform.Config{
		OrgID: testOrg, Schemas: catalogOf(map[string]string{ev.Schema: schema}),
		Registry: &registrar{}, Prefix: ev.Prefix, TopicTemplate: ev.Topic,
		Tombstone: func(string) bool { return ev.Tombstone },
	}
	if ev.Registry == "none" {
		cfg.Registry = nil
	}
	switch format {
	case "json":
		cfg.Format = transform.JSON
	case "raw":
		cfg.Format = transform.Raw
	}
	cfg.SourceName, cfg.Version = "acme", "1.2.3"
	if ev.avroKeys {
		cfg.KeyFormat = transform.AvroKeys
	}
	if ev.Key != "" || ev.Extras || ev.Envelope != "" {
		cfg.Streams = map[string]transform.StreamOptions{ev.Channel: {KeyField: ev.Key, Extras: ev.Extras, Envelope: envelopeOf(ev.Envelope)}}
	}
	e, err := transform.NewEncoder(cfg)
	if err != nil {
		return nil, transform.Meta{}, err
	}
	return e.Encode(context.Background(), nil, &transform.Event{
		Channel: ev.Channel, Position: ev.Position, SchemaID: ev.Schema, UUID: ev.UUID, APIName: ev.APIName,
		Payload: ev.Payload, ReceivedAt: time.UnixMilli(1772700000000),
	})
}

func envelopeOf(name string) schemas.Envelope {
	for e := schemas.EventEnvelope; e <= schemas.DebeziumEnvelope; e++ {
		if e.String() == name {
			return e
		}
	}
	return schemas.EventEnvelope
}

// decodeRecord takes a value apart as a reader would.
func decodeRecord(t *testing.T, ev *goldenEvent, schema *schemas.Schema, r *kgo.Record) any {
	t.Helper()
	var (
		m   map[string]any
		err error
	)
	switch value := r.Value; {
	case ev.Format == "raw":
		if string(value) != string(ev.Payload) {
			t.Errorf("the value is %s", value)
		}
		return string(value)
	case ev.Format == "json":
		m, err = decodeJSON(value)
	case ev.Registry == "none":
		m, err = decodeAvro(string(schema.JSON), value)
	default:
		if id := binary.BigEndian.Uint32(value[1:5]); value[0] != 0 || id != 1001 {
			t.Errorf("the value starts with % x", value[:5])
		}
		m, err = decodeAvro(string(schema.JSON), value[5:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// compareFormats checks that both formats say the same.
func compareFormats(t *testing.T, ev *goldenEvent, text string, schema *schemas.Schema, records []*kgo.Record) {
	t.Helper()
	other := "json"
	if ev.Format == "json" {
		other = "avro"
	}
	records2, _, err := encodeCase(t, ev, text, other)
	if err != nil {
		t.Fatalf("format %s: %v", other, err)
	}
	flipped := *ev
	flipped.Format = other
	a, j := decodeRecord(t, ev, schema, records[0]), decodeRecord(t, &flipped, schema, records2[0])
	if other == "avro" {
		a, j = j, a
	}
	if err := sameRecord("value", a, j); err != nil {
		t.Error(err)
	}
}

func compareGolden(t *testing.T, file string, result goldenResult) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(result); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("differs from %s:\n%s", file, diff(string(want), got))
	}
}

// diff lists the lines that only one of two texts has.
func diff(want, got string) string {
	in := func(text, line string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") }
	var b strings.Builder
	for line := range strings.Lines(want) {
		if line = strings.TrimSuffix(line, "\n"); !in(got, line) {
			fmt.Fprintf(&b, "- %s\n", line)
		}
	}
	for line := range strings.Lines(got) {
		if line = strings.TrimSuffix(line, "\n"); !in(want, line) {
			fmt.Fprintf(&b, "+ %s\n", line)
		}
	}
	return b.String()
}
