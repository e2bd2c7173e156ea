package sink

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

// BenchmarkCommit is how often a producer commits that begins the next transaction
// at once, on one node.
func BenchmarkCommit(b *testing.B) {
	brokers := kafkatest.Start(b).Brokers()
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			topic := fmt.Sprintf("bench-%d-%d", n, b.N)
			p, err := Open(b.Context(), Config{
				Client:          []kgo.Opt{kgo.SeedBrokers(brokers...)},
				TransactionalID: topic,
				Topics:          TopicConfig{Create: true, Partitions: 3, ReplicationFactor: 1},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = p.Close(b.Context()) }()
			commit := func() {
				if err := p.Commit(b.Context(), records(topic, n), nil); err != nil {
					b.Fatal(err)
				}
			}
			commit() // creates the topic
			for b.Loop() {
				commit()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
