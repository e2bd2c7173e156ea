package schemas_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// strict is a registry in memory that refuses a text under the subjects for
// which refuses says so.
func strict(t *testing.T, refuses func(subject, text string) bool, change ...func(*schemas.RegistryConfig)) (*srfake.Registry, *schemas.Registry) {
	t.Helper()
	fake := srfake.NewRegistry()
	r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
		req.URL.Path = strings.TrimPrefix(req.URL.Path, "/apis/ccompat/v7")
		subject, found := strings.CutPrefix(req.URL.Path, "/subjects/")
		if base, post := strings.CutSuffix(subject, "/versions"); found && post && req.Method == http.MethodPost {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			var sent sr.Schema
			if err := json.Unmarshal(body, &sent); err != nil {
				t.Error(err)
			}
			if refuses(base, sent.Schema) {
				w.WriteHeader(http.StatusConflict)
				fmt.Fprint(w, `{"error_code":409,"message":"incompatible with an earlier schema"}`)
				return
			}
			req.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		fake.Handler().ServeHTTP(w, req)
	}, change...)
	return fake, r
}

func never(string, string) bool { return false }

func newSubject(c *schemas.RegistryConfig) { c.NewSubject = true }
func lookUpOnly(c *schemas.RegistryConfig) { c.LookUpOnly = true }

// A refusal tells exactly what is different from what the subject has.
func TestIncompatibleTellsTheDifference(t *testing.T) {
	old := mustParse(t, event(`{"name":"Amount__c","type":["null","string"]}`, `{"name":"Gone__c","type":["null","int"]}`))
	now := mustParse(t, event(`{"name":"Amount__c","type":["null","double"]}`, `{"name":"New__c","type":["null","string"]}`))
	_, r := strict(t, func(_, text string) bool { return strings.Contains(text, "New__c") })
	id, err := r.Register(t.Context(), "x-value", old)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Register(t.Context(), "x-value", now)
	refused, ok := errors.AsType[*schemas.IncompatibleError](err)
	if !ok || schemas.Retryable(err) {
		t.Fatalf("got %v", err)
	}
	if refused.Version != 1 || refused.RegistryID != id || refused.Subject != "x-value" || len(refused.Changes) != 3 {
		t.Errorf("got %+v", refused)
	}
	for _, want := range []string{
		"subject x-value refuses schema com.sforce.eventbus.X__e (id) as incompatible", "latest version 1",
		"field Amount__c retyped from null|string to null|double", "field New__c added (null|string)", "field Gone__c removed (null|int)",
		"the registry says: incompatible with an earlier schema", "try: registry.on_incompatible new_subject",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// If what the subject has cannot be had right now, the refusal is told later;
// if it can never be had, it is told without.
func TestIncompatibleWithoutTheOther(t *testing.T) {
	s := mustParse(t, string(goodText))
	for _, c := range []struct {
		status int
		retry  bool
	}{{503, true}, {403, false}, {200, false}} {
		r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost && !strings.HasSuffix(req.URL.Path, "/versions") {
				noSubject(w)
				return
			}
			if req.Method == http.MethodPost {
				w.WriteHeader(http.StatusConflict)
				return
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, `{"subject":"x","version":3,"id":9,"schema":"\"string\""}`)
		})
		_, err := r.Register(t.Context(), "x", s)
		refused, ok := errors.AsType[*schemas.IncompatibleError](err)
		if schemas.Retryable(err) != c.retry || ok == c.retry || ok && refused.Unread == nil {
			t.Errorf("status %d: %v", c.status, err)
		}
	}
}

