package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositionsList(stop *stopper) *cobra.Command {
	var path string
	var channels []string
	asJSON := false
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List where each stream is, and how long Salesforce keeps what follows",
		Long: `List where each stream is: its position, when the event before it happened, how
long ago that is, how long it takes until Salesforce drops what follows it (the
cliff), which lane and which running instance it belongs to, and how many open
gaps it has.

The cliff is counted from the last moment at which the stream is known to have had
nothing behind its position: a quiet stream does not come nearer to it while the
bridge runs. Streams of the configuration that have no position yet say where they
begin; positions of channels that the configuration does not have are listed too.`,
		Example: "  bridge positions list -c bridge.yaml\n  bridge positions list --json | jq '.[] | select(.hours_to_cliff < 12)'",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openPositionDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer d.close()
			rows, err := d.list(stop.intake, channels, cmd.ErrOrStderr())
			if err != nil {
				return stoppedOr(stop.intake, err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), rows)
			}
			return printPositions(cmd.OutOrStdout(), rows)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringArrayVar(&channels, "channel", nil, "of this channel alone; may be given several times")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// The states of a stream's position.
const (
	positionStored       = "stored"
	positionNone         = "none"
	positionUnconfigured = "not configured"
)

// positionRow is a stream.
type positionRow struct {
	Channel string `json:"channel"`
	State   string `json:"state"`
	Begins  string `json:"begins,omitempty"` // where a stream begins that has no position
	place
	Age      *int64   `json:"age_seconds,omitempty"`    // of the last event
	Cliff    *float64 `json:"hours_to_cliff,omitempty"` // less than 0 is behind it
	Lane     int32    `json:"lane"`
	Instance string   `json:"instance,omitempty"`  // that owns the lane now
	Gaps     *int     `json:"open_gaps,omitempty"` // nil is not known
}

// list is told what cannot be found out: a list without an owner is better than none.
func (d *positionDesk) list(ctx context.Context, channels []string, warnings io.Writer) ([]positionRow, error) {
	stored, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	names, err := d.listed(stored, channels)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	members, err := d.members(ctx)
	if err != nil {
		_, _ = fmt.Fprintf(warnings, "warning: which instance owns which lane is not known: %v\n", err)
	}
	if err := d.countGaps(ctx); err != nil {
		_, _ = fmt.Fprintf(warnings, "warning: how many gaps are open is not known: %v\n", err)
	}
	rows := make([]positionRow, 0, len(names))
	for _, channel := range names {
		row := d.row(channel, stored)
		for _, m := range members {
			if slices.Contains(m.Lanes, row.Lane) {
				row.Instance = m.Instance
			}
		}
		row.Gaps = d.gaps.of(channel)
		rows = append(rows, row)
	}
	return rows, nil
}

// listed are the channels to be listed: those of the configuration, and then the
// others that have a position.
func (d *positionDesk) listed(stored map[replay.Key]replay.Entry, channels []string) ([]string, error) {
	names := d.channels()
	for _, k := range slices.SortedFunc(maps.Keys(stored), func(a, b replay.Key) int { return strings.Compare(a.Channel, b.Channel) }) {
		if !slices.Contains(names, k.Channel) {
			names = append(names, k.Channel)
		}
	}
	for _, channel := range channels {
		if !slices.Contains(names, channel) {
			return nil, fmt.Errorf("channel %q has no position and is not one of the configuration's; there are %s", channel, strings.Join(names, ", "))
		}
	}
	if len(channels) > 0 {
		names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(channels, name) })
	}
	return names, nil
}

func (d *positionDesk) row(channel string, stored map[replay.Key]replay.Entry) positionRow {
	k := d.key(channel)
	row := positionRow{Channel: channel, State: positionUnconfigured, Lane: replay.LaneOf(k, d.cfg.Lanes)}
	var s config.Stream
	if at := slices.Index(d.channels(), channel); at >= 0 {
		s, row.State = d.cfg.Streams[at], positionStored
	}
	e, ok := stored[k]
	if !ok {
		row.State, row.Begins = positionNone, begins(s.Start)
		return row
	}
	row.place = *placeOf(&e)
	if !e.EventTime.IsZero() {
		age := int64(max(0, d.now.Sub(e.EventTime)).Seconds()) // the bridge may have moved on since now
		row.Age = &age
	}
	read := slices.MaxFunc([]time.Time{e.EventTime, e.Seen, e.Since}, time.Time.Compare)
	if s.Retention > 0 && !read.IsZero() {
		hours := (s.Retention - max(0, d.now.Sub(read))).Hours()
		row.Cliff = &hours
	}
	return row
}

func begins(s config.Start) string {
	switch s.At {
	case config.StartEarliest:
		return "earliest"
	case config.StartAfter:
		return "behind " + strconv.FormatInt(s.ReplayID, 10)
	}
	return "latest"
}

// countGaps reads the ledger to its present end.
func (d *positionDesk) countGaps(ctx context.Context) error {
	d.cfg.Registry.Docs = config.DocsNone // the ledger's schema has its own
	if err := d.openRegistry(); err != nil {
		return err
	}
	reader, err := d.ledgerReader()
	if err != nil {
		return err
	}
	records, err := readOwnTopic(ctx, d.kafka, d.gapsTopic())
	if err != nil {
		return err
	}
	d.gaps.reset()
	for _, r := range records {
		if err := d.gaps.take(ctx, reader, d.org.id, r); err != nil {
			return err
		}
	}
	d.gaps.done()
	return nil
}

func printPositions(w io.Writer, rows []positionRow) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "CHANNEL\tPOSITION\tEVENT TIME\tAGE\tCLIFF IN\tLANE\tINSTANCE\tGAPS") // Flush tells
	for _, r := range rows {
		position, happened, age, cliff, gaps := r.Position, "-", "-", "-", "?"
		switch {
		case r.State == positionNone:
			position = "none (begins: " + r.Begins + ")"
		case position == "":
			position = "from " + clock(r.Since)
		}
		if r.State == positionUnconfigured {
			position += " (not configured)"
		}
		if r.Age != nil {
			happened, age = clock(r.EventTime), (time.Duration(*r.Age) * time.Second).String()
		}
		if r.Cliff != nil {
			cliff = fmt.Sprintf("%.1fh", *r.Cliff)
			if *r.Cliff < 0 {
				cliff = "passed"
			}
		}
		if r.Gaps != nil {
			gaps = strconv.Itoa(*r.Gaps)
		}
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.Channel, printable(position), happened, age, cliff, r.Lane, dash(r.Instance), gaps)
	}
	return tw.Flush()
}
