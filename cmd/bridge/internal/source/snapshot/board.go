package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// board has the tasks of a lane while a session of it lasts.
type board struct {
	w    *Worker
	desk *pipeline.RowDesk

	mu      sync.Mutex
	tasks   map[taskKey]*task
	cursors map[string]int64 // up to which signals are followed, by channel
	changes chan struct{}    // closed at the next change
}

// task is a task at work. The state is changed under mu alone.
type task struct {
	key   replay.Key
	id    string
	calls atomic.Int64 // not counted in the state yet

	mu    sync.Mutex
	state *State

	cancel context.CancelCauseFunc // of its run; nil while it does not. Under the board's mu
}

// cursorID names the task that keeps up to which signal a stream has followed.
const cursorID = "signals"

func newBoard(w *Worker, desk *pipeline.RowDesk) (*board, error) {
	b := &board{w: w, desk: desk, tasks: make(map[taskKey]*task), cursors: make(map[string]int64), changes: make(chan struct{})}
	ours := make(map[replay.Key]bool)
	for _, k := range desk.Streams() {
		ours[k] = true
	}
	for _, t := range desk.Tasks() {
		switch {
		case !ours[t.Key]:
		case t.ID == cursorID:
			n, err := readCursor(t.Body)
			if err != nil {
				return nil, fmt.Errorf("task %q of %s: %w", t.ID, t.Key.Channel, err)
			}
			b.cursors[t.Key.Channel] = n
		default:
			s, err := ReadState(t)
			if err != nil {
				return nil, err
			}
			b.tasks[taskKey{t.Key, t.ID}] = &task{key: t.Key, id: t.ID, state: s}
		}
	}
	return b, nil
}

// run follows signals and holes, and has two hands at work.
func (b *board) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	for _, repairs := range []bool{true, false} {
		go func() { errs <- b.hand(ctx, repairs) }()
	}
	err := b.follow(ctx)
	cancel()
	return errors.Join(err, <-errs, <-errs)
}

// changed wakes whoever waits for a change.
func (b *board) changed() {
	close(b.changes)
	b.changes = make(chan struct{})
}

// hand does one task after the other: the repairs, or the others.
func (b *board) hand(ctx context.Context, repairs bool) error {
	for ctx.Err() == nil {
		t, work, changed := b.next(ctx, repairs)
		if t == nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := b.do(work, t)
		b.mu.Lock()
		cause := context.Cause(work)
		t.cancel(nil)
		t.cancel = nil
		b.mu.Unlock()
		if err := b.outcome(ctx, t, err, cause); err != nil {
			return err
		}
	}
	return nil
}

// next is the oldest task that can be worked at; nil if there is none.
func (b *board) next(ctx context.Context, repairs bool) (*task, context.Context, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var first *task
	for _, t := range b.tasks {
		if t.standing() != Running || (t.kind() == Repair || t.kind() == Reread) != repairs {
			continue
		}
		if first == nil || cmp.Or(t.state.Ordered.Compare(first.state.Ordered), strings.Compare(t.id, first.id)) < 0 {
			first = t
		}
	}
	if first == nil {
		return nil, nil, b.changes
	}
	ctx, first.cancel = context.WithCancelCause(context.WithValue(ctx, spentKey{}, &first.calls))
	return first, ctx, nil
}

func (t *task) standing() Standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Standing
}

func (t *task) kind() Kind { return t.state.Kind } // never changes

// standingError is why the run of a task was ended from outside.
type standingError struct {
	to  Standing
	why string
}

func (e *standingError) Error() string { return "the task is " + string(e.to) }

// outcome acts upon the end of a run. Its error ends the session.
func (b *board) outcome(ctx context.Context, t *task, err, cause error) error {
	log := b.w.cfg.Log.With().Str("channel", t.key.Channel).Str("task", t.id).Logger()
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the session is over, whatever ended the run
	case err == nil:
		t.mu.Lock()
		counts := t.state.Counts
		t.mu.Unlock()
		b.mu.Lock()
		b.changed()
		b.mu.Unlock()
		log.Info().Int("rows", counts.Rows).Int("gone", counts.Gone).Int("calls", counts.Calls).Msg("rows are written")
		return nil
	case errors.Is(err, pipeline.ErrHalted):
		t.mu.Lock()
		t.state.Standing = Paused // for the life of this session: it is not written
		t.mu.Unlock()
		return nil
	}
	if to, ok := errors.AsType[*standingError](cause); ok {
		return b.stand(ctx, t, to.to, to.why)
	}
	if passing(err) {
		log.Warn().Err(err).Dur("retry_in", b.w.cfg.Pause).Msg("rows cannot be read now")
		select {
		case <-time.After(b.w.cfg.Pause):
		case <-ctx.Done():
		}
		return nil
	}
	log.Error().Err(err).Msg("rows cannot be read: the task is aborted, the stream goes on")
	return b.stand(ctx, t, Aborted, err.Error())
}