// A long list of differences is cut in the message, not in the error.
func TestIncompatibleWithManyDifferences(t *testing.T) {
	fields := make([]string, 200)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"name":"F%d__c","type":["null","string"]}`, i)
	}
	_, r := strict(t, func(_, text string) bool { return strings.Contains(text, "F1__c") })
	if _, err := r.Register(t.Context(), "x", mustParse(t, string(goodText))); err != nil {
		t.Fatal(err)
	}
	_, err := r.Register(t.Context(), "x", mustParse(t, event(fields...)))
	refused, ok := errors.AsType[*schemas.IncompatibleError](err)
	if !ok || len(refused.Changes) != 201 || !strings.Contains(err.Error(), "; and 161 more") {
		t.Errorf("%d changes: %v", len(refused.Changes), err)
	}
}

// A refused schema goes to the first subject behind that takes it, is found
// there by every other instance and after every restart, and its successors
// follow it.
func TestNewSubject(t *testing.T) {
	one := mustParse(t, event(`{"name":"A","type":["null","string"]}`))
	two := mustParse(t, event(`{"name":"A","type":["null","double"]}`))
	twoMore := mustParse(t, event(`{"name":"A","type":["null","double"]}`, `{"name":"B","type":["null","int"]}`))
	three := mustParse(t, event(`{"name":"A","type":["null","long"]}`))
	rules := map[string]string{"x": `"string"`, "x-v2": `"double"`, "x-v3": `"long"`} // what each subject's schemas have
	refuses := func(subject, text string) bool { return !strings.Contains(text, `["null",`+rules[subject]) }
	fake, r := strict(t, refuses, newSubject)
	ids := make(map[*schemas.Schema]int)
	for _, s := range []*schemas.Schema{one, two, twoMore, three} {
		id, err := r.Register(t.Context(), "x", s)
		if err != nil {
			t.Fatal(err)
		}
		ids[s] = id
	}
	for subject, versions := range map[string]int{"x": 1, "x-v2": 2, "x-v3": 1} {
		if _, ok := fake.GetSchema(subject, versions); !ok {
			t.Errorf("%s has no version %d", subject, versions)
		}
		if _, ok := fake.GetSchema(subject, versions+1); ok {
			t.Errorf("%s has more than %d versions", subject, versions)
		}
	}
	for s, want := range map[*schemas.Schema]string{one: "x 1", two: "x-v2 1", twoMore: "x-v2 2", three: "x-v3 1"} {
		at, err := r.Locate(t.Context(), "x", ids[s])
		if got := fmt.Sprint(at.Subject, " ", at.Version); err != nil || got != want {
			t.Errorf("id %d is at %s, want %s: %v", ids[s], got, want, err)
		}
		if at, err = r.Lookup(t.Context(), "x", s); err != nil || fmt.Sprint(at.Subject, " ", at.Version) != want || at.ID != ids[s] {
			t.Errorf("looked up: %+v, %v", at, err)
		}
	}
	if at, err := r.LatestLine(t.Context(), "x"); err != nil || at.Subject != "x-v3" {
		t.Errorf("the latest line is %+v, %v", at, err)
	}
	// The rules change: x-v2 would take the third now. It stays where it is.
	rules["x-v2"] = `"long"`
	again := client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/versions") {
			return false
		}
		if req.URL.Path != "/subjects/x/versions" {
			t.Errorf("registered anew by %s", req.URL.Path)
		}
		w.WriteHeader(http.StatusConflict)
		return true
	}, newSubject)
	if id, err := again.Register(t.Context(), "x", three); err != nil || id != ids[three] {
		t.Errorf("after a restart: %d, %v, want %d", id, err, ids[three])
	}
	if _, ok := fake.GetSchema("x-v2", 3); ok {
		t.Error("registered twice")
	}
}

// client is another client of a registry, with answers of its own where it says
// so.
func client(t *testing.T, fake *srfake.Registry, own func(http.ResponseWriter, *http.Request) bool, change ...func(*schemas.RegistryConfig)) *schemas.Registry {
	t.Helper()
	return newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
		req.URL.Path = strings.TrimPrefix(req.URL.Path, "/apis/ccompat/v7")
		if !own(w, req) {
			fake.Handler().ServeHTTP(w, req)
		}
	}, change...)
}

// A subject that refuses everything, and all that follow it, end somewhere.
func TestNewSubjectEnds(t *testing.T) {
	var posts atomic.Int32
	_, r := strict(t, func(string, string) bool { posts.Add(1); return true }, newSubject)
	_, err := r.Register(t.Context(), "x", mustParse(t, string(goodText)))
	if _, ok := errors.AsType[*schemas.IncompatibleError](err); !ok || posts.Load() != 100 {
		t.Errorf("%v after %d requests", err, posts.Load())
	}
}

// Where nothing may be registered, what is there is found, what is not is told.
func TestLookUpOnly(t *testing.T) {
	one := mustParse(t, event(`{"name":"A","type":["null","string"]}`))
	two := mustParse(t, event(`{"name":"A","type":["null","string"]}`, `{"name":"B","type":["null","int"]}`))
	refused := func(string, string) bool { t.Error("something was registered"); return true }
	fake, r := strict(t, refused, lookUpOnly)
	_, err := r.Register(t.Context(), "x-value", one)
	missing, ok := errors.AsType[*schemas.NotRegisteredError](err)
	if !ok || schemas.Retryable(err) || missing.Version != 0 || !strings.Contains(err.Error(), "registry.auto_register") {
		t.Errorf("nothing is there: %v", err)
	}
	id, _, err := fake.RegisterSchema("x-value", sr.Schema{Schema: string(one.JSON)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Register(t.Context(), "x-value", one); err != nil || got != id {
		t.Errorf("got %d, %v, want %d: somebody registered it meanwhile", got, err, id)
	}
	// Another text of the same records will do, whatever the registry thinks of it.
	pretty := strings.ReplaceAll(string(two.JSON), `"name":"B"`, `"doc":"remark","name":"B"`)
	spaced := client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodPost {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
			return true
		}
		return false
	}, lookUpOnly)
	if got, err := spaced.Register(t.Context(), "x-value", one); err != nil || got != id {
		t.Errorf("got %d, %v, want %d", got, err, id)
	}
	_, err = r.Register(t.Context(), "x-value", two)
	if missing, ok = errors.AsType[*schemas.NotRegisteredError](err); !ok || missing.RegistryID != id || len(missing.Changes) != 1 ||
		!strings.Contains(err.Error(), "without these changes: field B added (null|int)") {
		t.Errorf("another version is there: %v", err)
	}
	second, _, err := fake.RegisterSchema("x-value", sr.Schema{Schema: pretty})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := spaced.Register(t.Context(), "x-value", two); err != nil || got != second {
		t.Errorf("got %d, %v, want %d", got, err, second)
	}
	if _, err := r.Latest(t.Context(), "nothing"); err == nil || !strings.Contains(err.Error(), "nothing is registered under subject nothing") {
		t.Errorf("got %v", err)
	}
}

// An id is believed when the registry has this very schema under it.
func TestWrongID(t *testing.T) {
	s := mustParse(t, event(`{"name":"A","type":["null","string"],"doc":"x"}`))
	text := func(s *schemas.Schema) string { return fmt.Sprintf(`{"schema":%q}`, s.JSON) }
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string // "": believed
	}{
		{"itself", 200, text(s), ""},
		{"other white space", 200, fmt.Sprintf(`{"schema":%q}`, strings.ReplaceAll(string(s.JSON), ",", " , ")), ""},
		{"another doc", 200, fmt.Sprintf(`{"schema":%q}`, strings.Replace(string(s.JSON), `"x"`, `"y"`, 1)), ""},
		{"nobody may look", 403, `{"error_code":40301,"message":"denied"}`, ""},
		{"another schema", 200, text(mustParse(t, event(`{"name":"A","type":["null","long"]}`))), "id 7, which is that of another schema: field A retyped"},
		{"unknown", 404, `{"error_code":40403,"message":"Schema not found"}`, "id 7 and does not know that id"},
		{"no schema", 200, `{"schema":"\"string\""}`, "cannot be read"},
		{"garbage", 200, `<html>`, "no proxy answers in its place"},
		{"down", 503, ``, "status 503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wrong := true
			r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodGet && wrong {
					w.WriteHeader(c.status)
					fmt.Fprint(w, c.body)
					return
				}
				gives(w, req, s, 7)
			})
			id, err := r.Register(t.Context(), "x", s)
			if c.want == "" {
				if id != 7 || err != nil {
					t.Errorf("got %d, %v", id, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !schemas.Retryable(err) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			wrong = false
			if id, err := r.Register(t.Context(), "x", s); id != 7 || err != nil {
				t.Errorf("the failure was remembered: %d, %v", id, err)
			}
		})
	}
}

// The version and subject of an id, among those that the same text has.
func TestLocate(t *testing.T) {
	s := mustParse(t, string(goodText))
	_, r := strict(t, never)
	var id int
	for _, subject := range []string{"a-value", "b-value", "a-value-v2"} {
		var err error
		if id, err = r.Register(t.Context(), subject, s); err != nil {
			t.Fatal(err)
		}
	}
	for subject, want := range map[string]string{"a-value": "a-value", "b-value": "b-value", "c-value": ""} {
		if at, err := r.Locate(t.Context(), subject, id); err != nil || at.Subject != want {
			t.Errorf("%s: %+v, %v", subject, at, err)
		}
	}
	if _, err := r.Locate(t.Context(), "a-value", 99); err == nil {
		t.Error("an unknown id is somewhere")
	}
}
