package cometd

import "time"

// Status is what is known of the session at one moment.
type Status struct {
	// Connected: a session is open and its first connect was answered.
	Connected bool
	// Since is when the session was opened, zero without one.
	Since time.Time
	// LastReply is when the last successful connect reply was read to its end,
	// in this session or an earlier one.
	LastReply time.Time
	// Subscribed are the channels that the server accepted in this session;
	// Pending those that are wished for and not accepted now.
	Subscribed []string
	Pending    []string
	// Failures counts the attempts that failed since a session last lasted for a
	// minute.
	Failures int
}

// Ready says whether everything that is wished for is being received.
func (s Status) Ready() bool {
	return s.Connected && len(s.Pending) == 0 && len(s.Subscribed) > 0
}

// Status may be called at any time, also while another goroutine is in Next.
func (c *Client) Status() Status {
	c.mu.Lock()
	now := c.published
	c.mu.Unlock()
	s := Status{
		Connected: now.state.phase == phaseLive, Since: now.since, LastReply: now.lastReply, Failures: now.state.failures,
	}
	if now.state.phase == phaseDown {
		s.Since = time.Time{}
	}
	for _, b := range now.state.subs {
		switch b.state {
		case subActive:
			s.Subscribed = append(s.Subscribed, b.channel)
		case subWanted, subSent, subWaiting:
			s.Pending = append(s.Pending, b.channel)
		}
	}
	return s
}

// published is what Status tells of. A state is never written to once it is there.
type published struct {
	state            state
	since, lastReply time.Time
}

// publish brings the status up to date with the machine.
func (c *Client) publish() {
	c.mu.Lock()
	c.published = published{c.state, c.since, c.lastReply}
	c.mu.Unlock()
}
