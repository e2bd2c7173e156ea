package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

func newRun(stop *stopper) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the bridge: the configured channels into Kafka, until it is stopped",
		Long: `Run the bridge: the configured channels into Kafka, until it is stopped.

The first SIGINT or SIGTERM drains: what was taken is committed, nothing new is
taken, the session at Salesforce is released. A second one stops at once; what
was not committed comes again at the next start.

Exit codes: 0 stopped as asked, 1 unforeseen, 2 usage or configuration,
3 something outside is unreachable, refuses us or is not as it must be,
4 every stream halted by policy, 128+n second signal.`,
		Example: "  bridge run --config bridge.yaml\n  SF_SECRET=… bridge run -c bridge.yaml",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return runBridge(stop.intake, cfg, logger(cfg.Log, cmd.ErrOrStderr()))
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// runBridge is the life of `run`: the ops server first, so that probes answer
// while the rest is being reached, and last, so that they tell of the drain.
func runBridge(intake context.Context, cfg *config.Config, log zerolog.Logger) (err error) {
	ctx, cancel := bounded(intake, cfg.ShutdownTimeout)
	defer cancel()
	b := &bridge{cfg: cfg, log: log, stats: &pipeline.Stats{}}
	o, err := startOps(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.shutdown()) }()
	log.Info().Str("version", build().Version).Str("name", cfg.Name).Int("streams", len(cfg.Streams)).
		Str("ops", o.addr()).Msg("bridge starts")
	defer b.close()
	if err := b.open(intake); err != nil {
		return stoppedOr(intake, err)
	}
	o.opened()
	err = b.run(ctx, intake)
	if err == nil {
		log.Info().Msg("bridge ends: everything taken is committed")
		return nil
	}
	if ctx.Err() != nil && intake.Err() != nil {
		return fmt.Errorf("draining did not end within shutdown_timeout (%s); what was not committed comes again at the next start: %w",
			cfg.ShutdownTimeout, err)
	}
	return err
}

// stoppedOr drops an error that only says that we were asked to stop.
func stoppedOr(intake context.Context, err error) error {
	if intake.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func logger(cfg config.Log, w io.Writer) zerolog.Logger {
	if cfg.Format == config.LogConsole {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000"}
	}
	level, err := zerolog.ParseLevel(string(cfg.Level))
	if err != nil { // config allows only levels that zerolog knows
		level = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(level).Hook(stamp{})
}

// stamp gives log lines their time with milliseconds; zerolog's own format is a
// variable of the whole process.
type stamp struct{}

func (stamp) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
}
