package transform_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCutPayload: no beginning of an event passes for an event.
func TestCutPayload(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	cut := *ev
	for n := range ev.Payload {
		cut.Payload = ev.Payload[:n:n]
		records, _, err := e.Encode(t.Context(), nil, &cut)
		var event *transform.EventError
		if !errors.As(err, &event) || len(records) != 0 {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

// TestErrorLeavesCallersSlice: what was appended before stays, nothing is added.
func TestErrorLeavesCallersSlice(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	dst, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	first := string(dst[0].Value)
	bad := *ev
	bad.Payload = []byte(strings.Replace(string(ev.Payload), `"Phone"`, `"Fone"`, 1))
	again, meta, err := e.Encode(t.Context(), dst, &bad)
	var unknown *transform.UnknownFieldError
	if !errors.As(err, &unknown) || unknown.Path != "Fone" || len(again) != 1 || meta != (transform.Meta{}) {
		t.Errorf("got %v, %d records, %+v", err, len(again), meta)
	}
	// The encoder goes on, and what it made before is not touched.
	if again, _, err = e.Encode(t.Context(), again, ev); err != nil || len(again) != 2 {
		t.Fatalf("got %v, %d records", err, len(again))
	}
	if string(again[0].Value) != first || string(again[1].Value) != first {
		t.Error("the same event gave different bytes")
	}
}

// TestRecordsDoNotOverlap: appending to a part of a record changes no other part.
func TestRecordsDoNotOverlap(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	dst, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	r := dst[0]
	key, position := string(r.Key), header(r, "sf-replay-id")
	_ = append(r.Value, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"...)
	_ = append(r.Key, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"...)
	_ = append(r.Headers, kgo.RecordHeader{Key: "z"})
	if string(r.Key) != key || header(r, "sf-replay-id") != position || header(r, "sf-record-count") != "1" {
		t.Error("parts of the record share room to grow")
	}
	clear(ev.Payload)
	if key != "001xx000003DGb2AAG" || !strings.Contains(string(r.Value), "roadrunner") {
		t.Error("the record refers to the payload")
	}
}

// TestHeaderOrder: the order of headers is fixed, absent ones are left out.
func TestHeaderOrder(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	dst, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, h := range dst[0].Headers {
		keys = append(keys, h.Key)
	}
	const want = "sf-org sf-channel sf-replay-id sf-object sf-change-type sf-schema-id sf-transaction-key sf-sequence sf-commit-number sf-record-index sf-record-count"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("headers %s", got)
	}
}

// TestErrorsOfOthers: trouble of the schema endpoint and the registry is not the
// event's, and the encoder recovers from it.
func TestErrorsOfOthers(t *testing.T) {
	ev, text := benchEvent(t)
	down := errors.New("connection refused")
	for _, c := range []struct {
		name        string
		fetch, post error
		retry, bad  bool
		schema      string
	}{
		{name: "schema endpoint down", fetch: down, retry: true},
		{name: "schema unknown", fetch: schemas.Permanent(down)},
		{name: "schema unusable", schema: `{"type":"record","name":"9"}`, bad: true},
		{name: "registry down", post: &schemas.RegistryError{Err: down}, retry: true},
		{name: "registry locked", post: &schemas.RegistryError{Status: 401}},
		{name: "incompatible", post: &schemas.IncompatibleError{Subject: "x"}},
		{name: "context ended", post: context.Canceled, retry: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fail := true
			reg := &registrar{err: c.post}
			e := newEncoder(t, transform.Config{Registry: reg, Schemas: schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
				if fail && c.fetch != nil {
					return nil, c.fetch
				}
				if c.schema != "" {
					return []byte(c.schema), nil
				}
				return []byte(text), nil
			}))})
			records, _, err := e.Encode(t.Context(), nil, ev)
			if err == nil || len(records) != 0 {
				t.Fatal("no error")
			}
			if transform.Retryable(err) != c.retry || transform.BadEvent(err) != c.bad {
				t.Errorf("%v: retryable %t, bad event %t", err, transform.Retryable(err), transform.BadEvent(err))
			}
			fail, reg.err = false, nil
			if _, _, err = e.Encode(t.Context(), nil, ev); c.retry && err != nil {
				t.Errorf("the second try: %v", err)
			}
		})
	}
	if transform.BadEvent(nil) || transform.Retryable(nil) {
		t.Error("nil is an error")
	}
}

