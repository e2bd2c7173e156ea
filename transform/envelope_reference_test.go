package transform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// refRow is the slow and plain second implementation of the flat row: of a
// decoded event it makes what a reader should see.
func refRow(s *schemas.Schema, event map[string]any, id string) map[string]any {
	row := map[string]any{}
	if s.ChangeEvent {
		row["Id"] = id
	}
	for _, f := range s.Root.Fields {
		if f.Name != schemas.ExtrasField && (f.Name != schemas.HeaderField || !s.ChangeEvent) {
			refFlatten(row, f.Type, f.Name, f.Name, event[f.Name], true)
		}
	}
	return row
}

func refFlatten(row map[string]any, n *schemas.Node, sfName, name string, v any, top bool) {
	rec := refBranch(n, schemas.KindRecord)
	if rec == nil {
		row[name] = v
		return
	}
	parts, is := v.(map[string]any)
	for _, b := range n.Branches {
		if b.Kind != schemas.KindRecord && b.Kind != schemas.KindNull {
			if row[name] = v; is {
				row[name] = nil
			}
			break
		}
	}
	for _, f := range rec.Fields {
		refFlatten(row, f.Type, f.Name, refPart(sfName, name, f.Name, top), parts[f.Name], false)
	}
}

// refPart is how SOQL calls a part of a compound field.
func refPart(parent, name, part string, top bool) string {
	switch {
	case !top:
		return name + "_" + part
	case strings.HasSuffix(parent, "__c"):
		return parent[:len(parent)-1] + part + "__s"
	case parent == "Name":
		return part
	case strings.HasSuffix(parent, "Address"):
		return parent[:len(parent)-len("Address")] + part
	}
	return name + "_" + part
}

// refNames gives the names of a header list those that the row has.
func refNames(s *schemas.Schema, event map[string]any, list any) any {
	out := []any{}
	for _, item := range list.([]any) {
		name, _ := item.(string)
		at, path, rest := s.Root, name, event
		flat, top := "", true
		for found := true; found && path != ""; top = false {
			var first string
			first, path, _ = strings.Cut(path, ".")
			i := at.Field(first)
			if found = i >= 0 && (first != schemas.HeaderField && first != schemas.ExtrasField || !top); !found {
				flat = ""
				break
			}
			f := at.Fields[i]
			if flat = first; !top {
				flat = refPart(strings.Split(name, ".")[0], refFlatName(name, len(name)-len(path)), first, true)
			}
			v := rest[first]
			rec := refBranch(f.Type, schemas.KindRecord)
			if rec == nil {
				if path != "" {
					flat = ""
				}
				break
			}
			if path == "" {
				out = append(out, refAll(f.Type, first, v)...)
				flat = "-"
			}
			at = rec
			rest, _ = v.(map[string]any)
		}
		switch flat {
		case "":
			out = append(out, name)
		case "-":
		default:
			out = append(out, flat)
		}
	}
	return out
}

func refFlatName(path string, end int) string {
	first, _, _ := strings.Cut(path[:min(end, len(path))], ".")
	return first
}

// refAll are the row's names of a compound field as a whole, in schema order.
func refAll(n *schemas.Node, name string, v any) []any {
	var out []any
	_, isRecord := v.(map[string]any)
	whole := false
	for _, b := range n.Branches {
		whole = whole || b.Kind != schemas.KindRecord && b.Kind != schemas.KindNull
	}
	if whole && !isRecord {
		if out = append(out, name); v != nil {
			return out
		}
	}
	for _, f := range refBranch(n, schemas.KindRecord).Fields {
		out = append(out, refPart(name, name, f.Name, true))
	}
	return out
}

// refEnvelope is what a record of an event must hold in an envelope.
func refEnvelope(w *world, env schemas.Envelope, event map[string]any, r *kgo.Record) map[string]any {
	s := w.schema
	row := refRow(s, event, string(r.Key))
	head := map[string]any{}
	h, _ := event[schemas.HeaderField].(map[string]any)
	for k, v := range h {
		switch k {
		case "recordIds":
		case "changedFields", "nulledFields", "diffFields":
			head[k] = refNames(s, event, v)
		default:
			head[k] = v
		}
	}
	out := map[string]any{}
	if env == schemas.FlatEnvelope {
		for k, v := range head {
			row["_"+k] = v
		}
		out = row
	} else {
		refDebezium(w, out, row, head, event, string(r.Key))
	}
	if s.Extras {
		out[schemas.ExtrasField] = event[schemas.ExtrasField]
	}
	return out
}

