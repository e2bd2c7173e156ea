package backfill

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// RowPart is what stands for the events of a stream that the org does not have any
// more: the rows of its entities that were changed since a time.
type RowPart struct {
	Since     time.Time `json:"since"`
	Entities  []string  `json:"entities"`
	Deletions bool      `json:"deletions,omitempty"`
}

// Outcome is what has become of the rows of one entity of a stream.
type Outcome struct {
	Channel, Object string
	Ended           time.Time // zero: they are not all read
	Failed          string    // why the org refuses them for good
	Unsure          string    // what could not be found out
}

// rowsID is what the ids of a run's tasks begin with, before the entity. It is the
// value of [pipeline.SnapshotHeader] in the records of rows.
const rowsID = "replay/"

// TaskID names the task that reads the rows of an entity.
func TaskID(object string) string { return rowsID + object }

// sealID names the task that says that a stream's seam is in the gap ledger.
const sealID = "seam"

// Rows keeps how far the rows of a run have come, in the topic of runs: it is the
// [pipeline.Tasks] of the run's lane. What is durable is known to it by the commits of
// the lane's writer.
type Rows struct {
	runs Runs
	run  Run
	look func(replay.Task) (Outcome, error)

	mu       sync.Mutex
	outcomes map[rowsKey]Outcome
	sealed   map[string]chan struct{} // by channel; closed when the seam is in the ledger
	going    map[*kgo.Record]replay.Task
	changed  time.Time // when rows of an entity were all read last, in this process
}

type rowsKey struct{ channel, object string }

var _ pipeline.Tasks = (*Rows)(nil)

// NewRows makes the rows of a run; nil if it has none. Look reads what has become of a
// task.
func (r Runs) NewRows(run Run, look func(replay.Task) (Outcome, error)) *Rows {
	out := &Rows{
		runs: r, run: run, look: look,
		outcomes: make(map[rowsKey]Outcome), sealed: make(map[string]chan struct{}), going: make(map[*kgo.Record]replay.Task),
	}
	for _, s := range run.Streams {
		if s.Rows != nil {
			out.sealed[s.Channel] = make(chan struct{})
		}
	}
	if len(out.sealed) == 0 {
		return nil
	}
	return out
}

// Tasks are those of the run's streams. What they say counts from here on.
func (r *Rows) Tasks(ctx context.Context, lane int32) ([]replay.Task, error) {
	kept, err := r.runs.tasks(ctx, r.run, lane)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.outcomes)
	clear(r.going)
	var out []replay.Task
	for _, t := range kept {
		if err := r.durable(t); err != nil {
			return nil, err
		}
		if t.ID != sealID {
			out = append(out, t)
		}
	}
	return out, nil
}

// durable takes note of a task as it is kept. The lock is held.
func (r *Rows) durable(t replay.Task) error {
	if t.ID == sealID {
		if seam, ok := r.sealed[t.Key.Channel]; ok && !closed(seam) {
			close(seam)
		}
		return nil
	}
	object, ours := strings.CutPrefix(t.ID, rowsID)
	if !ours {
		return nil // until when rows hold what happened: the lane's matter
	}
	o, err := r.look(t)
	if err != nil {
		return err
	}
	o.Channel, o.Object = t.Key.Channel, object
	key := rowsKey{o.Channel, o.Object}
	if !o.Ended.IsZero() && r.outcomes[key].Ended.IsZero() {
		r.changed = time.Now()
	}
	r.outcomes[key] = o
	return nil
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TaskRecord keeps a task. It counts when the writer has committed it.
func (r *Rows) TaskRecord(t replay.Task) *kgo.Record {
	out := r.runs.taskRecord(r.run, t)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.going[out] = t
	return out
}

// Writer is the lane's writer, whose commits are taken note of.
func (r *Rows) Writer(w pipeline.Writer) pipeline.Writer { return noting{w, r} }

type noting struct {
	pipeline.Writer
	rows *Rows
}

// Commit makes tasks durable with what they tell of (I2).
func (w noting) Commit(ctx context.Context, records, positions []*kgo.Record) error {
	if err := w.Writer.Commit(ctx, records, positions); err != nil {
		return err
	}
	w.rows.mu.Lock()
	defer w.rows.mu.Unlock()
	for _, one := range positions {
		t, ok := w.rows.going[one]
		if !ok {
			continue
		}
		delete(w.rows.going, one)
		if err := w.rows.durable(t); err != nil {
			return err
		}
	}
	return nil
}

// part of a channel; nil if it has no rows.
func (r *Rows) part(channel string) *RowPart {
	for _, s := range r.run.Streams {
		if s.Channel == channel {
			return s.Rows
		}
	}
	return nil
}

// until is the end of a channel's events: that of the run, or, of one that has rows,
// when these were read, since what comes up to then a row may have. It is zero while
// they are not.
func (r *Rows) until(channel string) time.Time {
	end, part := r.run.To.Time, r.part(channel)
	if part == nil {
		return end
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, object := range part.Entities {
		o := r.outcomes[rowsKey{channel, object}]
		if o.Ended.IsZero() {
			return time.Time{}
		}
		if ended := o.Ended.Add(Margin); ended.After(end) {
			end = ended
		}
	}
	return end
}

// since is when rows of an entity were all read last.
func (r *Rows) since() time.Time {
	if r == nil {
		return time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// seam is closed when the seam of a channel is in the ledger; nil if there is none.
func (r *Rows) seam(channel string) <-chan struct{} {
	if r == nil || r.sealed[channel] == nil {
		return nil
	}
	return r.sealed[channel]
}

// Outcomes are what has become of the rows of each entity, in the order of the run's
// streams.
func (r *Rows) Outcomes() (out []Outcome) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.run.Streams {
		if s.Rows == nil {
			continue
		}
		for _, object := range s.Rows.Entities {
			o := r.outcomes[rowsKey{s.Channel, object}]
			o.Channel, o.Object = s.Channel, object
			out = append(out, o)
		}
	}
	return out
}

// tasks are those of a run's streams, under the names of their channels.
func (r Runs) tasks(ctx context.Context, run Run, lane int32) ([]replay.Task, error) {
	all, err := r.Store.Tasks(ctx, lane)
	if err != nil {
		return nil, err
	}
	var out []replay.Task
	for _, t := range all {
		at := slices.IndexFunc(run.Streams, func(s Stream) bool { return r.key(run, s.Channel) == t.Key })
		if at >= 0 {
			t.Key.Channel = run.Streams[at].Channel
			out = append(out, t)
		}
	}
	return out, nil
}

func (r Runs) taskRecord(run Run, t replay.Task) *kgo.Record {
	t.Key = r.key(run, t.Key.Channel)
	return r.Store.TaskRecord(t)
}

// Tasks are those that read the rows of a run, as they are kept.
func (r Runs) Tasks(ctx context.Context, run Run) ([]replay.Task, error) {
	all, err := r.tasks(ctx, run, 0)
	return slices.DeleteFunc(all, func(t replay.Task) bool { return !strings.HasPrefix(t.ID, rowsID) }), err
}
