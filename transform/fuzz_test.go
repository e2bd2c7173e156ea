package transform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// world encodes payloads by one schema in both formats.
type world struct {
	channel  string
	keep     bool
	schema   *schemas.Schema
	hamba    *library
	document jsonSchema
	avro     *transform.Encoder
	json     *transform.Encoder
	raw      *transform.Encoder

	envelopes []enveloped
}

// received is when the events of the worlds are received.
var received = time.UnixMilli(1772700000000)

func newWorld(tb testing.TB, dir, channel string, keep bool) *world {
	tb.Helper()
	_, text := readCase(tb, filepath.Join("testdata", dir))
	s, err := schemas.Parse("id", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	if keep {
		if s, err = schemas.WithExtras(s); err != nil {
			tb.Fatal(err)
		}
	}
	cat := catalogOf(map[string]string{"id": text})
	streams := map[string]transform.StreamOptions{channel: {Extras: keep}}
	w := &world{
		channel: channel, keep: keep, schema: s, hamba: newLibrary(tb, s), document: parseJSONSchema(tb, s),
		avro: newEncoder(tb, transform.Config{Schemas: cat, Streams: streams}),
		json: newEncoder(tb, transform.Config{Schemas: cat, Streams: streams, Format: transform.JSON}),
		raw:  newEncoder(tb, transform.Config{Schemas: cat, Format: transform.Raw}),
	}
	for _, env := range []schemas.Envelope{schemas.FlatEnvelope, schemas.DebeziumEnvelope} {
		w.envelopes = append(w.envelopes, newEnveloped(tb, w, cat, env))
	}
	return w
}

func worlds(tb testing.TB) []*world {
	tb.Helper()
	var out []*world
	for _, keep := range []bool{false, true} {
		out = append(out,
			newWorld(tb, "update", "/data/AccountChangeEvent", keep),
			newWorld(tb, "create", "/data/ContactChangeEvent", keep),
			newWorld(tb, "platform_event", "/event/Low_Ink__e", keep),
			newWorld(tb, "platform_event_nested_arrays", "/event/AppointmentSchedulingEvent", keep),
		)
	}
	return out
}

func (w *world) encode(e *transform.Encoder, payload []byte) ([]*kgo.Record, error) {
	dst := []*kgo.Record{nil}
	got, meta, err := e.Encode(context.Background(), dst, &transform.Event{
		Channel: w.channel, Position: "1", SchemaID: "id", UUID: "u", Payload: payload, ReceivedAt: received,
	})
	switch {
	case err != nil && len(got) != 1:
		return nil, fmt.Errorf("records came with the error %w", err)
	case err == nil && len(got)-1 != meta.Records:
		return nil, fmt.Errorf("%d records, meta says %d", len(got)-1, meta.Records)
	}
	return got[1:], err
}

// check compares one payload's outcome with the reference's. valid says that
// the payload must encode.
func (w *world) check(t *testing.T, payload []byte, valid bool) {
	t.Helper()
	before := string(payload)
	records, err := w.encode(w.avro, payload)
	asJSON, err2 := w.encode(w.json, payload)
	if string(payload) != before {
		t.Fatal("the payload was changed")
	}
	if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
		t.Fatalf("the formats do not agree: %v, %v\n%s", err, err2, payload)
	}
	w.checkRaw(t, payload, records, err)
	want, refErr := reference(w.schema, payload)
	if err != nil {
		if !transform.BadEvent(err) || transform.Retryable(err) {
			t.Fatalf("the error %v is not the event's", err)
		}
		if valid {
			t.Fatalf("refused: %v\n%s", err, payload)
		}
		w.checkEnvelopes(t, payload, nil, err)
		return
	}
	if refErr != nil {
		t.Fatalf("accepted, but the reference says %v\n%s", refErr, payload)
	}
	got, err := decodeAvro(string(w.schema.JSON), records[0].Value)
	if err != nil {
		t.Fatalf("an independent reader: %v\n%s", err, payload)
	}
	theirs, err := w.hamba.encode(want)
	if err != nil {
		t.Fatalf("the library: %v\n%s", err, payload)
	}
	slow, err := decodeAvro(string(w.schema.JSON), theirs)
	if err != nil {
		t.Fatalf("an independent reader of the library's bytes: %v\n%s", err, payload)
	}
	w.checkEnvelopes(t, payload, want, nil)
	if !sameValue(got, slow) || !sameValue(slow, want) {
		t.Fatalf("payload %s\nours %v\nlibrary's %v\nwant %v", payload, got, slow, want)
	}
	again, err := decodeJSON(asJSON[0].Value)
	if err != nil {
		t.Fatalf("our JSON: %v\n%s", err, asJSON[0].Value)
	}
	if err := w.document.accepts("value", again); err != nil {
		t.Fatalf("the JSON Schema: %v\n%s", err, asJSON[0].Value)
	}
	if err := sameRecord("value", got, again); err != nil {
		t.Fatalf("%v\n%s", err, payload)
	}
}

