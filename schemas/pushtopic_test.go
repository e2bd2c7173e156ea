package schemas_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sfbridge/bridge/schemas"
)

// org answers for one PushTopic and one object.
type org struct {
	asked  atomic.Int32
	query  func() (string, error)
	fields []schemas.ObjectField
}

func (o *org) TopicQuery(context.Context, string) (string, error) {
	o.asked.Add(1)
	return o.query()
}

func (o *org) ObjectFields(context.Context, string) ([]schemas.ObjectField, error) {
	return o.fields, nil
}

func (o *org) catalog() *schemas.Catalog {
	return schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return nil, schemas.Permanent(errors.New("no such schema"))
	})).WithTopics(o)
}

func newOrg(query string, fields ...schemas.ObjectField) *org {
	return &org{query: func() (string, error) { return query, nil }, fields: append([]schemas.ObjectField{{Name: "Id", Type: "id"}}, fields...)}
}

// TestPushTopicText holds the whole text: what is registered is a promise to readers.
func TestPushTopicText(t *testing.T) {
	c := newOrg("SELECT Id, Due__c, At__c, Till__c, BillingAddress, ShippingAddress, Secret__c FROM Invoice__c",
		schemas.ObjectField{Name: "Due__c", Type: "date"}, schemas.ObjectField{Name: "At__c", Type: "datetime"}, schemas.ObjectField{Name: "Till__c", Type: "time"},
		schemas.ObjectField{Name: "BillingAddress", Type: "address"}, schemas.ObjectField{Name: "ShippingAddress", Type: "address"},
		schemas.ObjectField{Name: "Unselected__c", Type: "complexvalue"}).catalog()
	s, err := c.PushTopic(t.Context(), "New-Invoices")
	if err != nil {
		t.Fatal(err)
	}
	address := `{"type":"record","name":"Address","namespace":"bridge.streaming","fields":[`
	for i, part := range strings.Fields("city country countryCode geocodeAccuracy latitude longitude postalCode state stateCode street") {
		kind := "string"
		if strings.HasSuffix(part, "itude") {
			kind = "double"
		}
		if i > 0 {
			address += ","
		}
		address += `{"name":"` + part + `","type":["null","` + kind + `"],"default":null}`
	}
	address += `]}`
	want := `{"type":"record","name":"New_2dInvoices","namespace":"bridge.pushtopic","doc":"Events of the PushTopic New_2dInvoices on Invoice__c, as Salesforce sends them. Salesforce publishes no schema for them: this one is made of the fields that the query selects.","fields":[` +
		`{"name":"event","type":["null",{"type":"record","name":"PushTopicEvent","namespace":"bridge.streaming","fields":[` +
		`{"name":"createdDate","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"createdDate:DateTime","default":null},` +
		`{"name":"replayId","type":["null","long"],"default":null},` +
		`{"name":"type","type":["null",{"type":"enum","name":"PushTopicEventType","symbols":["created","updated","deleted","undeleted"]}],"default":null}]}],"default":null},` +
		`{"name":"sobject","type":["null",{"type":"record","name":"New_2dInvoices_sobject","fields":[` +
		`{"name":"Id","type":["null","string"],"doc":"Data:EntityId","default":null},` +
		`{"name":"Due__c","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"Data:DateOnly","default":null},` +
		`{"name":"At__c","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"Data:DateTime","default":null},` +
		`{"name":"Till__c","type":["null",{"type":"int","logicalType":"time-millis"}],"doc":"Data:TimeOnly","default":null},` +
		`{"name":"BillingAddress","type":["null",` + address + `],"doc":"Data:Address","default":null},` +
		`{"name":"ShippingAddress","type":["null","bridge.streaming.Address"],"doc":"Data:Address","default":null}]}],"default":null},` +
		`{"name":"nullFields","type":["null",{"type":"array","items":"string"}],"doc":"Added by the bridge: the fields of sobject that came as null. One that is null and not in this list was not sent. Null if there are none.","default":null}]}`
	if string(s.JSON) != want {
		t.Errorf("got\n%s\nwant\n%s", s.JSON, want)
	}
	if s.FullName != "bridge.pushtopic.New_2dInvoices" || s.Streaming != schemas.PushTopicEvent || len(s.ID) != 22 {
		t.Errorf("name %s, streaming %d, id %q", s.FullName, s.Streaming, s.ID)
	}
	if byID, err := c.Schema(t.Context(), s.ID); err != nil || byID != s {
		t.Errorf("by its id: %v, %v", byID, err)
	}
}

