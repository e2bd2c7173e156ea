package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// check finds what contradicts itself in the flags alone.
func (f replayFlags) check() error {
	count := func(texts ...string) (n int) {
		for _, text := range texts {
			if text != "" {
				n++
			}
		}
		return n
	}
	froms, tos := count(f.fromID, f.fromTime, f.from), count(f.toID, f.toTime, f.to)
	switch {
	case f.resume != "" && (froms+tos+count(f.into) > 0 || f.all || f.inPlace || f.dryRun || f.noRows || len(f.channels)+len(f.entities)+len(f.records)+len(f.changes) > 0):
		return errors.New("--resume goes on with a run as it was begun; it goes with --max-events, --max-api-calls, --settle and --json only")
	case f.resume != "":
		return nil
	case f.all == (len(f.channels) > 0):
		return errors.New("say which channels: --channel, once or several times, or --all")
	case froms != 1:
		return errors.New("say where to begin: one of --from-id, --from-time and --from earliest")
	case tos > 1:
		return errors.New("--to-id, --to-time and --to exclude each other")
	case f.from != "" && f.from != "earliest":
		return fmt.Errorf("--from %s: only earliest is known; a time is --from-time, a replay id --from-id", f.from)
	case f.to != "" && f.to != "now":
		return fmt.Errorf("--to %s: only now is known; a time is --to-time, a replay id --to-id", f.to)
	case count(f.fromID, f.toID) > 0 && (f.all || len(f.channels) > 1):
		return errors.New("a replay id belongs to one channel: --from-id and --to-id need one --channel")
	case f.into != "" && f.inPlace:
		return errors.New("--into and --in-place exclude each other")
	}
	return nil
}

// plan makes a run of the flags. It asks the positions topic for times.
func (b *bridge) plan(ctx context.Context, f replayFlags, now time.Time) (backfill.Run, error) {
	now = now.UTC().Truncate(time.Millisecond)
	run := backfill.Run{
		ID: now.Format("20060102-150405-") + strings.ToLower(rand.Text()[:4]), Started: now, State: backfill.Running, Into: f.into,
		Filter: backfill.Filter{Entities: f.entities, RecordIDs: f.records, ChangeTypes: f.changes},
	}
	if run.Into == "" && !f.inPlace {
		run.Into = backfill.SideTopic
	}
	var err error
	if run.To, err = f.end(now); err != nil {
		return run, exit(pipeline.ExitUsage, err)
	}
	streams, err := b.withEvents(f)
	if err != nil {
		return run, exit(pipeline.ExitUsage, err)
	}
	for _, s := range streams {
		begin, err := b.beginning(ctx, f, s, now)
		if err != nil {
			return run, err
		}
		run.Streams = append(run.Streams, begin)
	}
	if err := run.Check(); err != nil {
		return run, exit(pipeline.ExitUsage, err)
	}
	if last := run.To.Position; last != "" {
		if err := b.probe(ctx, streams[0].Channel, pipeline.Start{After: last}); err != nil {
			return run, explained(err, streams[0], string(last))
		}
	}
	return run, nil
}

func (f replayFlags) end(now time.Time) (backfill.End, error) {
	switch {
	case f.toID != "":
		return backfill.End{Position: replay.Position(f.toID)}, checkReplayID(f.toID)
	case f.toTime != "":
		at, err := parseTime(f.toTime, now)
		if err == nil && at.After(now) {
			err = fmt.Errorf("--to-time %s lies in the future", f.toTime)
		}
		return backfill.End{Time: at}, err
	default:
		return backfill.End{Time: now}, nil
	}
}

func checkReplayID(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
		return fmt.Errorf("%q is no replay id, which is a number of Salesforce's, 0 or more", text)
	}
	return nil
}

