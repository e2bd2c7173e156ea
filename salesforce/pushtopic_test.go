package salesforce_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestPushTopic(t *testing.T) {
	var asked string
	body := `{"totalSize":2,"done":true,"records":[
		{"attributes":{"type":"PushTopic","url":"/services/data/v66.0/sobjects/PushTopic/0IFxx0000000001AAA"},"Id":"0IFxx0000000001AAA","Name":"invoiceupdates","Query":"SELECT Id FROM Account"},
		{"attributes":{"type":"PushTopic","url":"/services/data/v66.0/sobjects/PushTopic/0IFxx0000000002AAA"},"Id":"0IFxx0000000002AAA","Name":"InvoiceUpdates","Query":"SELECT Id, Status__c FROM Invoice__c"}]}`
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query().Get("q")
		answer(200, "application/json", body)(w, r)
	})
	client := newClient(t, server, "x")
	got, err := client.PushTopic(wait(t), "InvoiceUpdates")
	want := salesforce.PushTopic{ID: "0IFxx0000000002AAA", Name: "InvoiceUpdates", Query: "SELECT Id, Status__c FROM Invoice__c"}
	if err != nil || *got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if want := "SELECT Id, Name, Query FROM PushTopic WHERE Name = 'InvoiceUpdates'"; asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
	_, err = client.PushTopic(wait(t), `O'Neil\`)
	var missing *salesforce.NoPushTopicError
	if !errors.As(err, &missing) || missing.Name != `O'Neil\` || missing.Near != "InvoiceUpdates" || salesforce.Retryable(err) {
		t.Errorf("got %v", err)
	}
	if want := `SELECT Id, Name, Query FROM PushTopic WHERE Name = 'O\'Neil\\'`; asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
	if _, err := client.PushTopic(wait(t), ""); err == nil {
		t.Error("a PushTopic without a name was asked for")
	}
	body = `{"totalSize":0,"done":true,"records":[]}`
	if _, err := client.PushTopic(wait(t), "Nope"); !errors.As(err, &missing) || missing.Near != "" {
		t.Errorf("got %v", err)
	}
}
