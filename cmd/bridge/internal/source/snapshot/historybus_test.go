package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/transform"
)

// bus is the event bus between the org and the lane. Each channel keeps the order of
// its events, which are late by any time; some of them are replaced by gap events, and
// what nobody has read may expire.
type bus struct {
	org *orgsim.Org
	rnd *rand.Rand
	gap float64 // chance that an event is replaced
	// prompt is how many events there are, about, to one that is late by much.
	prompt int

	mu      sync.Mutex
	taken   int                 // entries of the org's ledger that are on the bus
	queues  map[string]*channel // by channel
	arrived chan struct{}
}

type channel struct {
	entries []busEntry
	last    time.Time // when the last of them is to be delivered
	first   int       // the first that is retained
	dropped int       // how many of an overflow are left to drop
}

type busEntry struct {
	event transform.Event
	due   time.Time
}

func newBus(org *orgsim.Org, rnd *rand.Rand, gap float64) *bus {
	b := &bus{org: org, rnd: rnd, gap: gap, taken: org.LedgerLen(), prompt: 12, queues: make(map[string]*channel), arrived: make(chan struct{})}
	for _, object := range historyObjects() {
		b.queues[channelOf(object)] = &channel{}
	}
	return b
}

// pull takes what the org has published since.
func (b *bus) pull() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range b.org.LedgerFrom(b.taken) {
		b.taken = e.Index + 1
		q, ok := b.queues["/data/"+e.Event]
		if !ok {
			continue
		}
		payload, keep := b.spoil(q, e)
		if !keep {
			continue
		}
		late := time.Duration(b.rnd.IntN(400)) * time.Millisecond
		switch b.rnd.IntN(b.prompt) {
		case 0:
			late = time.Duration(b.rnd.IntN(20)) * time.Second
		case 1:
			late = time.Duration(b.rnd.IntN(200)) * time.Second
		}
		q.last = latest(q.last, time.Now().Add(late))
		q.entries = append(q.entries, busEntry{due: q.last, event: transform.Event{
			Channel: "/data/" + e.Event, Position: strconv.Itoa(len(q.entries) + 1), SchemaID: e.SchemaID, Payload: payload, ReceivedAt: e.Commit,
		}})
	}
	close(b.arrived)
	b.arrived = make(chan struct{})
}

// spoil draws whether an event comes as it is, as a gap event, or with others as one
// overflow, or as the wildcard of its object.
func (b *bus) spoil(q *channel, e orgsim.Entry) (payload []byte, keep bool) {
	if q.dropped > 0 {
		q.dropped--
		return nil, false
	}
	if b.rnd.Float64() >= b.gap {
		return e.Payload, true
	}
	var whole map[string]json.RawMessage
	var header map[string]any
	if json.Unmarshal(e.Payload, &whole) != nil || json.Unmarshal(whole["ChangeEventHeader"], &header) != nil {
		panic("history: an event without a header")
	}
	kind := b.rnd.IntN(6)
	if kind == 1 && e.ChangeType != "UPDATE" {
		kind = 2
	}
	switch kind {
	case 0:
		q.dropped = b.rnd.IntN(4)
		header["changeType"], header["recordIds"] = "GAP_OVERFLOW", []string{e.RecordIDs[0][:3] + "000000000000AAA"}
	case 1:
		header["changeType"], header["recordIds"] = "UPDATE", []string{e.RecordIDs[0][:3] + "*"}
	default:
		header["changeType"] = "GAP_" + e.ChangeType
	}
	for _, list := range []string{"changedFields", "nulledFields", "diffFields"} {
		header[list] = []string{}
	}
	text, err := json.Marshal(map[string]any{"ChangeEventHeader": header})
	if err != nil {
		panic(err)
	}
	return text, true
}

// expire lets the bus forget all but the last of what is on the channels that somebody
// has a position of, and says whether there was any. A stream without a position is not
// refused one; that its time was too long ago is told by the retention, which a history
// is too short for.
func (b *bus) expire(at map[string]string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	some := false
	for name, q := range b.queues {
		if at[name] == "" {
			continue
		}
		due := 0
		for due < len(q.entries) && !q.entries[due].due.After(time.Now()) {
			due++
		}
		if keep := b.rnd.IntN(3); due-keep > q.first {
			q.first, some = due-keep, true
		}
	}
	return some
}

