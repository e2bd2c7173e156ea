package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/transform"
)

// WatchdogConfig is what a watchdog is made of.
type WatchdogConfig struct {
	// Every is how often a silent stream is asked about, at the most.
	Every time.Duration
	// Delay is how late the org may deliver before an event counts as missing.
	Delay time.Duration
	// DailyCalls is how many calls of Count there may be in 24 hours. With many
	// streams each is asked about less often, so that they last.
	DailyCalls int
	// Count says how many rows of an object changed after a time and up to
	// another. An error that wraps ErrWithheld says that the org can spare no
	// call now.
	Count func(ctx context.Context, object string, after, upTo time.Time) (int, error)
	Stats *Stats
	Log   zerolog.Logger
}

// ErrWithheld says that a question was not put.
var ErrWithheld = errors.New("no question is put now")

// Answer is what came of a question of the watchdog.
type Answer string

// The answers.
const (
	notAsked        Answer = ""         // there is no time yet that it could be about
	AnswerQuiet     Answer = "quiet"    // no row changed: the stream has nothing to tell
	AnswerStarving  Answer = "starving" // rows changed, and there is no event of them
	AnswerFailed    Answer = "failed"
	AnswerWithheld  Answer = "withheld"  // for the budget of calls
	AnswerOvertaken Answer = "overtaken" // an event came, or the session ended, meanwhile
)

// Watchdog looks for subscriptions that live and deliver nothing. A subscription
// can be in that state for hours after a bulk load, and neither the session nor
// any reply shows it (Salesforce Help, article 005321562); so the org's rows are
// asked. It watches the streams of all lanes of a process.
type Watchdog struct {
	cfg WatchdogConfig

	mu      sync.Mutex
	streams map[string]*watched // by channel

	day   time.Time // when the present 24 hours began
	calls int       // in them
}

// carried is a stream in the session of the lane that carries it.
type carried struct {
	stream *laneStream
	began  time.Time   // from when on its events are wanted, if that is known
	tell   func(order) // nil while no lane carries it
	anew   bool        // another session carries it: what was told may be lost
}

// watched is a stream that the watchdog looks at.
type watched struct {
	// Guarded by the watchdog's mu.
	carried

	// Only Run uses the rest.
	asked   time.Time // when it was last asked about
	roused  time.Time
	starved *Starvation // until its events came
	entry   *transform.Hole
}

// NewWatchdog makes a watchdog.
func NewWatchdog(cfg WatchdogConfig) *Watchdog {
	return &Watchdog{cfg: cfg, streams: make(map[string]*watched)}
}

func (w *Watchdog) attach(s *laneStream, tell func(order)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.streams[s.Key.Channel]
	if x == nil {
		x = &watched{}
		w.streams[s.Key.Channel] = x
	}
	x.carried = carried{stream: s, tell: tell, anew: true}
	if !s.since.at.IsZero() {
		x.began = s.since.at.Add(clockMargin)
	}
}

func (w *Watchdog) detach(s *laneStream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.streams[s.Key.Channel]; x != nil && x.stream == s {
		x.tell = nil
	}
}

