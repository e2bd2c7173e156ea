package transform_test

import (
	"context"
	"testing"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// shape is a format and an envelope.
type shape struct {
	format   transform.Format
	envelope schemas.Envelope
}

func (s shape) String() string { return s.format.String() + "_" + s.envelope.String() }

func shapes() []shape {
	return []shape{
		{transform.Avro, schemas.EventEnvelope}, {transform.Avro, schemas.FlatEnvelope}, {transform.Avro, schemas.DebeziumEnvelope},
		{transform.JSON, schemas.EventEnvelope}, {transform.JSON, schemas.FlatEnvelope}, {transform.JSON, schemas.DebeziumEnvelope},
		{transform.Raw, schemas.EventEnvelope},
	}
}

func shapeEncoder(tb testing.TB, s shape) (*transform.Encoder, *transform.Event) {
	tb.Helper()
	ev, text := benchEvent(tb)
	return newEncoder(tb, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: &registrar{}, Format: s.format, SourceName: "acme", Version: "1.0.0",
		Streams: map[string]transform.StreamOptions{ev.Channel: {Envelope: s.envelope}},
	}), ev
}

// BenchmarkEnvelopes reports what each format and envelope costs, as a ratio of
// Avro's event. All take turns and the best round of each counts, so that a busy
// machine disturbs it little.
func BenchmarkEnvelopes(b *testing.B) {
	const events = 100
	all := shapes()
	encoders := make([]*transform.Encoder, len(all))
	best := make([]time.Duration, len(all))
	var ev *transform.Event
	for i, s := range all {
		encoders[i], ev = shapeEncoder(b, s)
		best[i] = time.Hour
	}
	var (
		dst []*kgo.Record
		err error
	)
	for b.Loop() {
		for i, e := range encoders {
			start := time.Now()
			for range events {
				if dst, _, err = e.Encode(context.Background(), dst[:0], ev); err != nil {
					b.Fatal(err)
				}
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	for i, s := range all {
		b.ReportMetric(float64(best[i])/float64(best[0]), s.String()+"/event")
	}
	b.ReportMetric(float64(best[0].Nanoseconds())/events, "ns/avro_event")
}

// TestEnvelopeAllocations holds the bound of two allocations an event for each
// format and envelope, of merged events too.
func TestEnvelopeAllocations(t *testing.T) {
	for _, s := range shapes() {
		e, ev := shapeEncoder(t, s)
		for _, ids := range []int{1, 200} {
			merged := withIDs(ev, ids)
			var dst []*kgo.Record
			n := testing.AllocsPerRun(50, func() {
				var err error
				if dst, _, err = e.Encode(context.Background(), dst[:0], merged); err != nil {
					t.Fatal(err)
				}
			})
			if n > 2 || len(dst) != ids {
				t.Errorf("%s: %v allocations for %d records, want at most 2 for %d", s, n, len(dst), ids)
			}
		}
	}
}
