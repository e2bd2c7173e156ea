package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sfbridge/bridge/transform"
)

// malformedLimit is how often running a reply may be no valid frame without
// one event between: a reply that is the same at each try will not get better.
// Those further apart than malformedWithin have nothing to do with each other.
const (
	malformedLimit  = 5
	malformedWithin = 15 * time.Minute
)

// carrier is one session of a lane at work: the poller and the committer.
type carrier struct {
	*Lane
	src Source
	committer
	batches   chan Batch
	holes     []Hole // found since the last batch
	malformed int
	garbled   time.Time // when the last of them came
	// interrupt ends the call of Next that is under way. The committer uses it
	// when it halts a stream: the org may have nothing to say for minutes, and
	// until Next returns the subscription would go on.
	interrupt atomic.Pointer[context.CancelFunc]
	orders    orders // of the watchdog
}

func newCarrier(l *Lane, src Source, w Writer, holes []Hole) *carrier {
	c := &carrier{Lane: l, src: src, batches: make(chan Batch, 1), holes: holes}
	c.committer = newCommitter(l, w, func() { (*c.interrupt.Load())() })
	return c
}

// run is the committer's goroutine; it owns the poller's and waits for it.
func (c *carrier) run(ctx, intake context.Context) error {
	polling, stop := context.WithCancel(intake)
	defer stop()
	polled := make(chan error, 1)
	go func() {
		polled <- c.poll(ctx, polling)
		close(c.batches)
	}()
	defer c.watched()()
	failed := c.consume(ctx, stop)
	if failed == nil {
		c.lastSeen(ctx)
	}
	return errors.Join(failed, <-polled)
}

// consume commits what the poller hands over until it has ended. After a failure
// it stops the poller, and takes the rest without committing it.
func (c *carrier) consume(ctx context.Context, stop func()) (failed error) {
	hourly := time.NewTicker(seenEvery)
	defer hourly.Stop()
	for {
		select {
		case b, open := <-c.batches:
			if !open {
				return failed
			}
			if failed == nil {
				failed = c.commit(ctx, b)
			}
			if failed != nil {
				stop()
				c.giveBack(b.Events)
			}
		case <-hourly.C:
			if failed == nil {
				failed = c.keepSeen(ctx, seenEvery/2)
			}
			if failed != nil {
				stop()
			}
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

// poll asks the source until intake ends or the policy says so.
func (c *carrier) poll(ctx, intake context.Context) error {
	halted := make(map[string]bool)
	asking, cancel := c.interruptible(intake)
	defer func() { cancel() }()
	for intake.Err() == nil {
		if asking.Err() != nil {
			asking, cancel = c.interruptible(intake)
		}
		if err := c.haltAtSource(halted); err != nil {
			return err
		}
		if err := c.obey(ctx); err != nil {
			return err
		}
		b, err := c.src.Next(asking)
		if len(b.Events) > 0 {
			c.malformed = 0
			c.receive(&b)
			b.Holes, c.holes = append(b.Holes, c.holes...), nil
			if !c.put(ctx, b) {
				c.giveBack(b.Events)
				return nil
			}
		}
		if err != nil && asking.Err() == nil {
			if err := c.sourceFailed(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// interruptible returns a context that interrupt ends.
func (c *carrier) interruptible(intake context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(intake)
	c.interrupt.Store(&cancel)
	return ctx, cancel
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
	case waiting := <-c.batches:
		if waiting.joins(b) && len(waiting.Events)+len(b.Events) <= c.cfg.MaxEvents && waiting.Bytes+b.Bytes <= c.cfg.MaxBytes {
			b = waiting.join(b)
		} else {
			c.batches <- waiting // only this goroutine sends, so there is room
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

// haltAtSource ends the subscriptions of streams that halted since the last call.
func (c *carrier) haltAtSource(done map[string]bool) error {
	left := 0
	for channel, s := range c.streams {
		if s.stats.haltedWhy() == "" {
			left++
			continue
		}
		if !done[channel] {
			done[channel] = true
			if err := c.src.Halt(channel); err != nil {
				return err
			}
		}
	}
	if left == 0 {
		return c.allHalted()
	}
	return nil
}

// sourceFailed acts upon an error of the source. Nil means: ask it again.
func (c *carrier) sourceFailed(err error) error {
	cond := Classify(err)
	channel := ""
	if se, ok := errors.AsType[*SourceError](err); ok {
		channel = se.Channel
	}
	d := Decide(cond, c.starting(channel))
	if cond == Malformed {
		if time.Since(c.garbled) > malformedWithin {
			c.malformed = 0
		}
		c.garbled = time.Now()
		if c.malformed++; c.malformed >= malformedLimit {
			return &ExitError{Code: ExitHalted, Err: fmt.Errorf("%d replies running were no valid frame: %w", c.malformed, err)}
		}
	}
	switch d.Action {
	case GoOn:
		c.cfg.Stats.trouble(c.cfg.Lane, cond, err)
		c.cfg.Log.Warn().Err(err).Str("condition", string(cond)).Int32("lane", c.cfg.Lane).Msg("source")
		return nil
	case HaltStream:
		c.haltStream(channel, err)
		return nil
	case Restart:
		return c.restart(channel, err)
	case Exit:
		return &ExitError{Code: d.Code, Err: err}
	default:
		return err
	}
}

// starting says whether a trouble of the source belongs to the start: a stream
// that was subscribed before was configured rightly.
func (c *carrier) starting(channel string) bool {
	if channel != "" {
		s, ok := c.streams[channel]
		return ok && !s.stats.everSubscribed()
	}
	for _, s := range c.streams {
		if s.stats.everSubscribed() {
			return false
		}
	}
	return true
}

// restart takes up a stream whose position the org refuses, by its policy.
func (c *carrier) restart(channel string, why error) error {
	s, ok := c.streams[channel]
	if !ok {
		return fmt.Errorf("the source reports trouble of a stream that this lane does not have: %w", why)
	}
	if s.agedOut(time.Now()) {
		c.cfg.Log.Info().Err(why).Str("channel", channel).Time("seen", s.readUntil()).
			Msg("the stream was quiet for longer than the org retains its position; it goes on with the earliest event that is retained, and nothing is lost")
		return c.src.Restart(channel, Start{Earliest: true})
	}
	if !s.OnExpired.Earliest && !s.OnExpired.Latest {
		c.haltStream(channel, why)
		return nil
	}
	c.cfg.Log.Error().Err(why).Str("channel", channel).Bool("earliest", s.OnExpired.Earliest).Bool("latest", s.OnExpired.Latest).
		Msg("the org refuses the stored position: events before the earliest that it retains are lost to the stream; it goes on by on_expired")
	c.dropHoles(channel) // one that was seen at the start is this one
	c.holes = append(c.holes, Hole{Channel: channel, Reason: transform.ReplayRefused, Detail: why.Error()})
	return c.src.Restart(channel, s.OnExpired)
}

// dropHoles forgets what was found of a stream and is not handed on yet.
func (c *carrier) dropHoles(channel string) {
	c.holes = slices.DeleteFunc(c.holes, func(h Hole) bool { return h.Channel == channel })
}
