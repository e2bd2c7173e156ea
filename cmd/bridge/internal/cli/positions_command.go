package cli

import (
	"context"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositions(stop *stopper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "positions",
		Short: "Look after the positions that the streams have reached",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPositionsList(stop), newPositionsGet(stop), newPositionsSet(stop), newPositionsRewind(stop), newPositionsUndo(stop),
		newPositionsExport(stop), newPositionsImport(stop), newPositionsMigrate(stop))
	return cmd
}

// openPositions reads the configuration at path and logs in: whose positions are
// looked after is decided by the org, as in `run`. Problems of the configuration
// are told to w.
func openPositions(ctx context.Context, path string, w io.Writer) (*bridge, error) {
	cfg, err := loadConfig(path, w)
	if err != nil {
		return nil, err
	}
	b := &bridge{cfg: cfg, log: zerolog.Nop()}
	if b.kafka, err = kafkaOptions(cfg.Kafka); err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	if b.org, err = login(ctx, cfg.Org, &b.tokens); err != nil {
		return nil, err
	}
	return b, reachKafka(ctx, b.kafka, cfg.Kafka.Brokers)
}

// positions is how the positions topic is opened.
func (b *bridge) positions() replay.Config {
	internal := b.cfg.InternalTopics
	return replay.Config{
		Client: b.kafka, Topic: b.cfg.Name + ".positions", Org: b.org.id, Lanes: b.cfg.Lanes,
		ReplicationFactor: int(internal.ReplicationFactor), Create: internal.Create, Settings: internal.Settings,
	}
}
