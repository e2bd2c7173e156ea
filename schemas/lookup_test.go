package schemas_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/schemas"
)

// TestDocsMakeNoVersions is about what happens to a subject over the life of an
// installation: only another schema is another version, with or without docs.
func TestDocsMakeNoVersions(t *testing.T) {
	for _, envelope := range []schemas.Envelope{schemas.EventEnvelope, schemas.FlatEnvelope, schemas.DebeziumEnvelope} {
		for _, asJSON := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s json %t", envelope, asJSON), func(t *testing.T) {
				fake := srfake.NewRegistry()
				s, more := shaped(t, account(t), envelope, asJSON), shaped(t, account(t, "New__c"), envelope, asJSON)
				// A date that became a date and time has the same type, and is another all the same.
				later := shaped(t, mustParse(t, strings.Replace(string(account(t).JSON), "Data:DateOnly", "Data:DateTime", 1)), envelope, asJSON)
				p := newPeople()
				steps := []struct {
					what    string
					change  func()
					with    []func(*schemas.RegistryConfig)
					s       *schemas.Schema
					version int
				}{
					{"registered", func() {}, []func(*schemas.RegistryConfig){described(p)}, s, 1},
					{"after a restart", func() {}, []func(*schemas.RegistryConfig){described(p)}, s, 1},
					{"with other labels", func() { p.label, p.fields[1].Label = "Kunde", "Laune" }, []func(*schemas.RegistryConfig){described(p)}, s, 1},
					{"while the org does not tell", func() { p.fails = errors.New("503") }, []func(*schemas.RegistryConfig){described(p)}, s, 1},
					{"with docs switched off", func() {}, nil, s, 1},
					{"where nothing is registered", func() {}, []func(*schemas.RegistryConfig){lookUpOnly, described(p)}, s, 1},
					{"another schema, undescribed", func() {}, []func(*schemas.RegistryConfig){described(p)}, more, 2},
					{"described again", func() { p.fails = nil }, []func(*schemas.RegistryConfig){described(p)}, more, 2},
					{"a date with a time", func() {}, []func(*schemas.RegistryConfig){described(p)}, later, 3},
					{"the first again", func() {}, []func(*schemas.RegistryConfig){described(p)}, s, 1},
				}
				ids := make(map[int]int)
				for _, step := range steps {
					step.change()
					id, err := client(t, fake, func(http.ResponseWriter, *http.Request) bool { return false }, step.with...).Register(t.Context(), "x", step.s)
					if err != nil {
						t.Fatalf("%s: %v", step.what, err)
					}
					if was, known := ids[step.version]; known && was != id || !known && len(ids) != step.version-1 {
						t.Errorf("%s: id %d, the versions have %v", step.what, id, ids)
					}
					ids[step.version] = id
				}
				if _, more := fake.GetSchema("x", 4); more || ids[1] == ids[2] || ids[2] == ids[3] || ids[1] == ids[3] {
					t.Errorf("a version more, or two with one id: %v", ids)
				}
				if got, _ := fake.GetSchema("x", 1); !strings.Contains(got.Schema.Schema, "Bewertung") {
					t.Errorf("without docs: %s", got.Schema.Schema)
				}
				if got, _ := fake.GetSchema("x", 2); strings.Contains(got.Schema.Schema, "Laune") {
					t.Errorf("with docs from nowhere: %s", got.Schema.Schema)
				}
			})
		}
	}
}

func shaped(t *testing.T, s *schemas.Schema, envelope schemas.Envelope, asJSON bool) *schemas.Schema {
	t.Helper()
	out, err := envelope.In(s)
	if err != nil {
		t.Fatal(err)
	}
	if asJSON {
		out = schemas.JSONSchema(out)
	}
	return out
}

