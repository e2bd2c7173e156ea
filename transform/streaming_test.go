package transform_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicOrg is testdata/streaming/<case>/org.json: what an org says of a PushTopic
// and its object. Next is what it says when it is asked again.
type topicOrg struct {
	Query  string                `json:"query"`
	Fields []schemas.ObjectField `json:"fields"`
	Next   *topicOrg             `json:"next"`

	asked int
	err   error
}

var _ schemas.TopicFetcher = (*topicOrg)(nil)

func (o *topicOrg) TopicQuery(context.Context, string) (string, error) {
	if o.err != nil {
		return "", o.err
	}
	if o.asked++; o.asked > 1 && o.Next != nil {
		o.Query, o.Fields = o.Next.Query, o.Next.Fields
	}
	return o.Query, nil
}

func (o *topicOrg) ObjectFields(context.Context, string) ([]schemas.ObjectField, error) {
	return o.Fields, nil
}

// catalog serves no schema of Salesforce's: these events have none.
func (o *topicOrg) catalog() *schemas.Catalog { return catalogOf(nil).WithTopics(o) }

// TestGoldenStreaming does what TestGolden does for the events that have no
// schema of Salesforce's: PushTopics and generic channels.
func TestGoldenStreaming(t *testing.T) { eachCase(t, "testdata/streaming/*", 24, goldenStreaming) }

func goldenStreaming(t *testing.T, dir string) {
	ev := readEvent(t, dir)
	result := goldenResult{}
	catalog := readTopicOrg(t, dir).catalog()
	records, meta, id, err := encodeStreaming(t, ev, catalog, ev.Format)
	if err != nil {
		bad := transform.BadEvent(err)
		result.Error, result.BadEvent = err.Error(), &bad
		compareGolden(t, filepath.Join(dir, "record.json"), result)
		return
	}
	result.Extras = meta.Extras
	schema := schemaWith(t, catalog, id, ev.Extras)
	compareStreaming(t, ev, dir, schema, records)
	result.Records = goldenRecords(t, ev, schema, records)
	if id != header(records[0], "sf-schema-id") {
		t.Errorf("the event was given the schema %s, its record has %s", id, header(records[0], "sf-schema-id"))
	}
	compareGolden(t, filepath.Join(dir, "record.json"), result)
}

// schemaWith is the schema of an id, with a place for extras or without.
func schemaWith(t *testing.T, catalog *schemas.Catalog, id string, extras bool) *schemas.Schema {
	t.Helper()
	schema, err := catalog.Schema(t.Context(), id)
	if err == nil && extras {
		schema, err = schemas.WithExtras(schema)
	}
	if err != nil {
		t.Fatalf("the catalog does not know the schema that the event was given: %v", err)
	}
	return schema
}

// compareStreaming checks that both formats say the same.
func compareStreaming(t *testing.T, ev *goldenEvent, dir string, schema *schemas.Schema, records []*kgo.Record) {
	t.Helper()
	flipped := *ev
	if flipped.Format = "json"; ev.Format == "json" {
		flipped.Format = "avro"
	}
	others, _, _, err := encodeStreaming(t, ev, readTopicOrg(t, dir).catalog(), flipped.Format)
	if err != nil {
		t.Fatalf("format %s: %v", flipped.Format, err)
	}
	a, j := decodeRecord(t, ev, schema, records[0]), decodeRecord(t, &flipped, schema, others[0])
	if ev.Format == "json" {
		a, j = j, a
	}
	if err := sameRecord("value", a, j); err != nil {
		t.Error(err)
	}
}

// readTopicOrg reads the org of a case; a generic channel has none.
func readTopicOrg(t *testing.T, dir string) *topicOrg {
	t.Helper()
	o := &topicOrg{}
	text, err := os.ReadFile(filepath.Join(dir, "org.json"))
	if errors.Is(err, os.ErrNotExist) {
		return o
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, o); err != nil {
		t.Fatal(err)
	}
	return o
}

