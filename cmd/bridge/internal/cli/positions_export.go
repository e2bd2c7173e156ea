package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositionsExport(stop *stopper) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all positions as JSON, for bridge positions import",
		Long: `Print all positions as JSON, for bridge positions import: to move a bridge to another
Kafka cluster, or to give it another name. With them come the index of times and
the id of the org that they are positions of.

Stop the bridge first: what it writes after the export is written once more by the
bridge that begins with it.`,
		Example: "  bridge positions export -c old.yaml > positions.json\n  bridge positions import -c new.yaml --file positions.json",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := openPositionDesk(stop.intake, path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			defer d.close()
			if err := d.unattended(stop.intake); err != nil {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "warning: what is written from now on is not part of this: %v\n", err)
			}
			doc, err := d.export(stop.intake)
			if err != nil {
				return stoppedOr(stop.intake, err)
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(doc)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

const (
	exportFormat  = "bridge-positions"
	exportVersion = 1
)

// exportDocument is what export prints and import reads.
type exportDocument struct {
	Format   string           `json:"format"`
	Version  int              `json:"version"`
	Name     string           `json:"name"` // of the bridge
	Org      string           `json:"org"`
	Exported time.Time        `json:"exported"`
	Streams  []exportedStream `json:"streams"`
}

type exportedStream struct {
	Channel string           `json:"channel"`
	Entry   json.RawMessage  `json:"entry"` // as the positions topic has it
	Moments []exportedMoment `json:"moments,omitempty"`
}

type exportedMoment struct {
	Time     time.Time       `json:"time"`
	Position replay.Position `json:"position"`
}

func (d *positionDesk) export(ctx context.Context) (*exportDocument, error) {
	stored, err := d.entries(ctx)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, exit(pipeline.ExitEnvironment, fmt.Errorf("there are no positions in %s.positions; is it the name of the bridge that ran?", d.cfg.Name))
	}
	doc := &exportDocument{Format: exportFormat, Version: exportVersion, Name: d.cfg.Name, Org: d.org.id, Exported: d.now}
	for _, k := range slices.SortedFunc(maps.Keys(stored), func(a, b replay.Key) int { return strings.Compare(a.Channel, b.Channel) }) {
		moments, err := d.index(ctx, k.Channel)
		if err != nil {
			return nil, err
		}
		s := exportedStream{Channel: k.Channel, Entry: stored[k].Text()}
		for _, m := range moments {
			s.Moments = append(s.Moments, exportedMoment{Time: m.Time, Position: m.Position})
		}
		doc.Streams = append(doc.Streams, s)
	}
	return doc, nil
}

// mostExported bounds what is read: some hundred streams with their indexes.
const mostExported = 64 << 20

// readExport reads what export printed. What another version wrote is not guessed
// (I5).
func readExport(r io.Reader) (*exportDocument, error) {
	text, err := io.ReadAll(io.LimitReader(r, mostExported+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > mostExported:
		return nil, errors.New("it is too large for an export of positions")
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Format != exportFormat {
		return nil, errors.New("it is not what bridge positions export prints")
	}
	if head.Version != exportVersion {
		return nil, fmt.Errorf("it has version %d, this program reads version %d: was it exported by a newer one?", head.Version, exportVersion)
	}
	var doc exportDocument
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, s := range doc.Streams {
		if seen[s.Channel] {
			return nil, fmt.Errorf("channel %s is in it twice", s.Channel)
		}
		seen[s.Channel] = true
	}
	return &doc, nil
}

// read makes entry and index of an exported stream.
func (s *exportedStream) read(k replay.Key) (*replay.Entry, []replay.Moment, error) {
	e, err := replay.ReadEntry(k, s.Entry)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.Channel, err)
	}
	moments := make([]replay.Moment, len(s.Moments))
	for i, m := range s.Moments {
		if m.Position == "" || m.Time.IsZero() {
			return nil, nil, fmt.Errorf("%s: moment %d of its index has no position or no time", s.Channel, i)
		}
		moments[i] = replay.Moment{Key: k, Time: m.Time, Position: m.Position}
	}
	return &e, moments, nil
}
