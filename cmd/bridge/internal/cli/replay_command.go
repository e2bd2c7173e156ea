package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// replayFlags are what the user asked for.
type replayFlags struct {
	path              string
	channels          []string
	all               bool
	fromID, fromTime  string
	from              string
	toID, toTime, to  string
	into              string
	inPlace, yes      bool
	dryRun, json      bool
	maxEvents         uint64
	maxCalls          uint64
	noRows            bool
	entities, records []string
	changes           []string
	resume            string
	settle            time.Duration
}

func newReplay(stop *stopper) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Read a part of the past once more, beside the running bridge",
		Long: `Read a part of the past once more, beside the running bridge.

What Salesforce still retains (72 hours of change and platform events, 24 of
others) is read from a replay id, from a time, or from the earliest on, up to an
id, a time, or now, and written into side topics. The running bridge is not
touched: the run has a session, a producer and positions of its own, in the topic
<name>.replays. Each record says of which run it is, in the header sf-replay-run.

A time before that is answered with rows, for change data: those that were
changed since come as records of the change type SNAPSHOT, deletions as DELETE,
and the events from the earliest that is retained on. What happened to a record
in between is not known then, only what became of it; the gap ledger says so,
with the reason rows_for_events. Such a run ends now, when its rows are read.
A channel of several entities needs --entity, unless the configuration names
them. --change-type has to name SNAPSHOT then, since rows do not say what kind of
change they come of. --no-rows refuses such a time.

A run that was stopped or killed goes on where it was, exactly once, with
--resume. A time is found by the index of times that the bridge keeps; what is
earlier than it is read and dropped, and so is not written.

Events that are read count against the org's daily allocation, those that are
dropped too, and rows take API calls. --max-events and --max-api-calls stop a run
before it has taken too many, --dry-run tells what would come without writing
(and takes as many events; rows it only counts). Writing into the same topics has
to be asked for twice: consumers see everything again.

Times are RFC 3339 (2026-11-20T10:00:00Z, the seconds may be left out), or how
long ago (36h).

Exit codes: 0 done, 2 usage or configuration, 3 something outside is unreachable
or refuses us, also the org's allocation, 4 stopped before the end or the id of
the end did not come; --resume goes on.`,
		Example: `  bridge replay --channel /data/AccountChangeEvent --from-time 2026-11-20T10:00Z
  bridge replay --all --from earliest --dry-run
  bridge replay --channel /data/ChangeEvents --entity Account --from-time 2026-10-01T00:00Z
  bridge replay --channel /event/Order__e --from-id 4711 --to-id 4720 --into '{{.Topic}}.again'
  bridge replay --all --from-time 2h --entity Account --in-place --yes
  bridge replay --resume 20261120-100000-k3x
  bridge replay list`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.json = f.json || !isTerminal(cmd.OutOrStdout())
			return runReplay(stop.intake, f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.bind(cmd)
	cmd.AddCommand(newReplayList(stop))
	return cmd
}

func (f *replayFlags) bind(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.channels, "channel", nil, "channel of the configuration; may be given several times")
	flags.BoolVar(&f.all, "all", false, "all channels of the configuration")
	flags.StringVar(&f.fromID, "from-id", "", "begin behind the event with this replay id")
	flags.StringVar(&f.fromTime, "from-time", "", "begin with what happened at this time")
	flags.StringVar(&f.from, "from", "", "earliest: begin with the earliest event that is retained")
	flags.StringVar(&f.toID, "to-id", "", "end with the event that has this replay id")
	flags.StringVar(&f.toTime, "to-time", "", "end before what happened at this time")
	flags.StringVar(&f.to, "to", "", "now: end with what happened before the run began (the default)")
	flags.StringVar(&f.into, "into", "", "topic for the records of another, with {{.Topic}} and {{.Run}} (default \"{{.Topic}}.replay.{{.Run}}\")")
	flags.BoolVar(&f.inPlace, "in-place", false, "write into the same topics; asks once more, or needs --yes")
	flags.BoolVar(&f.yes, "yes", false, "answer the question of --in-place")
	flags.BoolVar(&f.dryRun, "dry-run", false, "count by entity and hour what would come, write nothing")
	flags.BoolVar(&f.json, "json", false, "print JSON, one object a line (the default when not on a terminal)")
	flags.Uint64Var(&f.maxEvents, "max-events", 0, "stop after this many deliveries; 0 is no bound")
	flags.Uint64Var(&f.maxCalls, "max-api-calls", 0, "stop when rows have taken this many API calls; 0 is no bound")
	flags.BoolVar(&f.noRows, "no-rows", false, "refuse a --from-time before what is retained, in place of reading rows")
	flags.StringArrayVar(&f.entities, "entity", nil, "only records of this entity; may be given several times")
	flags.StringArrayVar(&f.records, "record-id", nil, "only records of this record id; may be given several times")
	flags.StringArrayVar(&f.changes, "change-type", nil, "only records of this change type; may be given several times")
	flags.StringVar(&f.resume, "resume", "", "go on with the run that has this id")
	flags.DurationVar(&f.settle, "settle", 30*time.Second, "how long nothing may come before the end is reached")
}

func newReplayList(stop *stopper) *cobra.Command {
	var path string
	asJSON := false
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the runs, the newest first",
		Example: "  bridge replay list -c bridge.yaml",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listReplays(stop.intake, path, asJSON || !isTerminal(cmd.OutOrStdout()), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object a line (the default when not on a terminal)")
	return cmd
}

// parseTime reads a point in time: RFC 3339, with or without seconds, or how long
// ago.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago).UTC().Truncate(time.Millisecond), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; try: %s, or how long ago: 36h", text, now.UTC().Add(-time.Hour).Format("2006-01-02T15:04Z"))
}
