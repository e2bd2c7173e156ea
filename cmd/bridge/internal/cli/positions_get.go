package cli

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositionsGet(stop *stopper) *cobra.Command {
	var path, channel string
	asJSON := false
	cmd := &cobra.Command{
		Use:     "get",
		Short:   "Show everything about the position of one stream",
		Long:    "Show everything about the position of one stream: what bridge positions list has,\nhow far back its index of times reaches, and what undo would put back.",
		Example: "  bridge positions get --channel /data/AccountChangeEvent",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if channel == "" {
				return exit(pipeline.ExitUsage, errors.New("say which stream: --channel; see 'bridge positions get --help'"))
			}
			d, err := openPositionDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer d.close()
			rows, err := d.list(stop.intake, []string{channel}, cmd.ErrOrStderr())
			if err != nil {
				return stoppedOr(stop.intake, err)
			}
			out := positionDetail{positionRow: rows[0]}
			moments, err := d.index(stop.intake, channel)
			if err != nil {
				return err
			}
			out.indexed(moments)
			notes, err := d.notes(stop.intake)
			if err != nil {
				return err
			}
			if err := out.undo(d.key(channel), notes); err != nil {
				return exit(pipeline.ExitEnvironment, err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), out)
			}
			return out.print(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&channel, "channel", "", "channel of the stream")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// positionDetail is a stream with what lies beside its position.
type positionDetail struct {
	positionRow
	IndexFrom time.Time `json:"index_from,omitzero"`
	IndexTo   time.Time `json:"index_to,omitzero"`
	Undo      *undoRow  `json:"undo,omitempty"` // nil: nothing was changed by a command
}

type undoRow struct {
	To *place    `json:"to"` // null takes the position away
	By string    `json:"changed_by"`
	At time.Time `json:"changed_at"`
}

func (p *positionDetail) indexed(moments []replay.Moment) {
	if n := len(moments); n > 0 {
		p.IndexFrom, p.IndexTo = moments[0].Time, moments[n-1].Time
	}
}

func (p *positionDetail) undo(k replay.Key, notes map[string]replay.Note) error {
	note, ok := notes[undoPrefix+k.Channel]
	if !ok {
		return nil
	}
	was, kept, err := undoable(k, note)
	if err == nil {
		p.Undo = &undoRow{To: placeOf(was), By: kept.By, At: note.Updated}
	}
	return err
}

func (p *positionDetail) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", key, printable(fmt.Sprintf(format, args...))) // Flush tells
	}
	line("channel", "%s", p.Channel)
	if p.State == positionNone {
		line("position", "none; the stream begins: %s", p.Begins)
	} else {
		line("position", "%s", &p.place)
	}
	if p.State == positionUnconfigured {
		line("", "the configuration does not have the channel")
	}
	for _, one := range []struct {
		key string
		at  time.Time
	}{{"last event", p.EventTime}, {"nothing behind it until", p.Seen}, {"written", p.Updated}} {
		if !one.at.IsZero() {
			line(one.key, "%s", clock(one.at))
		}
	}
	if p.WrittenBy != "" {
		line("written by", "%s", p.WrittenBy)
	}
	if p.Cliff != nil {
		line("cliff in", "%.1f hours", *p.Cliff)
	}
	line("lane", "%d", p.Lane)
	line("owner now", "%s", dash(p.Instance))
	if p.Gaps != nil {
		line("open gaps", "%d", *p.Gaps)
	}
	if !p.IndexFrom.IsZero() {
		line("index of times", "%s to %s", clock(p.IndexFrom), clock(p.IndexTo))
	}
	if p.Undo != nil {
		line("undo", "%s; changed by %s at %s", p.Undo.To, p.Undo.By, clock(p.Undo.At))
	}
	return t.Flush()
}
