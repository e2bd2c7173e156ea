package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds of a request. A scrape of a full registry takes milliseconds; the
// rest is for slow networks.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	maxScrapes        = 4
)

// Config says what a Server serves. Every func is optional, must not block, and
// is called from several goroutines at once.
type Config struct {
	Listen   string               // host:port, or :port for every interface; port 0 takes a free one
	Registry *prometheus.Registry // nil: /metrics is empty
	Ready    func() Report        // nil: always ready
	Live     func() error         // nil error is alive; nil func: always alive
	Status   func() any           // the JSON of /status; nil: {}
	Version  string               // shown by / and the probes
}

// Report is an answer to "may traffic rely on this instance".
type Report struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty"` // why not, or what is not yet well
}

// Reason is about one stream, or about the whole process when Stream is empty.
type Reason struct {
	Stream  string `json:"stream,omitempty"`
	State   string `json:"state"` // a short word: starting, halted, unauthorized
	Message string `json:"message,omitempty"`
}

// ErrStarted says that a Server was started before; it runs once.
var ErrStarted = errors.New("ops server was started before")

// ListenError says that the address could not be had.
type ListenError struct {
	Address string
	Err     error
}

// Error names the address and what to try.
func (e *ListenError) Error() string {
	hint := "choose another ops.listen"
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		hint = "another process has the port; stop it or choose another ops.listen (127.0.0.1:0 takes a free port)"
	}
	return fmt.Sprintf("ops server cannot listen on %q: %v (try: %s)", e.Address, e.Err, hint)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// Server is the HTTP server. Its life: New, Start, Shutdown.
type Server struct {
	listen string
	http   *http.Server
	done   chan struct{}

	mu       sync.Mutex
	listener net.Listener
	serveErr error // written before done is closed
}

// New returns a server that is not yet listening.
func New(c Config) *Server {
	return &Server{
		listen: c.Listen,
		done:   make(chan struct{}),
		http: &http.Server{
			Handler:           handler(c),
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          log.New(io.Discard, "", 0), // a client's bad request is no event of ours
		},
	}
}

// Start binds the address and begins to serve. ctx bounds the binding only.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return ErrStarted
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return &ListenError{Address: s.listen, Err: err}
	}
	s.listener = l
	go func() { // owned by s: Shutdown waits for it
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.mu.Lock()
			s.serveErr = fmt.Errorf("ops server on %s ended: %w", l.Addr(), err)
			s.mu.Unlock()
		}
	}()
	return nil
}

// Addr returns the bound address, host:port, or "" before Start.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Done is closed when the server serves no longer: after Shutdown, or because
// serving ended by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Shutdown answers the requests that are under way, closes the server and waits
// for its goroutine. When ctx ends first, connections are cut. It may be called
// again, and before Start, after which Start serves nothing. It returns why
// serving ended, if not because of Shutdown.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("ops server: requests cut at shutdown: %w", err), s.http.Close())
	}
	if s.Addr() == "" {
		return err
	}
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.serveErr)
}

const index = `bridge %s

/livez    is the process alive
/readyz   are all streams well, and if not, why
/metrics  Prometheus metrics
/status   streams, positions and counters as JSON
`

// handler routes to the endpoints. Only GET and HEAD have a route.
func handler(c Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintf(w, index, c.Version) // an answer that the client left has no reader
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if c.Live != nil {
			if err := c.Live(); err != nil {
				writeJSON(w, http.StatusServiceUnavailable, liveness{Message: err.Error(), Version: c.Version})
				return
			}
		}
		writeJSON(w, http.StatusOK, liveness{Live: true, Version: c.Version})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		report := Report{Ready: true}
		if c.Ready != nil {
			report = c.Ready()
		}
		status := http.StatusOK
		if !report.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, report)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		var status any = struct{}{}
		if c.Status != nil {
			status = c.Status()
		}
		writeJSON(w, http.StatusOK, status)
	})
	registry := c.Registry
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.HTTPErrorOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}))
	return secured(mux)
}

type liveness struct {
	Live    bool   `json:"live"`
	Message string `json:"message,omitempty"`
	Version string `json:"version,omitempty"`
}

// secured keeps answers out of caches and browsers from guessing types.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// writeJSON marshals before it writes, so that a value without a JSON form is a
// 500 and not half an answer.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		http.Error(w, "the answer has no JSON form: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an answer that the client left has no reader
}
