// Package cometdtest is a Bayeux server with Salesforce's replay, in memory, for
// tests of whatever consumes events over CometD.
//
// # What it does
//
// A [Server] holds connects, lets sessions lapse, enforces cookies and tokens,
// gives out replay ids, keeps events for replay from -1, -2 or an id, and does on
// demand what servers and networks do to clients: see [Fault].
//
// It is an http.Handler, for a real listener, and an http.RoundTripper, for a
// client in the same process. As a RoundTripper it uses no sockets and only
// virtual time, so hours of long polling pass in milliseconds inside a
// testing/synctest bubble.
//
// # What it promises
//
// It takes events off a session's queue when it writes them, as real servers
// do: what a reply loses on the way is gone for that session. Connects are held
// as the CometD reference server holds them: the first of a session not at all,
// none that shares its request with other messages, and the older of two ends
// with HTTP 500.
//
// # What it does not do
//
// It knows nothing of objects, schemas or permissions: data is whatever Publish
// is given. It does not implement publishing over Bayeux, wild cards, or PushTopic
// filters beyond ignoring them.
//
// # Concurrency
//
// All methods may be called from any goroutine. The fields must not be changed
// while requests are served; the functions in them are called by many goroutines
// at once and must not call the server, except Fault and Token, which may.
//
// # Errors
//
// Bad requests get HTTP errors, refused ones the documented Bayeux replies.
// Wrong use by a test panics.
package cometdtest
