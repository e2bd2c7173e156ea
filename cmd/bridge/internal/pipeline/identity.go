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
		Key: s.Key, Seen: now, Updated: now, Source: sourceName, Generation: old.Generation + 1,
		Since: time.UnixMilli(0).UTC(), // all that there is
	}
	switch {
	case s.OnExpired.Latest:
		next.Since = now.Add(-clockMargin)
	case !copied.IsZero():
		next.Since = copied.Add(-overlap)
	}
	return next, &transform.Hole{
		Org: s.Key.Org, Channel: s.Key.Channel, Reason: reason, Detail: detail, State: transform.HoleOpen, Detected: now,
		FromPosition: string(old.Position), FromTime: latestOf(old.EventTime, old.Seen), ToTime: now,
	}
}

// renewal gathers what has to be written before a lane's streams are subscribed.
type renewal struct {
	holes   []*transform.Hole
	entries []*kgo.Record
	begun   map[*laneStream]replay.Entry
}

// renew begins a stream anew, and says what its entry is now. A stream whose
// on_expired is halt is halted, and its position stays.
func (l *Lane) renew(r *renewal, s *laneStream, old replay.Entry, why *misfit) (replay.Entry, bool) {
	if !s.OnExpired.Earliest && !s.OnExpired.Latest {
		l.haltStream(s.Key.Channel, errors.New(why.detail+"; its on_expired is halt: to go on set it to earliest or latest, which enters the hole into the gap ledger"))
		return old, false
	}
	copied := latestOf(old.EventTime, old.Since)
	if old.Position != "" && old.EventTime.IsZero() {
		copied = time.Time{} // until when it was read is not known
	}
	next, hole := BeginAnew(s.Stream, old, copied, why.reason, why.detail)
	next.OrgInstance, next.Owner = s.instance, l.cfg.Owner
	l.cfg.Log.Error().Str("channel", s.Key.Channel).Str("reason", why.reason).Str("position", string(old.Position)).Time("since", next.Since).
		Msg(why.detail + ": the stored position is given up, and the stream goes on by on_expired; the hole is in the gap ledger")
	r.holes = append(r.holes, hole)
	r.entries = append(r.entries, l.cfg.Positions.Record(next))
	r.begun[s] = next
	return next, true
}

// write makes the renewals durable: the ledger's entries and what takes the place
// of the positions, as one unit (I2).
func (l *Lane) writeRenewals(ctx context.Context, w Writer, r *renewal) error {
	if len(r.entries) == 0 {
		return nil
	}
	c := newCommitter(l, w, func() {})
	if err := c.enterAll(ctx, r.holes); err != nil {
		return err
	}
	if len(c.entered) < len(r.holes) { // a stream whose entry cannot be written is halted; the rest next time
		return fmt.Errorf("beginning %d streams of lane %d anew: %w", len(r.entries), l.cfg.Lane, errNoEntry)
	}
	if err := c.write(ctx, c.records, r.entries); err != nil {
		return fmt.Errorf("beginning %d streams of lane %d anew: %w", len(r.entries), l.cfg.Lane, err)
	}
	for s := range r.begun {
		s.doubt = nil
		s.stats.Gaps.Add(1)
	}
	return nil
}
