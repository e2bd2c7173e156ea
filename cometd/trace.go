package cometd

import "time"

// Trace is a set of functions that the client calls when something happens, for
// logs and metrics. Any of them may be nil. They are called by the goroutine
// that is in Next or Close, must not call the client, and should return soon.
// None of them is given a secret: no credentials, no client id, no cookie.
type Trace struct {
	// Handshake: the server accepted a new session.
	Handshake func()
	// Subscribed: the server accepted a subscription in the present session.
	Subscribed func(channel string)
	// Restarted: a subscription of which no event has come yet is made again,
	// with this start. See Config.Resubscribe.
	Restarted func(channel string, from From)
	// Reconnect: the session is over and a new one will be tried after wait.
	// The reason is nil when the server asked for it without an error.
	Reconnect func(reason error, wait time.Duration)
	// Reply: an exchange is over.
	Reply func(ReplyInfo)
	// Unknown: an event came on a channel that belongs to no subscription, see
	// Event.Subscription. It was delivered, or dropped when it came for a channel
	// that was unsubscribed, or not yet subscribed in this session.
	Unknown func(channel string, dropped bool)
}

// ReplyInfo describes one exchange with the server.
type ReplyInfo struct {
	Channel string // of the request: "/meta/connect"
	Events  int
	Bytes   int64         // of the body, decompressed
	Elapsed time.Duration // from the request to the end of the body, with the time the consumer took
	Err     error         // why the reply is not whole, nil if it is
	Empty   bool          // a connect that succeeded and brought no event
}
