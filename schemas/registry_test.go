package schemas_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// handlerTransport answers requests by a handler, without sockets.
type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Result(), nil
}

func newRegistry(t *testing.T, h http.HandlerFunc, change ...func(*schemas.RegistryConfig)) *schemas.Registry {
	t.Helper()
	cfg := schemas.RegistryConfig{URLs: []string{"http://registry.test/apis/ccompat/v7"}, Transport: handlerTransport{h}}
	for _, c := range change {
		c(&cfg)
	}
	r, err := schemas.NewRegistry(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// gives answers like a registry that has s under an id: to its registration and
// to the question what the id stands for.
func gives(w http.ResponseWriter, req *http.Request, s *schemas.Schema, id int) {
	if req.Method == http.MethodGet {
		fmt.Fprintf(w, `{"schema":%q}`, s.JSON)
		return
	}
	fmt.Fprintf(w, `{"id":%d}`, id)
}

// noSubject answers a look-up under a subject that does not exist.
func noSubject(w http.ResponseWriter) {
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"error_code":40401,"message":"Subject not found"}`)
}

// TestRegisterWithFake runs against a registry over HTTP: ids are given once for
// a subject and text, and the registry has the very text.
func TestRegisterWithFake(t *testing.T) {
	fake := srfake.New(srfake.WithAuth("Basic YnJpZGdlOnMzY3IzdA=="))
	t.Cleanup(fake.Close)
	var posts atomic.Int32
	fake.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/versions") {
			posts.Add(1)
		}
		return false
	})
	r, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{fake.URL()}, Username: "bridge", Password: "s3cr3t"})
	if err != nil {
		t.Fatal(err)
	}
	one, two := mustParse(t, string(goodText)), mustParse(t, event(`{"name":"B","type":["null","string"]}`))
	ids := map[string]int{}
	for range 2 {
		for subject, s := range map[string]*schemas.Schema{"a-value": one, "b-value": one, "c-value": two} {
			id, err := r.Register(t.Context(), subject, s)
			if err != nil {
				t.Fatal(err)
			}
			if was, ok := ids[subject]; ok && was != id {
				t.Errorf("%s: id %d, then %d", subject, was, id)
			}
			ids[subject] = id
		}
	}
	if ids["a-value"] != ids["b-value"] || ids["a-value"] == ids["c-value"] || posts.Load() != 3 {
		t.Errorf("ids %v after %d requests", ids, posts.Load())
	}
	got, ok := fake.GetSchema("a-value", 1)
	if !ok || got.Schema.Schema != string(one.JSON) || got.Type != sr.TypeAvro {
		t.Errorf("the registry has %v", got)
	}
	// The same text under another of Salesforce's ids is not asked for again.
	same, err := schemas.Parse("another id", goodText)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(t.Context(), "a-value", same); err != nil || posts.Load() != 3 {
		t.Errorf("%v, %d requests", err, posts.Load())
	}
}

func TestRegisterOnceForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var posts atomic.Int32
		s := mustParse(t, string(goodText))
		r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodPost {
				posts.Add(1)
			}
			<-time.After(time.Second) // virtual: the others come meanwhile
			gives(w, req, s, 7)
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if id, err := r.Register(t.Context(), "x-value", s); id != 7 || err != nil {
					t.Errorf("got %d, %v", id, err)
				}
			})
		}
		wg.Wait()
		if posts.Load() != 1 {
			t.Errorf("%d requests", posts.Load())
		}
	})
}

// TestRegistryAnswers goes through what registries, and what stands in front of
// them, answer.
func TestRegistryAnswers(t *testing.T) {
	const confluent409 = `{"error_code":409,"message":"Schema being registered is incompatible with an earlier schema for subject \"x-value\", details: [{errorType:'TYPE_MISMATCH', description:'reader type: STRING not compatible with writer type: INT'}]"}`
	for _, c := range []struct {
		name         string
		status       int
		body         string
		incompatible bool
		retry        bool
		want         []string
	}{
		{"incompatible", 409, confluent409, true, false, []string{"subject x-value", "TYPE_MISMATCH", "com.sforce.eventbus.X__e", "try:"}},
		{"incompatible, no body", 409, ``, true, false, []string{"no response"}},
		{"unauthorized", 401, `{"error_code":401,"message":"Unauthorized"}`, false, false, []string{"status 401: Unauthorized", "username and password"}},
		{"forbidden", 403, `{"error_code":40301,"message":"User is denied operation Write on Subject: x-value"}`, false, false, []string{"status 403, error code 40301", "write access"}},
		{"wrong path", 404, `<html>not found</html>`, false, false, []string{"status 404", "/apis/ccompat/v7"}},
		{"invalid schema", 422, `{"error_code":42201,"message":"Input schema is an invalid Avro schema"}`, false, false, []string{"42201", "Input schema is an invalid Avro schema"}},
		{"read only", 422, `{"error_code":42205,"message":"Subject x-value is in read-only mode"}`, false, false, []string{"READWRITE"}},
		{"too many requests", 429, `slow down`, false, true, []string{"status 429", "slow down"}},
		{"timeout of a proxy", 408, ``, false, true, []string{"status 408"}},
		{"backend", 500, `{"error_code":50001,"message":"Error in the backend data store"}`, false, true, []string{"50001"}},
		{"maintenance", 503, `<html>` + strings.Repeat("x", 5000), false, true, []string{"status 503", "…"}},
		{"not implemented", 501, ``, false, false, []string{"status 501"}},
		{"redirect", 302, ``, false, false, []string{"status 302", "redirects"}},
		{"html with 200", 200, `<html>log in</html>`, false, true, []string{"no proxy answers in its place"}},
		{"nothing with 200", 200, ``, false, true, []string{"status 200"}},
		{"cut with 200", 200, `{"id":`, false, true, []string{"status 200"}},
		{"no id", 200, `{}`, false, true, []string{"no usable schema id (0)"}},
		{"negative id", 200, `{"id":-1}`, false, true, []string{"no usable schema id (-1)"}},
		{"huge id", 200, `{"id":4294967296}`, false, true, []string{"no usable schema id"}},
		{"endless", 200, strings.Repeat(" ", 5<<20), false, true, []string{"longer than"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			requests := 0
			r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodPost && req.URL.Path == "/apis/ccompat/v7/subjects/x-value" {
					noSubject(w)
					return
				}
				if req.Method == http.MethodPost {
					requests++
				}
				if req.Method == http.MethodPost && req.URL.Path != "/apis/ccompat/v7/subjects/x-value/versions" {
					t.Errorf("path %s", req.URL.Path)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			})
			s := mustParse(t, string(goodText))
			_, err := r.Register(t.Context(), "x-value", s)
			if err == nil {
				t.Fatal("no error")
			}
			var incompatible *schemas.IncompatibleError
			var registry *schemas.RegistryError
			if errors.As(err, &incompatible) != c.incompatible || errors.As(err, &registry) == c.incompatible {
				t.Errorf("type %T", err)
			}
			if got := schemas.Retryable(err); got != c.retry {
				t.Errorf("retryable is %t", got)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if len(err.Error()) > 600 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			if _, err := r.Register(t.Context(), "x-value", s); err == nil || requests != 2 {
				t.Errorf("a failure was remembered: %v, %d requests", err, requests)
			}
		})
	}
}

// brokenTransport never answers.
type brokenTransport struct{ err error }

func (b brokenTransport) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

func TestRegistryUnreachable(t *testing.T) {
	cause := errors.New("connection refused")
	r := newRegistry(t, nil, func(c *schemas.RegistryConfig) { c.Transport = brokenTransport{cause} })
	_, err := r.Register(t.Context(), "x-value", mustParse(t, string(goodText)))
	if !errors.Is(err, cause) || !schemas.Retryable(err) {
		t.Errorf("got %v", err)
	}
}

// TestRegistryTimeout: a registry that never answers costs the timeout, and the
// caller's context ends the wait earlier.
func TestRegistryTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := transportFunc(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		r := newRegistry(t, nil, func(c *schemas.RegistryConfig) { c.Transport, c.Timeout = silent, 3*time.Second })
		s := mustParse(t, string(goodText))
		start := time.Now()
		_, err := r.Register(t.Context(), "x-value", s)
		if took := time.Since(start); err == nil || !schemas.Retryable(err) || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = r.Register(ctx, "x-value", s)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestRegistryAuthentication(t *testing.T) {
	s := mustParse(t, string(goodText))
	for _, c := range []struct {
		name   string
		change func(*schemas.RegistryConfig)
		want   string
	}{
		{"none", func(*schemas.RegistryConfig) {}, ""},
		{"basic", func(c *schemas.RegistryConfig) { c.Username, c.Password = "me", "pw" }, "Basic bWU6cHc="},
		{"bearer", func(c *schemas.RegistryConfig) { c.BearerToken = "tok" }, "Bearer tok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry(t, func(w http.ResponseWriter, req *http.Request) {
				if got := req.Header.Get("Authorization"); got != c.want {
					t.Errorf("authorization %q", got)
				}
				gives(w, req, s, 1)
			}, c.change)
			if _, err := r.Register(t.Context(), "x", s); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRegistryTLS(t *testing.T) {
	s := mustParse(t, string(goodText))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { gives(w, req, s, 3) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // one handshake is meant to break
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	for _, c := range []struct {
		tls *tls.Config
		ok  bool
	}{{nil, false}, {&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, true}} {
		r, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{srv.URL}, TLS: c.tls})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := r.Register(t.Context(), "x", s); (err == nil) != c.ok || c.ok && id != 3 {
			t.Errorf("with tls %t: %d, %v", c.tls != nil, id, err)
		}
	}
}

func TestRegistryConfig(t *testing.T) {
	ok := schemas.RegistryConfig{URLs: []string{"https://registry.example.com:8081"}}
	for _, c := range []struct {
		change func(*schemas.RegistryConfig)
		want   string
	}{
		{func(c *schemas.RegistryConfig) { c.URLs = nil }, "no url given"},
		{func(c *schemas.RegistryConfig) { c.URLs = []string{"registry:8081"} }, "must look like https://host:port"},
		{func(c *schemas.RegistryConfig) { c.URLs = []string{"https://"} }, "must look like"},
		{func(c *schemas.RegistryConfig) { c.URLs = []string{"https://me:s3cr3t@registry"} }, "url of registry contains credentials"},
		{func(c *schemas.RegistryConfig) { c.URLs = []string{"https://me:s3cr3t@[registry"} }, "cannot be parsed"},
		{func(c *schemas.RegistryConfig) { c.URLs = []string{"https://registry?token=s3cr3t"} }, "no query"},
		{func(c *schemas.RegistryConfig) { c.Username, c.BearerToken = "me", "s3cr3t" }, "both basic authentication and a bearer token"},
		{func(c *schemas.RegistryConfig) { c.Password = "s3cr3t" }, "a password without a username"},
		{func(c *schemas.RegistryConfig) { c.TLS, c.Transport = &tls.Config{}, http.DefaultTransport }, "both a transport and tls"},
		{func(c *schemas.RegistryConfig) { c.Timeout = -1 }, "negative"},
	} {
		cfg := ok
		c.change(&cfg)
		_, err := schemas.NewRegistry(cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := schemas.NewRegistry(ok); err != nil {
		t.Error(err)
	}
}

func TestRegistryConfigHidesSecrets(t *testing.T) {
	cfg := schemas.RegistryConfig{URLs: []string{"https://r"}, Username: "me", Password: "s3cr3t"}
	bearer := schemas.RegistryConfig{BearerToken: "s3cr3t"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		if got := fmt.Sprintf(verb+verb+verb, cfg, &cfg, bearer); strings.Contains(got, "s3cr3t") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if got := fmt.Sprint(cfg); !strings.Contains(got, "basic as me") {
		t.Errorf("got %s", got)
	}
}

func TestSubjects(t *testing.T) {
	s := mustParse(t, string(goodText))
	for _, c := range []struct{ name, want string }{
		{"topic", "sf.X-value"}, {"record", "com.sforce.eventbus.X__e"}, {"topic_record", "sf.X-com.sforce.eventbus.X__e"},
	} {
		st, err := schemas.ParseSubjectStrategy(c.name)
		if err != nil || st.String() != c.name || st.Subject("sf.X", s) != c.want {
			t.Errorf("%s: %v, %s, %s", c.name, err, st, st.Subject("sf.X", s))
		}
	}
	if _, err := schemas.ParseSubjectStrategy("Topic"); err == nil {
		t.Error("an unknown strategy passes")
	}
}
