package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/streaming"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// replayer carries one run out.
type replayer struct {
	*bridge
	flags  replayFlags
	run    backfill.Run
	begun  bool // it is a run that goes on
	runs   backfill.Runs
	bounds *backfill.Bounds
	count  *backfill.Count             // of a dry run
	rows   *backfill.Rows              // nil for none
	reader *salesforce.Reader          // of rows; nil for none
	worker *snapshot.Worker            // likewise
	spent  atomic.Int64                // calls of the org's API, for rows
	sides  map[string]sink.TopicConfig // side topics, made like the topics that they are beside
	show   replayView
}

func runReplay(intake context.Context, f replayFlags, stdin io.Reader, stdout, stderr io.Writer) error {
	if err := f.check(); err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("%w; see 'bridge replay --help'", err))
	}
	b, err := openPositions(intake, f.path, stderr)
	if err != nil {
		return beforeItBegan(intake, err)
	}
	defer b.close()
	b.log = logger(config.Log{Level: config.LogWarn, Format: b.cfg.Log.Format}, stderr)
	b.stats = &pipeline.Stats{}
	b.catalog = schemas.NewCatalog(fetcher{b.org.rest}).WithTopics(fetcher{b.org.rest})
	r := &replayer{bridge: b, flags: f, show: newReplayView(f.json, stdout, stderr)}
	if !f.dryRun { // one that writes nothing registers nothing
		if err := b.openRegistry(); err != nil {
			return err
		}
	}
	if err := r.prepare(intake); err != nil {
		return beforeItBegan(intake, err)
	}
	defer r.closeRuns()
	if err := r.sure(stdin, stderr); err != nil {
		return err
	}
	return r.carryOut(intake)
}

// beforeItBegan gives an error that only says that we were asked to stop the exit code
// of a run that has not come to its end.
func beforeItBegan(intake context.Context, err error) error {
	if intake.Err() != nil && errors.Is(err, context.Canceled) {
		return exit(pipeline.ExitHalted, errors.New("stopped before it began to read"))
	}
	return err
}

// prepare finds the run that is to be resumed, or plans a new one.
func (r *replayer) prepare(ctx context.Context) (err error) {
	if !r.flags.dryRun {
		if err := r.openRuns(ctx); err != nil {
			return err
		}
	}
	if r.flags.resume != "" {
		if r.run, err = r.resumed(ctx); err != nil {
			return err
		}
		r.begun = true
	} else if r.run, err = r.plan(ctx, r.flags, time.Now()); err != nil {
		return err
	}
	if err := r.side(ctx); err != nil {
		return err
	}
	costs := r.costs(ctx)
	if r.hasRows() {
		if err := r.openReader(); err != nil {
			return err
		}
		if costs.RowsOf, err = r.counted(ctx); err != nil {
			return err
		}
	}
	return r.show.plan(r.run, costs)
}

// openRuns opens the topic of runs, which is made like that of the positions.
func (r *replayer) openRuns(ctx context.Context) error {
	cfg := r.positions()
	cfg.Topic, cfg.Lanes = r.cfg.Name+".replays", 1
	store, err := replay.Open(ctx, cfg)
	if err != nil {
		return outside("topic of runs", err)
	}
	r.runs = backfill.Runs{Store: store, Org: r.org.id}
	return nil
}

func (r *replayer) closeRuns() {
	if r.runs.Store != nil {
		r.runs.Store.Close()
	}
}

func (r *replayer) resumed(ctx context.Context) (backfill.Run, error) {
	runs, err := r.runs.List(ctx)
	if err != nil {
		return backfill.Run{}, outside("topic of runs", err)
	}
	at := slices.IndexFunc(runs, func(run backfill.Run) bool { return run.ID == r.flags.resume })
	switch {
	case at < 0:
		return backfill.Run{}, exit(pipeline.ExitUsage, fmt.Errorf("there is no run %q; 'bridge replay list' has those that there are", r.flags.resume))
	case runs[at].State == backfill.Done:
		return backfill.Run{}, exit(pipeline.ExitUsage, fmt.Errorf("run %s is done since %s", r.flags.resume, runs[at].Ended.Format(time.RFC3339)))
	}
	for _, s := range runs[at].Streams {
		if !slices.Contains(r.channels(), s.Channel) {
			return backfill.Run{}, exit(pipeline.ExitUsage, fmt.Errorf("run %s reads %s, which the configuration does not have any more", r.flags.resume, s.Channel))
		}
	}
	return runs[at], nil
}

