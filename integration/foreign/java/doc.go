// Package java gives records to Java programs that are none of ours, unmodified,
// from Maven.
//
// # What it does
//
// [Reader] makes a program of Apache's own Kafka and Avro (pom.xml and Reader.java
// beside this file) that reads topics.
//
// [Consume] gives records in Debezium's envelope to the classes that its users have
// (envelopes/): Debezium's transform ExtractNewRecordState and Flink's format
// debezium-avro-confluent. Apicurio's AvroData makes Connect's data of Avro's for
// the first; the second is told the schema instead of asking Confluent's client,
// which is not on Maven Central.
//
// [JDBCSink] gives records to Debezium's JDBC sink connector (jdbc/), with Apicurio's
// converter and a PostgreSQL of its own.
//
// # What it promises
//
// Programs are compiled once and kept in the cache, under the hash of what they
// are made from. Anything that one of the classes cannot take fails the test.
//
// # What it does not do
//
// It knows no TLS and no login. Values are held in memory.
//
// # Concurrency
//
// The functions may be called from several goroutines and test processes.
//
// # Errors
//
// Without Java or Maven, or a PostgreSQL for [JDBCSink], the test ends as
// [kafkatest.GiveUp] says. Everything else fails the test with the Java program's
// own words.
package java
