package polling

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

const instance = "https://acme.my.salesforce.com"

// issuing is a login that gives a new token each time.
type issuing struct{ o *orgsim.Org }

func (i issuing) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.o.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: instance}, err
}

// polled is a source that reads a simulated org, and the encoder behind it.
type polled struct {
	*Source
	org      *orgsim.Org
	cfg      Config
	encoder  *transform.Encoder
	position map[string]replay.Position
	spent    int
	warnings []string
	told     []string                             // of the trace
	rows     map[string]map[string]map[string]any // by channel and id, as the records say
	entries  []*transform.Hole
	schemas  map[string]bool
}

func newPolled(t *testing.T, configure func(*orgsim.Config), streams map[string]Stream) *polled {
	t.Helper()
	oc := orgsim.Config{Seed: 3, InstanceURL: instance}
	if configure != nil {
		configure(&oc)
	}
	org, err := orgsim.New(oc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := org.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{org}), APIVersion: "66.0", HTTP: &http.Client{Transport: org.RoundTripper()},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &polled{org: org, position: map[string]replay.Position{}, rows: map[string]map[string]map[string]any{}, schemas: map[string]bool{}}
	catalog := schemas.NewCatalog(schemas.FetcherFunc(client.EventSchema))
	p.cfg = Config{
		Client: client, OrgID: org.ID(), Catalog: catalog, Streams: streams,
		Spend: func(_ context.Context, calls int) error { p.spent += calls; return nil },
		Warn:  func(_, text string) { p.warnings = append(p.warnings, text) },
	}
	if p.encoder, err = transform.NewEncoder(transform.Config{
		OrgID: org.ID(), Schemas: catalog, Format: transform.JSON, Tombstone: func(string) bool { return true },
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// open begins, or goes on where the positions are.
func (p *polled) open(t *testing.T) {
	t.Helper()
	var resume []pipeline.Resume
	for channel := range p.cfg.Streams {
		at := pipeline.Start{Earliest: true}
		if position := p.position[channel]; position != "" {
			at = pipeline.Start{After: position}
		}
		resume = append(resume, pipeline.Resume{Channel: channel, Start: at})
	}
	var err error
	p.Source, err = Open(p.cfg, resume, pipeline.SourceTrace{
		Subscribed:   func(channel string, on bool) { p.told = append(p.told, channel) },
		SessionEnded: func(c pipeline.Condition) { p.told = append(p.told, string(c)) },
		Alive:        func() {}, Idle: func() { p.told = append(p.told, "idle") },
	})
	if err != nil {
		t.Fatal(err)
	}
}

// read takes what comes within a time, and folds the records.
func (p *polled) read(t *testing.T, within time.Duration) (events int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for ctx.Err() == nil {
		b, err := p.Next(ctx)
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
		p.entries = append(p.entries, b.Entries...)
		for i := range b.Events {
			p.fold(t, &b.Events[i])
		}
		events += len(b.Events)
	}
	return events
}

func (p *polled) fold(t *testing.T, ev *transform.Event) {
	t.Helper()
	records, _, err := p.encoder.Encode(t.Context(), nil, ev)
	if err != nil {
		t.Fatalf("%s: %v", ev.Payload, err)
	}
	p.position[ev.Channel] = replay.Position(ev.Position)
	p.schemas[ev.SchemaID] = true
	if p.rows[ev.Channel] == nil {
		p.rows[ev.Channel] = map[string]map[string]any{}
	}
	for _, r := range records {
		if len(r.Value) == 0 {
			delete(p.rows[ev.Channel], string(r.Key))
			continue
		}
		if header(r, "sf-replay-id") != "" || header(r, "sf-channel") != ev.Channel {
			t.Errorf("headers %v", r.Headers)
		}
		var value map[string]any
		if err := json.Unmarshal(r.Value, &value); err != nil {
			t.Fatal(err)
		}
		p.rows[ev.Channel][string(r.Key)] = value
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// pass lets the bubble's clock move on.
func pass(d time.Duration) { <-time.After(d) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A whole object comes with its compounds, in the types of change events, and follows
// updates, deletions, what comes back, and new fields.
func TestObjectIsFollowed(t *testing.T) {
	for _, deletions := range []Deletions{DeletionsAuto, Deleted} {
		t.Run(string(deletions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { objectIsFollowed(t, deletions) })
		})
	}
}

func objectIsFollowed(t *testing.T, deletions Deletions) {
	const channel = "/query/Account"
	p := newPolled(t, nil, map[string]Stream{channel: {Object: "Account", Deletions: deletions}})
	first, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme", "BillingAddress": orgsim.Fields{"City": "Lyon", "Latitude": 45.5}, "AnnualRevenue": 12.5, "NumberOfEmployees": 7})
	must(t, err)
	second, err := p.org.Create("Account", orgsim.Fields{"Name": orgsim.Fields{"FirstName": "Ada", "LastName": "Byron"}})
	must(t, err)
	pass(time.Minute)
	p.open(t)
	if n := p.read(t, 10*time.Second); n != 2 {
		t.Fatalf("%d events", n)
	}
	row := p.rows[channel][first]
	if row["Name"] != "Acme" || row["AnnualRevenue"] != 12.5 || row["BillingAddress"].(map[string]any)["City"] != "Lyon" || row["ShippingAddress"] != nil {
		t.Errorf("%v", row)
	}
	if name, ok := p.rows[channel][second]["Name"].(map[string]any); !ok || name["LastName"] != "Byron" {
		t.Errorf("%v", p.rows[channel][second])
	}
	must(t, p.org.Update("Account", first, orgsim.Fields{"Name": "Acme 2", "Phone": "1"}))
	must(t, p.org.Delete("Account", second))
	p.read(t, 3*time.Minute)
	if got := p.rows[channel]; len(got) != 1 || got[first]["Name"] != "Acme 2" {
		t.Errorf("%v", got)
	}
	must(t, p.org.Undelete("Account", second))
	must(t, p.org.AddField("Account", orgsim.Field{Name: "Tier__c", Type: orgsim.Text}))
	p.open(t) // another process
	p.read(t, 3*time.Minute)
	must(t, p.org.Update("Account", first, orgsim.Fields{"Tier__c": "gold"}))
	p.read(t, 3*time.Minute)
	if got := p.rows[channel]; len(got) != 2 || got[first]["Tier__c"] != "gold" || len(p.schemas) != 2 {
		t.Errorf("%v, %d schemas", got, len(p.schemas))
	}
	if len(p.entries) != 0 || p.told[0] != channel || p.told[1] != "idle" {
		t.Errorf("%v, %v", p.entries, p.told)
	}
	if calls := p.cfg.Client.Calls(); uint64(p.spent) != calls { //nolint:gosec // not negative
		t.Errorf("%d calls were counted, and %d made", p.spent, calls)
	}
}

// A query has its fields, those of parents within, and no others.
func TestQueryIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channel = "/query/open_invoices"
		p := newPolled(t, nil, map[string]Stream{channel: {
			SOQL: "select id, systemmodstamp, Amount__c, Sent_At__c, Account__r.Name, account__r.Industry, Loc__Latitude__s from Invoice__c where Status__c = 'Open' AND CreatedDate = LAST_N_DAYS:30",
		}})
		account, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme", "Industry": "Banking"})
		must(t, err)
		open, err := p.org.Create("Invoice__c", orgsim.Fields{"Status__c": "Open", "Account__c": account, "Amount__c": 3, "Sent_At__c": "2026-01-02T03:04:05.000Z", "Loc__c": orgsim.Fields{"Latitude": 1.5, "Longitude": 2}})
		must(t, err)
		lonely, err := p.org.Create("Invoice__c", orgsim.Fields{"Status__c": "Open"})
		must(t, err)
		_, err = p.org.Create("Invoice__c", orgsim.Fields{"Status__c": "Draft"})
		must(t, err)
		p.open(t)
		p.read(t, 2*time.Minute)
		got := p.rows[channel]
		if len(got) != 2 || got[lonely]["Account__r"] != nil {
			t.Fatalf("%v", got)
		}
		row := got[open]
		parent, _ := row["Account__r"].(map[string]any)
		if row["Amount__c"] != 3.0 || row["Sent_At__c"] != 1767323045000.0 || parent["Name"] != "Acme" || parent["Industry"] != "Banking" || row["Loc__Latitude__s"] != 1.5 {
			t.Errorf("%v", row)
		}
		if _, has := row["Status__c"]; has {
			t.Errorf("a field that was not selected: %v", row)
		}
		if len(p.warnings) != 1 || !strings.Contains(p.warnings[0], "not selective") {
			t.Errorf("%q", p.warnings)
		}
		must(t, p.org.Delete("Invoice__c", open))
		p.read(t, 2*time.Minute)
		if ids := maps.Keys(p.rows[channel]); len(p.rows[channel]) != 1 {
			t.Errorf("%v", ids)
		}
	})
}

// A bin that was emptied while nobody looked is in the gap ledger.
func TestForgottenDeletionsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channel = "/query/Account"
		p := newPolled(t, nil, map[string]Stream{channel: {Object: "Account", Deletions: Deleted}})
		id, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
		must(t, err)
		p.open(t)
		p.read(t, 2*time.Minute)
		if len(p.entries) != 0 {
			t.Fatalf("%+v", p.entries[0])
		}
		must(t, p.org.Delete("Account", id))
		pass(time.Hour)
		if _, err := p.org.EmptyBin("Account"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		_, err = p.org.Create("Account", orgsim.Fields{"Name": "Other"})
		must(t, err)
		p.open(t)
		p.read(t, 5*time.Minute)
		if len(p.entries) != 1 || p.entries[0].Reason != transform.DeletionsForgotten || p.entries[0].Object != "Account" || !p.entries[0].ToTime.After(p.entries[0].FromTime) {
			t.Errorf("%v", p.entries)
		}
	})
}

