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

// A row that is read by query gets its place among the events of its stream by these
// rules; nothing else is known of the order of the two.
//
//  1. The stream is subscribed, and where it goes on is durable, before the first
//     query is sent: [RowDesk.Subscribed].
//  2. Rows and events of a record are written by the same committer.
//  3. From before a query is sent until its rows are durable the records are
//     remembered that had events committed, or rows of another query: [RowDesk.Window].
//  4. A row whose record had such a one, at the row's time or later, is left out and
//     read again. One that keeps changing is read while the committer waits:
//     [RowDesk.Held].
//  5. An event that comes after the rows of its object, and may be older than they
//     are, is written with the header [InSnapshotHeader].

const (
	// SnapshotHeader names the piece of work that wrote a row.
	SnapshotHeader = "sf-snapshot"
	// InSnapshotHeader is on an event which a row that was written before it may
	// contain. Whoever keeps whole rows compares its time with that of the row.
	InSnapshotHeader = "sf-in-snapshot"
)

// Row is a row as an event.
type Row struct {
	ID string
	// Modified is the row's time at the org, in whole seconds; of a record that is
	// gone, zero.
	Modified time.Time
	// Until is until when the event holds what happened to the record; zero: until the
	// end of Modified.
	Until time.Time
	Event transform.Event
}

// Chunk is rows of one object of a stream, all read within the window.
type Chunk struct {
	Channel, Object string
	Task            string // who writes them: the value of [SnapshotHeader]
	Rows            []Row
	Window          *Window // may be nil if there are no rows
	// Beside makes what becomes durable with the rows, when it is known which of them
	// are left out, by their ids. Nil: nothing does.
	Beside func(left []string) Beside
}

// Beside is what becomes durable with rows.
type Beside struct {
	Tasks   []replay.Task
	Records []*kgo.Record
	Entries []*transform.Hole // states of holes
}

// RowRefusedError says that a row cannot become a record, or that what stands beside
// rows cannot: then it has no ID.
type RowRefusedError struct {
	Channel, ID string
	Err         error
}

func (e *RowRefusedError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("what goes with rows of %s cannot be written: %v", e.Channel, e.Err)
	}
	return fmt.Sprintf("the row %s cannot become a record of %s: %v", e.ID, e.Channel, e.Err)
}

func (e *RowRefusedError) Unwrap() error { return e.Err }

// covers keeps until when rows of each object hold what happened.
type covers map[string]time.Time

func (c covers) add(object string, until time.Time) {
	if until.After(c[object]) {
		c[object] = until
	}
}

// overlaps says whether rows that were written already may contain an event.
func (s *laneStream) overlaps(object string, at time.Time) bool {
	until, ok := s.covers[object]
	return ok && !at.After(until)
}

// until is until when a row holds what happened: its second counts whole.
func (r *Row) until() time.Time {
	if r.Modified.IsZero() {
		return r.Until
	}
	return latestOf(r.Until, r.Modified.Truncate(time.Second).Add(time.Second-time.Millisecond))
}

// commitRows makes the rows of a chunk durable that are not outdated, and returns the
// ids of the others. A *RowRefusedError loses nothing: the session goes on.
func (c *committer) commitRows(ctx context.Context, ch *Chunk) (left []string, err error) {
	s := c.l.streams[ch.Channel]
	rows := make([]*Row, 0, len(ch.Rows))
	for i := range ch.Rows {
		r := &ch.Rows[i]
		if ch.Window.outdated(r.ID, r.Modified) { // rule 4
			left = append(left, r.ID)
			continue
		}
		rows = append(rows, r)
	}
	var beside Beside
	if ch.Beside != nil {
		beside = ch.Beside(left)
	}
	tooLarge := make(map[int]error)
	for {
		refused, err := c.encodeRows(ctx, s, ch, rows, tooLarge)
		if err != nil {
			return nil, err
		}
		until, positions, err := c.besides(ctx, s, ch.Object, rows, beside)
		if err != nil {
			return nil, err
		}
		if len(c.records)+len(positions) == 0 {
			return left, nil
		}
		began := time.Now()
		err = c.write(ctx, c.records, positions)
		if large, ok := errors.AsType[*sink.RecordTooLargeError](err); ok && large.Index < len(c.owners) {
			if row := c.owners[large.Index]; tooLarge[row] == nil {
				tooLarge[row] = err
				continue
			}
		}
		if err != nil {
			c.l.cfg.Stats.FailedCommits.Add(1)
			return nil, fmt.Errorf("committing %d rows of lane %d: %w", len(rows), c.l.cfg.Lane, err)
		}
		c.l.cfg.Stats.well(c.l.cfg.Lane)
		c.l.cfg.Stats.commit(time.Since(began), len(c.records))
		s.covers.add(ch.Object, until)
		c.rememberRows(rows)
		s.stats.Rows.Add(uint64(len(rows)))
		s.stats.RowsLeft.Add(uint64(len(left)))
		c.tellRefused(s, rows, refused)
		return left, nil
	}
}

