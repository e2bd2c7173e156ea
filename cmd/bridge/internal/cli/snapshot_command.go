package cli

import (
	"github.com/spf13/cobra"
)

// askFlags are those of the commands that ask a running bridge for rows.
type askFlags struct {
	path         string
	wait, noWait bool
	json         bool
}

func (f *askFlags) bind(cmd *cobra.Command) {
	configFlag(cmd, &f.path)
	cmd.Flags().BoolVar(&f.wait, "wait", true, "follow until the end")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "ask, and do not wait for an answer")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON, one object a line (the default when not on a terminal)")
}

// follow says whether the answer is waited for.
func (f *askFlags) follow() bool { return f.wait && !f.noWait }

func (f *askFlags) view(cmd *cobra.Command) taskView {
	return newTaskView(f.json || !isTerminal(cmd.OutOrStdout()), cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// askedCodes is the part of the help that the commands have in common which follow.
const askedCodes = `Ctrl-C ends the following alone; what was asked for goes on.

Exit codes: 0 done (with --no-wait: asked), 2 usage, configuration, or the bridge
refuses it, 3 something outside is unreachable or refuses us, or no instance runs,
4 it ended before its end, or is not followed any more.`

func newSnapshot(stop *stopper) *cobra.Command {
	var flags askFlags
	var want wantedRows
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Have the running bridge read rows of the org into the topics",
		Long: `Have the running bridge read rows of the org into the topics.

All rows of an entity, or those of a condition, become records of the change type
SNAPSHOT, among the events of their stream: no row overwrites what a newer event
said. The stream goes on meanwhile. The wish is a record in <name>.signals, followed
by the instance that has the stream; what becomes of it is told in
<name>.notifications, and in 'bridge snapshot status'. It goes on after a restart.

--where is what follows WHERE in SOQL. --sweep also looks for records of the topic
that the org does not have any more, and writes their DELETE: for what was deleted
while nobody listened.

Rows cost API calls: one for some 2,000 rows, or few in all by Bulk API 2.0. The
budget is org.max_api_calls_per_day.

` + askedCodes,
		Example: `  bridge snapshot --entity Account
  bridge snapshot --entity Contact --where "MailingCountry = 'Japan'"
  bridge snapshot --entity Invoice__c --stream /data/Sales__chn --sweep --no-wait
  bridge snapshot status
  bridge snapshot stop --entity Account`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return askForRows(stop.intake, flags, want, flags.view(cmd), cmd.ErrOrStderr())
		},
	}
	flags.bind(cmd)
	want.bind(cmd)
	cmd.Flags().StringVar(&want.where, "where", "", "condition in SOQL, without the word WHERE; empty: all rows")
	cmd.Flags().BoolVar(&want.sweep, "sweep", false, "also write the DELETE of records that the org does not have any more")
	cmd.AddCommand(newSnapshotStatus(stop), newSnapshotReread(stop),
		newSnapshotDirect(stop, stopTasks), newSnapshotDirect(stop, pauseTasks), newSnapshotDirect(stop, resumeTasks))
	return cmd
}

func newSnapshotReread(stop *stopper) *cobra.Command {
	var flags askFlags
	var want wantedRows
	cmd := &cobra.Command{
		Use:   "reread",
		Short: "Have single records read and written again",
		Long: `Have single records read and written again, by their ids. One that the org does not
have, or that lies in its recycle bin, is written as a DELETE.

` + askedCodes,
		Example: "  bridge snapshot reread --entity Account --ids 001xx000003DGb2AAG,001xx000003DGb3AAG",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			want.reread = true
			return askForRows(stop.intake, flags, want, flags.view(cmd), cmd.ErrOrStderr())
		},
	}
	flags.bind(cmd)
	want.bind(cmd)
	cmd.Flags().StringSliceVar(&want.ids, "ids", nil, "ids of the records, with commas between them, of 15 or 18 characters (required)")
	return cmd
}
