package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

const (
	// settleTimeout is how long a consumer group may be in the middle of a
	// rebalance, and the brokers without a coordinator for it.
	settleTimeout = 30 * time.Second
	settlePause   = 100 * time.Millisecond
)

// laneOwner owns the lanes in the bridge's place, so that nobody writes positions
// while a command changes them.
type laneOwner struct {
	*bridge
	// producers are those of the lanes, by number. Without transactions nobody
	// can be fenced: then there is one, for writing.
	producers []*sink.Producer
}

// unattended is an error if an instance of the bridge runs: it would be taken its lanes
// and take them back.
func (o *laneOwner) unattended(ctx context.Context) error {
	members, err := o.members(ctx)
	if err != nil {
		return outside("consumer group", err)
	}
	if len(members) == 0 {
		return nil
	}
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = fmt.Sprintf("%s at %s", m.Instance, strings.TrimPrefix(m.Host, "/"))
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf(
		"the bridge %q is running: %s; stop every instance first (one that was killed counts for some seconds more)",
		o.cfg.Name, strings.Join(names, ", ")))
}

// members are the instances of the bridge that run.
func (o *laneOwner) members(ctx context.Context) ([]replay.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		members, err := replay.Members(ctx, o.kafka, o.cfg.Name)
		if !replay.Retryable(err) {
			return members, err
		}
		// The first to ask a cluster for any group has it make a topic first.
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// own takes over the lanes, all that there are or will be (I7).
func (o *laneOwner) own(ctx context.Context, lanes int) error {
	if o.cfg.Delivery == config.AtLeastOnce {
		lanes = 1
	}
	if len(o.producers) >= lanes {
		return nil
	}
	have, err := o.partitions(ctx)
	if err != nil {
		return outside("positions topic", err)
	}
	for lane := len(o.producers); lane < lanes; lane++ {
		var positions sink.Place
		if lane < have {
			positions = sink.Place{Topic: o.cfg.Name + ".positions", Partition: int32(lane)} //nolint:gosec // lanes are at most 10000
		}
		p, err := o.ownerOf(ctx, int32(lane), positions) //nolint:gosec // see above
		if err != nil {
			return outside(fmt.Sprintf("taking over lane %d", lane), err)
		}
		o.producers = append(o.producers, p)
	}
	return nil
}

// partitions are how many the positions topic has at this moment: what is in none of
// them has no positions that could be torn, and a producer would look for them in vain.
func (o *laneOwner) partitions(ctx context.Context) (int, error) {
	cl, err := kgo.NewClient(o.kafka...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	topic := o.cfg.Name + ".positions"
	all, err := kadm.NewClient(cl).ListTopics(ctx, topic)
	if err != nil {
		return 0, err
	}
	return len(all[topic].Partitions), nil
}

// prove is an error if anybody else has owned a lane since we took it over: a
// fenced producer cannot commit.
func (o *laneOwner) prove(ctx context.Context, plan *replay.MigrationPlan) error {
	if err := o.unattended(ctx); err != nil || o.cfg.Delivery == config.AtLeastOnce {
		return err
	}
	for lane := range int32(plan.Have) { //nolint:gosec // partitions are numbered with 32 bits
		if err := o.producers[lane].Commit(ctx, nil, []*kgo.Record{plan.Barrier(lane)}); err != nil {
			return o.refused(fmt.Sprintf("lane %d", lane), err)
		}
	}
	return nil
}

// write is a [replay.Write].
func (o *laneOwner) write(ctx context.Context, batches ...[]*kgo.Record) error {
	if o.cfg.Delivery != config.AtLeastOnce {
		batches = [][]*kgo.Record{slices.Concat(batches...)}
	}
	for _, batch := range batches {
		if err := o.producers[0].Commit(ctx, nil, batch); err != nil {
			return o.refused("writing positions", err)
		}
	}
	return nil
}

func (o *laneOwner) refused(what string, err error) error {
	if errors.Is(err, sink.ErrFenced) {
		return exit(pipeline.ExitEnvironment, fmt.Errorf(
			"another instance with the name %q, or another command, has started meanwhile: %w; stop it and run this again", o.cfg.Name, err))
	}
	return outside(what, err)
}

// release gives up the producers. Those that are fenced may well be, and nothing
// is under way in the others.
func (o *laneOwner) release(ctx context.Context) {
	for _, p := range o.producers {
		_ = p.Close(ctx)
	}
	o.producers = nil
}
