package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// positionDesk is what the commands about single positions work with.
type positionDesk struct {
	laneOwner
	now time.Time
}

func openPositionDesk(ctx context.Context, path string, w io.Writer) (*positionDesk, error) {
	b, err := openPositions(ctx, path, w)
	if err != nil {
		return nil, err
	}
	return &positionDesk{laneOwner: laneOwner{bridge: b}, now: time.Now().UTC().Truncate(time.Millisecond)}, nil
}

func (d *positionDesk) key(channel string) replay.Key {
	return replay.Key{Org: d.org.id, Channel: channel}
}

// entries are the positions that there are; none, if the bridge has never run.
func (d *positionDesk) entries(ctx context.Context) (map[replay.Key]replay.Entry, error) {
	store, err := d.stored(ctx)
	if err != nil || store == nil {
		return nil, err
	}
	all, err := store.All(ctx)
	if err != nil {
		return nil, outside("positions topic", err)
	}
	return all, nil
}

// accepts asks the org whether it takes a position of a stream.
func (d *positionDesk) accepts(ctx context.Context, s config.Stream, p replay.Position) error {
	err := d.probe(ctx, s.Channel, pipeline.Start{After: p})
	switch {
	case err == nil:
		return nil
	case pipeline.Classify(err) == pipeline.ReplayInvalid:
		return exit(pipeline.ExitUsage, fmt.Errorf(
			"%w; %s: the org takes no replay id %s: it is older than the %s that it retains, or of another org or channel, or has not come yet; nothing was written; try: bridge positions rewind --to-time, or --to-earliest",
			err, s.Channel, p, s.Retention))
	default:
		return explained(err, s, string(p))
	}
}

// changeFlags are those of all commands that change positions.
type changeFlags struct {
	path              string
	dryRun, yes, json bool
}

func (f *changeFlags) add(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "tell what would be done, change nothing")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "replace positions without asking")
	cmd.Flags().BoolVar(&f.json, "json", false, "print as JSON")
}

// plan says which positions are to be changed. It has judged whatever can be judged
// before anything is written.
type plan func(ctx context.Context, d *positionDesk) ([]change, error)

// carryOut tells what a plan changes, asks, and does it.
func (f changeFlags) carryOut(ctx context.Context, cmd *cobra.Command, decide plan) error {
	d, err := openPositionDesk(ctx, f.path, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer d.close()
	changes, err := decide(ctx, d)
	if err != nil {
		return stoppedOr(ctx, err)
	}
	if err := d.fenceable(ctx); err != nil {
		return err
	}
	tell := newChangeTeller(f.json, cmd.OutOrStdout())
	if err := tell.plan(changes, f.dryRun); err != nil {
		return err
	}
	if !f.dryRun {
		if err := d.sure(changes, f.yes, cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil {
			return err
		}
		err = d.apply(ctx, changes)
		for i := range changes {
			if w := changes[i].warning; w != "" {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s: %s\n", changes[i].key.Channel, w) // what was done is told all the same
			}
		}
	}
	return errors.Join(tell.end(changes), err)
}

// sure asks before a position is replaced.
func (d *positionDesk) sure(changes []change, yes bool, stdin io.Reader, stderr io.Writer) error {
	var replaced []string
	for _, c := range changes {
		if c.from != nil {
			replaced = append(replaced, c.key.Channel)
		}
	}
	if yes || len(replaced) == 0 {
		return nil
	}
	sure, err := confirmed(stdin, stderr, "This replaces the positions of "+strings.Join(replaced, ", ")+".", d.cfg.Name)
	if err == nil && !sure {
		err = exit(pipeline.ExitUsage, errors.New("it was not confirmed; nothing was written (--yes confirms without a question)"))
	}
	return err
}

// fenceable is an error if instances run that could not be kept from writing (I7),
// or if it cannot be seen who would have to be told.
func (d *positionDesk) fenceable(ctx context.Context) error {
	if d.cfg.Delivery != config.AtLeastOnce {
		if _, err := d.members(ctx); err != nil {
			return outside("consumer group", err)
		}
		return nil
	}
	if err := d.unattended(ctx); err != nil {
		return exit(exitCode(err), fmt.Errorf("%w; without transactions (delivery: at_least_once) it cannot be kept from writing its own position", err))
	}
	return nil
}
