// Package polling makes a lane's source out of queries, for objects of which the org
// sends no change events.
//
// # What it does
//
// A [Source] asks for the rows of each of its streams that changed, again and again: in
// the order of a field that moves with each change, and of the id. A row becomes an
// event in the shape of a change event with the change type SNAPSHOT, a deletion one
// with DELETE, so that everything behind the source is as for other streams.
//
// # What it promises
//
// Rows of a stream come in the order in which they were read, and those that share a
// position in one batch. Nothing is lost, and no row comes twice with the same time and
// the same fields, by these rules:
//
//  1. The org's time is known from the rows: it is at least that of the latest row seen,
//     plus what has passed since. No other clock decides.
//  2. A row is settled when the second of its time has been over for longer than
//     [Stream.Overlap], which is how late a change may become visible. Only settled rows
//     move the place from which is read; so a row is read until it is settled.
//  3. Rows that are not settled yet are handed out, too, and remembered in the position
//     by id and time, with a digest of their fields. One that comes again as it was is
//     left out.
//  4. A time has whole seconds: a row may change again and keep its time, and that may
//     become visible when the second is long over. Only the digest tells the two apart.
//  5. What is remembered is bounded. While there is no room, rows wait until they are
//     settled: those need not be remembered, as the place moves over them.
//
// A deletion is written only if the record is not there when it is looked for; the look
// and the rows are in the order of their queries. What the org forgot of deletions before
// they were looked for is an entry of the gap ledger: the position says since when.
//
// # What it does not do
//
// It sees a row as it is when it is asked, and not what it was between two looks. Of
// rows that a condition does not select any more it says nothing. It retries nothing
// within a call of Next; it waits between them.
//
// # Concurrency
//
// One goroutine uses a Source, except for Wake.
//
// # Errors
//
// Next returns *[pipeline.SourceError]; a stored position that is none of this package's
// is a *[pipeline.PositionError]. What is wrong with a stream itself is a *[StreamError].
package polling
