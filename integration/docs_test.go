package integration

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// describedSite is a site whose org may refuse to describe its objects.
type describedSite struct {
	*realRegistry
	asked, refuses atomic.Int32
}

func newDescribedSite(t *testing.T) *describedSite {
	t.Helper()
	s := &describedSite{realRegistry: newRealRegistry(t)}
	org := s.org.Handler()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/sobjects/Account/describe") {
			s.asked.Add(1)
			if s.refuses.Load() > 0 {
				http.Error(w, `[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]`, http.StatusForbidden)
				return
			}
		}
		org.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	s.orgURL = front.URL
	return s
}

// goes starts the bridge with registry settings, has it write n accounts more, and
// ends it. It returns what the bridge said.
func (s *describedSite) goes(t *testing.T, settings string, n int, fields orgsim.Fields) string {
	t.Helper()
	s.registry = s.url + settings
	s.create(t, n, fields)
	p := s.start(t)
	s.arrived(t, p)
	p.drain(t)
	return p.output()
}

// doc is the doc of a field in a version of the subject, and the version's id.
func (s *describedSite) doc(t *testing.T, version, field string) (doc string, id int) {
	t.Helper()
	var got struct {
		Schema string
		ID     int
	}
	s.ask(t, http.MethodGet, "/subjects/"+s.subject+"/versions/"+version, nil, &got)
	var schema struct {
		Doc    string
		Fields []struct{ Name, Doc string }
	}
	if err := json.Unmarshal([]byte(got.Schema), &schema); err != nil {
		t.Fatal(err)
	}
	for _, f := range schema.Fields {
		if f.Name == field {
			return schema.Doc + ": " + f.Doc, got.ID
		}
	}
	t.Fatalf("version %s has no field %s", version, field)
	return "", 0
}

func (s *describedSite) versions(t *testing.T, want int) {
	t.Helper()
	if _, version := s.latest(t, s.subject); version != want {
		t.Errorf("the subject has version %d, want %d", version, want)
	}
}

func (s *describedSite) relabel(t *testing.T, field, label, help string) {
	t.Helper()
	if err := s.org.Relabel("Account", field, label, help); err != nil {
		t.Fatal(err)
	}
}

// Docs are registered with a schema, as they are at that moment. Nothing that
// happens to labels, to the option or to the org's willingness makes a version, in
// a registry for which a text with other docs is another.
func TestDocsOfARealRegistry(t *testing.T) {
	const describe = "\n  docs: describe"
	s := newDescribedSite(t)
	s.relabel(t, "Rating", "Temperature", "How promising it is.")
	s.goes(t, describe, 5, nil)
	doc, _ := s.doc(t, "latest", "Rating")
	if want := "Account: Temperature (picklist)\nHow promising it is.\nData:DynamicEnum"; doc != want || s.asked.Load() != 1 {
		t.Errorf("registered with %q, want %q; asked %d times", doc, want, s.asked.Load())
	}

	s.relabel(t, "Rating", "Mood", "")
	s.relabel(t, "", "Customer", "")
	for _, settings := range []string{describe, "", "\n  auto_register: false", describe + "\n  auto_register: false"} {
		s.versionsAfter(t, 1, settings, nil)
	}
	if s.asked.Load() != 1 {
		t.Errorf("asked %d times for what is registered", s.asked.Load())
	}
	if got := s.schemas(t, 0, "diff", "Account"); !strings.Contains(got, "are the same") {
		t.Error(got)
	}

	s.refuses.Store(1)
	s.addNumber(t, "Score__c")
	said := s.versionsAfter(t, 2, describe, orgsim.Fields{"Score__c": 1})
	if !strings.Contains(said, "a schema is registered without docs") || !strings.Contains(said, "no docs for the schemas of Account") {
		t.Errorf("the bridge does not say so:\n%s", tail(said))
	}
	s.refuses.Store(0)
	s.versionsAfter(t, 2, describe, nil)
	s.addNumber(t, "Rank__c")
	s.versionsAfter(t, 3, describe, orgsim.Fields{"Rank__c": 1})
	for version, want := range map[string]string{"1": "Account: Temperature (picklist)\nHow promising it is.\nData:DynamicEnum", "2": ": Data:DynamicEnum", "3": "Customer: Mood (picklist)\nData:DynamicEnum"} {
		if doc, _ := s.doc(t, version, "Rating"); doc != want {
			t.Errorf("version %s has %q, want %q", version, doc, want)
		}
	}
	s.exactly(t, s.reader)
}

// Somebody who wants other docs in the registry registers them: the newest text of
// the same schema is used from the next start on.
func TestDocsRegisteredByHand(t *testing.T) {
	const describe = "\n  docs: describe"
	s := newDescribedSite(t)
	s.goes(t, describe, 2, nil)
	s.relabel(t, "Rating", "Mood", "")
	s.ask(t, http.MethodPost, "/subjects/"+s.subject+"/versions", map[string]string{"schema": s.schemas(t, 0, "show", "Account")}, nil)
	s.versions(t, 2)
	s.versionsAfter(t, 2, describe, nil)
	_, first := s.doc(t, "1", "Rating")
	doc, second := s.doc(t, "2", "Rating")
	if first == second || doc != "Account: Mood (picklist)\nData:DynamicEnum" {
		t.Errorf("ids %d and %d, the second with %q", first, second, doc)
	}
	if got := s.schemas(t, 0, "list"); !strings.Contains(got, "in sync") {
		t.Error(got)
	}
	if got := s.carried(t, 4); got[first] != 2 || got[second] != 2 {
		t.Errorf("records carry %v, want two with %d and two with %d", got, first, second)
	}
	s.exactly(t, s.reader)
}

func (s *describedSite) versionsAfter(t *testing.T, want int, settings string, fields orgsim.Fields) string {
	t.Helper()
	said := s.goes(t, settings, 2, fields)
	s.versions(t, want)
	return said
}

func (s *describedSite) addNumber(t *testing.T, name string) {
	t.Helper()
	if err := s.org.AddField("Account", orgsim.Field{Name: name, Type: orgsim.Number}); err != nil {
		t.Fatal(err)
	}
}

// carried counts the records of each registry id.
func (s *describedSite) carried(t *testing.T, n int) map[int]int {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ConsumeTopics(s.prefix+".Account"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := make(map[int]int)
	for seen := 0; seen < n && ctx.Err() == nil; {
		for rec := range cl.PollFetches(ctx).RecordsAll() {
			id, _, err := new(sr.ConfluentHeader).DecodeID(rec.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[id]++
			seen++
		}
	}
	return out
}
