package java

import (
	"strings"
	"testing"
)

// SinkRecord is a record that a sink connector is given, as it is in a topic.
type SinkRecord struct {
	Topic string `json:"topic"`
	Key   string `json:"key"`
	Value []byte `json:"value"` // in Confluent's wire format; nil for a tombstone
}

// Row is a row of a table, by column.
type Row map[string]any

// JDBCSink gives batches of records to Debezium's JDBC sink connector and returns the
// rows that the table has in a PostgreSQL after each. registryURL is that of
// Apicurio's API for Confluent's clients. settings are the connector's, as
// name=value; primary.key.fields is one field, which the record's key becomes.
func JDBCSink(tb testing.TB, registryURL, table string, settings []string, batches [][]SinkRecord) [][]Row {
	tb.Helper()
	native := strings.Replace(registryURL, "/apis/ccompat/v7", "/apis/registry/v2", 1)
	return each[[]Row](tb, build(tb, "jdbc/pom.xml", "jdbc/JdbcSink.java"), batches, append([]string{native, table}, settings...)...)
}
