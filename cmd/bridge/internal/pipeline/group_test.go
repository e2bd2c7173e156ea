package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
)

// kafkaGroup stands for the group: the test says what it assigns.
type kafkaGroup struct {
	Assigning
	t      *testing.T
	cfg    *GroupLanes
	lanes  map[int32]*fakeLane
	mu     sync.Mutex
	starts []int32
	ended  chan error
	drain  context.CancelFunc
	left   time.Time
}

// fakeLane ends when it is told to, or when the test says.
type fakeLane struct {
	ctx, intake context.Context
	end         chan error
	slow        time.Duration // that it takes to drain
	drained     bool          // it ended as it was asked to
}

func newKafkaGroup(t *testing.T, busy ...int32) *kafkaGroup {
	g := &kafkaGroup{t: t, lanes: make(map[int32]*fakeLane), ended: make(chan error, 1)}
	g.cfg = &GroupLanes{Busy: busy, Drain: 10 * time.Second, Patience: 12 * time.Second, Self: "one", Stats: &Stats{}}
	joined := make(chan struct{})
	g.cfg.Join = func(a Assigning) (Membership, error) {
		g.Assigning = a
		close(joined)
		return g, nil
	}
	var intake context.Context
	intake, g.drain = context.WithCancel(t.Context())
	go func() { g.ended <- g.cfg.Run(t.Context(), intake, g.start) }()
	<-joined
	return g
}