// stand makes durable how a task stands, and tells of it.
func (b *board) stand(ctx context.Context, t *task, to Standing, why string) error {
	kind := map[Standing]NoticeType{Aborted: TaskEnded, Paused: TaskPaused, Running: Resumed}[to]
	t.mu.Lock()
	t.state.Standing, t.state.Why = to, why
	if to == Aborted {
		t.state.Ended = time.Now()
	}
	kept, told := t.kept(), b.w.tell(kind, t.key, t.id, t.state, why)
	t.mu.Unlock()
	err := b.keep(ctx, t.key.Channel, []replay.Task{kept}, told, nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed()
	return err
}

// kept is the durable form of the task. The caller holds mu.
func (t *task) kept() replay.Task {
	t.state.Calls += int(t.calls.Swap(0))
	return t.state.task(t.key, t.id)
}

// keep commits tasks and notices without rows.
func (b *board) keep(ctx context.Context, channel string, tasks []replay.Task, told []*kgo.Record, entries []*transform.Hole) error {
	_, err := b.desk.Commit(ctx, pipeline.Chunk{Channel: channel, Beside: func([]string) pipeline.Beside {
		return pipeline.Beside{Tasks: tasks, Records: told, Entries: entries}
	}})
	if errors.Is(err, pipeline.ErrHalted) || ctx.Err() != nil {
		return nil //nolint:nilerr // there is nobody any more to keep it for
	}
	return err
}

// add makes tasks durable and puts them on the board.
func (b *board) add(ctx context.Context, channel string, tasks []*task, beside []replay.Task, told []*kgo.Record, entries []*transform.Hole) error {
	for _, t := range tasks {
		beside = append(beside, t.kept())
	}
	old := b.old(time.Now())
	for _, t := range old {
		beside = append(beside, replay.Task{Key: t.key, ID: t.id}) // without a body: deleted
	}
	if err := b.keep(ctx, channel, beside, told, entries); err != nil || ctx.Err() != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range old {
		delete(b.tasks, taskKey{t.key, t.id})
	}
	for _, t := range tasks {
		b.tasks[taskKey{t.key, t.id}] = t
	}
	b.changed()
	return nil
}

// keepEnded is how long a task that somebody asked for can be looked at after its end.
const keepEnded = 7 * 24 * time.Hour

// old are the tasks of signals that ended long ago. Those of beginnings stay, since a
// stream begins once; a repair that the org refused stays too, so as not to be tried again.
func (b *board) old(now time.Time) (out []*task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		if kind := t.kind(); (kind == Asked || kind == Reread) && t.endedNow() && now.Sub(t.endedAt()) > keepEnded {
			out = append(out, t)
		}
	}
	return out
}

func (t *task) endedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Ended
}

// follow takes up signals and holes as they come.
func (b *board) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		var signals, holes <-chan struct{}
		b.mu.Lock()
		changes := b.changes
		b.mu.Unlock()
		if b.w.cfg.Signals != nil {
			signals = b.w.cfg.Signals.Changed()
		}
		if b.w.cfg.Holes != nil {
			holes = b.w.cfg.Holes.Changed()
		}
		for _, key := range b.desk.Streams() {
			if err := b.followSignals(ctx, key); err != nil {
				return err
			}
			if err := b.followHoles(ctx, key); err != nil {
				return err
			}
		}
		select {
		case <-signals:
		case <-holes:
		case <-changes:
		case <-ctx.Done():
		}
	}
	return nil
}

// followHoles makes a task of the holes of a stream that are to be repaired. While one
// is under way the others wait, and are then repaired together.
func (b *board) followHoles(ctx context.Context, key replay.Key) error {
	if b.w.cfg.Holes == nil || b.w.cfg.Repair(key.Channel) != RepairAuto {
		return nil
	}
	busy, settled := b.repairs(key)
	if busy {
		return nil
	}
	holes := slices.DeleteFunc(b.w.cfg.Holes.Open(key.Channel), func(h transform.Hole) bool { return settled[h.ID()] })
	t := b.w.repair(key, holes)
	if t == nil {
		return nil
	}
	return b.add(ctx, key.Channel, []*task{t}, nil, nil, nil)
}

// repairs says whether a repair of a stream is under way, and which holes need none:
// those that were filled in this session, and those that the org refused to fill, until
// somebody asks for them.
func (b *board) repairs(key replay.Key) (busy bool, settled map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	settled = make(map[string]bool)
	for k, t := range b.tasks {
		switch {
		case k.stream != key || t.kind() != Repair:
		case t.endedNow():
			for _, h := range t.state.Holes {
				settled[h.ID()] = true
			}
		default:
			busy = true
		}
	}
	return busy, settled
}

func (b *board) task(key replay.Key, id string) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tasks[taskKey{key, id}]
}

// of returns the tasks of a stream that a signal means, in order.
func (b *board) of(key replay.Key, s Signal) (out []*task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, t := range b.tasks {
		if k.stream == key && (s.Task == k.id || s.Task == "" && (s.Object == "" || slices.Contains(t.state.objects(), s.Object))) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *task) int { return strings.Compare(a.id, b.id) })
	return out
}
