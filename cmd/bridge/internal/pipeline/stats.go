package pipeline

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
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
	troubles map[int32]Trouble
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

// StreamStats are the counters of one stream. Records are counted apart from
// events, since one event becomes one or more records.
type StreamStats struct {
	Received, Produced, DeadLettered, Filtered, Returned atomic.Uint64
	Records                                              atomic.Uint64
	Gaps                                                 atomic.Uint64 // entries of the gap ledger

	halted atomic.Pointer[string] // why; nil while it runs. Asked for each event, so not under mu

	mu         sync.Mutex
	subscribed bool
	ever       bool // subscribed at least once in this process
	position   string
	eventTime  time.Time
	committed  time.Time
}

// StreamState is a moment of a stream.
type StreamState struct {
	Channel                                              string
	Received, Produced, DeadLettered, Filtered, Returned uint64
	InFlight, Records, Gaps                              uint64
	Subscribed                                           bool
	Halted                                               string // why; empty while it runs
	Position                                             string
	EventTime                                            time.Time // of the last committed event
	Committed                                            time.Time // when that commit ended
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
		Channel: channel, Subscribed: st.subscribed, Halted: st.haltedWhy(),
		Position: st.position, EventTime: st.eventTime, Committed: st.committed,
		Produced: st.Produced.Load(), DeadLettered: st.DeadLettered.Load(),
		Filtered: st.Filtered.Load(), Returned: st.Returned.Load(), Records: st.Records.Load(), Gaps: st.Gaps.Load(),
	}
	// Received is read last: it grows first, so that the difference is never negative.
	s.Received = st.Received.Load()
	s.InFlight = s.Received - s.Produced - s.DeadLettered - s.Filtered - s.Returned
	return s
}

func (st *StreamStats) setSubscribed(on bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.subscribed = on
	st.ever = st.ever || on
}

func (st *StreamStats) everSubscribed() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.ever
}

func (st *StreamStats) halt(why string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.halted.Store(&why)
	st.subscribed = false
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

func (st *StreamStats) progress(position string, eventTime, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.position, st.eventTime, st.committed = position, eventTime, now
}
