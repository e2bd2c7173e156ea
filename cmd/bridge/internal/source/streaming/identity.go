package streaming

import (
	"context"
	"errors"
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
)

// BusResetError says that the org sent an event with a smaller replay id than the
// one that the stream was subscribed behind. Ids grow, so the org did not know that
// id, or gave it to another event: its event bus is a new one.
type BusResetError struct {
	Channel     string
	Behind, Got int64 // replay ids
}

func (e *BusResetError) Error() string {
	return fmt.Sprintf("%s was subscribed behind replay id %d, and the next event has %d: the event bus was reset, and ids of the old one mean nothing on it",
		e.Channel, e.Behind, e.Got)
}

// place is where a stream is.
type place struct {
	last  int64 // replay id of the last event taken, or of the one that it was subscribed behind
	known bool  // there is such an id
	first bool  // no event has come since it was subscribed behind it
}

// begins notes that the org accepted a session, in which all streams are subscribed
// again. The first session is as old as the Source.
func (s *Source) begins() {
	s.sessions++
	if s.sessions == 1 {
		return
	}
	s.moving = s.moved != nil
	for channel := range s.streams {
		s.again(channel)
	}
}

// expect notes from where a stream is subscribed.
func (s *Source) expect(channel string, from cometd.From) {
	id := from.Replay()
	s.streams[channel] = &place{last: id, known: id >= 0, first: id >= 0}
}

// again notes that a stream is subscribed behind the last event taken.
func (s *Source) again(channel string) {
	if at := s.streams[channel]; at != nil {
		at.first = at.known
	}
}

// examine is an error if the events are not such as follow the positions. A replay
// id is compared here and nowhere else: to everybody but the source a position is
// opaque (I4).
func (s *Source) examine(ctx context.Context, events []cometd.Event) error {
	if len(events) == 0 {
		return nil
	}
	if s.moving {
		if err := s.moved(ctx); err != nil {
			if errors.Is(err, context.Canceled) {
				return err
			}
			return &pipeline.SourceError{Condition: pipeline.OrgMoved, Err: err}
		}
		s.moving = false
	}
	for i := range events {
		e := &events[i]
		at := s.streams[e.Subscription]
		if at == nil || !e.HasReplayID {
			continue
		}
		// What the org sends twice has the same id, and is no sign of anything.
		if at.first && e.ReplayID < at.last {
			return &pipeline.SourceError{Condition: pipeline.PositionForeign, Channel: e.Subscription, Err: &BusResetError{e.Subscription, at.last, e.ReplayID}}
		}
		at.last, at.known, at.first = e.ReplayID, true, false
	}
	return nil
}
