package pipeline

import (
	"context"
	"time"

	"github.com/sfbridge/bridge/transform"
)

// settle forgets the holes that are in the ledger now; the others lie before
// the events of the next batch.
func (c *committer) settle() {
	for channel := range c.filled {
		delete(c.holes, channel)
	}
	for channel, h := range c.holes {
		h.At = 0
		c.holes[channel] = h
	}
}

// quiet makes entries of holes behind which nothing has come, and returns all of the
// batch's. An event that comes later lies behind a hole that the ledger has.
func (c *committer) quiet(b Batch) []*transform.Hole {
	entries := b.Entries
	for _, h := range b.Quiet {
		s, ok := c.l.streams[h.Channel]
		if !ok {
			continue
		}
		position, at := s.stats.reached()
		entries = append(entries, &transform.Hole{
			Org: s.Key.Org, Channel: h.Channel, Reason: h.Reason, Detail: h.Detail, State: transform.HoleOpen,
			FromPosition: position, FromTime: at, ToTime: time.Now(),
		})
		h.entered, h.At = true, 0
		c.holes[h.Channel] = h
	}
	return entries
}

// cross enters the hole that lies before an event into the ledger, whatever
// became of the event: its position is behind the hole.
func (c *committer) cross(ctx context.Context, s *laneStream, ev *transform.Event, at int, f *fate) error {
	h, ok := c.holes[ev.Channel]
	if !ok || at < h.At || c.filled[ev.Channel] || ev.Position == "" {
		return nil
	}
	if !h.entered {
		if err := c.enter(ctx, c.hole(s, h, ev, f.time), f); err != nil {
			return err
		}
	}
	c.filled[ev.Channel] = true
	return nil
}

// hole is the ledger's entry for a break that lies between what the stream
// reached and an event.
func (c *committer) hole(s *laneStream, h Hole, ev *transform.Event, at time.Time) *transform.Hole {
	from, ok := c.marks[ev.Channel]
	if !ok {
		from.position, from.time = s.stats.reached()
	}
	return &transform.Hole{
		Org: s.Key.Org, Channel: ev.Channel, Reason: h.Reason, Detail: h.Detail, State: transform.HoleOpen,
		FromPosition: from.position, FromTime: from.time, ToPosition: ev.Position, ToTime: at,
	}
}

// generation is that of the positions which the batch leads a stream to: behind a
// position that the org refused they are of another.
func (c *committer) generation(s *laneStream) int {
	if channel := s.Key.Channel; c.filled[channel] && c.holes[channel].Reason == transform.ReplayRefused {
		return s.generation + 1
	}
	return s.generation
}
