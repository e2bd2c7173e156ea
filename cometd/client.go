package cometd

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one subscriber. See the package comment for what it promises.
type Client struct {
	config    Config
	transport http.RoundTripper
	own       *http.Transport // the client's own transport, to be closed with it

	state     state
	creds     Credentials
	endpoint  *url.URL
	jar       *cookiejar.Jar // of the present session: cookies belong to it
	lastID    uint64         // of the messages sent
	exchange  *exchange      // the one request that is outstanding, or whose reply is being read
	decoder   decoder
	inbox     inbox
	positions map[string]*position // by replay key
	left      map[string]bool      // replay keys that were unsubscribed in this session
	routes    map[string]route     // what becomes of events on channels that are not subscribed
	refusals  map[string]int       // running, of channels that the caller asks for again and again
	due       map[string]time.Time // when a refused channel is tried again
	quiet     time.Time            // the server wants no request earlier than this
	notBefore time.Time            // and we make none earlier than this, except to free a session
	reports   []error              // errors that Next has not returned yet
	since     time.Time
	lastReply time.Time
	closed    bool
	woken     atomic.Bool

	mu        sync.Mutex // guards published, which other goroutines may ask for
	published published
}

// position is where a subscription resumes.
type position struct {
	channel string // as given to Subscribe
	from    From
	after   int64 // replay id of the last event that Next has returned
	moved   bool  // whether there was one
	asked   bool  // a subscribe was made: the server may have begun at from
	live    bool  // a subscribe was made in the present session
}

// replay is the value for the replay extension. A subscription that is made
// again goes on behind the last event taken: with its first start it would
// bring everything since then once more, or skip what came meanwhile. Without
// an event the caller may choose another start.
func (c *Client) replay(channel string) int64 {
	p := c.positions[replayKey(channel)]
	p.live = true
	if p.moved {
		return p.after
	}
	if p.asked {
		if f := c.config.Resubscribe; f != nil {
			if from := f(channel, p.from); from.valid {
				p.from = from
			}
		}
		if f := c.config.Trace.Restarted; f != nil {
			f(channel, p.from)
		}
	}
	p.asked = true
	return p.from.Replay()
}

// New makes a client. It sends nothing before Next is called.
func New(config Config) (*Client, error) {
	if err := config.setDefaults(); err != nil {
		return nil, err
	}
	c := &Client{
		config:    config,
		transport: config.Transport,
		state:     newState(),
		decoder: decoder{
			chunkSize:  config.ReadBufferBytes,
			maxMessage: config.MaxMessageBytes,
			names:      interner{},
		},
		positions: map[string]*position{},
		left:      map[string]bool{},
		routes:    map[string]route{},
		refusals:  map[string]int{},
		due:       map[string]time.Time{},
	}
	if c.transport == nil {
		c.own = newTransport()
		c.transport = c.own
	}
	return c, nil
}

// Subscribe asks for a channel. The wish is sent before the next connect, so by
// a later call of Next, and again in every new session. A channel that was
// refused may be asked for again, with another start; from the second refusal
// running on that takes growing pauses.
func (c *Client) Subscribe(channel string, from From) error {
	if c.closed {
		return ErrClosed
	}
	if err := checkChannel(channel); err != nil {
		return err
	}
	if !from.valid {
		return &ChannelError{Channel: channel, Problem: "needs a start: Latest, Earliest, or After a replay id that is not negative"}
	}
	if n := subscribeSize(channel, maxClientID) + len("[]"); n > c.config.MaxRequestBytes {
		return &ChannelError{Channel: channel, Problem: "makes a request of " + strconv.Itoa(n) + " bytes, more than MaxRequestBytes"}
	}
	key := replayKey(channel)
	if p := c.positions[key]; p != nil {
		return &ChannelError{Channel: channel, Problem: "is subscribed already, as " + p.channel}
	}
	c.positions[key] = &position{channel: channel, from: from}
	delete(c.left, key)
	clear(c.routes)
	c.do(subscribe{channel, c.refusals[channel]})
	return nil
}

// maxClientID is how long a client id may be without making a request of one
// subscription larger than it was foreseen to be. Salesforce's have 30 characters.
const maxClientID = 128

// subscribeSize is an upper bound of the size of one subscribe message.
func subscribeSize(channel string, clientID int) int {
	const id, replay = 20, 20
	return len(appendSubscribe(nil, "", "", channel, 0)) + id + clientID + replay
}

// Unsubscribe gives a channel up. Events of it that are still on their way are
// dropped. It is no error if the channel is not subscribed.
func (c *Client) Unsubscribe(channel string) error {
	if c.closed {
		return ErrClosed
	}
	key := replayKey(channel)
	if p := c.positions[key]; p == nil || p.channel != channel {
		return nil
	}
	delete(c.positions, key)
	delete(c.due, channel)
	c.left[key] = true
	clear(c.routes)
	c.inbox.drop(channel)
	c.do(unsubscribe{channel})
	return nil
}

// Next returns the events that arrive next, at least one, in the order in which
// they arrived. It blocks until there are some, sends whatever the protocol
// wants meanwhile, and returns an error for each attempt that failed. After an
// error it may be called again: the pause that the failure asks for is taken at
// the start of that call. See Retryable.
//
// When ctx ends while a request is outstanding, its reply is lost and with it
// the session; the next call begins a new one behind the last event returned.
// So ctx should end when the work does, and not after some time of silence; Wake
// is for that. After Wake, and only then, Next may return neither events nor an
// error.
func (c *Client) Next(ctx context.Context) ([]Event, error) {
	for {
		switch {
		case c.closed:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case len(c.reports) > 0:
			err := c.reports[0]
			c.reports = c.reports[1:]
			return nil, err
		case c.exchange == nil && c.woken.Swap(false):
			return nil, nil
		case c.exchange == nil:
			if err := c.advance(ctx); err != nil {
				return nil, err
			}
		default:
			if events := c.receive(ctx); len(events) > 0 {
				c.taken(events)
				return events, nil
			}
		}
	}
}

