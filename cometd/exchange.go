package cometd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// exchange is one request and its reply, whose body stays open while the
// consumer works.
type exchange struct {
	request request
	ids     []string
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer // fires when the server has been silent for too long
	timeout time.Duration
	patient time.Time // until then the first byte of the body may take its time
	started time.Time

	status      int
	contentType string
	body        io.ReadCloser
	readErr     error // how the body ended
	retryAfter  time.Duration

	bytes   int64
	events  int
	replies []reply
}

// Read reads the body under a deadline. It runs only while a read is under way:
// a consumer may take its time between two of them.
func (x *exchange) Read(p []byte) (int, error) {
	allowed := x.timeout
	if x.bytes == 0 {
		allowed = max(allowed, time.Until(x.patient))
	}
	x.timer.Reset(allowed)
	n, err := x.body.Read(p)
	x.timer.Stop()
	x.bytes += int64(n)
	return n, err
}

func (x *exchange) close() {
	x.timer.Stop()
	if x.body != nil {
		_ = x.body.Close() // nothing is written, so nothing can fail to arrive
	}
	x.cancel(nil)
}

var errAborted = errors.New("the caller's context ended")

// guard ends the exchange when ctx does, until the returned function is called.
func (x *exchange) guard(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { x.cancel(errAborted) })
}

// send sends a request and waits for the header of its reply. On failure the
// exchange is over at once.
func (c *Client) send(ctx context.Context, r request) {
	body, ids, channels := c.encode(r)
	r.channels = channels
	if r.kind == kindHandshake {
		// Cookies belong to a session: an affinity cookie that has lapsed, or
		// the cookie of two sessions at once, makes a server forget both.
		c.jar, _ = cookiejar.New(nil) // never fails
		for _, p := range c.positions {
			p.live = false
		}
	}
	wait := c.config.RequestTimeout
	if r.kind == kindConnect {
		wait += c.state.advice.hold()
	}
	x := &exchange{request: r, ids: ids, timeout: c.config.RequestTimeout, started: time.Now()}
	x.ctx, x.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	x.patient = x.started.Add(wait)
	x.timer = time.AfterFunc(wait, func() { x.cancel(ErrTimeout) })
	c.exchange = x
	c.decoder.reset()
	release := x.guard(ctx)
	defer release()

	response, err := c.transport.RoundTrip(c.httpRequest(x.ctx, body)) //nolint:bodyclose // exchange.close does it, calls of Next later
	x.timer.Stop()
	if err != nil {
		c.broken(ctx, err)
		return
	}
	if response.StatusCode == http.StatusOK { // the cookies of a proxy's error page are not the session's
		c.jar.SetCookies(c.endpoint, response.Cookies())
	}
	x.body, x.status, x.contentType = response.Body, response.StatusCode, response.Header.Get("Content-Type")
	if x.status != http.StatusOK {
		x.retryAfter = retryAfter(response.Header, time.Now())
		c.badStatus(ctx)
	}
}

func (c *Client) httpRequest(ctx context.Context, body []byte) *http.Request {
	r := &http.Request{
		Method: http.MethodPost, URL: c.endpoint, Host: c.endpoint.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type": {"application/json;charset=UTF-8"},
			"Accept":       {"application/json"},
		},
		Body:          io.NopCloser(bytes.NewReader(body)),
		GetBody:       func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
		ContentLength: int64(len(body)),
	}
	if c.creds.Authorization != "" {
		r.Header.Set("Authorization", c.creds.Authorization)
	}
	for _, cookie := range c.jar.Cookies(c.endpoint) {
		r.AddCookie(cookie)
	}
	return r.WithContext(ctx)
}

