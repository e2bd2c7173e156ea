package streaming

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// meter counts what happens in windows of time.
type meter struct {
	mu sync.Mutex
	at []time.Time
}

func (m *meter) mark(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, at)
}

// most is the largest number of marks in any window of that length.
func (m *meter) most(window time.Duration) (most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortFunc(m.at, time.Time.Compare)
	first := 0
	for last, at := range m.at {
		for at.Sub(m.at[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// network is a way to the org: that of one client of the streaming API, or of a
// process's logins and REST. It counts the requests that bring no event.
type network struct {
	process *process
	idle    meter

	mu  sync.Mutex
	rnd *rand.Rand
}

func newNetwork(p *process, number int) *network {
	return &network{process: p, rnd: rand.New(rand.NewPCG(p.w.seed, uint64(1000*p.number+number)))} //nolint:gosec // reproducible on purpose
}

const (
	// slow is the share of the requests, in a storm, whose way there or back is
	// that slow.
	slow    = .004
	slowest = 5 * time.Minute
)

// crawl is what the way takes; an error when the client gives up before.
func (n *network) crawl(ctx context.Context) error {
	n.mu.Lock()
	hit, d := n.rnd.Float64() < slow/2, time.Duration(n.rnd.Int64N(int64(slowest)))
	n.mu.Unlock()
	if !hit || !n.process.w.storm.Load() {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errKilled = errors.New("the process is no more")

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	w := n.process.w
	if n.process.killed.Load() {
		return nil, errKilled // nothing of it gets out
	}
	now := time.Now()
	w.requests.mark(now)
	if strings.HasSuffix(r.URL.Path, "/oauth2/token") {
		w.tokens.mark(now)
	}
	res, err := n.pass(r)
	w.log.Debug().Int("process", n.process.number).Str("path", r.URL.Path).Err(err).Msg("request")
	if err != nil || !strings.HasPrefix(r.URL.Path, "/cometd/") {
		n.idle.mark(now)
		return res, err
	}
	res.Body = &watched{ReadCloser: res.Body, n: n, at: now}
	return res, nil
}

// pass is the way to the org and back.
func (n *network) pass(r *http.Request) (*http.Response, error) {
	if err := n.crawl(r.Context()); err != nil {
		return nil, err
	}
	res, err := n.process.w.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := n.crawl(r.Context()); err != nil {
		_ = res.Body.Close()
		return nil, err
	}
	return res, nil
}

// watched is a response's body that looks for events on their way.
type watched struct {
	io.ReadCloser
	n      *network
	at     time.Time // of the request
	tail   []byte    // the last bytes, in which an event's head can begin
	found  bool
	closed bool
}

const eventHead = `{"data":{"`

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.found {
		b.tail = append(b.tail, p[:n]...)
		b.found = bytes.Contains(b.tail, []byte(eventHead))
		if keep := len(eventHead) - 1; len(b.tail) > keep {
			b.tail = append(b.tail[:0], b.tail[len(b.tail)-keep:]...)
		}
	}
	return n, err
}

func (b *watched) Close() error {
	if !b.closed && !b.found {
		b.closed = true
		b.n.idle.mark(b.at)
	}
	b.n.process.w.log.Debug().Int("process", b.n.process.number).Bool("events", b.found).Msg("response")
	return b.ReadCloser.Close()
}
