package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// Stream is one stream of a lane and its policies.
type Stream struct {
	Key replay.Key
	// Source is the kind of source that the stream has, and of the tokens that are
	// its positions. Empty: [CometD].
	Source string
	Start  Start // where it begins when the positions topic does not know it
	// OnExpired is where a stream goes on whose position the org refuses:
	// earliest, latest, or neither to halt it.
	OnExpired Start
	// Retention is how long the org keeps the stream's events; zero if that is
	// not known.
	Retention time.Duration
	// Watch says how the stream is watched for events that do not come.
	Watch Watch
	// Begin are the tasks of a stream that begins: one without a position, and not told
	// to begin where another was.
	Begin []replay.Task
	// HaltOnBadEvent halts the stream at an event that cannot become a record;
	// otherwise the event becomes a dead letter.
	HaltOnBadEvent bool
	// HaltOnUnknownField says the same for an event with a field that its schema
	// lacks.
	HaltOnUnknownField bool
}

// LaneConfig is everything that a lane is made of.
type LaneConfig struct {
	Lane      int32
	Streams   []Stream
	Positions Positions
	// OpenWriter opens the lane's producer, which fences an older owner (I7).
	OpenWriter func(ctx context.Context) (Writer, error)
	// OpenSource opens a session of one kind of source that resumes the streams which
	// have that kind.
	OpenSource func(ctx context.Context, kind string, streams []Resume, trace SourceTrace) (Source, error)
	Encoder    Encoder
	// Want says whether a record is wanted; nil wants all. An event of which none
	// is wanted is filtered.
	Want       func(meta transform.Meta, r *kgo.Record) bool
	DeadLetter DeadLetter
	// Rows reads rows beside the sources, and Tasks keeps how far that has come. Both
	// may be nil: then there are no rows.
	Rows  RowWorker
	Tasks Tasks
	// Ledger makes the records of the gap ledger; nil makes none.
	Ledger Ledger
	// Schemas knows which schemas are recorded already; nil records none.
	Schemas *SchemaHistory
	// MaxEvents and MaxBytes bound the batch that waits and so, twice, the
	// lane's memory.
	MaxEvents, MaxBytes int
	// OrgInstance asks where the org lives now, by Salesforce's name for it; empty
	// if it does not say. Nil never asks.
	OrgInstance func(ctx context.Context) (string, error)
	// Watchdog is told which streams run; nil for none.
	Watchdog *Watchdog
	// Owner is written into position records, for humans.
	Owner string
	Stats *Stats
	Log   zerolog.Logger
}

// Lane carries the events of its streams to Kafka. See the package comment.
type Lane struct {
	cfg     LaneConfig
	streams map[string]*laneStream
	backoff *backoff.ExponentialBackOff
	recent  recent
	ran     bool // the positions were read, or the process has lived for long: what fails now is not the start
}

type laneStream struct {
	Stream
	stats *StreamStats
	since since
	// covers is until when rows that were written hold what happened, by object. up is
	// whether the stream was subscribed in this session. Both begin with the session;
	// only the committer changes covers then.
	covers covers
	up     atomic.Bool
	kept   time.Time // until when the position record says that the stream was seen
	slot   int64     // of the last moment in the stream's index; only the committer uses it
	// instance and generation go with each position. They change between sessions,
	// and the generation with the first commit behind a refused position.
	instance   string
	generation int
	resumed    time.Time // of the event at the position that the session began behind, until one has followed it
	doubt      *misfit   // why the position is not to be trusted; set between sessions
	// objects holds those that are known to come on the stream. Only the
	// committer uses it.
	objects map[string]bool
}

// NewLane makes a lane; nothing is opened before [Lane.Run].
func NewLane(cfg LaneConfig) *Lane {
	l := &Lane{cfg: cfg, streams: make(map[string]*laneStream, len(cfg.Streams)), backoff: newBackoff(), ran: cfg.Stats.seasoned(time.Now())}
	for _, s := range cfg.Streams {
		st := cfg.Stats.Stream(s.Key.Channel)
		st.begin(cfg.Lane, s.Retention)
		l.streams[s.Key.Channel] = &laneStream{Stream: s, stats: st, objects: make(map[string]bool)}
	}
	cfg.Stats.began(cfg.Lane)
	return l
}

// Run carries events until intake ends: it then drains what was taken (I6),
// closes the session and the producer, and returns nil. When ctx ends it stops
// at once; what was taken and not committed comes again at the next start. An
// ending that the policy table decided on is returned as *[ExitError]; a lane
// that another owner has taken over ends with [sink.ErrFenced].
func (l *Lane) Run(ctx, intake context.Context) error {
	if len(l.streams) == 0 {
		return nil // a lane without streams costs nothing
	}
	for {
		err := l.session(ctx, intake)
		if err == nil {
			return nil
		}
		if intake.Err() != nil {
			return drained(ctx, err)
		}
		if err = l.decide(err); err != nil {
			return err
		}
		if !sleep(intake, l.backoff.NextBackOff()) {
			return nil
		}
	}
}