// TestSubjects: a schema is registered once for each subject.
func TestSubjects(t *testing.T) {
	ev, text := benchEvent(t)
	del := *ev
	del.Payload = []byte(strings.Replace(string(ev.Payload), `"UPDATE"`, `"UNDELETE"`, 1))
	for _, c := range []struct {
		subject schemas.SubjectStrategy
		want    string
	}{
		{schemas.TopicSubject, "UPDATE-value UNDELETE-value"},
		{schemas.RecordSubject, "com.sforce.eventbus.AccountChangeEvent com.sforce.eventbus.AccountChangeEvent"},
		{schemas.TopicRecordSubject, "UPDATE-com.sforce.eventbus.AccountChangeEvent UNDELETE-com.sforce.eventbus.AccountChangeEvent"},
	} {
		reg := &registrar{}
		e := newEncoder(t, transform.Config{
			Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: reg, Subject: c.subject, TopicTemplate: "{{.ChangeType}}",
		})
		for range 2 {
			for _, one := range []*transform.Event{ev, &del} {
				if _, _, err := e.Encode(t.Context(), nil, one); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := strings.Join(reg.subjects, " "); got != c.want {
			t.Errorf("%s: registered %s", c.subject, got)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	good := transform.Config{OrgID: testOrg, Schemas: catalogOf(nil)}
	for _, c := range []struct {
		change func(*transform.Config)
		want   string
	}{
		{func(c *transform.Config) { c.OrgID = "" }, "org id: is missing"},
		{func(c *transform.Config) { c.Schemas = nil }, "schemas: no catalog given"},
		{func(c *transform.Config) { c.Format = 9 }, "format: unknown Format(9)"},
		{func(c *transform.Config) { c.Subject = 9 }, "subject strategy: unknown SubjectStrategy(9)"},
		{func(c *transform.Config) { c.TopicTemplate = "{{.X}}" }, "topic template: "},
		{func(c *transform.Config) {
			c.Streams = map[string]transform.StreamOptions{"/event/A__e": {Topic: "a b"}}
		}, "topic of /event/A__e: "},
		{func(c *transform.Config) {
			c.Streams = map[string]transform.StreamOptions{"/data/ChangeEvents": {KeyField: "Id"}}
		}, "key of /data/ChangeEvents: change events are keyed by record id"},
		{func(c *transform.Config) {
			c.Streams = map[string]transform.StreamOptions{"/topic/Invoices": {KeyField: "Id"}}
		}, "key of /topic/Invoices: "},
		{func(c *transform.Config) {
			c.Streams = map[string]transform.StreamOptions{"/systemTopic/Logging": {}}
		}, `channel "/systemTopic/Logging"`},
	} {
		cfg := good
		c.change(&cfg)
		if _, err := transform.NewEncoder(cfg); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	e := newEncoder(t, good)
	for _, channel := range []string{"", "/data/", "/event/", "/topic/", "/topic/?a=b", "/u/", "/u", "/meta/connect", "data/X", "/systemTopic/Logging"} {
		_, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: channel})
		var unsupported *transform.UnsupportedChannelError
		if !errors.As(err, &unsupported) || unsupported.Channel != channel || !transform.BadEvent(err) {
			t.Errorf("%q: %v", channel, err)
		}
	}
}

// TestStreamTopics: a stream's own topic wins over the template.
func TestStreamTopics(t *testing.T) {
	ev, text := benchEvent(t)
	asked := 0
	e := newEncoder(t, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), TopicTemplate: "other",
		Streams:   map[string]transform.StreamOptions{ev.Channel: {Topic: "crm.{{.Object}}"}},
		Tombstone: func(topic string) bool { asked++; return topic == "crm.Account" },
	})
	del := *ev
	del.Payload = []byte(strings.Replace(string(ev.Payload), `"UPDATE"`, `"DELETE"`, 1))
	for range 3 {
		records, meta, err := e.Encode(t.Context(), nil, &del)
		if err != nil || len(records) != 2 || meta.Records != 1 || meta.Tombstones != 1 {
			t.Fatalf("%v, %d records, %+v", err, len(records), meta)
		}
		if r := records[1]; r.Topic != "crm.Account" || r.Value != nil || string(r.Key) != string(records[0].Key) || !r.Timestamp.Equal(records[0].Timestamp) {
			t.Errorf("the tombstone is %+v", r)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times about one topic", asked)
	}
}

func TestMeta(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	_, meta, err := e.Encode(t.Context(), nil, ev)
	if err != nil || meta.Object != "Account" || meta.ChangeType != "UPDATE" || meta.Gap != nil || !meta.Time.Equal(time.UnixMilli(1772615722000)) {
		t.Errorf("got %+v, %v", meta, err)
	}
	gap := *ev
	gap.Payload = []byte(`{"ChangeEventHeader":{"commitNumber":1,"commitUser":"u","sequenceNumber":1,"entityName":"Account","changeType":"GAP_DELETE","changeOrigin":"","transactionKey":"t","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG","001*"]}}`)
	_, meta, err = e.Encode(t.Context(), nil, &gap)
	if err != nil || meta.Gap == nil || meta.Gap.Reason != transform.GapWildcard || meta.Gap.ChangeType != "GAP_DELETE" || len(meta.Gap.RecordIDs) != 2 || meta.Records != 2 {
		t.Errorf("got %+v, %v", meta, err)
	}
}

// TestSchemasOfOtherShape: schemas that lack what the header needs, or have
// defaults of their own.
func TestSchemasOfOtherShape(t *testing.T) {
	_, full := benchEvent(t)
	ev := &transform.Event{Channel: "/data/AccountChangeEvent", Position: "1", SchemaID: "id", Payload: []byte(
		`{"ChangeEventHeader":{"commitNumber":1,"commitUser":"u","sequenceNumber":1,"entityName":"Account","changeType":"UPDATE","changeOrigin":"","transactionKey":"t","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG"]},"Phone":null}`)}
	without := func(field string) string {
		return strings.Replace(full, `"name": "`+field+`"`, `"name": "other_`+field+`"`, 1)
	}
	for _, c := range []struct{ name, schema, want string }{
		{"complete", full, ""},
		{"no header", without("ChangeEventHeader"), "has no ChangeEventHeader, but the channel"},
		{"no record ids", without("recordIds"), "ChangeEventHeader.recordIds: the change event header lacks the field"},
		{"no commit number", without("commitNumber"), "ChangeEventHeader.commitNumber: the change event header lacks"},
		{"no place for cleared fields", without("nulledFields"), "ChangeEventHeader.nulledFields: found cleared fields"},
		{"default in the header", strings.Replace(full, `"name": "changeOrigin",`, `"default": "somewhere", "name": "changeOrigin",`, 1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{"id": c.schema})})
			_, _, err := e.Encode(t.Context(), nil, ev)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !transform.BadEvent(err)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestHeaderDefault: an absent field with a default of Salesforce's is that.
func TestHeaderDefault(t *testing.T) {
	_, full := benchEvent(t)
	text := strings.Replace(full, `"name": "changeOrigin",`, `"default": "somewhere", "name": "changeOrigin",`, 1)
	s, err := schemas.Parse("id", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"ChangeEventHeader":{"commitNumber":1,"commitUser":"u","sequenceNumber":1,"entityName":"Account","changeType":"UPDATE","transactionKey":"t","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG"]}}`)
	cat := catalogOf(map[string]string{"id": text})
	for _, format := range []transform.Format{transform.Avro, transform.JSON} {
		e := newEncoder(t, transform.Config{Schemas: cat, Format: format})
		records, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/data/X", SchemaID: "id", Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		decode := decodeJSON
		if format == transform.Avro {
			decode = func(b []byte) (map[string]any, error) { return decodeAvro(string(s.JSON), b) }
		}
		m, err := decode(records[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(m[schemas.HeaderField]); !strings.Contains(got, "changeOrigin:somewhere") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// TestManyEncoders: encoders of many lanes share one catalog and one registry.
func TestManyEncoders(t *testing.T) {
	ev, text := benchEvent(t)
	fetches := 0
	cat := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		fetches++
		return []byte(text), nil
	}))
	values := make([]string, 8)
	var wg sync.WaitGroup
	for i := range values {
		wg.Go(func() {
			e, err := transform.NewEncoder(transform.Config{OrgID: testOrg, Schemas: cat})
			if err != nil {
				t.Error(err)
				return
			}
			for range 50 {
				records, _, err := e.Encode(t.Context(), nil, ev)
				if err != nil {
					t.Error(err)
					return
				}
				values[i] = string(records[0].Value)
			}
		})
	}
	wg.Wait()
	for i := range values {
		if values[i] != values[0] || values[i] == "" {
			t.Errorf("encoder %d made another value", i)
		}
	}
	if fetches != 1 {
		t.Errorf("%d fetches", fetches)
	}
}

// TestPlatformEventTimes: an event without a time of its own has that of its
// arrival.
func TestPlatformEventTimes(t *testing.T) {
	const text = `{"name":"Bare__e","type":"record","fields":[{"name":"CreatedDate","type":["null","long"],"doc":"x:DateTime"}]}`
	e := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{"id": text})})
	arrival := time.UnixMilli(1772700000000)
	for _, c := range []struct {
		payload string
		want    time.Time
	}{
		{`{"CreatedDate":"2026-03-04T09:15:22.481Z"}`, time.UnixMilli(1772615722481)},
		{`{"CreatedDate":1772615722481}`, time.UnixMilli(1772615722481)},
		{`{"CreatedDate":null}`, arrival}, {`{}`, arrival}, {`{"CreatedDate":-1}`, arrival},
	} {
		records, meta, err := e.Encode(t.Context(), nil, &transform.Event{
			Channel: "/event/Bare__e", Position: "9", SchemaID: "id", Payload: []byte(c.payload), ReceivedAt: arrival,
		})
		if err != nil || !records[0].Timestamp.Equal(c.want) || !meta.Time.Equal(c.want) {
			t.Errorf("%s: %v, %v", c.payload, err, meta.Time)
		}
		if err == nil && string(records[0].Key) != "/event/Bare__e#9" {
			t.Errorf("key %s", records[0].Key)
		}
	}
}

// TestHugeEvent: an event far above the usual passes, and the next one too.
func TestHugeEvent(t *testing.T) {
	e, ev := benchEncoder(t, transform.Avro)
	huge := *ev
	huge.Payload = []byte(strings.Replace(string(ev.Payload), "roadrunner", strings.Repeat(`long \u00e9 text `, 200_000), 1))
	for range 2 {
		records, _, err := e.Encode(t.Context(), nil, &huge)
		if err != nil || len(records[0].Value) < 2_200_000 {
			t.Fatal(err)
		}
		if _, _, err := e.Encode(t.Context(), nil, ev); err != nil {
			t.Fatal(err)
		}
	}
}