func refDebezium(w *world, out, row, head, event map[string]any, id string) {
	image := map[string]any{}
	for k := range row {
		image[k] = nil
	}
	image["Id"] = id
	at, table, op := event["CreatedDate"], w.schema.Name, "c"
	var transaction any
	if w.schema.ChangeEvent {
		at, table = head["commitTimestamp"], head["entityName"].(string)
		op = map[string]string{
			"CREATE": "c", "UNDELETE": "c", "GAP_CREATE": "c", "GAP_UNDELETE": "c", "SNAPSHOT": "r", "DELETE": "d", "GAP_DELETE": "d",
			"UPDATE": "u", "GAP_UPDATE": "u", "GAP_OVERFLOW": "u",
		}[head["changeType"].(string)]
		if head["transactionKey"] != "" {
			transaction = map[string]any{"id": head["transactionKey"], "total_order": head["sequenceNumber"], "data_collection_order": head["sequenceNumber"]}
		}
	}
	source := map[string]any{
		"version": "1", "connector": "salesforce", "name": testOrg, "ts_ms": at, "snapshot": fmt.Sprint(head["changeType"] == "SNAPSHOT"),
		"db": testOrg, "table": table, "channel": w.channel, "replayId": "1", "schemaId": "id",
	}
	for k, v := range head {
		source[k] = v
	}
	out["source"], out["transaction"], out["op"], out["ts_ms"] = source, transaction, op, received.UnixMilli()
	out["before"], out["after"] = any(nil), any(row)
	switch op {
	case "u":
		out["before"] = image
	case "d":
		out["before"], out["after"] = row, nil
	}
}

// checkEnvelopes holds each envelope of an event to what the reference makes of
// the event: that the same values can be had from each.
func (w *world) checkEnvelopes(t *testing.T, payload []byte, event map[string]any, failed error) {
	t.Helper()
	for _, in := range w.envelopes {
		records, err := w.encode(in.avro, payload)
		asJSON, err2 := w.encode(in.json, payload)
		if (err == nil) != (failed == nil) || (err2 == nil) != (failed == nil) {
			t.Fatalf("%s: %v and %v, but the event %v\n%s", in.schema.FullName, err, err2, failed, payload)
		}
		if err != nil {
			if !transform.BadEvent(err) || err.Error() != err2.Error() {
				t.Fatalf("%s: %v, %v", in.schema.FullName, err, err2)
			}
			continue
		}
		for i, r := range records {
			got, err := decodeAvro(string(in.schema.JSON), r.Value)
			if err != nil {
				t.Fatalf("%s: an independent reader: %v\n%s", in.schema.FullName, err, payload)
			}
			if want := refEnvelope(w, in.envelope, event, r); !sameValue(got, want) {
				t.Fatalf("%s of %s\ngot  %v\nwant %v", in.schema.FullName, payload, got, want)
			}
			again, err := decodeJSON(asJSON[i].Value)
			if err != nil {
				t.Fatalf("%s: %v\n%s", in.schema.FullName, err, asJSON[i].Value)
			}
			if err := in.document.accepts("value", again); err != nil {
				t.Fatalf("%s: the JSON Schema: %v\n%s", in.schema.FullName, err, asJSON[i].Value)
			}
			if err := sameRecord("value", got, again); err != nil {
				t.Fatalf("%s: %v\n%s\n%s", in.schema.FullName, err, payload, asJSON[i].Value)
			}
		}
	}
}

// enveloped encodes a world's events into one envelope in both formats.
type enveloped struct {
	envelope   schemas.Envelope
	schema     *schemas.Schema
	document   jsonSchema
	avro, json *transform.Encoder
}

func newEnveloped(tb testing.TB, w *world, cat *schemas.Catalog, env schemas.Envelope) enveloped {
	tb.Helper()
	s, err := env.In(w.schema)
	if err != nil {
		tb.Fatal(err)
	}
	cfg := transform.Config{
		Schemas: cat, Version: "1",
		Streams: map[string]transform.StreamOptions{w.channel: {Extras: w.keep, Envelope: env}},
	}
	out := enveloped{envelope: env, schema: s, document: parseJSONSchema(tb, s), avro: newEncoder(tb, cfg)}
	cfg.Format = transform.JSON
	out.json = newEncoder(tb, cfg)
	return out
}

// checkRaw holds the records of format raw to those of the event: the same topics,
// keys, headers and times, with the payload as value. Of a payload that does not
// fit its schema raw may still make records; it never panics.
func (w *world) checkRaw(t *testing.T, payload []byte, events []*kgo.Record, failed error) {
	t.Helper()
	records, err := w.encode(w.raw, payload)
	if err != nil {
		if !transform.BadEvent(err) {
			t.Fatalf("raw: the error %v is not the event's", err)
		}
		if failed == nil {
			t.Fatalf("raw: %v\n%s", err, payload)
		}
		return
	}
	if failed != nil {
		return
	}
	if len(records) != len(events) {
		t.Fatalf("raw: %d records of %d\n%s", len(records), len(events), payload)
	}
	for i, r := range records {
		e := events[i]
		if r.Topic != e.Topic || string(r.Key) != string(e.Key) || !r.Timestamp.Equal(e.Timestamp) || string(r.Value) != string(payload) {
			t.Fatalf("raw: %s %s %v, the event %s %s %v", r.Topic, r.Key, r.Timestamp, e.Topic, e.Key, e.Timestamp)
		}
		for _, h := range e.Headers {
			if h.Key != "sf-schema-fingerprint" && header(r, h.Key) != string(h.Value) {
				t.Fatalf("raw: header %s is %q, the event's %q", h.Key, header(r, h.Key), h.Value)
			}
		}
	}
}
