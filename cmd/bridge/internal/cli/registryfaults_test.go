package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

const (
	accountEvents = "/data/AccountChangeEvent"
	contactEvents = "/data/ContactChangeEvent"
)

// answers is a fault that answers everything alike.
func answers(status int, body string) fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

// passing are troubles of a registry that end by themselves or by somebody's
// doing, and what readyz says of each.
func passing() map[string]struct {
	broke fault
	says  []string
} {
	type row = struct {
		broke fault
		says  []string
	}
	return map[string]row{
		"down": {func(w http.ResponseWriter, _ *http.Request) bool {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return true
		}, []string{"encode transient", "schema registry: look up a schema under"}},
		"unavailable":  {answers(503, `{"error_code":50302,"message":"the leader is elsewhere"}`), []string{"status 503", "the leader is elsewhere"}},
		"unauthorized": {answers(401, `{"error_code":401,"message":"Unauthorized"}`), []string{"status 401", "check the registry's username and password"}},
		"forbidden":    {answers(403, `{"error_code":40301,"message":"denied"}`), []string{"status 403", "write access"}},
		"garbage":      {answers(200, `<html>log in</html>`), []string{"no proxy answers in its place"}},
		"nothing":      {answers(200, ``), []string{"status 200"}},
		"no id":        {answers(200, `{}`), []string{"no usable schema id (0)"}},
		"read only":    {answers(422, `{"error_code":42205,"message":"read-only"}`), []string{"READWRITE"}},
		"wrong id": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				fmt.Fprint(w, `{"id":1}`)
			} else {
				fmt.Fprint(w, `{"schema":"{\"type\":\"record\",\"name\":\"Other\",\"fields\":[]}"}`)
			}
			return true
		}, []string{"schema id 1, which is that of another schema", "type Other renamed to"}},
	}
}

// A registry in trouble when the bridge starts, and again in mid-stream when a
// new schema comes: batches wait, readyz says why, nothing is skipped, doubled
// or out of order when it is well again.
func TestRegistryInTrouble(t *testing.T) {
	for name, c := range passing() {
		t.Run(name, func(t *testing.T) {
			s := newSchemaSite(t, "", accountEvents)
			s.breaks(c.broke)
			s.publish(t, 3, nil)
			r := s.run(t)
			r.notReady(c.says...)
			if got := s.records(t); len(got) > 0 {
				t.Errorf("%d records without their schema", len(got))
			}
			s.breaks(nil)
			s.publish(t, 3, nil)
			r.exactly(accountEvents)

			s.breaks(c.broke)
			before := len(s.records(t))
			s.publish(t, 2, nil) // the registry is not asked for what is known
			s.addField(t, "Score__c")
			s.publish(t, 2, orgsim.Fields{"Score__c": 1})
			r.notReady(c.says...)
			if got := s.records(t); len(got) > before+2 {
				t.Errorf("%d records, %d of them without their schema", len(got), len(got)-before-2)
			}
			s.breaks(nil)
			r.exactly(accountEvents)
			r.drain()
			r.exactly(accountEvents)
			state := r.stats.Snapshot()[0]
			if state.InFlight != 0 || state.DeadLettered != 0 {
				t.Errorf("at rest: %+v", state)
			}
			if got := s.changes(t); len(got) != 2 {
				t.Errorf("schema changes: %+v", got)
			}
		})
	}
}

// A registry that is slow holds the batch and nothing else.
func TestSlowRegistry(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	s.breaks(func(http.ResponseWriter, *http.Request) bool {
		<-time.After(300 * time.Millisecond)
		return false
	})
	s.publish(t, 5, nil)
	s.addField(t, "Score__c")
	s.publish(t, 5, orgsim.Fields{"Score__c": 1})
	s.run(t).exactly(accountEvents)
}

// refusesText is a registry that calls texts with a word in them incompatible
// under one subject.
func refusesText(subject, word string) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Path != "/subjects/"+subject+"/versions" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(body), word) {
			return answers(http.StatusConflict, `{"error_code":409,"message":"READER_FIELD_MISSING_DEFAULT_VALUE"}`)(w, r)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return false
	}
}

