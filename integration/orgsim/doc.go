// Package orgsim is a simulated Salesforce org: OAuth, REST, CometD with
// replay, change data capture from a real record store, faults on demand, and
// a ledger of everything it published.
//
// # What it does
//
// An [Org] keeps records of configurable objects. Changes to them become change
// events as Salesforce makes them: headers, transaction keys, partial compound
// fields, merged events, Avro schemas that get a new id when a field is added.
// Platform events are published beside them. All events lie on one bus with
// random gaps between the replay ids, and every channel (single-entity,
// /data/ChangeEvents, custom) is a view of it. Clients log in with the JWT
// bearer, client credentials or password flow, read schemas and records over
// REST, and stream over Bayeux long polling.
//
// [Org.Handler] serves all that on any host; [Org.RoundTripper] does so without
// sockets, also inside a testing/synctest bubble. Everything that a method can
// do to the org, except what takes a function, can be done over HTTP under
// /orgsim/ too: GET /orgsim/ lists how.
//
// # What it promises
//
//   - The ledger holds every event once, in the order of the bus, with the very
//     payload bytes that a client gets.
//   - Two orgs with equal Config (seed and clock) that are given the same calls
//     in the same order publish the same bytes. Session ids and tokens follow
//     the seed too, in order of the requests.
//   - An event is taken off a session when it is written to its reply, not when
//     it arrives: a reply that is cut off is lost to the session, as with the
//     real service.
//   - A session holds one place in the bus for each subscription and copies no
//     events; a reply is written as it is read, so memory does not grow with the
//     number of sessions or the length of a reply.
//
// # What it does not do
//
// Bulk API, Pub/Sub API, PushTopics, generic streaming, composite resources,
// upsert, refresh tokens, channel enrichment and filters, sharing. The shape of
// a message does not depend on the endpoint's version. Queries know one object,
// AND, ORDER BY one field and LIMIT, and come in one page. Deleted records stay
// in the bin for ever. Nothing here is meant to be safe against attackers:
// tokens follow from the seed, and the control API asks for none.
//
// # Concurrency
//
// All methods of Org and its handler may be used at once. One lock orders the
// changes; readers of the bus take it as it is at one moment and go on without
// a lock. The package starts a goroutine for [Org.StartLoad], which [Org.Close]
// waits for, and one for each request through RoundTripper, which ends with it.
// Load is for one goroutine.
//
// # Errors
//
// [ConfigError] from New; [RequestError] with Salesforce's code and words from
// whatever changes or reads records. Over the wire: OAuth error objects, REST
// error arrays, Bayeux error strings with ext.sfdc.failureReason and advice as
// the Streaming API guide has them. None of them is worth a retry.
package orgsim