// FuzzTranscode mutates payloads. Whatever comes: no panic; both formats agree;
// an error is the event's; what is accepted reads back, with an independent
// reader, as what the reference makes of it and as what the library writes.
func FuzzTranscode(f *testing.F) {
	cases, err := filepath.Glob("testdata/*/event.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range cases {
		ev, _ := readCase(f, filepath.Dir(file))
		for which := range 8 {
			f.Add(uint8(which), []byte(ev.Payload))
		}
	}
	for _, extra := range []string{
		``, ` `, `null`, `[]`, `{}`, `{"a":1}`, `{"Phone":"\u0050"}`, `{"Ph\u006fne":"x"}`, `{"Phone":"x"} x`, `{"Phone":}`, `{"Phone" 1}`,
		`{"Phone":"x",}`, `{,}`, `{"Phone":"x"`, `{"Phone":"x`, `{"Phone":"\ud800\udc00"}`, `{"Phone":"\udc00"}`, `{"Phone":"\x"}`, "{\"Phone\":\"\xff\"}", "{\"Phone\":\"\x01\"}",
		`{"NumberOfEmployees":01}`, `{"NumberOfEmployees":1.}`, `{"NumberOfEmployees":.5}`, `{"NumberOfEmployees":-}`, `{"NumberOfEmployees":1e}`, `{"NumberOfEmployees":+1}`,
		`{"NumberOfEmployees":1e3}`, `{"NumberOfEmployees":1E-3}`, `{"NumberOfEmployees":0.00e5}`, `{"AnnualRevenue":-0}`, `{"AnnualRevenue":NaN}`,
		`{"BillingAddress":[]}`, `{"BillingAddress":{"City":{"diff":"x"}}}`, `{"Name":{"diff":"x"}}`, `{"Name":{"diff":"x","FirstName":"y"}}`, `{"Phone":{"diff":1}}`,
		`{"ChangeEventHeader":null}`, `{"ChangeEventHeader":{}}`, `tru`, `{"IsPersonAccount":tru}`, `{"IsPersonAccount":true}`, "\ufeff{}",
		`{"AssignedResources":[{"Skills":["a",]}]}`, `{"AssignedResources":[null]}`, `{"AssignedResources":[{"Skills":[["a"]]}]}`, `{"AssignedResources":[[]]}`,
	} {
		for which := range 8 {
			f.Add(uint8(which), []byte(extra))
		}
	}
	all := worlds(f)
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		all[int(which)%len(all)].check(t, payload, false)
	})
}

// FuzzGenerated makes well-formed events out of a seed: all of them must
// encode, to what the reference says.
func FuzzGenerated(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	all := worlds(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := all[seed%uint64(len(all))]
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), unknown: w.keep}
		g.record(w.schema.Root, w.schema.ChangeEvent)
		payload := g.String()
		if !json.Valid([]byte(payload)) {
			t.Fatalf("the generator made %s", payload)
		}
		w.check(t, []byte(payload), true)
	})
}

// generator writes random events as JSON.
type generator struct {
	*rand.Rand
	strings.Builder
	unknown bool // keys that no schema has
}

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) space() { g.WriteString(g.pick("", "", "", " ", "\n\t ")) }

func (g *generator) record(n *schemas.Node, change bool) {
	g.WriteByte('{')
	first := true
	for _, i := range g.Perm(len(n.Fields)) {
		f := &n.Fields[i]
		if f.Name == schemas.ExtrasField {
			continue
		}
		always := f.Required || change && f.Name == schemas.HeaderField || !f.Type.Nullable() && !strings.HasSuffix(f.Name, "edFields") && f.Name != "diffFields"
		if !always && g.IntN(3) > 0 {
			continue
		}
		if !first {
			g.WriteByte(',')
		}
		first = false
		g.space()
		g.text(f.Name)
		g.space()
		g.WriteByte(':')
		g.space()
		g.field(f, change)
		g.space()
	}
	for i := range g.IntN(3) {
		if !g.unknown || n.Kind != schemas.KindRecord {
			break
		}
		if !first {
			g.WriteByte(',')
		}
		first = false
		g.text(fmt.Sprintf("New%d_%s", i, g.words()))
		g.WriteByte(':')
		g.space()
		g.anything(3)
		g.space()
	}
	g.WriteByte('}')
}

// anything writes some JSON value.
func (g *generator) anything(depth int) {
	switch kind := g.IntN(8); {
	case kind == 0 && depth > 0:
		g.WriteByte('[')
		for i := range g.IntN(3) {
			if i > 0 {
				g.WriteByte(',')
			}
			g.space()
			g.anything(depth - 1)
			g.space()
		}
		g.WriteByte(']')
	case kind == 1 && depth > 0:
		g.WriteByte('{')
		for i := range g.IntN(3) {
			if i > 0 {
				g.WriteByte(',')
			}
			g.space()
			g.text(g.words())
			g.space()
			g.WriteByte(':')
			g.anything(depth - 1)
		}
		g.WriteByte('}')
	case kind < 5:
		g.text(g.words())
	default:
		g.WriteString(g.pick("null", "true", "false", "-0.0e-10", "9223372036854775808", "1E400"))
	}
}

