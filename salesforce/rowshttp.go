package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// answerTime is how long a reply may take to begin: longer than the two minutes
	// that Salesforce gives a query. Who gives up earlier and asks again has two
	// long queries running, of the few that an org may have.
	answerTime = 3 * time.Minute
	// stallTime is how long a reply may bring nothing while somebody reads it.
	stallTime = time.Minute
	// maxURI leaves room for the host in the 16,384 bytes that Salesforce takes.
	maxURI = 16_000
	// maxErrorBytes is how much of a refusal is read.
	maxErrorBytes = 1 << 20

	problemTooLarge = "it is larger than 16 MiB"

	acceptJSON = "application/json"
	acceptCSV  = "text/csv"

	codeQueryTimeout   = "QUERY_TIMEOUT"
	codeInvalidLocator = "INVALID_QUERY_LOCATOR"
	codeTooLarge       = "OPERATION_TOO_LARGE"
)

// call is a request of a Reader. Its path is as for Client.Get.
type call struct {
	method string
	path   string
	accept string
	body   []byte // JSON
	batch  int    // wish for the rows of one reply
}

// queryCall asks a statement.
func (r *Reader) queryCall(q Query, soql string) call {
	return call{method: http.MethodGet, path: q.resource() + "?q=" + url.QueryEscape(soql), accept: acceptJSON, batch: q.Limit}
}

// stream is a reply of success whose body is still on its way.
type stream struct {
	header http.Header
	status int
	host   string
	path   string
	framed bool // a reply that ends early is an error of Read
	secret string

	ctx    context.Context
	body   io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer
}

// open sends a request and returns as soon as the reply begins. A session that
// ended is renewed once, as by Client.Get. Close the stream.
func (r *Reader) open(ctx context.Context, c call) (*stream, error) {
	path := c.path
	if !strings.HasPrefix(path, "/services/") {
		version, err := r.version(ctx)
		if err != nil {
			return nil, err
		}
		path = "/services/data/v" + version + path
	}
	token, err := r.client.tokens.Token(ctx)
	if err != nil {
		return nil, err
	}
	s, err := r.send(ctx, token, path, c)
	var refused *APIError
	if !errors.As(err, &refused) || !refused.sessionEnded() {
		return s, err
	}
	token, err = r.client.tokens.Renew(ctx, token.Access)
	if err != nil {
		return nil, fmt.Errorf("renewing the access token that was refused for %s: %w", refused.Path, err)
	}
	return r.send(ctx, token, path, c)
}

// version is the client's API version. To find it costs a call once.
func (r *Reader) version(ctx context.Context) (string, error) {
	r.client.mu.Lock()
	known := r.client.version
	r.client.mu.Unlock()
	if known != "" {
		return known, nil
	}
	if err := r.config.Spend(ctx, 1); err != nil {
		return "", err
	}
	return r.client.APIVersion(ctx)
}

// send sends one request.
func (r *Reader) send(ctx context.Context, token Token, path string, c call) (*stream, error) {
	if err := r.config.Spend(ctx, 1); err != nil {
		return nil, err
	}
	timed, cancel := context.WithCancel(ctx)
	req, err := r.client.request(timed, token, path)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Method = c.method
	req.Header.Set("Accept", c.accept)
	if c.batch > 0 {
		req.Header.Set("Sforce-Query-Options", fmt.Sprintf("batchSize=%d", min(max(c.batch, 200), 2000)))
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(c.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.body)), nil }
		req.Body = io.NopCloser(bytes.NewReader(c.body))
	}
	s := &stream{
		ctx: ctx, cancel: cancel, host: req.URL.Host, path: req.URL.Path, secret: token.Access.Reveal(),
		stall: time.AfterFunc(answerTime, cancel),
	}
	r.client.calls.Add(1)
	resp, err := r.client.http.Do(req) //nolint:bodyclose // stream.close does
	s.stall.Stop()
	if err != nil {
		cancel()
		return nil, s.failure(err, answerTime)
	}
	s.body, s.header, s.status = resp.Body, resp.Header, resp.StatusCode
	s.framed = resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0 || resp.ProtoMajor > 1 || resp.Uncompressed
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer s.close()
		text, _ := io.ReadAll(io.LimitReader(s, maxErrorBytes)) // the status alone tells enough
		return nil, apiError(&reply{status: resp.StatusCode, header: resp.Header, body: text}, req.URL.Path, s.secret)
	}
	return s, nil
}

// Read ends the request if nothing comes for too long. Time between two calls does
// not count: it is the reader's own.
func (s *stream) Read(p []byte) (int, error) {
	s.stall.Reset(stallTime)
	n, err := s.body.Read(p)
	s.stall.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.failure(fmt.Errorf("reading the body: %w", err), stallTime)
	}
	return n, err
}

func (s *stream) close() {
	s.stall.Stop()
	s.cancel()
	_ = s.body.Close() // read only: nothing is lost by a failed close
}

// failure is why no whole reply came.
func (s *stream) failure(err error, within time.Duration) error {
	if s.ctx.Err() != nil {
		return endedError(s.ctx, "asking "+s.host+" for "+s.path)
	}
	if errors.Is(err, context.Canceled) {
		err = fmt.Errorf("nothing came for %v: %w", within, context.DeadlineExceeded)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &NetworkError{Host: s.host, Path: s.path, Err: err}
}

// unusable is a reply that is not what was asked for. It may show a part of the
// reply, but not the token, should that be in it.
func (s *stream) unusable(temporary bool, problem string) *ReplyError {
	return &ReplyError{Host: s.host, Path: s.path, Status: s.status, ContentType: s.header.Get("Content-Type"), Problem: clean(problem, s.secret), Temporary: temporary}
}

// json asks for a reply that fits into memory. A v of nil wants none.
func (r *Reader) json(ctx context.Context, c call, v any) error {
	s, err := r.open(ctx, c)
	if err != nil {
		return err
	}
	defer s.close()
	text, err := io.ReadAll(io.LimitReader(s, restReplyBytes+1))
	switch {
	case err != nil:
		return err
	case v == nil:
		return nil
	case len(text) > restReplyBytes:
		return s.unusable(false, problemTooLarge)
	}
	if err := decode(text, v); err != nil {
		if !json.Valid(text) {
			got := reply{status: s.status, header: s.header, body: text}
			return s.unusable(true, "it is "+got.describe())
		}
		return s.unusable(false, "it has another shape than expected: "+clean(err.Error()))
	}
	return nil
}
