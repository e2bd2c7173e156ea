package cli

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

func newGaps(stop *stopper) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gaps",
		Short: "List the known holes, and decide which to live with",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGapsList(stop), newGapsShow(stop), newGapsRepair(stop), newGapsWaive(stop))
	return cmd
}

// gapDesk is what the commands about gaps work with. It asks nothing of Salesforce:
// the ledger has to be readable while the org is not reachable.
type gapDesk struct {
	*bridge
	reader *transform.LedgerReader
}

// openGapDesk reads the configuration at path. Problems of it are told to w.
func openGapDesk(ctx context.Context, path string, w io.Writer) (*gapDesk, error) {
	cfg, err := loadConfig(path, w)
	if err != nil {
		return nil, err
	}
	cfg.Registry.Docs = config.DocsNone // the ledger's schema has its own
	d := &gapDesk{bridge: &bridge{cfg: cfg, log: zerolog.Nop(), org: &org{}}}
	if d.kafka, err = kafkaOptions(cfg.Kafka); err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	if err := d.openRegistry(); err != nil {
		return nil, err
	}
	if d.reader, err = d.ledgerReader(); err != nil {
		return nil, err
	}
	return d, reachKafka(ctx, d.kafka, cfg.Kafka.Brokers)
}

// ledgerReader reads the ledger with the registry that the configuration names.
func (b *bridge) ledgerReader() (*transform.LedgerReader, error) {
	switch {
	case b.registry != nil:
		return transform.NewLedgerReader(b.registry.Decoder())
	case b.keys != nil:
		return transform.NewLedgerReader(b.keys.Decoder())
	}
	return transform.NewLedgerReader(nil)
}

// gapLedger is what the topic holds.
type gapLedger struct {
	gaps   []*gapEntry // in the order in which they were found
	broken []error     // of gaps whose last record cannot be read
}

// gapEntry is a gap with those of its states that the topic still holds. The last
// one counts.
type gapEntry struct {
	id     string
	first  int // place of its first record among all
	states []gapState
	err    error // why its last record cannot be read
}

type gapState struct {
	transform.LedgerEntry
	at     time.Time // when it was written
	offset int64
}

func (g *gapEntry) now() *gapState { return &g.states[len(g.states)-1] }

// ledger reads the topic to its present end.
func (d *gapDesk) ledger(ctx context.Context) (*gapLedger, error) {
	records, err := readOwnTopic(ctx, d.kafka, d.gapsTopic())
	if err != nil {
		return nil, outside("gap ledger", err)
	}
	return readLedger(ctx, d.reader, records), nil
}

// readLedger sorts records by gap. A tombstone takes a gap out, and a record that
// cannot be read hides the states before it, which do not hold any more.
func readLedger(ctx context.Context, reader *transform.LedgerReader, records []*kgo.Record) *gapLedger {
	found := make(map[string]*gapEntry)
	for i, r := range records {
		id := string(r.Key)
		if r.Value == nil {
			delete(found, id)
			continue
		}
		g := found[id]
		if g == nil {
			g = &gapEntry{id: id, first: i}
			found[id] = g
		}
		var e transform.LedgerEntry
		if e, g.err = reader.Read(ctx, r); g.err == nil {
			g.states = append(g.states, gapState{LedgerEntry: e, at: r.Timestamp, offset: r.Offset})
		}
	}
	out := &gapLedger{}
	for _, g := range slices.SortedFunc(maps.Values(found), func(a, b *gapEntry) int { return a.first - b.first }) {
		if g.err != nil {
			out.broken = append(out.broken, g.err)
		} else {
			out.gaps = append(out.gaps, g)
		}
	}
	return out
}

// caution is what a reader of the list must know about the topic itself, empty if
// there is nothing. What may not be asked is not known, and nothing is said of it.
func (d *gapDesk) caution(ctx context.Context) string {
	cl, err := kgo.NewClient(d.kafka...)
	if err != nil {
		return ""
	}
	defer cl.Close()
	adm, topic := kadm.NewClient(cl), d.gapsTopic()
	if topics, err := adm.ListTopics(ctx, topic); err == nil && !topics.Has(topic) {
		return topic + " does not exist: no gap was ever entered, or the configuration has another name than the bridge that runs"
	}
	settings, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return ""
	}
	one, err := settings.On(topic, nil)
	if err != nil {
		return ""
	}
	for _, s := range one.Configs {
		if s.Key == "cleanup.policy" && s.MaybeValue() != "compact" {
			return topic + " forgets entries: its cleanup.policy is " + s.MaybeValue() + "; try: kafka-configs --alter --topic " + topic + " --add-config cleanup.policy=compact"
		}
	}
	return ""
}
