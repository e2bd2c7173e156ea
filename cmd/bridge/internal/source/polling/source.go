package polling

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// Kind is what streams of this source have as their [pipeline.Stream.Source].
const Kind = "query"

const (
	firstPause   = time.Second
	longestPause = time.Minute
	// limitPause is how long nothing is asked after the org has said that its allowance
	// is used up: it is counted over 24 hours, and others need it too.
	limitPause = 5 * time.Minute
)

// Source asks for the rows of its streams, one query at a time.
type Source struct {
	cfg     Config
	trace   pipeline.SourceTrace
	streams []*stream
	wake    chan struct{} // of size 1
	// After trouble nothing is asked before paused; failures counts what went wrong with
	// nothing good between.
	paused   time.Time
	failures int
}

var _ pipeline.Source = (*Source)(nil)

// Open prepares the reading of streams; nothing is sent before the first Next.
func Open(cfg Config, streams []pipeline.Resume, trace pipeline.SourceTrace) (*Source, error) {
	if cfg.open == nil && (cfg.Client == nil || cfg.Catalog == nil) {
		return nil, &salesforce.ConfigError{Field: "polling.Config", Problem: "has no client or no catalog", Try: "both"}
	}
	cfg.fill()
	s := &Source{cfg: cfg, trace: trace, wake: make(chan struct{}, 1)}
	if cfg.open == nil {
		o := &opener{cfg: &s.cfg}
		s.cfg.open = o.open
	}
	for _, r := range streams {
		what, ok := cfg.Streams[r.Channel]
		if !ok {
			return nil, &pipeline.SourceError{Condition: pipeline.ChannelRefused, Channel: r.Channel, Err: &StreamError{
				Channel: r.Channel, Problem: "it is not configured", Try: "a stream with source: query"}}
		}
		p, err := from(r.Channel, r.Start)
		if err != nil {
			return nil, err
		}
		s.streams = append(s.streams, &stream{cfg: &s.cfg, what: what.filled(), channel: r.Channel, p: p, due: time.Now()})
	}
	return s, nil
}

// Next returns the events of a page as soon as there are some. It waits until a stream
// is to be looked at.
func (s *Source) Next(ctx context.Context) (pipeline.Batch, error) {
	for {
		st, woken, err := s.wait(ctx)
		if err != nil || woken {
			return pipeline.Batch{}, err
		}
		s.last(st)
		b, err := st.step(ctx)
		if err != nil {
			return pipeline.Batch{}, s.failed(ctx, st, err)
		}
		s.failures = 0
		s.trace.Alive()
		if !st.up {
			st.up = true
			s.trace.Subscribed(st.channel, true)
		}
		if len(b.Events) > 0 {
			return b, nil
		}
		s.tellIdle()
	}
}

// wait returns the stream that is to be looked at next, when it is time.
func (s *Source) wait(ctx context.Context) (next *stream, woken bool, _ error) {
	for {
		next = nil
		for _, st := range s.streams {
			if next == nil || st.when().Before(next.when()) {
				next = st
			}
		}
		at := time.Now().Add(time.Hour) // a source without a stream has nothing to do
		if next != nil {
			at = next.when()
		}
		if at.Before(s.paused) {
			at = s.paused
		}
		select {
		case <-s.wake:
			return nil, true, nil
		default:
		}
		pause := time.Until(at)
		if pause <= 0 {
			return next, false, ctx.Err()
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.wake:
			t.Stop()
			return nil, true, nil
		case <-ctx.Done():
			t.Stop()
			return nil, false, ctx.Err()
		}
	}
}

// last puts a stream behind the others: of those whose time has come, each has its turn.
func (s *Source) last(st *stream) {
	i := slices.Index(s.streams, st)
	s.streams = append(slices.Delete(s.streams, i, i+1), st)
}

// failed paces what comes after trouble, and gives it its condition.
func (s *Source) failed(ctx context.Context, st *stream, err error) error {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return err
	}
	st.restart()
	err = sourceError(st.channel, err)
	c := pipeline.Classify(err)
	if c == pipeline.ChannelRefused { // of the stream alone: it will be halted
		st.due = time.Now().Add(longestPause)
		return err
	}
	pause := min(firstPause<<min(s.failures, 10), longestPause)
	if c == pipeline.LimitExceeded {
		pause = limitPause
	}
	s.failures++
	s.paused = time.Now().Add(pause + time.Duration(rand.Int64N(int64(pause)/2+1))) //nolint:gosec // only spreads the load
	s.trace.SessionEnded(c)
	return err
}

// tellIdle tells that all streams were looked at and had nothing more, once for each
// round.
func (s *Source) tellIdle() {
	for _, st := range s.streams {
		if !st.quiet {
			return
		}
	}
	for _, st := range s.streams {
		st.quiet = false
	}
	s.trace.Idle()
}

// Restart reads a stream from another place on.
func (s *Source) Restart(channel string, at pipeline.Start) error {
	p, err := from(channel, at)
	if err != nil {
		return err
	}
	if st := s.stream(channel); st != nil {
		st.p, st.clock = p, clock{} // the next look says what the beginning means
		st.restart()
		st.due = time.Now()
	}
	return nil
}

// Halt stops reading a stream.
func (s *Source) Halt(channel string) error {
	for i, st := range s.streams {
		if st.channel == channel {
			s.streams = append(s.streams[:i:i], s.streams[i+1:]...)
			s.trace.Subscribed(channel, false)
			break
		}
	}
	return nil
}

// Resubscribe looks at a stream at once, behind the last event taken.
func (s *Source) Resubscribe(channel string) error {
	if st := s.stream(channel); st != nil {
		st.restart()
		st.due = time.Now()
	}
	return nil
}

// Renew looks at all streams at once: there is no session that could be replaced.
func (s *Source) Renew() {
	for _, st := range s.streams {
		st.restart()
		st.due = time.Now()
	}
}

// Wake makes Next return soon.
func (s *Source) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close has nothing to release.
func (s *Source) Close(context.Context) error { return nil }

func (s *Source) stream(channel string) *stream {
	for _, st := range s.streams {
		if st.channel == channel {
			return st
		}
	}
	return nil
}
