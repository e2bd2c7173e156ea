package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Between two questions whether something is ready.
const pollEvery = 50 * time.Millisecond

const anyNode int32 = -1

// awaitBroker returns when the broker at addrs knows of a cluster that has the
// node with that id in it, or, with anyNode, any. It gives up when ctx ends, or
// when the broker does, if there is a way to tell.
func awaitBroker(ctx context.Context, ended func() bool, id int32, addrs ...string) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(addrs...),
		kgo.DialTimeout(2*time.Second),
		kgo.RetryTimeout(time.Second),
		kgo.AlwaysRetryEOF(), // a container's port proxy accepts before the broker listens
	)
	if err != nil {
		return fmt.Errorf("brokers %v: %w", addrs, err)
	}
	defer client.Close()
	return poll(ctx, ended, func(ctx context.Context) error {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none, where null is all
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		for _, b := range resp.Brokers {
			if id == anyNode || b.NodeID == id {
				return nil
			}
		}
		return errors.New("the broker has not registered yet")
	})
}

// poll calls ready until it returns nil, ended (which may be nil) says that there
// is nothing left to wait for, or ctx ends.
func poll(ctx context.Context, ended func() bool, ready func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := ready(once)
		cancel()
		if err == nil {
			return nil
		}
		if ended != nil && ended() {
			return errors.New("it has ended before it was ready")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w (%w)", err, ctx.Err())
		case <-tick.C:
		}
	}
}
