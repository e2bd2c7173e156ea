package pipeline

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sfbridge/bridge/replay"
)

// Stats are the counters of one process, by stream. Reading them is safe at
// any time from anywhere.
type Stats struct {
	Commits       atomic.Uint64
	FailedCommits atomic.Uint64

	// OnCommit, if set before the first lane runs, sees each successful commit.
	OnCommit func(took time.Duration, records int)

	mu       sync.Mutex
	streams  map[string]*StreamStats
	sessions map[Condition]uint64 // sessions at the org that ended, by why
	asked    map[Answer]uint64    // questions of the watchdog, by what came of them
	troubles map[int32]Trouble
	waiting  map[int32]time.Time // lanes whose commit is under way, since when

	membership MemberState
	held       map[int32]bool // lanes that are ours, and whether they have begun
	alive      time.Time      // since when the process carries events or stands by
}

// Trouble is what keeps a lane from carrying events at this moment.
type Trouble struct {
	Condition Condition
	Message   string
	Since     time.Time
}

// SessionEnded counts a session at the org that has to be made anew.
func (s *Stats) SessionEnded(why Condition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions = make(map[Condition]uint64)
	}
	s.sessions[why]++
}

// SessionsEnded returns how many sessions had to be made anew, by why.
func (s *Stats) SessionsEnded() map[Condition]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.sessions)
}

func (s *Stats) answered(a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = make(map[Answer]uint64)
	}
	s.asked[a]++
}

// Questions returns how many questions the watchdog had, by what came of them.
func (s *Stats) Questions() map[Answer]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

// Troubles returns the lanes that are in trouble now.
func (s *Stats) Troubles() map[int32]Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.troubles)
}

func (s *Stats) trouble(lane int32, c Condition, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.troubles == nil {
		s.troubles = make(map[int32]Trouble)
	}
	since := time.Now()
	if t, ok := s.troubles[lane]; ok {
		since = t.Since
	}
	s.troubles[lane] = Trouble{Condition: c, Message: err.Error(), Since: since}
}

func (s *Stats) well(lane int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.troubles, lane)
}

// Waiting returns the lanes that wait for Kafka to take a commit, and since when.
func (s *Stats) Waiting() map[int32]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.waiting)
}

func (s *Stats) begins(lane int32, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(map[int32]time.Time)
	}
	s.waiting[lane] = now
}

func (s *Stats) ends(lane int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, lane)
}

// StreamStats are the counters of one stream. Records are counted apart from
// events, since one event becomes one or more records.
type StreamStats struct {
	Received, Produced, DeadLettered, Filtered, Returned atomic.Uint64
	Records                                              atomic.Uint64
	Gaps                                                 atomic.Uint64 // entries of the gap ledger
	Extras                                               atomic.Uint64 // fields kept that the events' schemas lack
	Rows                                                 atomic.Uint64 // read by query and written
	RowsLeft                                             atomic.Uint64 // read, and left out for an event that came meanwhile
	RowsRefused                                          atomic.Uint64 // of Rows, those that became dead letters

	changes Changes // subscribed or halted

	received atomic.Int64               // when an event was last taken, in Unix nanoseconds
	starving atomic.Pointer[Starvation] // nil while nothing is missing

	halted atomic.Pointer[string] // why; nil while it runs. Asked for each event, so not under mu

	mu         sync.Mutex
	lane       int32
	owned      bool      // its lane is ours
	subscribed time.Time // since when; zero while it is not
	first      time.Time // the first time in this process
	position   string
	eventTime  time.Time
	committed  time.Time
	seen       time.Time
	retention  time.Duration
	objects    []string // whose events were committed, if that is asked for
	fed        feed     // the first event since it was found starving
}

// StreamState is a moment of a stream.
type StreamState struct {
	Channel                                              string
	Lane                                                 int32
	Owned                                                bool // its lane is ours; if not, only the counters say something
	Received, Produced, DeadLettered, Filtered, Returned uint64
	InFlight, Records, Gaps, Extras                      uint64
	Rows, RowsLeft, RowsRefused                          uint64
	Subscribed                                           bool
	SubscribedAt, FirstSubscribed                        time.Time // of the present subscription, and of the first in this process
	Halted                                               string    // why; empty while it runs
	Position                                             string
	EventTime                                            time.Time // of the last committed event
	Committed                                            time.Time // when that commit ended
	LastReceived                                         time.Time // when an event was last taken
	Seen                                                 time.Time // until when there was nothing behind the position
	// LostAfter is when events begin to be lost if the stream is not read before,
	// PositionExpires when the org begins to refuse the position, which loses
	// nothing on a stream that is read. Zero if not known.
	LostAfter, PositionExpires time.Time
	Starving                   *Starvation // nil while nothing is missing
	fed                        feed        // the first event since it was found starving
}

func (s *Stats) commit(took time.Duration, records int) {
	s.Commits.Add(1)
	if s.OnCommit != nil {
		s.OnCommit(took, records)
	}
}

// Stream returns the counters of a channel, made at the first call.
func (s *Stats) Stream(channel string) *StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.streams[channel]
	if !ok {
		if s.streams == nil {
			s.streams = make(map[string]*StreamStats)
		}
		st = &StreamStats{}
		s.streams[channel] = st
	}
	return st
}