// quiet says whether everything was delivered to somebody who has read up to the
// positions.
func (b *bus) quiet(at map[string]string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, q := range b.queues {
		if n := len(q.entries); n > q.first && at[name] != strconv.Itoa(n) {
			return false
		}
	}
	return true
}

// subscription is a source of the lane.
type subscription struct {
	b       *bus
	trace   pipeline.SourceTrace
	at      map[string]int // entries that were taken, by channel
	refused map[string]bool
	begun   bool
	late    time.Duration // until the channels are subscribed
	awake   chan struct{} // of size 1
	latest  []string      // channels that begin with what comes after that
}

func (b *bus) subscribe(resume []pipeline.Resume, trace pipeline.SourceTrace, late time.Duration) *subscription {
	s := &subscription{b: b, trace: trace, at: make(map[string]int), refused: make(map[string]bool), late: late, awake: make(chan struct{}, 1)}
	for _, r := range resume {
		s.place(r.Channel, r.Start)
		if r.Start.Latest {
			s.latest = append(s.latest, r.Channel)
		}
	}
	return s
}

func (s *subscription) place(channel string, start pipeline.Start) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	q := s.b.queues[channel]
	switch {
	case start.Latest:
		n := len(q.entries)
		for n > q.first && q.entries[n-1].due.After(time.Now()) {
			n--
		}
		s.at[channel] = n
	case start.After != "":
		n, err := strconv.Atoi(string(start.After))
		if err != nil {
			panic(err)
		}
		s.at[channel] = n
		s.refused[channel] = n < q.first
	default:
		s.at[channel] = q.first
	}
}

var errExpired = errors.New("the replay id is not retained any more")

// Next waits for the next events that are due.
func (s *subscription) Next(ctx context.Context) (pipeline.Batch, error) {
	if !s.begun {
		if !pause(ctx, s.late) {
			return pipeline.Batch{}, ctx.Err()
		}
		s.begun = true
		for _, channel := range s.latest {
			s.place(channel, pipeline.Start{Latest: true})
		}
		for channel := range s.at {
			if !s.refused[channel] {
				s.trace.Subscribed(channel, true)
			}
		}
	}
	for channel, refused := range s.refused {
		if refused {
			return pipeline.Batch{}, &pipeline.SourceError{Condition: pipeline.ReplayInvalid, Channel: channel, Err: errExpired}
		}
	}
	for {
		out, next, arrived := s.due()
		if len(out.Events) > 0 {
			return out, nil
		}
		hold := time.Now().Add(110 * time.Second)
		timer := time.After(time.Until(hold))
		if !next.IsZero() && next.Before(hold) {
			timer = time.After(time.Until(next))
		}
		select {
		case <-timer:
			if !time.Now().Before(hold) {
				s.trace.Idle()
			}
		case <-s.awake:
			return pipeline.Batch{}, nil
		case <-arrived:
		case <-ctx.Done():
			return pipeline.Batch{}, ctx.Err()
		}
	}
}

// due takes what is due, and says when more is.
func (s *subscription) due() (out pipeline.Batch, next time.Time, arrived chan struct{}) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	now := time.Now()
	for _, object := range historyObjects() {
		name := channelOf(object)
		q := s.b.queues[name]
		n, ok := s.at[name]
		for ok && n < len(q.entries) && !q.entries[n].due.After(now) {
			out.Events = append(out.Events, q.entries[n].event)
			n++
		}
		if ok {
			s.at[name] = n
		}
		if ok && n < len(q.entries) && (next.IsZero() || q.entries[n].due.Before(next)) {
			next = q.entries[n].due
		}
	}
	return out, next, s.b.arrived
}

func (s *subscription) Restart(channel string, at pipeline.Start) error {
	s.refused[channel] = false
	s.place(channel, at)
	s.trace.Subscribed(channel, true)
	return nil
}

func (s *subscription) Halt(channel string) error {
	delete(s.at, channel)
	return nil
}

func (s *subscription) Resubscribe(string) error { return nil }
func (s *subscription) Renew()                   {}
func (s *subscription) Wake() {
	select {
	case s.awake <- struct{}{}:
	default:
	}
}
func (s *subscription) Close(context.Context) error { return nil }

// pause waits, and says whether ctx lasted as long.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
