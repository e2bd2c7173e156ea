package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// remembered is how far back Salesforce is asked for deletions: some 15 days is what it
// remembers (REST API Developer Guide, "sObject Get Deleted").
const remembered = 15 * 24 * time.Hour

// deletions writes the records that were deleted since the part's time: those in the
// recycle bin, and those that are gone from there.
func (r *run) deletions(ctx context.Context) error {
	if !r.p.Deletions || r.p.ByIDs || r.p.Since.IsZero() {
		return nil
	}
	r.t.mu.Lock()
	if r.p.Ranges == nil {
		r.p.Ranges = []*idRange{{}}
	}
	r.t.mu.Unlock()
	if slices.Contains(r.shape.Form().Columns(), "IsDeleted") { // others have no recycle bin
		if err := r.ranges(ctx, REST); err != nil {
			return err
		}
	}
	return r.purged(ctx)
}

// purged asks for deletions that the recycle bin does not have any more, and looks at
// each: one that is there has come back.
func (r *run) purged(ctx context.Context) error {
	now := time.Now()
	changes, err := r.b.w.cfg.Reader.Deleted(ctx, r.p.Object, latest(r.p.Since, now.Add(-remembered)), now)
	if err != nil {
		if _, refused := errors.AsType[*salesforce.APIError](err); refused && !passing(err) {
			r.forgotten(err.Error())
			return nil
		}
		return err
	}
	if r.p.Since.Before(now.Add(-remembered)) || changes.Earliest.After(r.p.Since) {
		r.forgotten("the org remembers deletions since " + changes.Earliest.UTC().Format(time.RFC3339))
	}
	if until := r.missing(); changes.Covered.Before(until) {
		return &passingError{fmt.Errorf("the org's list of deleted records of %s ends at %s, and is wanted up to %s", r.p.Object, changes.Covered.UTC().Format(time.TimeOnly), until.UTC().Format(time.TimeOnly))}
	}
	ids := make([]string, 0, len(changes.Deleted))
	for _, d := range changes.Deleted {
		ids = append(ids, d.ID)
	}
	return r.absent(ctx, slices.Values(ids))
}

// missing is until when deletions may have been missed: what came later is an event.
func (r *run) missing() time.Time {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	until := r.t.state.Begun
	for _, h := range r.t.state.Holes { // found before the task began
		until = latest(until, h.Detected)
	}
	return until
}

// forgotten is what is done where the org does not tell of all deletions since the
// part's time: a sweep finds them, if there can be one, and else it is said.
func (r *run) forgotten(why string) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if r.b.w.cfg.Alive != nil {
		r.p.Sweep = true
		return
	}
	r.t.state.Unsure = fmt.Sprintf("records of %s that were deleted for good may be missed: %s", r.p.Object, why)
	r.b.w.cfg.Log.Warn().Str("channel", r.t.key.Channel).Str("object", r.p.Object).Str("why", why).
		Msg("records that were deleted for good may be missed, and the records of the topic cannot be read back to find them")
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// absent writes a deletion for each of the ids that the org does not have.
func (r *run) absent(ctx context.Context, ids func(func(string) bool)) error {
	var batch []string
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		defer func() { batch = batch[:0] }()
		asked, w := time.Now(), r.b.desk.Window() // rule 3
		defer w.Close()
		rows, err := r.byIDs(ctx, batch)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(row salesforce.Row) bool { return !row.Missing })
		if len(rows) == 0 {
			return nil
		}
		_, err = r.b.desk.Commit(ctx, r.chunk(w, written{rows: rows, asked: asked, events: r.either, then: func(*Part, []string) {}}))
		return err
	}
	var failed error
	ids(func(id string) bool {
		if batch = append(batch, id); len(batch) >= r.b.w.cfg.PageRows {
			failed = flush()
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return flush()
}

// sweep writes a deletion for each record that the topic has and the org does not.
func (r *run) sweep(ctx context.Context) error {
	if !r.p.Sweep || r.b.w.cfg.Alive == nil {
		return nil
	}
	var failed error
	err := r.absent(ctx, func(yield func(string) bool) {
		for id, err := range r.b.w.cfg.Alive(ctx, r.t.key.Channel, r.p.Object) {
			if err != nil {
				failed = &passingError{fmt.Errorf("reading which records of %s the topic has: %w", r.p.Object, err)}
				return
			}
			if !yield(id) {
				return
			}
		}
	})
	return errors.Join(failed, err)
}