// Snapshot returns the state of every stream, in no order.
func (s *Stats) Snapshot() []StreamState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]StreamState, 0, len(s.streams))
	for channel, st := range s.streams {
		out = append(out, st.state(channel))
	}
	return out
}

func (st *StreamStats) state(channel string) StreamState {
	st.mu.Lock()
	defer st.mu.Unlock()
	s := StreamState{
		Channel: channel, Lane: st.lane, Owned: st.owned, Subscribed: !st.subscribed.IsZero(), SubscribedAt: st.subscribed, FirstSubscribed: st.first, Halted: st.haltedWhy(),
		Position: st.position, EventTime: st.eventTime, Committed: st.committed, Seen: st.seen, Starving: st.starving.Load(), fed: st.fed,
		Produced: st.Produced.Load(), DeadLettered: st.DeadLettered.Load(),
		Filtered: st.Filtered.Load(), Returned: st.Returned.Load(), Records: st.Records.Load(), Gaps: st.Gaps.Load(), Extras: st.Extras.Load(),
		Rows: st.Rows.Load(), RowsLeft: st.RowsLeft.Load(), RowsRefused: st.RowsRefused.Load(),
	}
	// Received is read last: it grows first, so that the difference is never negative.
	s.Received = st.Received.Load()
	s.InFlight = s.Received - s.Produced - s.DeadLettered - s.Filtered - s.Returned
	if at := st.received.Load(); at != 0 {
		s.LastReceived = time.Unix(0, at)
	}
	if read := latestOf(s.EventTime, s.Seen); st.retention > 0 && !read.IsZero() {
		s.LostAfter = read.Add(st.retention)
	}
	if st.retention > 0 && !s.EventTime.IsZero() && s.Position != "" {
		s.PositionExpires = s.EventTime.Add(st.retention)
	}
	return s
}

func (st *StreamStats) setSubscribed(on bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.subscribed = time.Time{}
	if on {
		st.subscribed = time.Now()
	}
	if st.first.IsZero() {
		st.first = st.subscribed
	}
}

func (st *StreamStats) everSubscribed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return !st.first.IsZero()
}

// inFlight is how many events were taken and are not durable.
func (st *StreamStats) inFlight() uint64 {
	settled := st.Produced.Load() + st.DeadLettered.Load() + st.Filtered.Load() + st.Returned.Load()
	return st.Received.Load() - settled
}

// took counts an event that was taken.
func (st *StreamStats) took(now time.Time) {
	st.Received.Add(1)
	st.received.Store(now.UnixNano())
}

// sawUntil moves the time until which there was nothing behind the position, if
// the stream was subscribed before it. While events are on their way to Kafka they
// are behind the position, and while rows are missing nothing was seen.
func (st *StreamStats) sawUntil(at time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.subscribed.IsZero() && st.subscribed.Before(at) && st.starving.Load() == nil && st.inFlight() == 0 {
		st.seen = latestOf(st.seen, at)
	}
}

// starves notes that events are missing: what was taken for silence was not.
func (st *StreamStats) starves(s *Starvation) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.starving.Swap(s) == nil {
		st.fed = feed{}
	}
	if st.seen.After(s.After) {
		st.seen = s.After
	}
}

// saw notes that events of an object come on the stream, of which there are only
// so many that are asked about.
func (st *StreamStats) saw(object string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.objects) < maxObjects && !slices.Contains(st.objects, object) {
		st.objects = append(st.objects, object)
	}
}

// Objects are the objects whose events came on a channel, of those that are watched.
func (s *Stats) Objects(channel string) []string { return s.Stream(channel).seenObjects() }

func (st *StreamStats) seenObjects() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.Clone(st.objects)
}

func (st *StreamStats) halt(why string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.halted.Store(&why)
	st.starving.Store(nil)
	st.subscribed = time.Time{}
}

func (st *StreamStats) haltedWhy() string {
	if why := st.halted.Load(); why != nil {
		return *why
	}
	return ""
}

// reached is the durable position and the time of its event.
func (st *StreamStats) reached() (position string, eventTime time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.position, st.eventTime
}

// progress notes what is durable. An event whose time is not known leaves that of
// the one before it.
func (st *StreamStats) progress(position string, eventTime, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.position, st.committed = position, now
	if !eventTime.IsZero() {
		st.eventTime = eventTime
	}
}

// resume takes over what an entry of the positions topic says.
func (st *StreamStats) resume(e replay.Entry) {
	st.progress(string(e.Position), e.EventTime, e.Updated)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.seen = latestOf(st.seen, e.Seen)
}

// begin is the beginning of a lane's life with us. That the stream was halted when
// the lane was ours before means nothing now.
func (st *StreamStats) begin(lane int32, retention time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.lane, st.owned, st.retention = lane, true, retention
	st.halted.Store(nil)
	st.starving.Store(nil)
}

// forget drops what was known of the stream's position.
func (st *StreamStats) forget() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.position, st.eventTime, st.committed, st.seen = "", time.Time{}, time.Time{}, time.Time{}
}

func (st *StreamStats) letGo(lane int32) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.lane == lane {
		st.owned, st.subscribed = false, time.Time{}
	}
}
