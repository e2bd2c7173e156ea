// Package snapshot reads rows of an org beside the events of a lane's streams, so that
// the topics equal the org: what was there before a stream began, and what a hole in a
// stream took away.
//
// A [Worker] works through tasks. A task is made when a stream begins, by a signal, or
// by a hole; how far it has come is a [replay.Task], committed in the transaction of
// the rows that brought it there. Two tasks of a lane run at the same time at most: a
// repair, and a snapshot.
//
// A row gets its place among the events by the rules in pipeline/rows.go. What is done
// here of them: a window is opened before a query is sent and closed behind the commit
// of its last row; rows that were left out are read again by their ids, and after three
// tries while the lane holds its commits.
//
// Rows are read by REST queries in the order of ids, where a chunk is a page, and what
// is durable is the id of its last row; or by jobs of Bulk API 2.0 over a range of ids,
// where a chunk is a part of the result and what is durable is that the range is done:
// windows are in memory, so that rows of a job from before a crash cannot be told from
// outdated ones, and the range is read again.
package snapshot
