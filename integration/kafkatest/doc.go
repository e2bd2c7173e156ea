// Package kafkatest gives a test a real Apache Kafka, and a real schema registry,
// whatever the machine has.
//
// # What it does
//
// [Shared] is the broker that all tests of a package use, [Start] a private one
// that can be killed and restarted, [Registry] an Apicurio Registry with
// Confluent's REST API. Kafka comes from the first of these that the machine
// offers; a test does not care which:
//
//  1. the brokers in BRIDGE_TEST_BROKERS (host:port,…), for [Shared] only: they
//     belong to somebody else, so they are neither configured nor killed;
//  2. a container, if a container engine answers quickly and has the image of
//     BRIDGE_TEST_KAFKA_IMAGE (apache/kafka:4.3.1 by default) or can pull it;
//  3. a JVM of its own from Apache Kafka's Maven artifacts, cached.
//
// A package that uses it needs
//
//	func TestMain(m *testing.M) { kafkatest.Main(m) }
//
// # What it promises
//
// The broker answers when a function returns it, and has one node (or, with
// [Nodes], several, each of which can be killed, restarted and paused alone),
// Kafka's own defaults in everything that a client can notice, and nothing of
// other tests in it as long as every test takes its topic names from
// [Cluster.Topic]. A restart
// happens on the same data and the same addresses. Nothing stays behind: not when
// the tests end, and not when the test process is killed: a watchdog process kills
// the broker then, or, if it is a container, the reaper of testcontainers unless
// that was turned off.
//
// Where no Kafka is to be had, a test that asks for one is skipped with the
// reason outside CI, and fails in CI (the environment variable CI is set, and
// neither "0" nor "false"). [Main] repeats the reason as the last line of the
// output. A Kafka that is to be had and does not start is a failure everywhere.
//
// # What it does not do
//
// It makes no TLS, no SASL other than PLAIN, and no containers of several nodes:
// such a cluster is of JVMs, whatever the machine has. It does not tune the broker:
// transactions wait as they do for users.
//
// # Concurrency
//
// Everything may be called from several goroutines and, as to the cache, from
// several test processes. [Cluster.Kill], [Cluster.Stop], [Cluster.Restart],
// [Cluster.Pause], [Cluster.Resume] and those of a [Node] wait for each other.
//
// # Errors
//
// An [*UnavailableError] says what is missing, one reason for each way that was
// tried. [ErrNotOurs] is what a broker of somebody else answers to Kill. What
// goes wrong with a broker of ours names the end of its log.
//
// # Package state
//
// The shared broker and registry are package variables. They have to outlive the
// test that asks first, end after the last one, and be one for the whole test
// process: that is what a package variable is, and nothing but tests imports
// this.
package kafkatest
