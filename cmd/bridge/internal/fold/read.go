package fold

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Read folds what is committed in the topics now, behind what it has read before; it
// may fold more. A topic that does not exist holds nothing.
func (f *Fold) Read(ctx context.Context) error {
	if f.failed != nil {
		return f.failed
	}
	left, err := f.begin(ctx)
	if err != nil {
		return err
	}
	var of int64
	for p, end := range left {
		of += end - f.next[p]
	}
	for len(left) > 0 {
		fetches := f.cfg.Client.PollFetches(ctx)
		if ctx.Err() != nil && fetches.NumRecords() == 0 {
			return ctx.Err()
		}
		if err := f.takeAll(ctx, fetches, left); err != nil {
			return err
		}
		if f.cfg.Progress != nil {
			f.cfg.Progress(of-f.ahead(left), of)
		}
	}
	return nil
}

// takeAll folds what was fetched. Errors come behind the records beside them, which the
// client does not give again.
func (f *Fold) takeAll(ctx context.Context, fetches kgo.Fetches, left map[place]int64) error {
	for r := range fetches.RecordsAll() {
		if err := f.take(ctx, r); err != nil {
			return err
		}
		if p := (place{r.Topic, r.Partition}); left[p] <= f.next[p] {
			delete(left, p)
		}
	}
	return lasting(fetches.Errors())
}

// lasting is the first error that asking again does not change.
func lasting(failures []kgo.FetchError) error {
	for _, failed := range failures {
		if !kerr.IsRetriable(failed.Err) && !errors.Is(failed.Err, context.Canceled) && !errors.Is(failed.Err, context.DeadlineExceeded) {
			return failed.Err
		}
	}
	return nil
}

func (f *Fold) ahead(left map[place]int64) (n int64) {
	for p, end := range left {
		n += end - f.next[p]
	}
	return n
}

// take folds a record that was read. An error leaves the records behind it unread.
func (f *Fold) take(ctx context.Context, r *kgo.Record) error {
	if !r.Attrs.IsControl() {
		if f.failed = f.Apply(ctx, r); f.failed != nil {
			return f.failed
		}
	}
	f.next[place{r.Topic, r.Partition}] = r.Offset + 1
	return nil
}

// Listing offsets fails for a moment when a partition gets another leader.
const (
	listTries = 60
	listAgain = 500 * time.Millisecond
)

// list asks for the offsets that partitions begin with, and for their committed ends.
func (f *Fold) list(ctx context.Context) (starts, ends kadm.ListedOffsets, err error) {
	adm := kadm.NewClient(f.cfg.Client)
	for try := 1; ; try++ {
		if starts, err = adm.ListStartOffsets(ctx, f.cfg.Topics...); err == nil {
			ends, err = adm.ListCommittedOffsets(ctx, f.cfg.Topics...)
		}
		if err == nil {
			err = errors.Join(present(starts), present(ends))
		}
		if err == nil || try == listTries || ctx.Err() != nil || !kerr.IsRetriable(err) {
			return starts, ends, err
		}
		select {
		case <-time.After(listAgain):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// begin finds the committed end of each partition that has something to read, and
// begins to consume those that are new.
func (f *Fold) begin(ctx context.Context) (map[place]int64, error) {
	starts, ends, err := f.list(ctx)
	if err != nil {
		return nil, err
	}
	left := make(map[place]int64)
	fresh := make(map[string]map[int32]kgo.Offset)
	for _, end := range ends.Offsets().Sorted() {
		start, ok := starts.Lookup(end.Topic, end.Partition)
		if !ok || start.Err != nil {
			continue // the topic was made just now
		}
		p := place{end.Topic, end.Partition}
		if _, known := f.next[p]; !known {
			f.next[p] = start.Offset
			if fresh[p.topic] == nil {
				fresh[p.topic] = make(map[int32]kgo.Offset)
			}
			fresh[p.topic][p.partition] = kgo.NewOffset().At(start.Offset)
		}
		if f.next[p] < end.At {
			left[p] = end.At
		}
	}
	f.cfg.Client.AddConsumePartitions(fresh)
	return left, nil
}

// present is the error of a listing, unless it is that a topic does not exist.
func present(listed kadm.ListedOffsets) (err error) {
	listed.Each(func(o kadm.ListedOffset) {
		if err == nil && o.Err != nil && !errors.Is(o.Err, kerr.UnknownTopicOrPartition) {
			err = o.Err
		}
	})
	return err
}
