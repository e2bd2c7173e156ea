package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/sfbridge/bridge/replay"
)

// RowWorker reads rows beside the sources of a lane and has them written, while a
// session of the lane lasts. It returns when ctx ends; an error ends the session, as
// one of a source does.
type RowWorker func(ctx context.Context, desk *RowDesk) error

// RowDesk is where a [RowWorker] hands in the rows that it has read. Its methods are
// safe for concurrent use.
type RowDesk struct {
	c     *carrier
	tasks []replay.Task
	in    chan *rowOrder
}

// rowOrder is a chunk on its way to the committer.
type rowOrder struct {
	ctx  context.Context //nolint:containedctx // of whoever waits for the answer
	read func(ctx context.Context) (Chunk, error)
	done chan rowAnswer // of size 1
}

type rowAnswer struct {
	left []string
	err  error
}

func newRowDesk(c *carrier, tasks []replay.Task) *RowDesk {
	return &RowDesk{c: c, tasks: tasks, in: make(chan *rowOrder)}
}

// Lane is the number of the lane.
func (d *RowDesk) Lane() int32 { return d.c.cfg.Lane }

// Tasks are the tasks of the lane's streams that were durable when the session began.
func (d *RowDesk) Tasks() []replay.Task { return slices.Clone(d.tasks) }

// Streams are the streams that the session began with.
func (d *RowDesk) Streams() []replay.Key {
	var out []replay.Key
	for _, p := range d.c.pollers {
		for _, channel := range p.channels {
			out = append(out, d.c.streams[channel].Key)
		}
	}
	slices.SortFunc(out, func(a, b replay.Key) int { return strings.Compare(a.Channel, b.Channel) })
	return out
}

// ErrHalted says that a stream is halted: nothing of it is written any more.
var ErrHalted = errors.New("the stream is halted")

// Subscribed waits until a stream is subscribed in this session; where it goes on is
// durable then (rule 1). Its error is ErrHalted, or that of ctx.
func (d *RowDesk) Subscribed(ctx context.Context, channel string) error {
	s, ok := d.c.streams[channel]
	if !ok {
		return ErrHalted
	}
	for {
		changed := s.stats.changes.Wait()
		switch {
		case s.stats.haltedWhy() != "":
			return ErrHalted
		case s.up.Load():
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Window begins to remember which records have events (rule 3). It is to be opened
// before the query is sent, and closed behind the last Commit of its rows.
func (d *RowDesk) Window() *Window { return d.c.recent.begin() }

// Commit makes rows durable, and returns the ids of those that were left out since an
// event of their record came meanwhile: they are to be read again. A [*RowRefusedError]
// or [ErrHalted] leaves the session as it is; every other error ends it.
func (d *RowDesk) Commit(ctx context.Context, ch Chunk) (left []string, err error) {
	return d.Held(ctx, func(context.Context) (Chunk, error) { return ch, nil })
}

// Held has rows read while nothing else is committed, so that none of them can be left
// out, and makes them durable. It is for the record that changes faster than it can be
// read, and short: the lane's events wait. An error of read comes back as it is.
func (d *RowDesk) Held(ctx context.Context, read func(ctx context.Context) (Chunk, error)) (left []string, err error) {
	o := &rowOrder{ctx: ctx, read: read, done: make(chan rowAnswer, 1)}
	select {
	case d.in <- o:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// The committer has it, and answers whatever becomes of ctx. Not to wait would be to
	// close the window of rows that it is about to judge by it (rule 4).
	a := <-o.done
	return a.left, a.err
}

// take carries out an order. Its error ends the session.
func (c *carrier) take(ctx context.Context, o *rowOrder) error {
	ch, err := o.read(o.ctx)
	if err != nil {
		o.done <- rowAnswer{err: err} // it is the worker's
		return nil                    //nolint:nilerr // and no reason to end the session
	}
	if s, ok := c.streams[ch.Channel]; !ok || s.stats.haltedWhy() != "" {
		o.done <- rowAnswer{err: ErrHalted}
		return nil
	}
	left, err := c.commitRows(ctx, &ch)
	o.done <- rowAnswer{left, err}
	if isType[*RowRefusedError](err) {
		return nil
	}
	return err
}

// work runs the lane's worker until the returned function is called, which waits for
// its end.
func (c *carrier) work(ctx context.Context, stop func()) (end func() error) {
	if c.cfg.Rows == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() {
		if err := c.cfg.Rows(ctx, c.desk); err != nil && ctx.Err() == nil {
			failed = err
			stop()
		}
	})
	return func() error {
		cancel()
		wg.Wait()
		return failed
	}
}

// loadTasks reads the tasks of the lane, and what they say of each stream's rows.
func (l *Lane) loadTasks(ctx context.Context) ([]replay.Task, error) {
	for _, s := range l.streams {
		s.covers = make(covers)
		s.up.Store(false)
	}
	if l.cfg.Tasks == nil {
		return nil, nil
	}
	tasks, err := l.cfg.Tasks.Tasks(ctx, l.cfg.Lane)
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		if s, ok := l.streams[t.Key.Channel]; ok && t.Object != "" {
			s.covers.add(t.Object, t.Covers)
		}
	}
	return slices.DeleteFunc(tasks, func(t replay.Task) bool { return strings.HasPrefix(t.ID, coverID) }), nil
}

// begins are the tasks with which a stream begins that has none, and no position.
func (l *Lane) begins(s *laneStream, tasks []replay.Task) (out []replay.Task) {
	if l.cfg.Tasks == nil {
		return nil
	}
	have := make(map[string]bool)
	for _, t := range tasks {
		have[t.ID] = have[t.ID] || t.Key == s.Key
	}
	for _, t := range s.Begin {
		if !have[t.ID] {
			t.Key = s.Key
			out = append(out, t)
		}
	}
	return out
}
