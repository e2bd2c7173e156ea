package cometd

import (
	"encoding/json"
	"time"
)

// Advice is what a server says about the next request (Bayeux 1.0, 4.2 and 5).
// Absent members have zero values, which the Has fields tell from real ones.
type Advice struct {
	// Reconnect is "retry", "handshake" or "none", or a word that this client
	// does not know, as sent. Empty when absent.
	Reconnect string
	// Interval is the least time between a reply and the next connect.
	// A negative one asks not to connect again.
	Interval    time.Duration
	HasInterval bool
	// Timeout is how long the server holds a connect.
	Timeout    time.Duration
	HasTimeout bool
}

const (
	reconnectRetry     = "retry"
	reconnectHandshake = "handshake"
	reconnectNone      = "none"
)

const (
	// defaultHold is Salesforce's (Streaming API guide, "Streaming API
	// timeouts"), for servers that do not say.
	defaultHold = 110 * time.Second
	// maxHold bounds what a server may ask for: a dead connection has to be
	// noticed at some time.
	maxHold = 10 * time.Minute
	// maxInterval bounds the pause that a server may ask for.
	maxInterval = 15 * time.Minute
)

// hold is how long a connect may be held.
func (a Advice) hold() time.Duration {
	if !a.HasTimeout || a.Timeout < 0 {
		return defaultHold
	}
	return min(a.Timeout, maxHold)
}

func (a Advice) pause() time.Duration {
	return min(max(a.Interval, 0), maxInterval)
}

// replace takes new advice for old, as a whole, except that a timeout that the
// new advice does not speak of stays: it informs and does not ask for anything,
// and forgetting a long one would cut connects that are held longer than usual.
func (a Advice) replace(by Advice) Advice {
	if !by.HasTimeout {
		by.Timeout, by.HasTimeout = a.Timeout, a.HasTimeout
	}
	return by
}

// parseAdvice reads an advice member. Anything but an object is no advice;
// members of another type than expected count as absent. What stands under the
// name of the transport wins over what stands beside it.
func parseAdvice(raw json.RawMessage) (Advice, bool) {
	var members map[string]json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &members) != nil || members == nil {
		return Advice{}, false
	}
	var a Advice
	a.take(members)
	var own map[string]json.RawMessage
	if json.Unmarshal(members["long-polling"], &own) == nil {
		a.take(own)
	}
	return a, true
}

func (a *Advice) take(members map[string]json.RawMessage) {
	var word *string
	if json.Unmarshal(members["reconnect"], &word) == nil && word != nil {
		a.Reconnect = *word
	}
	if d, ok := milliseconds(members["interval"]); ok {
		a.Interval, a.HasInterval = d, true
	}
	if d, ok := milliseconds(members["timeout"]); ok {
		a.Timeout, a.HasTimeout = d, true
	}
}

// milliseconds reads a number, or a number in quotes.
func milliseconds(raw json.RawMessage) (time.Duration, bool) {
	if quoted := text(raw); quoted != "" {
		raw = json.RawMessage(quoted)
	}
	var ms *float64
	if json.Unmarshal(raw, &ms) != nil || ms == nil {
		return 0, false
	}
	const limit = 1e9 // some 11 days: beyond that the bounds above decide anyway
	return time.Duration(max(-1, min(*ms, limit)) * float64(time.Millisecond)), true
}
