package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

const testOrg = "00Dxx0000001gPLEAY"

// world is an org and a Kafka in memory, whose every step a test may turn into
// a fault. Its topic and its positions change together or not at all.
type world struct {
	mu        sync.Mutex
	events    []transform.Event // what the org retains, all channels, in order
	committed []*kgo.Record
	positions map[string]string
	since     map[string]time.Time
	times     map[string]replay.Entry // the last position records, for their times
	mute      map[string]bool         // channels whose subscriptions starve
	barriers  int
	batches   []int // events' records by commit
	owner     int   // the newest writer

	// Faults; nil is none.
	onOpenWriter func() error
	onCommit     func(n int, records []*kgo.Record) (apply bool, err error)
	onEncode     func(ev *transform.Event) error
	onNext       func(call int) error
	onLedger     func() error
	onSource     func(streams []Resume)
	commits      int
	nexts        int
	halts        []string
	restarts     []string
	roused       []string
	watchdog     *Watchdog
	closed       int
	arrived      chan struct{}   // closed when more events were published
	moments      []replay.Moment // of the index
}

func newWorld() *world {
	return &world{positions: make(map[string]string), since: make(map[string]time.Time), times: make(map[string]replay.Entry), mute: make(map[string]bool), arrived: make(chan struct{})}
}

// publish adds events of a channel; each takes the next position, or the one
// given.
func (w *world) publish(channel string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.add(channel, strconv.Itoa(len(w.events)+1))
	}
	close(w.arrived)
	w.arrived = make(chan struct{})
}

func (w *world) add(channel, position string) {
	w.events = append(w.events, transform.Event{
		Channel: channel, Position: position, UUID: fmt.Sprintf("e%d", len(w.events)), Payload: []byte(`{"n":1}`),
		ReceivedAt: time.Now(),
	})
}

func (w *world) group(channel, position string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.add(channel, position)
	}
}

// stream is a configured stream of the world's org.
func stream(channel string) Stream {
	return Stream{Key: replay.Key{Org: testOrg, Channel: channel}, Start: Start{Earliest: true}, OnExpired: Start{Earliest: true}}
}

func (w *world) lane(stats *Stats, streams ...Stream) *Lane {
	return NewLane(LaneConfig{
		Streams: streams, Positions: w, Encoder: encoder{w}, DeadLetter: DeadLetter{Topic: "dlq"}, Ledger: ledger{w},
		MaxEvents: 100, MaxBytes: 1 << 20, Owner: "test", Stats: stats, Log: zerolog.Nop(), Watchdog: w.watchdog,
		OpenWriter: func(context.Context) (Writer, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.onOpenWriter != nil {
				if err := w.onOpenWriter(); err != nil {
					return nil, err
				}
			}
			w.owner++
			return &writer{world: w, id: w.owner}, nil
		},
		OpenSource: func(_ context.Context, _ string, streams []Resume, trace SourceTrace) (Source, error) {
			if w.onSource != nil {
				w.onSource(streams)
			}
			return newSource(w, streams, trace), nil
		},
	})
}

// Positions of the world.

func (w *world) Barrier(int32) replay.Barrier { return replay.Barrier{} }

func (w *world) Load(context.Context, int32, replay.Barrier) (map[replay.Key]replay.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[replay.Key]replay.Entry)
	for channel, p := range w.positions {
		k := replay.Key{Org: testOrg, Channel: channel}
		t := w.times[channel]
		out[k] = replay.Entry{Key: k, Position: replay.Position(p), Since: w.since[channel], EventTime: t.EventTime, Seen: t.Seen, OrgInstance: t.OrgInstance, Generation: t.Generation}
	}
	return out, nil
}

func (w *world) Record(e replay.Entry) *kgo.Record {
	return &kgo.Record{
		Topic: "positions", Key: []byte(e.Key.Channel), Value: []byte(e.Position), Timestamp: e.Since,
		Context: context.WithValue(context.Background(), entryKey{}, e),
	}
}

func (w *world) MomentRecord(m replay.Moment) *kgo.Record {
	return &kgo.Record{Topic: "positions", Context: context.WithValue(context.Background(), momentKey{}, m)}
}

type (
	entryKey  struct{}
	momentKey struct{}
)

// encoder makes one record an event, with the event's UUID as value.
type encoder struct{ w *world }

func (e encoder) Encode(_ context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error) {
	if e.w.onEncode != nil {
		if err := e.w.onEncode(ev); err != nil {
			return dst, transform.Meta{}, err
		}
	}
	meta := transform.Meta{Time: ev.ReceivedAt, Object: "Thing"}
	if strings.HasPrefix(ev.Position, "gap") {
		meta.Gap = &transform.Gap{Reason: transform.GapEvent, RecordIDs: []string{"001"}}
	}
	return append(dst, &kgo.Record{Topic: ev.Channel, Value: []byte(ev.UUID)}), meta, nil
}

// ledger writes what a hole is in words.
type ledger struct{ w *world }

