// Package javareader reads topics with clients that are none of ours: Apache's
// own Kafka and Avro for Java, unmodified, from Maven.
//
// # What it does
//
// [Read] runs a small Java program (pom.xml and Reader.java beside this file)
// that consumes topics read_committed from their beginnings, decodes every value
// by what a schema registry's REST API (GET /schemas/ids/<id>) says of the id in
// front of it, and gives back what it saw. [Build] makes that program.
//
// [Consume] gives records in Debezium's envelope to the classes that its users have
// (envelopes/): Debezium's transform ExtractNewRecordState and Flink's format
// debezium-avro-confluent. Apicurio's AvroData makes Connect's data of Avro's for
// the first; the second is told the schema instead of asking Confluent's client,
// which is not on Maven Central.
//
// # What it promises
//
// What it returns was understood by a stranger: nothing of this project takes
// part. It reads on to the ends that the partitions have once the records asked
// for are there, so that a record too many is seen too. A value that is not in
// Confluent's wire format, has no schema, does not follow it, or has bytes left
// over fails the test, by topic, partition and offset.
//
// # What it does not do
//
// It knows no TLS, no login, and no schema references. Values are held in memory.
//
// # Concurrency
//
// Both functions may be called from several goroutines and test processes.
//
// # Errors
//
// Without Java or Maven the test ends as [kafkatest.GiveUp] says. Everything else
// fails the test with the Java program's own words.
package javareader
