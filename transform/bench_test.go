package transform_test

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// benchEvent is an UPDATE of about 1.2 kB, as compact as Salesforce sends it.
func benchEvent(tb testing.TB) (*transform.Event, string) {
	tb.Helper()
	text, err := os.ReadFile("testdata/update/schema.avsc")
	if err != nil {
		tb.Fatal(err)
	}
	payload := `{"LastModifiedDate":"2026-03-04T09:15:22.000Z","Phone":"+33 4 72 00 00 00","Website":"https://www.acme.example/","Industry":"Manufacturing",` +
		`"ChangeEventHeader":{"commitNumber":10932465891,"commitUser":"005xx000001SvogAAC","sequenceNumber":1,"entityName":"Account","changeType":"UPDATE",` +
		`"changedFields":["Phone","Website","Industry","AnnualRevenue","NumberOfEmployees","Description","Rating","BillingAddress.Street","BillingAddress.City","BillingAddress.PostalCode","BillingAddress.Country","LastModifiedDate"],` +
		`"changeOrigin":"com/salesforce/api/rest/59.0;client=SfdcInternalAPI/","transactionKey":"0001ade9-3f74-0b99-dbc4-42e73424b774","commitTimestamp":1772615722000,"recordIds":["001xx000003DGb2AAG"]},` +
		`"AnnualRevenue":1.25E7,"NumberOfEmployees":250,"Rating":"Hot","Type":"Customer - Direct","OwnerId":"005xx000001SvogAAC","IsPersonAccount":false,"Founded__c":"1987-06-01","Discount__c":12.5,"Tags__c":"Gold;Partner",` +
		`"BillingAddress":{"Street":"12 rue de la République","City":"Lyon","PostalCode":"69001","Country":"France","Latitude":45.764,"Longitude":4.8357},` +
		`"Description":"Makes roadrunner traps since 1987.\nPrefers to be called in the morning; invoices go to the head office, never to the plant."}`
	return &transform.Event{
		Channel: "/data/AccountChangeEvent", Position: "65219", SchemaID: "TJ7XSrLXBLKw6fpdXgRzSg", Payload: []byte(payload),
	}, string(text)
}

func benchEncoder(tb testing.TB, format transform.Format) (*transform.Encoder, *transform.Event) {
	tb.Helper()
	ev, text := benchEvent(tb)
	return newEncoder(tb, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: &registrar{}, Format: format,
	}), ev
}

// BenchmarkEncode is one event to one record: value, key and headers.
// Compare with BenchmarkBaseline.
func BenchmarkEncode(b *testing.B) {
	e, ev := benchEncoder(b, transform.Avro)
	benchmarkEncode(b, e, ev)
}

// BenchmarkEncodeJSON is the same in format JSON.
func BenchmarkEncodeJSON(b *testing.B) {
	e, ev := benchEncoder(b, transform.JSON)
	benchmarkEncode(b, e, ev)
}

