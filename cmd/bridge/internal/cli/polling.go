package cli

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/polling"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/schemas"
)

// sourceKind is the kind of source that a configured stream has.
func sourceKind(s config.Stream) string {
	if s.Source == config.SourceQuery {
		return polling.Kind
	}
	return pipeline.CometD
}

// openPolling opens what asks for the rows of a lane's streams.
func (b *bridge) openPolling(resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
	cfg := b.pollingConfig()
	cfg.Warn = func(channel, text string) { b.log.Warn().Str("channel", channel).Msg(text) }
	if budget := b.budget.Load(); budget != nil {
		cfg.Spend = func(ctx context.Context, calls int) error { return budget.spend(ctx, calls, false) }
	}
	return polling.Open(cfg, resume, trace)
}

func (b *bridge) pollingConfig() polling.Config {
	cfg := polling.Config{
		Client: b.org.rest, OrgID: b.org.id, Catalog: b.catalog, Streams: make(map[string]polling.Stream),
		MaxEvents: b.cfg.Batch.MaxEvents, MaxBytes: b.cfg.Batch.MaxBytes,
	}
	for _, s := range b.cfg.Streams {
		if s.Source != config.SourceQuery {
			continue
		}
		q := polling.Stream{
			Object: s.Query.Object, SOQL: s.Query.SOQL, Every: s.Query.Every, Overlap: s.Query.Overlap, Field: string(s.Query.IncrementalField),
		}
		if s.Query.Deletions != config.DeletionsAuto {
			q.Deletions = polling.Deletions(s.Query.Deletions)
		}
		cfg.Streams[s.Channel] = q
	}
	return cfg
}

// rowSchema is the schema that the rows of a polled stream have now.
func (b *bridge) rowSchema(ctx context.Context, channel string) (*schemas.Schema, error) {
	s, err := polling.Schema(ctx, b.pollingConfig(), channel)
	if err != nil {
		return nil, outside("schema of the rows of "+channel, err)
	}
	return s, nil
}

// rowPosition makes the position that a destination is for a polled stream. All rows that
// there are can be read again, whenever they changed.
func (d *positionDesk) rowPosition(to destination, s config.Stream, stored map[replay.Key]replay.Entry) (*replay.Entry, error) {
	e := &replay.Entry{Source: polling.Kind}
	if to.earliest {
		e.Position = polling.Everything()
		return e, nil
	}
	if to.id != "" {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("%s: rows have no replay ids; try: --to-time, or --to-earliest", s.Channel))
	}
	at, err := parseTime(to.time, d.now)
	reached := stored[d.key(s.Channel)].EventTime
	switch {
	case err != nil:
	case at.After(d.now):
		err = fmt.Errorf("--to-time %s lies in the future", to.time)
	case to.back && !reached.IsZero() && at.After(reached):
		err = fmt.Errorf("%s: its last row changed at %s, before %s: there is nothing to go back to; rows are left out with bridge positions set",
			s.Channel, clock(reached), clock(at))
	}
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	e.Position = polling.Since(at)
	return e, nil
}
