package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

// openGaps counts the gaps of this org that lack data, by following the ledger: what
// other processes have entered, before and now, is known from there alone. Its zero
// value knows nothing yet.
type openGaps struct {
	mu     sync.Mutex
	read   bool                   // up to what was the ledger's end when the reading began
	open   map[string]string      // channel by id
	counts map[string]int         // by channel
	unread map[string]*kgo.Record // by id: what cannot be read may be open, of whichever stream
}

// of is how many gaps of a channel are open; nil while that is not known.
func (g *openGaps) of(channel string) *int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.read || len(g.unread) > 0 {
		return nil
	}
	n := g.counts[channel]
	return &n
}

func (g *openGaps) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = false
	g.open, g.counts, g.unread = make(map[string]string), make(map[string]int), make(map[string]*kgo.Record)
}

func (g *openGaps) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = true
}

// take notes what a record says. An error says that it cannot be read, and is told
// once for a record.
func (g *openGaps) take(ctx context.Context, reader *transform.LedgerReader, org string, r *kgo.Record) error {
	id := string(r.Key)
	var e transform.LedgerEntry
	var err error
	if r.Value != nil {
		e, err = reader.Read(ctx, r)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if channel, was := g.open[id]; was {
		delete(g.open, id)
		g.counts[channel]--
	}
	if err != nil {
		if g.unread[id] == r {
			err = nil
		}
		g.unread[id] = r
		return err
	}
	delete(g.unread, id)
	if r.Value != nil && e.Org == org && e.Unfilled() {
		g.open[id] = e.Channel
		g.counts[e.Channel]++
	}
	return nil
}

// waiting are the records that could not be read.
func (g *openGaps) waiting() (out []*kgo.Record) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.unread {
		out = append(out, r)
	}
	return out
}

const (
	// gapsRetry is how long what went wrong with reading the ledger is left alone.
	gapsRetry = time.Minute
	// gapsMetadata is how late it is noticed that the topic was made.
	gapsMetadata = 10 * time.Second
	// gapsFetch bounds the memory: the ledger is read by the way.
	gapsFetch = 1 << 20
)

// followingGaps follows the ledger until the returned function is called, which
// waits for the end. That the ledger cannot be read hinders nothing else.
func (b *bridge) followingGaps(intake context.Context) (end func()) {
	ctx, cancel := context.WithCancel(intake)
	var wg sync.WaitGroup
	wg.Go(func() {
		told := ""
		for ctx.Err() == nil {
			b.gaps.reset()
			err := b.followGaps(ctx)
			if ctx.Err() != nil {
				return
			}
			if why := fmt.Sprint(err); why != told {
				told = why
				b.log.Warn().Err(err).Str("topic", b.gapsTopic()).Msg("the gap ledger cannot be read: how many gaps are open is not known")
			}
			wait(ctx, gapsRetry)
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

// followGaps reads the ledger from its beginning, and goes on with what comes.
func (b *bridge) followGaps(ctx context.Context) error {
	reader, err := b.ledgerReader()
	if err != nil {
		return err
	}
	left, _, err := unread(ctx, b.kafka, b.gapsTopic())
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(slices.Concat(b.kafka, []kgo.Opt{
		kgo.ConsumeTopics(b.gapsTopic()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), // the end of a transaction may be the last record
		kgo.MetadataMaxAge(gapsMetadata), kgo.FetchMaxBytes(gapsFetch), kgo.FetchMaxPartitionBytes(gapsFetch),
	})...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		if len(left) == 0 {
			b.gaps.done()
		}
		if err := b.pollGaps(ctx, cl, reader, left); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// pollGaps takes what has come, or tries again what could not be read. left are the
// ends that are not reached yet.
func (b *bridge) pollGaps(ctx context.Context, cl *kgo.Client, reader *transform.LedgerReader, left map[int32]int64) error {
	poll, cancel := context.WithTimeout(ctx, gapsRetry)
	defer cancel()
	fetches := cl.PollFetches(poll)
	for _, failed := range fetches.Errors() {
		if poll.Err() == nil && !kerr.IsRetriable(failed.Err) {
			return failed.Err
		}
	}
	take := func(r *kgo.Record) {
		if err := b.gaps.take(ctx, reader, b.org.id, r); err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("an entry of the gap ledger cannot be read: how many gaps are open is not known")
		}
	}
	if poll.Err() != nil {
		for _, r := range b.gaps.waiting() {
			take(r)
		}
	}
	for r := range fetches.RecordsAll() {
		if !r.Attrs.IsControl() {
			take(r)
		}
		if end, more := left[r.Partition]; more && r.Offset >= end-1 {
			delete(left, r.Partition)
		}
	}
	return nil
}
