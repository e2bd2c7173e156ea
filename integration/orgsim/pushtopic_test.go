package orgsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// topicOrg is an org with one PushTopic on invoices and one generic channel.
func topicOrg(t *testing.T, change func(*PushTopic)) *Org {
	t.Helper()
	def := PushTopic{Name: "OpenInvoices", Query: "select id, Status__c, amount__c, Sent_At__c from Invoice__c where Status__c = 'Open'"}
	if change != nil {
		change(&def)
	}
	return newOrg(t, Config{Seed: 1, Now: fixedClock(), PushTopics: []PushTopic{def}, StreamingChannels: []string{"/u/notifications/orders"}})
}

// told are the PushTopic events of the ledger: type, record and payload.
func told(o *Org, channel string) []string {
	var out []string
	for e := range o.LedgerFrom(0) {
		if e.On(channel) {
			out = append(out, e.ChangeType+" "+strings.Join(e.RecordIDs, ",")+" "+string(e.Payload))
		}
	}
	return out
}

func TestPushTopicTellsWhatItsQueryAsksFor(t *testing.T) {
	o := topicOrg(t, nil)
	id := must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Open", "Amount__c": 12.5, "Sent_At__c": "2026-03-04T09:15:22Z"}))
	must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Draft"}))
	check(t, o.Update("Invoice__c", id, Fields{"Notes__c": "of no interest"}))
	check(t, o.Update("Invoice__c", id, Fields{"Amount__c": nil}))
	check(t, o.Delete("Invoice__c", id))
	check(t, o.Undelete("Invoice__c", id))
	check(t, o.Update("Invoice__c", id, Fields{"Status__c": "Paid"}))
	full := fmt.Sprintf(`{"Id":%q,"Status__c":"Open","Amount__c":null,"Sent_At__c":"2026-03-04T09:15:22.000+0000"}`, id)
	want := []string{
		"created " + id + " " + strings.Replace(full, "null", "12.5", 1),
		"updated " + id + " " + full,
		"deleted " + id + fmt.Sprintf(` {"Id":%q}`, id),
		"undeleted " + id + " " + full,
	}
	if got := told(o, "/topic/OpenInvoices"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := told(o, "/topic/OpenInvoices?Amount__c=12.5&Status__c='Open'"); !slices.Equal(got, want[:1]) {
		t.Errorf("with a filter: %q", got)
	}
}

func TestPushTopicNotifications(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*PushTopic)
		want   string // operations that are told
	}{
		"referenced": {nil, "created,updated,updated,deleted,undeleted"},
		"all":        {func(p *PushTopic) { p.NotifyForFields = NotifyAll }, "created,updated,updated,updated,deleted,undeleted"},
		"where":      {func(p *PushTopic) { p.NotifyForFields = NotifyWhere }, "created,updated,deleted,undeleted"},
		"select":     {func(p *PushTopic) { p.NotifyForFields, p.Query = NotifySelect, "SELECT Id, Amount__c FROM Invoice__c" }, "created,updated,deleted,undeleted"},
		"no updates": {func(p *PushTopic) { p.NoUpdate = true }, "created,deleted,undeleted"},
		"only those": {func(p *PushTopic) { p.NoCreate, p.NoDelete, p.NoUndelete = true, true, true }, "updated,updated"},
	} {
		t.Run(name, func(t *testing.T) {
			o := topicOrg(t, func(p *PushTopic) {
				p.Query = "SELECT Id, Amount__c FROM Invoice__c WHERE Status__c != 'Void'"
				if c.change != nil {
					c.change(p)
				}
			})
			id := must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Open"}))
			check(t, o.Update("Invoice__c", id, Fields{"Amount__c": 1}))
			check(t, o.Update("Invoice__c", id, Fields{"Status__c": "Paid"}))
			check(t, o.Update("Invoice__c", id, Fields{"Notes__c": "x"}))
			check(t, o.Delete("Invoice__c", id))
			check(t, o.Undelete("Invoice__c", id))
			var got []string
			for _, line := range told(o, "/topic/OpenInvoices") {
				got = append(got, strings.Fields(line)[0])
			}
			if strings.Join(got, ",") != c.want {
				t.Errorf("told %v, want %s", got, c.want)
			}
		})
	}
}

