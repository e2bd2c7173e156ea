package cli

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/ops"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
)

// opsTimeout bounds the end of the ops server, whose requests are short.
const opsTimeout = 3 * time.Second

// operations serves what operators ask about one bridge.
type operations struct {
	server  *ops.Server
	bridge  *bridge
	commits *ops.Histogram
	started atomic.Bool
}

// startOps serves probes and metrics from before anything else is reached.
func startOps(ctx context.Context, b *bridge) (*operations, error) {
	o := &operations{bridge: b, commits: ops.NewCommitHistogram()}
	b.stats.OnCommit = func(took time.Duration, _ int) { o.commits.Observe(took) }
	b.metrics = ops.NewRegistry(build().Version, o.snapshot)
	o.server = ops.New(ops.Config{
		Listen: b.cfg.Ops.Listen, Registry: b.metrics, Version: build().Version,
		Ready: o.ready, Status: func() any { return o.status() },
	})
	if err := o.server.Start(ctx); err != nil {
		return nil, exit(pipeline.ExitEnvironment, err)
	}
	return o, nil
}

func (o *operations) opened()      { o.started.Store(true) }
func (o *operations) addr() string { return o.server.Addr() }

func (o *operations) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), opsTimeout)
	defer cancel()
	return o.server.Shutdown(ctx)
}

// commitPatience is how long a commit may take before the probe tells of it. One
// takes milliseconds; the client's own timeouts end a silent one after 30 s or
// more.
const commitPatience = 10 * time.Second

// ready tells from progress, not from the process being there: every stream
// subscribed and none halted, no lane in trouble.
func (o *operations) ready() ops.Report {
	if !o.started.Load() {
		return ops.Report{Reasons: []ops.Reason{{State: "starting", Message: "reaching Salesforce, Kafka and the registry"}}}
	}
	reasons := append(o.membership(), o.carried()...)
	for lane, t := range o.bridge.stats.Troubles() {
		reasons = append(reasons, ops.Reason{State: string(t.Condition), Message: fmt.Sprintf(
			"lane %d, since %s: %s", lane, t.Since.UTC().Format(time.RFC3339), t.Message)})
	}
	for lane, since := range o.bridge.stats.Waiting() {
		if time.Since(since) > commitPatience {
			reasons = append(reasons, ops.Reason{State: "kafka silent", Message: fmt.Sprintf(
				"lane %d waits for kafka to take a commit since %s; check that the brokers run and answer", lane, since.UTC().Format(time.RFC3339))})
		}
	}
	return ops.Report{Ready: len(reasons) == 0, Reasons: reasons}
}

// carried tells of the streams whose lanes are ours, and of those alone: what other
// instances have is for them to tell.
func (o *operations) carried() []ops.Reason {
	var reasons []ops.Reason
	known := make(map[string]bool)
	for _, s := range o.bridge.stats.Snapshot() {
		known[s.Channel] = true
		switch {
		case !s.Owned:
		case s.Halted != "":
			reasons = append(reasons, ops.Reason{Stream: s.Channel, State: "halted", Message: s.Halted})
		case !s.Subscribed:
			reasons = append(reasons, ops.Reason{Stream: s.Channel, State: "not subscribed"})
		case s.Starving != nil:
			reasons = append(reasons, ops.Reason{Stream: s.Channel, State: string(pipeline.Starving), Message: s.Starving.String()})
		}
	}
	if o.bridge.alone { // a stream that its lane has not taken up yet is not in the snapshot
		for _, s := range o.bridge.cfg.Streams {
			if !known[s.Channel] {
				reasons = append(reasons, ops.Reason{Stream: s.Channel, State: "not subscribed"})
			}
		}
	}
	return reasons
}

// rollout is how long instances may differ in their configuration before the probe
// tells of it: while a new one is rolled out they have to.
const rollout = 10 * time.Minute

// membership tells of the group that shares out the lanes.
func (o *operations) membership() []ops.Reason {
	if o.bridge.alone {
		return nil
	}
	var reasons []ops.Reason
	m := o.bridge.stats.Membership()
	if t := m.Trouble; t != nil {
		reasons = append(reasons, ops.Reason{State: string(t.Condition), Message: fmt.Sprintf(
			"out of the consumer group since %s: %s", t.Since.UTC().Format(time.RFC3339), t.Message)})
	} else if !m.Joined {
		reasons = append(reasons, ops.Reason{State: "joining", Message: fmt.Sprintf("waiting for lanes from the consumer group %q", o.bridge.cfg.Name)})
	}
	for _, lane := range m.Starting {
		reasons = append(reasons, ops.Reason{State: "starting", Message: fmt.Sprintf("lane %d", lane)})
	}
	if len(m.Differing) > 0 && time.Since(m.DifferingSince) > rollout {
		reasons = append(reasons, ops.Reason{State: "configuration differs", Message: fmt.Sprintf(
			"from that of %s, since %s; each lane goes by the configuration of its owner", strings.Join(m.Differing, ", "), m.DifferingSince.UTC().Format(time.RFC3339))})
	}
	return reasons
}