func benchmarkEncode(b *testing.B, e *transform.Encoder, ev *transform.Event) {
	var (
		dst []*kgo.Record
		err error
	)
	b.SetBytes(int64(len(ev.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if dst, _, err = e.Encode(context.Background(), dst[:0], ev); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBaseline is what the usual libraries need for the value alone:
// json.Unmarshal into a map, values coerced to Go types by the schema, hamba's
// Marshal. It makes neither key nor headers, and would drop unknown fields.
func BenchmarkBaseline(b *testing.B) {
	base, ev := newBaseline(b)
	b.SetBytes(int64(len(ev.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := base.encode(ev.Payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRatio reports how many times faster we are than the baseline. The
// two take turns and the best round of each counts, so that a busy machine
// disturbs it little.
func BenchmarkRatio(b *testing.B) {
	base, ev := newBaseline(b)
	e, _ := benchEncoder(b, transform.Avro)
	const events = 100
	ours, theirs := time.Duration(1<<62), time.Duration(1<<62)
	var dst []*kgo.Record
	for b.Loop() {
		start := time.Now()
		for range events {
			var err error
			if dst, _, err = e.Encode(context.Background(), dst[:0], ev); err != nil {
				b.Fatal(err)
			}
		}
		ours = min(ours, time.Since(start))
		start = time.Now()
		for range events {
			if _, err := base.encode(ev.Payload); err != nil {
				b.Fatal(err)
			}
		}
		theirs = min(theirs, time.Since(start))
	}
	b.ReportMetric(float64(ours.Nanoseconds())/events, "ns/event")
	b.ReportMetric(float64(theirs.Nanoseconds())/events, "baseline-ns/event")
	b.ReportMetric(float64(theirs)/float64(ours), "x")
}

type baseline struct {
	api    avro.API
	schema avro.Schema
	root   *schemas.Node
}

func newBaseline(tb testing.TB) (*baseline, *transform.Event) {
	tb.Helper()
	ev, text := benchEvent(tb)
	s, err := schemas.Parse(ev.SchemaID, []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	schema, err := avro.ParseWithCache(string(s.JSON), "", &avro.SchemaCache{})
	if err != nil {
		tb.Fatal(err)
	}
	return &baseline{api: avro.Config{DisableBlockSizeHeader: true}.Freeze(), schema: schema, root: s.Root}, ev
}

func (b *baseline) encode(payload []byte) ([]byte, error) {
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, err
	}
	return b.api.Marshal(b.schema, coerce(b.root, m))
}

// coerce gives decoded JSON the Go types that hamba's Marshal asks for.
func coerce(n *schemas.Node, v any) any {
	switch n.Kind {
	case schemas.KindUnion:
		for _, branch := range n.Branches {
			switch {
			case v == nil || branch.Kind == schemas.KindNull:
			case branch.Name != "":
				return map[string]any{branch.Name: coerce(branch, v)}
			default:
				return coerce(branch, v)
			}
		}
		return nil
	case schemas.KindRecord:
		m := v.(map[string]any)
		out := make(map[string]any, len(n.Fields))
		for i := range n.Fields {
			f := &n.Fields[i]
			if value, ok := m[f.Name]; ok || f.Type.Nullable() {
				out[f.Name] = coerce(f.Type, value)
			} else {
				out[f.Name] = []any{}
			}
		}
		return out
	case schemas.KindInt:
		return int(v.(float64))
	case schemas.KindLong:
		if s, ok := v.(string); ok {
			layout := time.RFC3339
			if len(s) == len(time.DateOnly) {
				layout = time.DateOnly
			}
			at, err := time.Parse(layout, s)
			if err != nil {
				return nil
			}
			return at
		}
		return int64(v.(float64))
	}
	return v
}

// TestBaselineIsFair checks that the baseline makes the value that we make, so
// that the ratio compares equal work.
func TestBaselineIsFair(t *testing.T) {
	base, ev := newBaseline(t)
	want, err := base.encode(ev.Payload)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := benchEncoder(t, transform.Avro)
	records, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	if got := records[0].Value[5:]; string(got) != string(want) {
		t.Errorf("the values differ:\nours     %x\nbaseline %x", got, want)
	}
	if n := len(ev.Payload); n < 1100 || n > 1500 {
		t.Errorf("the event has %d bytes, meant are about 1.2 kB", n)
	}
}

// TestAllocations holds the bound of two allocations an event: one block for
// value, key and header texts, one for the record and its list of headers.
func TestAllocations(t *testing.T) {
	for _, format := range []transform.Format{transform.Avro, transform.JSON} {
		e, ev := benchEncoder(t, format)
		var dst []*kgo.Record
		n := testing.AllocsPerRun(200, func() {
			var err error
			if dst, _, err = e.Encode(context.Background(), dst[:0], ev); err != nil {
				t.Fatal(err)
			}
		})
		if n > 2 {
			t.Errorf("format %s: %v allocations an event, want at most 2", format, n)
		}
	}
}

// TestManyRecordIDs holds the bound for merged events too: the number of
// allocations does not grow with the number of records.
func TestManyRecordIDs(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	many := withIDs(ev, 500)
	var dst []*kgo.Record
	n := testing.AllocsPerRun(20, func() {
		var err error
		if dst, _, err = e.Encode(context.Background(), dst[:0], many); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 || len(dst) != 500 || header(dst[499], "sf-record-index") != "499" || header(dst[0], "sf-record-count") != "500" {
		t.Errorf("%v allocations for %d records, the last is number %s", n, len(dst), header(dst[len(dst)-1], "sf-record-index"))
	}
}

// withIDs is the event merged from those of n records.
func withIDs(ev *transform.Event, n int) *transform.Event {
	var ids []string
	for i := range n {
		ids = append(ids, `"001xx00000`+strconv.Itoa(10000+i)+`AAG"`)
	}
	many := *ev
	many.Payload = []byte(strings.Replace(string(ev.Payload), `["001xx000003DGb2AAG"]`, "["+strings.Join(ids, ",")+"]", 1))
	return &many
}
