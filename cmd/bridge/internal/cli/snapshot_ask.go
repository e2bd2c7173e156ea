package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
)

// wantedRows are rows that somebody asks for.
type wantedRows struct {
	entity, stream, where string
	sweep, reread         bool
	ids                   []string
}

func (r *wantedRows) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.entity, "entity", "", "API name of the entity: Account, Invoice__c (required)")
	cmd.Flags().StringVar(&r.stream, "stream", "", "channel of the stream whose records they are to be; needed where several carry the entity")
}

// check looks at what can be judged without asking anybody.
func (r *wantedRows) check() error {
	switch {
	case r.entity == "":
		return errors.New("--entity is needed")
	case r.sweep && r.where != "":
		return errors.New("--sweep is of a whole entity, and excludes --where")
	case r.reread && len(r.ids) == 0:
		return errors.New("--ids is needed")
	}
	for i, id := range r.ids {
		whole, err := salesforce.ID18(strings.TrimSpace(id))
		if err != nil {
			return fmt.Errorf("--ids: %q is no record id: %w", id, err)
		}
		r.ids[i] = whole
	}
	return nil
}

// askForRows asks the running bridge, and follows.
func askForRows(ctx context.Context, flags askFlags, want wantedRows, show taskView, stderr io.Writer) error {
	if err := want.check(); err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("%w; see 'bridge snapshot --help'", err))
	}
	d, err := openTaskDesk(ctx, flags.path, stderr)
	if err != nil {
		return stoppedOr(ctx, err)
	}
	defer d.close()
	s, err := d.cover(want.entity, want.stream)
	if err != nil {
		return err
	}
	if err := d.readable(ctx, s.Channel, want); err != nil {
		return stoppedOr(ctx, err)
	}
	signal := snapshot.Signal{Type: snapshot.AskSnapshot, Channel: s.Channel, Object: want.entity, Where: want.where, Sweep: want.sweep}
	if want.reread {
		signal.Type, signal.IDs = snapshot.AskReread, want.ids
	}
	w, err := d.ask(ctx, flags.follow(), show, asks(signal), endsTask)
	if err != nil {
		return err
	}
	return w.verdict()
}

// cover is the stream that carries an entity: the one that is named, or the only one.
func (b *bridge) cover(entity, channel string) (*config.Stream, error) {
	var all []*config.Stream
	for i := range b.cfg.Streams {
		if s := &b.cfg.Streams[i]; s.Kind == config.ChangeData && s.Carries(entity) {
			all = append(all, s)
		}
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Channel
	}
	if channel != "" {
		if b.configured(channel) == nil {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("no stream of the configuration has the channel %q; there are %s", channel, strings.Join(b.channels(), ", ")))
		}
		i := slices.Index(names, channel)
		if i < 0 {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s does not carry change events of %s%s", channel, entity, elsewhere(names)))
		}
		return all[i], nil
	}
	if exact := slices.DeleteFunc(slices.Clone(all), func(s *config.Stream) bool { return !slices.Contains(s.KnownObjects(), entity) }); len(exact) == 1 {
		return exact[0], nil // the others carry it perhaps
	}
	switch len(all) {
	case 0:
		if i := slices.IndexFunc(b.cfg.Streams, func(s config.Stream) bool { return s.Source == config.SourceQuery && s.Query.Object == entity }); i >= 0 {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("rows of %s are asked for by %s, and there are no change events among which others had a place; try: bridge positions rewind", entity, b.cfg.Streams[i].Channel))
		}
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("no stream of the configuration carries change events of %s; rows become records of a stream, so add one, such as %s", entity, config.ChannelOf(entity)))
	case 1:
		return all[0], nil
	}
	return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s comes on several streams; name one by --stream: %s", entity, strings.Join(names, ", ")))
}

func elsewhere(channels []string) string {
	if len(channels) == 0 {
		return ""
	}
	return "; these do: " + strings.Join(channels, ", ")
}

// readable asks the org whether the rows can be read, so that a mistake is told at
// once, and to whoever has made it.
func (d *taskDesk) readable(ctx context.Context, channel string, want wantedRows) error {
	shape, err := snapshot.NewShape(ctx, snapshot.ShapeConfig{Client: d.org.rest, Org: d.org.id, Channel: channel, Object: want.entity})
	if err != nil {
		return refusedRows(want.entity, err)
	}
	if want.where == "" {
		return nil
	}
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: d.org.rest})
	if err != nil {
		return err
	}
	if _, err := reader.Count(ctx, salesforce.Selection{Form: shape.Form(), Where: salesforce.SOQLCondition(want.where)}); err != nil {
		return refusedRows("--where", err)
	}
	return nil
}

// refusedRows tells a mistake of the user's from trouble with the org.
func refusedRows(what string, err error) error {
	if salesforce.Retryable(err) || salesforce.Unauthorized(err) {
		return outside(what, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return exit(pipeline.ExitUsage, fmt.Errorf("%s: %w", what, err))
}
