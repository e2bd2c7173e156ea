// Package sink writes Kafka records and the positions that they reach as one
// unit: either all of them become visible to a read_committed consumer, or
// none does.
//
// # What it does
//
// [Open] connects a producer and takes over its transactional id at once: the
// older owner of the id is fenced, and its open transaction is aborted, before
// Open returns. [Producer.Commit] begins a transaction, produces the records
// and then the positions, flushes, and ends the transaction. Topics that the
// records name are looked up before their first use, and created if the
// configuration says so.
//
// # What it promises
//
//   - With [ExactlyOnce], a Commit that returns nil is durable as a whole, and
//     a Commit that returns an error is durable as a whole or not at all.
//     Which of the two is open only after an [*UnknownOutcomeError] or
//     [ErrFenced]; every other error means: not at all.
//   - With [AtLeastOnce], positions are produced only after every record of the
//     Commit was acknowledged by all in-sync replicas. A Commit that returns an
//     error may have written any of its records.
//   - The order of the records of one partition is the order of the slice.
//   - Records with a key go to the partition that Kafka's own default
//     partitioner chooses (murmur2). Positions go to the partition that their
//     Partition field says.
//   - No call waits for ever on a dead broker: Open is bounded by
//     Config.OpenTimeout, Commit by Config.TransactionTimeout and Config.Grace,
//     and all of them by their context.
//
// # What it does not do
//
// It does not retry a Commit, does not reopen itself, and does not read. It
// never creates the topics of positions: a position topic that is missing is a
// lost position, not a new topic. It does not choose topics, keys or encodings.
//
// # Concurrency
//
// A Producer is safe for concurrent use; its calls take turns. It starts no
// goroutine that outlives Close.
//
// A Commit sets the fields Context, Partition, Offset, Timestamp (only if it
// was zero), Attrs, ProducerID, ProducerEpoch and LeaderEpoch of the records
// that it is given. The same records may be given to a later Commit, also of
// another Producer. Values of cancelled commits may be read by the client until
// Close returns, so a caller that reuses the memory of keys and values does so
// after a nil error or after Close.
//
// # Errors
//
//	condition                                   error                  producer   what the caller does
//	------------------------------------------  ---------------------  ---------  ------------------------------------
//	option missing, contradictory, not usable    *ConfigError           none       fix the configuration
//	no broker answers in time                    *UnreachableError      reopen     back off, open again
//	credentials refused (SASL)                   *AuthenticationError   reopen     fix the credentials
//	an ACL is missing                            *AuthorizationError    reopen     grant what it names
//	topic missing, not to be created, refused    *TopicError            reopen     create it, or allow creating it
//	another producer owns the transactional id,  ErrFenced              reopen     stop; open again only as the owner,
//	or the broker gave up on the transaction     (*FencedError)                    and read the position first
//	the end request's answer never came, or the  *UnknownOutcomeError   reopen     open again (this settles it at the
//	abort could not be confirmed                                                   coordinator), read the position
//	one record is larger than its topic allows   *RecordTooLargeError   usable     replace that record, commit again
//	broker refuses a record for another reason   *RejectedError         reopen     permanent for those records
//	the coordinator refused the commit           *AbortedError          reopen     open again, commit again
//	the caller's context ended                   ctx's error, wrapped   reopen     as it likes
//	Commit after Close, or after an error        ErrClosed              reopen     open again
//
// "reopen" means that this Producer takes no further Commit: Close it and Open
// another. [Retryable] tells whether the same records may succeed when they are
// committed again, after the step in the last column.
package sink
