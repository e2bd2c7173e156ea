package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	wire "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/foreign"
)

// readWithGo reads topics as [foreign.Reader.Read] does, with franz-go and hamba.
func readWithGo(t *testing.T, brokers []string, registryURL string, topics []string, want int) []foreign.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Where a transaction ended is an offset as well; without these records no
		// partition would be read to its end.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	type place struct {
		topic     string
		partition int32
	}
	reached := map[place]int64{}
	d := newDecoder(registryURL)
	var out []foreign.Record
	var ends kadm.ListedOffsets
	atEnd := func() bool {
		short := false
		ends.Each(func(o kadm.ListedOffset) { short = short || reached[place{o.Topic, o.Partition}] < o.Offset })
		return !short
	}
	for ends == nil || !atEnd() {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("the Go reader: %d of %d records: %v", len(out), want, ctx.Err())
		}
		for rec := range fetches.RecordsAll() {
			reached[place{rec.Topic, rec.Partition}] = rec.Offset + 1
			if rec.Attrs.IsControl() {
				continue
			}
			r, err := d.record(ctx, rec)
			if err != nil {
				t.Fatalf("the Go reader: record %s/%d@%d: %v", rec.Topic, rec.Partition, rec.Offset, err)
			}
			out = append(out, r)
		}
		if ends == nil && len(out) >= want {
			if ends, err = kadm.NewClient(cl).ListCommittedOffsets(ctx, topics...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

type decoder struct {
	registry string
	schemas  map[int]avro.Schema
	api      avro.API
}

func newDecoder(registryURL string) *decoder {
	return &decoder{registry: registryURL, schemas: map[int]avro.Schema{}, api: avro.Config{}.Freeze()}
}

func (d *decoder) record(ctx context.Context, rec *kgo.Record) (foreign.Record, error) {
	out := foreign.Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp.UnixMilli(), Key: rec.Key}
	for _, h := range rec.Headers {
		out.Headers = append(out.Headers, foreign.Header{Key: h.Key, Value: h.Value})
	}
	if rec.Value == nil {
		return out, nil
	}
	if len(rec.Value) < 5 || rec.Value[0] != 0 {
		return out, errors.New("not in Confluent's wire format")
	}
	out.SchemaID = int(wire.BigEndian.Uint32(rec.Value[1:5]))
	schema, err := d.schema(ctx, out.SchemaID)
	if err != nil {
		return out, err
	}
	out.Schema = schema.(avro.NamedSchema).FullName()
	out.Value, err = d.value(schema, rec.Value[5:])
	return out, err
}

// value is a value of a schema, all of it, as plain JSON.
func (d *decoder) value(schema avro.Schema, data []byte) (json.RawMessage, error) {
	in := avro.NewReader(bytes.NewReader(data), 1024, avro.WithReaderConfig(d.api))
	var v any
	if in.ReadVal(schema, &v); in.Error != nil && !errors.Is(in.Error, io.EOF) {
		return nil, in.Error
	}
	if in.Peek(); !errors.Is(in.Error, io.EOF) {
		return nil, errors.New("bytes are left after what the schema describes")
	}
	plain, err := plainValue(schema, v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

func (d *decoder) schema(ctx context.Context, id int) (avro.Schema, error) {
	if s, ok := d.schemas[id]; ok {
		return s, nil
	}
	url := fmt.Sprintf("%s/schemas/ids/%d", d.registry, id)
	body, status, err := get(ctx, url)
	if err != nil || status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %d %s %w", url, status, body, err)
	}
	var answer struct{ Schema string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	s, err := avro.ParseWithCache(answer.Schema, "", &avro.SchemaCache{})
	d.schemas[id] = s
	return s, err
}

// plainValue is what hamba decoded as plain JSON has it: a union is the value
// alone, times are milliseconds, bytes are base64.
func plainValue(schema avro.Schema, v any) (any, error) {
	if ref, ok := schema.(*avro.RefSchema); ok {
		schema = ref.Schema()
	}
	switch s := schema.(type) {
	case *avro.UnionSchema:
		return plainUnion(s, v)
	case *avro.RecordSchema:
		m, ok := v.(map[string]any)
		if !ok || len(m) != len(s.Fields()) {
			return nil, fmt.Errorf("a %T of %d fields for the record %s", v, len(m), s.FullName())
		}
		out := make(map[string]any, len(m))
		for _, f := range s.Fields() {
			var err error
			if out[f.Name()], err = plainValue(f.Type(), m[f.Name()]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case *avro.ArraySchema:
		items, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("a %T for an array", v)
		}
		out := make([]any, len(items))
		for i := range items {
			var err error
			if out[i], err = plainValue(s.Items(), items[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return plainScalar(schema, v)
}

// plainUnion: hamba gives some branches as the value alone, others as a map of
// one entry under the branch's name.
func plainUnion(s *avro.UnionSchema, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	m, isMap := v.(map[string]any)
	for _, branch := range s.Types() {
		name := string(branch.Type())
		if named, ok := branch.(avro.NamedSchema); ok {
			name = named.FullName()
		}
		if ref, ok := branch.(*avro.RefSchema); ok {
			name = ref.Schema().FullName()
		}
		if l, ok := branch.(avro.LogicalTypeSchema); ok && l.Logical() != nil {
			name += "." + string(l.Logical().Type())
		}
		if inner, ok := m[name]; ok && len(m) == 1 {
			return plainValue(branch, inner)
		}
	}
	branches := slices.DeleteFunc(slices.Clone(s.Types()), func(b avro.Schema) bool {
		return b.Type() == avro.Null || (b.Type() == avro.Record || b.Type() == avro.Ref) != isMap
	})
	if len(branches) != 1 {
		return nil, fmt.Errorf("a %T for the union %s", v, s)
	}
	return plainValue(branches[0], v)
}

func plainScalar(schema avro.Schema, v any) (any, error) {
	switch d := v.(type) {
	case nil, bool, string, int, int64:
		return d, nil
	case float64:
		if math.IsNaN(d) || math.IsInf(d, 0) {
			return fmt.Sprint(d), nil
		}
		// With an exponent, so that it never looks like an integer.
		return json.Number(strconv.FormatFloat(d, 'E', -1, 64)), nil
	case time.Time:
		return d.UnixMilli(), nil
	case time.Duration:
		return d.Milliseconds(), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(d), nil
	}
	return nil, fmt.Errorf("a %T for %s", v, strings.TrimSpace(schema.String()))
}
