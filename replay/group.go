package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupConfig is what Join needs. The functions are called one at a time but
// for Looked and Failed, which may run beside the others.
type GroupConfig struct {
	// Client holds the options of the connection: seed brokers, TLS, SASL,
	// client id, hooks.
	Client []kgo.Opt
	// Group is the consumer group, and Topic the positions topic whose
	// partitions it shares out.
	Group, Topic string
	// Self is what the other members are told about this one.
	Self Member

	// SessionTimeout is how long a member may be silent before its lanes go to
	// others. Default 6 s, the least that brokers allow unless they are told
	// otherwise (group.min.session.timeout.ms).
	SessionTimeout time.Duration
	// ReleaseTimeout is how long Revoked may take before the group goes on
	// without this member. Default 60 s.
	ReleaseTimeout time.Duration
	// LookEvery is the time between two looks at the members. Default 5 s.
	LookEvery time.Duration

	// Assigned says that lanes are ours from now on. It is called after each
	// rebalance, also with no new lane.
	Assigned func(lanes []int32)
	// Revoked asks for lanes back: others get them once it has returned.
	Revoked func(lanes []int32)
	// Lost says that lanes are not ours any more, and may have another owner
	// already.
	Lost func(lanes []int32)
	// Looked is told who the members are, this one included, while the group is
	// at rest; or why that cannot be seen.
	Looked func(members []Member, err error)
	// Failed is told what keeps this member out of the group. It tries again by
	// itself. The first call may come before Join has returned.
	Failed func(err error)
}

const (
	defaultSessionTimeout = 6 * time.Second
	defaultReleaseTimeout = time.Minute
	defaultLookEvery      = 5 * time.Second
	// beats is how many heartbeats a session has. It is also how soon a member
	// learns that another one came or went, so there are more than Kafka's usual
	// three.
	beats = 12
)

// Group is a membership in the consumer group that shares out lanes.
//
// Kafka's assignment of the partitions of the positions topic is the assignment
// of the lanes. It moves by the cooperative protocol (KIP-429, brokers of 2.4 and
// newer, the classic protocol of 4.x included): a lane that stays where it is
// does not notice a rebalance. Nothing is fetched, and no offset is committed.
//
// An assignment is no lock. A member that was cut off or stopped learns of its
// loss only when it can ask again; what keeps it from writing is the fence of its
// lanes' transactional ids.
type Group struct {
	cfg   GroupConfig
	cl    *kgo.Client
	watch *watch
	stop  context.CancelFunc
	done  chan struct{}
}

// Join becomes a member and returns at once; what follows is told by the
// functions of cfg. [Group.Leave] ends it.
func Join(cfg GroupConfig) (*Group, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, watch: &watch{}, done: make(chan struct{})}
	opts := append([]kgo.Opt{}, cfg.Client...)
	g.cl, err = kgo.NewClient(append(opts, g.options()...)...)
	if err != nil {
		return nil, &ConfigError{Field: "Client", Err: err}
	}
	g.cl.PauseFetchTopics(cfg.Topic) // positions are read by Store, behind a barrier
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	go g.attend(ctx)
	return g, nil
}

func (c GroupConfig) withDefaults() (GroupConfig, error) {
	switch {
	case c.Group == "":
		return c, &ConfigError{Field: "Group", Err: errors.New("it is empty")}
	case c.Topic == "":
		return c, &ConfigError{Field: "Topic", Err: errors.New("it is empty")}
	case c.Assigned == nil || c.Revoked == nil || c.Lost == nil:
		return c, &ConfigError{Field: "Assigned, Revoked, Lost", Err: errors.New("all of them are needed")}
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.SessionTimeout, defaultSessionTimeout}, {&c.ReleaseTimeout, defaultReleaseTimeout}, {&c.LookEvery, defaultLookEvery},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Looked == nil {
		c.Looked = func([]Member, error) {}
	}
	if c.Failed == nil {
		c.Failed = func(error) {}
	}
	return c, nil
}

// options decide how the group works; they win over the caller's.
func (g *Group) options() []kgo.Opt {
	lanes := func(f func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			f(slices.Sorted(slices.Values(partitions[g.cfg.Topic])))
		}
	}
	return []kgo.Opt{
		kgo.WithHooks(g.watch),
		kgo.ConsumerGroup(g.cfg.Group),
		kgo.ConsumeTopics(g.cfg.Topic),
		kgo.Balancers(introducing{GroupBalancer: kgo.CooperativeStickyBalancer(), self: g.cfg.Self}),
		kgo.SessionTimeout(g.cfg.SessionTimeout),
		kgo.HeartbeatInterval(g.cfg.SessionTimeout / beats),
		kgo.RebalanceTimeout(g.cfg.ReleaseTimeout),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(lanes(g.cfg.Assigned)),
		kgo.OnPartitionsRevoked(lanes(g.cfg.Revoked)),
		kgo.OnPartitionsLost(lanes(g.cfg.Lost)),
		kgo.AlwaysRetryEOF(),
		kgo.MetadataMinAge(250 * time.Millisecond),
	}
}

// attend hands on what the client has to tell, and looks at the members.
func (g *Group) attend(ctx context.Context) {
	defer close(g.done)
	for ctx.Err() == nil {
		began := time.Now()
		turn, cancel := context.WithTimeout(ctx, g.cfg.LookEvery)
		for _, e := range g.cl.PollFetches(turn).Errors() {
			if turn.Err() == nil || !errors.Is(e.Err, turn.Err()) {
				g.cfg.Failed(g.typed(e.Err, began))
			}
		}
		over := turn.Err() != nil
		cancel()
		if over && ctx.Err() == nil {
			g.look(ctx)
		}
	}
}

func (g *Group) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.LookEvery)
	defer cancel()
	began := time.Now()
	members, err := membersOf(ctx, g.cl, g.cfg.Group)
	switch {
	case errors.Is(err, errUnsettled):
	case err != nil:
		g.cfg.Looked(nil, g.typed(err, began))
	default:
		g.cfg.Looked(members, nil)
	}
}

// Leave gives all lanes back, by Revoked, and leaves the group, so that others get
// them at once. It returns at the latest when ctx ends; the connections are closed
// in any case. An error says that the others have to wait for SessionTimeout.
func (g *Group) Leave(ctx context.Context) error {
	err := g.cl.LeaveGroupContext(ctx)
	g.stop()
	g.cl.Close()
	<-g.done
	if err != nil {
		return fmt.Errorf("leaving group %q: %w", g.cfg.Group, err)
	}
	return nil
}

// typed gives an error of the client the type of this package that fits.
func (g *Group) typed(err error, began time.Time) error {
	if session, ok := errors.AsType[*kgo.ErrGroupSession](err); ok {
		err = session.Err
	}
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return &AuthorizationError{Operation: "Read", Group: g.cfg.Group, Err: err}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &AuthorizationError{Operation: "Read", Topic: g.cfg.Topic, Err: err}
	}
	seeds, _ := g.cl.OptValue(kgo.SeedBrokers).([]string)
	if err = typed(err, "taking part in the consumer group", began, seeds, g.watch); isOurs(err) {
		return err
	}
	return fmt.Errorf("consumer group %q: %w", g.cfg.Group, err)
}