func TestGenericText(t *testing.T) {
	c := newOrg("").catalog()
	s, err := c.Generic()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`{"name":"createdDate","type":["null",{"type":"long","logicalType":"timestamp-millis"}]`,
		`{"name":"payload","type":["null","string"]`, `{"name":"payloadJson","type":["null","string"]`,
	} {
		if !strings.Contains(string(s.JSON), part) {
			t.Errorf("the text lacks %s:\n%s", part, s.JSON)
		}
	}
	again, err := c.Generic()
	if err != nil || again.ID != s.ID || again.FullName != "bridge.streaming.GenericEvent" || s.Streaming != schemas.GenericEvent {
		t.Errorf("again: %+v, %v", again, err)
	}
	if byID, err := c.Schema(t.Context(), s.ID); err != nil || byID.ID != s.ID {
		t.Errorf("by its id: %v", err)
	}
}

// TestPushTopicIsAskedOnce: any number of callers, one question.
func TestPushTopicIsAskedOnce(t *testing.T) {
	o := newOrg("SELECT Id FROM Account")
	c := o.catalog()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := c.PushTopic(t.Context(), "A"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := o.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	c.ForgetPushTopic("A")
	if _, err := c.PushTopic(t.Context(), "A"); err != nil || o.asked.Load() != 2 {
		t.Errorf("asked %d times after it was forgotten, %v", o.asked.Load(), err)
	}
}

// TestRenewPushTopic: the same field is no reason twice, and how many are is
// bounded.
func TestRenewPushTopic(t *testing.T) {
	query := "SELECT Id FROM Account"
	o := newOrg("", schemas.ObjectField{Name: "Name", Type: "string"})
	o.query = func() (string, error) { return query, nil }
	c := o.catalog()
	first, err := c.PushTopic(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	renew := func(id string, asked int32, fields ...string) *schemas.Schema {
		t.Helper()
		s, err := c.RenewPushTopic(t.Context(), "A", id, fields)
		if err != nil {
			t.Fatal(err)
		}
		if n := o.asked.Load(); n != asked {
			t.Errorf("%v: asked %d times, want %d", fields, n, asked)
		}
		return s
	}
	renew(first.ID, 2, "a", "b")
	renew(first.ID, 2, "b", "a")
	renew(first.ID, 3, "b", "c")
	query = "SELECT Id, Name FROM Account"
	next := renew(first.ID, 4, "d")
	if next.ID == first.ID {
		t.Fatal("the schema is the old one")
	}
	if s := renew(first.ID, 4, "e"); s != next {
		t.Error("another caller with the old schema did not get the new one")
	}
	renew(next.ID, 4, "d")
	renew(next.ID, 5, "a")
	for i := range 1000 {
		if _, err := c.RenewPushTopic(t.Context(), "A", next.ID, []string{strings.Repeat("x", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := o.asked.Load(); n > 210 {
		t.Errorf("asked %d times for a thousand fields", n)
	}
}

func TestRenewPushTopicWithoutAnAnswer(t *testing.T) {
	var trouble error
	o := newOrg("")
	o.query = func() (string, error) { return "SELECT Id FROM Account", trouble }
	c := o.catalog()
	s, err := c.PushTopic(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	trouble = errors.New("no answer")
	if _, err := c.RenewPushTopic(t.Context(), "A", s.ID, []string{"a"}); !schemas.Retryable(err) {
		t.Errorf("got %v, want passing trouble", err)
	}
	trouble = schemas.Permanent(errors.New("gone"))
	if got, err := c.RenewPushTopic(t.Context(), "A", s.ID, []string{"a"}); err != nil || got != s {
		t.Errorf("got %v, %v, want the old schema", got, err)
	}
	if got, err := c.PushTopic(t.Context(), "A"); err != nil || got != s {
		t.Errorf("got %v, %v, want the old schema", got, err)
	}
	if _, err := c.PushTopic(t.Context(), "B"); err == nil || schemas.Retryable(err) {
		t.Errorf("got %v, want lasting trouble", err)
	}
}
