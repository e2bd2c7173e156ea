package sink

import (
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// What holds on the fake must hold on Apache's own Kafka.
func TestOnKafka(t *testing.T) {
	brokers := kafkatest.Shared(t).Brokers()
	for name, f := range suite {
		t.Run(name, func(t *testing.T) { f(t, brokers) })
	}
}