func (l ledger) Record(_ context.Context, h *transform.Hole) (*kgo.Record, error) {
	if l.w.onLedger != nil {
		if err := l.w.onLedger(); err != nil {
			return nil, err
		}
	}
	text := fmt.Appendf(nil, "%s %s from %q to %q %v", h.Channel, h.Reason, h.FromPosition, h.ToPosition, h.RecordIDs)
	if h.State != transform.HoleOpen {
		text = fmt.Appendf(text, " %s", h.State)
	}
	return &kgo.Record{Topic: "gaps", Key: []byte(h.ID()), Value: text}, nil
}

type writer struct {
	*world
	id int
}

func (w *writer) Commit(ctx context.Context, records, positions []*kgo.Record) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.id != w.owner {
		return &sink.FencedError{TransactionalID: "test", Err: errLost}
	}
	if len(positions) == 1 && positions[0].Topic == "" {
		w.barriers++
		return nil
	}
	w.commits++
	apply, err := true, error(nil)
	if w.onCommit != nil {
		apply, err = w.onCommit(w.commits, records)
	}
	if !apply {
		return err
	}
	w.batches = append(w.batches, len(records))
	w.committed = append(w.committed, records...)
	for _, p := range positions {
		if m, ok := p.Context.Value(momentKey{}).(replay.Moment); ok {
			w.moments = append(w.moments, m)
			continue
		}
		w.positions[string(p.Key)], w.since[string(p.Key)] = string(p.Value), p.Timestamp
		w.times[string(p.Key)], _ = p.Context.Value(entryKey{}).(replay.Entry)
	}
	return err
}

func (w *writer) Close(context.Context) error { return nil }

// source delivers what the org retains behind each stream's start.
type source struct {
	*world
	at    map[string]int // by channel: index of the next event
	trace SourceTrace
	began bool
	woken chan struct{}
}

func newSource(w *world, streams []Resume, trace SourceTrace) *source {
	s := &source{world: w, at: make(map[string]int), trace: trace, woken: make(chan struct{}, 1)}
	for _, r := range streams {
		s.at[r.Channel] = w.index(r.Channel, r.Start)
	}
	return s
}

func (w *world) index(channel string, at Start) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case at.Earliest:
		return 0
	case at.Latest:
		return len(w.events)
	}
	next := 0
	for i, ev := range w.events {
		if ev.Channel == channel && ev.Position == string(at.After) {
			next = i + 1
		}
	}
	return next
}

const perNext = 7 // events a Next at the most

func (s *source) Next(ctx context.Context) (Batch, error) {
	s.mu.Lock()
	s.nexts++
	call, fault := s.nexts, s.onNext
	s.mu.Unlock()
	if fault != nil {
		if err := fault(call); err != nil {
			return Batch{}, err
		}
	}
	if !s.began {
		s.began = true
		for channel := range s.at {
			s.trace.Subscribed(channel, true)
		}
		s.trace.Alive()
	}
	for {
		b, more := s.take()
		if len(b.Events) > 0 {
			return b, nil
		}
		select {
		case <-more:
		case <-s.woken:
			return Batch{}, nil
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

func (s *source) take() (Batch, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b Batch
	for i, ev := range s.events {
		next, ok := s.at[ev.Channel]
		if !ok || i < next || s.mute[ev.Channel] {
			continue
		}
		whole := len(b.Events) > 0 && b.Events[len(b.Events)-1].Position == ev.Position
		if len(b.Events) >= perNext && !whole {
			break
		}
		b.Events = append(b.Events, ev)
		b.Bytes += len(ev.Payload)
		s.at[ev.Channel] = i + 1
	}
	return b, s.arrived
}

func (s *source) Restart(channel string, at Start) error {
	s.restarts = append(s.restarts, channel)
	s.at[channel] = s.index(channel, at)
	return nil
}

func (s *source) Halt(channel string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halts = append(s.halts, channel)
	delete(s.at, channel)
	return nil
}

func (s *source) Resubscribe(channel string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roused = append(s.roused, "resubscribe "+channel)
	delete(s.mute, channel)
	return nil
}

func (s *source) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roused = append(s.roused, "session")
	clear(s.mute)
}

// Wake makes the call of Next return that is under way, or the next one.
func (s *source) Wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

func (s *source) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

// exactly checks that what the consumer of a channel sees is what the org
// published there, each event once, in order.
func (w *world) exactly(t *testing.T, channel string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var want, got []string
	for _, ev := range w.events {
		if ev.Channel == channel {
			want = append(want, ev.UUID)
		}
	}
	for _, r := range w.committed {
		if r.Topic == channel {
			got = append(got, string(r.Value))
		}
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("%s: published %v, consumed %v", channel, want, got)
	}
}

// balanced checks the counter law at rest.
func balanced(t *testing.T, stats *Stats) {
	t.Helper()
	for _, s := range stats.Snapshot() {
		if s.InFlight != 0 {
			t.Errorf("%s: %d received, %d produced, %d dead-lettered, %d filtered, %d returned: %d in flight at rest",
				s.Channel, s.Received, s.Produced, s.DeadLettered, s.Filtered, s.Returned, s.InFlight)
		}
	}
}

var errLost = errors.New("lost")