// Notifications of one transaction come in reverse, behind its change events, and
// share no replay id.
func TestPushTopicOrderWithinATransaction(t *testing.T) {
	o := topicOrg(t, func(p *PushTopic) { p.Query = "SELECT Id FROM Invoice__c" })
	check(t, o.Inject(Fault{Kind: "ids-shared"}))
	var ids []string
	check(t, o.Transact(TxOptions{}, func(tx *Tx) error {
		for i := range 3 {
			id, err := tx.Create("Invoice__c", Fields{"Amount__c": i})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	}))
	led := o.Ledger()
	if len(led) != 6 {
		t.Fatalf("%d events, want 3 of each kind", len(led))
	}
	for i := range 3 {
		e := led[3+i]
		if e.Event != "OpenInvoices" || e.RecordIDs[0] != ids[2-i] || e.ReplayID <= led[2+i].ReplayID {
			t.Errorf("event %d is %s of %v at %d", i, e.Event, e.RecordIDs, e.ReplayID)
		}
	}
}

func TestPushTopicSubscription(t *testing.T) {
	o := topicOrg(t, nil)
	c := newClient(t, o, serve(t, o), nil)
	first := must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Open", "Amount__c": 1}))
	check(t, o.Push("/u/notifications/orders", "hello \"you\""))
	c.ready(-2, "/u/notifications/orders")
	rep, _ := c.call("/meta/subscribe", map[string]any{
		"subscription": "/topic/OpenInvoices?Amount__c=1", "ext": map[string]any{"replay": map[string]any{"/topic/OpenInvoices": -2}},
	})
	if !rep.ok() {
		t.Fatal(rep.Error)
	}
	must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Open", "Amount__c": 2}))
	// A PushTopic that is newer than the session concerns none of its subscriptions.
	must[string](t)(o.CreatePushTopic(PushTopic{Name: "Later", Query: "SELECT Id FROM Invoice__c"}))
	last := must[string](t)(o.Create("Invoice__c", Fields{"Status__c": "Open", "Amount__c": 1}))
	events := c.collect(3)
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprint(e.Channel, " ", e.Data.Event.CreatedDate, " ", e.Data.Event.ReplayID, " ", e.Data.Event.Type, " ", string(e.Data.Sobject), string(e.Data.Payload)))
	}
	led := o.Ledger()
	at := func(id string) int64 {
		for _, e := range led {
			if e.Event == "OpenInvoices" && slices.Contains(e.RecordIDs, id) {
				return e.ReplayID
			}
		}
		return 0
	}
	row := func(id string) string {
		return fmt.Sprintf(`/topic/OpenInvoices 2026-03-04T09:15:22.481Z %d created {"Id":%q,"Status__c":"Open","Amount__c":1.0,"Sent_At__c":null}`, at(id), id)
	}
	var pushed int64
	for _, e := range led {
		if e.Event == "/u/notifications/orders" {
			pushed = e.ReplayID
		}
	}
	want := []string{
		row(first),
		fmt.Sprintf(`/u/notifications/orders 2026-03-04T09:15:22.481Z %d  "hello \"you\""`, pushed),
		row(last),
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for channel, refusal := range map[string]string{
		"/topic/OpenInvoices?Nope__c=1": "400::Query fields {Nope__c} do not exist on the topic entity",
		"/topic/Nope":                   "400::The channel you requested to subscribe to does not exist {/topic/Nope}",
		"/u/nope":                       "400::The channel you requested to subscribe to does not exist {/u/nope}",
	} {
		if rep := c.subscribe(channel, -1); rep.ok() || rep.Error != refusal {
			t.Errorf("%s: %q", channel, rep.Error)
		}
	}
}