// An incompatible schema halts its stream, with the difference in readyz; the
// others go on, and what came before is committed.
func TestIncompatibleSchemaHalts(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents, contactEvents)
	s.breaks(refusesText("salesforce.Account-value", "Score__c"))
	s.publish(t, 3, nil)
	r := s.run(t)
	r.exactly(accountEvents)
	s.addField(t, "Score__c")
	s.publish(t, 2, orgsim.Fields{"Score__c": 1})
	r.notReady("halted", "subject salesforce.Account-value refuses schema com.sforce.eventbus.AccountChangeEvent",
		"field Score__c added (null|double)", "READER_FIELD_MISSING_DEFAULT_VALUE", "try: registry.on_incompatible new_subject")
	if _, err := s.org.Create("Contact", orgsim.Fields{"Name": map[string]any{"LastName": "Krol"}}); err != nil {
		t.Fatal(err)
	}
	r.exactly(contactEvents)
	if got := s.records(t); len(got) != 4 {
		t.Errorf("%d records, want those before the halt and the contact", len(got))
	}
	r.drain()
	// Somebody repairs it: the stream goes on where it was.
	s.breaks(nil)
	s.run(t).exactly(accountEvents)
}

// With new_subject the stream goes on, and the record of the change says where
// its schema is.
func TestIncompatibleSchemaGetsANewSubject(t *testing.T) {
	s := newSchemaSite(t, "  on_incompatible: new_subject", accountEvents)
	s.breaks(refusesText("salesforce.Account-value", "Score__c"))
	s.publish(t, 2, nil)
	r := s.run(t)
	r.exactly(accountEvents)
	s.addField(t, "Score__c")
	s.publish(t, 2, orgsim.Fields{"Score__c": 1})
	r.exactly(accountEvents)
	s.addField(t, "Level__c")
	s.publish(t, 2, orgsim.Fields{"Level__c": 1})
	r.exactly(accountEvents)
	r.drain()
	var got []string
	for _, c := range s.changes(t) {
		got = append(got, fmt.Sprintf("%s %d", *c.Subject, *c.Version))
	}
	want := "[salesforce.Account-value 1 salesforce.Account-value-v2 1 salesforce.Account-value-v2 2]"
	if fmt.Sprint(got) != want {
		t.Errorf("schemas are at %v, want %s", got, want)
	}
	again := s.run(t)
	s.publish(t, 2, orgsim.Fields{"Level__c": 1})
	again.exactly(accountEvents)
	if _, more := s.fake.GetSchema("salesforce.Account-value-v3", 1); more {
		t.Error("after a restart the schema went elsewhere")
	}
}

// Without auto_register the bridge takes what was registered in advance, and
// halts at what was not.
func TestNothingIsRegistered(t *testing.T) {
	s := newSchemaSite(t, "  auto_register: false", accountEvents)
	s.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/versions") {
			t.Errorf("something was registered: %s", r.URL.Path)
		}
		return false
	})
	register := func(subject string, args ...string) {
		t.Helper()
		code, text, stderr := call(t, append([]string{"schemas", "show", "-c", s.path}, args...)...)
		if code != 0 {
			t.Fatal(stderr)
		}
		s.seed(t, subject, text)
	}
	register("salesforce.Account-value", "Account")
	register("demo.schema-changes-value", "SchemaChange")
	s.publish(t, 3, nil)
	r := s.run(t)
	r.exactly(accountEvents)
	s.addField(t, "Score__c")
	s.publish(t, 2, orgsim.Fields{"Score__c": 1})
	r.notReady("halted", "is not registered under subject salesforce.Account-value, whose latest version is 1",
		"without these changes: field Score__c added (null|double)", "'bridge schemas show'")
	r.drain()
	register("salesforce.Account-value", s.schemaID(t, "Account"))
	s.run(t).exactly(accountEvents)
}