// withEvents are the chosen streams that can be replayed. Of all, those that ask for rows
// are left out.
func (b *bridge) withEvents(f replayFlags) (out []config.Stream, _ error) {
	streams, err := b.chosen(f)
	if err != nil {
		return nil, err
	}
	for _, s := range streams {
		switch {
		case s.Source != config.SourceQuery:
			out = append(out, s)
		case !f.all:
			return nil, fmt.Errorf("%s has no events: rows that are asked for have no replay; try: bridge positions rewind", s.Channel)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no stream of the configuration has events: rows that are asked for have no replay; try: bridge positions rewind")
	}
	return out, nil
}

// chosen are the configured streams that the flags name.
func (b *bridge) chosen(f replayFlags) ([]config.Stream, error) {
	if f.all {
		return b.cfg.Streams, nil
	}
	var out []config.Stream
	for _, channel := range f.channels {
		at := slices.IndexFunc(b.cfg.Streams, func(s config.Stream) bool { return s.Channel == channel })
		if at < 0 {
			return nil, fmt.Errorf("channel %q is not one of the configuration's; it has %s", channel, strings.Join(b.channels(), ", "))
		}
		if slices.ContainsFunc(out, func(s config.Stream) bool { return s.Channel == channel }) {
			return nil, fmt.Errorf("channel %s is given twice", channel)
		}
		out = append(out, b.cfg.Streams[at])
	}
	return out, nil
}

func (b *bridge) channels() []string {
	out := make([]string, len(b.cfg.Streams))
	for i, s := range b.cfg.Streams {
		out[i] = s.Channel
	}
	return out
}

// beginning is where a run takes up a stream.
func (b *bridge) beginning(ctx context.Context, f replayFlags, s config.Stream, now time.Time) (backfill.Stream, error) {
	out := backfill.Stream{Channel: s.Channel}
	switch {
	case f.from != "":
		return out, nil
	case f.fromID != "":
		if err := checkReplayID(f.fromID); err != nil {
			return out, exit(pipeline.ExitUsage, err)
		}
		out.After = replay.Position(f.fromID)
		if err := b.probe(ctx, s.Channel, pipeline.Start{After: out.After}); err != nil {
			return out, explained(err, s, f.fromID)
		}
		return out, nil
	}
	at, err := parseTime(f.fromTime, now)
	if err != nil {
		return out, exit(pipeline.ExitUsage, err)
	}
	switch {
	case at.After(now):
		return out, exit(pipeline.ExitUsage, fmt.Errorf("--from-time %s lies in the future", f.fromTime))
	case now.Sub(at) > s.Retention:
		out.Rows, err = f.instead(s, at)
		return out, err // its events begin with the earliest
	}
	out.Since = at
	moments, err := b.index(ctx, s.Channel)
	if err != nil {
		return out, err
	}
	if m, ok := replay.Before(moments, at.Add(-backfill.Margin)); ok && now.Sub(m.Time) < s.Retention {
		out.After = m.Position
	}
	return out, nil
}

// index is what the bridge knows about the times of a stream; nothing, if it has
// never run.
func (b *bridge) index(ctx context.Context, channel string) ([]replay.Moment, error) {
	store, err := b.stored(ctx)
	if err != nil || store == nil {
		return nil, err
	}
	moments, err := store.Index(ctx, replay.Key{Org: b.org.id, Channel: channel})
	if err != nil {
		return nil, outside("positions topic", err)
	}
	return moments, nil
}

// stored opens the positions topic as it is, once; nil, if the bridge has never run.
func (b *bridge) stored(ctx context.Context) (*replay.Store, error) {
	if b.store != nil {
		return b.store, nil
	}
	cfg := b.positions()
	cfg.Create = false
	store, err := replay.Open(ctx, cfg)
	if _, missing := errors.AsType[*replay.TopicMissingError](err); missing {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if err != nil {
		return nil, outside("positions topic", err)
	}
	b.store = store
	return store, nil
}

// explained gives the org's refusal of a replay id its exit code.
func explained(err error, s config.Stream, id string) error {
	switch pipeline.Classify(err) {
	case pipeline.ReplayInvalid:
		return exit(pipeline.ExitUsage, fmt.Errorf(
			"%w; the org takes no replay id %s: it is older than the %s that it retains, or of another org or channel, or has not come yet; try: --from earliest, or --from-time", err, id, s.Retention))
	case pipeline.ChannelRefused, pipeline.Misconfigured:
		return exit(pipeline.ExitUsage, err)
	default:
		return outside(s.Channel, err)
	}
}