func encodeStreaming(t *testing.T, ev *goldenEvent, catalog *schemas.Catalog, format string) ([]*kgo.Record, transform.Meta, string, error) {
	t.Helper()
	cfg := transform.Config{
		OrgID: testOrg, Schemas: catalog, Registry: &registrar{}, Prefix: ev.Prefix, TopicTemplate: ev.Topic,
		Tombstone: func(string) bool { return ev.Tombstone },
		Streams:   map[string]transform.StreamOptions{ev.Channel: {Extras: ev.Extras, KeyField: ev.Key}},
	}
	if ev.Registry == "none" {
		cfg.Registry = nil
	}
	if format == "json" {
		cfg.Format = transform.JSON
	}
	if ev.avroKeys {
		cfg.KeyFormat = transform.AvroKeys
	}
	e, err := transform.NewEncoder(cfg)
	if err != nil {
		return nil, transform.Meta{}, "", err
	}
	event := transform.Event{Channel: ev.Channel, Position: ev.Position, Payload: ev.Payload, ReceivedAt: time.UnixMilli(1772700000000)}
	records, meta, err := e.Encode(t.Context(), nil, &event)
	return records, meta, event.SchemaID, err
}

// invoiceTopic is an org with a PushTopic of two fields.
func invoiceTopic() *topicOrg {
	return &topicOrg{
		Query: "SELECT Id, Status__c FROM Invoice__c",
		Fields: []schemas.ObjectField{
			{Name: "Id", Type: "id"}, {Name: "Status__c", Type: "picklist"}, {Name: "Amount__c", Type: "currency"}, {Name: "Due__c", Type: "date"},
		},
	}
}

func topicEvent(fields string) *transform.Event {
	return &transform.Event{Channel: "/topic/InvoiceUpdates", Position: "21", Payload: []byte(
		`{"event":{"type":"updated","createdDate":"2026-03-04T09:15:22.990Z","replayId":21},"sobject":{"Id":"a01xx000000AbcdAAC"` + fields + `}}`)}
}

// TestPushTopicAsksAnew: a field that the schema lacks is a reason to ask the org
// once, and an edited query gives later events another schema.
func TestPushTopicAsksAnew(t *testing.T) {
	org := invoiceTopic()
	e := newEncoder(t, transform.Config{Schemas: org.catalog(), Registry: &registrar{}})
	encode := func(fields string, asked int) (string, error) {
		t.Helper()
		ev := topicEvent(fields)
		_, _, err := e.Encode(t.Context(), nil, ev)
		if org.asked != asked {
			t.Errorf("%s: the org was asked %d times, want %d", fields, org.asked, asked)
		}
		return ev.SchemaID, err
	}
	first, err := encode(`,"Status__c":"Open"`, 1)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *transform.UnknownFieldError
	if _, err := encode(`,"Amount__c":12.5`, 2); !errors.As(err, &unknown) || unknown.Path != "sobject.Amount__c" {
		t.Errorf("got %v, want sobject.Amount__c as an unknown field", err)
	}
	if _, err := encode(`,"Amount__c":12.5`, 2); !errors.As(err, &unknown) {
		t.Errorf("got %v, want an unknown field again", err)
	}
	org.Query = "SELECT Id, Status__c, Amount__c, Due__c FROM Invoice__c"
	if _, err := encode(`,"Amount__c":12.5`, 2); !errors.As(err, &unknown) {
		t.Errorf("got %v: a field that was asked for is not asked for again", err)
	}
	next, err := encode(`,"Due__c":"2026-03-05"`, 3)
	if err != nil || next == first {
		t.Errorf("after the query was edited: schema %s, before %s, %v", next, first, err)
	}
	if id, err := encode(`,"Amount__c":12.5`, 3); err != nil || id != next {
		t.Errorf("schema %s, %v, want %s", id, err, next)
	}
	org.Fields[3].Type = "datetime"
	if _, err := encode(`,"Status__c":7`, 4); err == nil {
		t.Error("a number was taken for a picklist's text")
	}
	if id, err := encode(`,"Status__c":"Open"`, 4); err != nil || id == first {
		t.Errorf("schema %s, %v", id, err)
	}
}

