package fold_test

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
)

// Which records a topic says to be there: keys and headers tell, whatever the values are.
func Example() {
	ctx := context.Background()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "salesforce.Account"))
	if err != nil {
		panic(err)
	}
	defer kafka.Close()
	client, err := kgo.NewClient(append(fold.ClientOptions(), kgo.SeedBrokers(kafka.ListenAddrs()...))...)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	for _, change := range []struct{ id, kind string }{
		{"001000000000001AAA", "CREATE"}, {"001000000000002AAA", "SNAPSHOT"}, {"001000000000001AAA", "DELETE"},
	} {
		if err := client.ProduceSync(ctx, &kgo.Record{
			Topic: "salesforce.Account", Key: []byte(change.id), Value: []byte("{}"),
			Headers: []kgo.RecordHeader{{Key: "sf-object", Value: []byte("Account")}, {Key: "sf-change-type", Value: []byte(change.kind)}},
		}).FirstErr(); err != nil {
			panic(err)
		}
	}

	accounts, err := fold.New(fold.Config{Client: client, Topics: []string{"salesforce.Account"}, Object: "Account"})
	if err != nil {
		panic(err)
	}
	if err := accounts.Read(ctx); err != nil {
		panic(err)
	}
	for id := range accounts.IDs() {
		fmt.Println(id)
	}
	// Output: 001000000000002AAA
}
