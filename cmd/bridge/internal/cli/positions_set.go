package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// howItIsDone is what all commands that change positions have in their help.
const howItIsDone = `The bridge may run. The lanes are taken from it by the fence that keeps two owners
from writing, the new position and the old one, for undo, are written in one
transaction, and the instances that own those lanes are told to take them up
anew: their other lanes pause for a moment too. Nothing else is lost or read
twice. With delivery: at_least_once there is no such fence, and every instance
has to be stopped first.

With ACLs it needs what the bridge needs.`

const changeCodes = `Exit codes: 0 done, 2 usage or configuration, or the org refuses the position:
nothing was written; 3 something outside is unreachable or refuses us.`

func newPositionsSet(stop *stopper) *cobra.Command {
	var f changeFlags
	var channel, id string
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Have a stream go on behind a replay id",
		Long: `Have a stream go on behind a replay id, whether that lies before or after its
position. The org is asked first whether it takes the id. What lies between is left
out if the id lies after the position; unless times show that it lies before, that is
entered into the gap ledger, with reason skipped, and undo closes the entry.

` + howItIsDone + "\n\n" + changeCodes,
		Example: "  bridge positions set --channel /data/AccountChangeEvent --id 4711 --dry-run\n  bridge positions set --channel /data/AccountChangeEvent --id 4711",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if channel == "" || id == "" {
				return exit(pipeline.ExitUsage, errors.New("say which stream and where: --channel and --id; see 'bridge positions set --help'"))
			}
			to := destination{id: id, skips: true}
			return f.carryOut(stop.intake, cmd, to.plan([]string{channel}, false))
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&channel, "channel", "", "channel of the configuration")
	cmd.Flags().StringVar(&id, "id", "", "replay id of the last event that is not wanted")
	return cmd
}

