// Package python reads topics with confluent-kafka (librdkafka) and fastavro for
// Python, unmodified.
//
// # What it does
//
// [Reader] makes a reader of a small Python program (read_topics.py beside this
// file) and of the environment that it runs in: a venv with exactly what
// requirements.txt names, kept in the user's cache directory.
//
// # What it promises
//
// What is read was understood by two strangers: each value is decoded by
// confluent-kafka's AvroDeserializer, and by fastavro with the schema that a
// request of its own got, and both readings are the same.
//
// # What it does not do
//
// It uses no proxy. fastavro is below confluent-kafka's deserializer too: what the
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
// requirements, the test ends as [kafkatest.GiveUp] says.
package python
