package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// committer turns one batch at a time into one commit. Its slices are kept
// between batches.
type committer struct {
	l       *Lane
	w       Writer
	records []*kgo.Record
	owners  []int // owners[i] is the index of the event that records[i] came from
	fates   []fate
	marks   map[string]mark
	// stops holds, for a stream that halts within this batch, the position of
	// the event that halted it. That event, the others of its group and all
	// later ones of the stream are given back.
	stops map[string]string
	began time.Time // when the session of the lane began
	// onHalt is called when a stream was halted.
	onHalt func()
	// holes are those that no event behind them was committed for yet; filled
	// holds those that this pass over the batch has entered into the ledger.
	holes  map[string]Hole
	filled map[string]bool
	// entered are the streams whose entries of the ledger, that belong to no event,
	// this pass has appended.
	entered []*laneStream
	// changes are the schemas that are new with this pass over the batch.
	changes []seenSchema
}

// fate is what became of one event of the batch (I1).
type fate struct {
	kind    fateKind
	records int // without those of the ledger and of schema changes
	gaps    int // entries of the ledger
	changes int // records of schema changes
	extras  int // fields that the event's schema lacks, kept beside it
	time    time.Time
	letter  error // why it is a dead letter
}

type fateKind uint8

const (
	produced fateKind = iota
	deadLettered
	filtered
	returned
)

// mark is the position that a stream reaches with the batch.
type mark struct {
	position string
	time     time.Time // of the last event whose time is known
	at       time.Time // of the event at the position; zero if that is not known
	wanted   bool      // an event of it was not filtered
	first    feed      // the batch's first event of the stream whose time is known
}

// settled is how old a session must be for its commits to forgive the failures
// before it. A Kafka that takes one commit and refuses the next would otherwise
// cost the org a session each time, without a pause.
const settled = time.Minute

func newCommitter(l *Lane, w Writer, onHalt func()) committer {
	return committer{l: l, w: w, began: time.Now(), onHalt: onHalt, marks: make(map[string]mark), stops: make(map[string]string),
		holes: make(map[string]Hole), filled: make(map[string]bool)}
}

// commit makes a batch durable, or returns why the session must end.
func (c *committer) commit(ctx context.Context, b Batch) error {
	clear(c.stops)
	for _, h := range b.Holes {
		c.holes[h.Channel] = h
	}
	b.Entries = c.quiet(b)
	tooLarge := make(map[int]error) // by event, found by earlier tries of this commit
	for {
		err := c.encodeAll(ctx, b.Events, tooLarge)
		if errors.Is(err, errHalted) {
			continue // again, without what follows the halt
		}
		if err == nil {
			err = c.enterAll(ctx, b.Entries)
		}
		if err != nil {
			return err
		}
		positions := c.positions()
		if len(c.records)+len(positions) == 0 {
			c.committed(b.Events) // all given back: nothing to make durable
			return nil
		}
		began := time.Now()
		err = c.write(ctx, c.records, positions)
		if large, ok := errors.AsType[*sink.RecordTooLargeError](err); ok && large.Index < len(c.owners) {
			ev := c.owners[large.Index]
			if _, again := tooLarge[ev]; !again {
				tooLarge[ev] = err
				continue
			}
		}
		if err != nil {
			c.l.cfg.Stats.FailedCommits.Add(1)
			return fmt.Errorf("committing %d records of lane %d: %w", len(c.records), c.l.cfg.Lane, err)
		}
		c.l.cfg.Stats.well(c.l.cfg.Lane)
		c.l.cfg.Stats.commit(time.Since(began), len(c.records))
		c.committed(b.Events)
		return nil
	}
}

// write commits records and positions as one unit, and lets it be seen that it is
// under way: it may hang for as long as Kafka does.
func (c *committer) write(ctx context.Context, records, positions []*kgo.Record) error {
	c.l.cfg.Stats.begins(c.l.cfg.Lane, time.Now())
	defer c.l.cfg.Stats.ends(c.l.cfg.Lane)
	return c.w.Commit(ctx, records, positions) // I2: no other call moves a position
}

// errHalted says that a stream halted while its batch was being encoded. The
// batch is encoded anew: events of the halting group that were already encoded
// must not be committed, since they come again with the rest of the group.
var errHalted = errors.New("stream halted within the batch")

// encodeAll fills records, fates and marks from the events.
func (c *committer) encodeAll(ctx context.Context, events []transform.Event, tooLarge map[int]error) error {
	c.records, c.owners, c.fates, c.changes = c.records[:0], c.owners[:0], c.fates[:0], c.changes[:0]
	clear(c.marks)
	clear(c.filled)
	passed := make(map[string]bool, len(c.stops)) // streams whose halting group was reached
	for i := range events {
		ev := &events[i]
		if c.stopped(ev, passed) {
			c.fates = append(c.fates, fate{kind: returned})
			continue
		}
		before := len(c.records)
		f, err := c.encode(ctx, ev, i, tooLarge[i])
		if err != nil {
			return err
		}
		for range len(c.records) - before {
			c.owners = append(c.owners, i)
		}
		f.records = len(c.records) - before - f.gaps - f.changes
		c.fates = append(c.fates, f)
		c.mark(ev, f)
	}
	return nil
}