// status is the body of /status.
type status struct {
	Name     string            `json:"name"`
	Org      string            `json:"org,omitempty"`
	Version  string            `json:"version"`
	Instance string            `json:"instance"`
	Lanes    []int32           `json:"lanes"`             // that are ours
	Members  int               `json:"members,omitempty"` // of the consumer group, as last seen
	Differ   []string          `json:"differ,omitempty"`  // instances with another configuration
	Streams  []ops.StreamStats `json:"streams"`           // that this process carries or has carried
	// Tasks are the snapshots and repairs of its lanes that have not ended.
	Tasks []snapshot.Progress `json:"tasks,omitempty"`
}

func (o *operations) status() status {
	m := o.bridge.stats.Membership()
	s := status{
		Name: o.bridge.cfg.Name, Version: build().Version, Instance: o.bridge.instance(),
		Lanes: m.Lanes, Members: m.Members, Differ: m.Differing, Streams: o.streams(),
	}
	if o.started.Load() {
		s.Org = o.bridge.org.id
	}
	if w := o.bridge.worker.Load(); w != nil {
		s.Tasks = w.Tasks()
	}
	return s
}

func (o *operations) streams() []ops.StreamStats {
	states := o.bridge.stats.Snapshot()
	out := make([]ops.StreamStats, len(states))
	for i, s := range states {
		out[i] = ops.StreamStats{
			Stream: s.Channel, Lane: s.Lane, Owned: s.Owned, Received: s.Received, Produced: s.Produced, Records: s.Records,
			DeadLettered: s.DeadLettered, Filtered: s.Filtered, Returned: s.Returned, InFlight: s.InFlight, Gaps: s.Gaps, Extras: s.Extras,
			LastEventTime: s.EventTime, LastCommit: s.Committed, Position: s.Position,
			Subscribed: s.Subscribed, Halted: s.Halted != "",
			LastReceived: s.LastReceived, LostAfter: s.LostAfter, PositionExpires: s.PositionExpires,
			OpenGaps: o.bridge.gaps.of(s.Channel), Rows: s.Rows, RowsLeft: s.RowsLeft, RowsRefused: s.RowsRefused,
		}
		if s.Starving != nil {
			out[i].Starving = s.Starving.String()
		}
	}
	return out
}

func (o *operations) snapshot() ops.Snapshot {
	stats := o.bridge.stats
	reconnects := make(map[string]uint64)
	for why, n := range stats.SessionsEnded() {
		reconnects[string(why)] = n
	}
	questions := make(map[string]uint64)
	for answer, n := range stats.Questions() {
		questions[string(answer)] = n
	}
	m := stats.Membership()
	out := ops.Snapshot{
		Lanes: m.Lanes, Members: m.Members, Differing: len(m.Differing),
		Questions: questions, APIRemaining: o.bridge.budget.Load().remaining(),
		Streams: o.streams(), Reconnects: reconnects, TokenRequests: o.bridge.tokens.counts(),
		Commits: map[string]uint64{
			ops.ResultOK: stats.Commits.Load(), ops.ResultFailed: stats.FailedCommits.Load(),
		},
		CommitSeconds: o.commits.Data(), Rows: o.bridge.rows(time.Now()),
	}
	if o.started.Load() {
		out.APICalls = o.bridge.org.rest.Calls()
	}
	return out
}

// tokenCounter counts the requests for access tokens.
type tokenCounter struct {
	mu         sync.Mutex
	ok, failed uint64
}

func (c *tokenCounter) counts() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[string]uint64{ops.ResultOK: c.ok, ops.ResultFailed: c.failed}
}

// countedGrant is a grant whose exchanges are counted.
type countedGrant struct {
	salesforce.Grant
	counter *tokenCounter
}

func (g countedGrant) Exchange(ctx context.Context) (salesforce.Token, error) {
	token, err := g.Grant.Exchange(ctx)
	g.counter.mu.Lock()
	defer g.counter.mu.Unlock()
	if err != nil {
		g.counter.failed++
	} else {
		g.counter.ok++
	}
	return token, err
}
