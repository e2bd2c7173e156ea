// Package orgsim is a simulated Salesforce org: OAuth, REST, CometD with
// replay, change data capture from a real record store, faults on demand, and
// a ledger of everything it published.
//
// # What it does
//
// An [Org] keeps records of configurable objects. Changes to them become change
// events as Salesforce makes them: headers, transaction keys, partial compound
// fields, merged events, Avro schemas that get a new id when a field is added.
// Platform events are published beside them. A change of a record that a PushTopic
// asks for gives an event of /topic/<Name> as well, those of one transaction in
// reverse, with fields of REST's types; subscriptions may filter them
// (/topic/Name?Field='x'). Texts that are pushed on a generic channel, /u/…, are
// events too. PushTopics and streaming channels are created by Config, by method,
// or over REST as in the real service. All events lie on one bus with
// random gaps between the replay ids, and every channel (single-entity,
// /data/ChangeEvents, custom) is a view of it. Clients log in with the JWT
// bearer, client credentials or password flow, read schemas and records over
// REST, and stream over Bayeux long polling.
//
// Records are queried in SOQL: fields, parents' fields, FIELDS(), aggregates without
// GROUP BY, WHERE with all comparisons, IN, LIKE, INCLUDES, date literals, AND, OR,
// NOT and parentheses, ORDER BY, LIMIT, OFFSET. Results come in pages with locators
// that expire; queryAll has deleted rows, sobjects/X/updated and sobjects/X/deleted
// list changes by the minute, composite/sobjects/X reads records by id, composite/batch
// carries out several reads, query?explain= says how a query would be run. Query
// jobs of Bulk API 2.0 wait, work and end by the org's clock and give pages of CSV.
// Users may have fields that they cannot read; formula and binary fields are in
// queries and not in events. [Org.Touch] moves SystemModstamp alone, [Org.EmptyBin]
// deletes for good.
//
// [Org.Handler] serves all that on any host; [Org.RoundTripper] does so without
// sockets, also inside a testing/synctest bubble. Everything that a method can
// do to the org, except what takes a function, can be done over HTTP under
// /orgsim/ too: GET /orgsim/ lists how.
//
// Things go wrong on demand. [Org.Inject] makes a [Fault] happen now or to the
// next requests that it fits; [Org.RunFaults], or Config.Faults, follows a
// [FaultPlan]: exact steps, and a [Mix] of kinds that come by seed, by the count
// of requests and by the org's clock. [Faults] is the plan of a seed and a mix,
// [DefaultMix] has everything that a client must come through with nothing lost
// and nothing doubled. [Org.FaultLog] says what happened. Other conditions last:
// Config and [Org.Starve], [Org.SetDelay], [Org.MoveInstance], [Org.Outage].
// [Org.RefreshSandbox] and [Org.MigrateInstance] make it another org, or the same one
// elsewhere, with a new event bus.
//
// # Faults
//
// A kind marked (form only) changes the form of a good response; one that
// leaves a hole can take events that no new session brings back, and is not in
// DefaultMix. On cometd means every /meta channel, on rest every part of it too:
// rest/query, rest/query-more (a locator), rest/replication (updated, deleted),
// rest/by-ids (composite/sobjects), rest/job-create, rest/job, rest/job-results.
//
//	reply                  on cometd: a failed reply with the error, failureReason and advice that the fault gives
//	http                   on cometd rest oauth: an HTTP answer with the status, body, content type and location that the fault gives (default 503)
//	advice                 on connect: the advice of a good connect reply is the one that the fault gives (form only)
//	token-http-401         on cometd rest: the token ends; HTTP 401 with a JSON array of errors
//	token-http-403         on cometd: the token ends; HTTP 403 with a page
//	token-reply            on connect subscribe unsubscribe disconnect: the token ends; the reply is 401::Authentication invalid, advice none
//	token-handshake        on handshake: the token ends; 403::Handshake denied with failureReason 401, advice none
//	busy-hidden            on handshake connect subscribe: failureReason 503 behind 401 (connect), 403 (handshake) or subscribe_denied; the token is good
//	busy                   on handshake connect subscribe: 503::Server is too busy, advice retry
//	other-user             on connect subscribe: 400::Authenticated user id does not match the session's user id; the session ends
//	unknown-client         on connect subscribe unsubscribe: the session is forgotten; 403::Unknown client without clientId (plain) or with it, 402::session_unknown, or without advice
//	no-handshake           on connect subscribe: the session is forgotten; 403::Client has not completed handshake
//	server-disconnect      on connect: the session ends with a /meta/disconnect of the server, and 401 on the connect (with-401), nothing else (alone), or a good connect reply (with-reply)
//	dropped                on cometd rest oauth: the connection is closed before the org has looked at the request
//	reply-lost             on cometd rest oauth: the request was carried out and the connection closed before the response's header: what it held is lost to the session
//	reply-lost-504         on cometd rest oauth: as reply-lost, and a proxy answers 504
//	proxy-cut              on connect: a proxy ends a connect that was held for 60 s, by closing it or with a 504; nothing is lost
//	client-limit           on handshake connect: 403::Organization concurrent user limit exceeded, advice none
//	connection-limit       on handshake: 403::Handshake denied; failureReason: too many simultaneous connections per server
//	daily-limit            on connect subscribe: 403::Organization total events daily limit exceeded: on connect with advice none, on subscribe without
//	rest-limit             on rest: 403 REQUEST_LIMIT_EXCEEDED
//	silent-subscribe       on subscribe: a subscribe succeeds, also for a channel that does not exist, and no subscription is made (leaves a hole)
//	advice-none            on connect: a failed connect without an error, advice none; the session ends
//	advice-handshake       on connect: a good connect reply, with its events, and advice handshake; the session ends
//	advice-retry           on connect: a failed connect without an error, advice retry after an interval
//	advice-interval        on connect: the interval of a good connect reply is odd: negative, huge, null, a text, a list (form only)
//	advice-timeout         on connect: the timeout of a good connect reply is odd (form only)
//	advice-unknown         on connect: the reconnect of a good connect reply is null, not a text or not known (form only)
//	advice-transport       on connect: the advice lies in the transport's own member: retry, or handshake, whereupon the session ends
//	advice-missing         on connect: no advice, also not with the first connect reply (form only)
//	advice-hosts           on connect: advice with hosts, maxInterval and unknown members (form only)
//	connect-at-once        on connect: a connect is answered at once though there is nothing, with an interval (default 1 s) (form only)
//	multiple-clients       on connect: a connect is answered at once with multiple-clients advice and an interval of 2 s (form only)
//	http-empty             on cometd: HTTP 200 without a body
//	http-html              on cometd rest oauth: HTTP 200 with a page of HTML
//	http-204               on cometd rest oauth: HTTP 204 No Content
//	http-301               on cometd rest oauth: HTTP 301 Moved Permanently
//	http-302               on cometd rest oauth: HTTP 302 Found
//	http-307               on cometd rest oauth: HTTP 307 Temporary Redirect
//	http-308               on cometd rest oauth: HTTP 308 Permanent Redirect
//	http-400               on cometd rest oauth: HTTP 400 Bad Request
//	http-404               on cometd rest oauth: HTTP 404 Not Found
//	http-405               on cometd rest oauth: HTTP 405 Method Not Allowed
//	http-408               on cometd rest oauth: HTTP 408 Request Timeout
//	http-413               on cometd rest oauth: HTTP 413 Request Entity Too Large
//	http-420               on cometd rest oauth: HTTP 420
//	http-429               on cometd rest oauth: HTTP 429 Too Many Requests
//	http-500               on cometd rest oauth: HTTP 500 Internal Server Error
//	http-502               on cometd rest oauth: HTTP 502 Bad Gateway
//	http-503               on cometd rest oauth: HTTP 503 Service Unavailable
//	http-504               on cometd rest oauth: HTTP 504 Gateway Timeout
//	cut                    on cometd: the body is cut off after some bytes, at the latest before its last one; what it held is lost to the session
//	gzip                   on cometd: the body is compressed, if the client accepts it (form only)
//	drip                   on cometd: the body comes some bytes at a time (default 1) with a pause between (1 s), for a time (20 s), then the rest at once (form only)
//	query-timeout          on rest/query rest/query-more: 400 QUERY_TIMEOUT: Your query request was running for too long.
//	query-large            on rest/query: 400 OPERATION_TOO_LARGE: exceeded 100000 distinct who/what's
//	query-complicated      on rest/query rest/job-create: 400 QUERY_TOO_COMPLICATED: Query is either selecting too many fields or the filter conditions are too complicated.
//	query-concurrent       on rest/query rest/query-more rest/replication: 403 REQUEST_LIMIT_EXCEEDED: ConcurrentPerOrgLongTxn Limit exceeded.
//	server-unavailable     on rest: 503 SERVER_UNAVAILABLE: Server is temporarily unavailable
//	locator-expired        on rest/query-more: 400 INVALID_QUERY_LOCATOR: the query's locator ends
//	page-short             on rest/query rest/query-more rest/job-results: a page has fewer rows than could be (bytes: how many; default 1)
//	ids-exceeded           on rest/replication: 400 EXCEEDED_ID_LIMIT: exceeded the limit of 600000 ids: ask for a shorter time
//	job-quota              on rest/job-create: 400 EXCEEDEDQUOTA: DailyBulkV2QueryJobs Limit exceeded.
//	job-failed             on rest/job-create: the job ends Failed: by a timeout, after too many retries, or by an unknown error
//	job-slow               on rest/job-create: the job is in progress for longer (for; default 10 min)
//	events-with-subscribe  on subscribe: events that are there already come with the subscribe reply (form only)
//	reply-first            on cometd: the reply comes before the events (form only)
//	reply-middle           on cometd: the reply comes amid the events (form only)
//	reply-last             on cometd: the reply comes after the events, whatever the org's Config says (form only)
//	id-number              on cometd: the message id comes back as a number, or as a text if it was a number (form only)
//	id-missing             on cometd: the reply has no id (form only)
//	client-id-missing      on cometd: replies but the handshake's have no clientId (form only)
//	object                 on cometd: a response of one message is a bare object (form only)
//	unknown-members        on cometd: messages have members that nobody knows, and spaces between (form only)
//	timestamp              on cometd: messages have timestamps (form only)
//	header-case            on cometd: Content-Type is application/json;charset=utf-8 (form only)
//	duplicate-events       on connect subscribe: events come twice: each after itself, or up to 256 of them as a whole again (form only)
//	cookie-lost            on handshake connect subscribe: the response expires the BAYEUX_BROWSER cookie; the next request is refused with 400
//	cookie-changed         on handshake connect subscribe: the response sets another BAYEUX_BROWSER, which is the one that counts from now on (form only)
//	cookie-twice           on handshake connect subscribe: the response sets a second BAYEUX_BROWSER for the path /cometd; either is enough (form only)
//	cookie-affinity        on handshake connect subscribe: the response sets sfdc-stream with an expiry (default 3 h); once it has passed, another server answers 403::Unknown client and sets a new one
//	tokens-expired         on the org: all access tokens end
//	sessions-forgotten     on the org: all sessions are forgotten
//	sessions-disconnected  on the org: all sessions end with a /meta/disconnect of the server
//	connections-cut        on the org: every session's next connect reply is cut off, held ones at once
//	outage                 on the org: every request gets 503 with a page for a time (default 2 min)
//	ids-shared             on the org: the events of the next transaction with several share one replay id
//	instance-moved         on the org: the instance gets another address; the old one redirects, is gone, or knows no session and no token
//	bus-reset              on the org: nothing is retained and every known replay id is invalid (leaves a hole)
//	starvation             on the org: a channel's subscriptions get nothing more, though connects succeed (leaves a hole)
//
// # What it promises
//
//   - The ledger holds every event once, in the order of the bus, with the very
//     payload bytes that a client gets.
//   - Two orgs with equal Config (seed and clock) that are given the same calls
//     in the same order publish the same bytes. Session ids and tokens follow
//     the seed too, in order of the requests. A fault plan does the same to the
//     same requests at the same times.
//   - An event is taken off a session when it is written to its reply, not when
//     it arrives: a reply that is cut off is lost to the session, as with the
//     real service.
//   - A query has the rows of one moment. A page that is read later has their values
//     of then: rows that were deleted since are missing though totalSize counts them,
//     rows that no longer fulfil the condition are there. (What the service does is
//     not documented; this is the harder one to read from.)
//   - A bulk job reads a table in chunks of ids (BulkConfig.Chunk), each as it is at
//     a moment of its own between the job's begin and end, and keeps what it read.
//   - SystemModstamp, LastModifiedDate and CreatedDate have whole seconds, the commit
//     times of events have milliseconds.
//   - A session holds one place in the bus for each subscription and copies no
//     events; a reply is written as it is read, so memory does not grow with the
//     number of sessions or the length of a reply.
//
// # What it does not do
//
// Ingest jobs, Pub/Sub API, composite resources that write, upsert, channel enrichment and
// filters of custom channels, sharing. PushTopics know SELECT fields FROM object
// with comparisons joined by AND, all retention is that of Config, an edited
// PushTopic keeps its name and object, and a generic push to single users reaches
// nobody; neither PushTopics nor streaming channels are ever deleted. The shape of
// a message does not depend on the endpoint's version. SOQL has no GROUP BY, no
// subqueries, no semi-joins, no TYPEOF and no FOR; without ORDER BY rows come in
// order of id, and the fiscal year is the calendar's. A lookup keeps the id of a
// parent that was deleted. Field-level security does not reach events. Advice with an
// interval gives the session no more time than without. Deleted records stay
// in the bin until EmptyBin. Nothing here is meant to be safe against attackers:
// tokens follow from the seed, and the control API asks for none.
//
// # Concurrency
//
// All methods of Org and its handler may be used at once. One lock orders the
// changes; readers of the bus take it as it is at one moment and go on without
// a lock. A fault plan needs no goroutine: what is due by the clock happens
// before the next request or transaction, and while a connect is held on time.
// The package starts a goroutine for [Org.StartLoad], which [Org.Close]
// waits for, and one for each request through RoundTripper, which ends with it.
// Load is for one goroutine.
//
// # Errors
//
// [ConfigError] from New and for faults that cannot be; [RequestError] with Salesforce's code and words from
// whatever changes or reads records. Over the wire: OAuth error objects, REST
// error arrays, Bayeux error strings with ext.sfdc.failureReason and advice as
// the Streaming API guide has them; queries are refused with the place in the text.
// None of them is worth a retry.
package orgsim
