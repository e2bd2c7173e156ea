package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

func newGapsList(stop *stopper) *cobra.Command {
	var path, since string
	var want gapFilter
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the holes that the streams are known to have",
		Long: `List the holes that the streams are known to have, from the topic <name>.gaps.

A gap is open while data is missing, repairing while that is being fetched, repaired
when it has come, and waived when somebody decided to do without. The state open also
lists those that are being repaired. A gap of a whole channel concerns each of its
objects, and one whose end is not known yet reaches beyond every --since.

Salesforce is not asked. A record of the ledger that cannot be read makes the exit
code 3: it may be a gap.`,
		Example: `  bridge gaps list -c bridge.yaml
  bridge gaps list --channel /data/ChangeEvents --object Account --since 72h
  bridge gaps list --state all --json | jq 'group_by(.reason) | map({(.[0].reason): length})'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if want.since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			if err := want.check(); err != nil {
				return err
			}
			d, err := openGapDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return d.list(stop.intake, want, asJSON, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&want.channel, "channel", "", "of this channel alone")
	cmd.Flags().StringVar(&want.object, "object", "", "that concern this object, by its API name")
	cmd.Flags().StringVar(&want.reason, "reason", "", "with this reason: "+strings.Join(transform.HoleReasons(), ", "))
	cmd.Flags().StringVar(&want.state, "state", transform.HoleOpen, "open, repairing, repaired, waived or all")
	cmd.Flags().StringVar(&since, "since", "", "that reach behind this time: 2026-08-01T10:00:00Z, 2026-08-01, or 72h for so long ago")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// allStates is the --state that leaves nothing out.
const allStates = "all"

// gapFilter says which gaps are wanted; what is empty does not matter.
type gapFilter struct {
	channel, object, reason, state string
	since                          time.Time
}

func (f *gapFilter) check() error {
	states := []string{transform.HoleOpen, transform.HoleRepairing, transform.HoleRepaired, transform.HoleWaived, allStates}
	if !slices.Contains(states, f.state) {
		return exit(pipeline.ExitUsage, fmt.Errorf("--state %q is none of %s", f.state, strings.Join(states, ", ")))
	}
	return nil
}

// knows is an error for a reason that neither the bridge nor the ledger has.
func (f *gapFilter) knows(l *gapLedger) error {
	if f.reason == "" || slices.Contains(transform.HoleReasons(), f.reason) ||
		slices.ContainsFunc(l.gaps, func(g *gapEntry) bool { return g.now().Reason == f.reason }) {
		return nil
	}
	return exit(pipeline.ExitUsage, fmt.Errorf("there is no reason %q; the reasons are %s", f.reason, strings.Join(transform.HoleReasons(), ", ")))
}

func (f *gapFilter) wants(h *transform.Hole) bool {
	switch {
	case f.channel != "" && h.Channel != f.channel,
		f.reason != "" && h.Reason != f.reason,
		f.object != "" && !concerns(h, f.object),
		!f.since.IsZero() && !h.ToTime.IsZero() && h.ToTime.Before(f.since):
		return false
	case f.state == transform.HoleOpen:
		return h.Unfilled()
	}
	return f.state == allStates || f.state == h.State
}

// concerns says whether a gap may hold events of an object.
func concerns(h *transform.Hole, object string) bool {
	if h.Object != "" {
		return h.Object == object
	}
	name := h.Channel[strings.LastIndexByte(h.Channel, '/')+1:]
	switch {
	case strings.HasPrefix(h.Channel, "/data/") && strings.HasSuffix(name, "ChangeEvent"):
		return (config.Stream{Channel: h.Channel, Kind: config.ChangeData}).Object() == object
	case strings.HasSuffix(name, "__e"):
		return name == object
	}
	return true
}

// parseSince reads a time, a day, or how long ago; nothing is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, exit(pipeline.ExitUsage, fmt.Errorf("--since %q is no time; try: 2026-08-01T10:00:00Z, 2026-08-01, or 72h for so long ago", text))
}

func (d *gapDesk) list(ctx context.Context, want gapFilter, asJSON bool, out, errs io.Writer) error {
	l, err := d.ledger(ctx)
	if err != nil {
		return err
	}
	if err := want.knows(l); err != nil {
		return err
	}
	if caution := d.caution(ctx); caution != "" {
		if _, err := fmt.Fprintln(errs, "warning: "+caution); err != nil {
			return err
		}
	}
	rows := []gapRow{}
	for _, g := range l.gaps {
		if want.wants(&g.now().Hole) {
			rows = append(rows, rowOf(g))
		}
	}
	if asJSON {
		err = writeJSON(out, rows)
	} else {
		err = d.printGaps(out, rows, want.state)
	}
	return errors.Join(err, l.unread())
}

// unread is an error if something in the ledger cannot be read.
func (l *gapLedger) unread() error {
	if len(l.broken) == 0 {
		return nil
	}
	const most = 10
	return exit(pipeline.ExitEnvironment, fmt.Errorf("%d gaps cannot be read, and may be open:\n%w",
		len(l.broken), errors.Join(l.broken[:min(most, len(l.broken))]...)))
}

// gapRow is a gap as it is printed.
type gapRow struct {
	ID           string    `json:"id"`
	State        string    `json:"state"`
	Reason       string    `json:"reason"`
	Org          string    `json:"org"`
	Channel      string    `json:"channel"`
	Object       string    `json:"object,omitempty"` // empty is the whole channel
	ChangeType   string    `json:"change_type,omitempty"`
	RecordIDs    []string  `json:"record_ids,omitempty"`
	FromPosition string    `json:"from_position,omitempty"`
	ToPosition   string    `json:"to_position,omitempty"`
	FromTime     time.Time `json:"from_time,omitzero"`
	ToTime       time.Time `json:"to_time,omitzero"`
	Detected     time.Time `json:"detected"`
	Detail       string    `json:"detail"`
}

func rowOf(g *gapEntry) gapRow {
	h := g.now()
	return gapRow{
		ID: g.id, State: h.State, Reason: h.Reason, Org: h.Org, Channel: h.Channel, Object: h.Object, ChangeType: h.ChangeType,
		RecordIDs: h.RecordIDs, FromPosition: h.FromPosition, ToPosition: h.ToPosition, FromTime: h.FromTime, ToTime: h.ToTime,
		Detected: h.Detected, Detail: h.Detail,
	}
}

// shownID is how much of an id the list shows: commands take any beginning that is
// the only one.
const shownID = 12

func (d *gapDesk) printGaps(w io.Writer, rows []gapRow, state string) error {
	if len(rows) == 0 {
		which := "gaps"
		if state != allStates {
			which = state + " gaps"
		}
		_, err := fmt.Fprintf(w, "no %s in %s\n", which, d.gapsTopic())
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	text := "ID\tSTATE\tREASON\tCHANNEL\tOBJECT\tAFTER\tUP TO\tFOUND\n"
	for _, r := range rows {
		object := r.Object
		if object == "" {
			object = "(all)"
		}
		text += strings.Join([]string{
			r.ID[:min(shownID, len(r.ID))], r.State, r.Reason, r.Channel, printable(object),
			edge(r.FromTime, r.FromPosition), edge(r.ToTime, r.ToPosition), edge(r.Detected, ""),
		}, "\t") + "\n"
	}
	if _, err := io.WriteString(tw, text); err != nil {
		return err
	}
	return tw.Flush()
}

// edge is where a gap begins or ends: when, or else by the position.
func edge(at time.Time, position string) string {
	switch {
	case !at.IsZero():
		return at.UTC().Format(time.RFC3339)
	case position != "":
		return "position " + position
	}
	return "?"
}
