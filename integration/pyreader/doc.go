// Package pyreader reads topics with clients that are none of ours:
// confluent-kafka (librdkafka) and fastavro for Python, unmodified.
//
// # What it does
//
// [Read] runs a small Python program (read_topics.py beside this file) that
// consumes topics read_committed from their beginnings, decodes every value by
// what a schema registry says of the id in front of it, and gives back what it
// saw. [Build] makes the environment that it runs in: a venv with exactly what
// requirements.txt names, kept in the user's cache directory.
//
// # What it promises
//
// What it returns was understood by strangers, and by two of them: each value is
// decoded by confluent-kafka's AvroDeserializer, and by fastavro with the schema
// that a request of its own got, and both readings are the same. It reads on to
// the ends that the partitions have once the records asked for are there, so that
// a record too many is seen too. A value that is not in Confluent's wire format,
// has no schema, does not follow it, or has bytes left over fails the test, by
// topic, partition and offset.
//
// # What it does not do
//
// It knows no TLS, no login, no schema references, and uses no proxy. Values are
// held in memory. fastavro is below confluent-kafka's deserializer too: what the
// second reading adds is the registry's client, the wire format and the schema's
// preparation, not a second decoder of bytes.
//
// # Concurrency
//
// The functions may be called from several goroutines and test processes.
//
// # Errors
//
// Without Python 3.11, its venv module, or a package index that has the
// requirements, the test ends as [kafkatest.GiveUp] says. Everything else fails
// the test with the Python program's own words.
package pyreader
