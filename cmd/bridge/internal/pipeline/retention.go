package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// The org keeps events for a time only, and refuses a position whose event it
// does not keep any more. On a quiet stream that happens to a position behind
// which nothing ever came. So that this is told from a loss, a stream knows up to
// when it was seen to have nothing more, and keeps that beside its position.

const (
	// retentionMargin is what is taken off the retention before it is concluded
	// that nothing was lost: for clocks, for events that are delivered late, and
	// for how rarely it is written down until when a stream was seen.
	retentionMargin = time.Hour
	// seenEvery is how often a quiet stream's position is written with the time
	// until which it was seen.
	seenEvery = time.Hour
	// seenAtEnd is what must be new since then to write it when a session ends.
	seenAtEnd = time.Minute
	// seenPatience bounds the writing at the end of a session: it is a courtesy
	// to the next one.
	seenPatience = 2 * time.Second
	// fresh is how young an event must be to show that its session is not behind.
	fresh = 5 * time.Minute
)

// current notes that at that moment the session had nothing more that its
// streams wait for: a long poll brought nothing, or an event that had just
// happened. It concerns streams of that session, which were subscribed before it.
func (l *Lane) current(kind string, at time.Time) {
	for _, s := range l.streams {
		if s.source() == kind {
			s.stats.sawUntil(at)
		}
	}
}

// readUntil is the time up to which the stream is known to have been read; zero
// if that is not known.
func (s *laneStream) readUntil() time.Time {
	st := s.stats.state("")
	return latestOf(st.EventTime, st.Seen, s.since.at)
}

func latestOf(times ...time.Time) time.Time {
	var out time.Time
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

// agedOut says whether a refused position is just too old, and nothing is lost:
// every event behind it is younger than what the org still retains.
func (s *laneStream) agedOut(now time.Time) bool {
	keeps := s.Retention - retentionMargin
	_, eventTime := s.stats.reached()
	return keeps > 0 && !eventTime.IsZero() && now.Sub(eventTime) > keeps && now.Sub(s.readUntil()) < keeps
}

// overdue is the hole that a stream has which was last read longer ago than the
// org retains its events; nil if it was not. The org need not refuse the
// position: it may go on with the earliest event that it has.
func (s *laneStream) overdue(now time.Time) *Hole {
	read := s.readUntil()
	if s.Retention <= 0 || read.IsZero() || now.Sub(read) <= s.Retention {
		return nil
	}
	return &Hole{Channel: s.Key.Channel, Reason: transform.RetentionPassed, Detail: fmt.Sprintf(
		"the stream was last read up to %s, and Salesforce retains its events for %s: those between then and %s may be lost",
		read.UTC().Format(time.RFC3339), s.Retention, now.Add(-s.Retention).UTC().Format(time.RFC3339))}
}

// entry is the position record of a stream. If it is not known when its event
// happened, the time of the one before it is kept: from none at all nothing could
// be concluded later.
func (s *laneStream) entry(position string, eventTime time.Time, owner string) replay.Entry {
	if eventTime.IsZero() {
		_, eventTime = s.stats.reached()
	}
	e := replay.Entry{
		Key: s.Key, Position: replay.Position(position), EventTime: eventTime,
		Updated: time.Now(), Source: s.source(), Owner: owner,
		OrgInstance: s.instance, Generation: s.generation,
	}
	if seen := s.stats.state("").Seen; seen.After(eventTime) {
		e.Seen = seen
	}
	return e
}

// keepSeen writes the positions of quiet streams again, with the time until which
// they were seen, if at least so much was added to it.
func (c *committer) keepSeen(ctx context.Context, atLeast time.Duration) error {
	var positions []*kgo.Record
	kept := make(map[*laneStream]time.Time)
	for _, s := range c.l.streams {
		st := s.stats.state(s.Key.Channel)
		known := st.Position != "" || !s.since.at.IsZero()
		if !known || st.InFlight > 0 || st.Halted != "" || st.Seen.Sub(latestOf(s.kept, st.EventTime, s.since.at)) < atLeast {
			continue
		}
		e := s.entry(st.Position, st.EventTime, c.l.cfg.Owner)
		if !s.since.past {
			e.Since = s.since.at
		}
		positions = append(positions, c.l.cfg.Positions.Record(e))
		kept[s] = e.Seen
	}
	if len(positions) == 0 {
		return nil
	}
	if err := c.write(ctx, nil, positions); err != nil {
		return fmt.Errorf("writing until when %d quiet streams of lane %d were seen: %w", len(positions), c.l.cfg.Lane, err)
	}
	for s, at := range kept {
		s.kept = at
	}
	return nil
}
