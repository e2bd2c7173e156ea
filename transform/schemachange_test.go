package transform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// located is a registry that gives every schema the id 7 and tells where that is.
type located struct {
	seven
	at  schemas.Registered
	err error
}

func (l *located) Locate(context.Context, string, int) (schemas.Registered, error) {
	return l.at, l.err
}

// versions is a catalog of one event's schemas by id: each id is the list of the
// event's fields.
func versions(fetch func(ctx context.Context, id string) error) *schemas.Catalog {
	return schemas.NewCatalog(schemas.FetcherFunc(func(ctx context.Context, id string) ([]byte, error) {
		if fetch != nil {
			if err := fetch(ctx, id); err != nil {
				return nil, err
			}
		}
		return fmt.Appendf(nil, `{"type":"record","name":"Order__e","namespace":"com.sforce.eventbus","fields":[{"name":%q,"type":["null","string"]}]}`, id), nil
	}))
}

func schemaChange(old string) *transform.SchemaChange {
	return &transform.SchemaChange{
		Org: "00Dxx0000001gPLEAY", Channel: "/event/Order__e", Object: "Order__e", OldID: old, NewID: "New__c",
		Time: time.UnixMilli(1772616000123).UTC(), Position: "77",
		First: &kgo.Record{Topic: "salesforce.Order__e", Value: []byte{0, 0, 0, 1, 2, 3}},
	}
}

func decodeChange(t *testing.T, r *kgo.Record) map[string]any {
	t.Helper()
	if string(r.Value[:5]) != "\x00\x00\x00\x00\x07" {
		t.Errorf("wire header % x", r.Value[:5])
	}
	schema, err := avro.ParseBytesWithCache(schemas.SchemaChange().JSON, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := avro.Unmarshal(schema, r.Value[5:], &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSchemaChangeRecord(t *testing.T) {
	reg := &located{at: schemas.Registered{Subject: "salesforce.Order__e-value-v2", Version: 4, ID: 258}}
	l, err := transform.NewSchemaLog("acme.schema-changes", transform.Config{Registry: reg, Schemas: versions(nil)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Record(t.Context(), schemaChange("Old__c"))
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != "00Dxx0000001gPLEAY/Order__e/New__c" || r.Topic != "acme.schema-changes" || reg.subject != "acme.schema-changes-value" {
		t.Errorf("key %s, topic %s, subject %s", r.Key, r.Topic, reg.subject)
	}
	got := decodeChange(t, r)
	for name, want := range map[string]any{
		"object": "Order__e", "event": "Order__e", "channel": "/event/Order__e", "oldSchemaId": "Old__c", "newSchemaId": "New__c", "compared": true,
		"position": "77", "topic": "salesforce.Order__e", "subject": "salesforce.Order__e-value-v2", "version": 4, "registryId": 258,
		"detail": "field New__c added (null|string); field Old__c removed (null|string)",
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if at, ok := got["firstSeen"].(time.Time); !ok || !at.Equal(schemaChange("").Time) {
		t.Errorf("first seen %v", got["firstSeen"])
	}
	want := `[map[kind:added new:null|string old:<nil> path:New__c] map[kind:removed new:<nil> old:null|string path:Old__c]]`
	if text := fmt.Sprint(got["changes"]); text != want {
		t.Errorf("changes %s", text)
	}
}

// The first schema of an entity, and one whose predecessor is not to be had, have
// a record too; so has one that the registry does not locate.
func TestSchemaChangeWithoutPredecessor(t *testing.T) {
	gone := func(_ context.Context, id string) error {
		if id == "Gone__c" {
			return errors.New("status 404")
		}
		return nil
	}
	reg := &located{err: errors.New("status 403")}
	l, err := transform.NewSchemaLog("acme.schema-changes", transform.Config{Registry: reg, Schemas: versions(gone)})
	if err != nil {
		t.Fatal(err)
	}
	for old, detail := range map[string]string{
		"":        "the first schema of the entity",
		"Gone__c": "the old schema cannot be had: fetch event schema Gone__c: status 404",
	} {
		r, err := l.Record(t.Context(), schemaChange(old))
		if err != nil {
			t.Fatal(err)
		}
		got := decodeChange(t, r)
		if got["compared"] != false || got["detail"] != detail || got["version"] != nil || got["subject"] != nil || got["registryId"] != 258 {
			t.Errorf("%q: %v", old, got)
		}
		if (got["oldSchemaId"] == nil) != (old == "") {
			t.Errorf("%q: old id %v", old, got["oldSchemaId"])
		}
	}
}

// A question that nobody answers costs seconds, and the stream goes on.
func TestSchemaChangeDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, id string) error {
			if id != "Old__c" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		l, err := transform.NewSchemaLog("acme.schema-changes", transform.Config{Schemas: versions(silent), Format: transform.JSON})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r, err := l.Record(t.Context(), schemaChange("Old__c"))
		if took := time.Since(began); err != nil || took > 10*time.Second {
			t.Fatalf("%v after %s", err, took)
		}
		var got map[string]any
		if err := json.Unmarshal(r.Value, &got); err != nil || got["compared"] != false || got["registryId"] != nil || len(got) != 15 {
			t.Errorf("%s: %v", r.Value, err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := l.Record(ctx, schemaChange("Old__c")); !errors.Is(err, context.Canceled) {
			t.Errorf("asked to stop: %v", err)
		}
	})
}

func TestSchemaChangeKey(t *testing.T) {
	c := transform.SchemaChange{Org: "o", Object: "Account", NewID: "a/b"}
	if org, object, id, ok := transform.ParseSchemaChangeKey(c.Key()); !ok || org != "o" || object != "Account" || id != "a/b" {
		t.Errorf("%s gives %s, %s, %s", c.Key(), org, object, id)
	}
	for _, bad := range []string{"", "a", "a/b", "a/b/", "/b/c", "a//c"} {
		if _, _, _, ok := transform.ParseSchemaChangeKey(bad); ok {
			t.Errorf("%q is taken as a key", bad)
		}
	}
}

func TestTopicOf(t *testing.T) {
	cfg := transform.Config{
		TopicTemplate: "{{.Prefix}}.{{.Object}}", Prefix: "crm",
		Streams: map[string]transform.StreamOptions{"/event/Own__e": {Topic: "own.{{.Channel}}.{{.ChangeType}}"}},
	}
	for channel, want := range map[string]string{"/data/AccountChangeEvent": "crm.O", "/event/Own__e": "own.Own__e.UPDATE"} {
		if got, err := transform.TopicOf(cfg, channel, "O", "UPDATE"); err != nil || got != want {
			t.Errorf("%s: %s, %v", channel, got, err)
		}
	}
	if got, err := transform.TopicOf(transform.Config{}, "/data/ChangeEvents", "Account", ""); err != nil || got != "salesforce.Account" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := transform.TopicOf(transform.Config{TopicTemplate: "{{.Nope}}"}, "/data/ChangeEvents", "Account", ""); err == nil {
		t.Error("an unknown placeholder passes")
	}
}
