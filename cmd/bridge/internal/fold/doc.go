// Package fold reads the topics of an object and tells what they say of each record,
// as a consumer who keeps a table would.
//
// # What it does
//
// [Fold.Read] reads the topics to what is their committed end at that moment, and
// called again what was added since. [Fold.Apply] folds a single record. What counts is
// the key of a record:
//
//   - CREATE, UNDELETE and SNAPSHOT give the record as a whole. A SNAPSHOT that lists
//     changedFields speaks for those alone; what is known of the others stays.
//   - UPDATE changes fields: those with a value have it, those in nulledFields have
//     none, of those in diffFields, and of those that are said to have changed without
//     a value, nothing is known until the next value comes.
//   - DELETE, GAP_DELETE and a tombstone take the record away.
//   - Other GAP_ events say that there is a record; its fields stay what they were, but
//     for those that the event has.
//   - Wildcards and overflows speak of no record. [Counts] has how many came.
//
// An event with the header sf-in-snapshot may be older than what a SNAPSHOT of the same
// record says. It is left out if its time is before that of the row.
//
// Without Config.Keep only ids are kept, from keys and headers, whatever the format of
// the values: 16 to 23 bytes a record. With it, of the records that are wanted, a
// checksum of each field with a value, of 8 bytes, and some 120 bytes more.
//
// Values are read in format avro with a registry and in json, in the envelopes event,
// flat and debezium. What unknown keys were kept (_extras) is not looked at.
//
// # What it promises
//
// Aborted transactions are never seen. Fields have the names of the envelope, parts of
// compound ones with a dot in the envelope event. Numbers that are written in two ways
// are equal. Checksums tell nothing of the values: each Fold draws its own key, so that
// those of two Folds cannot be compared.
//
// # What it does not do
//
// It does not keep order where a topic does not: an object whose records are in several
// topics, or in a topic whose number of partitions was changed, cannot be folded. On a
// compacted topic an UPDATE hides what was before it, as it does from any consumer who
// comes late. A field whose value came in another envelope than the last one is unknown.
//
// # Concurrency
//
// A Fold is for one goroutine at a time.
//
// # Errors
//
// *[ConfigError]: the configuration. *[RecordError]: a record that cannot be folded;
// nothing is guessed (I5), and the Fold is of no use any more. What the Kafka client
// says is returned as it is, and so is the end of the context; Read goes on where it was
// then.
package fold
