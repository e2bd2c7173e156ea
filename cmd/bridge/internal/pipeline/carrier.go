package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// carrier is one session of a lane at work: a poller for each of its sources, and
// the committer.
type carrier struct {
	*Lane
	pollers []*poller
	committer
	batches chan Batch
	desk    *RowDesk
	putting chan struct{} // of size 1: one poller at a time hands over
}

func newCarrier(l *Lane, sources []opened, w Writer, holes []Hole, tasks []replay.Task) *carrier {
	c := &carrier{Lane: l, batches: make(chan Batch, 1), putting: make(chan struct{}, 1)}
	for _, o := range sources {
		p := &poller{carrier: c, src: o.Source, channels: o.channels, alone: make(map[string]Hole)}
		if o.idle != nil {
			*o.idle = p.wentIdle
		}
		for _, h := range holes {
			if slices.Contains(o.channels, h.Channel) {
				p.found(h)
			}
		}
		c.pollers = append(c.pollers, p)
	}
	c.desk = newRowDesk(c, tasks)
	c.committer = newCommitter(l, w, c.interrupt)
	return c
}

// interrupt ends the calls of Next that are under way. The committer uses it when
// it halts a stream: the org may have nothing to say for minutes, and until Next
// returns the subscription would go on.
func (c *carrier) interrupt() {
	for _, p := range c.pollers {
		if end := p.asking.Load(); end != nil { // one that has not begun looks first
			(*end)()
		}
	}
}

// run is the committer's goroutine; it owns the pollers' and waits for them. The end
// of one with an error ends all.
func (c *carrier) run(ctx, intake context.Context) error {
	polling, stop := context.WithCancel(intake)
	defer stop()
	polled := make([]error, len(c.pollers))
	var wg sync.WaitGroup
	for i, p := range c.pollers {
		wg.Go(func() {
			if polled[i] = p.poll(ctx, polling); polled[i] != nil {
				stop()
			}
		})
	}
	go func() {
		wg.Wait()
		close(c.batches)
	}()
	defer c.watched()()
	worked := c.work(polling, stop)
	failed := c.consume(ctx, stop)
	stop()
	rows := worked()
	if failed == nil {
		c.lastSeen(ctx)
	}
	return errors.Join(failed, rows, errors.Join(polled...))
}

// consume commits what the pollers hand over until they have ended. After a failure
// it stops them, and takes the rest without committing it.
func (c *carrier) consume(ctx context.Context, stop func()) (failed error) {
	hourly := time.NewTicker(seenEvery)
	defer hourly.Stop()
	var turns turns
	for {
		var rows <-chan *rowOrder
		if failed == nil && turns.rows(len(c.batches)) {
			rows = c.desk.in
		}
		select {
		case b, open := <-c.batches:
			if !open {
				return failed
			}
			turns.events()
			if failed == nil {
				failed = c.commit(ctx, b)
			}
			if failed != nil {
				c.giveBack(b.Events)
			}
		case o := <-rows:
			began := time.Now()
			failed = c.take(ctx, o)
			turns.took(time.Since(began))
		case <-turns.rest:
			turns.rest = nil
		case <-hourly.C:
			if failed == nil {
				failed = c.keepSeen(ctx, seenEvery/2)
			}
		}
		if failed != nil {
			stop()
		}
	}
}

// lastSeen writes until when quiet streams were seen. That it cannot be written
// costs the next session nothing but knowledge.
func (c *carrier) lastSeen(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, seenPatience)
	defer cancel()
	if err := c.keepSeen(ctx, seenAtEnd); err != nil && ctx.Err() == nil {
		c.cfg.Log.Warn().Err(err).Int32("lane", c.cfg.Lane).Msg("the last look at quiet streams is not kept")
	}
}

// receive counts what was taken.
func (c *carrier) receive(b *Batch) {
	now := time.Now()
	for i := range b.Events {
		s, ok := c.streams[b.Events[i].Channel]
		if !ok {
			continue // the committer ends the lane
		}
		s.stats.took(now)
		if s.stats.starving.Load() != nil {
			c.fed(s)
		}
	}
}

// giveBack counts events that were taken and will come again, since their
// position is not durable.
func (c *carrier) giveBack(events []transform.Event) {
	for i := range events {
		if s, ok := c.streams[events[i].Channel]; ok {
			s.stats.Returned.Add(1)
		}
	}
}

// put hands a batch to the committer. While the committer is at work and the
// waiting batch has room, the new events join it; when it is full, put blocks,
// and with it the reading of the org's reply: that is all the buffering there
// is. It returns false when ctx ended first.
func (c *carrier) put(ctx context.Context, b Batch) bool {
	select {
	case c.putting <- struct{}{}:
		defer func() { <-c.putting }()
	case <-ctx.Done():
		return false
	}
	select {
	case waiting := <-c.batches:
		if waiting.joins(b) && len(waiting.Events)+len(b.Events) <= c.cfg.MaxEvents && waiting.Bytes+b.Bytes <= c.cfg.MaxBytes {
			b = waiting.join(b)
		} else {
			c.batches <- waiting // nobody else sends now, so there is room
		}
	default:
	}
	select {
	case c.batches <- b:
		return true
	case <-ctx.Done():
		return false
	}
}
