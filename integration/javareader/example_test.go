package javareader_test

import (
	"testing"

	"github.com/sfbridge/bridge/integration/javareader"
	"github.com/sfbridge/bridge/integration/kafkatest"
)

// It has no output to compare: a broker needs a test that asks for it.
func Example() {
	_ = func(t *testing.T) {
		brokers, registry := kafkatest.Shared(t).Brokers(), kafkatest.Registry(t)
		for _, r := range javareader.Read(t, brokers, registry, []string{"salesforce.Account"}, 50) {
			t.Logf("%s/%d@%d %s %s", r.Topic, r.Partition, r.Offset, r.Key, r.Value)
		}
	}
}
