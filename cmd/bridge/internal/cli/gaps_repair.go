package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

func newGapsRepair(stop *stopper) *cobra.Command {
	var flags askFlags
	all := false
	cmd := &cobra.Command{
		Use:   "repair <id>... | --all-open",
		Short: "Have the running bridge read the rows that a gap lacks",
		Long: `Have the running bridge read the rows that a gap lacks, and write them as records of
the change type SNAPSHOT, and DELETE for what was deleted meanwhile. The ledger has
the gap as repairing from then on, and as repaired with the last row.

It is for streams with repair: manual, and for a repair that was stopped: with
repair: auto a gap is repaired as soon as it is known. What a platform event said is
in no row: its gaps cannot be repaired.

Ids may be shortened as for gaps show. If one of them is not found, nothing is done.

` + askedCodes,
		Example: "  bridge gaps repair 3f9a61c0\n  bridge gaps repair --all-open --no-wait",
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) > 0) == all {
				return exit(pipeline.ExitUsage, errors.New("ids of gaps are needed, or --all-open; see 'bridge gaps repair --help'"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return repairGaps(stop.intake, flags, args, flags.view(cmd), cmd.ErrOrStderr())
		},
	}
	flags.bind(cmd)
	cmd.Flags().BoolVar(&all, "all-open", false, "all gaps that are open and can be repaired")
	return cmd
}

// repairGaps asks for the repair of the gaps that are named, or of all.
func repairGaps(ctx context.Context, flags askFlags, ids []string, show taskView, stderr io.Writer) error {
	d, err := openTaskDesk(ctx, flags.path, stderr)
	if err != nil {
		return stoppedOr(ctx, err)
	}
	defer d.close()
	l, topic, err := ledgerOf(ctx, flags.path)
	if err != nil {
		return stoppedOr(ctx, err)
	}
	gaps, err := d.toRepair(l, topic, ids)
	if err != nil {
		return err
	}
	if len(gaps) == 0 {
		return show.note("no gap is open that can be repaired")
	}
	w, err := d.ask(ctx, flags.follow(), show, func(tasks []taskRow) ([]snapshot.Signal, []taskRow, error) { return repairing(gaps, tasks) }, endsTask)
	if err != nil {
		return err
	}
	return w.verdict()
}

// toRepair are the gaps whose ids begin so; without any, all that can be repaired.
func (d *taskDesk) toRepair(l *gapLedger, topic string, ids []string) (gaps []*gapEntry, err error) {
	for _, id := range ids {
		g, err := l.find(id, topic)
		if err != nil {
			return nil, err
		}
		if why := d.beyondRepair(g); why != "" {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("gap %s: %s", g.id, why))
		}
		gaps = append(gaps, g)
	}
	if len(ids) > 0 {
		return gaps, nil
	}
	return slices.DeleteFunc(slices.Clone(l.gaps), func(g *gapEntry) bool { return d.beyondRepair(g) != "" }), nil
}

// repairing asks for the repair of gaps, except of those that are being repaired.
func repairing(gaps []*gapEntry, tasks []taskRow) (signals []snapshot.Signal, running []taskRow, err error) {
	for _, g := range gaps {
		i := slices.IndexFunc(tasks, func(r taskRow) bool { return r.open() && r.Kind == snapshot.Repair && slices.Contains(r.Gaps, g.id) })
		switch {
		case i < 0:
			now := g.now()
			signals = append(signals, snapshot.Signal{Type: snapshot.AskRepair, Channel: now.Channel, Object: now.Object, Hole: g.id})
		case tasks[i].State == snapshot.Paused:
			return nil, nil, exit(pipeline.ExitUsage, fmt.Errorf("the repair of gap %s is paused; try: bridge snapshot resume --stream %s --task %s", g.id, tasks[i].Channel, tasks[i].Task))
		default:
			running = append(running, tasks[i])
		}
	}
	return signals, running, nil
}

// ledgerOf reads the ledger, as the other commands about gaps do.
func ledgerOf(ctx context.Context, path string) (l *gapLedger, topic string, err error) {
	d, err := openGapDesk(ctx, path, io.Discard) // who has opened the rest has told of problems
	if err != nil {
		return nil, "", err
	}
	l, err = d.ledger(ctx)
	return l, d.gapsTopic(), err
}

// beyondRepair says why a gap cannot be repaired; empty if it can.
func (d *taskDesk) beyondRepair(g *gapEntry) string {
	now := g.now()
	s := d.configured(now.Channel)
	switch {
	case !now.Unfilled():
		return "it is " + now.State + " already"
	case now.Org != d.org.id:
		return "it is one of the org " + now.Org
	case !strings.HasPrefix(now.Channel, "/data/"):
		return "what its events said is in no row of the org"
	case s == nil:
		return "the configuration does not have " + now.Channel + " any more"
	case s.Repair == config.RepairOff:
		return "the stream has repair: off"
	}
	return ""
}