// TestTwoInstancesDescribeAtOnce: whoever is first, and whatever the org says to
// the second, there is one version.
func TestTwoInstancesDescribeAtOnce(t *testing.T) {
	fake := srfake.NewRegistry()
	p := newPeople()
	through := func(http.ResponseWriter, *http.Request) bool { return false }
	one, two := client(t, fake, through, described(p)), client(t, fake, through, described(p))
	var wg sync.WaitGroup
	ids := make([]int, 20)
	for i := range ids {
		wg.Go(func() {
			var err error
			if ids[i], err = []*schemas.Registry{one, two}[i%2].Register(t.Context(), "x", account(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == 0 {
			t.Errorf("ids %v", ids)
		}
	}
	if _, second := fake.GetSchema("x", 2); second || len(p.asked) > 2 {
		t.Errorf("two versions, or asked %v", p.asked)
	}
}

// TestDocsOfSomebodyElse: a version that somebody registered in advance is ours,
// whatever its docs are. Of several the newest is taken, past those that are
// something else or no more there.
func TestDocsOfSomebodyElse(t *testing.T) {
	s := account(t)
	foreign := func(words string) string {
		return strings.NewReplacer("Data:DynamicEnum", words, "Data:DateOnly:00N1", words).Replace(string(s.JSON))
	}
	for _, with := range [][]func(*schemas.RegistryConfig){nil, {described(newPeople())}, {lookUpOnly}} {
		fake := srfake.NewRegistry()
		for i, text := range []string{foreign("Their words"), foreign("Our words"), `{"type":"record","name":"Other","fields":[]}`, `"long"`, foreign("Deleted")} {
			if _, _, err := fake.RegisterSchema("x", sr.Schema{Schema: text}); err != nil {
				t.Fatal(i, err)
			}
		}
		r := client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/subjects/x/versions/5" {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40402,"message":"Version 5 not found"}`)
			return true
		}, with...)
		at, err := r.Lookup(t.Context(), "x", s)
		if err != nil || at.Version != 2 || at.Schema == nil || !strings.Contains(string(at.Schema.JSON), "Our words") {
			t.Errorf("looked up: %+v, %v", at, err)
		}
		if id, err := r.Register(t.Context(), "x", s); err != nil || id != at.ID {
			t.Errorf("registered: %d, %v, want %d", id, err, at.ID)
		}
	}
}

// TestMayNotLook: whoever may register and not look registers.
func TestMayNotLook(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed} {
		for _, with := range [][]func(*schemas.RegistryConfig){nil, {described(newPeople())}} {
			fake := srfake.NewRegistry()
			r := client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/versions") {
					return false
				}
				w.WriteHeader(status)
				return true
			}, with...)
			if id, err := r.Register(t.Context(), "x", account(t)); err != nil || id == 0 {
				t.Errorf("status %d: %d, %v", status, id, err)
			}
		}
	}
}

// TestRefusalsTellNoDocs: docs are no reason for a refusal.
func TestRefusalsTellNoDocs(t *testing.T) {
	fake, r := strict(t, never, described(newPeople()))
	if _, err := r.Register(t.Context(), "x", account(t)); err != nil {
		t.Fatal(err)
	}
	r = client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/versions") {
			return false
		}
		w.WriteHeader(http.StatusConflict)
		return true
	})
	_, err := r.Register(t.Context(), "x", account(t, "New__c"))
	if refused, ok := errors.AsType[*schemas.IncompatibleError](err); !ok || len(refused.Changes) != 1 {
		t.Errorf("registered: %v", err)
	}
	_, err = r.Lookup(t.Context(), "x", account(t, "New__c"))
	if missing, ok := errors.AsType[*schemas.NotRegisteredError](err); !ok || len(missing.Changes) != 1 {
		t.Errorf("looked up: %v", err)
	}
}

// TestKeysHaveNoDocs: the schema of keys is found like any other.
func TestKeysHaveNoDocs(t *testing.T) {
	fake := srfake.NewRegistry()
	id, _, err := fake.RegisterSchema("x-key", sr.Schema{Schema: `{"type":"string"}`})
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range [][]func(*schemas.RegistryConfig){nil, {described(newPeople())}} {
		r := client(t, fake, func(http.ResponseWriter, *http.Request) bool { return false }, with...)
		if got, err := r.Register(t.Context(), "x-key", schemas.StringKey()); err != nil || got != id {
			t.Errorf("got %d, %v, want %d", got, err, id)
		}
	}
}

// TestRequestsOfRegistering: what a restart asks a registry that has the schema.
func TestRequestsOfRegistering(t *testing.T) {
	for _, c := range []struct {
		with []func(*schemas.RegistryConfig)
		want string
	}{
		{nil, "POST /subjects/x, GET /schemas/ids/1"},
		{[]func(*schemas.RegistryConfig){described(newPeople())}, "GET /subjects/x/versions, GET /subjects/x/versions/1, GET /schemas/ids/1"},
	} {
		fake := srfake.NewRegistry()
		var requests []string
		for range 2 {
			requests = nil
			r := client(t, fake, func(_ http.ResponseWriter, req *http.Request) bool {
				requests = append(requests, req.Method+" "+req.URL.Path)
				return false
			}, c.with...)
			for range 3 {
				if _, err := r.Register(t.Context(), "x", account(t)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := strings.Join(requests, ", "); got != c.want {
			t.Errorf("asked %s, want %s", got, c.want)
		}
	}
}

// TestRegistryThatLimitsRequests: a subject of many versions is read through, a few
// at each try.
func TestRegistryThatLimitsRequests(t *testing.T) {
	const versions = 30
	fake := srfake.NewRegistry()
	for i := range versions {
		if _, _, err := fake.RegisterSchema("x", sr.Schema{Schema: string(account(t, fmt.Sprintf("F%d__c", i)).JSON)}); err != nil {
			t.Fatal(err)
		}
	}
	read, tries := 0, 0
	r := client(t, fake, func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasPrefix(req.URL.Path, "/subjects/x/versions/") {
			return false
		}
		if read++; read%10 != 0 {
			return false
		}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	for ; tries < versions; tries++ {
		_, err := r.Register(t.Context(), "x", account(t))
		if err == nil {
			break
		}
		if !schemas.Retryable(err) {
			t.Fatal(err)
		}
	}
	if tries != 3 || read != versions+tries {
		t.Errorf("%d versions read after %d failures, want each once", read-tries, tries)
	}
}