// TestPushTopicAsksAnewInVain: passing trouble with the question holds the event
// back, lasting trouble leaves what was known.
func TestPushTopicAsksAnewInVain(t *testing.T) {
	org := invoiceTopic()
	e := newEncoder(t, transform.Config{Schemas: org.catalog(), Registry: &registrar{}})
	encode := func(fields string) error {
		_, _, err := e.Encode(t.Context(), nil, topicEvent(fields))
		return err
	}
	if err := encode(""); err != nil {
		t.Fatal(err)
	}
	org.err = errors.New("no answer")
	if err := encode(`,"Amount__c":1`); !transform.Retryable(err) || transform.BadEvent(err) {
		t.Errorf("got %v, want passing trouble", err)
	}
	if err := encode(`,"Status__c":"Open"`); err != nil {
		t.Error(err)
	}
	org.err = schemas.Permanent(errors.New("it was deleted"))
	var unknown *transform.UnknownFieldError
	if err := encode(`,"Amount__c":1`); !errors.As(err, &unknown) {
		t.Errorf("got %v, want an unknown field", err)
	}
	org.err = nil
	if err := encode(`,"Status__c":"Open"`); err != nil {
		t.Error(err)
	}
}

// TestPushTopicThatIsNone: what the org refuses for good, and a query that cannot
// be read, is no event's fault.
func TestPushTopicThatIsNone(t *testing.T) {
	org := invoiceTopic()
	org.err = schemas.Permanent(errors.New("no such PushTopic"))
	e := newEncoder(t, transform.Config{Schemas: org.catalog()})
	_, _, err := e.Encode(t.Context(), nil, topicEvent(""))
	if !transform.SchemaRefused(err) || transform.BadEvent(err) || !strings.Contains(err.Error(), "InvoiceUpdates") {
		t.Errorf("got %v, want a refused schema", err)
	}
	for query, want := range map[string]string{
		"SELECT Id, Account__r.Name FROM Invoice__c": `selects "Account__r.Name"`,
		"SELECT Status__c FROM Invoice__c":           "does not select the Id",
		"Invoice__c":                                 "is not SELECT fields FROM object",
		"SELECT Id, Blob__c FROM Invoice__c":         `the type "complexvalue"`,
	} {
		org := invoiceTopic()
		org.Query = query
		org.Fields = append(org.Fields, schemas.ObjectField{Name: "Blob__c", Type: "complexvalue"})
		e := newEncoder(t, transform.Config{Schemas: org.catalog()})
		_, _, err := e.Encode(t.Context(), nil, topicEvent(""))
		if err == nil || !strings.Contains(err.Error(), want) || !transform.SchemaRefused(err) || transform.BadEvent(err) || transform.Retryable(err) {
			t.Errorf("%s: got %v, want %s", query, err, want)
		}
	}
}

// TestStreamingSubjects: a schema that the bridge made is registered as others are.
func TestStreamingSubjects(t *testing.T) {
	reg := &registrar{}
	e := newEncoder(t, transform.Config{Schemas: invoiceTopic().catalog(), Registry: reg, Subject: schemas.TopicRecordSubject})
	for range 2 {
		for _, ev := range []*transform.Event{topicEvent(""), {Channel: "/u/a/b", Position: "1", Payload: []byte(`{"event":{},"payload":"x"}`)}} {
			if _, _, err := e.Encode(t.Context(), nil, ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := []string{"salesforce.InvoiceUpdates-bridge.pushtopic.InvoiceUpdates", "salesforce.u.a.b-bridge.streaming.GenericEvent"}
	if !slices.Equal(reg.subjects, want) {
		t.Errorf("registered under %q, want %q", reg.subjects, want)
	}
}
