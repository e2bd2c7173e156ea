package kafkatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// In a package whose tests need Kafka, TestMain is this one line:
//
//	func TestMain(m *testing.M) { kafkatest.Main(m) }
//
// It has no output to compare: a broker needs a test that asks for it.
func Example() {
	_ = func(t *testing.T) {
		c := kafkatest.Start(t, kafkatest.Partitions(4))
		client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.DefaultProduceTopic(c.Topic(t)))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