// stopped says whether an event lies at or behind the halt of its stream.
func (c *committer) stopped(ev *transform.Event, passed map[string]bool) bool {
	stop, here := c.stops[ev.Channel]
	if !here {
		s, ok := c.l.streams[ev.Channel]
		return ok && s.stats.haltedWhy() != ""
	}
	if ev.Position == stop {
		passed[ev.Channel] = true
	}
	return passed[ev.Channel]
}

// encode gives one event its fate. An error ends the session, but for errHalted.
func (c *committer) encode(ctx context.Context, ev *transform.Event, at int, tooLarge error) (fate, error) {
	s, ok := c.l.streams[ev.Channel]
	if !ok {
		return fate{}, &ExitError{Code: ExitRuntime, Err: fmt.Errorf("an event of %s came to lane %d, which does not have that stream", ev.Channel, c.l.cfg.Lane)}
	}
	before, changed := len(c.records), len(c.changes)
	var f fate
	err := c.patiently(ctx, ev.Channel, func() (err error) {
		c.records, c.changes = c.records[:before], c.changes[:changed]
		if f, err = c.fate(ctx, s, ev, tooLarge); err == nil {
			err = c.cross(ctx, s, ev, at, &f)
		}
		return err
	})
	if err == nil || errors.Is(err, errHalted) {
		return f, err
	}
	c.records, c.changes = c.records[:before], c.changes[:changed]
	if Decide(classifyEncode(err), false).Action == HaltStream {
		return fate{}, c.halt(ev, err)
	}
	return fate{}, err
}

// patiently tries until there is no error that trying again may help: the batch
// is held, and nothing is skipped.
func (c *committer) patiently(ctx context.Context, channel string, try func() error) error {
	retry := newBackoff()
	for {
		err := try()
		if err == nil || errors.Is(err, errHalted) {
			return err
		}
		cond := classifyEncode(err)
		if Decide(cond, false).Action != RetryBatch {
			return err
		}
		wait := retry.NextBackOff()
		c.l.cfg.Stats.trouble(c.l.cfg.Lane, cond, err)
		c.l.cfg.Log.Warn().Err(err).Str("channel", channel).Dur("retry_in", wait).Msg("encoding waits")
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// enterAll appends entries of the ledger that belong to no event.
func (c *committer) enterAll(ctx context.Context, entries []*transform.Hole) error {
	c.entered = c.entered[:0]
	for _, h := range entries {
		var f fate
		err := c.patiently(ctx, h.Channel, func() error { return c.enter(ctx, h, &f) })
		switch {
		case err == nil:
			c.entered = append(c.entered, c.l.streams[h.Channel])
		case Decide(classifyEncode(err), false).Action == HaltStream:
			c.l.haltStream(h.Channel, err)
			c.onHalt()
		default:
			return err
		}
	}
	return nil
}

// fate appends what becomes of an event: its records, with an entry of the gap
// ledger if it tells of a gap, or its dead letter.
func (c *committer) fate(ctx context.Context, s *laneStream, ev *transform.Event, tooLarge error) (fate, error) {
	if tooLarge != nil {
		return c.reject(s, ev, tooLarge, false)
	}
	records, meta, err := c.l.cfg.Encoder.Encode(ctx, c.records, ev)
	if err != nil {
		if Decide(classifyEncode(err), false).Action == SetAside {
			return c.reject(s, ev, err, true)
		}
		return fate{}, err
	}
	if err := c.follows(s, ev, meta.Time); err != nil {
		return fate{}, err
	}
	if s.since.unwanted(meta.Time) {
		return fate{kind: filtered, time: meta.Time}, nil
	}
	first := len(c.records)
	if s.overlaps(meta.Object, meta.Time) { // rule 5 of rows
		for _, r := range records[first:] {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: InSnapshotHeader, Value: []byte(meta.Object)})
		}
	}
	if c.records = c.wanted(records, first, meta); len(c.records) == first && len(records) > first {
		return fate{kind: filtered, time: meta.Time}, nil
	}
	if s.Watch.Seen && len(s.objects) < maxObjects && !s.objects[meta.Object] {
		s.objects[meta.Object] = true
		s.stats.saw(meta.Object)
	}
	f := fate{time: meta.Time, extras: meta.Extras}
	if meta.Gap != nil {
		if err := c.enter(ctx, transform.HoleOf(s.Key.Org, ev, meta.Gap), &f); err != nil {
			return f, err
		}
	}
	if first < len(records) {
		err = c.noteSchema(ctx, s, ev, meta, records[first], &f)
	}
	return f, err
}