func newPositionsRewind(stop *stopper) *cobra.Command {
	var f changeFlags
	var to destination
	var channels []string
	all := false
	cmd := &cobra.Command{
		Use:   "rewind",
		Short: "Have streams go back to a time, a replay id, or the earliest event",
		Long: `Have streams go back to a time, a replay id, or the earliest event, so that the
bridge writes what came since then once more, into the same topics. To have it in
topics of its own, beside the bridge, see bridge replay.

A time is found by the index of times that the bridge keeps. What is read and
happened before it is not written. Times are RFC 3339 (2026-11-20T10:00:00Z, the
seconds may be left out), or how long ago (36h). --to-earliest leaves out what
the org would drop within minutes.

` + howItIsDone + "\n\n" + changeCodes,
		Example: `  bridge positions rewind --channel /data/AccountChangeEvent --to-time 2h --dry-run
  bridge positions rewind --all --to-time 2026-11-20T10:00Z
  bridge positions rewind --channel /event/Order__e --to-earliest --yes`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			to.back = true
			if err := to.check(channels, all); err != nil {
				return exit(pipeline.ExitUsage, fmt.Errorf("%w; see 'bridge positions rewind --help'", err))
			}
			return f.carryOut(stop.intake, cmd, to.plan(channels, all))
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVar(&channels, "channel", nil, "channel of the configuration; may be given several times")
	cmd.Flags().BoolVar(&all, "all", false, "all channels of the configuration")
	cmd.Flags().StringVar(&to.time, "to-time", "", "go on with what happened at this time")
	cmd.Flags().StringVar(&to.id, "to-id", "", "go on behind the event with this replay id")
	cmd.Flags().BoolVar(&to.earliest, "to-earliest", false, "go on with the earliest event that is retained")
	return cmd
}

// destination is where streams are to go on.
type destination struct {
	id, time string
	earliest bool
	back     bool // and nowhere else
	skips    bool // also forward
}

func (to destination) check(channels []string, all bool) error {
	given := 0
	for _, one := range []bool{to.id != "", to.time != "", to.earliest} {
		if one {
			given++
		}
	}
	switch {
	case all == (len(channels) > 0):
		return errors.New("say which channels: --channel, once or several times, or --all")
	case given != 1:
		return errors.New("say where to: one of --to-time, --to-id and --to-earliest")
	case to.id != "" && (all || len(channels) > 1):
		return errors.New("a replay id belongs to one channel: --to-id needs one --channel")
	}
	return nil
}

func (to destination) plan(channels []string, all bool) plan {
	return func(ctx context.Context, d *positionDesk) ([]change, error) {
		streams, err := d.chosen(replayFlags{channels: channels, all: all})
		if err != nil {
			return nil, exit(pipeline.ExitUsage, err)
		}
		stored, err := d.entries(ctx)
		if err != nil {
			return nil, err
		}
		var out []change
		for _, s := range streams {
			e, err := d.find(ctx, to, s, stored)
			if err != nil {
				return nil, err
			}
			c := d.change(ctx, stored, d.key(s.Channel), e)
			c.skips = to.skips
			out = append(out, c)
		}
		return out, nil
	}
}

// earliestMargin is what is left out of what the org still retains, so that it is not
// taken for a loss if it is gone by the time that the stream is taken up.
const earliestMargin = 5 * time.Minute

// find makes the position that a destination is for a stream.
func (d *positionDesk) find(ctx context.Context, to destination, s config.Stream, stored map[replay.Key]replay.Entry) (*replay.Entry, error) {
	if s.Kind == config.Rows {
		return d.rowPosition(to, s, stored)
	}
	e := &replay.Entry{Source: replayIDs}
	switch {
	case to.earliest:
		e.Since = d.now.Add(earliestMargin - s.Retention)
		return e, nil
	case to.id != "":
		if err := checkReplayID(to.id); err != nil {
			return nil, exit(pipeline.ExitUsage, err)
		}
		moments, err := d.index(ctx, s.Channel)
		if err != nil {
			return nil, err
		}
		e.Position = replay.Position(to.id)
		for _, m := range moments {
			if m.Position == e.Position {
				e.EventTime = m.Time
			}
		}
		return e, d.accepts(ctx, s, e.Position)
	}
	at, err := d.time(to, s, stored)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	moments, err := d.index(ctx, s.Channel)
	if err != nil {
		return nil, err
	}
	e.Since = at
	if m, ok := replay.Before(moments, at.Add(-backfill.Margin)); ok && d.now.Sub(m.Time) < s.Retention {
		e.Position, e.EventTime = m.Position, m.Time
		return e, d.accepts(ctx, s, e.Position)
	}
	return e, nil
}

// time judges a destination that is a time.
func (d *positionDesk) time(to destination, s config.Stream, stored map[replay.Key]replay.Entry) (time.Time, error) {
	at, err := parseTime(to.time, d.now)
	if err != nil {
		return at, err
	}
	reached := stored[d.key(s.Channel)].EventTime
	switch {
	case at.After(d.now):
		return at, fmt.Errorf("--to-time %s lies in the future", to.time)
	case d.now.Sub(at) > s.Retention:
		return at, fmt.Errorf("%s: Salesforce retains its events for %s, and %s is longer ago; try: --to-earliest, which begins with what is left",
			s.Channel, s.Retention, clock(at))
	case to.back && !reached.IsZero() && at.After(reached):
		return at, fmt.Errorf("%s: its last event happened at %s, before %s: there is nothing to go back to; events are left out with bridge positions set",
			s.Channel, clock(reached), clock(at))
	}
	return at, nil
}

func newPositionsUndo(stop *stopper) *cobra.Command {
	var f changeFlags
	var channels []string
	cmd := &cobra.Command{
		Use:   "undo",
		Short: "Put back the position that a stream had before it was changed",
		Long: `Put back the position that a stream had before it was changed by set, rewind,
import or undo itself. What the bridge has read since then comes again, if the
position lies before it.

` + howItIsDone + "\n\n" + changeCodes,
		Example: "  bridge positions undo --channel /data/AccountChangeEvent --dry-run",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(channels) == 0 {
				return exit(pipeline.ExitUsage, errors.New("say of which streams: --channel, once or several times; see 'bridge positions undo --help'"))
			}
			return f.carryOut(stop.intake, cmd, undoing(channels))
		},
	}
	f.add(cmd)
	cmd.Flags().StringArrayVar(&channels, "channel", nil, "channel of the configuration; may be given several times")
	return cmd
}

func undoing(channels []string) plan {
	return func(ctx context.Context, d *positionDesk) ([]change, error) {
		streams, err := d.chosen(replayFlags{channels: channels})
		if err != nil {
			return nil, exit(pipeline.ExitUsage, err)
		}
		stored, err := d.entries(ctx)
		if err != nil {
			return nil, err
		}
		notes, err := d.notes(ctx)
		if err != nil {
			return nil, err
		}
		var out []change
		for _, s := range streams {
			note, ok := notes[undoPrefix+s.Channel]
			if !ok {
				return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: its position was never changed by a command; there is nothing to undo", s.Channel))
			}
			was, kept, err := undoable(d.key(s.Channel), note)
			if err != nil {
				return nil, exit(pipeline.ExitEnvironment, err)
			}
			if was != nil && was.Generation != stored[d.key(s.Channel)].Generation {
				return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: its positions have begun anew since then, and the old one means nothing to the org any more; try: bridge positions rewind --to-time", s.Channel))
			}
			if was != nil && was.Position != "" {
				if err := d.accepts(ctx, s, was.Position); err != nil {
					return nil, err
				}
			}
			c := d.change(ctx, stored, d.key(s.Channel), was)
			c.closes = kept.Hole
			out = append(out, c)
		}
		return out, nil
	}
}

// notes are those beside the positions; none, if the bridge has never run.
func (d *positionDesk) notes(ctx context.Context) (map[string]replay.Note, error) {
	store, err := d.stored(ctx)
	if err != nil || store == nil {
		return nil, err
	}
	notes, err := store.Notes(ctx)
	if err != nil {
		return nil, outside("positions topic", err)
	}
	return notes, nil
}
