package transform_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

// TestRoutingCostsNothing: an event of a kind that was seen needs no more than the
// two allocations of TestAllocations, however its topic and key are made.
func TestRoutingCostsNothing(t *testing.T) {
	ev, text := benchEvent(t)
	for name, cfg := range map[string]transform.Config{
		"map":    {TopicMap: map[string]string{"Account": "crm.{{.ChangeType}}"}},
		"route":  {TopicRoutes: []transform.TopicRoute{{Match: "x"}, {Match: "(A)(.*)", Topic: "crm.{{.Match2}}"}}},
		"entity": {Streams: map[string]transform.StreamOptions{ev.Channel: {Entities: map[string]transform.EntityOptions{"Account": {Topic: "crm"}}}}},
		"key":    {KeyFormat: transform.AvroKeys},
	} {
		if len(cfg.TopicRoutes) > 0 {
			cfg.TopicRoutes[0].Topic = "never"
		}
		cfg.Schemas, cfg.Registry = catalogOf(map[string]string{ev.SchemaID: text}), &registrar{}
		e := newEncoder(t, cfg)
		var dst []*kgo.Record
		n := testing.AllocsPerRun(200, func() {
			var err error
			if dst, _, err = e.Encode(context.Background(), dst[:0], ev); err != nil {
				t.Fatal(err)
			}
		})
		if n > 2 {
			t.Errorf("%s: %v allocations an event, want at most 2", name, n)
		}
		if name != "key" && !strings.HasPrefix(dst[0].Topic, "crm") {
			t.Errorf("%s: topic %s", name, dst[0].Topic)
		}
	}
}

const order = `{"name":"Order__e","type":"record","fields":[{"name":"Number__c","type":["null","string"]},{"name":"CreatedDate","type":["null","long"]}]}`

// TestEntityOptions: an entity of a channel of several has its own topic and key.
func TestEntityOptions(t *testing.T) {
	texts := map[string]string{"o": order, "r": strings.ReplaceAll(order, "Order__e", "Return__e"), "x": strings.ReplaceAll(order, "Order__e", "Other__e")}
	streams := map[string]transform.StreamOptions{"/event/Orders__chn": {
		KeyField: "CreatedDate",
		Entities: map[string]transform.EntityOptions{"Order__e": {KeyField: "Number__c"}, "Return__e": {Topic: "returns"}},
	}}
	for _, format := range []transform.Format{transform.Avro, transform.JSON, transform.Raw} {
		e := newEncoder(t, transform.Config{Schemas: catalogOf(texts), Streams: streams, Format: format})
		for _, c := range []struct{ api, id, topic, key string }{
			{"Order__e", "o", "salesforce.Order__e", "N-7"}, {"Return__e", "r", "returns", "5"}, {"", "o", "salesforce.Order__e", "N-7"}, {"Other__e", "x", "salesforce.Other__e", "5"},
		} {
			records, _, err := e.Encode(t.Context(), nil, &transform.Event{
				Channel: "/event/Orders__chn", SchemaID: c.id, APIName: c.api, UUID: "u", Payload: []byte(`{"CreatedDate":5,"Number__c":"N-7"}`),
			})
			if err != nil || records[0].Topic != c.topic || string(records[0].Key) != c.key {
				t.Errorf("%s, %s: %+v, %v, want topic %s and key %s", format, c.api, records, err, c.topic, c.key)
			}
		}
	}
	streams["/event/Orders__chn"].Entities["Order__e"] = transform.EntityOptions{KeyField: "Gone__c"}
	e := newEncoder(t, transform.Config{Schemas: catalogOf(texts), Streams: streams})
	_, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/event/Orders__chn", SchemaID: "o", APIName: "Order__e", Payload: []byte(`{}`)})
	if err == nil || !strings.HasPrefix(err.Error(), "key of Order__e on /event/Orders__chn: the schema Order__e has no field") || !transform.SchemaRefused(err) {
		t.Errorf("got %v", err)
	}
	for _, channel := range []string{"/data/ChangeEvents", "/topic/T", "/u/a"} {
		_, err := transform.NewEncoder(transform.Config{OrgID: testOrg, Schemas: catalogOf(nil), Streams: map[string]transform.StreamOptions{
			channel: {Entities: map[string]transform.EntityOptions{"Account": {KeyField: "X"}}},
		}})
		if err == nil || !strings.Contains(err.Error(), "leave the key out") {
			t.Errorf("%s: %v", channel, err)
		}
	}
}

// TestLanesShareTopics: the encoders of all lanes know of each other, and the kind
// of events that comes second is the one that is refused, again and again.
func TestLanesShareTopics(t *testing.T) {
	ev, text := benchEvent(t)
	topics := new(transform.Topics)
	lane := func(cfg transform.Config) *transform.Encoder {
		cfg.Schemas, cfg.Topics = catalogOf(map[string]string{ev.SchemaID: text, "o": order}), topics
		return newEncoder(t, cfg)
	}
	note := &transform.Event{Channel: "/u/Account", Position: "1", Payload: []byte(`{"event":{"createdDate":"2026-03-04T09:15:22.990Z","replayId":1},"payload":"x"}`)}
	other := lane(transform.Config{TopicMap: map[string]string{"u.Account": "salesforce_Account"}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			e := lane(transform.Config{})
			for range 50 {
				if _, _, err := e.Encode(context.Background(), nil, ev); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		_, _, err := other.Encode(t.Context(), nil, note)
		var collision *transform.CollisionError
		if !errors.As(err, &collision) || collision.With != "salesforce.Account" || !transform.SchemaRefused(err) || transform.BadEvent(err) || transform.Retryable(err) {
			t.Errorf("got %v", err)
		}
	}
	if _, _, err := lane(transform.Config{}).Encode(t.Context(), nil, note); err != nil {
		t.Errorf("a topic of its own: %v", err)
	}
}