// wanted drops the records from first on that nobody wants.
func (c *committer) wanted(records []*kgo.Record, first int, meta transform.Meta) []*kgo.Record {
	if c.l.cfg.Want == nil {
		return records
	}
	kept := records[:first]
	for _, r := range records[first:] {
		if c.l.cfg.Want(meta, r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// enter appends the ledger's record of a hole.
func (c *committer) enter(ctx context.Context, h *transform.Hole, f *fate) error {
	if c.l.cfg.Ledger == nil {
		return nil
	}
	if h.Detected.IsZero() { // a later state of a hole keeps when it was found
		h.Detected = time.Now()
	}
	r, err := c.l.cfg.Ledger.Record(ctx, h)
	if err != nil {
		return fmt.Errorf("gap ledger: %w", err)
	}
	c.records = append(c.records, r)
	f.gaps++
	return nil
}

// reject makes a dead letter of an event that cannot become a record, or halts
// its stream, by policy (I1).
func (c *committer) reject(s *laneStream, ev *transform.Event, why error, withPayload bool) (fate, error) {
	halt := s.HaltOnBadEvent
	if isType[*transform.UnknownFieldError](why) {
		halt = s.HaltOnUnknownField
	}
	if halt {
		return fate{}, c.halt(ev, why)
	}
	c.records = append(c.records, c.l.cfg.DeadLetter.record(s.Key, ev, why, withPayload))
	return fate{kind: deadLettered, letter: why}, nil
}

// halt stops the event's stream before the group of events that it belongs to.
func (c *committer) halt(ev *transform.Event, why error) error {
	c.stops[ev.Channel] = ev.Position
	c.l.haltStream(ev.Channel, fmt.Errorf("event at position %s: %w", ev.Position, why))
	c.onHalt()
	return errHalted
}

// mark moves the position that an event's stream reaches with the batch.
func (c *committer) mark(ev *transform.Event, f fate) {
	if ev.Position == "" {
		return // an event without a position moves none
	}
	m := c.marks[ev.Channel]
	m.position, m.at = ev.Position, f.time
	m.wanted = m.wanted || f.kind != filtered
	if !f.time.IsZero() {
		m.time = f.time
		if m.first == (feed{}) {
			m.first = feed{ev.Position, f.time}
		}
	}
	c.marks[ev.Channel] = m
}

// positions makes the position records of the batch, and now and then one for the
// index of a stream, by which a time is turned into a position.
func (c *committer) positions() []*kgo.Record {
	out := make([]*kgo.Record, 0, len(c.marks))
	for channel, m := range c.marks {
		s := c.l.streams[channel]
		e := s.entry(m.position, m.time, c.l.cfg.Owner)
		e.Generation = c.generation(s)
		if !s.since.past && !m.wanted {
			e.Since = s.since.at
		}
		out = append(out, c.l.cfg.Positions.Record(e))
		if m.at.IsZero() || replay.Slot(m.at) == s.slot {
			continue
		}
		if r := c.l.cfg.Positions.MomentRecord(replay.Moment{Key: s.Key, Time: m.at, Position: replay.Position(m.position), Generation: e.Generation}); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// committed counts what is durable now.
func (c *committer) committed(events []transform.Event) {
	for channel := range c.filled {
		s := c.l.streams[channel]
		s.generation = c.generation(s)
	}
	c.remember()
	c.settle()
	c.learn()
	for _, s := range c.entered {
		s.stats.Gaps.Add(1)
	}
	if time.Since(c.began) >= settled {
		c.l.backoff.Reset()
	}
	for i := range events {
		s := c.l.streams[events[i].Channel]
		s.stats.Gaps.Add(uint64(c.fates[i].gaps)) //nolint:gosec // a small count
		switch f := c.fates[i]; f.kind {
		case produced:
			s.stats.Records.Add(uint64(f.records))
			s.stats.Produced.Add(1)
			s.stats.Extras.Add(uint64(f.extras)) //nolint:gosec // a count
		case deadLettered:
			s.stats.DeadLettered.Add(1)
			c.l.cfg.Log.Error().Err(f.letter).Str("channel", events[i].Channel).Str("position", events[i].Position).
				Msg("event became a dead letter")
		case filtered:
			s.stats.Filtered.Add(1)
		case returned:
			s.stats.Returned.Add(1)
		}
	}
	now := time.Now()
	newest := make(map[string]time.Time, 1) // by the kind of source
	for channel, m := range c.marks {
		s := c.l.streams[channel]
		s.since.past = s.since.past || m.wanted
		if !m.at.IsZero() {
			s.slot = replay.Slot(m.at)
		}
		s.stats.progress(m.position, m.time, now)
		s.stats.feeds(m.first)
		newest[s.source()] = latestOf(newest[s.source()], m.time)
	}
	for kind, at := range newest {
		if now.Sub(at) < fresh {
			c.l.current(kind, at)
		}
	}
}
