// Package model is the bridge's protocol of ownership, transaction and position
// as an executable specification, explored exhaustively: every order in which
// its steps can happen is taken, within bounds.
//
// # What it does
//
// A world is one stream of a few events at an org, two processes that may own its
// lane, the group coordinator that gives the lane to one of them, and a Kafka: the
// topic of records, the lane's partition of the positions topic, and the
// transaction coordinator. [Explore] takes every possible step from every state
// that can be reached. An owner can be paused for as long as anything else goes
// on, since nobody has to take the next step; what was sent can arrive at any later
// time; each of the steps called troubles can come anywhere, a bounded number
// of times. All steps are in one table, in rules.go.
//
// The owner is that of pipeline.Lane, sink.Producer and replay.Store:
//
//	opening   InitProducerID, which fences the older owner
//	opened    a barrier is written, in a transaction of its own
//	reading   the positions are read until the barrier comes back
//	running   subscribed behind the stored position
//	writing   records and position of a batch are sent in one transaction
//	ending    EndTxn was sent; its answer confirms the batch
//
// Whatever fails, and whatever has an unknown outcome, goes back to opening. An
// owner that is fenced stops.
//
// The Kafka is that of Apache Kafka's source, which kafka.go names, in three
// generations ([Broker]). InitProducerID aborts an open transaction and answers
// when its markers are written; EndTxn is answered before they are; each partition
// gets its marker at a time of its own; a leader refuses an epoch that is older
// than the newest it has seen, and asks the coordinator about a transaction
// that it does not know; a new leader's high watermark may lag behind what was
// acknowledged.
//
// # What it promises
//
// In every state that can be reached:
//
//	I2            a position is durable only if all events up to it are
//	I3            the events of the stream are in order, without holes
//	I7            nothing of an older owner becomes visible after a newer one
//	              has read its positions
//	exactly once  no event is there twice
//	liveness      a state can still be reached in which all events are visible
//
// Durable is what the coordinator has decided: partitions get their markers one
// by one, so that a reader of both topics may see a position a moment before its
// records. With at_least_once, events may be repeated; the repeats apart, I2, I3
// and liveness hold.
//
// [Protocol] can take each protection away. The tests show that the protocol as
// it is breaks nothing, and that it does without any of them; the way there is the
// shortest that there is.
//
// # What it shows
//
//   - The fence, the subscription after it, and the position in the records'
//     transaction are each needed.
//   - The barrier is needed if a reader cannot otherwise know that it has read
//     far enough: a fetch that brings nothing is no sign, since a new leader may
//     hide what is durable. The last stable offset that ListOffsets names would do
//     on a Kafka that waits in InitProducerID and holds ListOffsets back while its
//     high watermark lags; the barrier needs neither.
//   - On Kafka before 3.6, an abort must not be sent while requests of its
//     transaction are unanswered: a latecomer would be committed with what
//     the next owner writes. Package sink waits for them.
//   - Before transaction.version 2, a repeated EndTxn that is held up can end the
//     next transaction of the same owner halfway. Nothing in a client can prevent
//     that; Kafka 4 does.
//   - With at_least_once nothing is lost, but two owners at a time each write
//     everything, and a late position of the older one puts the stored one back.
//
// # What it does not do
//
// It does not run the code: where the two differ, one of them is wrong. It knows
// one stream, one partition of records, no sequence numbers (a repeated produce
// request counts as one), no loss of acknowledged data, no time, and no compaction
// of a barrier that its owner has not read yet.
//
// # Concurrency
//
// Explore is a function of its argument, and uses one goroutine and about a hundred
// megabytes for half a million states.
//
// # Errors
//
// A broken property is a [Result]. Bounds that need more room than a state has
// are a panic that names the constant to raise.
package model
