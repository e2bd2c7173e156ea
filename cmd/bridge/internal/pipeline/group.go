package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

// GroupLanes owns the lanes that Kafka assigns to this member of a consumer group.
type GroupLanes struct {
	// Join becomes a member. What it is given says what is to be done about each
	// change of the assignment; the rest of the configuration is the caller's.
	Join func(Assigning) (Membership, error)
	// Busy are the lanes that have streams. The others cost nothing.
	Busy []int32
	// Drain bounds how long a lane that is given back may take to commit what was
	// taken. After it everything is dropped, and comes again at the next owner.
	Drain time.Duration
	// Patience is how long a lane that was fenced waits to hear that it has
	// another owner, as it should: longer than a member may be silent.
	Patience time.Duration
	// Self is the fingerprint of our configuration.
	Self  string
	Stats *Stats
	Log   zerolog.Logger
}

// Assigning are the functions of [replay.GroupConfig] with the same names.
type Assigning struct {
	Assigned, Revoked, Lost func(lanes []int32)
	Looked                  func(members []replay.Member, err error)
	Failed                  func(err error)
}

// Membership is what Join returns.
type Membership interface {
	// Leave gives everything back, by Revoked, and ends the membership.
	Leave(ctx context.Context) error
}

var (
	_ Assignment = (*GroupLanes)(nil)
	_ Membership = (*replay.Group)(nil)
)

// leaveTimeout bounds the farewell, after which the others wait until the broker
// misses us.
const leaveTimeout = 5 * time.Second

// Run takes part in the group until intake ends or a lane ends with something
// that only a new start can mend. All lanes are drained before the group is left,
// so that the next owner of each begins at once (I6).
func (g *GroupLanes) Run(ctx, intake context.Context, start StartLane) error {
	r := &group{cfg: g, ctx: ctx, start: start, lanes: make(map[int32]*ownedLane), ended: make(chan struct{})}
	r.intake, r.stop = context.WithCancel(intake)
	defer r.stop()
	membership, err := g.Join(Assigning{
		Assigned: r.assigned, Revoked: r.revoked, Lost: r.lost, Looked: r.looked, Failed: r.failed,
	})
	if err != nil {
		return &ExitError{Code: ExitUsage, Err: err}
	}
	select {
	case <-r.intake.Done():
	case <-r.ended:
	}
	r.stop()
	r.drain(r.all())
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := membership.Leave(leaving); err != nil {
		g.Log.Warn().Err(err).Msg("the group was not left in time; others take our lanes when the broker misses us")
	}
	r.drain(r.all()) // those that were assigned meanwhile, if the farewell was cut short
	return r.result()
}

// group is one run of GroupLanes. Its functions are called by the membership, one
// at a time, and by Run.
type group struct {
	cfg    *GroupLanes
	ctx    context.Context //nolint:containedctx // of Run, for lanes that begin while it waits
	intake context.Context //nolint:containedctx // likewise
	stop   context.CancelFunc
	start  StartLane
	ended  chan struct{} // closed when Run has to end by itself

	mu     sync.Mutex
	lanes  map[int32]*ownedLane
	err    error // why it has to end
	joined bool
	// fences are lanes that were fenced though they were ours, since fencedAt.
	fences   int
	fencedAt time.Time
}

// ownedLane is a lane from its assignment to its end.
type ownedLane struct {
	drop   context.CancelFunc // stops it at once
	drain  context.CancelFunc // asks it to end
	done   chan struct{}
	halted error // it has ended so, and stays ours, so that it is seen
}

// assigned starts lanes. It returns at once.
func (r *group) assigned(lanes []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = true
	r.cfg.Stats.lives(time.Now())
	r.cfg.Stats.member(func(m *MemberState) { m.Joined, m.Trouble = true, nil })
	for _, lane := range lanes {
		if _, ours := r.lanes[lane]; ours {
			continue
		}
		ctx, drop := context.WithCancel(r.ctx)
		intake, drain := context.WithCancel(r.intake)
		o := &ownedLane{drop: drop, drain: drain, done: make(chan struct{})}
		r.lanes[lane] = o
		r.cfg.Stats.hold(lane)
		go r.run(ctx, intake, lane, o)
	}
	if len(lanes) > 0 {
		r.cfg.Log.Info().Ints32("lanes", lanes).Msg("lanes are ours now")
	}
}

// run is the life of a lane.
func (r *group) run(ctx, intake context.Context, lane int32, o *ownedLane) {
	defer close(o.done)
	for {
		err := r.start(ctx, intake, lane)
		switch {
		case err == nil:
			return
		case r.intake.Err() != nil && !errors.Is(err, sink.ErrFenced): // the process ends: its exit code tells of it
			r.end(err)
			return
		case intake.Err() != nil: // the next owner, who may be there already, takes up what was not committed
			r.cfg.Log.Warn().Err(err).Int32("lane", lane).Msg("lane did not end cleanly")
			return
		case halted(err):
			r.halt(o, err)
			return
		case !errors.Is(err, sink.ErrFenced):
			r.end(err)
			return
		}
		// I7: what fenced us owns the lane. Kafka is about to tell us so.
		r.cfg.Log.Warn().Err(err).Int32("lane", lane).Msg("lane has another owner")
		if !sleep(intake, r.cfg.Patience) {
			return
		}
		if r.fenced() > maxFences {
			r.end(err)
			return
		}
	}
}