// side finds out how the side topics are made: as those are that they are beside. A
// side topic that is there and has other partitions is refused: what is joined or
// compared by partition would lie elsewhere.
func (r *replayer) side(ctx context.Context) error {
	r.sides = make(map[string]sink.TopicConfig)
	if r.run.Into == "" || r.flags.dryRun {
		return nil
	}
	cl, err := kgo.NewClient(r.kafka...)
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return outside("topics", err)
	}
	for _, topic := range all {
		target, err := r.run.Target(topic.Topic)
		if err != nil {
			continue // it cannot be one of ours, or the first event tells
		}
		have := len(topic.Partitions)
		if there, ok := all[target]; ok && r.ours(topic.Topic) && len(there.Partitions) != have {
			return exit(pipeline.ExitEnvironment, fmt.Errorf(
				"topic %s has %d partitions and %s has %d: the same key would be in another partition; delete it, or give another --into",
				target, len(there.Partitions), topic.Topic, have))
		}
		t := r.cfg.Topics
		r.sides[target] = sink.TopicConfig{
			Create: t.Create, Partitions: int32(have), ReplicationFactor: t.ReplicationFactor, Settings: t.Settings, //nolint:gosec // partitions are numbered with 32 bits
		}
	}
	return nil
}

// ours says whether a topic is one that records of the run's streams go to.
func (r *replayer) ours(topic string) bool {
	cfg := r.encoding()
	for _, s := range r.run.Streams {
		object := (config.Stream{Channel: s.Channel, Kind: config.ChangeData}).Object()
		name, err := transform.TopicOf(cfg, s.Channel, object, "UPDATE")
		if err == nil && name == topic {
			return true
		}
	}
	return false
}

// sure asks once more before consumers see everything again.
func (r *replayer) sure(stdin io.Reader, stderr io.Writer) error {
	if r.run.Into != "" || r.flags.dryRun || r.flags.yes || r.begun {
		return nil
	}
	sure, err := confirmed(stdin, stderr, "The records go into the topics that consumers read, and come there a second time.", r.cfg.Name)
	if err == nil && !sure {
		err = exit(pipeline.ExitUsage, errors.New("--in-place was not confirmed; nothing was written (--yes confirms without a question)"))
	}
	return err
}

// confirmed asks for the name of the bridge before something that cannot be taken
// back.
func confirmed(stdin io.Reader, stderr io.Writer, what, name string) (bool, error) {
	if _, err := fmt.Fprintf(stderr, "%s\nType the name of the bridge to go on: ", what); err != nil {
		return false, err
	}
	var answer string
	_, err := fmt.Fscanln(stdin, &answer)
	return err == nil && answer == name, nil
}

// carryOut runs the run, and keeps what became of it.
func (r *replayer) carryOut(intake context.Context) error {
	if !r.flags.dryRun {
		r.rows = r.runs.NewRows(r.run, outcomeOf)
		if err := r.begin(intake); err != nil {
			return beforeItBegan(intake, outside("beginning the run", err))
		}
	}
	ctx, cancel := bounded(intake, r.cfg.ShutdownTimeout)
	defer cancel()
	carrying, stop := context.WithCancel(intake)
	defer stop()
	r.bounds = backfill.NewBounds(r.run, r.rows, r.flags.settle, r.flags.maxEvents, stop)
	lane, err := r.lane()
	if err != nil {
		return err
	}
	watched := r.watchProgress(intake)
	err = lane.Run(ctx, carrying)
	watched()
	return r.end(err)
}

// begin keeps the run, where its streams begin, and what of rows is to be read, before
// anything is.
func (r *replayer) begin(ctx context.Context) error {
	now := time.Now()
	if !r.begun {
		return r.keep(ctx, r.runs.Beginning(r.run, now, r.rowTasks(now)...)...)
	}
	again, err := r.refusedTasks(ctx, now)
	if err != nil {
		return err
	}
	r.run.State = backfill.Running
	return r.keep(ctx, r.runs.Resuming(r.run, now, again...)...)
}

// keep commits records of the topic of runs.
func (r *replayer) keep(ctx context.Context, records ...*kgo.Record) error {
	w, err := r.producer(ctx)
	if err != nil {
		return err
	}
	err = w.Commit(ctx, nil, records)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, w.Close(closing))
}

// producer is that of the run: whoever resumes it fences whoever still carries it
// out (I7).
func (r *replayer) producer(ctx context.Context) (*sink.Producer, error) {
	cfg := r.producing(fmt.Sprintf("%s-replay-%s", r.cfg.Name, r.run.ID))
	for topic, made := range r.sides {
		cfg.Special[topic] = made
	}
	return sink.Open(ctx, cfg)
}

