package transform_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEnvelopesThatDoNotFit: what cannot be is told when the encoder is made.
func TestEnvelopesThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		channel  string
		format   transform.Format
		envelope schemas.Envelope
		says     string
	}{
		"raw":       {"/data/AccountChangeEvent", transform.Raw, schemas.FlatEnvelope, "raw has no envelope"},
		"pushtopic": {"/topic/InvoiceUpdates", transform.Avro, schemas.FlatEnvelope, "only change events and platform events"},
		"generic":   {"/u/notifications", transform.JSON, schemas.DebeziumEnvelope, "only change events and platform events"},
		"unknown":   {"/data/AccountChangeEvent", transform.Avro, 9, "unknown Envelope(9)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := transform.NewEncoder(transform.Config{
				OrgID: testOrg, Schemas: catalogOf(nil), Format: c.format,
				Streams: map[string]transform.StreamOptions{c.channel: {Envelope: c.envelope}},
			})
			var config *transform.ConfigError
			if !errors.As(err, &config) || config.Setting != "envelope of "+c.channel || !strings.Contains(config.Reason, c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// asked is a registrar that keeps what it was given.
type asked struct {
	subjects []string
	schemas  []*schemas.Schema
}

func (r *asked) Register(_ context.Context, subject string, s *schemas.Schema) (int, error) {
	r.subjects, r.schemas = append(r.subjects, subject), append(r.schemas, s)
	return 7, nil
}

// TestEnvelopeSchemaIsRegistered: what is registered is the schema that the values
// have, under its own name, once.
func TestEnvelopeSchemaIsRegistered(t *testing.T) {
	ev, text := benchEvent(t)
	for _, c := range []struct {
		format   transform.Format
		json     bool
		envelope schemas.Envelope
		name     string
	}{
		{transform.Avro, false, schemas.FlatEnvelope, "bridge.flat.AccountChangeEvent"},
		{transform.Avro, false, schemas.DebeziumEnvelope, "bridge.debezium.AccountChangeEvent.Envelope"},
		{transform.JSON, true, schemas.EventEnvelope, "com.sforce.eventbus.AccountChangeEvent"},
		{transform.JSON, true, schemas.DebeziumEnvelope, "bridge.debezium.AccountChangeEvent.Envelope"},
		{transform.JSON, false, schemas.FlatEnvelope, ""},
		{transform.Raw, true, schemas.EventEnvelope, ""},
	} {
		registry := &asked{}
		e := newEncoder(t, transform.Config{
			Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: registry, Format: c.format, JSONSchema: c.json,
			Subject: schemas.RecordSubject, Streams: map[string]transform.StreamOptions{ev.Channel: {Envelope: c.envelope}},
		})
		var records []*kgo.Record
		for range 2 {
			var err error
			if records, _, err = e.Encode(t.Context(), records, ev); err != nil {
				t.Fatal(err)
			}
		}
		value := records[1].Value
		if c.name == "" {
			if len(registry.subjects) != 0 || value[0] != '{' {
				t.Errorf("%v: registered %v, value %.20q", c, registry.subjects, value)
			}
			continue
		}
		if len(registry.subjects) != 1 || registry.subjects[0] != c.name || value[0] != 0 || binary.BigEndian.Uint32(value[1:]) != 7 {
			t.Fatalf("%v: registered %v, value %.20q", c, registry.subjects, value)
		}
		s := registry.schemas[0]
		if isJSON := c.format == transform.JSON; (s.TextType == schemas.JSONSchemaText) != isJSON || isJSON && !json.Valid(value[5:]) {
			t.Errorf("%v: the text is %.40s", c, s.JSON)
		}
	}
}

// TestFanOutIsBounded: values of their own for each record of a merged event must
// not take all memory.
func TestFanOutIsBounded(t *testing.T) {
	e, ev := shapeEncoder(t, shape{transform.Avro, schemas.FlatEnvelope})
	many := withIDs(ev, 30_000)
	many.Payload = []byte(strings.Replace(string(many.Payload), `"Gold;Partner"`, `"`+strings.Repeat("x", 4000)+`"`, 1))
	_, _, err := e.Encode(t.Context(), nil, many)
	if err == nil || !transform.BadEvent(err) || !strings.Contains(err.Error(), "envelope: event") {
		t.Fatalf("got %v", err)
	}
	records, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil || len(records) != 1 {
		t.Errorf("the next event: %d records, %v", len(records), err)
	}
}

// TestRawNeedsNoSchema: there is none to be had, and the record is made.
func TestRawNeedsNoSchema(t *testing.T) {
	e := newEncoder(t, transform.Config{Schemas: catalogOf(nil), Format: transform.Raw, Tombstone: func(string) bool { return true },
		Streams: map[string]transform.StreamOptions{"/event/Order__e": {KeyField: "Number__c"}, "/event/Dated__e": {KeyField: "CreatedDate"}}})
	for _, c := range []struct {
		ev              transform.Event
		topic, key      string
		records, tombs  int
		change, problem string
	}{
		{ev: transform.Event{Channel: "/event/Order__e", Payload: []byte(`{"x":[1,{"y":"}"}],"Number__c":12,"CreatedDate":"2026-03-04T09:15:22.481Z"}`)}, topic: "salesforce.Order__e", key: "12", records: 1},
		{ev: transform.Event{Channel: "/event/Order__e", UUID: "u", Payload: []byte(`{"Number__c":null}`)}, topic: "salesforce.Order__e", key: "u", records: 1},
		{ev: transform.Event{Channel: "/event/Dated__e", Payload: []byte(`{"CreatedDate":"2026-03-04T09:15:22.481Z"}`)}, topic: "salesforce.Dated__e", key: "2026-03-04T09:15:22.481Z", records: 1},
		{ev: transform.Event{Channel: "/event/Mixed__chn", APIName: "A__e", Position: "5", Payload: []byte(`{}`)}, topic: "salesforce.A__e", key: "/event/Mixed__chn#5", records: 1},
		{ev: transform.Event{Channel: "/event/Mixed__chn", SchemaID: "none", Payload: []byte(`{}`)}, problem: "does not exist"},
		{ev: transform.Event{Channel: "/topic/Rows", Payload: []byte(`{"event":{"type":"deleted"},"sobject":{"Id":"a01xx000000AbcdAAC"}}`)}, topic: "salesforce.Rows", key: "a01xx000000AbcdAAC", records: 1, tombs: 1, change: "deleted"},
		{ev: transform.Event{Channel: "/topic/Rows", Payload: []byte(`{"event":{"type":"updated"},"sobject":{"Name":"x"}}`)}, problem: "sobject.Id"},
		{ev: transform.Event{Channel: "/data/AccountChangeEvent", Payload: []byte(`{"Odd":tru,"ChangeEventHeader":{"entityName":"Account","changeType":"NEW_KIND","recordIds":["001xx000003DGb2"],"sequenceNumber":"x"}}`)}, topic: "salesforce.Account", key: "001xx000003DGb2AAG", records: 1, change: "NEW_KIND"},
		{ev: transform.Event{Channel: "/data/AccountChangeEvent", Payload: []byte(`{"ChangeEventHeader":{"entityName":"Account","recordIds":[1]}}`)}, problem: "recordIds"},
		{ev: transform.Event{Channel: "/data/AccountChangeEvent", Payload: []byte(`{"ChangeEventHeader":{"entityName":"Account","entityName":"B"}}`)}, problem: "the key twice"},
		{ev: transform.Event{Channel: "/data/AccountChangeEvent", Payload: []byte(`{"Name":"x`)}, problem: "cut off"},
		{ev: transform.Event{Channel: "/data/AccountChangeEvent", Payload: []byte(`[]`)}, problem: "is an object"},
	} {
		records, meta, err := e.Encode(t.Context(), nil, &c.ev)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%s: %v, want %q", c.ev.Payload, err, c.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.ev.Payload, err)
			continue
		}
		r := records[0]
		if r.Topic != c.topic || string(r.Key) != c.key || string(r.Value) != string(c.ev.Payload) || meta.Records != c.records || meta.Tombstones != c.tombs ||
			len(records) != c.records+c.tombs || header(r, "sf-change-type") != c.change {
			t.Errorf("%s: topic %s key %s value %s, %+v", c.ev.Payload, r.Topic, r.Key, r.Value, meta)
		}
	}
}
