package transform_test

import (
	"errors"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// polledEvent is a row of a polled stream, and a catalog that knows its schema.
func polledEvent(t *testing.T, channel, change string) (*transform.Event, *schemas.Catalog) {
	t.Helper()
	s, err := schemas.Rows(schemas.RowSchema{Object: "Entitlement", Fields: []schemas.Column{
		{Name: "Name", Type: "string"}, {Name: "Owner", Parts: []schemas.Column{{Name: "Name", Type: "string"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	catalog := catalogOf(nil)
	catalog.Keep(s)
	return &transform.Event{
		Channel: channel, Position: "1;rows=1772700000;seen=AAAA", SchemaID: s.ID, Payload: []byte(`{"ChangeEventHeader":{"entityName":"Entitlement","recordIds":["550xx0000000001AAA"],"changeType":"` + change +
			`","changeOrigin":"","transactionKey":"","sequenceNumber":1,"commitTimestamp":1772700000000,"commitNumber":0,"commitUser":"","nulledFields":[],"diffFields":[],"changedFields":[]},"Name":"Gold","Owner":{"Name":"Ada"}}`),
	}, catalog
}

// Rows become records in every envelope: by the name of their stream, keyed by id, and
// without a position that means nothing to a reader.
func TestPolledRows(t *testing.T) {
	for _, envelope := range []schemas.Envelope{schemas.EventEnvelope, schemas.FlatEnvelope, schemas.DebeziumEnvelope} {
		for _, format := range []transform.Format{transform.Avro, transform.JSON} {
			for change, records := range map[string]int{"SNAPSHOT": 1, "DELETE": 2} {
				ev, catalog := polledEvent(t, "/query/gold", change)
				before := *ev
				e := newEncoder(t, transform.Config{Schemas: catalog, Format: format, Tombstone: func(string) bool { return true },
					Streams: map[string]transform.StreamOptions{"/query/gold": {Envelope: envelope}}})
				got, meta, err := e.Encode(t.Context(), nil, ev)
				if err != nil || len(got) != records || got[0].Topic != "salesforce.gold" || string(got[0].Key) != "550xx0000000001AAA" || meta.Object != "gold" || meta.ChangeType != change {
					t.Fatalf("%v, %v, %s: %+v, %+v, %v", envelope, format, change, got, meta, err)
				}
				for _, h := range got[0].Headers {
					if h.Key == "sf-replay-id" || h.Key == "sf-transaction-key" {
						t.Errorf("the header %s is %s", h.Key, h.Value)
					}
				}
				if ev.Position != before.Position {
					t.Error("the event was changed")
				}
			}
		}
	}
}

// Two queries of one object are two kinds of records, and a topic of change events takes
// neither unless it is named in full for both.
func TestPolledRowsMeetNothingByChance(t *testing.T) {
	ev, catalog := polledEvent(t, "/query/gold", "SNAPSHOT")
	topics := new(transform.Topics)
	e := newEncoder(t, transform.Config{Schemas: catalog, Topics: topics, TopicMap: map[string]string{"gold": "salesforce.other"}})
	if _, _, err := e.Encode(t.Context(), nil, ev); err != nil {
		t.Fatal(err)
	}
	other, _ := polledEvent(t, "/query/other", "SNAPSHOT")
	_, _, err := e.Encode(t.Context(), nil, other)
	if _, ok := errors.AsType[*transform.CollisionError](err); !ok {
		t.Errorf("%v", err)
	}
}
