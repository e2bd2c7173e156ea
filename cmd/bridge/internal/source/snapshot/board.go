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
				return nil, unreadable(fmt.Errorf("task %q of %s: %w", t.ID, t.Key.Channel, err))
			}
			b.cursors[t.Key.Channel] = n
		default:
			s, err := ReadState(t)
			if err != nil {
				return nil, unreadable(err)
			}
			b.tasks[taskKey{t.Key, t.ID}] = &task{key: t.Key, id: t.ID, state: s}
		}
	}
	return b, nil
}

// unreadable ends the process: what was begun with rows must not be forgotten, nor
// guessed (I5).
func unreadable(err error) error {
	return &pipeline.ExitError{Code: pipeline.ExitEnvironment, Err: err}
}

// run follows signals and holes, and has two hands at work.
func (b *board) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	for _, repairs := range []bool{true, false} {
		go func() {
			err := b.hand(ctx, repairs)
			if err != nil {
				cancel()
			}
			errs <- err
		}()
	}
	err := b.follow(ctx)
	cancel()
	return errors.Join(err, <-errs, <-errs)
}

// tellChange wakes whoever waits for a change.
func (b *board) tellChange() {
	b.mu.Lock()
	defer b.mu.Unlock()
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
		if err := b.outcome(ctx, t, err, cause); err != nil && !errors.Is(err, pipeline.ErrHalted) {
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

// errDirected is why the run of a task ended that somebody stopped or paused.
var errDirected = errors.New("somebody directed the task")

func directed(cause error) bool { return errors.Is(cause, errDirected) }

// outcome acts upon the end of a run. Its error ends the session.
func (b *board) outcome(ctx context.Context, t *task, err, cause error) error {
	log := b.w.cfg.Log.With().Str("channel", t.key.Channel).Str("task", t.id).Logger()
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the session is over, whatever ended the run
	case directed(cause):
		return nil //nolint:nilerr // whoever ended the run makes durable how the task stands
	case err == nil:
		t.mu.Lock()
		counts := t.state.Counts
		t.mu.Unlock()
		b.tellChange()
		log.Info().Int("rows", counts.Rows).Int("gone", counts.Gone).Int("calls", counts.Calls).Msg("rows are written")
		return nil
	case errors.Is(err, pipeline.ErrHalted):
		t.mu.Lock()
		t.state.Standing = Paused // for the life of this session: it is not written
		t.mu.Unlock()
		return nil
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
	if !t.turn(to, why) {
		return nil
	}
	err := b.keep(ctx, t.key.Channel, func() pipeline.Beside { return b.stood(pipeline.Beside{}, t, to) })
	b.tellChange()
	return err
}

// turn changes how a task stands, unless it stands so or has ended.
func (t *task) turn(to Standing, why string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state.Standing == to || t.state.ended() {
		return false
	}
	t.state.Standing, t.state.Why = to, why
	if to == Aborted {
		t.state.Ended = time.Now()
	}
	return true
}

// stood adds to what becomes durable that a task was turned. One that came to its end
// meanwhile has told that.
func (b *board) stood(out pipeline.Beside, t *task, to Standing) pipeline.Beside {
	kind := map[Standing]NoticeType{Aborted: TaskEnded, Paused: TaskPaused, Running: Resumed}[to]
	t.mu.Lock()
	defer t.mu.Unlock()
	out.Tasks = append(out.Tasks, t.kept())
	if t.state.Standing == to {
		out.Records = append(out.Records, b.w.tell(kind, t.key, t.id, t.state, t.state.Why)...)
	}
	return out
}

// kept is the durable form of the task. The caller holds mu.
func (t *task) kept() replay.Task {
	t.state.Calls += int(t.calls.Swap(0))
	return t.state.task(t.key, t.id)
}

// keep commits what stands beside rows, without any. The committer asks for it when its
// turn has come: what beside changes of a state is durable then or the session is over,
// and no state is followed by an older one.
func (b *board) keep(ctx context.Context, channel string, beside func() pipeline.Beside) error {
	_, err := b.desk.Commit(ctx, pipeline.Chunk{Channel: channel, Beside: func([]string) pipeline.Beside { return beside() }})
	return err
}

// add makes a task durable, with the cursor of the signal that asks for it if one does,
// and puts it on the board.
func (b *board) add(ctx context.Context, t *task, cursor ...replay.Task) error {
	old := b.old(time.Now())
	err := b.keep(ctx, t.key.Channel, func() pipeline.Beside {
		t.mu.Lock()
		defer t.mu.Unlock()
		out := pipeline.Beside{Tasks: append(slices.Clone(cursor), t.kept())}
		for _, o := range old {
			out.Tasks = append(out.Tasks, replay.Task{Key: o.key, ID: o.id}) // without a body: deleted
		}
		return out
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	for _, o := range old {
		delete(b.tasks, taskKey{o.key, o.id})
	}
	b.tasks[taskKey{t.key, t.id}] = t
	b.mu.Unlock()
	b.tellChange()
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
			err := b.followSignals(ctx, key)
			if err == nil {
				err = b.followHoles(ctx, key)
			}
			if err != nil && !errors.Is(err, pipeline.ErrHalted) { // of a halted stream nothing is followed
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
	holes, _ := b.w.cfg.Holes.Open(key.Channel)
	holes = slices.DeleteFunc(holes, func(h transform.Hole) bool { return settled[h.ID()] })
	t := b.w.repair(key, holes)
	if t == nil {
		return nil
	}
	return b.add(ctx, t)
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
