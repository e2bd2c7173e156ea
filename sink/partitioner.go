package sink

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partitioner sends positions where their Partition field says and everything
// else where Kafka's default partitioner would. Positions are told apart by
// their context, because a Partition of 0 cannot be told from one not set.
type partitioner struct{ inner kgo.Partitioner }

type topicPartitioner struct{ inner kgo.TopicPartitioner }

var (
	_ kgo.Partitioner                = partitioner{}
	_ kgo.TopicPartitioner           = topicPartitioner{}
	_ kgo.TopicPartitionerOnNewBatch = topicPartitioner{}
)

type fixedKey struct{}

// fixed marks a record's context so that its Partition field is kept.
func fixed(ctx context.Context) context.Context { return context.WithValue(ctx, fixedKey{}, true) }

func isFixed(r *kgo.Record) bool { return r.Context != nil && r.Context.Value(fixedKey{}) != nil }

// ForTopic returns the partitioner of one topic.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.inner.ForTopic(topic)}
}

// RequiresConsistency keeps a fixed or keyed record on its partition while that
// partition has no leader.
func (t topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return isFixed(r) || t.inner.RequiresConsistency(r)
}

// Partition chooses among n partitions.
func (t topicPartitioner) Partition(r *kgo.Record, n int) int {
	if isFixed(r) {
		return int(r.Partition)
	}
	return t.inner.Partition(r, n)
}

// OnNewBatch lets records without a key move on to another partition.
func (t topicPartitioner) OnNewBatch() {
	if b, ok := t.inner.(kgo.TopicPartitionerOnNewBatch); ok {
		b.OnNewBatch()
	}
}
