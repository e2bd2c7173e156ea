package backfill

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// Seam is where the rows of a stream end and its events begin.
type Seam struct {
	Channel string
	Part    RowPart
	// First is the earliest event that the org retains, and Time when it happened; of
	// a stream that brought none, when that was seen.
	First replay.Position
	Time  time.Time
}

// Worker is the run's [pipeline.RowWorker]. It begins with the seams: where the events
// begin is known from the first of them. Entry makes the ledger's record of one.
func (r *Rows) Worker(b *Bounds, entry func(context.Context, Seam) (*kgo.Record, error), read pipeline.RowWorker) pipeline.RowWorker {
	return func(ctx context.Context, desk *pipeline.RowDesk) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var wg sync.WaitGroup
		for _, s := range r.run.Streams {
			if s.Rows == nil {
				continue
			}
			wg.Go(func() {
				if err := r.seal(ctx, b, desk, s, entry); err != nil && !errors.Is(err, pipeline.ErrHalted) {
					cancel(err)
				}
			})
		}
		wg.Wait()
		if err := context.Cause(ctx); err != nil {
			return err
		}
		return read(ctx, desk)
	}
}

// seal enters the seam of a stream into the ledger, once.
func (r *Rows) seal(ctx context.Context, b *Bounds, desk *pipeline.RowDesk, s Stream, entry func(context.Context, Seam) (*kgo.Record, error)) error {
	if closed(r.seam(s.Channel)) {
		return nil
	}
	at, err := b.edge(ctx, s.Channel)
	if err != nil {
		return err
	}
	at.Channel, at.Part = s.Channel, *s.Rows
	record, err := entry(ctx, at)
	if err != nil {
		return err
	}
	key := replay.Key{Org: r.runs.Org, Channel: s.Channel}
	seal := replay.Task{Key: key, ID: sealID, Body: json.RawMessage(`{}`), Updated: time.Now()}
	_, err = desk.Commit(ctx, pipeline.Chunk{Channel: s.Channel, Beside: func([]string) pipeline.Beside {
		return pipeline.Beside{Tasks: []replay.Task{seal}, Records: []*kgo.Record{record}}
	}})
	return err
}

// edge waits until it is known with which event a stream begins. One that is
// subscribed and brings none for as long as settle has none.
func (b *Bounds) edge(ctx context.Context, channel string) (Seam, error) {
	for {
		known, wait, at := b.look(channel)
		switch {
		case known == nil:
			return Seam{}, pipeline.ErrHalted
		case closed(known):
			return at, nil
		case wait <= 0:
			return Seam{Time: time.Now()}, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-known:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return Seam{}, context.Cause(ctx)
		}
	}
}

// look says what is known of the first event of a stream, what is closed when it is,
// and how long it has to be waited for. Nil: nobody reads the stream any more.
func (b *Bounds) look(channel string) (known <-chan struct{}, wait time.Duration, at Seam) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.open[channel]
	switch {
	case !ok:
		return nil, 0, Seam{}
	case !s.subscribed:
		return s.begun, b.settle, s.first
	}
	return s.begun, b.settle - time.Since(s.since), s.first
}

// meet takes note of the first events of streams. The lock is held.
func (b *Bounds) meet(ev *transform.Event) {
	if s := b.open[ev.Channel]; s != nil && !closed(s.begun) {
		s.first = Seam{First: replay.Position(ev.Position), Time: committed(ev.Payload)}
		close(s.begun)
	}
}

// committed is when a change happened; zero if its event does not say.
func committed(payload []byte) time.Time {
	var change struct {
		Header struct {
			At int64 `json:"commitTimestamp"`
		} `json:"ChangeEventHeader"` //nolint:tagliatelle // Salesforce's
	}
	if json.Unmarshal(payload, &change) != nil || change.Header.At == 0 {
		return time.Time{}
	}
	return time.UnixMilli(change.Header.At).UTC()
}

// sealed waits until the seams of the streams that a batch has events of are in the
// ledger: where they began could not be found out once their positions are behind it.
func (b *Bounds) sealed(ctx context.Context, batch pipeline.Batch) error {
	for i := range batch.Events {
		channel := batch.Events[i].Channel
		seam := b.rows.seam(channel)
		if known, _, _ := b.look(channel); seam == nil || known == nil { // of a halted one there will be none
			continue
		}
		select {
		case <-seam:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