// Run asks until ctx ends.
func (w *Watchdog) Run(ctx context.Context) {
	look := time.NewTicker(min(w.cfg.Every, time.Minute))
	defer look.Stop()
	for {
		select {
		case <-look.C:
			w.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// subject is a stream at the moment of a round.
type subject struct {
	*watched
	carried // as it was then
}

// subjects are the streams that are carried now, those first that waited longest,
// and the number of their objects.
func (w *Watchdog) subjects() (all []subject, objects int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.streams {
		if x.tell != nil {
			all = append(all, subject{x, x.carried})
			objects += len(x.stream.watchedObjects())
		}
	}
	slices.SortFunc(all, func(a, b subject) int { return a.asked.Compare(b.asked) })
	return all, objects
}

// round looks at every stream once.
func (w *Watchdog) round(ctx context.Context) {
	all, objects := w.subjects()
	pace := max(w.cfg.Every, 24*time.Hour*time.Duration(objects)/time.Duration(max(w.cfg.DailyCalls, 1)))
	for _, x := range all {
		if ctx.Err() != nil {
			return
		}
		w.look(ctx, x, pace)
	}
}

// look asks about one stream if it is time to.
func (w *Watchdog) look(ctx context.Context, x subject, pace time.Duration) {
	now := time.Now()
	st := x.stream.stats.state(x.stream.Key.Channel)
	if x.starved != nil && st.Starving == nil { // events come again
		x.settle(&st)
	}
	silent := st.Subscribed && st.InFlight == 0 && now.Sub(st.SubscribedAt) >= w.cfg.Delay && now.Sub(st.LastReceived) >= w.cfg.Delay
	if !silent || now.Sub(x.asked) < pace {
		return
	}
	x.asked = now
	found, answer := w.ask(ctx, &x, &st, now)
	if answer == AnswerQuiet || answer == AnswerStarving {
		after := x.stream.stats.state(x.stream.Key.Channel)
		if after.LastReceived != st.LastReceived || after.SubscribedAt != st.SubscribedAt {
			answer = AnswerOvertaken
		}
	}
	if answer != notAsked {
		w.cfg.Stats.answered(answer)
	}
	switch answer {
	case AnswerStarving:
		w.alarm(x, &st, found, pace)
	case AnswerQuiet:
		x.calm()
	}
}

// ask counts the rows that changed after what the stream has reached.
func (w *Watchdog) ask(ctx context.Context, x *subject, st *StreamState, now time.Time) (*Starvation, Answer) {
	found := &Starvation{After: x.reachedTime(st), UpTo: now.Add(-w.cfg.Delay), Found: now}
	if !found.After.Before(found.UpTo) {
		return nil, notAsked
	}
	for _, object := range x.stream.watchedObjects() {
		if !w.spend(now) {
			return nil, AnswerWithheld
		}
		n, err := w.cfg.Count(ctx, object, found.After, found.UpTo)
		switch {
		case errors.Is(err, ErrWithheld):
			return nil, AnswerWithheld
		case err != nil && ctx.Err() != nil:
			return nil, AnswerOvertaken
		case err != nil:
			w.cfg.Log.Warn().Err(err).Str("channel", st.Channel).Str("object", object).
				Msg("the org was asked whether rows changed while the stream is silent, and did not answer")
			return nil, AnswerFailed
		case n > 0 && found.Object == "":
			found.Object = object
		}
		found.Rows += n
	}
	if found.Rows == 0 {
		return nil, AnswerQuiet
	}
	return found, AnswerStarving
}

// spend takes one call of the day's.
func (w *Watchdog) spend(now time.Time) bool {
	if now.Sub(w.day) >= 24*time.Hour {
		w.day, w.calls = now, 0
	}
	if w.calls >= w.cfg.DailyCalls {
		return false
	}
	w.calls++
	return true
}

// maxRouse bounds the pause between two tries to rouse one stream.
const maxRouse = 6 * time.Hour

// alarm tells of missing events and has the stream roused, again and again with
// growing pauses.
func (w *Watchdog) alarm(x subject, st *StreamState, found *Starvation, pace time.Duration) {
	if old := x.starved; old != nil {
		found.Found, found.Tries = old.Found, old.Tries
	}
	o := order{channel: st.Channel}
	due := found.Tries == 0 || found.UpTo.Sub(x.roused) >= min(pace<<min(found.Tries-1, 16), maxRouse)-w.cfg.Delay
	if due && Decide(Starving, false).Action == RouseStream {
		o.rouse = x.stream.Watch.OnStarvation
		x.roused = found.UpTo.Add(w.cfg.Delay)
		found.Tries++
	}
	known := x.entry // its beginning is that of the hole, and its id
	x.entry = found.hole(x.stream, st.Position)
	if known != nil {
		x.entry.FromPosition, x.entry.FromTime = known.FromPosition, known.FromTime
	}
	if known == nil || x.anew {
		o.entry = x.entry
		w.told(x)
	}
	x.starved = found
	x.stream.stats.starves(found)
	w.cfg.Log.Error().Str("channel", st.Channel).Str("object", found.Object).Int("rows", found.Rows).
		Time("after", found.After).Time("up_to", found.UpTo).Str("on_starvation", string(x.stream.Watch.OnStarvation)).
		Msg("rows changed and no event of them has come, while the session is healthy")
	x.tell(o)
}

func (w *Watchdog) told(x subject) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x.watched.anew = false
}

// calm ends an alarm: there are no such rows any more.
func (x subject) calm() {
	if x.starved == nil {
		return
	}
	x.stream.stats.starving.Store(nil)
	x.end("nothing is missing any more")
}

// settle follows a stream that has events again: when it has reached the end of
// what was missing, everything before has come, unless it was told to skip it, or
// began behind it.
func (x subject) settle(st *StreamState) {
	switch {
	case x.stream.Watch.OnStarvation == RouseTip:
		x.starved, x.entry = nil, nil // the hole stays open until it is repaired
	case st.fed == (feed{}): // it is not durable yet
	case x.starved.skipped(st.fed):
		x.leave(st.fed)
	case st.EventTime.After(x.starved.UpTo):
		x.end("the events came after all")
	}
}

// end enters the end of a starvation into the ledger.
func (x subject) end(why string) {
	e := *x.entry
	e.State, e.Detail = transform.HoleRepaired, why
	x.close(&e)
}

// leave enters where the stream went on by itself. Like every other end of a hole
// it does not say that the hole is filled.
func (x subject) leave(f feed) {
	e := *x.entry
	e.ToPosition, e.ToTime = f.position, f.time
	e.Detail += "; then the stream went on behind them, and nothing shows that they came"
	x.close(&e)
}

func (x subject) close(last *transform.Hole) {
	x.starved, x.entry = nil, nil
	x.tell(order{channel: last.Channel, entry: last})
}

// watchedObjects are the objects that are asked about.
func (s *laneStream) watchedObjects() []string {
	if !s.Watch.Seen {
		return s.Watch.Objects
	}
	return append(s.stats.seenObjects(), s.Watch.Objects...)
}

// reachedTime is the time that the stream has reached: rows that changed later
// have events that did not come. Before its first event it is the moment from
// which events are wanted.
func (x *subject) reachedTime(st *StreamState) time.Time {
	switch {
	case !st.EventTime.IsZero():
		return st.EventTime
	case !x.began.IsZero():
		return x.began
	default:
		return st.FirstSubscribed
	}
}
