package foreign_test

import (
	"testing"

	"github.com/sfbridge/bridge/integration/foreign/java"
	"github.com/sfbridge/bridge/integration/kafkatest"
)

// It has no output to compare: a broker needs a test that asks for it.
func ExampleReader() {
	_ = func(t *testing.T) {
		brokers, registry := kafkatest.Shared(t).Brokers(), kafkatest.Registry(t)
		for _, r := range java.Reader(t).Read(t, brokers, registry, []string{"salesforce.Account"}, 50) {
			t.Logf("%s/%d@%d %s %s", r.Topic, r.Partition, r.Offset, r.Key, r.Value)
		}
	}
}
