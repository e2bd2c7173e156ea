package foreign_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/sfbridge/bridge/integration/kafkatest"
)

func register(t *testing.T, registryURL, subject string) (id int) {
	t.Helper()
	client, err := sr.NewClient(sr.URLs(registryURL))
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateSchema(t.Context(), subject, sr.Schema{Schema: thingSchema})
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	return made.ID
}

func create(t *testing.T, c *kafkatest.Cluster, topics ...string) {
	t.Helper()
	client := dial(t, c)
	responses, err := kadm.NewClient(client).CreateTopics(t.Context(), 3, 1, nil, topics...)
	if err = errors.Join(err, responses.Error()); err != nil {
		t.Fatalf("create topics: %v", err)
	}
}

func transact(t *testing.T, c *kafkatest.Cluster, records []*kgo.Record, end kgo.TransactionEndTry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := dial(t, c, kgo.TransactionalID(c.Topic(t)))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	// franz-go 1.22.2 ends a transaction without sending anything as long as its
	// own table of topics lacks the partitions that were written to.
	for _, r := range records {
		for leader := int32(-1); leader < 0; {
			var err error
			if leader, _, err = client.PartitionLeader(r.Topic, r.Partition); err != nil || ctx.Err() != nil {
				t.Fatalf("leader of partition %d of %s: %v", r.Partition, r.Topic, errors.Join(err, ctx.Err()))
			}
		}
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		t.Fatalf("end the transaction: %v", err)
	}
}

func dial(t *testing.T, c *kafkatest.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
