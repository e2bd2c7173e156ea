package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// openStore opens the positions topic. What an org that is another one by now has
// left there is given up if the configuration says so.
func (b *bridge) openStore(ctx context.Context, cfg replay.Config) (err error) {
	b.store, err = replay.Open(ctx, cfg)
	if err == nil {
		return nil
	}
	other, ok := errors.AsType[*replay.OtherOrgError](err)
	if !ok {
		return outside("positions topic", err)
	}
	if b.cfg.Org.OnOtherOrg != config.OtherOrgRestart {
		return outside("positions topic", fmt.Errorf("%w. If org %s is the sandbox %s after a refresh, its event bus is a new one, and no position of the old one means anything on it: "+
			"with on_other_org: restart in the section org each stream begins anew by its on_expired, and the holes are entered into the gap ledger", err, other.Want, other.Found))
	}
	if err := b.inherit(ctx, cfg); err != nil {
		return err
	}
	if b.store, err = replay.Open(ctx, cfg); err != nil {
		return outside("positions topic", err)
	}
	return nil
}

// inherit gives up the positions of other orgs. Each configured stream begins anew
// by its on_expired, and its hole is entered into the gap ledger, all in one
// transaction (I2): whoever is interrupted, or is not the only one to do this, finds
// all of it or nothing of it done.
func (b *bridge) inherit(ctx context.Context, cfg replay.Config) error {
	owner := &laneOwner{bridge: b}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer done()
		owner.release(closing)
	}()
	if err := owner.own(ctx, cfg.Lanes); err != nil { // I7: a bridge of the old org cannot write any more
		return err
	}
	store, estate, err := replay.Inherit(ctx, cfg)
	if err != nil {
		return outside("positions topic", err)
	}
	defer store.Close()
	if len(estate.Orgs) == 0 {
		return nil // another instance was faster
	}
	positions, holes, err := b.heirs(estate, store)
	if err != nil {
		return err
	}
	ledger, err := transform.NewLedger(b.gapsTopic(), b.encoding())
	if err != nil {
		return err
	}
	records := make([]*kgo.Record, len(holes))
	for i, hole := range holes {
		if records[i], err = ledger.Record(ctx, hole); err != nil {
			return outside("gap ledger", err)
		}
	}
	if err := owner.producers[0].Commit(ctx, records, append(positions, estate.Tombstones()...)); err != nil {
		return owner.refused("beginning the streams anew", err)
	}
	b.log.Error().Strs("of", estate.Orgs).Str("org", b.org.id).Int("streams", len(holes)).
		Msg("the positions of another org are given up by on_other_org; each stream begins anew by its on_expired, and the holes are in the gap ledger")
	return nil
}

// heirs makes what takes the place of the old org's positions, for the streams that
// are configured. What the old org sent is none of this one's, so nothing of it has
// been copied.
func (b *bridge) heirs(estate *replay.Estate, store *replay.Store) (positions []*kgo.Record, holes []*transform.Hole, err error) {
	for _, old := range estate.Entries {
		at := slices.IndexFunc(b.cfg.Streams, func(s config.Stream) bool { return s.Channel == old.Key.Channel })
		if at < 0 {
			continue // nobody reads it any more
		}
		stream := b.stream(b.cfg.Streams[at])
		if !stream.OnExpired.Earliest && !stream.OnExpired.Latest {
			return nil, nil, exit(pipeline.ExitEnvironment, fmt.Errorf(
				"%s has a position of org %s, which means nothing in org %s, and its on_expired is halt: nothing was changed; to go on set it to earliest or latest for this start",
				stream.Key.Channel, old.Key.Org, stream.Key.Org))
		}
		next, hole := pipeline.BeginAnew(stream, old, time.Time{}, transform.OrgChanged, fmt.Sprintf(
			"the login leads to org %s, and the position is one of org %s, as after the refresh of a sandbox", stream.Key.Org, old.Key.Org))
		next.Owner = b.instance()
		positions, holes = append(positions, store.Record(next)), append(holes, hole)
	}
	return positions, holes, nil
}

// whereabouts is what a lane knows of where the org lives.
type whereabouts struct {
	rest *salesforce.Client
	log  zerolog.Logger
	name string // at the beginning of the lane's session
}

// ask asks for the instance that the org lives on. Empty if this user is not told, or
// not today: to go on without knowing is what is left then, since the events would
// come to nobody for as long.
func (w *whereabouts) ask(ctx context.Context) (string, error) {
	name, err := w.rest.InstanceName(ctx)
	if err == nil {
		w.name = name
		return name, nil
	}
	if ctx.Err() != nil {
		return "", err
	}
	_, other := errors.AsType[*salesforce.OrgChangedError](err)
	refused, answered := errors.AsType[*salesforce.APIError](err)
	switch {
	case other:
		return "", &pipeline.SourceError{Condition: pipeline.PositionsBad, Err: err}
	case salesforce.Unauthorized(err):
		return "", &pipeline.SourceError{Condition: pipeline.Unauthorized, Err: err}
	case salesforce.Retryable(err) && !(answered && refused.Code == codeLimit):
		return "", &pipeline.SourceError{Condition: pipeline.Transient, Err: err}
	}
	w.log.Warn().Err(err).Msg("the org does not say which instance it lives on, so that a migration is not noticed; the user needs to read Organization")
	return "", nil
}

const codeLimit = "REQUEST_LIMIT_EXCEEDED"

// moved is an error if the org lives elsewhere than at the last ask.
func (w *whereabouts) moved(ctx context.Context) error {
	before := w.name
	now, err := w.ask(ctx)
	if err != nil || now == "" || before == "" || now == before {
		return err
	}
	return fmt.Errorf("the org has moved from instance %s to %s while it was read", before, now)
}
