package orgsim

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// RoundTripper serves requests in process, without sockets: for tests under
// testing/synctest and for programs that embed an org. Bodies are streamed
// through an unbuffered pipe, so a client that does not read holds the org
// back as a full socket would. Every request has one goroutine, which ends
// when the response is written, its body is closed, or the request's context
// ends.
func (o *Org) RoundTripper() http.RoundTripper { return roundTripper{o.mux} }

type roundTripper struct{ h http.Handler }

// errServerClosed is what a client sees when the connection ends before a response.
var errServerClosed = errors.New("orgsim: connection closed before the response")

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	// As http.Transport does: who does not ask for compression gets it undone.
	unzip := in.Header.Get("Accept-Encoding") == ""
	if unzip {
		in.Header.Set("Accept-Encoding", "gzip")
	}
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:0"
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, pw: pw, ready: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		defer func() { _ = in.Body.Close() }()
		defer w.end()
		t.h.ServeHTTP(w, in)
	}()
	select {
	case <-w.ready:
	case <-req.Context().Done():
	}
	if err := req.Context().Err(); err != nil {
		// Whatever the handler did about it, the client has given up.
		_ = pr.CloseWithError(err)
		return nil, err
	}
	if w.broken {
		return nil, errServerClosed
	}
	stop := context.AfterFunc(req.Context(), func() { _ = pr.CloseWithError(req.Context().Err()) })
	res := &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: &pipeBody{PipeReader: pr, stop: stop, cancel: cancel, done: done}, ContentLength: -1, Request: req,
	}
	if unzip && w.sent.Get("Content-Encoding") == "gzip" {
		res.Header.Del("Content-Encoding")
		res.Body, res.Uncompressed = &unzipped{body: res.Body}, true
	}
	return res, nil
}

// unzipped undoes a response's compression.
type unzipped struct {
	body io.ReadCloser
	zip  *gzip.Reader
}

func (u *unzipped) Read(p []byte) (n int, err error) {
	if u.zip == nil {
		if u.zip, err = gzip.NewReader(u.body); err != nil {
			return 0, err
		}
	}
	return u.zip.Read(p)
}

func (u *unzipped) Close() error { return u.body.Close() }

// pipeWriter is the server's side of a response.
type pipeWriter struct {
	header http.Header
	sent   http.Header // the header as it was when the response began
	status int
	pw     *io.PipeWriter
	ready  chan struct{}
	once   sync.Once
	broken bool
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status = status
		w.sent = w.header.Clone()
		close(w.ready)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pw.Write(p)
}

// Flush is there for http.ResponseController; nothing is buffered.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

// end closes the response; after http.ErrAbortHandler as a broken connection.
func (w *pipeWriter) end() {
	switch p := recover(); p {
	case nil:
		w.WriteHeader(http.StatusOK)
		_ = w.pw.Close()
	case http.ErrAbortHandler:
		w.once.Do(func() {
			w.broken = true
			close(w.ready)
		})
		_ = w.pw.CloseWithError(io.ErrUnexpectedEOF)
	default:
		panic(p)
	}
}

// pipeBody is the client's side. Close waits for the handler, so that nothing
// of a request is left when it returns.
type pipeBody struct {
	*io.PipeReader
	stop   func() bool
	cancel context.CancelFunc
	done   chan struct{}
}

func (b *pipeBody) Close() error {
	b.stop()
	b.cancel()
	err := b.PipeReader.Close()
	<-b.done
	return err
}
