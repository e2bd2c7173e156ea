package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

type wireCursor struct {
	Offset *int64 `json:"offset"`
}

func readCursor(body []byte) (int64, error) {
	var c wireCursor
	if err := json.Unmarshal(body, &c); err != nil || c.Offset == nil {
		return 0, fmt.Errorf("there is no offset in it: %w", err)
	}
	return *c.Offset, nil
}

func cursorTask(key replay.Key, offset int64) replay.Task {
	body, err := json.Marshal(wireCursor{&offset})
	if err != nil {
		panic(err) // a number
	}
	return replay.Task{Key: key, ID: cursorID, Body: body, Updated: time.Now()}
}

// Followed says up to which signal a stream has followed, if the task is the one that
// keeps it: the offset of the next.
func Followed(t replay.Task) (next int64, ok bool) {
	if t.ID != cursorID {
		return 0, false
	}
	next, err := readCursor(t.Body)
	return next, err == nil
}

// followSignals does what is asked of a stream. A stream that has followed none yet
// begins with those that come from now on.
func (b *board) followSignals(ctx context.Context, key replay.Key) error {
	if b.w.cfg.Signals == nil {
		return nil
	}
	at, begun := b.cursors[key.Channel]
	signals, end := b.w.cfg.Signals.From(key.Channel, at)
	switch {
	case end < 0:
		return nil
	case !begun:
		b.cursors[key.Channel] = end
		return b.advance(ctx, key, end)
	case at > end: // the topic was made anew
		signals, _ = b.w.cfg.Signals.From(key.Channel, 0)
	}
	for _, s := range signals {
		if s.Type == AskRepair && !b.holesKnown(key) {
			return nil // it waits, and those behind it do: what it asks for is not known yet
		}
		if err := b.obey(ctx, key, s); err != nil || ctx.Err() != nil {
			return err
		}
		b.cursors[key.Channel] = s.Offset + 1
	}
	return nil
}

// advance makes durable that signals before an offset need nothing more.
func (b *board) advance(ctx context.Context, key replay.Key, next int64, told ...*kgo.Record) error {
	return b.keep(ctx, key.Channel, func() pipeline.Beside {
		return pipeline.Beside{Tasks: []replay.Task{cursorTask(key, next)}, Records: told}
	})
}

// obey does what one signal asks for. That it was done is durable with it.
func (b *board) obey(ctx context.Context, key replay.Key, s Signal) error {
	next := s.Offset + 1
	switch s.Type {
	case AskStop, AskPause, AskResume:
		return b.direct(ctx, key, s, cursorTask(key, next))
	}
	t, err := b.w.ordered(key, s)
	if err != nil {
		b.w.cfg.Log.Warn().Err(err).Str("channel", key.Channel).Str("by", s.By).Msg("a signal cannot be followed")
		refused := &State{Kind: Asked, Parts: []*Part{{Object: s.Object}}}
		return b.advance(ctx, key, next, b.w.tell(Refused, key, s.TaskID(), refused, err.Error())...)
	}
	if busy := b.underWay(key, t, s); busy != "" {
		return b.advance(ctx, key, next, b.w.tell(Refused, key, s.TaskID(), t.state, "the task "+busy+" does it already")...)
	}
	return b.add(ctx, t, cursorTask(key, next))
}

// holesKnown says whether the holes of a stream are known; where there are none to be
// known, nothing is to be waited for.
func (b *board) holesKnown(key replay.Key) bool {
	if b.w.cfg.Holes == nil {
		return true
	}
	_, known := b.w.cfg.Holes.Open(key.Channel)
	return known
}

// underWay is the task that does already what a signal asks for; empty for none.
func (b *board) underWay(key replay.Key, wanted *task, s Signal) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, t := range b.tasks {
		fills := s.Type == AskRepair && slices.ContainsFunc(t.state.Holes, func(h *transform.Hole) bool { return h.ID() == s.Hole })
		if k.stream == key && (k.id == wanted.id || fills) && !t.endedNow() {
			return k.id
		}
	}
	return ""
}

func (t *task) endedNow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.ended()
}

// direct stops, pauses or resumes the tasks that a signal means, and makes that durable
// together with the cursor.
func (b *board) direct(ctx context.Context, key replay.Key, s Signal, cursor replay.Task) error {
	to := map[SignalType]Standing{AskStop: Aborted, AskPause: Paused, AskResume: Running}[s.Type]
	why := ""
	if to == Aborted {
		why = "stopped by " + cmp.Or(s.By, "a signal")
	}
	var turned []*task
	for _, t := range b.of(key, s) {
		if t.turn(to, why) {
			turned = append(turned, t)
			b.interrupt(t)
			b.w.cfg.Log.Info().Str("channel", key.Channel).Str("task", t.id).Str("by", s.By).Str("state", string(to)).Msg("a signal directs a task")
		}
	}
	err := b.keep(ctx, key.Channel, func() pipeline.Beside {
		out := pipeline.Beside{Tasks: []replay.Task{cursor}}
		for _, t := range turned {
			out = b.stood(out, t, to)
		}
		return out
	})
	b.tellChange()
	return err
}

// interrupt ends the run of a task that somebody directed, if it has one.
func (b *board) interrupt(t *task) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.cancel != nil && t.standing() != Running {
		t.cancel(errDirected)
	}
}

// ordered is the task that a signal asks for.
func (w *Worker) ordered(key replay.Key, s Signal) (*task, error) {
	if s.Wrong != nil {
		return nil, s.Wrong
	}
	state := &State{Kind: Asked, Standing: Running, Ordered: time.Now()}
	switch s.Type {
	case AskSnapshot:
		if s.Sweep && w.cfg.Alive == nil {
			return nil, errors.New("a sweep is not possible: the records of the topics cannot be read back in this format")
		}
		state.Parts = []*Part{{Object: s.Object, Where: s.Where, Sweep: s.Sweep}}
	case AskReread:
		state.Kind = Reread
		state.Parts = []*Part{{Object: s.Object, ByIDs: true, IDs: s.IDs, Deletions: true}}
	case AskRepair:
		return w.askedRepair(key, s)
	default:
		return nil, fmt.Errorf("signals of type %q are not known", s.Type)
	}
	return &task{key: key, id: s.TaskID(), state: state}, nil
}

func (w *Worker) askedRepair(key replay.Key, s Signal) (*task, error) {
	if w.cfg.Repair(key.Channel) == RepairOff {
		return nil, fmt.Errorf("repair is off for %s", key.Channel)
	}
	var holes []transform.Hole
	if w.cfg.Holes != nil {
		holes, _ = w.cfg.Holes.Open(key.Channel)
	}
	for _, h := range holes {
		if h.ID() != s.Hole {
			continue
		}
		if t := w.repair(key, []transform.Hole{h}); t != nil {
			return t, nil
		}
		return nil, fmt.Errorf("whose rows the gap %s lacks is not known: name the entities of %s in the configuration", s.Hole, key.Channel)
	}
	return nil, fmt.Errorf("there is no open gap %s in %s", s.Hole, key.Channel)
}
