package cometd_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// zipped compresses the replies of a handler.
func zipped(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			http.Error(w, "no gzip wanted", http.StatusNotAcceptable)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }() // the client may be gone
		h.ServeHTTP(zipWriter{w, z}, r)
	})
}

type zipWriter struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (w zipWriter) Write(p []byte) (int, error) { return w.z.Write(p) }

// Over real sockets, with net/http's own transport: cookies, gzip, a reply that
// breaks, a consumer that closes in the middle.
func TestSockets(t *testing.T) {
	for _, zip := range []bool{false, true} {
		t.Run(fmt.Sprint("gzip=", zip), func(t *testing.T) {
			const n = 5000
			org := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, cometdtest.CutAt(400_000))}
			handler := http.Handler(org)
			if zip {
				handler = zipped(org)
			}
			server := httptest.NewServer(handler)
			defer server.Close()
			client, err := cometd.New(cometd.Config{
				ReadBufferBytes: 10_000, BackoffInitial: 1,
				Authorize: func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
					return cometd.Credentials{Endpoint: server.URL + "/cometd/66.0", Authorization: "Bearer x"}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Subscribe(orders, cometd.Earliest()); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				org.Publish(orders, `{"payload":{"n":`+fmt.Sprint(i)+`,"text":"`+strings.Repeat("x", 100)+`"}}`)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of real time
			defer cancel()
			last, broken := int64(0), 0
			for last < n-100 {
				events, err := client.Next(ctx)
				if err != nil {
					if broken++; !cometd.Retryable(err) || broken > 1 {
						t.Fatal(err)
					}
				}
				for _, e := range events {
					if last++; e.ReplayID != last {
						t.Fatalf("event %d, want %d", e.ReplayID, last)
					}
				}
			}
			if broken != 1 {
				t.Errorf("%d broken replies, want 1", broken)
			}
			if err := client.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
