package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// Main runs the command line and returns the process's exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	stop := newStopper(stderr, os.Exit)
	defer stop.close()
	return run(stop, args, stdout, stderr)
}

func run(stop *stopper, args []string, stdout, stderr io.Writer) int {
	root := newRoot(stop)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return pipeline.ExitOK
	}
	if !errors.Is(err, errReported) {
		_, _ = fmt.Fprintf(stderr, "bridge: %v\n", err)
	}
	return exitCode(err)
}

// errReported goes with an exit code when the reason has been told already.
var errReported = errors.New("reported")

// exitCode is the one place that turns an error into an exit code.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*pipeline.ExitError](err); ok {
		return exit.Code
	}
	return pipeline.ExitRuntime
}

func exit(code int, err error) error { return &pipeline.ExitError{Code: code, Err: err} }

func newRoot(stop *stopper) *cobra.Command {
	root := &cobra.Command{
		Use:   "bridge",
		Short: "Salesforce to Kafka: nothing lost, nothing doubled",
		Long: `bridge keeps Kafka a truthful, complete and timely copy of what happens in a
Salesforce org: Change Data Capture and Platform Events arrive as Avro records
with Salesforce's own schemas, and records and replay position are published in
one Kafka transaction.`,
		Example: `  bridge demo                          # everything embedded: no account, no broker
  bridge config validate -c bridge.yaml
  bridge run -c bridge.yaml
  bridge simulate --listen 127.0.0.1:8443`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit(pipeline.ExitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath()))
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(newRun(stop), newLogin(stop), newDemo(stop), newSimulate(stop), newConfig(), newSchemas(stop), newPositions(stop), newGaps(stop), newReplay(stop), newSnapshot(stop), newAudit(stop, rereadDrifts), newVersion())
	return root
}

// usage makes wrong arguments a usage error with its exit code.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(pipeline.ExitUsage, fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath()))
		}
		return nil
	}
}
