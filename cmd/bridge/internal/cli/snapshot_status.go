package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/replay"
)

func newSnapshotStatus(stop *stopper) *cobra.Command {
	var path, stream string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List what is read, or was, and how far it has come",
		Long: `List what is read, or was, and how far it has come: snapshots of streams that begin
(initial), those that somebody asked for (snapshot, reread), and repairs of gaps.

It is read from <name>.positions, as it is durable there. A task that runs may wait
for its turn: a lane has one repair and one snapshot at work. Repairs that are done
are in the gap ledger alone.`,
		Example: "  bridge snapshot status -c bridge.yaml\n  bridge snapshot status --json | jq '.[] | select(.state == \"running\")'",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openTaskDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return stoppedOr(stop.intake, err)
			}
			defer d.close()
			rows, err := d.status(stop.intake, stream)
			if err != nil {
				return stoppedOr(stop.intake, err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			return printTasks(cmd.OutOrStdout(), rows)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&stream, "stream", "", "of this channel alone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// taskRow is a task.
type taskRow struct {
	Channel string            `json:"channel"`
	Task    string            `json:"task"`
	Kind    snapshot.Kind     `json:"kind"`
	Object  string            `json:"object,omitempty"` // at work, or the last
	State   snapshot.Standing `json:"state"`
	Why     string            `json:"why,omitempty"`
	Unsure  string            `json:"unsure,omitempty"` // what it could not find out
	Gaps    []string          `json:"gaps,omitempty"`   // that it fills
	Read    int               `json:"read"`             // rows of the object
	Total   int               `json:"total,omitempty"`  // of the object, when they were counted
	snapshot.Counts
	Ordered time.Time `json:"ordered"`
	Begun   time.Time `json:"begun,omitzero"`
	Updated time.Time `json:"updated,omitzero"` // when it last came further
	Ended   time.Time `json:"ended,omitzero"`
}

func taskRowOf(t replay.Task, s *snapshot.State) taskRow {
	row := taskRow{
		Channel: t.Key.Channel, Task: t.ID, Kind: s.Kind, State: s.Standing, Why: s.Why, Unsure: s.Unsure, Counts: s.Counts,
		Ordered: s.Ordered.UTC(), Begun: s.Begun.UTC(), Updated: t.Updated, Ended: s.Ended.UTC(),
	}
	for _, h := range s.Holes {
		row.Gaps = append(row.Gaps, h.ID())
	}
	if len(s.Parts) > 0 {
		p := s.Current()
		row.Object, row.Read, row.Total = p.Object, p.Read, p.Total
	}
	return row
}

// open says whether a task has not ended.
func (r *taskRow) open() bool { return r.State == snapshot.Running || r.State == snapshot.Paused }

// compareTasks puts those first that are not ended.
func compareTasks(a, b taskRow) int {
	switch {
	case a.open() && !b.open():
		return -1
	case b.open() && !a.open():
		return 1
	}
	return cmp.Or(cmp.Compare(a.Channel, b.Channel), a.Ordered.Compare(b.Ordered), cmp.Compare(a.Task, b.Task))
}

func (d *taskDesk) status(ctx context.Context, channel string) ([]taskRow, error) {
	all, _, err := d.tasks(ctx)
	rows := []taskRow{}
	for _, r := range all {
		if channel == "" || r.Channel == channel {
			rows = append(rows, r)
		}
	}
	return rows, err
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return clock(t)
}

func printTasks(w io.Writer, rows []taskRow) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "CHANNEL\tTASK\tOBJECT\tSTATE\tROWS\tDELETIONS\tREAD\tBEGUN\tENDED\tWHY") // Flush tells
	for _, r := range rows {
		read := strconv.Itoa(r.Read)
		if r.Total > 0 {
			read += fmt.Sprintf(" of %d", r.Total)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\n", r.Channel, printable(r.Task), dash(r.Object), r.State, r.Rows, r.Gone,
			read, when(r.Begun), when(r.Ended), dash(printable(cmp.Or(r.Why, r.Unsure))))
	}
	return tw.Flush()
}