// What is wrong with a stream is told at once, with what to do about it.
func TestStreamsThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		what Stream
		want string
	}{
		"no object":       {Stream{Object: "Nothing"}, "NOT_FOUND"},
		"no field":        {Stream{SOQL: "SELECT Id, SystemModstamp, Colour__c FROM Account"}, "has no field Colour__c"},
		"no parent":       {Stream{SOQL: "SELECT Id, SystemModstamp, Boss.Name FROM Account"}, "has no parent Boss"},
		"no id":           {Stream{SOQL: "SELECT SystemModstamp FROM Account"}, "does not select Id"},
		"no time":         {Stream{SOQL: "SELECT Id FROM Account"}, "does not select SystemModstamp"},
		"compound":        {Stream{SOQL: "SELECT Id, SystemModstamp, BillingAddress FROM Account"}, "is a compound field"},
		"wrong condition": {Stream{SOQL: "SELECT Id, SystemModstamp FROM Account WHERE Colour__c = 1"}, "Salesforce refuses the query"},
		"wrong field":     {Stream{Object: "Account", Field: "Name"}, "incremental_field"},
		"limit":           {Stream{SOQL: "SELECT Id, SystemModstamp FROM Account LIMIT 5"}, "LIMIT"},
		"deletions":       {Stream{Object: "Account", Field: "CreatedDate", Deletions: QueryAll}, "deletions: deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPolled(t, nil, map[string]Stream{"/query/x": c.what})
				p.open(t)
				_, err := p.Next(t.Context())
				src, ok := errors.AsType[*pipeline.SourceError](err)
				if !ok || src.Condition != pipeline.ChannelRefused || src.Channel != "/query/x" || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "; try: ") {
					t.Errorf("%v", err)
				}
			})
		})
	}
}
