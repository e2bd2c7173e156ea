package cometdtest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// RoundTrip answers a request in memory. The body arrives through a pipe, so
// the server waits for the reader as it would behind a full socket. When the
// request's context ends, the handler and the reader both see it. No sockets
// are used: it works inside a testing/synctest bubble.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	request := r.Clone(ctx)
	if request.Body == nil {
		request.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	w := &response{header: http.Header{}, pipe: writer, ready: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve(w, request)
	}()
	go func() {
		select {
		case <-ctx.Done():
			_ = writer.CloseWithError(ctx.Err()) // never fails
		case <-done:
		}
	}()
	select {
	case <-w.ready:
	case <-ctx.Done():
		<-done
		return nil, ctx.Err()
	}
	if w.failure != nil {
		return nil, w.failure
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: reader, ContentLength: -1, Request: r,
	}, nil
}

var errCut = errors.New("connection reset by peer")

// serve runs the handler and turns its end into the end of the body.
func (s *Server) serve(w *response, r *http.Request) {
	defer func() {
		_ = r.Body.Close() // a RoundTripper closes the request's body
		switch p := recover(); {
		case p == nil && r.Context().Err() != nil:
			w.fail(r.Context().Err())
		case p == nil:
			w.WriteHeader(http.StatusOK)
			_ = w.pipe.Close() // never fails
		case p == http.ErrAbortHandler: //nolint:errorlint // the very value, as net/http compares it
			w.fail(&net.OpError{Op: "read", Net: "tcp", Err: errCut})
		default:
			panic(p)
		}
	}()
	s.ServeHTTP(w, r)
}

// refuse ends a request as if no connection could be made.
func refuse(w http.ResponseWriter) {
	if w, ok := w.(*response); ok {
		w.fail(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")})
		return
	}
	panic(http.ErrAbortHandler)
}

// response is the handler's side of a reply in memory.
type response struct {
	header http.Header
	pipe   *io.PipeWriter

	once    sync.Once
	ready   chan struct{} // closed when the header, or the failure, is known
	status  int
	sent    http.Header
	failure error
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
)

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush does nothing: every write reaches the reader at once.
func (w *response) Flush() { w.WriteHeader(http.StatusOK) }

func (w *response) fail(err error) {
	w.once.Do(func() {
		w.failure = err
		close(w.ready)
	})
	_ = w.pipe.CloseWithError(err) // never fails
}
