package sink

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// TestMain lets more tests run side by side than there are processors: they wait
// for timeouts and do not compute.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kafkatest.Main(m)
}

// What holds on the fake must hold on Apache's own Kafka.
func TestOnKafka(t *testing.T) {
	brokers := kafkatest.Shared(t).Brokers()
	for name, f := range suite {
		t.Run(name, func(t *testing.T) { f(t, brokers) })
	}
}