func TestPushTopicRefusals(t *testing.T) {
	o := topicOrg(t, nil)
	for name, def := range map[string]PushTopic{
		"DUPLICATE_VALUE":                         {Name: "openinvoices", Query: "SELECT Id FROM Invoice__c"},
		"REQUIRED_FIELD_MISSING":                  {Query: "SELECT Id FROM Invoice__c"},
		"STRING_TOO_LONG":                         {Name: strings.Repeat("x", 26), Query: "SELECT Id FROM Invoice__c"},
		"INVALID_FIELD":                           {Name: "A", Query: "SELECT Status__c FROM Invoice__c"},
		"MALFORMED_QUERY":                         {Name: "A", Query: "SELECT Id FROM Invoice__c WHERE Amount__c"},
		"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": {Name: "A", Query: "SELECT Id FROM Invoice__c", NotifyForFields: "Some"},
	} {
		_, err := o.CreatePushTopic(def)
		var re *RequestError
		if !errors.As(err, &re) || re.Code != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
	if _, err := New(Config{PushTopics: []PushTopic{{Name: "A", Query: "SELECT Id FROM Nope"}}}); err == nil {
		t.Error("an org with a PushTopic on no object was made")
	}
	if err := o.Push("/u/nope", "x"); err == nil {
		t.Error("a text was pushed on a channel that is none")
	}
	if err := o.Push("/u/notifications/orders", strings.Repeat("x", 3001)); err == nil {
		t.Error("too long a text was pushed")
	}
}

// TestPushTopicOverREST creates, reads, queries and edits as a client does.
func TestPushTopicOverREST(t *testing.T) {
	o := newOrg(t, Config{Seed: 1, Now: fixedClock()})
	base := serve(t, o)
	token := must[string](t)(o.Issue(""))
	var made struct {
		ID      string `json:"id"`
		Success bool   `json:"success"`
	}
	res := restRequest(t, base, token, http.MethodPost, "/services/data/v66.0/sobjects/PushTopic",
		`{"Name":"InvoiceUpdates","Query":"SELECT Id, Status__c FROM Invoice__c","ApiVersion":66.0,"NotifyForFields":"All","NotifyForOperationDelete":false}`, &made)
	if res.StatusCode != http.StatusCreated || !made.Success || !strings.HasPrefix(made.ID, "0IF") {
		t.Fatalf("HTTP %d, %+v", res.StatusCode, made)
	}
	client := restClient(t, o)
	got, err := client.PushTopic(t.Context(), "InvoiceUpdates")
	if err != nil || got.ID != made.ID || got.Query != "SELECT Id, Status__c FROM Invoice__c" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := client.PushTopic(t.Context(), "O'Neil"); err == nil || !strings.Contains(err.Error(), "no PushTopic") {
		t.Errorf("got %v", err)
	}
	res = restRequest(t, base, token, http.MethodPatch, "/services/data/v66.0/sobjects/PushTopic/"+made.ID, `{"Query":"SELECT Id, Amount__c FROM Invoice__c"}`, nil)
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("HTTP %d", res.StatusCode)
	}
	id := must[string](t)(o.Create("Invoice__c", Fields{"Amount__c": 3}))
	check(t, o.Delete("Invoice__c", id))
	if got := told(o, "/topic/InvoiceUpdates"); len(got) != 1 || got[0] != fmt.Sprintf(`created %s {"Id":%q,"Amount__c":3.0}`, id, id) {
		t.Errorf("got %q", got)
	}

	res = restRequest(t, base, token, http.MethodPost, "/services/data/v66.0/sobjects/StreamingChannel", `{"Name":"/u/a/b"}`, &made)
	if res.StatusCode != http.StatusCreated || !made.Success {
		t.Fatalf("HTTP %d, %+v", res.StatusCode, made)
	}
	var pushed []struct {
		FanoutCount int `json:"fanoutCount"`
	}
	restRequest(t, base, token, http.MethodPost, "/services/data/v66.0/sobjects/StreamingChannel/"+made.ID+"/push",
		`{"pushEvents":[{"payload":"hello","userIds":[]},{"payload":"you","userIds":["005xx000001SvogAAC"]}]}`, &pushed)
	if len(pushed) != 2 || pushed[0].FanoutCount != -1 || pushed[1].FanoutCount != 0 {
		t.Errorf("pushed %+v", pushed)
	}
	if got := told(o, "/u/a/b"); !slices.Equal(got, []string{`  "hello"`}) {
		t.Errorf("got %q", got)
	}
}

// An org without PushTopics publishes the same bytes as ever, and one with them
// the same change events.
func TestPushTopicsDisturbNothing(t *testing.T) {
	payloads := func(topics ...PushTopic) (out []string) {
		o := newOrg(t, Config{Seed: 9, Now: fixedClock(), PushTopics: topics})
		load, err := o.NewLoad(LoadConfig{Objects: []string{"Account"}})
		check(t, err)
		for range 50 {
			check(t, load.Step())
		}
		for e := range o.LedgerFrom(0) {
			if len(e.Channels) == 2 {
				var p map[string]json.RawMessage
				check(t, json.Unmarshal(e.Payload, &p))
				delete(p, "ChangeEventHeader")
				out = append(out, fmt.Sprint(e.ChangeType, p))
			}
		}
		return out
	}
	plain, with := payloads(), payloads(PushTopic{Name: "A", Query: "SELECT Id, Name FROM Account"})
	if len(plain) < 50 || !slices.Equal(plain, with) {
		t.Errorf("%d and %d change events, or not the same ones", len(plain), len(with))
	}
}
