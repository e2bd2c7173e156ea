package cli

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

// openGaps has the gaps of this org that lack data, by following the ledger: what
// other processes have entered, before and now, is known from there alone. Its zero
// value knows nothing yet.
type openGaps struct {
	mu      sync.Mutex
	read    bool                      // up to what was the ledger's end when the reading began
	open    map[string]transform.Hole // by id
	unread  map[string]*kgo.Record    // by id: what cannot be read may be open, of whichever stream
	changes pipeline.Changes
}

// of is how many gaps of a channel are open; nil while that is not known.
func (g *openGaps) of(channel string) *int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.read || len(g.unread) > 0 {
		return nil
	}
	n := 0
	for _, h := range g.open {
		if h.Channel == channel {
			n++
		}
	}
	return &n
}

func (g *openGaps) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = false
	g.open, g.unread = make(map[string]transform.Hole), make(map[string]*kgo.Record)
}

func (g *openGaps) done() {
	g.mu.Lock()
	was := g.read
	g.read = true
	g.mu.Unlock()
	if !was {
		g.changes.Changed()
	}
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
	defer g.changes.Changed()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, id)
	if err != nil {
		if g.unread[id] == r {
			err = nil
		}
		g.unread[id] = r
		return err
	}
	delete(g.unread, id)
	if r.Value != nil && e.Org == org && e.Unfilled() {
		g.open[id] = e.Hole
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

// followingGaps follows the ledger until the returned function is called, which
// waits for the end.
func (b *bridge) followingGaps(intake context.Context) (end func()) {
	var reader *transform.LedgerReader
	take := func(ctx context.Context, r *kgo.Record) {
		if err := b.gaps.take(ctx, reader, b.org.id, r); err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("an entry of the gap ledger cannot be read: how many gaps are open is not known")
		}
	}
	return b.keepFollowing(intake, following{
		topic: b.gapsTopic(), lost: "the gap ledger cannot be read: how many gaps are open is not known",
		begin: func(context.Context) (err error) {
			b.gaps.reset()
			reader, err = b.ledgerReader()
			return err
		},
		take: take, done: b.gaps.done,
		idle: func(ctx context.Context) {
			for _, r := range b.gaps.waiting() {
				take(ctx, r)
			}
		},
	})
}
