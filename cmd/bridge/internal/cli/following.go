package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// followRetry is how long what went wrong with following a topic is left alone.
	followRetry = time.Minute
	// followMetadata is how late it is noticed that the topic was made.
	followMetadata = 10 * time.Second
	// followFetch bounds the memory: such topics are read by the way.
	followFetch = 1 << 20
)

// following reads a topic of the bridge's own from its beginning, and goes on with
// what comes.
type following struct {
	topic string
	begin func(ctx context.Context) error // the reading begins: what was taken before comes again
	take  func(ctx context.Context, r *kgo.Record)
	seen  func(next int64) // everything before an offset of partition 0 was taken
	done  func()           // what was the topic's end when the reading began is reached
	idle  func(ctx context.Context)
	// lost is what is not known while the topic cannot be read.
	lost string
}

// keepFollowing does so until the returned function is called, which waits for the
// end. That the topic cannot be read hinders nothing else.
func (b *bridge) keepFollowing(intake context.Context, f following) (end func()) {
	ctx, cancel := context.WithCancel(intake)
	var wg sync.WaitGroup
	wg.Go(func() {
		told := ""
		for ctx.Err() == nil {
			err := b.follow(ctx, f)
			if ctx.Err() != nil {
				return
			}
			if why := fmt.Sprint(err); why != told {
				told = why
				b.log.Warn().Err(err).Str("topic", f.topic).Msg(f.lost)
			}
			wait(ctx, followRetry)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (b *bridge) follow(ctx context.Context, f following) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	left, _, err := unread(ctx, b.kafka, f.topic)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(slices.Concat(b.kafka, []kgo.Opt{
		kgo.ConsumeTopics(f.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), // the end of a transaction may be the last record
		kgo.MetadataMaxAge(followMetadata), kgo.FetchMaxBytes(followFetch), kgo.FetchMaxPartitionBytes(followFetch),
	})...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		if len(left) == 0 {
			f.done()
		}
		if err := f.poll(ctx, cl, left); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// poll takes what has come. left are the ends that are not reached yet.
func (f *following) poll(ctx context.Context, cl *kgo.Client, left map[int32]int64) error {
	poll, cancel := context.WithTimeout(ctx, followRetry)
	defer cancel()
	fetches := cl.PollFetches(poll)
	for _, failed := range fetches.Errors() {
		if poll.Err() == nil && !kerr.IsRetriable(failed.Err) {
			return failed.Err
		}
	}
	if poll.Err() != nil && f.idle != nil {
		f.idle(ctx)
	}
	for r := range fetches.RecordsAll() {
		if !r.Attrs.IsControl() {
			f.take(ctx, r)
		}
		if f.seen != nil && r.Partition == 0 {
			f.seen(r.Offset + 1)
		}
		if end, more := left[r.Partition]; more && r.Offset >= end-1 {
			delete(left, r.Partition)
		}
	}
	return nil
}
