package sink_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/sfbridge/bridge/sink"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A batch and the position that it reaches become visible together.
func Example() {
	ctx := context.Background()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "acme.positions"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer kafka.Close()

	cfg := sink.Config{
		Client:          []kgo.Opt{kgo.SeedBrokers(kafka.ListenAddrs()...)},
		TransactionalID: "acme-lane-0",
		Topics:          sink.TopicConfig{Create: true, Partitions: 3},
	}
	producer, err := sink.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer producer.Close(ctx)

	records := []*kgo.Record{{Topic: "salesforce.Account", Key: []byte("001A0000001"), Value: []byte("…")}}
	positions := []*kgo.Record{{Topic: "acme.positions", Partition: 0, Key: []byte("stream"), Value: []byte("42")}}
	fmt.Println("commit:", producer.Commit(ctx, records, positions))

	// Another instance takes the lane over. From here on the first one is
	// fenced: nothing that it writes will be seen.
	successor, err := sink.Open(ctx, cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer successor.Close(ctx)
	err = producer.Commit(ctx, records, positions)
	fmt.Println("fenced:", errors.Is(err, sink.ErrFenced))

	// Output:
	// commit: <nil>
	// fenced: true
}
