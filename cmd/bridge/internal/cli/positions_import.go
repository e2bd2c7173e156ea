package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositionsImport(stop *stopper) *cobra.Command {
	var f changeFlags
	var in importSource
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take over positions from another bridge, or from a Confluent connector",
		Long: `Take over positions from another bridge, or from a Confluent connector, so that this
one goes on where that one stopped. Stop that one first.

From a bridge: the file that bridge positions export printed, of the same org. The
number of lanes may be another. From a connector: what GET /connectors/NAME/offsets
answered, or the topic of the Connect worker's offsets, if it is in the same Kafka
cluster. Offsets do not say of which org they are; that the org takes the replay ids
is all that can be checked.

Every position is asked for at the org before anything is written. A stream that has
a position already is an error, unless --replace is given. Channels that the
configuration does not have are named and left out.

` + howItIsDone + "\n\n" + changeCodes,
		Example: `  bridge positions import -c new.yaml --file positions.json --dry-run
  bridge positions import --from confluent-connect --connector sf-cdc --offsets-topic connect-offsets
  curl -s http://connect:8083/connectors/sf-cdc/offsets | bridge positions import --from confluent-connect --file -`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := in.check(); err != nil {
				return exit(pipeline.ExitUsage, fmt.Errorf("%w; see 'bridge positions import --help'", err))
			}
			in.stdin, in.told = cmd.InOrStdin(), cmd.ErrOrStderr()
			return f.carryOut(stop.intake, cmd, in.plan)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.from, "from", fromBridge, "bridge, or confluent-connect")
	cmd.Flags().StringVar(&in.file, "file", "", "file to read; - is standard input")
	cmd.Flags().StringVar(&in.topic, "offsets-topic", "", "topic of the Connect worker's offsets, in place of a file")
	cmd.Flags().StringVar(&in.connector, "connector", "", "name of the connector")
	cmd.Flags().BoolVar(&in.replace, "replace", false, "also for streams that have a position")
	return cmd
}

// What positions are imported from.
const (
	fromBridge  = "bridge"
	fromConnect = "confluent-connect"
)

// importSource is where positions come from.
type importSource struct {
	from, file, topic, connector string
	replace                      bool

	stdin io.Reader
	told  io.Writer // what was left out
}

func (in *importSource) check() error {
	connect := in.from == fromConnect
	switch {
	case in.from != fromBridge && !connect:
		return fmt.Errorf("--from %q is neither %s nor %s", in.from, fromBridge, fromConnect)
	case !connect && (in.topic != "" || in.connector != ""):
		return errors.New("--offsets-topic and --connector go with --from " + fromConnect)
	case !connect && in.file == "":
		return errors.New("say what to read: --file")
	case connect && (in.file == "") == (in.topic == ""):
		return errors.New("say what to read: --file or --offsets-topic")
	case in.topic != "" && in.connector == "":
		return errors.New("a topic of offsets has those of several connectors: --offsets-topic needs --connector")
	}
	return nil
}

// imported is a position that was found.
type imported struct {
	entry   *replay.Entry
	moments []replay.Moment
}

func (in *importSource) plan(ctx context.Context, d *positionDesk) ([]change, error) {
	found, err := in.read(ctx, d)
	if err != nil {
		return nil, err
	}
	stored, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	for _, channel := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(d.channels(), channel) {
			in.tell("%s is left out: the configuration does not have it", channel)
		}
	}
	var out []change
	var there []string
	for _, s := range d.cfg.Streams {
		one, ok := found[s.Channel]
		if !ok {
			in.tell("%s is not among what is imported", s.Channel)
			continue
		}
		k := d.key(s.Channel)
		if _, has := stored[k]; has && !in.replace {
			there = append(there, s.Channel)
			continue
		}
		if p := one.entry.Position; p != "" {
			if err := d.accepts(ctx, s, p); err != nil {
				return nil, err
			}
		}
		c := d.change(ctx, stored, k, one.entry)
		c.moments, c.fresh, c.skips = one.moments, !in.replace, in.replace
		out = append(out, c)
	}
	switch {
	case len(there) > 0:
		return nil, alreadyThere(there)
	case len(out) == 0:
		return nil, exit(pipeline.ExitUsage, errors.New("there is nothing to import: none of its channels is one of the configuration's"))
	}
	return out, nil
}

func alreadyThere(channels []string) error {
	return exit(pipeline.ExitUsage, fmt.Errorf("%s: there is a position already; nothing of it was changed (--replace replaces it)", strings.Join(channels, ", ")))
}

func (in *importSource) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(in.told, "note: "+format+"\n", args...) // what counts is told by the plan
}

func (in *importSource) read(ctx context.Context, d *positionDesk) (map[string]imported, error) {
	switch {
	case in.topic != "":
		offsets, err := readConnectOffsets(ctx, d.kafka, in.topic, in.connector)
		if err != nil {
			return nil, outside("offsets of Kafka Connect", err)
		}
		if len(offsets) == 0 {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("topic %s has no offsets of a connector %q", in.topic, in.connector))
		}
		return in.taken(offsets), nil
	case in.from == fromConnect:
		text, err := readInput(in.file, in.stdin)
		if err != nil {
			return nil, exit(pipeline.ExitUsage, err)
		}
		offsets, err := parseConnectOffsets(text)
		if err != nil {
			return nil, exit(pipeline.ExitUsage, err)
		}
		return in.taken(offsets), nil
	}
	doc, err := in.document()
	if err != nil {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: %w", in.file, err))
	}
	if doc.Org != d.org.id {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s has positions of the org %s, and the configuration logs in to the org %s, to which they mean nothing", in.file, doc.Org, d.org.id))
	}
	found := make(map[string]imported)
	for _, s := range doc.Streams {
		e, moments, err := s.read(d.key(s.Channel))
		if err != nil {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: %w", in.file, err))
		}
		found[s.Channel] = imported{e, moments}
	}
	return found, nil
}

func (in *importSource) document() (*exportDocument, error) {
	if in.file == "-" {
		return readExport(in.stdin)
	}
	f, err := os.Open(in.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readExport(f)
}

// taken are the positions in offsets of Kafka Connect. When their events happened is
// not known.
func (in *importSource) taken(offsets []connectOffset) map[string]imported {
	read := positionsOf(offsets, nil)
	for _, doubt := range read.Doubts {
		in.tell("not taken: %s", doubt)
	}
	found := make(map[string]imported)
	for channel, id := range read.Positions {
		found[channel] = imported{entry: &replay.Entry{Position: replay.Position(strconv.FormatInt(id, 10)), Source: replayIDs}}
	}
	return found
}
