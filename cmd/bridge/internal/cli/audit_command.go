package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/audit"
	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// repairer asks the bridge that runs by a configuration to read records of an object
// again.
type repairer func(ctx context.Context, b *bridge, channel, object string, ids []string) error

// auditFlags are what `audit` was asked for.
type auditFlags struct {
	path, entity, stream string
	sample               int
	full                 bool
	settle               time.Duration
	showValues, json     bool
	repair               bool
	maxCalls             int
}

// newAudit makes the command.
func newAudit(stop *stopper, repair repairer) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare what a topic says of an object's records with what the org has",
		Long: `Compare what a topic says of an object's records with what the org has, while
the bridge runs and records change.

The topic is folded by key, as a consumer who keeps a table does. Of the org a sample
is read, or with --full every row. What differs is in doubt at first, since a change
may be on its way; it counts as drift if it lasts for --settle while the row does not
change. A sample also compares how many records there are.

A drift is one of: missing (the org has the record, the topic does not), gone (the
topic has it, the org does not), differs (in the fields that are named). Values are
shown as checksums, which can be compared with each other within one report and tell
nothing else. Formulas, diffs of long texts and what else only one side has are not
compared; fields that rows do not have are listed.

It needs memory of some 23 bytes a record for a sample, and with --full of 120 bytes a
record and 8 for each of its fields with a value besides. It writes nothing.

Exit codes: 0 equal, 1 not equal or not decided, 2 usage or configuration, also if
--max-api-calls does not suffice, 3 something outside is unreachable or refuses us.`,
		Example: `  bridge audit --entity Account
  bridge audit --entity Account --full --settle 5m --max-api-calls 5000
  bridge audit --entity Invoice__c --stream /data/ChangeEvents --json | jq 'select(.type == "drift") | .id'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd.Flags().Changed("sample")); err != nil {
				return err
			}
			return stoppedOr(stop.intake, f.run(stop.intake, repair, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	configFlag(cmd, &f.path)
	flags := cmd.Flags()
	flags.StringVar(&f.entity, "entity", "", "API name of the object, such as Account or Invoice__c")
	flags.StringVar(&f.stream, "stream", "", "channel that carries its events, if there are several")
	flags.IntVar(&f.sample, "sample", 1000, "compare this many records of the org, and as many of the topic")
	flags.BoolVar(&f.full, "full", false, "compare all records")
	flags.DurationVar(&f.settle, "settle", 2*time.Minute, "how long a change may be on its way")
	flags.BoolVar(&f.showValues, "show-values", false, "show the values that differ; with --full it keeps all values in memory")
	flags.BoolVar(&f.json, "json", false, "print JSON, one object a line: drifts, then the summary")
	flags.IntVar(&f.maxCalls, "max-api-calls", 1000, "stop before more calls of the org's API than these; 0 is no bound")
	flags.BoolVar(&f.repair, "repair", false, "ask the running bridge to read again what has drifted")
	return cmd
}

func (f *auditFlags) check(sampled bool) error {
	var problem string
	switch {
	case f.entity == "":
		problem = "--entity is missing; try: --entity Account"
	case f.full && sampled:
		problem = "--full and --sample are two different things; try: one of them"
	case f.sample < 1:
		problem = fmt.Sprintf("--sample %d is no number of records; try: 1 or more, or --full", f.sample)
	case f.settle <= 0:
		problem = fmt.Sprintf("--settle %s is no time to wait; try: 2m", f.settle)
	case f.maxCalls < 0:
		problem = fmt.Sprintf("--max-api-calls %d is no number of calls; try: 1000, or 0 for no bound", f.maxCalls)
	default:
		return nil
	}
	return exit(pipeline.ExitUsage, errors.New(problem))
}

// run audits and tells. Code 1 says that something is not equal, and nothing else has it.
func (f *auditFlags) run(ctx context.Context, repair repairer, out, errs io.Writer) error {
	d, err := openAuditDesk(ctx, f, errs)
	if err != nil {
		return auditFailed(err)
	}
	defer d.close()
	progress := newAuditProgress(errs)
	report, err := d.audit(ctx, progress.step)
	progress.end()
	if err != nil {
		return auditFailed(err)
	}
	if err := d.view(report).write(out, f.json); err != nil {
		return auditFailed(err)
	}
	if f.repair && len(report.Drifts) > 0 {
		if err := repair(ctx, d.bridge, d.stream.Channel, f.entity, report.IDs()); err != nil {
			return auditFailed(fmt.Errorf("asking for the repair: %w", err))
		}
		_, _ = fmt.Fprintf(errs, "asked the bridge to read %d records again\n", len(report.Drifts))
	}
	if !report.Same() {
		return exit(pipeline.ExitRuntime, errReported)
	}
	return nil
}

// auditFailed gives an error its exit code. So many records that differ are a verdict.
func auditFailed(err error) error {
	if _, has := errors.AsType[*pipeline.ExitError](err); has || errors.Is(err, context.Canceled) {
		return err
	}
	code := pipeline.ExitEnvironment
	if _, many := errors.AsType[*audit.TooManyError](err); many {
		code = pipeline.ExitRuntime
	} else if _, spent := errors.AsType[*callsSpentError](err); spent {
		code = pipeline.ExitUsage
	} else if _, wrong := errors.AsType[*fold.ConfigError](err); wrong {
		code = pipeline.ExitUsage
	}
	return exit(code, fmt.Errorf("audit: %w", err))
}