// drained drops an error that only says that we were asked to stop. One that
// says that something taken was not made durable is kept: it comes again at the
// next start, but whoever reads the exit code should know.
func drained(ctx context.Context, err error) error {
	if ctx.Err() == nil && Classify(err) == Stopped {
		return nil
	}
	return err
}

// decide asks the policy table about the end of a session. Nil means: reopen.
func (l *Lane) decide(err error) error {
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit
	}
	cond := Classify(err)
	d := Decide(cond, !l.ran)
	switch d.Action {
	case Exit:
		return &ExitError{Code: d.Code, Err: err}
	case StopLane:
		return err
	case BeginStream:
		l.distrust(err)
		fallthrough
	default:
		l.cfg.Stats.trouble(l.cfg.Lane, cond, err)
		l.cfg.Log.Warn().Err(err).Str("condition", string(cond)).Int32("lane", l.cfg.Lane).
			Msg("lane is taken up anew from its stored positions")
		return nil
	}
}

// session opens everything in the one right order, carries events, and closes
// everything: producer first (it fences the older owner), barrier, positions,
// then the subscription.
func (l *Lane) session(ctx, intake context.Context) error {
	w, err := l.cfg.OpenWriter(intake) // I7: from here on no older owner can commit
	if err != nil {
		return fmt.Errorf("opening the producer of lane %d: %w", l.cfg.Lane, err)
	}
	defer l.closing("producer", w.Close)

	resume, holes, tasks, err := l.positions(intake, w)
	if err != nil {
		return err
	}
	if len(resume) == 0 {
		return l.allHalted()
	}
	sources, err := l.open(intake, resume)
	defer func() {
		for _, src := range sources {
			l.closing("session", src.Close)
		}
	}()
	if err != nil {
		return err
	}
	l.cfg.Log.Info().Int32("lane", l.cfg.Lane).Int("streams", len(resume)).Msg("lane runs")
	return newCarrier(l, sources, w, holes, tasks).run(ctx, intake)
}

// opened is a source and the channels that it is asked for.
type opened struct {
	Source
	channels []string
	idle     *func() // to be called when the org had nothing more
}

// open opens a source for each kind that the streams have. Those that could be opened
// come back with an error too.
func (l *Lane) open(ctx context.Context, resume []Resume) (out []opened, _ error) {
	kinds := make(map[string][]Resume)
	for _, r := range resume {
		kind := l.streams[r.Channel].source()
		kinds[kind] = append(kinds[kind], r)
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		o := opened{idle: new(func())}
		trace := l.trace(kind)
		current := trace.Idle
		trace.Idle = func() {
			current()
			if then := *o.idle; then != nil {
				then()
			}
		}
		var err error
		if o.Source, err = l.cfg.OpenSource(ctx, kind, kinds[kind], trace); err != nil {
			return out, err
		}
		for _, r := range kinds[kind] {
			o.channels = append(o.channels, r.Channel)
		}
		out = append(out, o)
	}
	return out, nil
}

// closeTimeout bounds each of the two closings at the end of a session. Both
// only spare others a wait: the session at the org would lapse after 40 s, the
// transaction would time out.
const closeTimeout = 5 * time.Second

// closing runs a close function under a context of its own, since the lane's
// may have ended. Its failure changes nothing that is durable: it is logged,
// and is not the reason why a session ended.
func (l *Lane) closing(what string, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		l.cfg.Log.Debug().Err(err).Int32("lane", l.cfg.Lane).Msgf("closing the %s", what)
	}
}

