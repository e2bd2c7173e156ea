// Package pipeline is the one joint of the bridge: it alone sees two stages at
// once, and carries events from a [Source] through an [Encoder] to a [Writer].
//
// # What it does
//
// A [Lane] is one source session, one transactional producer and the streams
// assigned to it. Two goroutines run it: the poller asks the source for events
// and puts them into a channel of size one, the committer takes what waits
// there, encodes it and commits records and positions as one unit. While a
// commit is under way the poller adds what arrives to the batch that waits, so
// transactions are small on a quiet org and large in catch-up, and nobody ever
// waits for a batch to fill.
//
// # What it promises
//
// The invariants of the bridge, cited by number at the lines that enforce them:
//
//	I1  an event ends in exactly one of: record(s), dead letter, halt of its stream
//	I2  a position becomes durable only together with the records before it
//	I3  order within a stream is kept
//	I4  a position is opaque: nobody compares two of them with <
//	I5  an unknown field, type, version or advice is never dropped or guessed
//	I6  shutdown drains what was taken and takes nothing new
//	I7  one writer a lane; the older one is fenced
//
// The counter law, true whenever a lane is at rest and asserted at the end of
// every integration test:
//
//	received = produced + dead_lettered + filtered + returned + in_flight
//
// where returned counts events that were given up before they were durable (a
// commit failed, a stream halted) and therefore come again. Records are counted
// apart, since a merged change event becomes one record for each record id.
//
// # What it watches
//
// A [Watchdog] asks the org about streams that are subscribed and silent, and
// has their lanes rouse those that starve. How old a position may become, and
// what follows when the org refuses it, is in retention.go; when a position is not
// even tried, because the org has moved and it may mean another event now, in
// identity.go.
//
// # What it does not do
//
// It does not know Salesforce, CometD, Avro or the Kafka protocol, opens no
// connection and reads no configuration; [LaneConfig] hands it everything.
//
// # Concurrency
//
// [Lane.Run] owns both goroutines and waits for them; [Watchdog.Run] is for one
// more, of all lanes of a process. [Stats] may be read from anywhere at any time.
//
// # Errors
//
// Stages give typed errors; [Classify] names the condition, [Decide] holds the
// one policy table. Errors are logged here, where they are acted upon, and
// nowhere else. What ends the process comes out of [Lane.Run] as *[ExitError].
package pipeline
