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
//	brokers answer, and do not get done in time  *StalledError          reopen     back off, open again
//	the transaction was refused and aborted      *AbortedError          reopen     open again, commit again
//	a transaction is open that has ended, and    *TornError             reopen     an operator ends it: see below
//	nobody knows how
//	the caller's context ended                   ctx's error, wrapped   reopen     as it likes
//	Commit after Close, or after an error        ErrClosed              reopen     open again
//
// "reopen" means that this Producer takes no further Commit: Close it and Open
// another. [Retryable] tells whether the same records may succeed when they are
// committed again, after the step in the last column.
//
// # Kafka's own trouble
//
// What can go wrong with the brokers, what becomes of a commit then, and which test
// shows it (TestTrouble against brokers that answer as they are told, and, after the
// semicolon, TestTroubleOnKafka where a real Kafka can be made to do so). "Too long"
// is longer than Config.TransactionTimeout. In every row a read_committed reader
// misses nothing (but what a deleted topic held) and sees nothing twice, once the
// caller has done what it should; without transactions, records of a commit that
// failed may come twice. At its start the bridge exits, with a code, instead of
// opening again.
//
//	what the broker says                                      error                 producer what the bridge does                       test; on Kafka
//	--------------------------------------------------------- --------------------- -------- ------------------------------------------ ------------------------------
//	the connection ends before the broker has the records     none                  usable   nothing: the client repeats it             request-lost; broker-killed
//	the connection ends before the answer is read             none                  usable   nothing: the client repeats it             answer-lost
//	NOT_LEADER, metadata name another leader                  none                  usable   nothing: the client follows                leader-moves; leader-killed
//	NOT_LEADER, LEADER_NOT_AVAILABLE, FENCED_LEADER_EPOCH     none                  usable   nothing: the client repeats it             leader-unknown
//	NOT_ENOUGH_REPLICAS, _AFTER_APPEND for a while            none                  usable   nothing: the client repeats it             too-few-replicas
//	KAFKA_STORAGE_ERROR for a while                           none                  usable   nothing: the client repeats it             disk-full-for-once
//	NOT_COORDINATOR: it is another broker now                 none                  usable   nothing: the client follows                coordinator-moves; coordinator-killed
//	NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, _LOAD_...     none                  usable   nothing: the client repeats it             coordinator-unknown
//	the same, or CONCURRENT_TRANSACTIONS, on opening          none                  usable   nothing; too long: back off, open again    coordinator-on-start
//	CONCURRENT_TRANSACTIONS to records                        none                  usable   nothing: the client repeats it             concurrent
//	CONCURRENT_TRANSACTIONS to the end of a transaction       none                  usable   nothing: the client repeats it             concurrent-at-end
//	throttle_time_ms, shorter than a transaction may take     none                  usable   nothing: the client waits                  throttled; throttled
//	throttle_time_ms, longer                                  *StalledError         reopen   reopen, the batch again                    throttled-long; throttled-long
//	THROTTLING_QUOTA_EXCEEDED to creating a topic             none                  usable   asks again; too long: *TopicError, reopen  creation-put-off
//	a partition has no leader for too long                    *StalledError         reopen   reopen, the batch again                    no-leader; no-leader
//	NOT_ENOUGH_REPLICAS for too long                          *StalledError         reopen   reopen, the batch again                    replicas-missing
//	NOT_ENOUGH_REPLICAS_AFTER_APPEND for too long             *UnknownOutcomeError  reopen   reopen, read the position                  replicas-unsure
//	KAFKA_STORAGE_ERROR for too long: a disk is full          *StalledError         reopen   reopen, the batch again                    disk-full
//	nothing: its only disk is full, so it stops itself        *UnknownOutcomeError  reopen   reopen, read the position                  broker-gone; disk-full
//	any other "not now" for too long                          *StalledError         reopen   reopen, the batch again                    unexplained
//	PRODUCER_FENCED                                           *FencedError          reopen   the lane stops: it has another owner       fenced; fenced
//	INVALID_PRODUCER_EPOCH within the transaction's time      *FencedError          reopen   the lane stops: it has another owner       epoch-in-time
//	INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE after it        Outlived, or unknown  reopen   reopen, read the position                  epoch-after-timeout; epoch-after-timeout
//	INVALID_PRODUCER_ID_MAPPING: unused for a week            *AbortedError         reopen   reopen, the batch again                    id-forgotten; id-forgotten
//	TRANSACTION_ABORTABLE                                     *AbortedError         reopen   reopen, the batch again                    abortable
//	INVALID_TXN_STATE to records                              *AbortedError         reopen   reopen, the batch again                    transaction-state
//	OUT_OF_ORDER_SEQUENCE_NUMBER in a transaction             *AbortedError         reopen   reopen, the batch again                    sequence
//	OUT_OF_ORDER_SEQUENCE_NUMBER without transactions         none                  usable   nothing: the client renews its epoch       sequence-alone
//	UNKNOWN_PRODUCER_ID in a transaction                      *AbortedError         reopen   reopen, the batch again                    producer-unknown
//	UNKNOWN_PRODUCER_ID without transactions                  none                  usable   nothing: the client renews its epoch       producer-alone
//	UNKNOWN_PRODUCER_ID, as its records were deleted          *AbortedError         reopen   reopen, the batch again                    producer-renewed
//	any other refusal of a transaction's end                  *UnknownOutcomeError  reopen   reopen, read the position                  end-refused
//	TOPIC_AUTHORIZATION_FAILED                                *AuthorizationError   reopen   reopen until it is granted, red probe      topic-rights; topic-rights
//	TRANSACTIONAL_ID_AUTHORIZATION_FAILED                     *AuthorizationError   reopen   reopen until it is granted, red probe      id-rights; id-rights
//	UNKNOWN_TOPIC_OR_PARTITION, _ID; it may be created        *TopicError           reopen   reopen, which creates it, the batch again  topic-deleted; topic-deleted
//	the same; it may not be created                           *TopicError           reopen   reopen until it is there, red probe        topic-kept-deleted; topic-kept-deleted
//	UNKNOWN_TOPIC_ID: deleted and created anew                *TopicError or none   reopen   reopen, the batch again                    topic-replaced; topic-replaced
//	UNKNOWN_TOPIC_OR_PARTITION of the positions               *TopicError           reopen   reopen until it is restored, red probe     positions-deleted
//	MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE                  *RecordTooLargeError  usable   dead letter, or the stream halts           too-large; too-large
//	nothing: max.message.bytes was raised meanwhile           *AbortedError         reopen   reopen, the batch again                    limit-raised; limit-raised
//	INVALID_RECORD, INVALID_TIMESTAMP, POLICY_VIOLATION, ...  *RejectedError        reopen   reopen until it is taken, red probe        invalid-record
//	CORRUPT_MESSAGE                                           *RejectedError        reopen   reopen, the batch again                    corrupt
//	UNKNOWN_SERVER_ERROR to records                           *RejectedError        reopen   reopen, the batch again                    server-error
//	nothing: it tore the last transaction as it restarted     none                  usable   nothing: the producer ends it as it ended  torn; torn
//	the same, in the positions: the next owner ends it        none                  usable   nothing: the producer ends it as it ended  torn; torn-positions
//	the same, and its owner is about to end it                none                  usable   nothing: opening waits for that            torn; torn-waits
//	the same, and its owner died as it ended it               none                  usable   nothing: the next owner ends it likewise    torn; torn-finished
//	the same, and nobody knows how it ended                   *TornError            reopen   waits, red: an operator ends it            torn-unknown; torn-unknown
//
// A disk that is full is provoked by a limit for the size of the broker's files. A
// broker whose only directory of data is full stops itself, and is then one that does
// not answer; with several, the partitions of that directory lose their leader.
//
// # Torn transactions
//
// A coordinator of Kafka 4.3.1 that comes back looks for the leaders of a transaction's
// partitions before it knows them, takes them for deleted and skips their markers, in
// some of the partitions or all; the transaction counts as complete then. It was seen
// where the only broker of a cluster was killed, one transaction in about four kills with
// eight producers at work, and not where there are others. The next transaction of the same
// id that meets such a partition ends what is open there with its own outcome: lost, or
// doubled. So this package
//
//   - waits, before it begins a transaction, until the coordinator regards the last one
//     as complete. That costs one request; the broker would make the records wait as
//     long, and longer, since it looks again less often;
//   - asks DescribeProducers for what its producer id has open, in the topics of the
//     last transaction if a broker was connected to since, in each topic before it is
//     first written to, and in Config.Positions before the older owner is fenced;
//   - ends what it finds with the transaction's outcome, by a transaction of these
//     partitions without records. The outcome is what the coordinator says as long as it
//     remembers, which is until it gives out the next producer id; after that it is the
//     marker behind the transaction's records in the partition of the positions, if
//     transactions have epochs of their own (transaction.version 2). If neither tells,
//     nothing is begun: *TornError.
//
// It needs Read on a topic to ask for it, and Kafka 3.0. Without them it does not ask,
// and writes as if nothing were open. A process that is killed between the two requests
// that end such a transaction leaves that to the next owner, which finishes it before it
// takes over, or refuses to open if nobody knows the outcome. What it cannot prevent is
// that nobody comes within Config.TransactionTimeout, that nobody who comes has
// Config.Positions, or that transactions have one epoch: the brokers, or the next owner,
// abort it then. Nor can it prevent that an owner which was replaced, and lives, begins
// to end one, or is done with it, between the last question and the next request of its
// successor.
package sink
