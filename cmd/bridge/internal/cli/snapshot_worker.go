package cli

import (
	"context"
	"slices"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/ops"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

func (b *bridge) signalsTopic() string       { return b.cfg.Name + ".signals" }
func (b *bridge) notificationsTopic() string { return b.cfg.Name + ".notifications" }

// toldTopic is where it is told what becomes of tasks; empty if there is no such topic,
// and none can be made: rows are written all the same.
func (b *bridge) toldTopic(ctx context.Context) string {
	topic := b.notificationsTopic()
	err := b.makeTopic(ctx, topic)
	if err == nil || ctx.Err() != nil || sink.Retryable(err) {
		return topic
	}
	b.log.Warn().Err(err).Str("topic", topic).Msg("nobody is told what becomes of snapshots and repairs, and 'bridge snapshot' waits in vain: the topic is not there, and was not made")
	return ""
}

// rowWorker reads rows for the lanes of this process.
func (b *bridge) rowWorker(ctx context.Context) (*snapshot.Worker, error) {
	c, budget := b.cfg.Snapshot, b.budget.Load()
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{
		Client: b.org.rest, PageRows: c.PageRows, MaxJobs: c.MaxJobs,
		Spend: func(ctx context.Context, calls int) error {
			if err := budget.spend(ctx, calls, snapshot.Urgent(ctx)); err != nil {
				return err
			}
			snapshot.Spent(ctx, calls)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	cfg := snapshot.Config{
		Client: b.org.rest, Reader: reader, Objects: b.objects, Repair: b.repair, Alive: b.alive(),
		Method: snapshot.Method(c.Reader), BulkFrom: c.BulkFrom, Parallel: c.Parallel, PageRows: c.PageRows,
		Log: b.log,
	}
	if b.hasRows() {
		cfg.Holes, cfg.Signals, cfg.NoticesTopic = &b.gaps, &b.signals, b.toldTopic(ctx)
	}
	return snapshot.New(cfg), nil
}

// hasRows says whether any stream tells of rows.
func (b *bridge) hasRows() bool {
	return slices.ContainsFunc(b.cfg.Streams, func(s config.Stream) bool { return s.Kind == config.ChangeData })
}

// configured is what the configuration says of a channel; nil if it has none such.
func (b *bridge) configured(channel string) *config.Stream {
	i := slices.IndexFunc(b.cfg.Streams, func(s config.Stream) bool { return s.Channel == channel })
	if i < 0 {
		return nil
	}
	return &b.cfg.Streams[i]
}

// objects are those whose rows a stream tells of: as configured, and of a channel that
// carries several, those that came.
func (b *bridge) objects(channel string) []string {
	s := b.configured(channel)
	if s == nil {
		return nil
	}
	known := s.KnownObjects()
	if s.Multi {
		known = append(known, b.stats.Objects(channel)...)
	}
	return slices.Compact(slices.Sorted(slices.Values(known)))
}

func (b *bridge) repair(channel string) snapshot.RepairMode {
	if s := b.configured(channel); s != nil {
		return snapshot.RepairMode(s.Repair)
	}
	return snapshot.RepairOff
}

// beginnings are the tasks of a stream that begins.
func (b *bridge) beginnings(s config.Stream) (tasks []replay.Task) {
	for _, object := range s.SnapshotObjects() {
		tasks = append(tasks, snapshot.InitialTask(object))
	}
	return tasks
}

// tellUnknownEntities warns of streams that begin without their rows.
func (b *bridge) tellUnknownEntities() {
	for _, s := range b.cfg.Streams {
		if s.Kind == config.ChangeData && s.Snapshot == config.SnapshotInitial && len(s.KnownObjects()) == 0 {
			b.log.Warn().Str("channel", s.Channel).
				Msg("no rows are read when the stream begins: which entities it carries is known from its events alone; name them by entities, or say snapshot: when_needed")
		}
	}
}

const (
	// signalsKept is how long a signal waits for an instance, and noticesKept how long
	// what became of it can be read.
	signalsKept = "604800000" // 7 days
	noticesKept = "604800000"
)

// tellingTopics are how the topics are made whose records are read once.
func (b *bridge) tellingTopics() map[string]sink.TopicConfig {
	out := make(map[string]sink.TopicConfig)
	for topic, kept := range map[string]string{b.signalsTopic(): signalsKept, b.notificationsTopic(): noticesKept} {
		out[topic] = sink.TopicConfig{
			Create: b.cfg.InternalTopics.Create, Partitions: 1, ReplicationFactor: b.cfg.InternalTopics.ReplicationFactor,
			Settings: map[string]string{"cleanup.policy": "delete", "retention.ms": kept},
		}
	}
	return out
}

var _ snapshot.Holes = (*openGaps)(nil)

// Open implements snapshot.Holes.
func (g *openGaps) Open(channel string) (holes []transform.Hole, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.read {
		return nil, false // of what is known so far some may be filled already
	}
	for _, h := range g.open {
		if h.Channel == channel {
			holes = append(holes, h)
		}
	}
	slices.SortFunc(holes, func(a, b transform.Hole) int { return a.Detected.Compare(b.Detected) })
	return holes, true
}

// Changed implements snapshot.Holes.
func (g *openGaps) Changed() <-chan struct{} { return g.changes.Wait() }

// rows is what metrics tell of the reading of rows; nil before the bridge runs.
func (b *bridge) rows(now time.Time) *ops.Rows {
	w := b.worker.Load()
	if w == nil {
		return nil
	}
	used, most := b.budget.Load().usage(now)
	out := &ops.Rows{Holds: w.Held(), BudgetUsed: used, BudgetLeft: max(0, most-used)}
	for _, t := range w.Tasks() {
		same := func(c ops.TaskCount) bool { return c.Kind == string(t.Kind) && c.State == string(t.Standing) }
		i := slices.IndexFunc(out.Tasks, same)
		if i < 0 {
			i, out.Tasks = len(out.Tasks), append(out.Tasks, ops.TaskCount{Kind: string(t.Kind), State: string(t.Standing)})
		}
		out.Tasks[i].Count++
	}
	return out
}
