package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// get asks a handler and returns status, content type and body.
func get(t *testing.T, h http.Handler, path string) (status int, contentType, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if cache := w.Header().Get("Cache-Control"); cache != "no-store" {
		t.Errorf("%s: Cache-Control %q", path, cache)
	}
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

func compact(s string) string { return strings.Join(strings.Fields(s), "") }

func TestEndpoints(t *testing.T) {
	const jsonType, textType = "application/json; charset=utf-8", "text/plain; charset=utf-8"
	halted := Report{Reasons: []Reason{
		{State: "starting"},
		{Stream: "/data/AccountChangeEvent", State: "halted", Message: `field "A<b>" is unknown`},
	}}
	for name, tt := range map[string]struct {
		config      Config
		path        string
		status      int
		contentType string
		body        string // compacted
	}{
		"live by default":  {Config{}, "/livez", 200, jsonType, `{"live":true}`},
		"alive":            {Config{Live: func() error { return nil }, Version: "1.2.3"}, "/livez", 200, jsonType, `{"live":true,"version":"1.2.3"}`},
		"dead":             {Config{Live: func() error { return errors.New("lane 3 stands still") }}, "/livez", 503, jsonType, `{"live":false,"message":"lane3standsstill"}`},
		"ready by default": {Config{}, "/readyz", 200, jsonType, `{"ready":true}`},
		"ready, one down":  {Config{Ready: func() Report { return Report{Ready: true, Reasons: []Reason{{State: "busy"}}} }}, "/readyz", 200, jsonType, `{"ready":true,"reasons":[{"state":"busy"}]}`},
		"not ready": {Config{Ready: func() Report { return halted }}, "/readyz", 503, jsonType,
			`{"ready":false,"reasons":[{"state":"starting"},{"stream":"/data/AccountChangeEvent","state":"halted","message":"field\"A<b>\"isunknown"}]}`},
		"status":             {Config{Status: func() any { return map[string]int{"lanes": 4} }}, "/status", 200, jsonType, `{"lanes":4}`},
		"status by default":  {Config{}, "/status", 200, jsonType, `{}`},
		"status is no JSON":  {Config{Status: func() any { return make(chan int) }}, "/status", 500, textType, "theanswerhasnoJSONform:json:unsupportedtype:chanint"},
		"no such page":       {Config{}, "/debug/pprof/", 404, textType, "404pagenotfound"},
		"nothing below live": {Config{}, "/livez/x", 404, textType, "404pagenotfound"},
	} {
		t.Run(name, func(t *testing.T) {
			status, contentType, body := get(t, handler(tt.config), tt.path)
			if status != tt.status || contentType != tt.contentType || compact(body) != tt.body {
				t.Errorf("got %d, %s, %s\nwant %d, %s, %s", status, contentType, compact(body), tt.status, tt.contentType, tt.body)
			}
		})
	}
}

func TestIndexNamesAllEndpoints(t *testing.T) {
	h := handler(Config{Version: "v1.2.3"})
	_, contentType, body := get(t, h, "/")
	if contentType != "text/plain; charset=utf-8" || !strings.Contains(body, "v1.2.3") {
		t.Errorf("%s: %s", contentType, body)
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/status"} {
		if !strings.Contains(body, path) {
			t.Errorf("the index lacks %s", path)
		}
		if status, _, _ := get(t, h, path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestOnlyGetAndHead(t *testing.T) {
	h := handler(Config{})
	for _, path := range []string{"/", "/livez", "/readyz", "/metrics", "/status"} {
		for method, want := range map[string]int{
			http.MethodHead: 200, http.MethodPost: 405, http.MethodPut: 405, http.MethodDelete: 405, http.MethodOptions: 405,
		} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			if w.Code != want {
				t.Errorf("%s %s: %d, want %d", method, path, w.Code, want)
			}
		}
	}
}

func TestMetricsEndpoint(t *testing.T) {
	registry := NewRegistry("v1", func() Snapshot { return Snapshot{Streams: []StreamStats{{Stream: "/event/Order__e", Received: 3}}} })
	status, contentType, body := get(t, handler(Config{Registry: registry}), "/metrics")
	if status != http.StatusOK || !strings.HasPrefix(contentType, "text/plain; version=0.0.4") {
		t.Errorf("%d, %s", status, contentType)
	}
	for _, want := range []string{`bridge_events_received_total{stream="/event/Order__e"} 3`, "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, want) {
			t.Errorf("lacks %s in\n%s", want, body)
		}
	}
}

// TestMetricsOfABrokenSnapshot: two streams with one name are a bug that the
// scraper must see.
func TestMetricsOfABrokenSnapshot(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector("v1", func() Snapshot { return Snapshot{Streams: []StreamStats{{Stream: "a"}, {Stream: "a"}}} }, nil))
	if status, _, body := get(t, handler(Config{Registry: registry}), "/metrics"); status != http.StatusInternalServerError {
		t.Errorf("%d: %s", status, body)
	}
}

// fetch asks a running server.
func fetch(ctx context.Context, t *testing.T, address, path string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return client.Do(request)
}

// bounded is a context that ends a hanging test.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestLifeCycle(t *testing.T) {
	ctx := bounded(t)
	s := New(Config{Listen: "127.0.0.1:0", Version: "v1"})
	if s.Addr() != "" {
		t.Errorf("address %q before Start", s.Addr())
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx); !errors.Is(err, ErrStarted) {
		t.Errorf("second Start: %v", err)
	}
	response, err := fetch(ctx, t, s.Addr(), "/livez")
	if err != nil {
		t.Fatal(err)
	}
	var live liveness
	if err := json.NewDecoder(response.Body).Decode(&live); err != nil || !live.Live || live.Version != "v1" {
		t.Errorf("%+v, %v", live, err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
	select {
	case <-s.Done():
	default:
		t.Error("Done is open after Shutdown")
	}
	if response, err := fetch(ctx, t, s.Addr(), "/livez"); err == nil {
		t.Errorf("answers after Shutdown: %s, %v", response.Status, response.Body.Close())
	}
}

func TestShutdownBeforeStart(t *testing.T) {
	ctx := bounded(t)
	s := New(Config{Listen: "127.0.0.1:0"})
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	<-s.Done() // it serves nothing
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// TestStartAndShutdownTogether is for the race detector, and for a Shutdown
// that comes before the goroutine has begun to serve.
func TestStartAndShutdownTogether(t *testing.T) {
	ctx := bounded(t)
	for range 50 {
		s := New(Config{Listen: "127.0.0.1:0"})
		var wg sync.WaitGroup
		for _, f := range []func(){
			func() {
				if err := s.Start(ctx); err != nil {
					t.Error(err)
				}
			},
			func() {
				if err := s.Shutdown(ctx); err != nil {
					t.Error(err)
				}
			},
			func() { _ = s.Addr() },
		} {
			wg.Go(f)
		}
		wg.Wait()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	ctx := bounded(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	s := New(Config{Listen: "127.0.0.1:0", Status: func() any {
		close(asked)
		<-answer
		return "late"
	}})
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	bodies := make(chan string, 1)
	go func() {
		response, err := fetch(ctx, t, s.Addr(), "/status")
		if err != nil {
			bodies <- err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		bodies <- string(body) + errorText(errors.Join(err, response.Body.Close()))
	}()
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(ctx) }()
	close(answer)
	if body := <-bodies; strings.TrimSpace(body) != `"late"` {
		t.Errorf("body %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	ctx := bounded(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	defer close(answer)
	s := New(Config{Listen: "127.0.0.1:0", Status: func() any {
		close(asked)
		<-answer
		return nil
	}})
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		response, err := fetch(ctx, t, s.Addr(), "/status")
		if err == nil {
			err = response.Body.Close()
		}
		failed <- err
	}()
	<-asked
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Shutdown(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "requests cut") {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was not cut")
	}
}

func TestAddressInUse(t *testing.T) {
	ctx := bounded(t)
	var lc net.ListenConfig
	other, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = New(Config{Listen: other.Addr().String()}).Start(ctx)
	var listen *ListenError
	if !errors.As(err, &listen) || !errors.Is(err, syscall.EADDRINUSE) || listen.Address != other.Addr().String() {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{other.Addr().String(), "another process has the port", "ops.listen"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if err := New(Config{Listen: "192.0.2.1:bad"}).Start(ctx); !errors.As(err, &listen) || strings.Contains(err.Error(), "another process") {
		t.Errorf("error %v", err)
	}
}

// TestServingEndsByItself: a listener that breaks is told by Done and Shutdown.
func TestServingEndsByItself(t *testing.T) {
	ctx := bounded(t)
	s := New(Config{Listen: "127.0.0.1:0"})
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.listener.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if err := s.Shutdown(ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	ctx := bounded(t)
	s := New(Config{Listen: "127.0.0.1:0"})
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": s.http.ReadHeaderTimeout, "ReadTimeout": s.http.ReadTimeout,
		"WriteTimeout": s.http.WriteTimeout, "IdleTimeout": s.http.IdleTimeout,
	} {
		if d <= 0 || d > time.Minute {
			t.Errorf("%s is %s", name, d)
		}
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr()+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 4*maxHeaderBytes))
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %s", response.Status)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

// TestFuncsAreCalledTogether is for the race detector.
func TestFuncsAreCalledTogether(t *testing.T) {
	histogram := NewCommitHistogram()
	registry := NewRegistry("v1", func() Snapshot { return Snapshot{CommitSeconds: histogram.Data()} })
	h := handler(Config{Registry: registry, Ready: func() Report { return Report{Ready: true} }})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				histogram.Observe(time.Millisecond)
				for _, path := range []string{"/metrics", "/readyz"} {
					w := httptest.NewRecorder()
					h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
					if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
						t.Errorf("%s: %d", path, w.Code)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestHistogram(t *testing.T) {
	h := NewHistogram(1, 0.1, 1)
	for _, d := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, time.Second, 2 * time.Second} {
		h.Observe(d)
	}
	data := h.Data()
	if data.Count != 4 || data.Sum < 3.1499 || data.Sum > 3.1501 || !maps.Equal(data.Buckets, map[float64]uint64{0.1: 2, 1: 3}) {
		t.Errorf("%+v", data)
	}
	var zero Histogram
	zero.Observe(time.Second)
	if data := zero.Data(); data.Count != 1 || len(data.Buckets) != 0 {
		t.Errorf("zero value: %+v", data)
	}
	bounds := slices.Sorted(maps.Keys(NewCommitHistogram().Data().Buckets))
	if len(bounds) < 10 || bounds[0] > 0.005 || bounds[len(bounds)-1] < 30 {
		t.Errorf("bounds %v", bounds)
	}
}