func (g *kafkaGroup) start(ctx, intake context.Context, lane int32) error {
	l := &fakeLane{ctx: ctx, intake: intake, end: make(chan error, 1)}
	g.mu.Lock()
	if old := g.lanes[lane]; old != nil {
		l.slow = old.slow
	}
	g.lanes[lane] = l
	g.starts = append(g.starts, lane)
	g.mu.Unlock()
	select {
	case err := <-l.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-intake.Done():
	}
	select {
	case <-time.After(l.slow):
		l.drained = true
		return nil
	case err := <-l.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *kafkaGroup) lane(lane int32) *fakeLane {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lanes[lane]
}

func (g *kafkaGroup) started() []int32 {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	out := slices.Clone(g.starts)
	slices.Sort(out)
	return out
}

func (g *kafkaGroup) Leave(context.Context) error {
	g.left = time.Now()
	for lane, l := range g.lanes {
		if l.intake.Err() == nil && l.ctx.Err() == nil {
			g.t.Errorf("the group was left while lane %d ran", lane)
		}
	}
	return nil
}

// end drains the process and returns what Run returned.
func (g *kafkaGroup) end() error {
	g.drain()
	return <-g.ended
}

func grouped(t *testing.T, f func(t *testing.T, g *kafkaGroup), busy ...int32) {
	synctest.Test(t, func(t *testing.T) { f(t, newKafkaGroup(t, busy...)) })
}

func TestGroupLanes(t *testing.T) {
	fenced := fmt.Errorf("committing: %w", sink.ErrFenced)
	for name, f := range map[string]func(t *testing.T, g *kafkaGroup){
		"what is assigned runs, once": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0, 2})
			g.Assigned(nil)
			g.Assigned([]int32{2, 3})
			if got := g.started(); !slices.Equal(got, []int32{0, 2, 3}) {
				t.Errorf("started %v", got)
			}
			if got := g.cfg.Stats.Membership().Lanes; !slices.Equal(got, []int32{0, 2, 3}) {
				t.Errorf("owned %v", got)
			}
			if err := g.end(); err != nil || g.left.IsZero() {
				t.Errorf("%v, left at %v", err, g.left)
			}
		},
		"what is revoked drains before it is let go": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0, 1})
			l := g.lane(0)
			l.slow = 3 * time.Second
			began := time.Now()
			g.Revoked([]int32{0})
			if !l.drained || time.Since(began) != 3*time.Second {
				t.Errorf("drained: %v, after %v", l.drained, time.Since(began))
			}
			if got := g.cfg.Stats.Membership().Lanes; !slices.Equal(got, []int32{1}) || g.lane(1).intake.Err() != nil {
				t.Errorf("owned %v", got)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"what does not drain in time is dropped": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0, 1})
			g.lane(0).slow, g.lane(1).slow = time.Hour, time.Hour
			began := time.Now()
			g.Revoked([]int32{0, 1})
			if took := time.Since(began); took != 10*time.Second || g.lane(0).drained || g.lane(1).drained {
				t.Errorf("took %v, or did drain", took)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"what is lost is dropped at once": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			l := g.lane(0)
			l.slow = time.Hour
			began := time.Now()
			g.Lost([]int32{0})
			m := g.cfg.Stats.Membership()
			if l.ctx.Err() == nil || time.Since(began) != 0 || m.Joined || len(m.Lanes) != 0 {
				t.Errorf("%v after %v, %+v", l.ctx.Err(), time.Since(began), m)
			}
			l.slow = 0
			g.Assigned([]int32{0})
			if got := g.started(); !slices.Equal(got, []int32{0, 0}) {
				t.Errorf("started %v", got)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"a drained lane's failure is for its next owner": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			l := g.lane(0)
			l.slow = time.Second
			go func() {
				<-l.intake.Done()
				l.end <- errLost
			}()
			g.Revoked([]int32{0})
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"a failure ends the process and drains the others": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0, 1})
			g.lane(1).slow = time.Second
			began := time.Now()
			g.lane(0).end <- &ExitError{Code: ExitEnvironment, Err: errLost}
			wantExit(t, <-g.ended, ExitEnvironment, "lost")
			if g.left.Sub(began) != time.Second {
				t.Errorf("left after %v, want after the drain", g.left.Sub(began))
			}
		},
		"a lane that was fenced waits to be told": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			g.lane(0).end <- fenced
			pass(5 * time.Second)
			g.Lost([]int32{0})
			pass(time.Minute)
			if got := g.started(); !slices.Equal(got, []int32{0}) {
				t.Errorf("started %v", got)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"a lane that another owner has does not keep the process from ending well": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			l := g.lane(0)
			l.slow = time.Second
			go func() {
				<-l.intake.Done()
				l.end <- fenced
			}()
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"a failure while the process ends is its own": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			l := g.lane(0)
			l.slow = time.Second
			go func() {
				<-l.intake.Done()
				l.end <- errLost
			}()
			if err := g.end(); !errors.Is(err, errLost) {
				t.Errorf("%v, want what the lane ended with", err)
			}
		},
		"a lane that is fenced by a stranger is taken up again, not for ever": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			began := time.Now()
			for range maxFences + 1 {
				g.lane(0).end <- fenced
				pass(12 * time.Second)
			}
			if err := <-g.ended; !errors.Is(err, sink.ErrFenced) || len(g.starts) != maxFences+1 {
				t.Errorf("%v after %v, %d starts", err, time.Since(began), len(g.starts))
			}
		},
		"a halted lane stays, until every lane with streams is halted": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0, 1, 3})
			g.lane(3).end <- nil // without streams
			g.lane(0).end <- &ExitError{Code: ExitHalted, Err: errors.New("zero")}
			synctest.Wait()
			if got := g.cfg.Stats.Membership().Lanes; !slices.Equal(got, []int32{0, 1, 3}) {
				t.Errorf("owned %v", got)
			}
			g.lane(1).end <- &ExitError{Code: ExitHalted, Err: errors.New("one")}
			err := <-g.ended
			wantExit(t, err, ExitHalted, "zero")
			wantExit(t, err, ExitHalted, "one")
		},
		"lanes of others keep a process with halted ones": func(t *testing.T, g *kafkaGroup) {
			g.Assigned([]int32{0})
			g.lane(0).end <- &ExitError{Code: ExitHalted, Err: errors.New("zero")}
			pass(time.Hour)
			g.Revoked([]int32{0})
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"at its start a refusal ends the process": func(t *testing.T, g *kafkaGroup) {
			g.Failed(&replay.AuthorizationError{Operation: "Read", Group: "g", Err: kerr.GroupAuthorizationFailed})
			wantExit(t, <-g.ended, ExitEnvironment, "--group g")
		},
		"later a refusal is trouble, and over with the next assignment": func(t *testing.T, g *kafkaGroup) {
			g.Assigned(nil)
			for range 2 {
				g.Failed(&replay.AuthorizationError{Operation: "Read", Group: "g", Err: kerr.GroupAuthorizationFailed})
				pass(time.Minute)
			}
			if m := g.cfg.Stats.Membership(); m.Trouble == nil || m.Trouble.Condition != KafkaRefused || time.Since(m.Trouble.Since) != 2*time.Minute {
				t.Errorf("%+v", m.Trouble)
			}
			g.Assigned(nil)
			if m := g.cfg.Stats.Membership(); m.Trouble != nil {
				t.Errorf("%+v", m.Trouble)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
		"others with another configuration are named": func(t *testing.T, g *kafkaGroup) {
			same, other := replay.Member{Instance: "a", Config: "one"}, replay.Member{Instance: "b", Config: "two"}
			g.Looked([]replay.Member{same, other}, nil)
			began := time.Now()
			pass(time.Minute)
			g.Looked([]replay.Member{same, other, same}, nil)
			if m := g.cfg.Stats.Membership(); m.Members != 3 || !slices.Equal(m.Differing, []string{"b"}) || !m.DifferingSince.Equal(began) {
				t.Errorf("%+v", m)
			}
			g.Looked(nil, errLost) // not seeing is not knowing
			if m := g.cfg.Stats.Membership(); len(m.Differing) != 1 {
				t.Errorf("%+v", m)
			}
			g.Looked([]replay.Member{same}, nil)
			if m := g.cfg.Stats.Membership(); m.Members != 1 || len(m.Differing) != 0 || !m.DifferingSince.IsZero() {
				t.Errorf("%+v", m)
			}
			if err := g.end(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { grouped(t, f, 0, 1) })
	}
}

// A group that cannot be joined as it is configured is a mistake of usage.
func TestGroupThatCannotBeJoined(t *testing.T) {
	g := &GroupLanes{Stats: &Stats{}, Join: func(Assigning) (Membership, error) { return nil, errLost }}
	wantExit(t, g.Run(t.Context(), t.Context(), nil), ExitUsage, "lost")
}

// What begins long after the process is not its start: trouble is waited out.
func TestLaneThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats := &Stats{}
		stats.lives(time.Now())
		pass(settled)
		w := newWorld()
		tries := 0
		intake, drain := context.WithCancel(t.Context())
		w.onOpenWriter = func() error {
			if tries++; tries == 3 {
				drain()
			}
			return context.DeadlineExceeded
		}
		err := w.lane(stats, stream(accounts)).Run(t.Context(), intake)
		if isType[*ExitError](err) || tries != 3 {
			t.Errorf("%v after %d tries, want it to try on until it is asked to end", err, tries)
		}
	})
}

// A stream whose lane went to another is not this process's any more; what it
// counted stays, and a halt is forgotten when the lane comes back.
func TestStatsOfAForeignLane(t *testing.T) {
	stats := &Stats{}
	lane := func() *Lane {
		stats.hold(2)
		return NewLane(LaneConfig{Lane: 2, Stats: stats, Streams: []Stream{stream(accounts)}})
	}
	l := lane()
	l.streams[accounts].stats.took(time.Now())
	l.streams[accounts].stats.setSubscribed(true)
	l.haltStream(accounts, errLost)
	stats.trouble(2, KafkaTransient, errLost)
	if s := stats.Snapshot()[0]; !s.Owned || s.Lane != 2 || !strings.Contains(s.Halted, "lost") {
		t.Errorf("%+v", s)
	}
	stats.letGo(2)
	if s := stats.Snapshot()[0]; s.Owned || s.Subscribed || s.Received != 1 || len(stats.Troubles()) != 0 {
		t.Errorf("%+v", s)
	}
	lane()
	if s := stats.Snapshot()[0]; !s.Owned || s.Halted != "" || s.Received != 1 {
		t.Errorf("%+v", s)
	}
}
