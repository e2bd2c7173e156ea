package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
		return b.keep(ctx, key.Channel, []replay.Task{cursorTask(key, end)}, nil, nil)
	case at > end: // the topic was made anew
		signals, _ = b.w.cfg.Signals.From(key.Channel, 0)
	}
	for _, s := range signals {
		if err := b.obey(ctx, key, s); err != nil || ctx.Err() != nil {
			return err
		}
		b.cursors[key.Channel] = s.Offset + 1
	}
	return nil
}

// obey does what one signal asks for. That it was done is durable with it.
func (b *board) obey(ctx context.Context, key replay.Key, s Signal) error {
	cursor := []replay.Task{cursorTask(key, s.Offset+1)}
	switch s.Type {
	case AskStop, AskPause, AskResume:
		if err := b.direct(ctx, key, s); err != nil {
			return err
		}
		return b.keep(ctx, key.Channel, cursor, nil, nil)
	}
	t, err := b.w.ordered(key, s)
	if err != nil {
		b.w.cfg.Log.Warn().Err(err).Str("channel", key.Channel).Str("by", s.By).Msg("a signal cannot be followed")
		refused := &State{Kind: Asked, Parts: []*Part{{Object: s.Object}}}
		return b.keep(ctx, key.Channel, cursor, b.w.tell(Refused, key, s.TaskID(), refused, err.Error()), nil)
	}
	if old := b.task(key, t.id); old != nil && !old.endedNow() {
		return b.keep(ctx, key.Channel, cursor, nil, nil) // it is under way
	}
	return b.add(ctx, key.Channel, []*task{t}, cursor, nil, nil)
}

func (t *task) endedNow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.ended()
}

// direct stops, pauses or resumes the tasks that a signal means.
func (b *board) direct(ctx context.Context, key replay.Key, s Signal) error {
	to := map[SignalType]Standing{AskStop: Aborted, AskPause: Paused, AskResume: Running}[s.Type]
	for _, t := range b.of(key, s) {
		now := t.standing()
		if now == to || now == Done || now == Aborted {
			continue
		}
		why := ""
		if to == Aborted {
			why = "stopped by " + cmp.Or(s.By, "a signal")
		}
		b.mu.Lock()
		end := t.cancel
		b.mu.Unlock()
		if end != nil {
			end(&standingError{to, why}) // its hand makes it durable
			continue
		}
		if err := b.stand(ctx, t, to, why); err != nil {
			return err
		}
	}
	return nil
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
		holes = w.cfg.Holes.Open(key.Channel)
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
