// Package integration tests the built binary against a simulated org and a real
// Apache Kafka: what it promises is shown by what an independent consumer sees.
// The packages below it are what the tests are made of, and useful alone.
package integration
