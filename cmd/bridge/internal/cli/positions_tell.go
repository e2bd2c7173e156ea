package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sfbridge/bridge/replay"
)

// changeTeller tells what a command changes and changed.
type changeTeller interface {
	plan(changes []change, dryRun bool) error
	end(changes []change) error
}

func newChangeTeller(asJSON bool, w io.Writer) changeTeller {
	if asJSON {
		return &jsonChanges{w: w}
	}
	return &textChanges{w: w}
}

// place is a position as it is printed.
type place struct {
	Position  string    `json:"position,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	EventTime time.Time `json:"event_time,omitzero"`
	Seen      time.Time `json:"seen,omitzero"`
	Updated   time.Time `json:"updated,omitzero"`
	WrittenBy string    `json:"written_by,omitempty"`
}

func placeOf(e *replay.Entry) *place {
	if e == nil {
		return nil
	}
	return &place{
		Position: string(e.Position), Since: e.Since, EventTime: e.EventTime, Seen: e.Seen, Updated: e.Updated, WrittenBy: e.Owner,
	}
}

// String is the place in words.
func (p *place) String() string {
	switch {
	case p == nil:
		return "no position"
	case p.Position == "":
		return "the earliest that is retained, of what happened from " + clock(p.Since) + " on"
	case !p.Since.IsZero():
		return "behind replay id " + p.Position + ", of what happened from " + clock(p.Since) + " on"
	case !p.EventTime.IsZero():
		return "behind replay id " + p.Position + ", which happened at " + clock(p.EventTime)
	}
	return "behind replay id " + p.Position
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// jsonChanges tells everything at the end, as one object.
type jsonChanges struct {
	w      io.Writer
	dryRun bool
}

type changesReport struct {
	DryRun  bool        `json:"dry_run"`
	Changes []changeRow `json:"changes"`
}

type changeRow struct {
	Channel string `json:"channel"`
	Lane    int32  `json:"lane"`
	From    *place `json:"from"` // null is none
	To      *place `json:"to"`
	effect
	Applied  bool   `json:"applied"`
	Instance string `json:"instance,omitempty"` // that owned the lane
	TakenUp  bool   `json:"taken_up"`           // by an instance that runs
}

func (j *jsonChanges) plan(_ []change, dryRun bool) error {
	j.dryRun = dryRun
	return nil
}

func (j *jsonChanges) end(changes []change) error {
	out := changesReport{DryRun: j.dryRun, Changes: make([]changeRow, len(changes))}
	for i, c := range changes {
		out.Changes[i] = changeRow{
			Channel: c.key.Channel, Lane: c.lane, From: placeOf(c.from), To: placeOf(c.to), effect: c.effect,
			Applied: c.applied, Instance: c.running, TakenUp: c.takenUp,
		}
	}
	return writeJSON(j.w, out)
}

// textChanges tells the plan first and then what became of it.
type textChanges struct {
	w      io.Writer
	dryRun bool
}

func (t *textChanges) plan(changes []change, dryRun bool) error {
	t.dryRun = dryRun
	tw := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		_, _ = fmt.Fprintf(tw, "%s\n  from\t%s\n  to\t%s\n  effect\t%s\n", c.key.Channel, placeOf(c.from), placeOf(c.to), c.effect.Text) // Flush tells
	}
	return tw.Flush()
}

func (t *textChanges) end(changes []change) error {
	if t.dryRun {
		_, err := fmt.Fprintln(t.w, "dry run: nothing was changed")
		return err
	}
	var undo []string
	for _, c := range changes {
		if !c.applied {
			continue
		}
		undo = append(undo, "--channel "+c.key.Channel)
		how := "taken up at the next start"
		switch {
		case c.takenUp:
			how = "taken up anew by the instances that run"
		case c.running != "" || c.warning != "":
			how = "not taken up yet"
		}
		if _, err := fmt.Fprintf(t.w, "done: %s, %s\n", c.key.Channel, how); err != nil {
			return err
		}
	}
	if len(undo) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(t.w, "to undo it: bridge positions undo %s\n", strings.Join(undo, " "))
	return err
}
