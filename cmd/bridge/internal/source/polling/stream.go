package polling

import (
	"context"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// row is a row of a page.
type row struct {
	id    string
	at    time.Time // of the stream's field, when the fields were read
	paged time.Time // of the stream's field, when the page was read
	org   time.Time // SystemModstamp, which says what time it is at the org; zero if the object lacks it
	gone  bool      // it is in the recycle bin
	json  []byte    // its fields; nil if they are not read
	lost  bool      // there was no record when the fields were read
}

// table is where the rows of a stream are read.
type table interface {
	// page reads at most n rows behind a place, in the order of time and id. More says
	// that there may be others behind them.
	page(ctx context.Context, behind place, n int) (rows []*row, more bool, err error)
	// fill reads the fields of rows, in their order, until they have so many bytes; at
	// least one has them then. It returns of how many they were read. A row may have
	// another time than on its page.
	fill(ctx context.Context, rows []*row, most int) (int, error)
	// deleted is the list of deletions of a time.
	deleted(ctx context.Context, from, to time.Time) (salesforce.Changes, error)
	// latest is the time of the row that changed last; zero if there is none.
	latest(ctx context.Context) (time.Time, error)
	// missing says which records are not there.
	missing(ctx context.Context, ids []string) (map[string]bool, error)
}

// stream is one stream and how far it is.
type stream struct {
	cfg     *Config
	what    Stream
	channel string

	// Of the object, when it was described:
	table     table
	entity    string
	schemaID  string
	deletions Deletions // never DeletionsAuto
	described time.Time

	p     progress
	clock clock
	n     int // rows of a page that fit into a batch, as it seems

	up      bool
	due     time.Time
	quiet   bool      // the last look found nothing, and that was not told yet
	turn    time.Time // of the last step
	looking bool      // a look is under way, with:
	began   time.Time
	cursor  place // rows up to here were read in this look
	// bound is what was settled when the look came to rows that were not: what lies
	// behind it was read too early to be done, however long the look goes on.
	bound   time.Time
	found   bool  // it has handed something out
	listed  *list // deletions
	entries []*transform.Hole
}

// when is the time of the next step. A look that is under way takes turns with the
// streams whose time has come.
func (s *stream) when() time.Time {
	if s.looking {
		return s.turn
	}
	return s.due
}

// restart ends a look that is under way. The next one begins where the stream is.
func (s *stream) restart() { s.looking, s.listed = false, nil }

// step reads one page.
func (s *stream) step(ctx context.Context) (pipeline.Batch, error) {
	defer func() { s.turn = time.Now() }()
	if err := s.prepare(ctx); err != nil {
		return pipeline.Batch{}, err
	}
	p, err := s.read(ctx)
	if err != nil {
		return pipeline.Batch{}, s.reconsider(err)
	}
	b, err := s.take(ctx, p)
	if err == nil && len(b.Events) > 0 {
		b.Entries, s.entries = s.entries, nil
	}
	return b, err
}

// reconsider drops an error that a smaller page, or a new description of the object, may
// be without.
func (s *stream) reconsider(err error) error {
	smaller := s.n > 1 && tooMuch(err)
	if smaller {
		s.n /= 2
	}
	switch {
	case salesforce.Retryable(err):
		return err
	case smaller:
		return nil
	case outdated(err) && time.Since(s.described) > redescribeAfter:
		s.described = time.Time{}
		return nil
	}
	return err
}

// redescribeAfter is how old a description must be to be the reason of a refusal.
const redescribeAfter = time.Minute

// begin begins a look, unless one is under way.
func (s *stream) begin(ctx context.Context) error {
	if s.looking {
		return nil
	}
	s.began, s.cursor, s.found, s.quiet, s.bound = time.Now(), s.p.rows, false, false, time.Time{}
	if s.clock.org.IsZero() {
		at, err := s.table.latest(ctx)
		if err != nil {
			return err
		}
		s.clock.observe(at, time.Now())
		s.p.settle(at, s.what.Overlap, s.deletions == Deleted)
		s.cursor = s.p.rows
	}
	if s.p.beginning {
		s.p.looked = s.began
	}
	if err := s.list(ctx); err != nil {
		return err
	}
	s.looking = true
	return nil
}

// reading is a page, and what was known when it was asked for.
type reading struct {
	rows    []*row
	more    bool
	crowded bool      // there was no room to remember what follows
	settled time.Time // rows of seconds before this are
	wanted  []*row    // that have to be handed out, or compared
}

// read asks for a page, and for the fields of those of its rows that need them.
func (s *stream) read(ctx context.Context) (*reading, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	most := min(s.cfg.MaxEvents, largestPage)
	if s.n == 0 {
		s.n = most
	}
	p := &reading{settled: s.bound}
	if p.settled.IsZero() {
		p.settled = s.clock.settled(time.Now(), s.what.Overlap)
	}
	var err error
	if p.rows, p.more, err = s.table.page(ctx, s.cursor, s.n); err != nil {
		return nil, err
	}
	s.observe(p.rows)
	s.choose(p)
	filled, err := s.table.fill(ctx, p.wanted, s.cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	if filled < len(p.wanted) { // the rest comes with the next page, which is shorter
		p.cut(p.wanted[filled])
		p.wanted, s.n = p.wanted[:filled], filled
	} else {
		s.n = min(s.n*2, most)
	}
	return p, nil
}

// observe learns what time it is at the org (rule 1).
func (s *stream) observe(rows []*row) {
	now := time.Now()
	for _, r := range rows {
		if r.org.IsZero() {
			r.org = r.paged
		}
		s.clock.observe(r.org, now)
	}
}

// cut leaves out a row and what follows it: it is read again.
func (p *reading) cut(from *row) {
	p.rows, p.more, p.crowded = p.rows[:slices.Index(p.rows, from)], true, false
}

// room is how many rows more may be remembered.
func (s *stream) room() int { return s.cfg.remember - len(s.p.seen.entries) }

// choose finds the rows of a page whose fields are needed. One that could not be
// remembered ends the page (rule 5).
func (s *stream) choose(p *reading) {
	room := s.room()
	for i, r := range p.rows {
		if _, known := s.p.seen.get(rowName(r.id, r.at)); !known && !r.at.Before(p.settled) {
			if room--; room < 0 {
				p.rows, p.more, p.crowded = p.rows[:i], false, true
				return
			}
		}
		p.wanted = append(p.wanted, r)
	}
}

// take makes a batch of what was read, and moves the stream behind it.
func (s *stream) take(ctx context.Context, p *reading) (pipeline.Batch, error) {
	b, all, err := s.gone(ctx, p)
	if err != nil {
		return pipeline.Batch{}, err
	}
	if all {
		for _, r := range p.wanted {
			if s.isNew(p, r) {
				b.add(s.event(r))
			}
		}
		s.advance(p)
	}
	s.p.seen.forget(s.p.rows.at, s.p.deletions.at)
	if len(b.events) > 0 {
		s.found, s.p.beginning = true, false
	}
	if all && !p.more {
		s.end(p.crowded)
	}
	if len(b.events) == 0 {
		return pipeline.Batch{}, nil
	}
	return b.at(s.p.token()), nil
}

// isNew says whether a row was not handed out as it is, and remembers it if it may come
// again.
func (s *stream) isNew(p *reading, r *row) bool {
	if r.lost || r.paged.Before(p.settled) && !r.at.Equal(r.paged) {
		return false // its deletion comes by itself, and so does the row at its new place
	}
	n, d := rowName(r.id, r.at), digestOf(r)
	e, known := s.p.seen.get(n)
	same := known && e.digest == d        // rules 3 and 4
	if known || !r.at.Before(p.settled) { // rule 2
		if !known && s.room() <= 0 {
			return false // it has moved within the page, and comes again
		}
		s.p.seen.put(n, entry{at: r.at, kind: ofRow, digest: d})
	}
	if !same { // it came back, and may be deleted again in that second
		s.p.seen.drop(deletionName(r.id, r.at))
	}
	return !same
}

// advance moves the stream behind a page: to its last row while rows are settled, and to
// the first second that is not, when all before that were read.
func (s *stream) advance(p *reading) {
	if len(p.rows) > 0 {
		last := p.rows[len(p.rows)-1]
		s.cursor = place{last.paged, last.id}
	}
	reached := s.cursor
	if !p.more || !reached.at.Before(p.settled) {
		reached = place{at: p.settled}
		s.bound = p.settled
	}
	if reached.at.After(s.p.rows.at) || reached.at.Equal(s.p.rows.at) && reached.id != "" {
		s.p.rows = reached
	}
}

// crowdedMargin is how much later than the overlap rows are settled for sure.
const crowdedMargin = 2 * time.Second

// end ends a look.
func (s *stream) end(crowded bool) {
	s.finishList()
	if s.deletions != NoDeletions {
		s.p.looked = s.began
	}
	s.looking, s.quiet = false, !s.found && !crowded
	s.due = s.began.Add(s.what.Every)
	if soon := time.Now().Add(s.what.Overlap + crowdedMargin); crowded && soon.Before(s.due) {
		s.due = soon
	}
}
