package cometdtest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is a Bayeux server with Salesforce's replay, in memory. Its zero value
// is ready: the fields change what it does and must be set before the first
// request. It is an http.Handler and an http.RoundTripper; a client that has it
// as its transport reaches it under any address, URL for example.
type Server struct {
	// Hold is how long a connect waits for events (110 s), Lapse how long a
	// session lives without one (40 s).
	Hold, Lapse time.Duration
	// Retention is how long events are kept for replay. Zero: for ever.
	Retention time.Duration
	// Gap returns the distance from one replay id to the next, at least 1.
	// Nil: always 1.
	Gap func() int64
	// Token decides about the Authorization header of each request. Nil: any.
	Token func(authorization string) bool
	// Refuse may return an error text for a subscription, such as
	// "403::Restricted channel", or "" to accept it.
	Refuse func(channel string) string
	// Fault is asked for each request what is to go wrong. Nil: nothing.
	Fault func(*Request) *Fault

	// MaxEvents bounds the events of one reply; those that share a replay id are
	// not parted. Zero: all there are.
	MaxEvents int
	// EventsWithSubscribe puts retained events into the subscribe's reply;
	// otherwise they come with the next connect.
	EventsWithSubscribe bool
	// ReplyFirst writes the reply before the events.
	ReplyFirst bool
	// NumericIDs writes the ids of replies as numbers, BareObject replies of one
	// message without an array.
	NumericIDs, BareObject bool
	// FreeCookies accepts requests without the session's cookie.
	FreeCookies bool
	// NoReplay leaves ext.replay out of the handshake's reply.
	NoReplay bool

	mu       sync.Mutex
	last     int64 // the newest replay id
	trimmed  int64 // the newest replay id that is not retained any more
	log      []event
	sessions map[string]*session
	requests int
}

// URL is an address to give to a client whose transport is a Server.
const URL = "https://org.example/cometd/66.0"

var (
	_ http.Handler      = (*Server)(nil)
	_ http.RoundTripper = (*Server)(nil)
)

type event struct {
	id      int64
	channel string
	text    string // the whole message
	at      time.Time
}

type session struct {
	id     string
	cookie string
	subs   map[string]bool // by channel without filter
	queue  []event
	seen   time.Time     // when the last reply was sent
	polled bool          // a first connect was answered
	held   int           // connects under way
	wake   chan struct{} // size 1: something is new
	closed chan struct{} // the session is over
	newest chan struct{} // closed when a newer connect takes over
}

func (s *Server) hold() time.Duration {
	if s.Hold > 0 {
		return s.Hold
	}
	return 110 * time.Second
}

func (s *Server) lapse() time.Duration {
	if s.Lapse > 0 {
		return s.Lapse
	}
	return 40 * time.Second
}

// Publish puts events on a channel and returns their replay id. Each data is
// the JSON object that is to be the message's data member, without
// event.replayId, which the server inserts; its other bytes are sent as they
// are. Several data get the same replay id, as enriched change events can have.
// Publish panics if data is not a JSON object: a test gave it.
func (s *Server) Publish(channel string, data ...string) int64 {
	return s.PublishOn([]string{channel}, data...)
}

// PublishOn puts the same events on several channels, under one replay id, as
// the org's one bus does for an event that belongs to many channels.
func (s *Server) PublishOn(channels []string, data ...string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
	gap := int64(1)
	if s.Gap != nil {
		gap = max(s.Gap(), 1)
	}
	s.last += gap
	for _, d := range data {
		withID := insertReplayID(d, s.last)
		for _, channel := range channels {
			e := event{s.last, channel, `{"data":` + withID + `,"channel":` + quote(channel) + `}`, time.Now()}
			s.log = append(s.log, e)
			s.deliver(e)
		}
	}
	return s.last
}

// Send gives every session a message as it is, outside of replay: a
// server-sent "/meta/disconnect", or an event without a replay id.
func (s *Server) Send(message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ss := range s.live() {
		ss.queue = append(ss.queue, event{text: message})
		ss.signal()
	}
}

// Forget ends every session without telling the clients, as a move to another
// server node does: their next message is answered "403::Unknown client".
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ss := range s.sessions {
		s.end(ss)
	}
}

// Reset forgets every retained event and starts the ids anew, as an instance
// refresh does. Ids that were given out before are invalid from now on.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.last, s.trimmed = nil, 0, 0
}

// Sessions is the number of sessions that have not lapsed.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live())
}

// Requests is the number of requests so far.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Last is the newest replay id.
func (s *Server) Last() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *Server) live() []*session {
	var live []*session
	for _, ss := range s.sessions {
		if s.lapsed(ss) {
			s.end(ss)
			continue
		}
		live = append(live, ss)
	}
	return live
}

func (s *Server) lapsed(ss *session) bool {
	return ss.held == 0 && time.Since(ss.seen) > s.lapse()
}

func (s *Server) end(ss *session) {
	if s.sessions[ss.id] == ss {
		delete(s.sessions, ss.id)
		close(ss.closed)
	}
}

func (s *Server) deliver(e event) {
	for _, ss := range s.live() {
		if ss.subs[e.channel] {
			ss.queue = append(ss.queue, e)
			ss.signal()
		}
	}
}

// trim drops what is older than the retention.
func (s *Server) trim() {
	if s.Retention <= 0 {
		return
	}
	n := 0
	for n < len(s.log) && time.Since(s.log[n].at) > s.Retention {
		s.trimmed = s.log[n].id
		n++
	}
	s.log = slices.Clone(s.log[n:])
}

func (ss *session) signal() {
	select {
	case ss.wake <- struct{}{}:
	default:
	}
}

func (s *Server) open() *session {
	ss := &session{
		id:     strings.ToLower(rand.Text()),
		cookie: strings.ToLower(rand.Text()[:16]),
		subs:   map[string]bool{},
		seen:   time.Now(),
		wake:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		newest: make(chan struct{}),
	}
	if s.sessions == nil {
		s.sessions = map[string]*session{}
	}
	s.sessions[ss.id] = ss
	return ss
}

// take moves queued events into a reply.
func (s *Server) take(ss *session) []event {
	n := len(ss.queue)
	if s.MaxEvents > 0 {
		n = min(n, s.MaxEvents)
		for 0 < n && n < len(ss.queue) && ss.queue[n].id != 0 && ss.queue[n].id == ss.queue[n-1].id {
			n++
		}
	}
	taken := ss.queue[:n:n]
	ss.queue = ss.queue[n:]
	if len(ss.queue) > 0 {
		ss.signal()
	}
	return taken
}