// maxFences is how often within fencesWithin lanes that Kafka says are ours may be
// taken from us by something that is not in the group. A command that changes a
// position does that once; something that does it again and again is another owner.
const (
	maxFences    = 2
	fencesWithin = 15 * time.Minute
)

func (r *group) fenced() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.fencedAt) > fencesWithin {
		r.fences, r.fencedAt = 0, now
	}
	r.fences++
	return r.fences
}

// halt keeps a lane whose streams are all halted. If that is every stream there
// is, nothing is left to run for.
func (r *group) halt(o *ownedLane, err error) {
	r.mu.Lock()
	o.halted = err
	var all []error
	for _, lane := range r.cfg.Busy {
		if o, ours := r.lanes[lane]; ours && o.halted != nil {
			all = append(all, o.halted)
		}
	}
	r.mu.Unlock()
	if len(all) == len(r.cfg.Busy) {
		r.end(&ExitError{Code: ExitHalted, Err: errors.Join(all...)})
	}
}

// end makes Run return err.
func (r *group) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		close(r.ended)
	}
}

func (r *group) result() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *group) all() []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.lanes))
}

// revoked drains lanes that others are to have.
func (r *group) revoked(lanes []int32) {
	if len(lanes) == 0 {
		return
	}
	for _, lane := range r.drain(lanes) {
		r.cfg.Stats.letGo(lane)
	}
	r.cfg.Log.Info().Ints32("lanes", lanes).Msg("lanes are given back")
}

// drain ends lanes, drops those that take too long, and returns those it ended.
func (r *group) drain(lanes []int32) []int32 {
	owned := r.take(lanes)
	for _, o := range owned {
		o.drain()
	}
	limit := time.NewTimer(r.cfg.Drain)
	defer limit.Stop()
	for lane, o := range owned {
		select {
		case <-o.done:
		case <-limit.C:
			limit.Reset(0) // for the others
			r.cfg.Log.Warn().Int32("lane", lane).Dur("after", r.cfg.Drain).
				Msg("lane did not drain in time; what was not committed comes again at its next owner")
			o.drop()
			<-o.done
		}
		o.drop()
	}
	return slices.Collect(maps.Keys(owned))
}

// lost stops lanes that may have another owner already: nothing of them is
// committed any more.
func (r *group) lost(lanes []int32) {
	r.cfg.Stats.member(func(m *MemberState) { m.Joined = false })
	owned := r.take(lanes)
	for _, o := range owned {
		o.drain()
		o.drop()
	}
	for lane, o := range owned {
		<-o.done
		r.cfg.Stats.letGo(lane)
	}
	if len(owned) > 0 {
		r.cfg.Log.Warn().Ints32("lanes", lanes).Msg("lanes are lost; others have them or will")
	}
}

// take removes lanes from those that are ours.
func (r *group) take(lanes []int32) map[int32]*ownedLane {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[int32]*ownedLane, len(lanes))
	for _, lane := range lanes {
		if o, ok := r.lanes[lane]; ok {
			out[lane] = o
			delete(r.lanes, lane)
		}
	}
	return out
}

// failed is told what keeps us out of the group. A mistake that only a human can
// correct ends the process if it never was a member.
func (r *group) failed(err error) {
	r.mu.Lock()
	joined := r.joined
	r.mu.Unlock()
	cond := Classify(err)
	if d := Decide(cond, !joined); !joined && d.Action == Exit && !replay.Retryable(err) {
		r.end(&ExitError{Code: d.Code, Err: err})
		return
	}
	r.cfg.Stats.member(func(m *MemberState) { m.trouble(cond, err, time.Now()) })
	r.cfg.Log.Warn().Err(err).Str("condition", string(cond)).Msg("taking part in the group fails; it is tried again")
}

// looked compares us with the other members.
func (r *group) looked(members []replay.Member, err error) {
	if err != nil {
		r.cfg.Log.Debug().Err(err).Msg("the members of the group cannot be seen")
		return
	}
	var other []string
	for _, m := range members {
		if m.Config != r.cfg.Self {
			other = append(other, m.Instance)
		}
	}
	if began, over := r.cfg.Stats.differs(len(members), other, time.Now()); began {
		r.cfg.Log.Warn().Strs("instances", other).Msg("other instances have another configuration; each lane goes by that of its owner")
	} else if over {
		r.cfg.Log.Info().Msg("all instances have the same configuration again")
	}
}
