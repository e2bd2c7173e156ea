package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// recorder keeps what an org answers, and gives it again when there is no org.
type recorder struct {
	org     http.RoundTripper // nil: the answers that are kept
	answers map[string]*recorded
}

type recorded struct {
	status int
	header http.Header
	body   []byte
}

func (c *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	key := r.Method + " " + r.URL.RequestURI()
	if c.org == nil {
		kept := c.answers[key]
		if kept == nil {
			return nil, errors.New("nothing was recorded for " + key)
		}
		return &http.Response{StatusCode: kept.status, Header: kept.header, Request: r, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(kept.body))}, nil
	}
	resp, err := c.org.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	c.answers[key] = &recorded{resp.StatusCode, resp.Header, text}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

const benchRows = 2000 // one page

// recordedOrg has accounts, as both readers get them, and no org behind it. A Shape and
// encoders have asked it already.
func recordedOrg(b *testing.B) *salesforce.Client {
	b.Helper()
	org, err := orgsim.New(orgsim.Config{Seed: 5})
	if err != nil {
		b.Fatal(err)
	}
	if err := org.Bulk(orgsim.Bulk{Object: "Account", Count: benchRows, Records: benchRows}); err != nil {
		b.Fatal(err)
	}
	c := &recorder{org: org.RoundTripper(), answers: map[string]*recorded{}}
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{org}), APIVersion: "66.0", HTTP: &http.Client{Transport: c},
	})
	if err != nil {
		b.Fatal(err)
	}
	shape := newShape(b, client, "Account")
	encoders := newEncoders(b, client)
	for how, rows := range bothReaders(b, client, shape, org.AdvanceClock) {
		if len(rows) != benchRows {
			b.Fatalf("%s: %d rows", how, len(rows))
		}
		for w := range encoders {
			encoders.record(b, w, shape.Event(rows[0]))
		}
	}
	c.org = nil
	return client
}

// BenchmarkRows: rows a second, from pages in memory to records. "read" is what there
// must be, whoever reads: the pages are parsed into rows. The others make records too;
// x-read is how many times longer they take.
func BenchmarkRows(b *testing.B) {
	client := recordedOrg(b)
	shape := newShape(b, client, "Account")
	encoders := newEncoders(b, client)
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: client, Wait: func(context.Context, time.Duration) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	selection := salesforce.Selection{Form: shape.Form()}
	for how, open := range map[string]func() (salesforce.Rows, error){
		"rest": func() (salesforce.Rows, error) { return reader.Query(ctx, selection) },
		"bulk": func() (salesforce.Rows, error) { return reader.Bulk(ctx, selection) },
	} {
		var read float64 // nanoseconds a row
		b.Run(how+"/read", func(b *testing.B) {
			read = eachPage(b, open, func(salesforce.Row) error { return nil })
		})
		for name, w := range map[string]way{
			"avro": {transform.Avro, schemas.EventEnvelope}, "debezium": {transform.Avro, schemas.DebeziumEnvelope}, "json": {transform.JSON, schemas.EventEnvelope},
		} {
			b.Run(how+"/"+name, func(b *testing.B) {
				took := eachPage(b, open, recording(ctx, shape, encoders[w]))
				if read > 0 {
					b.ReportMetric(took/read, "x-read")
				}
			})
		}
	}
}

// recording makes records of rows.
func recording(ctx context.Context, shape *snapshot.Shape, encoder *transform.Encoder) func(salesforce.Row) error {
	var records []*kgo.Record
	return func(row salesforce.Row) error {
		ev := shape.Event(row)
		var err error
		records, _, err = encoder.Encode(ctx, records[:0], &ev)
		return err
	}
}

// eachPage reads the page again and again. It returns the nanoseconds that a row took.
func eachPage(b *testing.B, open func() (salesforce.Rows, error), do func(salesforce.Row) error) float64 {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		rows, err := open()
		if err != nil {
			b.Fatal(err)
		}
		for {
			row, err := rows.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err = errors.Join(err, do(row)); err != nil {
				b.Fatal(err)
			}
			n++
		}
		if err := rows.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	return float64(b.Elapsed().Nanoseconds()) / float64(n)
}
