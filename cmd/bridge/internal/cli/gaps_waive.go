package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

func newGapsWaive(stop *stopper) *cobra.Command {
	var path string
	var why waiver
	asJSON := false
	cmd := &cobra.Command{
		Use:   "waive <id>...",
		Short: "Decide to do without what a gap lacks",
		Long: `Decide to do without what a gap lacks: its state becomes waived, with who decided
it, when and why. No data is touched, and the gap stays in the ledger.

It is safe while the bridge runs. What the bridge finds out about the gap at the same
time is kept: a gap that was repaired meanwhile stays repaired. A starvation that
still lasts is entered as open again when its end is known, since more may be missing
than was known when it was waived.

Ids may be shortened as for gaps show. If one of them is not found, nothing is done.`,
		Example: `  bridge gaps waive 3f9a61c0 --reason "test data, nobody reads it"
  bridge gaps list --reason overflow --json | jq -r '.[].id' | xargs bridge gaps waive --reason "reloaded by hand, OPS-4711"`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(why.reason) == "" {
				return exit(pipeline.ExitUsage, errors.New("--reason is needed: whoever reads the ledger will want to know"))
			}
			why.by = cmp.Or(why.by, currentUser())
			d, err := openGapDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			done, err := d.waive(stop.intake, args, why)
			if asJSON {
				return errors.Join(writeJSON(cmd.OutOrStdout(), done), err)
			}
			return errors.Join(printWaived(cmd.OutOrStdout(), done), err)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&why.reason, "reason", "", "why nobody needs it (required)")
	cmd.Flags().StringVar(&why.by, "by", "", "who decided it (default: the user of this process)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// waiver is who decided to do without, and why.
type waiver struct{ by, reason string }

func currentUser() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = cmp.Or(u.Username, u.Uid, name)
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// waived is what became of a gap that was to be waived.
type waived struct {
	ID      string `json:"id"`
	State   string `json:"state"` // that the gap has now
	Changed bool   `json:"changed"`
	Message string `json:"message"`
}

func printWaived(w io.Writer, all []waived) error {
	for _, one := range all {
		if _, err := fmt.Fprintf(w, "%s: %s\n", one.ID, one.Message); err != nil {
			return err
		}
	}
	return nil
}

// waive waives the gaps whose ids begin so. What was done before an error is
// returned with it.
func (d *gapDesk) waive(ctx context.Context, ids []string, why waiver) ([]waived, error) {
	done := []waived{}
	l, err := d.ledger(ctx)
	if err != nil {
		return done, err
	}
	var gaps []*gapEntry
	for _, id := range ids {
		g, err := l.find(id, d.gapsTopic())
		if err == nil {
			err = rewritable(g)
		}
		if err != nil {
			return done, err
		}
		gaps = append(gaps, g)
	}
	w, err := d.ledgerWriter()
	if err != nil {
		return done, err
	}
	defer w.close()
	for _, g := range gaps {
		one, err := d.waiveOne(ctx, w, g, why)
		if err != nil {
			return done, err
		}
		done = append(done, one)
	}
	return done, nil
}

// rewritable is an error for an entry that would not be the same if this version of
// the bridge wrote it (I5).
func rewritable(g *gapEntry) error {
	now := g.now()
	if len(now.Unknown) == 0 && now.Hole.ID() == g.id {
		return nil
	}
	return exit(pipeline.ExitUsage, fmt.Errorf("gap %s was entered by another version of the bridge, and would lose something; try: the bridge of that version", g.id))
}

// mostRaces is how often the bridge may write the same entry while it is waived.
const mostRaces = 5

// waiveOne writes the state, looks what the bridge wrote at the same time, and makes
// good what that changes: of one key the last record holds, whoever wrote it.
func (d *gapDesk) waiveOne(ctx context.Context, w *ledgerWriter, g *gapEntry, why waiver) (waived, error) {
	seen := g.now().offset
	for range mostRaces {
		now := g.now()
		if !now.Unfilled() {
			return waived{ID: g.id, State: now.State, Message: "is " + now.State + " already: " + now.Detail}, nil
		}
		hole := now.Hole
		hole.State, hole.Detail = transform.HoleWaived, strings.TrimPrefix(fmt.Sprintf("%s; waived by %s at %s: %s",
			now.Detail, why.by, time.Now().UTC().Format(time.RFC3339), why.reason), "; ")
		at, err := w.write(ctx, &hole)
		if err != nil {
			return waived{}, err
		}
		if g, err = d.again(ctx, g.id); err != nil {
			return waived{}, err
		}
		between := g.between(seen, at)
		if between == nil {
			return waived{ID: g.id, State: hole.State, Changed: true, Message: "waived" + caveat(&hole)}, nil
		}
		if !between.Unfilled() {
			if _, err := w.write(ctx, &between.Hole); err != nil {
				return waived{}, err
			}
			return waived{ID: g.id, State: between.State, Message: "has become " + between.State + " meanwhile: " + between.Detail}, nil
		}
		seen = at
		g.states = append(g.states, *between) // which says more than what was waived
	}
	return waived{}, exit(pipeline.ExitEnvironment, fmt.Errorf("gap %s changes all the time; try: again later", g.id))
}

func caveat(h *transform.Hole) string {
	if h.Reason == transform.Starved && h.ToPosition == "" {
		return "; it may still last, and is entered as open again when its end is known"
	}
	return ""
}

// again reads what the ledger has of a gap now.
func (d *gapDesk) again(ctx context.Context, id string) (*gapEntry, error) {
	l, err := d.ledger(ctx)
	if err != nil {
		return nil, err
	}
	return l.find(id, d.gapsTopic())
}

// between is the last state that was written behind one and before another.
func (g *gapEntry) between(after, before int64) (found *gapState) {
	for i := range g.states {
		if o := g.states[i].offset; o > after && o < before {
			found = &g.states[i]
		}
	}
	return found
}

// ledgerWriter writes single records of the ledger, each whole or not at all.
type ledgerWriter struct {
	cl     *kgo.Client
	ledger *transform.Ledger
}

func (d *gapDesk) ledgerWriter() (*ledgerWriter, error) {
	ledger, err := transform.NewLedger(d.gapsTopic(), d.encoding())
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(d.kafka...)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	return &ledgerWriter{cl: cl, ledger: ledger}, nil
}

func (w *ledgerWriter) close() { w.cl.Close() }

// write returns the offset of the record.
func (w *ledgerWriter) write(ctx context.Context, h *transform.Hole) (int64, error) {
	r, err := w.ledger.Record(ctx, h)
	if err != nil {
		return 0, outside("gap ledger", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if err := w.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
		return 0, outside("gap ledger", fmt.Errorf("writing to %s: %w", r.Topic, err))
	}
	return r.Offset, nil
}
