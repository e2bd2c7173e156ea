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
// that a failure asks for is taken at the start of the next call. Retry-After and
// the interval of an advice are honoured up to 15 minutes. Whatever a server
// does, with the standard backoff the client makes
//
//   - at most 80 requests in any minute, and 70 in any minute after the first ten,
//     beyond those whose replies bring events;
//   - at most 300 handshakes and 300 calls of Config.Authorize in any hour, and
//     that only with a server that lets some sessions last for a minute: with one
//     that refuses or forgets everything it is 130;
//   - with hundreds of channels, one subscribe request for each hundred of them
//     (or for each MaxRequestBytes) on top of each handshake, and for channels that
//     the server refuses for now 15 subscribe requests a minute. A server that takes
//     only one message in a request is sent one for each channel.
//
// A channel that is refused disturbs no other. Channels come and go without a new
// session.
//
// A server that has moved is found: when nothing of Bayeux answers the handshakes,
// Config.Authorize is asked again at the third of them and at every fifteenth after
// that, and its endpoint counts. In an outage that is some four logins an hour.
//
// Something on the way that ends what is silent for long, such as a proxy at 60 s,
// is learned from the second connect that it cuts: from then on connects ask to be
// answered earlier.
//
// A session that is given up while the server may still hold it is disconnected,
// so that it does not count against the org's limit of clients: one try of at
// most a second, in the pause before the next handshake.
//
// Credentials go to the host of the endpoint only. Redirects are not followed,
// "hosts" in an advice is not followed, and no error, status or trace shows a
// secret.
//
// # What it does not do
//
// It stores no positions: the caller gives the start of each subscription, and
// should make positions durable together with what it did with the events. A
// subscription that starts at [Latest] and has not seen an event has no position:
// when it is made again, Config.Resubscribe says where it begins. Without that
// function it begins at the then latest, and what came between is not known to it.
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
// # States
//
// A state is named after what the client does next in it. Where two waits are
// named, the first is that of a session which has lasted for a minute.
//
//	stateDiagram-v2
//	    [*] --> Nothing: New
//	    Nothing --> Authorize: Subscribe
//	    Nothing --> Handshake: Subscribe
//	    Nothing --> Subscribe: Subscribe
//	    Nothing --> Farewell: Renew
//	    Nothing --> Disconnect: Close
//	    Authorize --> Authorize: none to be had; after a growing pause
//	    Authorize --> Handshake: credentials
//	    Authorize --> Handshake: none to be had; after a growing pause
//	    Handshake --> Authorize: other HTTP status, reply lost or malformed, not sent; after a growing pause
//	    Handshake --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    Handshake --> Handshake: caller's context ended
//	    Handshake --> Handshake: advice none, refused, busy, other HTTP status, reply lost or malformed, not sent; after a growing pause
//	    Handshake --> Handshake: limit; after minutes
//	    Handshake --> Handshake: advice handshake, unknown client, disconnect from the server; at once, then after a growing pause
//	    Handshake --> FirstConnect: success
//	    FirstConnect --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    FirstConnect --> Handshake: advice handshake, advice handshake on success, unknown client, disconnect from the server; at once, then after a growing pause
//	    FirstConnect --> FirstConnect: refused, busy, not sent; after a growing pause
//	    FirstConnect --> Subscribe: success
//	    FirstConnect --> Connect: success
//	    FirstConnect --> Farewell: caller's context ended, Renew
//	    FirstConnect --> Farewell: advice none, advice none on success, other HTTP status, reply lost or malformed; after a growing pause
//	    FirstConnect --> Farewell: limit; after minutes
//	    FirstConnect --> Disconnect: Close
//	    Unsubscribe --> Nothing: success
//	    Unsubscribe --> Nothing: unknown client, 401, HTTP 401 or 403, disconnect from the server; at once, then after a growing pause
//	    Unsubscribe --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    Unsubscribe --> Handshake: unknown client, disconnect from the server; at once, then after a growing pause
//	    Unsubscribe --> Unsubscribe: Subscribe
//	    Unsubscribe --> Unsubscribe: not sent; after a growing pause
//	    Unsubscribe --> Fetch: success
//	    Unsubscribe --> Connect: success
//	    Unsubscribe --> Farewell: caller's context ended, Renew
//	    Unsubscribe --> Farewell: other HTTP status, reply lost or malformed; after a growing pause
//	    Unsubscribe --> Disconnect: Close
//	    Fetch --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    Fetch --> Handshake: advice handshake, advice handshake on success, unknown client, disconnect from the server; at once, then after a growing pause
//	    Fetch --> Fetch: refused, busy, not sent; after a growing pause
//	    Fetch --> Subscribe: success
//	    Fetch --> Farewell: caller's context ended, Renew
//	    Fetch --> Farewell: advice none, advice none on success, other HTTP status, reply lost or malformed; after a growing pause
//	    Fetch --> Farewell: limit; after minutes
//	    Fetch --> Disconnect: Close
//	    Subscribe --> Nothing: channel refused
//	    Subscribe --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    Subscribe --> Handshake: unknown client, disconnect from the server; at once, then after a growing pause
//	    Subscribe --> Subscribe: not sent; after a growing pause
//	    Subscribe --> Connect: success, channel refused, channel busy or over a limit
//	    Subscribe --> Farewell: caller's context ended, Renew
//	    Subscribe --> Farewell: other HTTP status, reply lost or malformed; after a growing pause
//	    Subscribe --> Disconnect: Close
//	    Connect --> Nothing: Unsubscribe
//	    Connect --> Authorize: 401, HTTP 401 or 403; at once, then after a growing pause
//	    Connect --> Handshake: advice handshake, advice handshake on success, unknown client, disconnect from the server; at once, then after a growing pause
//	    Connect --> Unsubscribe: Subscribe, Unsubscribe
//	    Connect --> Subscribe: Subscribe, a refused channel is tried again
//	    Connect --> Connect: success
//	    Connect --> Connect: refused, busy, not sent; after a growing pause
//	    Connect --> Farewell: caller's context ended, Renew
//	    Connect --> Farewell: advice none, advice none on success, other HTTP status, reply lost or malformed; after a growing pause
//	    Connect --> Farewell: limit; after minutes
//	    Connect --> Disconnect: Close
//	    Farewell --> Nothing: any outcome
//	    Farewell --> Handshake: any outcome
//	    Farewell --> Disconnect: Close
//	    Disconnect --> [*]: any outcome
//
// # Concurrency
//
// Subscribe, Unsubscribe, Next and Close belong to one goroutine at a time;
// Status and Wake may be called from any. The client starts no goroutines of its
// own. To stop from elsewhere, end the context of Next, then call Close.
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
