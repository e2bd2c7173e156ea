// Package backfill reads a part of the past of streams once more, beside the
// bridge that carries them.
//
// # What it does
//
// A [Run] says which streams are read, from where to where, what of them is wanted
// and where it goes. [Bounds] finds the end of each stream, [Marking] says in the
// records that they come from a run, [Runs] keeps how far a run has come in a topic
// of its own, and [Count] stands in for all of Kafka when a run is only tried. A
// [pipeline.Lane] does the work, as it does in the bridge. Where a run begins before
// what the org retains, [Rows] has rows stand for the events that are gone, and a [Seam]
// says where these end.
//
// # What it promises
//
//   - A run that was killed goes on where it was, exactly once: its positions are
//     in the transactions of its records, as those of the bridge are.
//   - What lies before the beginning or behind the end of a run is not written,
//     by the time at which the events happened or, where an id was given, by that
//     id. Two ids are compared for equality only (I4).
//   - Rows are read while the run's own streams are subscribed, and a run does not end
//     before they all are. The end of a stream that has rows is when that was.
//   - A seam is in the gap ledger before the first of the stream's events or rows is
//     written.
//   - The bridge's own positions, session and lanes are not touched.
//
// # What it does not do
//
// Of what the org no longer retains it has what came of it, not each change: rows are
// what is there now. An end that is a time is
// reached when an event comes that is later than it by [Margin], or when nothing
// has come for a while; an event that the org delivers later than that is not part
// of the run.
//
// # Concurrency
//
// A Bounds and a Rows are made for one lane, and are safe for its goroutines. The
// others keep nothing that changes.
//
// # Errors
//
// [Run.Check] tells what is wrong with a run; the others return what the store, the
// source and the encoder return.
package backfill