// encode writes a request. Of many channels it takes as many as the size allows;
// the others come with the next request.
func (c *Client) encode(r request) (body []byte, ids, channels []string) {
	id := func() string {
		c.lastID++
		ids = append(ids, strconv.FormatUint(c.lastID, 10))
		return ids[len(ids)-1]
	}
	clientID := c.state.clientID
	b := []byte{'['}
	switch r.kind {
	case kindHandshake:
		b = appendHandshake(b, id())
	case kindConnect:
		b = appendConnect(b, id(), clientID, c.hold(r))
	case kindDisconnect:
		b = appendDisconnect(b, id(), clientID)
	case kindSubscribe, kindUnsubscribe:
		for i, channel := range r.channels {
			if i > 0 {
				if len(b)+subscribeSize(channel, len(clientID))+len(",]") > c.config.MaxRequestBytes {
					break
				}
				b = append(b, ',')
			}
			if r.kind == kindSubscribe {
				b = appendSubscribe(b, id(), clientID, channel, c.replay(channel))
			} else {
				b = appendUnsubscribe(b, id(), clientID, channel)
			}
			channels = append(channels, channel)
		}
	}
	return append(b, ']'), ids, channels
}

// hold is what a connect asks of the server: to answer at once, to answer in
// time for a subscription that is to be tried again or before something on the way
// cuts the silence, or (negative) what it likes.
func (c *Client) hold(r request) time.Duration {
	if r.atOnce {
		return 0
	}
	hold := time.Duration(-1)
	limit := c.state.held()
	if c.state.patience > 0 {
		hold = limit
	}
	for _, at := range c.due {
		if d := max(time.Until(at), time.Millisecond); d < limit {
			hold, limit = d, d
		}
	}
	return hold
}

// broken ends an exchange whose reply did not arrive to its end.
func (c *Client) broken(ctx context.Context, err error) {
	x := c.exchange
	switch cause := context.Cause(x.ctx); {
	case ctx.Err() != nil || errors.Is(cause, errAborted):
		c.finish(aborted, nil)
		return
	case cause != nil:
		err = cause
	}
	network := &NetworkError{Channel: x.request.kind.channel(), Sent: true, Err: err}
	if neverSent(err) {
		network.Sent = false
		c.finish(unsent, network)
		return
	}
	c.finish(lost, network)
}

// neverSent says whether no connection was made, which is the only certain sign
// that the server did not see the request.
func neverSent(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns)
}

// badStatus ends an exchange with a status other than 200. Servers put Bayeux
// failures under such a status, too: then the reply decides. A reply with
// events is not taken apart, it counts as lost.
func (c *Client) badStatus(ctx context.Context) {
	const limit = 64 << 10
	x := c.exchange
	body, err := io.ReadAll(io.LimitReader(x, limit))
	if err != nil && (ctx.Err() != nil || errors.Is(context.Cause(x.ctx), errAborted)) {
		c.finish(aborted, nil)
		return
	}
	d := decoder{chunkSize: len(body) + 1, maxMessage: limit, names: interner{}}
	r := bytes.NewReader(body)
	failed := false
	for {
		var f frame
		v, err := d.decode(&f)
		if err != nil || v == gotEnd {
			break
		}
		if v == needMore {
			if n, _ := d.fill(r); n == 0 {
				break
			}
			continue
		}
		if !f.meta() {
			failed = false
			break
		}
		x.replies = append(x.replies, parseReply(f.raw))
		last := &x.replies[len(x.replies)-1]
		failed = failed || !last.ok() && last.failure != ""
	}
	if failed && d.place == atEnd {
		c.finish(whole, nil)
		return
	}
	x.replies = nil
	c.finish(lost, c.httpError(body))
}

func (c *Client) httpError(body []byte) *HTTPError {
	x := c.exchange
	return &HTTPError{Status: x.status, ContentType: x.contentType, Snippet: snippet(body), RetryAfter: x.retryAfter}
}

// snippet is the beginning of a page as one printable line.
func snippet(body []byte) string {
	const limit = 200
	if len(body) > 4*limit {
		body = body[:4*limit]
	}
	s := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(body), "?"), func(r rune) bool {
		return r <= ' ' || r == 0x7f
	}), " ")
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return s
}

// retryAfter is how long the server wants to be left alone. A date is compared
// with the server's own clock, if the reply tells it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var d time.Duration
	value := h.Get("Retry-After")
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		now = t
	}
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(n, int(maxInterval/time.Second))) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxInterval)
}

func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the endpoint must look like https://<My Domain>/cometd/66.0, got " + strconv.Quote(s))
	}
	return u, nil
}
