// Package replay keeps the positions of streams in a compacted Kafka topic, so
// that Kafka is the only place that knows how far a stream has come.
//
// # What it does
//
// A stream (org and channel) has one position: an opaque token that says where
// to resume. [Store.Record] turns an [Entry] into the Kafka record that is
// written in the same transaction as the stream's events, by whoever owns the
// stream's lane. [Store.Load] reads a lane back after a takeover, and
// [Store.All] reads all of them. A lane is a partition of the topic;
// [Store.LaneOf] says which one a stream belongs to.
//
// # The topic
//
// Keys are text:
//
//	stream/<org>/<channel>   value: the stream's position
//	barrier/<lane>           value: who looked last, see below
//
// Values are strict JSON with a version, at most one line:
//
//	{"v":1,"position":"123","source":"cometd","event_time":"…","updated":"…","owner":"host-1"}
//	{"v":1,"org":"00D…","token":"…"}
//
// A stream that was told to begin at a time has "since", without a position until
// its first event. "org_instance" and "generation" say on which bus the position
// was made. A position that is not valid UTF-8 is written as "position_base64". An empty
// event_time or updated is left out. A null value deletes the entry. Any other
// key, version or field is an [*UnreadableError]: a newer program wrote it, and
// what it meant cannot be guessed.
//
// The topic must be compacted (cleanup.policy contains compact and not delete)
// and have exactly as many partitions as there are lanes.
//
// # What it promises
//
//   - A missing, recreated, deleting, repartitioned or unreadable topic, or one
//     with positions of another org, is an error, never an empty result: nothing
//     starts from nothing by accident. [Open] looks at every partition, Load
//     once more at its own, and both decide by the last record of each key
//     only, so that the answer does not depend on when the broker compacts.
//   - Load returns what was committed before its barrier, all of it, and
//     nothing of transactions that were aborted.
//   - Open and All only read (and create, if told to); nothing is written but by
//     the caller, through the records that Record and Barrier.Record return.
//
// # The barrier
//
// The end of a partition cannot be found by comparing offsets, because the
// markers of transactions take offsets and show no record. So the new owner of
// a lane commits a record of its own, through the producer that fenced the
// older owner, and reads until that record comes back:
//
//	p, err := sink.Open(ctx, …)                     // fences the older owner
//	b := store.Barrier(lane)
//	err = p.Commit(ctx, nil, []*kgo.Record{b.Record()})
//	positions, err := store.Load(ctx, lane, b)
//
// It carries a random token, so that an older barrier is not taken for it.
//
// # Another number of lanes
//
// A [Migration] moves the positions, and whatever lies beside them, to the number
// of lanes that its Config says, byte for byte. Each [Step] is decided by what the
// topics hold, not by what was done before, so that it goes on wherever it was
// interrupted. From its first change to its last one Open refuses, and so does
// Load of a Store that was opened before. Who writes, and that nobody else does, is
// the caller's to see to:
//
//	m, err := replay.OpenMigration(ctx, cfg)
//	for {
//		// the lanes' producers are open: whoever owned them is fenced
//		plan, err := m.Look(ctx)
//		if len(plan.Steps) == 0 {
//			break
//		}
//		// if plan.Steps[0].Decisive(): each producer commits plan.Barrier(lane)
//		err = m.Do(ctx, plan, write)
//	}
//
// Kafka cannot take partitions away. Fewer lanes lead through a copy, the topic
// <topic>.migrating: it is complete, says so and what it was made of, before the
// topic is deleted, and is deleted when the new topic holds all of it.
//
// # Positions that are changed from outside
//
// Whoever has taken a lane over may write another position into it. If it was taken
// from a member of the group, [Dismiss] has that one lose its lanes and join anew,
// and [Store.Followed] tells when the lane has an owner again, who has read it. An
// [Entry.Text] and a [Note] are how an older position is kept.
//
// # What it does not do
//
// It does not produce, does not fence, does not watch the topic, does not
// compare positions, and takes no part in the consumer group that assigns
// lanes.
//
// # Concurrency
//
// A Store is safe for concurrent use. It starts no goroutine that outlives
// Close.
//
// # Errors
//
//	condition                                     error                  what to do
//	--------------------------------------------  ---------------------  --------------------------------------
//	option missing or contradictory               *ConfigError           fix the configuration
//	topic missing, or not the one that was opened  *TopicMissingError     create or restore it
//	cleanup.policy without compact or with delete *NotCompactedError     run the command that it names
//	partitions are not as many as lanes           *LaneCountError        set lanes back, or migrate
//	a stream's position lies in another partition *MisplacedKeyError     migrate
//	a migration has not come to its end           *UnfinishedMigrationError  migrate
//	a migration's copy and its topic do not fit   *CopyError             decide which one is right
//	a key has two values, in two partitions       *AmbiguousError        decide which one is right
//	positions of another org                      *OtherOrgError         another name, or remove them on purpose
//	a record that this program cannot read        *UnreadableError       newer program, or remove the record
//	an ACL is missing                             *AuthorizationError    grant what it names
//	credentials refused (SASL)                    *AuthenticationError   fix the credentials
//	no broker answers in time                     *UnreachableError      back off, try again
//
// Only the last one, and a context that ended, are worth another try:
// [Retryable].
package replay
