package cometd

import (
	"context"
	"errors"
	"io"
	"time"
)

// receive reads on in the open reply. It returns events as soon as there are
// some and the network would have to be asked for more, so that memory is
// bounded by a chunk and a message, and a consumer that stays away stops the
// server through the connection's flow control. Without events the exchange is
// over, and the machine knows how it ended.
func (c *Client) receive(ctx context.Context) []Event {
	x := c.exchange
	release := x.guard(ctx)
	defer release()
	for {
		if err := c.unpack(); err != nil {
			c.malformed(err)
			return c.inbox.take()
		}
		if c.decoder.place == atEnd {
			c.inbox.release()
		}
		if events := c.inbox.take(); events != nil {
			return events
		}
		if x.readErr != nil {
			c.ended(ctx)
			return nil
		}
		_, x.readErr = c.decoder.fill(x)
	}
}

// unpack decodes every message that is at hand.
func (c *Client) unpack() error {
	var f frame
	for {
		v, err := c.decoder.decode(&f)
		switch {
		case err != nil:
			// The broken message may be one of the group that is held back. Only
			// if it shows another replay id is that group known to be whole;
			// otherwise it stays behind the position, and comes again.
			if f.strange || f.event.HasReplayID && f.event.ReplayID != c.inbox.id {
				c.inbox.release()
			}
			return err
		case v != gotFrame:
			return nil
		case f.meta():
			c.exchange.replies = append(c.exchange.replies, parseReply(f.raw))
		case f.hasData:
			if err := c.accept(&f); err != nil {
				return err
			}
		}
	}
}

// accept puts an event into the inbox.
func (c *Client) accept(f *frame) error {
	e := &f.event
	end := c.decoder.offset(c.decoder.next)
	key := replayKey(e.Channel)
	r := route{position: c.positions[key]}
	if r.position == nil {
		r = c.route(key)
	}
	if p := r.position; p != nil {
		e.Subscription = p.channel
		// With a handshake's reply, say: nobody asked from where on, so it must
		// not move the position. It comes again when somebody has.
		r.dropped = !p.live && e.HasReplayID
	}
	if t := c.config.Trace.Unknown; t != nil && (r.position == nil || r.dropped) {
		t(e.Channel, r.dropped)
	}
	if r.dropped {
		return nil
	}
	c.exchange.events++
	c.inbox.add(e, end-int64(len(f.raw)))
	if c.inbox.held > 1 && end-c.inbox.from > int64(c.config.MaxMessageBytes) {
		return &FrameError{Offset: end, Problem: "events that share a replay id are together larger than the limit", Limit: c.config.MaxMessageBytes}
	}
	return nil
}

// route is what becomes of the events of a channel that is not subscribed.
type route struct {
	position *position // of the subscription that they belong to, if there is one
	dropped  bool      // they are for a channel that was unsubscribed
}

// route finds the subscription of an event that names another channel. Whether
// the messages of a channel with many events name that channel, or the event's
// own, is not documented. If exactly one of the subscriptions can have brought
// the event it is that one's. With several it is nobody's: a position must not
// be moved by another subscription's events. A subscription that was given up
// in this session counts, since its events may still be on their way.
func (c *Client) route(key string) route {
	if r, ok := c.routes[key]; ok {
		return r
	}
	r := route{dropped: c.left[key]}
	if !r.dropped {
		n := 0
		for carrier, p := range c.positions {
			if carries(carrier, key) {
				n++
				r.position = p
			}
		}
		for carrier := range c.left {
			if carries(carrier, key) {
				n++
				r.dropped = true
			}
		}
		if n > 1 {
			r = route{}
		}
	}
	if len(c.routes) >= maxInterned {
		clear(c.routes) // a server fills it
	}
	c.routes[key] = r
	return r
}

// malformed ends an exchange in which a message cannot be read.
func (c *Client) malformed(err error) {
	x := c.exchange
	if c.decoder.place == atStart && !isJSON(x.contentType) {
		err = c.httpError(c.decoder.buf[c.decoder.next:])
	}
	c.finish(lost, err)
}

// ended ends an exchange whose body has ended, or broke. A reply that was read
// to its last bracket is whole, whatever happens to the connection afterwards.
func (c *Client) ended(ctx context.Context) {
	x := c.exchange
	switch {
	case c.decoder.place == atEnd:
		c.finish(whole, nil)
	case !errors.Is(x.readErr, io.EOF):
		c.broken(ctx, x.readErr)
	case c.decoder.place == atStart && x.ctx.Err() == nil:
		c.finish(lost, c.httpError(nil))
	default:
		c.broken(ctx, io.ErrUnexpectedEOF)
	}
}

// atOnce is how fast an answer has to be to count as not held.
const atOnce = time.Second

// settling is how long a session has to last to count as good, so that failures
// before it are forgiven. It bounds how often a server that accepts and forgets
// is asked for another.
const settling = time.Minute

// finish closes the exchange and tells the machine how it ended.
func (c *Client) finish(o outcome, err error) {
	x := c.exchange
	c.exchange = nil
	x.close()
	c.inbox.discard()
	elapsed := time.Since(x.started)
	f := finished{
		request: x.request, ids: x.ids, outcome: o, err: err, replies: x.replies,
		events: x.events, elapsed: elapsed, quick: elapsed < atOnce, settled: time.Since(c.since) >= settling, retryAfter: x.retryAfter,
	}
	good := false
	if o == whole && x.request.kind == kindConnect {
		for i := range x.replies {
			if r := &x.replies[i]; r.answers(metaConnect, x.ids[0]) && r.ok() {
				c.lastReply, good = time.Now(), true
			}
		}
	}
	c.do(f)
	if t := c.config.Trace.Reply; t != nil {
		t(ReplyInfo{
			Channel: x.request.kind.channel(), Events: x.events, Bytes: x.bytes, Elapsed: elapsed, Err: err,
			Empty: good && x.events == 0,
		})
	}
}
