package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// heldLane is a lane that was taken from its owner, whoever that was.
type heldLane struct {
	producer *sink.Producer
	barrier  replay.Barrier
	stored   map[replay.Key]replay.Entry // behind which nobody else can write
	changes  []*change
}

// apply takes the lanes over, writes, and has them taken up again. A lane's changes
// are one transaction of its own producer. What was written is marked, also if
// something fails later.
func (d *positionDesk) apply(ctx context.Context, changes []change) error {
	if err := d.fenceable(ctx); err != nil {
		return err
	}
	if d.store == nil {
		store, err := replay.Open(ctx, d.positions())
		if err != nil {
			return outside("positions topic", err)
		}
		d.store = store
	}
	// Before anything is fenced: a registry that does not answer must stop nobody.
	if _, err := d.holes(ctx, pointers(changes)); err != nil {
		return err
	}
	held, err := d.hold(ctx, changes)
	if err == nil {
		err = d.write(ctx, held)
	}
	d.letGo(ctx, held)
	d.handBack(ctx, held)
	return err
}

// hold takes over the lanes of the changes (I7), and judges once more what cannot
// change any more.
func (d *positionDesk) hold(ctx context.Context, changes []change) (map[int32]*heldLane, error) {
	held := make(map[int32]*heldLane)
	for i := range changes {
		c := &changes[i]
		h := held[c.lane]
		if h == nil {
			h = &heldLane{}
			held[c.lane] = h
			if err := d.take(ctx, c.lane, h); err != nil {
				return held, err
			}
		}
		c.from = nil
		if e, ok := h.stored[c.key]; ok {
			c.from = &e
		}
		if c.fresh && c.from != nil {
			return held, alreadyThere([]string{c.key.Channel})
		}
		h.changes = append(h.changes, c)
	}
	return held, nil
}

func (d *positionDesk) take(ctx context.Context, lane int32, h *heldLane) error {
	what := fmt.Sprintf("taking over lane %d", lane)
	var err error
	if h.producer, err = d.producer(ctx, lane); err != nil {
		return outside(what, err)
	}
	h.barrier = d.store.Barrier(lane)
	if err := h.producer.Commit(ctx, nil, []*kgo.Record{h.barrier.Record()}); err != nil {
		return contested(what, err)
	}
	if h.stored, err = d.store.Load(ctx, lane, h.barrier); err != nil {
		return outside(what, err)
	}
	return nil
}

func (d *positionDesk) write(ctx context.Context, held map[int32]*heldLane) error {
	for _, lane := range slices.Sorted(maps.Keys(held)) {
		var records []*kgo.Record
		for _, c := range held[lane].changes {
			records = append(records, c.records(d.store, d.instance(), d.now)...)
		}
		holes, err := d.holes(ctx, held[lane].changes)
		if err != nil {
			return err
		}
		if err := held[lane].producer.Commit(ctx, holes, records); err != nil { // I7: fails if the lane has another owner by now
			return contested(fmt.Sprintf("writing positions of lane %d", lane), err)
		}
		for _, c := range held[lane].changes {
			c.applied = true
		}
	}
	return nil
}

// holes are the entries of the gap ledger for what changes leave out, or put back.
func (d *positionDesk) holes(ctx context.Context, changes []*change) ([]*kgo.Record, error) {
	var out []*kgo.Record
	var ledger *transform.Ledger
	for _, c := range changes {
		h := c.hole(d.instance())
		if h == nil {
			continue
		}
		if ledger == nil {
			if err := d.openRegistry(); err != nil {
				return nil, err
			}
			var err error
			if ledger, err = transform.NewLedger(d.gapsTopic(), d.encoding()); err != nil {
				return nil, exit(pipeline.ExitUsage, err)
			}
		}
		h.Detected = d.now
		r, err := ledger.Record(ctx, h)
		if err != nil {
			return nil, outside("gap ledger", err)
		}
		out = append(out, r)
	}
	return out, nil
}

func pointers(changes []change) []*change {
	out := make([]*change, len(changes))
	for i := range changes {
		out[i] = &changes[i]
	}
	return out
}

// contested explains that an instance took a lane while we had it.
func contested(what string, err error) error {
	if errors.Is(err, sink.ErrFenced) {
		return exit(pipeline.ExitEnvironment, fmt.Errorf("%s: an instance took the lane at the same moment: %w; run this again", what, err))
	}
	return outside(what, err)
}

func (d *positionDesk) letGo(ctx context.Context, held map[int32]*heldLane) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, h := range held {
		if h.producer != nil {
			_ = h.producer.Close(ctx) // nothing is under way in it
		}
	}
}

// takeUpWithin is how long it may take until a lane has an owner again who has read
// the new position: a rebalance, a drain, a session.
const takeUpWithin = 30 * time.Second

// handBack has the lanes taken up again by the instances that run. A fenced owner
// would notice by itself only when it commits, which on a quiet stream is hours
// later.
func (d *positionDesk) handBack(ctx context.Context, held map[int32]*heldLane) {
	if len(held) == 0 {
		return
	}
	owners, err := d.dismiss(context.WithoutCancel(ctx), held) // also if we were asked to stop: they are fenced
	ctx, cancel := context.WithTimeout(ctx, takeUpWithin)
	defer cancel()
	for lane, h := range held {
		running := ""
		for _, m := range owners {
			if slices.Contains(m.Lanes, lane) {
				running = m.Instance
			}
		}
		takenUp, warning := false, ""
		switch {
		case err != nil:
			warning = fmt.Sprintf("the instance that owns lane %d, if one runs, could not be told, and takes it up anew only after its next commit: %v", lane, err)
		case running != "" && h.stored != nil: // otherwise there is no barrier to be followed
			if d.store.Followed(ctx, h.barrier) == nil {
				takenUp = true
			} else {
				warning = fmt.Sprintf("lane %d of %s was not seen to be taken up anew; see bridge positions list", lane, running)
			}
		}
		for _, c := range h.changes {
			c.running, c.takenUp, c.warning = running, takenUp, warning
		}
	}
}

// dismiss has the instances join anew that have lanes which we took, and returns
// them.
func (d *positionDesk) dismiss(ctx context.Context, held map[int32]*heldLane) ([]replay.Member, error) {
	members, err := d.members(ctx)
	if err != nil {
		return nil, err
	}
	owners := slices.DeleteFunc(members, func(m replay.Member) bool {
		return !slices.ContainsFunc(m.Lanes, func(lane int32) bool { return held[lane] != nil })
	})
	if len(owners) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return owners, replay.Dismiss(ctx, d.kafka, d.cfg.Name, "positions were changed", owners...)
}
