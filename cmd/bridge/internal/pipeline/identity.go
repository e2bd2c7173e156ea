package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// A position means something on the event bus that gave it out, and nowhere else.
// An org that is migrated gets a new bus, a refreshed sandbox is a new org with
// one, and the new bus may take an old position for one of its own: then the stream
// would go on somewhere, and nobody would see what it skipped. So each position is
// kept with the name of the instance that the org lived on, and where that is
// another now, or what comes does not follow the position, the stream begins anew:
// behind the barrier, in one transaction, its entry in the gap ledger and a record
// without a position take the position's place. What is not seen by that is a bus
// that was reset on the same instance and takes the old position.

// overlap is how far behind the last event a stream begins anew. What happened
// before the last event may come after it by as long as a transaction takes, which
// Salesforce ends after ten minutes.
const overlap = 10*time.Minute + clockMargin

// orgInstance asks where the org lives now.
func (l *Lane) orgInstance(ctx context.Context) (string, error) {
	if l.cfg.OrgInstance == nil {
		return "", nil
	}
	instance, err := l.cfg.OrgInstance(ctx)
	if err != nil {
		return "", fmt.Errorf("asking where the org of lane %d lives: %w", l.cfg.Lane, err)
	}
	return instance, nil
}

// misfit is why a stored position is not to be used.
type misfit struct {
	reason string // of the ledger
	detail string
}

// unfit says why the stream's stored position is not to be used; nil if it is.
func (s *laneStream) unfit(e replay.Entry, instance string) *misfit {
	if doubt := s.doubt; doubt != nil {
		return doubt
	}
	if s.source() != CometD { // its positions are not of the bus
		return nil
	}
	if e.OrgInstance == "" || instance == "" || e.OrgInstance == instance {
		return nil
	}
	return &misfit{transform.OrgChanged, fmt.Sprintf(
		"the org has moved from instance %s to %s, where positions of %s may mean something else", e.OrgInstance, instance, e.OrgInstance)}
}

// BeginAnew makes what takes the place of a position that is not to be used: the
// record with which the stream goes on by its on_expired, and the entry of the gap
// ledger. Nothing is left of the old position but what the entry says. copied is
// until when events are known to be in Kafka; zero if none of this bus can be.
func BeginAnew(s Stream, old replay.Entry, copied time.Time, reason, detail string) (replay.Entry, *transform.Hole) {
	now := time.Now().Truncate(time.Millisecond)
	next := replay.Entry{
		Key: s.Key, Seen: now, Updated: now, Source: s.source(), Generation: old.Generation + 1,
		Since: time.UnixMilli(0).UTC(), // all that there is
	}
	switch {
	case s.OnExpired.Latest:
		next.Since = now.Add(-clockMargin)
	case !copied.IsZero():
		next.Since = latestOf(copied.Add(-overlap), old.Since)
	case !old.Since.IsZero():
		next.Since = old.Since
	}
	hole := &transform.Hole{
		Org: s.Key.Org, Channel: s.Key.Channel, Reason: reason, Detail: detail, State: transform.HoleOpen, Detected: now,
		FromPosition: string(old.Position), FromTime: old.EventTime, ToTime: now,
	}
	if hole.FromTime.IsZero() {
		hole.FromTime = latestOf(old.Seen, old.Since)
	}
	return next, hole
}

// renewal is what has to be written before a lane's streams are subscribed.
type renewal struct {
	holes   []*transform.Hole
	entries []*kgo.Record
	streams []*laneStream
}

// fit returns the stream's stored entry, or what takes its place if it is not to
// be used; false if the stream is halted.
func (l *Lane) fit(r *renewal, s *laneStream, stored replay.Entry, instance string) (replay.Entry, bool) {
	s.generation, s.instance = stored.Generation, instance
	if instance == "" {
		s.instance = stored.OrgInstance
	}
	why := s.unfit(stored, instance)
	if why == nil {
		return stored, true
	}
	if !s.OnExpired.Earliest && !s.OnExpired.Latest {
		l.haltStream(s.Key.Channel, fmt.Errorf("%s; its on_expired is halt: with earliest or latest it goes on, and the hole is entered into the gap ledger", why.detail))
		return stored, false
	}
	next, hole := BeginAnew(s.Stream, stored, stored.EventTime, why.reason, why.detail)
	next.OrgInstance, next.Owner = s.instance, l.cfg.Owner
	l.cfg.Log.Error().Str("channel", s.Key.Channel).Str("reason", why.reason).Str("position", string(stored.Position)).
		Time("since", next.Since).Msg(why.detail + ": the stored position is given up and the stream goes on by on_expired; the hole is in the gap ledger")
	r.holes = append(r.holes, hole)
	r.entries = append(r.entries, l.cfg.Positions.Record(next))
	r.streams = append(r.streams, s)
	s.generation = next.Generation
	s.stats.forget()
	return next, true
}

// renew makes a renewal durable: what takes the place of the positions, and the
// entries of the ledger, as one unit (I2).
func (l *Lane) renew(ctx context.Context, w Writer, r *renewal) error {
	if len(r.entries) == 0 {
		return nil
	}
	c := newCommitter(l, w, func() {})
	if err := c.enterAll(ctx, r.holes); err != nil {
		return err
	}
	if len(c.entered) < len(r.holes) { // those without an entry are halted; the others begin anew next time
		return &SourceError{Condition: SchemaRefused, Err: errors.New("the entry of a stream that begins anew cannot be written to the gap ledger")}
	}
	if err := c.write(ctx, c.records, r.entries); err != nil {
		return fmt.Errorf("beginning %d streams of lane %d anew: %w", len(r.entries), l.cfg.Lane, err)
	}
	for _, s := range r.streams {
		s.doubt = nil
		s.stats.Gaps.Add(1)
	}
	return nil
}

// distrust notes that what the org sent does not follow the stream's position. The
// lane begins the stream anew when it is taken up again.
func (l *Lane) distrust(err error) {
	src, ok := errors.AsType[*SourceError](err)
	if !ok {
		return
	}
	if s, ok := l.streams[src.Channel]; ok {
		s.doubt = &misfit{transform.BusReset, src.Err.Error()}
	}
}

// follows is an error if the first event behind the position that the stream was
// taken up from happened before it: then the position means something else now. Of
// a stream that jumped meanwhile nothing is concluded.
func (c *committer) follows(s *laneStream, ev *transform.Event, at time.Time) error {
	if s.source() != CometD || s.resumed.IsZero() || at.IsZero() || ev.Position == "" {
		return nil
	}
	before := s.resumed
	s.resumed = time.Time{}
	if _, jumped := c.holes[ev.Channel]; jumped || !at.Before(before.Add(-overlap)) {
		return nil
	}
	return &SourceError{Condition: PositionForeign, Channel: ev.Channel, Err: fmt.Errorf(
		"the event behind the stored position happened at %s, and the one at it at %s: the event bus was reset, and the position means another event now",
		at.UTC().Format(time.RFC3339), before.UTC().Format(time.RFC3339))}
}