func (g *generator) field(f *schemas.Field, change bool) {
	switch f.Name {
	case "recordIds":
		g.WriteString(g.pick(`["001xx000003DGb2AAG"]`, `["001*"]`, `[ "001xx000003DGb2AAG" , "001xx000003DGb3" ]`, `["000000000000000AAA"]`))
	case "commitTimestamp":
		fmt.Fprint(g, g.Int64N(1<<42))
	case "entityName":
		g.WriteString(g.pick(`"Account"`, `"Contact"`, `"Acc\u006funt"`))
	case "changedFields", "nulledFields", "diffFields":
		g.WriteString(g.pick(`[]`, `null`, `["Phone","BillingAddress.City"]`, `["Mailing\u0041ddress.Street", "Notes__c"]`,
			`["Name","BillingAddress","Name.Nope","Loc__c","MailingAddress","Phone.x",""]`))
	default:
		g.value(f.Type, f.Required, change)
	}
}

func (g *generator) value(n *schemas.Node, required, change bool) {
	switch n.Kind {
	case schemas.KindUnion:
		from := 0
		if required {
			from = 1
		}
		b := n.Branches[from+g.IntN(len(n.Branches)-from)]
		if b.Kind == schemas.KindString && change && g.IntN(8) == 0 {
			g.WriteString(`{ "diff" :`)
			g.text(g.words())
			g.WriteByte('}')
			return
		}
		g.value(b, required, change)
	case schemas.KindNull:
		g.WriteString("null")
	case schemas.KindBoolean:
		g.WriteString(g.pick("true", "false"))
	case schemas.KindString:
		g.text(g.words())
	case schemas.KindEnum:
		g.text(n.Symbols[g.IntN(len(n.Symbols))])
	case schemas.KindDouble:
		g.WriteString(g.pick("0", "-0", "20", "20.0", "1.0E7", "-1e-300", "0.1", "123456789012345678", fmt.Sprint(g.NormFloat64()), fmt.Sprint(g.Int64())))
	case schemas.KindInt:
		g.integer(int64(int32(g.Uint32())), n.Temporal, `"13:30:00.000Z"`, `"00:00:00Z"`, `"23:59:59.999"`)
	case schemas.KindLong:
		g.integer(int64(g.Uint64()>>g.IntN(64)), n.Temporal, `"2026-03-04T09:15:22.481Z"`, `"1969-12-31"`, `"2024-02-29T23:59:59+0130"`, `"0001-01-01T00:00:00.1Z"`, `"9999-12-31"`)
	case schemas.KindRecord:
		g.record(n, change && n.Name != "com.sforce.eventbus.ChangeEventHeader")
	case schemas.KindArray:
		g.WriteByte('[')
		for i := range g.IntN(80) / (1 + g.IntN(40)) {
			if i > 0 {
				g.WriteByte(',')
			}
			g.space()
			g.value(n.Items, false, false)
		}
		g.space()
		g.WriteByte(']')
	}
}

func (g *generator) integer(v int64, temporal schemas.Temporal, texts ...string) {
	switch {
	case temporal != schemas.NotTemporal && g.IntN(2) == 0:
		g.WriteString(g.pick(texts...))
	case v != 0 && g.IntN(4) == 0:
		fmt.Fprintf(g, g.pick("%d.0", "%d.00E+0", "%d00e-2", "%d0000000000000000000000E-22"), v)
	default:
		fmt.Fprint(g, v)
	}
}

func (g *generator) words() string {
	var b strings.Builder
	for range g.IntN(12) {
		b.WriteString(g.pick("a", "roadrunner", "é", "日本", "😀", "\"", "\\", "/", "\n", "\x00", "\u2028", "\u007f", " ", "x12345678"))
	}
	return b.String()
}

// text writes a JSON text, escaping what must be and, at random, what need not.
func (g *generator) text(s string) {
	g.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '/' && g.IntN(2) == 0:
			g.WriteString(`\/`)
		case r == '\n' && g.IntN(2) == 0:
			g.WriteString(`\n`)
		case r < ' ' || r < 0x10000 && g.IntN(20) == 0:
			fmt.Fprintf(g, g.pick(`\u%04x`, `\u%04X`), r)
		case r == '"' || r == '\\':
			g.WriteByte('\\')
			g.WriteRune(r)
		case r >= 0x10000 && g.IntN(2) == 0:
			fmt.Fprintf(g, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			g.WriteRune(r)
		}
	}
	g.WriteByte('"')
}
