package cometd_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// The loop of a consumer: positions are stored with the work, errors that pass
// are looked at and survived, others end it.
func Example() {
	server := &cometdtest.Server{} // in place of an org
	server.Publish("/event/Order__e", `{"schema":"s1","payload":{"Number__c":"A-1"}}`)
	server.Publish("/event/Order__e", `{"schema":"s1","payload":{"Number__c":"A-2"}}`)

	client, err := cometd.New(cometd.Config{
		Transport: server,
		Authorize: func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
			return cometd.Credentials{Endpoint: cometdtest.URL, Authorization: "Bearer 00D…"}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Subscribe("/event/Order__e", cometd.Earliest()); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	for ctx.Err() == nil {
		events, err := client.Next(ctx)
		if err != nil && !cometd.Retryable(err) {
			log.Print(err)
			break
		}
		for _, e := range events {
			fmt.Println(e.Channel, e.ReplayID, string(e.Payload))
			if e.ReplayID == 2 {
				stop()
			}
		}
	}
	if err := client.Close(context.Background()); err != nil {
		log.Print(err)
	}
	// Output:
	// /event/Order__e 1 {"Number__c":"A-1"}
	// /event/Order__e 2 {"Number__c":"A-2"}
}
