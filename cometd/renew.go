package cometd

import "errors"

// ErrRenewed is why a session ended that Client.Renew gave up.
var ErrRenewed = errors.New("cometd: the caller asked for a new session")

// Renew gives the session up: the next call of Next frees it and begins another,
// in which every channel is subscribed behind the last event taken. It is for a
// session that answers and delivers nothing, which no reply shows. A reply that is
// being read is given up with it; what it held comes again.
func (c *Client) Renew() {
	switch {
	case c.closed:
	case c.exchange != nil:
		c.finish(aborted, ErrRenewed)
	default:
		c.do(renew{})
	}
}

// Resubscribe subscribes a channel again within the session, behind the last
// event taken from it. It is no error if the channel is not subscribed. As with
// Subscribe, the request is made by a later call of Next.
func (c *Client) Resubscribe(channel string) error {
	key := replayKey(channel)
	p := c.positions[key]
	if p == nil || p.channel != channel {
		return nil
	}
	if err := c.Unsubscribe(channel); err != nil {
		return err
	}
	p.live = false
	c.positions[key] = p
	delete(c.left, key)
	c.do(subscribe{channel, c.refusals[channel]})
	return nil
}

// Wake makes Next return when the request that is outstanding is over, within
// the time for which the server holds one (110 s at Salesforce), or the next call
// of it at once if there is none. Nothing is lost by it. It may be called at any
// time from any goroutine.
func (c *Client) Wake() { c.woken.Store(true) }
