package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// replayIDs is the kind of source that a replay id is a position of.
const replayIDs = "cometd"

// change is a position that a command gives to a stream.
type change struct {
	key     replay.Key
	lane    int32
	from    *replay.Entry   // as it was last seen; nil for none
	to      *replay.Entry   // nil takes it away
	moments []replay.Moment // that go into the stream's index with it
	fresh   bool            // it must not replace any
	skips   bool            // it may leave events out, which goes into the gap ledger
	closes  *transform.Hole // the hole that an undone change has left
	effect  effect

	applied bool
	running string // the instance that owned the lane, if one did
	takenUp bool   // the lane has an owner again, who has read the new position
	warning string
}

// effect is what a change does to the records.
type effect struct {
	Text string `json:"effect"`
	// Twice is about how many records come a second time; nil is not known.
	Twice *int64 `json:"twice,omitempty"`
}

// change makes the change of a stream's position to another.
func (d *positionDesk) change(ctx context.Context, stored map[replay.Key]replay.Entry, k replay.Key, to *replay.Entry) change {
	c := change{key: k, lane: replay.LaneOf(k, d.cfg.Lanes), to: to}
	if e, ok := stored[k]; ok {
		c.from = &e
	}
	if to != nil {
		to.Key, to.Updated, to.Owner = k, d.now, d.instance()
	}
	if to != nil && c.from != nil {
		to.Generation = max(to.Generation, c.from.Generation)
	}
	c.effect = d.effect(ctx, &c)
	return c
}

// leavesOut says whether events may lie between the old place and the new one: always,
// unless the times say that the new one lies before it.
func (c *change) leavesOut() bool {
	if c.from == nil || c.to == nil || c.from.Position == c.to.Position {
		return false
	}
	from, to := startsAt(c.from), startsAt(c.to)
	return from.IsZero() || to.IsZero() || to.After(from)
}

// hole is what a change leaves in the gap ledger, or ends there; nil is nothing.
func (c *change) hole(by string) *transform.Hole {
	switch {
	case c.closes != nil:
		h := *c.closes
		h.State, h.Detail = transform.HoleRepaired, "the position was put back by "+by
		return &h
	case !c.skips || !c.leavesOut():
		return nil
	}
	return &transform.Hole{
		Org: c.key.Org, Channel: c.key.Channel, Reason: transform.Skipped, State: transform.HoleOpen,
		FromPosition: string(c.from.Position), FromTime: startsAt(c.from), ToPosition: string(c.to.Position), ToTime: startsAt(c.to),
		Detail: "the position was set by " + by,
	}
}

// effect compares times, since positions cannot be compared (I4).
func (d *positionDesk) effect(ctx context.Context, c *change) effect {
	from, to := startsAt(c.from), startsAt(c.to)
	switch {
	case c.to == nil:
		return effect{Text: "the stream begins anew where the configuration says"}
	case c.from == nil:
		return effect{Text: "the stream begins there"}
	case c.from.Position == c.to.Position && c.from.Since.Equal(c.to.Since):
		none := int64(0)
		return effect{Text: "none: it is the position that the stream has", Twice: &none}
	case from.IsZero() || to.IsZero():
		return effect{Text: "how many records come a second time, or are left out, is not known; to count what comes: " + countWith(c)}
	case to.After(from):
		return effect{Text: fmt.Sprintf("what happened from %s to %s is left out, unless it came before", clock(from), clock(to))}
	}
	n, err := d.recordsSince(ctx, c.key.Channel, to)
	if err != nil {
		return effect{Text: fmt.Sprintf("what happened from %s on comes a second time; to count it: %s", clock(to), countWith(c))}
	}
	return effect{Text: fmt.Sprintf("about %d records come a second time: what happened from %s on", n, clock(to)), Twice: &n}
}

// startsAt is the time from which on a position brings events; zero if that is not
// known.
func startsAt(e *replay.Entry) time.Time {
	switch {
	case e == nil:
		return time.Time{}
	case !e.Since.IsZero():
		return e.Since
	}
	return e.EventTime
}

// countWith is the command that counts exactly what a change brings.
func countWith(c *change) string {
	from := "--from-id " + string(c.to.Position)
	if !c.to.Since.IsZero() {
		from = "--from-time " + c.to.Since.Format(time.RFC3339)
	}
	return fmt.Sprintf("bridge replay --channel %s %s --dry-run (which takes deliveries)", c.key.Channel, from)
}

// undoNote is what is kept to undo a change.
type undoNote struct {
	Entry json.RawMessage `json:"entry,omitempty"` // the position before it; none if there was none
	By    string          `json:"by"`
	Hole  *transform.Hole `json:"hole,omitempty"` // that the change has left in the gap ledger
}

const undoPrefix = "undo"

// records are those of a change. They are one transaction, so that no position is
// changed without the way back.
func (c *change) records(store *replay.Store, by string, now time.Time) []*kgo.Record {
	position := store.Tombstone(c.key)
	if c.to != nil {
		position = store.Record(*c.to)
	}
	note := undoNote{By: by}
	if c.closes == nil {
		note.Hole = c.hole(by)
	}
	if c.from != nil {
		note.Entry = c.from.Text()
	}
	body, err := json.Marshal(note)
	if err != nil {
		panic("positions: " + err.Error()) // JSON and a name
	}
	out := []*kgo.Record{position, store.NoteRecord(replay.Note{Name: undoPrefix + c.key.Channel, Body: body, Updated: now})}
	for _, m := range c.moments {
		out = append(out, store.MomentRecord(m))
	}
	return out
}

// undoable reads the position that a note keeps; nil for none.
func undoable(k replay.Key, n replay.Note) (*replay.Entry, undoNote, error) {
	var kept undoNote
	if err := json.Unmarshal(n.Body, &kept); err != nil {
		return nil, kept, fmt.Errorf("the note %q cannot be read: %w", n.Name, err)
	}
	if len(kept.Entry) == 0 {
		return nil, kept, nil
	}
	e, err := replay.ReadEntry(k, kept.Entry)
	if err != nil {
		return nil, kept, fmt.Errorf("the note %q cannot be read: %w", n.Name, err)
	}
	return &e, kept, nil
}