// taken moves the positions: what was returned is not asked for again.
func (c *Client) taken(events []Event) {
	var p *position
	name := ""
	for i := range events {
		e := &events[i]
		if e.Subscription != name || p == nil {
			name = e.Subscription
			p = c.positions[replayKey(name)]
		}
		if p != nil && e.HasReplayID {
			p.after, p.moved = e.ReplayID, true
		}
	}
}

// Close ends the session at the server, within ctx, so that it does not count
// against the org's limit of clients, and gives up whatever was being received.
// The client is closed even if the server does not answer; then there is an
// error. Further calls do nothing.
func (c *Client) Close(ctx context.Context) error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.exchange != nil {
		c.finish(aborted, ErrClosed)
	}
	c.reports = nil
	if r, ok := c.do(closing{}).(request); ok {
		c.send(ctx, r)
		for c.exchange != nil {
			c.receive(ctx) // events are of no use any more
		}
	}
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
	if len(c.reports) > 0 {
		return c.reports[0]
	}
	return ctx.Err()
}

// do feeds the machine and carries out what needs no waiting. What needs it, an
// authorize or a request, is returned.
func (c *Client) do(in input) (next action) {
	var acts []action
	c.state, acts = step(c.state, in)
	now := time.Now()
	var wait time.Duration
	var retries []retry
	for _, a := range acts {
		switch a := a.(type) {
		case authorize, request:
			next = a
		case pause:
			wait = c.config.wait(a.delay)
			c.quiet, c.notBefore = now.Add(a.delay.least), now.Add(wait)
		case retry:
			retries = append(retries, a)
		case report:
			c.reports = append(c.reports, a.err)
		case opened:
			c.since = now
			clear(c.left) // a new session has no subscriptions
			clear(c.routes)
			if f := c.config.Trace.Handshake; f != nil {
				f()
			}
		case ended:
			if f := c.config.Trace.Reconnect; f != nil && !c.closed {
				f(a.reason, wait)
			}
		case accepted:
			delete(c.refusals, a.channel)
			if f := c.config.Trace.Subscribed; f != nil {
				f(a.channel)
			}
		case refused:
			c.refusals[a.channel]++
			delete(c.positions, replayKey(a.channel))
			clear(c.routes)
		}
	}
	c.postpone(retries, now)
	c.publish()
	return next
}

// postpone sets the times at which refused channels are tried again. Channels
// that are refused together stay together, and those whose times are near each
// other meet: hundreds of refused channels must not make hundreds of requests a
// minute.
func (c *Client) postpone(retries []retry, now time.Time) {
	waits := map[delay]time.Duration{}
	for _, r := range retries {
		wait, ok := waits[r.delay]
		if !ok {
			wait = c.config.wait(r.delay)
			waits[r.delay] = wait
		}
		at, latest := now.Add(wait), now.Add(wait+wait/4)
		found := latest.Add(1)
		for _, other := range c.due {
			if !other.Before(at) && other.Before(found) {
				found = other
			}
		}
		if !found.After(latest) {
			at = found
		}
		c.due[r.channel] = at
	}
}

// farewellPatience bounds the try to free a session that was given up.
const farewellPatience = time.Second

// advance takes the pause that is due and sends the next request. A session that
// was given up is freed in that pause, but not in the part of it in which the
// server wants to be left alone.
func (c *Client) advance(ctx context.Context) error {
	if len(c.state.subs) > 0 { // without any there is nothing to wait for
		if err := sleepUntil(ctx, c.quiet); err != nil {
			return err
		}
	}
	if r, ok := c.do(release{}).(request); ok {
		c.leave(ctx, r)
	}
	if len(c.state.subs) > 0 {
		if err := sleepUntil(ctx, c.notBefore); err != nil {
			return err
		}
	}
	now := time.Now()
	var over []string
	for channel, at := range c.due {
		if !now.Before(at) {
			delete(c.due, channel)
			over = append(over, channel)
		}
	}
	if over != nil {
		c.do(due{over})
	}
	switch a := c.do(proceed{}).(type) {
	case authorize:
		return c.authorize(ctx, a.rejected)
	case request:
		c.send(ctx, a)
	}
	return nil
}

// leave sends a farewell. Events that come with the answer are behind lost ones:
// they are not taken, and come again in order.
func (c *Client) leave(ctx context.Context, r request) {
	ctx, cancel := context.WithTimeout(ctx, farewellPatience)
	defer cancel()
	c.send(ctx, r)
	for c.exchange != nil {
		c.receive(ctx)
	}
}

func (c *Client) authorize(ctx context.Context, refused bool) error {
	var rejected Credentials
	if refused {
		rejected = c.creds
	}
	creds, err := c.config.Authorize(ctx, rejected)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	var endpoint *url.URL
	if err == nil {
		endpoint, err = parseEndpoint(creds.Endpoint)
	}
	if err == nil {
		c.creds, c.endpoint = creds, endpoint
	}
	c.do(authorized{err})
	return nil
}

func sleepUntil(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