// tellRefused tells of rows that are dead letters now, by index and why.
func (c *committer) tellRefused(s *laneStream, rows []*Row, refused map[int]error) {
	s.stats.RowsRefused.Add(uint64(len(refused)))
	for i, why := range refused {
		c.l.cfg.Log.Error().Err(why).Str("channel", s.Key.Channel).Str("id", rows[i].ID).Msg("row became a dead letter")
	}
}

// encodeRows fills records and owners from the rows, and returns why some of them are
// dead letters.
func (c *committer) encodeRows(ctx context.Context, s *laneStream, ch *Chunk, rows []*Row, tooLarge map[int]error) (refused map[int]error, _ error) {
	refused = make(map[int]error)
	c.records, c.owners = c.records[:0], c.owners[:0]
	for i, r := range rows {
		before := len(c.records)
		err := tooLarge[i]
		if err == nil {
			err = c.patiently(ctx, ch.Channel, func() (err error) {
				c.records, _, err = c.l.cfg.Encoder.Encode(ctx, c.records[:before], &r.Event)
				return err
			})
		}
		switch {
		case err == nil:
			for _, made := range c.records[before:] {
				made.Headers = append(made.Headers, kgo.RecordHeader{Key: SnapshotHeader, Value: []byte(ch.Task)})
			}
		case ctx.Err() != nil:
			return nil, err
		case s.HaltOnBadEvent, tooLarge[i] == nil && Decide(classifyEncode(err), false).Action != SetAside:
			// By policy, or all rows would be refused alike.
			return nil, &RowRefusedError{Channel: ch.Channel, ID: r.ID, Err: err}
		default: // I1
			c.records = append(c.records[:before], c.l.cfg.DeadLetter.record(s.Key, &r.Event, err, tooLarge[i] == nil))
			refused[i] = err
		}
		for range len(c.records) - before {
			c.owners = append(c.owners, i)
		}
	}
	return refused, nil
}

// besides appends the records beside the rows, and makes those of the positions topic:
// the tasks, and until when the rows of the object hold what happened.
func (c *committer) besides(ctx context.Context, s *laneStream, object string, rows []*Row, b Beside) (until time.Time, positions []*kgo.Record, err error) {
	for _, h := range b.Entries {
		var f fate
		if err := c.patiently(ctx, h.Channel, func() error { return c.enter(ctx, h, &f) }); err != nil && ctx.Err() == nil {
			return until, nil, &RowRefusedError{Channel: s.Key.Channel, Err: err}
		} else if err != nil {
			return until, nil, err
		}
	}
	c.records = append(c.records, b.Records...)
	for _, r := range rows {
		until = latestOf(until, r.until())
	}
	for _, t := range b.Tasks {
		positions = append(positions, c.l.cfg.Tasks.TaskRecord(t)) // I2
	}
	if until.After(s.covers[object]) {
		positions = append(positions, c.l.cfg.Tasks.TaskRecord(coverTask(s.Key, object, until)))
	}
	return until, positions, nil
}

// coverID names the task that keeps until when rows of an object hold what happened.
const coverID = "rows/"

func coverTask(key replay.Key, object string, until time.Time) replay.Task {
	return replay.Task{Key: key, ID: coverID + object, Object: object, Covers: until, Body: []byte("{}"), Updated: time.Now()}
}

// rememberRows notes which records had rows in what was committed just now: another
// task may have asked for them before.
func (c *committer) rememberRows(rows []*Row) {
	c.l.recent.commit()
	for _, r := range rows {
		c.l.recent.hear([]byte(r.ID), latestOf(r.Modified, r.Until))
	}
}

// remember notes which records had events in what was committed just now (rule 3).
func (c *committer) remember() {
	if !c.l.recent.watching() {
		return
	}
	c.l.recent.commit()
	for i, r := range c.records[:len(c.owners)] {
		if f := c.fates[c.owners[i]]; f.kind == produced {
			c.l.recent.hear(r.Key, f.time)
		}
	}
}
