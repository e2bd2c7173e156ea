package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// triesBeforeHold is how often a row is read again before the lane holds its commits
// for it (rule 4).
const triesBeforeHold = 3

// rereadFrom is how many rows may wait to be read again.
const rereadFrom = 1000

// skew is how far the org's clock may be ahead of ours.
const skew = time.Minute

// holdRows bounds how many rows are read while commits are held.
const holdRows = 200

func (s *State) summary() string {
	text := fmt.Sprintf("%d rows were read from the org, %d of them deletions, with %d calls of its API", s.Rows, s.Gone, s.Calls)
	if s.Unsure != "" {
		text += "; " + s.Unsure
	}
	return text
}

// Current is the part at work; the last, if none is; nil if the task has none.
func (s *State) Current() (last *Part) {
	for _, p := range s.Parts {
		if last = p; p.Phase != finished {
			break
		}
	}
	return last
}

// run is one run of a task.
type run struct {
	b     *board
	t     *task
	p     *Part
	shape *Shape
	// rereading has place for one: ranges that are read side by side share what is to
	// be read again.
	rereading chan struct{}
}

// do works at a task until its end.
func (b *board) do(ctx context.Context, t *task) error {
	if err := b.desk.Subscribed(ctx, t.key.Channel); err != nil { // rule 1
		return err
	}
	if err := b.begin(ctx, t); err != nil {
		return err
	}
	for t.standing() == Running {
		r := &run{b: b, t: t, p: t.state.Current(), rereading: make(chan struct{}, 1)}
		var err error
		if r.shape, err = NewShape(ctx, ShapeConfig{Client: b.w.cfg.Client, Org: t.key.Org, Channel: t.key.Channel, Object: r.p.Object}); err != nil {
			return fmt.Errorf("what rows of %s look like: %w", r.p.Object, err)
		}
		if err := r.part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin tells that a task begins.
func (b *board) begin(ctx context.Context, t *task) error {
	t.mu.Lock()
	begun := !t.state.Begun.IsZero()
	t.mu.Unlock()
	if begun {
		return nil
	}
	return b.keep(ctx, t.key.Channel, func() pipeline.Beside {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.state.Begun = time.Now()
		return pipeline.Beside{
			Tasks: []replay.Task{t.kept()}, Records: b.w.tell(Started, t.key, t.id, t.state, ""),
			Entries: t.state.holes(transform.HoleRepairing, func(was string) string { return was }),
		}
	})
}

// part reads what one part asks for.
func (r *run) part(ctx context.Context) error {
	for _, step := range []struct {
		at   phase
		then phase
		do   func(context.Context) error
	}{
		{readingRows, readingDeletions, r.rows},
		{readingDeletions, sweeping, r.deletions},
		{sweeping, finished, r.sweep},
	} {
		if r.p.Phase != step.at {
			continue
		}
		r.note()
		if err := step.do(ctx); err != nil {
			return err
		}
		if err := r.again(ctx, 0); err != nil {
			return err
		}
		if err := r.enter(ctx, step.then); err != nil {
			return err
		}
	}
	return nil
}

// note says what rows cannot have, once.
func (r *run) note() {
	if r.p.Phase != readingRows || r.p.Ranges != nil {
		return
	}
	for _, f := range r.shape.Left() {
		r.b.w.cfg.Log.Warn().Str("channel", r.t.key.Channel).Str("object", r.p.Object).Str("field", f.Name).Str("why", f.Why).
			Msg("rows do not have a field that events have")
	}
}

// enter makes the next phase durable; behind the last of the last part, the end.
func (r *run) enter(ctx context.Context, next phase) error {
	return r.b.keep(ctx, r.t.key.Channel, func() pipeline.Beside {
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		s := r.t.state
		r.p.Phase = next
		r.p.Ranges, r.p.Again = nil, nil
		last := next == finished && s.Current().Phase == finished
		if last {
			s.Standing, s.Why, s.Ended = Done, "", time.Now() // whatever was asked for meanwhile
		}
		kept := r.t.kept() // counts the calls
		if !last {
			return pipeline.Beside{Tasks: []replay.Task{kept}}
		}
		if s.Kind == Repair {
			kept.Body = nil // the ledger has it
		}
		return pipeline.Beside{Tasks: []replay.Task{kept}, Records: r.b.w.tell(TaskDone, r.t.key, r.t.id, s, ""), Entries: s.filled()}
	})
}

// selection is what the part asks for, within a range.
func (r *run) selection(within idRange) salesforce.Selection {
	s := salesforce.Selection{Form: r.shape.Form(), Range: salesforce.Range{After: within.After, UpTo: within.UpTo}}
	var conditions []salesforce.Condition
	if !r.p.Since.IsZero() && (!r.p.All || r.p.Phase == readingDeletions) {
		conditions = append(conditions, salesforce.Where("SystemModstamp", ">=", salesforce.TimeLiteral(r.p.Since)))
	}
	if r.p.Where != "" {
		conditions = append(conditions, salesforce.SOQLCondition(r.p.Where))
	}
	if r.p.Phase == readingDeletions {
		s.All = true
		conditions = append(conditions, salesforce.Where("IsDeleted", "=", salesforce.BoolLiteral(true)))
	}
	s.Where = salesforce.AllOf(conditions...)
	return s
}

// written is one commit of rows.
type written struct {
	rows   []salesforce.Row
	asked  time.Time                                            // before the query was sent
	events func(salesforce.Row, time.Time) (pipeline.Row, bool) // false: there is nothing to write
	then   func(p *Part, left []string)                         // of progress, under the task's mu
}

// chunk makes the chunk of a commit, with the task as it is behind it.
func (r *run) chunk(w *pipeline.Window, c written) pipeline.Chunk {
	out := pipeline.Chunk{Channel: r.t.key.Channel, Object: r.p.Object, Task: r.t.id, Window: w}
	gone := make(map[string]bool)
	for _, row := range c.rows {
		if one, ok := c.events(row, c.asked); ok {
			out.Rows = append(out.Rows, one)
			if row.Missing || row.Deleted {
				gone[one.ID] = true
			}
		}
	}
	out.Beside = func(left []string) pipeline.Beside {
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		s, p := r.t.state, r.p
		for _, id := range left {
			delete(gone, id)
		}
		s.Chunks++
		s.Rows += len(out.Rows) - len(left)
		s.Left += len(left)
		s.Gone += len(gone)
		p.Read += len(c.rows)
		c.then(p, left)
		for _, id := range left {
			if p.Again == nil {
				p.Again = make(map[string]int)
			}
			p.Again[id]++
		}
		return pipeline.Beside{Tasks: []replay.Task{r.t.kept()}, Records: r.b.w.tell(ChunkDone, r.t.key, r.t.id, s, "")}
	}
	return out
}

// present is the event of a row that is there.
func (r *run) present(row salesforce.Row, asked time.Time) (pipeline.Row, bool) {
	if row.Missing {
		// Its deletion is an event behind where the stream began, or was seen already.
		return pipeline.Row{}, false
	}
	if row.Deleted {
		return r.gone(row, asked)
	}
	ev := r.shape.Event(row)
	ev.ReceivedAt = time.Now()
	return pipeline.Row{ID: row.ID, Modified: row.Modstamp, Event: ev}, true
}

// either is the event of a row, or of its deletion if it is not there.
func (r *run) either(row salesforce.Row, asked time.Time) (pipeline.Row, bool) {
	if row.Missing {
		return r.gone(row, asked)
	}
	return r.present(row, asked)
}

func (r *run) gone(row salesforce.Row, asked time.Time) (pipeline.Row, bool) {
	at, until := row.Modstamp, time.Time{}
	if at.IsZero() { // it is not there; when it went is not known
		at, until = asked, time.Now().Add(skew)
	}
	ev := r.shape.Deletion(row.ID, at)
	ev.ReceivedAt = time.Now()
	return pipeline.Row{ID: row.ID, Modified: row.Modstamp, Until: until, Event: ev}, true
}

// again reads the rows anew that were left out, while there are more than so many.
func (r *run) again(ctx context.Context, most int) error {
	select {
	case r.rereading <- struct{}{}:
		defer func() { <-r.rereading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		ids, hold := r.waiting(most)
		if len(ids) == 0 {
			return nil
		}
		do := r.reread
		if hold {
			do = r.held
		}
		if err := do(ctx, ids); err != nil {
			return err
		}
	}
}

// waiting is a batch of the ids that are to be read again, and whether commits are to
// be held for them.
func (r *run) waiting(most int) (ids []string, hold bool) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if len(r.p.Again) <= most {
		return nil, false
	}
	var restless []string
	for id, tries := range r.p.Again {
		if tries > triesBeforeHold {
			restless = append(restless, id)
		} else {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Sort(restless)
	if len(restless) > 0 {
		return restless[:min(len(restless), holdRows)], true
	}
	return ids[:min(len(ids), idsAtOnce)], false
}

// reread reads rows by their ids and commits them.
func (r *run) reread(ctx context.Context, ids []string) error {
	asked, w := time.Now(), r.b.desk.Window() // rule 3
	defer w.Close()
	rows, err := r.byIDs(ctx, ids)
	if err != nil {
		return err
	}
	_, err = r.b.desk.Commit(ctx, r.chunk(w, r.second(rows, ids, asked)))
	return err
}

// held does it while nothing else is committed (rule 4).
func (r *run) held(ctx context.Context, ids []string) error {
	r.b.w.held.Add(1)
	_, err := r.b.desk.Held(ctx, func(ctx context.Context) (pipeline.Chunk, error) {
		asked, w := time.Now(), r.b.desk.Window()
		defer w.Close() // nothing is committed before the rows are
		rows, err := r.byIDs(context.WithValue(ctx, urgentKey{}, true), ids)
		if err != nil {
			return pipeline.Chunk{}, err
		}
		return r.chunk(w, r.second(rows, ids, asked)), nil
	})
	return err
}

// second is the commit of rows that were read again. Those that are left out once more
// stay among them, with their count.
func (r *run) second(rows []salesforce.Row, ids []string, asked time.Time) written {
	c := written{rows: rows, asked: asked, events: r.present, then: func(p *Part, left []string) {
		p.Read -= len(ids) // they were counted before
		for _, id := range ids {
			if !slices.Contains(left, id) {
				delete(p.Again, id)
			}
		}
	}}
	if r.p.Deletions || r.p.Sweep {
		c.events = r.either
	}
	return c
}

func (r *run) byIDs(ctx context.Context, ids []string) ([]salesforce.Row, error) {
	rows, err := r.b.w.cfg.Reader.ByIDs(ctx, r.shape.Form(), ids)
	if err != nil {
		return nil, err
	}
	out, err := collect(rows, len(ids)+1)
	return out, errors.Join(err, rows.Close())
}
