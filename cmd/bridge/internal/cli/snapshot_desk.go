package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/sink"
)

// taskDesk is what the commands work with that ask a running bridge for rows, or look
// what it does.
type taskDesk struct{ laneOwner }

func openTaskDesk(ctx context.Context, path string, w io.Writer) (*taskDesk, error) {
	b, err := openPositions(ctx, path, w)
	if err != nil {
		return nil, err
	}
	return &taskDesk{laneOwner{bridge: b}}, nil
}

// tasks are the tasks of all streams, those that are not ended first, and up to which
// signal each stream has followed.
func (d *taskDesk) tasks(ctx context.Context) (tasks []taskRow, followed map[string]int64, err error) {
	store, err := d.stored(ctx)
	if err != nil || store == nil {
		return nil, nil, err
	}
	followed = make(map[string]int64)
	for lane := range int32(d.cfg.Lanes) { //nolint:gosec // lanes are at most 10000
		kept, err := store.Tasks(ctx, lane)
		if err != nil {
			return nil, nil, outside("positions topic", err)
		}
		for _, t := range kept {
			if next, ok := snapshot.Followed(t); ok {
				followed[t.Key.Channel] = next
			} else if t.Covers.IsZero() { // else it is the pipeline's own
				state, err := snapshot.ReadState(t)
				if err != nil {
					return nil, nil, exit(pipeline.ExitEnvironment, err)
				}
				tasks = append(tasks, taskRowOf(t, state))
			}
		}
	}
	slices.SortStableFunc(tasks, compareTasks)
	return tasks, followed, nil
}

// listening waits until a stream follows signals, which one that begins does in a
// moment. It is an error if a signal would be followed by nobody, ever: a stream that
// has followed none yet begins with those that come then.
func (d *taskDesk) listening(ctx context.Context, channel string) error {
	for began := time.Now(); ; {
		_, followed, err := d.tasks(ctx)
		if err != nil {
			return err
		}
		if _, ok := followed[channel]; ok {
			return nil
		}
		members, err := d.members(ctx)
		switch {
		case err != nil:
			return outside("consumer group", err)
		case len(members) == 0:
			return exit(pipeline.ExitEnvironment, fmt.Errorf("%s has never been carried by this version of the bridge, and no instance of %q runs; nothing was asked for; try: start it with 'bridge run' first", channel, d.cfg.Name))
		case time.Since(began) >= answerWithin:
			return exit(pipeline.ExitEnvironment, fmt.Errorf("%s does not listen to signals: it is halted, or not subscribed yet, or carried by an older version of the bridge; nothing was asked for; try: 'bridge positions list' for its instance, whose /readyz tells", channel))
		}
		wait(ctx, listenPause)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// listenPause is how often it is looked whether a stream listens.
const listenPause = 200 * time.Millisecond

// telling is a producer of the bridge's own topics that are no part of a lane, without
// transactions: each record stands for itself.
func (b *bridge) telling(ctx context.Context) (*sink.Producer, error) {
	cfg := b.producing("")
	cfg.Delivery = sink.AtLeastOnce
	return sink.Open(ctx, cfg)
}

// send writes signals, and notes in them where they are.
func (d *taskDesk) send(ctx context.Context, signals []snapshot.Signal) error {
	p, err := d.telling(ctx)
	if err != nil {
		return outside("topic of signals", err)
	}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer done()
		_ = p.Close(closing) // nothing is under way
	}()
	records := make([]*kgo.Record, len(signals))
	for i := range signals {
		signals[i].By, signals[i].At = currentUser(), time.Now().UTC().Truncate(time.Millisecond)
		text, err := signals[i].Text()
		if err != nil {
			return exit(pipeline.ExitUsage, err)
		}
		records[i] = &kgo.Record{Topic: d.signalsTopic(), Key: []byte(signals[i].Channel), Value: text}
	}
	if _, err := p.Topic(ctx, d.signalsTopic()); err != nil {
		return outside("topic of signals", err)
	}
	if err := p.Commit(ctx, nil, records); err != nil { // partition 0, which is read alone, wherever their keys lead
		return outside("topic of signals", err)
	}
	for i, r := range records {
		signals[i].Offset = r.Offset
	}
	return nil
}

// asking says what is asked for, when it is known which tasks there are.
type asking func(tasks []taskRow) (signals []snapshot.Signal, running []taskRow, err error)

// asks is an asking that the tasks do not matter for.
func asks(s snapshot.Signal) asking {
	return func([]taskRow) ([]snapshot.Signal, []taskRow, error) { return []snapshot.Signal{s}, nil, nil }
}

// ask sends signals and follows what becomes of the tasks that they are about, and of
// those that run already, until the notices that end the wait, unless nobody wants to
// know.
func (d *taskDesk) ask(ctx context.Context, follow bool, show taskView, what asking, ends func(snapshot.NoticeType) bool) (*taskWatch, error) {
	w := &taskWatch{desk: d, show: show, ends: ends, patience: answerWithin}
	if follow { // before anything is asked: no answer may be missed
		if err := w.open(ctx); err != nil {
			return nil, stoppedOr(ctx, err)
		}
		defer w.cl.Close()
	}
	tasks, _, err := d.tasks(ctx)
	if err != nil {
		return nil, stoppedOr(ctx, err)
	}
	signals, running, err := what(tasks)
	if err != nil {
		return nil, err
	}
	channels := make(map[string]bool)
	for _, s := range signals {
		channels[s.Channel] = true
	}
	for _, channel := range slices.Sorted(maps.Keys(channels)) {
		if err := d.listening(ctx, channel); err != nil {
			return nil, stoppedOr(ctx, err)
		}
	}
	if len(signals) > 0 {
		if err := d.send(ctx, signals); err != nil {
			return nil, stoppedOr(ctx, err)
		}
	}
	for _, s := range signals {
		w.expect(s.Channel, cmp.Or(s.Task, s.TaskID()), s.Object)
	}
	for _, r := range running {
		w.expect(r.Channel, r.Task, r.Object)
	}
	if err := show.asked(w.tasks); err != nil || !follow {
		return w, err
	}
	return w, w.run(ctx)
}
