package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

func newGapsShow(stop *stopper) *cobra.Command {
	var path string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "show <id>",
		Short: "Show all that is known of a gap, and its states so far",
		Long: `Show all that is known of a gap, and its states so far, as far as Kafka has not
compacted them away. An id may be shortened to any beginning of four or more letters
that no other gap has.`,
		Example: "  bridge gaps show 3f9a61c0\n  bridge gaps show 3f9a61c0 --json | jq .record_ids",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := openGapDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			shown, err := d.show(stop.intake, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), shown)
			}
			return shown.print(cmd.OutOrStdout())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// shownGap is a gap with its states.
type shownGap struct {
	gapRow
	States []shownState `json:"states"`
}

type shownState struct {
	State   string    `json:"state"`
	Written time.Time `json:"written"`
	Detail  string    `json:"detail"`
}

func (d *gapDesk) show(ctx context.Context, id string) (*shownGap, error) {
	l, err := d.ledger(ctx)
	if err != nil {
		return nil, err
	}
	g, err := l.find(id, d.gapsTopic())
	if err != nil {
		return nil, err
	}
	shown := &shownGap{gapRow: rowOf(g)}
	for _, s := range g.states {
		shown.States = append(shown.States, shownState{State: s.State, Written: s.at.UTC(), Detail: s.Detail})
	}
	return shown, nil
}

func (s *shownGap) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var text strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&text, "%s:\t%s\n", name, printable(value))
		}
	}
	line("id", s.ID)
	line("state", s.State)
	line("reason", s.Reason)
	line("org", s.Org)
	line("channel", s.Channel)
	line("object", cmp.Or(s.Object, "(all of the channel)"))
	line("change type", s.ChangeType)
	line("records", strings.Join(s.RecordIDs, " "))
	line("after", boundary(s.FromTime, s.FromPosition))
	line("up to", boundary(s.ToTime, s.ToPosition))
	line("found", edge(s.Detected, ""))
	line("detail", s.Detail)
	text.WriteString("\nSTATE\tWRITTEN\tDETAIL\n")
	for _, one := range s.States {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", printable(one.State), edge(one.Written, ""), printable(one.Detail))
	}
	if _, err := io.WriteString(tw, text.String()); err != nil {
		return err
	}
	return tw.Flush()
}

// boundary is an edge of a gap with all that is known of it.
func boundary(at time.Time, position string) string {
	switch {
	case position == "":
		return edge(at, "") + " (position not known)"
	case at.IsZero():
		return edge(at, position) + " (time not known)"
	}
	return edge(at, "") + ", position " + position
}

const (
	leastID = 4 // letters of an id that must be given
	mostIDs = 3 // that a message suggests
)

// find is the gap whose id begins so.
func (l *gapLedger) find(prefix, topic string) (*gapEntry, error) {
	var found []*gapEntry
	for _, g := range l.gaps {
		if g.id == prefix {
			return g, nil
		}
		if strings.HasPrefix(g.id, prefix) {
			found = append(found, g)
		}
	}
	switch {
	case len(found) == 1 && len(prefix) >= leastID:
		return found[0], nil
	case len(found) == 0:
		near := ""
		if ids := l.near(prefix); len(ids) > 0 {
			near = "; near: " + strings.Join(ids, ", ")
		}
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("no gap in %s has an id that begins with %q%s; try: bridge gaps list --state all", topic, prefix, near))
	case len(prefix) < leastID:
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%q is too little of an id; try: at least %d letters of it", prefix, leastID))
	}
	ids := make([]string, len(found))
	for i, g := range found {
		ids[i] = g.id
	}
	return nil, exit(pipeline.ExitUsage, fmt.Errorf("%q is the beginning of %d ids: %s", prefix, len(ids), strings.Join(ids, ", ")))
}

// near are the ids that begin most like a wrong one.
func (l *gapLedger) near(wrong string) []string {
	alike := func(id string) int {
		n := 0
		for n < min(len(id), len(wrong)) && id[n] == wrong[n] {
			n++
		}
		return n
	}
	var ids []string
	for _, g := range l.gaps {
		if alike(g.id) > 1 {
			ids = append(ids, g.id)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return alike(b) - alike(a) })
	return ids[:min(mostIDs, len(ids))]
}
