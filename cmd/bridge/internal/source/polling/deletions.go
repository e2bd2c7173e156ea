package polling

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

const (
	// remembered is how long Salesforce keeps the list of deletions, and a record in the
	// recycle bin (REST API Developer Guide, "sObject Get Deleted").
	remembered = 15 * 24 * time.Hour
	// rememberedMargin keeps a question out of the time that it refuses.
	rememberedMargin = time.Hour
	// codeTooOld is what it refuses a question with that begins too early.
	codeTooOld = "INVALID_REPLICATION_DATE"
)

// list is what a look found of deletions.
type list struct {
	pending []salesforce.Deletion // by time and id; without those handed out
	settled time.Time             // deletions before this are all in the list
	left    bool                  // some could not be remembered: they come again
}

// list asks for the deletions since the last look.
func (s *stream) list(ctx context.Context) error {
	s.wasAway()
	if s.deletions != Deleted {
		return nil
	}
	since := s.p.deletions.at
	changes, err := s.listFrom(ctx, since)
	if err != nil {
		return err
	}
	if !since.IsZero() && changes.Earliest.After(since) {
		s.forgot(since, changes.Earliest)
	}
	l := &list{settled: changes.Covered.Add(-s.what.Overlap).Truncate(time.Second)}
	for _, d := range changes.Deleted {
		if _, known := s.p.seen.get(deletionName(d.ID, d.At)); !known && s.p.deletions.before(d.At, d.ID) {
			l.pending = append(l.pending, d)
		}
	}
	slices.SortFunc(l.pending, func(a, b salesforce.Deletion) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	l.pending = slices.Compact(l.pending) // a record may go twice within a second
	s.listed = l
	return nil
}

// listFrom asks from a time on, or from the earliest that the org remembers.
func (s *stream) listFrom(ctx context.Context, since time.Time) (salesforce.Changes, error) {
	now := time.Now()
	until := s.clock.read(now) // the org may be ahead of us
	if until.Before(now) {
		until = now
	}
	from := since
	if oldest := now.Add(rememberedMargin - remembered); from.Before(oldest) {
		from = oldest
	}
	changes, err := s.deletedUntil(ctx, from, until)
	refused, ok := errors.AsType[*salesforce.APIError](err)
	if !ok || refused.Code != codeTooOld {
		if err == nil && from.After(since) && changes.Earliest.Before(from) {
			changes.Earliest = from // what lies before was not asked for
		}
		return changes, err
	}
	// The bin was emptied: a short question tells until when.
	lately := now.Add(-2 * time.Minute)
	short, err := s.deletedUntil(ctx, lately, now)
	if err != nil {
		return short, err
	}
	if !short.Earliest.After(from) {
		short.Earliest = lately // what lies before was refused, whatever the org says it remembers
		return short, nil
	}
	return s.deletedUntil(ctx, short.Earliest, until)
}

// deletedUntil asks about a minute at least.
func (s *stream) deletedUntil(ctx context.Context, from, to time.Time) (salesforce.Changes, error) {
	if least := from.Add(time.Minute); to.Before(least) {
		to = least
	}
	return s.table.deleted(ctx, from, to)
}

// wasAway tells of deletions from so long ago that the org does not have them any more.
// How old the last row is says nothing: an object may rest for years and be looked at
// each minute.
func (s *stream) wasAway() {
	oldest := time.Now().Add(-remembered)
	if s.deletions != NoDeletions && !s.p.looked.IsZero() && s.p.looked.Before(oldest) {
		s.forgot(s.p.looked, oldest)
	}
}

// forgot makes an entry of the gap ledger about deletions that the org does not remember
// any more.
func (s *stream) forgot(since, earliest time.Time) {
	if s.p.beginning {
		return
	}
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	s.entries = []*transform.Hole{{
		Org: s.cfg.OrgID, Channel: s.channel, Object: s.entity, Reason: transform.DeletionsForgotten, State: transform.HoleOpen,
		FromPosition: at(since), ToPosition: at(earliest), FromTime: since, ToTime: earliest,
		Detail: fmt.Sprintf("the org remembers deletions since %s, and the stream was read until %s: records that were deleted between and had left the recycle bin are still in the topic",
			at(earliest), at(since)),
	}}
}

// gone begins a batch with the deletions that happened before the rows of a page. All
// says that there are not more of them.
func (s *stream) gone(ctx context.Context, p *reading) (b *batch, all bool, _ error) {
	b = &batch{}
	if s.listed == nil {
		return b, true, nil
	}
	due := s.listed.pending
	if p.more || p.crowded {
		until := s.cursor.at
		if len(p.rows) > 0 {
			until = p.rows[len(p.rows)-1].paged
		}
		later := slices.IndexFunc(due, func(d salesforce.Deletion) bool { return d.At.After(until) })
		if later >= 0 {
			due = due[:later]
		}
	}
	all = len(due) <= s.cfg.MaxEvents
	due = due[:min(len(due), s.cfg.MaxEvents)]
	if len(due) == 0 {
		return b, all, nil
	}
	ids := make([]string, len(due))
	for i, d := range due {
		ids[i] = d.ID
	}
	missing, err := s.table.missing(ctx, ids)
	if err != nil {
		return nil, false, err
	}
	for _, d := range due {
		if !s.delete(b, d, missing[d.ID]) {
			s.listed.pending, s.listed.left = nil, true // the next look brings them
			return b, true, nil
		}
	}
	s.listed.pending = s.listed.pending[len(due):]
	return b, all, nil
}

// delete adds a deletion, unless the record has come back. False: it could not be
// remembered.
func (s *stream) delete(b *batch, d salesforce.Deletion, missing bool) bool {
	switch {
	case d.At.Before(s.listed.settled):
		s.p.deletions = place{d.At, d.ID}
	case !missing:
		return true // it is looked at again
	case s.room() <= 0:
		return false // rule 5
	default:
		s.p.seen.put(deletionName(d.ID, d.At), entry{at: d.At, kind: ofDeletion})
	}
	if missing {
		b.add(s.event(&row{id: d.ID, at: d.At, gone: true}))
	}
	return true
}

// finishList notes at the end of a look that its deletions are done, if they are.
func (s *stream) finishList() {
	if l := s.listed; l != nil && !l.left && len(l.pending) == 0 && l.settled.After(s.p.deletions.at) {
		s.p.deletions = place{at: l.settled}
	}
	s.listed = nil
}
