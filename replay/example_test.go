package replay_test

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/replay"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A lane is taken over: its producer commits a barrier, and what lies before it
// is read.
func Example() {
	ctx := context.Background()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer kafka.Close()
	seeds := []kgo.Opt{kgo.SeedBrokers(kafka.ListenAddrs()...)}

	store, err := replay.Open(ctx, replay.Config{
		Client: seeds,
		Topic:  "acme.positions",
		Org:    "00D000000000001AAA",
		Lanes:  4,
		Create: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	// In the bridge, a transactional producer writes these: package sink.
	producer, err := kgo.NewClient(append(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer producer.Close()

	key := replay.Key{Org: "00D000000000001AAA", Channel: "/data/AccountChangeEvent"}
	lane := store.LaneOf(key)
	barrier := store.Barrier(lane)
	err = producer.ProduceSync(ctx,
		store.Record(replay.Entry{Key: key, Position: "41", Source: "cometd"}),
		store.Record(replay.Entry{Key: key, Position: "42", Source: "cometd"}),
		barrier.Record(),
	).FirstErr()
	if err != nil {
		fmt.Println(err)
		return
	}

	entries, err := store.Load(ctx, lane, barrier)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key, "resumes after", entries[key].Position)

	// Output:
	// stream/00D000000000001AAA/data/AccountChangeEvent resumes after 42
}
