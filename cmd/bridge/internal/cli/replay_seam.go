package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// openReader makes what reads the rows of a run. It keeps to the org's reserve as the
// bridge does, and to --max-api-calls.
func (r *replayer) openReader() (err error) {
	c, budget := r.cfg.Snapshot, r.newBudget()
	r.reader, err = salesforce.NewReader(salesforce.ReaderConfig{
		Client: r.org.rest, PageRows: c.PageRows, MaxJobs: c.MaxJobs,
		Spend: func(ctx context.Context, calls int) error {
			if r.bounds == nil {
				return nil // the plan's questions are few, and must not wait
			}
			if err := r.spend(ctx, calls); err != nil {
				return err
			}
			if err := budget.spend(ctx, calls, snapshot.Urgent(ctx)); err != nil {
				return err
			}
			snapshot.Spent(ctx, calls)
			return nil
		},
	})
	return err
}

// spend takes calls of the run. One that has no more is over, and its task must not
// learn of it as of a refusal: it goes on with the run.
func (r *replayer) spend(ctx context.Context, calls int) error {
	if made := r.spent.Add(int64(calls)); r.flags.maxCalls > 0 && made > int64(r.flags.maxCalls) { //nolint:gosec // nobody has so many
		r.spent.Add(int64(-calls))
		r.bounds.OutOfCalls()
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// rowTasks are those that read the run's rows, as they begin: all with the run, since
// what is deleted from then on is an event of its streams, whenever a task gets its turn.
func (r *replayer) rowTasks(now time.Time) (out []replay.Task) {
	for _, s := range r.run.Streams {
		if s.Rows == nil {
			continue
		}
		for _, object := range s.Rows.Entities {
			state := &snapshot.State{Kind: snapshot.Asked, Standing: snapshot.Running, Ordered: now, Begun: now, Parts: []*snapshot.Part{{
				Object: object, Since: s.Rows.Since, Where: r.onlyIDs(), Deletions: s.Rows.Deletions,
			}}}
			out = append(out, rowTask(replay.Key{Org: r.org.id, Channel: s.Channel}, object, state, now))
		}
	}
	return out
}

func rowTask(key replay.Key, object string, state *snapshot.State, now time.Time) replay.Task {
	body, err := json.Marshal(state)
	if err != nil {
		panic(fmt.Sprintf("cli: encoding a task: %v", err)) // it has nothing that JSON cannot express
	}
	return replay.Task{Key: key, ID: backfill.TaskID(object), Object: object, Body: body, Updated: now}
}

// refusedTasks are those of a run that the org refused for good when it ran last, to be
// tried again.
func (r *replayer) refusedTasks(ctx context.Context, now time.Time) (out []replay.Task, _ error) {
	tasks, err := r.runs.Tasks(ctx, r.run)
	if err != nil {
		return nil, outside("topic of runs", err)
	}
	for _, t := range tasks {
		state, err := snapshot.ReadState(t)
		if err != nil {
			return nil, err
		}
		if state.Standing != snapshot.Aborted {
			continue
		}
		state.Standing, state.Why, state.Ended = snapshot.Running, "", time.Time{}
		out = append(out, rowTask(t.Key, t.Object, state, now))
	}
	return out, nil
}

// outcomeOf is what has become of a task.
func outcomeOf(t replay.Task) (backfill.Outcome, error) {
	state, err := snapshot.ReadState(t)
	if err != nil {
		return backfill.Outcome{}, err
	}
	o := backfill.Outcome{Unsure: state.Unsure}
	switch state.Standing {
	case snapshot.Done:
		o.Ended = state.Ended
	case snapshot.Aborted:
		o.Ended, o.Failed = state.Ended, state.Why
	}
	return o, nil
}

// rowsPause is how long rows wait that the org could not be asked for, as when its list
// of deletions is not up to date yet: the run waits with them.
const rowsPause = 10 * time.Second

// readRows has the lane of the run read its rows.
func (r *replayer) readRows(cfg *pipeline.LaneConfig, encoding transform.Config) error {
	ledger, err := transform.NewLedger(r.gapsTopic(), encoding)
	if err != nil {
		return err
	}
	c := r.cfg.Snapshot
	r.worker = snapshot.New(snapshot.Config{
		Client: r.org.rest, Reader: r.reader,
		Method: snapshot.Method(c.Reader), BulkFrom: c.BulkFrom, Parallel: c.Parallel, PageRows: c.PageRows,
		Pause: rowsPause, Log: r.log,
	})
	open := cfg.OpenWriter
	cfg.Tasks = r.rows
	cfg.OpenWriter = func(ctx context.Context) (pipeline.Writer, error) {
		w, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return r.rows.Writer(w), nil
	}
	cfg.Rows = r.rows.Worker(r.bounds, func(ctx context.Context, s backfill.Seam) (*kgo.Record, error) {
		record, err := ledger.Record(ctx, r.hole(s))
		if transform.Retryable(err) {
			err = &pipeline.SourceError{Condition: pipeline.Transient, Channel: s.Channel, Err: err}
		}
		return record, err
	}, r.worker.Run)
	return nil
}

// hole is the ledger's entry for what a seam joins. It is waived from the beginning:
// whoever asked for the run knows, and nobody can bring the events back.
func (r *replayer) hole(s backfill.Seam) *transform.Hole {
	return &transform.Hole{
		Org: r.org.id, Channel: s.Channel, Reason: transform.RowsForEvents, State: transform.HoleWaived, Detected: time.Now(),
		FromTime: s.Part.Since, ToPosition: string(s.First), ToTime: s.Time,
		Detail: fmt.Sprintf("run %s of 'bridge replay' has in place of these events, which the org does not retain, the rows of %s that were changed since: what became of each record, not each change. The bridge's own topics are not concerned",
			r.run.ID, strings.Join(s.Part.Entities, ", ")),
	}
}

// unread is an error if rows could not be read: the end of the events is not the end of
// the run then.
func (r *replayer) unread() error {
	var whys []error
	for _, o := range r.rows.Outcomes() {
		if o.Failed != "" {
			whys = append(whys, fmt.Errorf("%s: rows of %s could not be read: %s", o.Channel, o.Object, o.Failed))
		}
	}
	if len(whys) == 0 {
		return nil
	}
	return exit(pipeline.ExitHalted, fmt.Errorf("%w; try again with: bridge replay --resume %s", errors.Join(whys...), r.run.ID))
}

// unsure is what the run could not find out.
func (r *replayer) unsure() (out []string) {
	for _, o := range r.rows.Outcomes() {
		if o.Unsure != "" {
			out = append(out, o.Unsure)
		}
	}
	return out
}
