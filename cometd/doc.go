// Package cometd receives events from a Bayeux 1.0 server with Salesforce's
// replay extension: Change Data Capture, Platform Events, PushTopics and generic
// events of an org's CometD endpoint.
//
// # What it does
//
// A [Client] keeps one session: handshake, subscribe, and one long poll after
// another. [Client.Next] drives all of it and returns events in the order in
// which they arrive, their payloads as the bytes that the server sent.
//
// A reply is decoded while it arrives. There is no limit on a whole reply, since
// a client that has been away gets tens of megabytes in one, and a client that
// cannot take them gets the same reply for ever. There is a limit on one message.
//
// When a session ends, for whatever reason, the next one subscribes behind the
// last event that Next returned.
//
// # What it promises
//
// No event is lost without an error, as far as the server's replay reaches. A
// server takes events off its queue when it writes a reply and says nothing if
// the reply does not arrive. So whenever a reply is not read to its end, the
// session is given up, and the next one asks for those events again.
//
// No event comes twice to one client, unless the server sends it twice. A reply
// that broke is continued behind the last event taken from it.
//
// Events that share one replay id come in one slice. They are held back until
// the next id, or the end of the reply, shows that they are all there. If the
// reply breaks before, none of them is delivered, and all come again.
//
// At most one request is outstanding. Memory is bounded by one chunk and one
// message (or one group of events with the same id), whatever the server sends.
// A consumer that does not call Next stops the server through the connection's
// flow control; if that takes longer than the server's patience the session
// ends, and nothing is lost.
//
// A caller that ignores every error and calls Next again does no harm: the pause
// that a failure asks for is taken at the start of the next call.
//
// Credentials go to the host of the endpoint only. Redirects are not followed,
// "hosts" in an advice is not followed, and no error, status or trace shows a
// secret.
//
// # What it does not do
//
// It stores no positions: the caller gives the start of each subscription, and
// should make positions durable together with what it did with the events. A
// subscription that starts at [Latest] and has not seen an event starts at the
// then latest after a lost session; what came between is not known to it.
//
// It does not decide what a refused position means: it returns a
// [SubscriptionError], and the caller subscribes again with another start.
//
// It does not hold events back from one reply to the next, which would take as
// long as a connect is held. A server that parts the events of one replay id
// over two replies makes a position between them.
//
// It does not parse payloads, publish, use wild cards, or use any transport but
// long polling. It does not log in: [Config.Authorize] does.
//
// A reply that is not JSON from some message on is an error at each attempt, if
// the server sends it at each attempt. What is before it is delivered, except
// events of one replay id of which the broken message might be one more. The
// caller has to notice that the same position fails again and again.
//
// # Concurrency
//
// Subscribe, Unsubscribe, Next and Close belong to one goroutine at a time;
// Status may be called from any. The client starts no goroutines of its own. To
// stop from elsewhere, end the context of Next, then call Close.
//
// # Errors
//
// Next returns one error for each attempt that failed: [ReplyError],
// [HTTPError], [NetworkError], [FrameError], [AuthError], [AuthorizeError],
// [SubscriptionError], [ErrNoSubscription], [ErrNoReplay], [ErrNoLongPolling],
// [ErrClosed], or the context's. A session that has to be made anew is such an
// attempt, even if that happens every few hours and heals itself. [Retryable]
// tells those that pass by themselves from those that somebody has to see to.
//
// The protocol is described in the Bayeux 1.0 specification, Salesforce's part
// in the Streaming API guide ("Message Durability", "Streaming API Error Codes").
package cometd
