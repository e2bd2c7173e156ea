package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sfbridge/bridge/transform"
)

// Watch says how a stream is watched for events that do not come.
type Watch struct {
	// Objects are those whose rows the stream tells of. With Seen, those whose
	// events were seen on it are added, up to maxObjects.
	Objects []string
	Seen    bool
	// OnStarvation is what is done; empty means that the stream is not watched.
	OnStarvation Rouse
}

// maxObjects bounds how many objects of one stream are asked about.
const maxObjects = 200

// Rouse is what is done about a stream that starves.
type Rouse string

// The ways to rouse a starving stream.
const (
	RouseSession     Rouse = "session"     // a new session, from the stored position
	RouseResubscribe Rouse = "resubscribe" // a new subscription in the same session, from the stored position
	RouseTip         Rouse = "tip"         // go on with what comes from now on; the hole is in the ledger
	RouseNone        Rouse = "alarm"       // only tell
)

// Starvation is a stream that delivers nothing while the org says that rows
// changed.
type Starvation struct {
	Object string    // the first of the stream's objects with such rows
	Rows   int       // of all its objects
	After  time.Time // they changed after this time, which the stream had reached
	UpTo   time.Time // and up to this one
	Found  time.Time // when it was seen first
	Tries  int       // how often it was tried to rouse the stream
}

func (s *Starvation) String() string {
	return fmt.Sprintf("%d rows of %s changed between %s and %s, and no event of them has come; seen since %s, tries to rouse the stream: %d",
		s.Rows, s.Object, s.After.UTC().Format(time.RFC3339), s.UpTo.UTC().Format(time.RFC3339), s.Found.UTC().Format(time.RFC3339), s.Tries)
}

// feed is the event with which a stream that starved goes on.
type feed struct {
	position string
	time     time.Time
}

// feeds notes the first event that became durable since the stream was found
// starving.
func (st *StreamStats) feeds(first feed) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.fed == (feed{}) {
		st.fed = first
	}
}

// skipped says whether an event lies behind everything that was missing: what a
// stream goes on with in that case does not show that the rest came. Rows have
// whole seconds, so that the last one counts whole.
func (s *Starvation) skipped(f feed) bool {
	return f.time.Truncate(time.Second).After(s.UpTo.Truncate(time.Second))
}

// hole is the ledger's entry for a starvation. Its id does not depend on where
// the hole ends, which is not known before something comes.
func (s *Starvation) hole(stream *laneStream, position string) *transform.Hole {
	return &transform.Hole{
		Org: stream.Key.Org, Channel: stream.Key.Channel, Reason: transform.Starved, State: transform.HoleOpen, Detail: s.String(),
		FromPosition: position, FromTime: s.After, ToTime: s.UpTo,
	}
}

// order is what the watchdog wants of a lane: an entry of the ledger, and a way
// to rouse the stream or none.
type order struct {
	channel string
	entry   *transform.Hole
	rouse   Rouse
}

// orders wait for the poller, which alone may use the source.
type orders struct {
	mu      sync.Mutex
	waiting []order
}

func (o *orders) add(more order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, more)
}

func (o *orders) take() []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.waiting
	o.waiting = nil
	return out
}

// watched tells the watchdog of the lane's streams while they are carried.
func (c *carrier) watched() (end func()) {
	w := c.cfg.Watchdog
	if w == nil {
		return func() {}
	}
	for _, p := range c.pollers {
		for _, channel := range p.channels {
			if s := c.streams[channel]; s.Watch.OnStarvation != "" {
				w.attach(s, p.order)
			}
		}
	}
	return func() {
		for _, s := range c.streams {
			w.detach(s)
		}
	}
}

// order takes an order of the watchdog.
func (p *poller) order(o order) {
	p.orders.add(o)
	p.src.Wake()
}

// obey carries out what the watchdog wants.
func (p *poller) obey(ctx context.Context) error {
	for _, o := range p.orders.take() {
		s := p.streams[o.channel]
		if s.stats.haltedWhy() != "" {
			continue
		}
		if o.entry != nil && !p.put(ctx, Batch{Entries: []*transform.Hole{o.entry}}) {
			return nil
		}
		if err := p.rouse(s, o.rouse); err != nil {
			return err
		}
	}
	return nil
}

// joins says whether b can become part of a batch that waits. Entries are written
// behind the events of their batch, and an event that comes later may be the end
// of the very hole: the last state of a hole must be the last that was known.
func (a *Batch) joins(b Batch) bool {
	return len(a.Entries)+len(a.Quiet) == 0 || len(b.Events) == 0
}

// rouse does what the stream's on_starvation says. Whatever it is, no position
// moves: what the org still has of the stream comes, or is in the ledger.
func (p *poller) rouse(s *laneStream, how Rouse) error {
	channel := s.Key.Channel
	if how == "" || how == RouseNone || s.stats.starving.Load() == nil { // something came meanwhile
		return nil
	}
	p.cfg.Log.Warn().Str("channel", channel).Str("on_starvation", string(how)).Msg("rousing the stream")
	switch how {
	case RouseResubscribe:
		return p.src.Resubscribe(channel)
	case RouseTip:
		if err := p.src.Halt(channel); err != nil {
			return err
		}
		p.dropHoles(channel)
		p.found(Hole{Channel: channel, Reason: transform.Starved, Detail: s.stats.starving.Load().String()})
		return p.src.Restart(channel, Start{Latest: true})
	default:
		p.src.Renew()
		return nil
	}
}

// fed ends the alarm of a stream: something came.
func (c *carrier) fed(s *laneStream) {
	s.stats.starving.Store(nil)
	c.cfg.Log.Info().Str("channel", s.Key.Channel).Msg("the stream that starved has events again")
}
