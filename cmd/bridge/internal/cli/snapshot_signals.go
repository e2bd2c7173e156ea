package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// signalFeed has what is asked for by the topic of signals. Its zero value knows
// nothing yet.
type signalFeed struct {
	mu        sync.Mutex
	read      bool  // up to what was the topic's end when the reading began
	next      int64 // offset of the next signal
	byChannel map[string][]snapshot.Signal
	changes   pipeline.Changes
}

var _ snapshot.Signals = (*signalFeed)(nil)

// From implements snapshot.Signals.
func (f *signalFeed) From(channel string, offset int64) (signals []snapshot.Signal, next int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.read {
		return nil, -1
	}
	for _, s := range f.byChannel[channel] {
		if s.Offset >= offset {
			signals = append(signals, s)
		}
	}
	return signals, f.next
}

// Changed implements snapshot.Signals.
func (f *signalFeed) Changed() <-chan struct{} { return f.changes.Wait() }

func (f *signalFeed) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read, f.next, f.byChannel = false, 0, make(map[string][]snapshot.Signal)
}

func (f *signalFeed) done() {
	f.mu.Lock()
	was := f.read
	f.read = true
	f.mu.Unlock()
	if !was {
		f.changes.Changed()
	}
}

func (f *signalFeed) seen(next int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = max(f.next, next)
}

func (f *signalFeed) take(s snapshot.Signal) {
	f.mu.Lock()
	f.byChannel[s.Channel] = append(f.byChannel[s.Channel], s)
	f.next = max(f.next, s.Offset+1)
	f.mu.Unlock()
	f.changes.Changed()
}

// readSignal reads a signal. What is none goes to the stream that it names, whose lane
// tells of it; if it names none of ours it is nobody's.
func readSignal(r *kgo.Record, streams []string) (s snapshot.Signal, err error) {
	if r.Partition != 0 {
		return s, fmt.Errorf("signals are read from partition 0 alone, and it is in partition %d", r.Partition)
	}
	s, err = snapshot.ReadSignal(r.Value)
	if err != nil {
		s = snapshot.Signal{Wrong: err}
		var named struct {
			Channel string `json:"channel"`
		}
		if json.Unmarshal(r.Value, &named) == nil {
			s.Channel = named.Channel
		}
	}
	s.Offset = r.Offset
	switch {
	case slices.Contains(streams, s.Channel):
		return s, nil
	case err == nil:
		err = fmt.Errorf("no stream of the configuration has the channel %q", s.Channel)
	}
	return s, err
}

// followingSignals follows the topic of signals until the returned function is called,
// which waits for the end.
func (b *bridge) followingSignals(intake context.Context) (end func()) {
	if !b.hasRows() {
		return func() {}
	}
	streams := b.channels()
	return b.keepFollowing(intake, following{
		topic: b.signalsTopic(), lost: "the topic of signals cannot be read: nothing that is asked for by 'bridge snapshot' or 'bridge gaps repair' is done",
		begin: func(ctx context.Context) error {
			b.signals.reset()
			b.makeSignalsTopic(ctx)
			return nil
		},
		take: func(_ context.Context, r *kgo.Record) {
			s, err := readSignal(r, streams)
			if err != nil {
				warnOfSignal(b.log, r, err)
				return
			}
			if s.Wrong != nil {
				warnOfSignal(b.log, r, s.Wrong)
			}
			b.signals.take(s)
		},
		seen: b.signals.seen, done: b.signals.done,
	})
}

// makeSignalsTopic makes the topic, so that whoever has a signal to write finds it, and
// the first one is not late. That it cannot be made is no trouble: who writes a signal
// is told.
func (b *bridge) makeSignalsTopic(ctx context.Context) {
	if err := b.makeTopic(ctx, b.signalsTopic()); err != nil && ctx.Err() == nil {
		b.log.Debug().Err(err).Str("topic", b.signalsTopic()).Msg("the topic of signals is not there, and was not made")
	}
}

// makeTopic makes one of the topics whose records are read once, if it is not there.
func (b *bridge) makeTopic(ctx context.Context, topic string) error {
	p, err := b.telling(ctx)
	if err != nil {
		return err
	}
	_, err = p.Topic(ctx, topic)
	closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer done()
	return errors.Join(err, p.Close(closing))
}

func warnOfSignal(log zerolog.Logger, r *kgo.Record, err error) {
	log.Warn().Err(err).Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).Msg("a signal cannot be followed")
}