// positions reads where the lane's streams stand: a barrier is committed
// through the fenced producer and read back, so that everything that an older
// owner committed lies before it. With them come the holes of streams that were
// away for too long.
func (l *Lane) positions(ctx context.Context, w Writer) ([]Resume, []Hole, []replay.Task, error) {
	b := l.cfg.Positions.Barrier(l.cfg.Lane)
	if err := w.Commit(ctx, nil, []*kgo.Record{b.Record()}); err != nil {
		return nil, nil, nil, fmt.Errorf("writing the barrier of lane %d: %w", l.cfg.Lane, err)
	}
	stored, err := l.cfg.Positions.Load(ctx, l.cfg.Lane, b)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the positions of lane %d: %w", l.cfg.Lane, err)
	}
	tasks, err := l.loadTasks(ctx)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("reading the tasks of lane %d: %w", l.cfg.Lane, err)
	}
	l.ran = true
	l.cfg.Stats.lives(time.Now())
	instance, err := l.orgInstance(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	var anew renewal
	var out []Resume
	var holes []Hole
	var marks []*kgo.Record
	for _, channel := range slices.Sorted(maps.Keys(l.streams)) {
		s := l.streams[channel]
		if s.stats.haltedWhy() != "" {
			continue
		}
		e, ok := stored[s.Key]
		if !ok {
			for _, t := range l.begins(s, tasks) {
				tasks = append(tasks, t)
				marks = append(marks, l.cfg.Tasks.TaskRecord(t))
			}
		}
		e, fit := l.fit(&anew, s, e, instance)
		if !fit {
			continue
		}
		ok = ok || !e.Since.IsZero() // it begins anew, and was not stored
		start := s.resume(e, ok)
		if h := s.overdue(time.Now()); ok && h != nil {
			l.cfg.Log.Error().Str("channel", channel).Msg(h.Detail)
			holes = append(holes, *h)
		}
		if start.Latest {
			marks = append(marks, l.beginsNow(s))
		}
		out = append(out, Resume{Channel: channel, Start: start})
	}
	if err := l.renew(ctx, w, &anew); err != nil {
		return nil, nil, nil, err
	}
	if len(marks) > 0 { // durable before the first subscription is sent
		if err := w.Commit(ctx, nil, marks); err != nil {
			return nil, nil, nil, fmt.Errorf("marking where streams of lane %d begin: %w", l.cfg.Lane, err)
		}
	}
	return out, holes, tasks, nil
}

// CometD is the kind of source that subscribes to channels of the streaming API.
const CometD = "cometd"

func (s Stream) source() string { return cmp.Or(s.Source, CometD) }

// resume says where the stream is taken up.
func (s *laneStream) resume(e replay.Entry, stored bool) Start {
	if !stored {
		s.since = since{}
		s.stats.forget() // what the lane had reached when it was ours before does not hold
		return s.Start
	}
	// What we know of the stream's times is of the position that we had reached. An
	// owner between, or a command that moved the stream back, made it worthless.
	if position, _ := s.stats.reached(); position != string(e.Position) {
		s.stats.forget()
	}
	s.stats.resume(e)
	s.kept = e.Seen
	s.resumed = time.Time{}
	if e.Position != "" && e.Since.IsZero() {
		s.resumed = e.EventTime
	}
	s.since = since{at: e.Since}
	if !e.Since.IsZero() {
		s.since.bound.Store(true)
	}
	if e.Position == "" {
		return Start{Earliest: true}
	}
	return Start{After: e.Position}
}

// beginsNow makes the position record of a stream that begins at "latest": the
// org has no position for that, so the time stands in for it.
func (l *Lane) beginsNow(s *laneStream) *kgo.Record {
	now := time.Now()
	s.since = since{at: now.Add(-clockMargin).Truncate(time.Millisecond)}
	return l.cfg.Positions.Record(replay.Entry{
		Key: s.Key, Since: s.since.at, Updated: now, Source: s.source(), Owner: l.cfg.Owner,
		OrgInstance: s.instance, Generation: s.generation,
	})
}

func (l *Lane) trace(kind string) SourceTrace {
	return SourceTrace{
		Subscribed: func(channel string, on bool) {
			if s, ok := l.streams[channel]; ok {
				s.stats.setSubscribed(on)
				s.up.CompareAndSwap(false, on)
				s.stats.changes.Changed()
				l.cfg.Log.Debug().Str("channel", channel).Bool("subscribed", on).Msg("subscription")
			}
		},
		SessionEnded: l.cfg.Stats.SessionEnded,
		Rewind: func(channel string) bool {
			s, ok := l.streams[channel]
			if !ok || s.since.at.IsZero() { // it came to "latest" by on_expired or on_starvation: the hole is in the ledger
				return false
			}
			if position, _ := s.stats.reached(); position != "" { // so did this one, which has had events since its beginning
				return false
			}
			s.since.bound.Store(true)
			return true
		},
		Alive: func() { l.cfg.Stats.well(l.cfg.Lane) },
		Idle:  func() { l.current(kind, time.Now()) },
	}
}

// haltStream stops one stream for the life of this process and tells why.
func (l *Lane) haltStream(channel string, why error) {
	s, ok := l.streams[channel]
	if !ok || s.stats.haltedWhy() != "" {
		return
	}
	s.stats.halt(why.Error())
	s.stats.changes.Changed()
	l.cfg.Log.Error().Err(why).Str("channel", channel).
		Msg("stream is halted; its position stays where it is, the other streams go on")
}

// allHalted is the end of a lane in which nothing is left to do.
func (l *Lane) allHalted() error {
	var whys []error
	for _, channel := range slices.Sorted(maps.Keys(l.streams)) {
		why := l.streams[channel].stats.haltedWhy()
		if why == "" {
			return nil
		}
		whys = append(whys, fmt.Errorf("%s is halted: %s", channel, why))
	}
	return &ExitError{Code: ExitHalted, Err: errors.Join(whys...)}
}
