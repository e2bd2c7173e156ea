// Package foreign reads topics with clients that are none of ours, each in a
// program of its own in another language.
//
// # What it does
//
// A [Reader] runs such a program, which consumes topics read_committed from their
// beginnings, decodes every value by what a schema registry's REST API
// (GET /schemas/ids/<id>) says of the id in front of it, and prints what it saw. The
// programs are in the packages below: java, with Apache's own Kafka and Avro, and
// python, with confluent-kafka (librdkafka) and fastavro.
//
// # What it promises
//
// What it returns was understood by a stranger: nothing of this project takes
// part. It reads on to the ends that the partitions have once the records asked
// for are there, so that a record too many is seen too. A value that is not in
// Confluent's wire format, has no schema, does not follow it, or has bytes left
// over fails the test, by topic, partition and offset. One test holds every reader
// to all of that.
//
// # What it does not do
//
// The readers know no TLS, no login, and no schema references. Values are held in
// memory.
//
// # Concurrency
//
// A [Reader] may be used by several goroutines.
//
// # Errors
//
// What a program cannot read is an error in its own words.
package foreign