func (r *replayer) lane() (*pipeline.Lane, error) {
	encoding := r.encoding()
	encoder, err := transform.NewEncoder(encoding)
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	cfg := pipeline.LaneConfig{
		Encoder: backfill.Marking(encoder, r.run), Want: r.bounds.Want, Owner: r.instance(), Stats: r.stats, Log: r.log,
		DeadLetter: pipeline.DeadLetter{Topic: r.cfg.DeadLetter.Topic},
		MaxEvents:  r.cfg.Batch.MaxEvents, MaxBytes: r.cfg.Batch.MaxBytes,
		OpenSource: func(_ context.Context, _ string, resume []pipeline.Resume, trace pipeline.SourceTrace) (pipeline.Source, error) {
			return r.bounds.Source(func(trace pipeline.SourceTrace) (pipeline.Source, error) {
				return streaming.Open(r.streaming(), resume, trace)
			}, resume, trace)
		},
	}
	if r.flags.dryRun {
		r.count = backfill.NewCount(r.org.id, r.run)
		cfg.Positions = r.count
		cfg.OpenWriter = func(context.Context) (pipeline.Writer, error) { return r.count, nil }
	} else {
		cfg.Positions = r.runs.Positions(r.run)
		cfg.OpenWriter = func(ctx context.Context) (pipeline.Writer, error) { return r.producer(ctx) }
	}
	for _, s := range r.cfg.Streams {
		if slices.ContainsFunc(r.run.Streams, func(one backfill.Stream) bool { return one.Channel == s.Channel }) {
			stream := r.stream(s)
			stream.Start, stream.OnExpired, stream.Watch = pipeline.Start{Earliest: true}, pipeline.Start{}, pipeline.Watch{}
			stream.Begin = nil // the run's rows are its own
			cfg.Streams = append(cfg.Streams, stream)
		}
	}
	if r.rows != nil {
		if err := r.readRows(&cfg, encoding); err != nil {
			return nil, err
		}
	}
	return pipeline.NewLane(cfg), nil
}

// end keeps what became of the run and tells it.
func (r *replayer) end(failed error) error {
	why, refusal := r.bounds.Ending()
	if failed == nil {
		failed = r.halted()
	}
	if failed == nil {
		failed = r.unread()
	}
	r.run.State, r.run.Ended = backfill.Stopped, time.Now().UTC().Truncate(time.Millisecond)
	r.run.Events, r.run.Rows = r.produced()
	if failed == nil && (why == backfill.Reached || why == backfill.TipReached) {
		r.run.State = backfill.Done
	}
	if !r.flags.dryRun {
		ctx, cancel := context.WithTimeout(context.Background(), r.cfg.ShutdownTimeout)
		defer cancel()
		if err := r.keep(ctx, r.runs.Note(r.run, r.run.Ended)); err != nil {
			failed = errors.Join(failed, outside("keeping how the run ended", err))
		}
	}
	if err := r.show.end(r.run, r.ended()); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	goOn := fmt.Sprintf("; go on with: bridge replay --resume %s", r.run.ID)
	if r.flags.dryRun {
		goOn = ""
	}
	switch why {
	case backfill.Reached:
		return nil
	case backfill.TipReached:
		return exit(pipeline.ExitHalted, fmt.Errorf("everything was read that there is, and the replay id %s, which was to be the last, did not come", r.run.To.Position))
	case backfill.OutOfMoney:
		return exit(pipeline.ExitHalted, fmt.Errorf("stopped by --max-events %d%s", r.flags.maxEvents, goOn))
	case backfill.OutOfCalls:
		return exit(pipeline.ExitHalted, fmt.Errorf("stopped by --max-api-calls %d%s", r.flags.maxCalls, goOn))
	case backfill.Exhausted:
		return exit(pipeline.ExitEnvironment, fmt.Errorf("the org delivers no more: %w%s, tomorrow", refusal, goOn))
	default:
		return exit(pipeline.ExitHalted, fmt.Errorf("stopped before the end%s", goOn))
	}
}

// halted is an error if streams were halted: then the end of the others is not the
// end of the run.
func (r *replayer) halted() error {
	var whys []error
	for _, s := range r.stats.Snapshot() {
		if s.Halted != "" {
			whys = append(whys, fmt.Errorf("%s is halted: %s", s.Channel, s.Halted))
		}
	}
	if len(whys) == 0 {
		return nil
	}
	return exit(pipeline.ExitHalted, errors.Join(whys...))
}

func (r *replayer) produced() (events, rows uint64) {
	for _, s := range r.stats.Snapshot() {
		events += s.Produced
		rows += s.Rows
	}
	return events, rows
}

// ended is what a run has come to.
func (r *replayer) ended() ending {
	return ending{
		Taken: r.bounds.Taken(), Calls: r.spent.Load(), Unsure: r.unsure(),
		streams: r.stats.Snapshot(), tallies: r.tallies(),
	}
}

func (r *replayer) tallies() []backfill.Tally {
	if r.count == nil {
		return nil
	}
	return r.count.Tallies()
}
