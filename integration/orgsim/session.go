package orgsim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// hub keeps the CometD sessions. Its lock is taken before a session's.
type hub struct {
	mu       sync.Mutex
	sessions map[string]*session
	past     []SessionInfo
	starving []*starving
	rnd      *rand.Rand
}

// pastSessions is how many ended sessions the session ledger remembers.
const pastSessions = 10_000

// session is one CometD client.
type session struct {
	id     string
	user   *user
	opened time.Time

	mu        sync.Mutex
	cookie    string
	affinity  affinity
	past      []SubscriptionInfo // that are over
	lastReply time.Time          // of a handshake or connect
	connected bool               // the first connect was answered
	held      *held
	ended     string // why, once it is over
	subs      []*subscription
	connects  int64
	events    int64
	cutAfter  int // body bytes after which the next connect reply is cut; -1: not
}

// held is a connect that is being answered.
type held struct {
	done chan struct{} // closed when somebody else ends it
	why  string        // set before done is closed
}

// Reasons for the end of a session, as the session ledger shows them.
const (
	endDisconnected = "disconnected" // the client said so
	endLapsed       = "lapsed"       // no connect in time
	endForgotten    = "forgotten"    // ForgetSessions
	endServer       = "server"       // DisconnectSessions
	endReplaced     = "replaced"     // of a held connect only: a newer one came
	endMoved        = "moved"        // MoveInstance, RefreshSandbox, MigrateInstance
	endStrayed      = "strayed"      // its affinity cookie expired or was missing
	endAdvice       = "advice"       // a fault's advice said so
)

// subscription is a session's place in the bus for one channel.
type subscription struct {
	channel string
	tail    []byte // what follows the data member of its messages
	members []bool // by eventType.index, less what the user may not read
	filter  []topicTerm
	cursor  int    // index of the next event to look at
	starved bool   // it gets nothing more
	blocked bool   // within take and waiting: the event at cursor is still on its way
	from    string // the replay id that was asked for
	opened  time.Time
	events  int64 // delivered
}

// SubscriptionInfo says that a session was subscribed to a channel, and when.
type SubscriptionInfo struct {
	Channel   string    `json:"channel"`
	From      string    `json:"from"` // the replay id that was asked for; "": none
	Opened    time.Time `json:"opened"`
	Closed    time.Time `json:"closed,omitzero"` // zero while it lasts
	Delivered int64     `json:"delivered"`       // events written
	Starved   bool      `json:"starved,omitempty"`
}

func (sub *subscription) info(closed time.Time) SubscriptionInfo {
	return SubscriptionInfo{Channel: sub.channel, From: sub.from, Opened: sub.opened, Closed: closed, Delivered: sub.events, Starved: sub.starved}
}

// pastSubscriptions is how many subscriptions a session remembers that are over.
const pastSubscriptions = 1000

func (s *session) overLocked(sub *subscription, now time.Time) {
	if len(s.past) >= pastSubscriptions {
		s.past = slices.Delete(s.past, 0, 1)
	}
	s.past = append(s.past, sub.info(now))
}

// SessionInfo is one line of the session ledger.
type SessionInfo struct {
	ClientID  string    `json:"clientId"`
	User      string    `json:"user"`
	Opened    time.Time `json:"opened"`
	Closed    time.Time `json:"closed,omitzero"` // zero while it lives
	Reason    string    `json:"reason,omitempty"`
	Connects  int64     `json:"connects"`
	Delivered int64     `json:"delivered"` // events written
	Channels  []string  `json:"channels"`  // at its end, or now
	Held      bool      `json:"held"`      // a connect is being answered now
	// Subscriptions are all that it had, ended ones first: subscribing to a
	// channel again ends one.
	Subscriptions []SubscriptionInfo `json:"subscriptions,omitempty"`
}

// Sessions is the session ledger: ended sessions in the order in which they
// ended, then the living ones in the order in which they began.
func (o *Org) Sessions() []SessionInfo {
	o.sweep()
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	out := slices.Clone(o.hub.past)
	var live []SessionInfo
	for _, s := range o.hub.sessions {
		s.mu.Lock()
		live = append(live, s.info(time.Time{}))
		s.mu.Unlock()
	}
	slices.SortFunc(live, func(a, b SessionInfo) int {
		if c := a.Opened.Compare(b.Opened); c != 0 {
			return c
		}
		if a.ClientID < b.ClientID {
			return -1
		}
		return 1
	})
	return append(out, live...)
}

func (s *session) info(closed time.Time) SessionInfo {
	i := SessionInfo{ClientID: s.id, User: s.user.Username, Opened: s.opened, Connects: s.connects, Delivered: s.events, Held: s.held != nil, Closed: closed,
		Subscriptions: slices.Clone(s.past)}
	for _, sub := range s.subs {
		i.Channels = append(i.Channels, sub.channel)
		i.Subscriptions = append(i.Subscriptions, sub.info(closed))
	}
	return i
}

// open begins a session; ok is false when the org has too many clients.
func (o *Org) open(u *user, cookie string) (s *session, ok bool) {
	o.sweep()
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	if len(o.hub.sessions) >= o.cfg.MaxClients {
		return nil, false
	}
	if cookie == "" {
		cookie = randomText(o.hub.rnd, base36, 16)
	}
	now := o.now()
	s = &session{id: randomText(o.hub.rnd, base36, 26), cookie: cookie, user: u, opened: now, lastReply: now, cutAfter: -1}
	o.hub.sessions[s.id] = s
	o.stats.sessions.Add(1)
	return s, true
}

// find returns the living session of that id, or nil.
func (o *Org) find(id string) *session {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	s := o.hub.sessions[id]
	if s == nil || o.lapseLocked(s) {
		return nil
	}
	return s
}

// sweep ends the sessions whose clients stayed away.
func (o *Org) sweep() {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	for _, s := range o.hub.sessions {
		o.lapseLocked(s)
	}
}

func (o *Org) lapseLocked(s *session) bool {
	s.mu.Lock()
	deadline := s.lastReply.Add(o.cfg.Lapse)
	lapsed := s.held == nil && o.now().After(deadline)
	s.mu.Unlock()
	if lapsed {
		o.endLocked(s, endLapsed, deadline)
	}
	return lapsed
}

// end removes a session, writes it into the session ledger and ends its held connect.
func (o *Org) end(s *session, why string) {
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	o.endLocked(s, why, o.now())
}

func (o *Org) endLocked(s *session, why string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		return
	}
	delete(o.hub.sessions, s.id)
	s.ended = why
	info := s.info(at)
	info.Held, info.Reason = false, why
	if len(o.hub.past) >= pastSessions {
		o.hub.past = slices.Delete(o.hub.past, 0, 1)
	}
	o.hub.past = append(o.hub.past, info)
	s.releaseLocked(why)
}

// releaseLocked ends the connect that is being answered.
func (s *session) releaseLocked(why string) {
	if s.held != nil {
		s.held.why = why
		close(s.held.done)
		s.held = nil
	}
}

// begin takes up a connect; an older one that is still held is ended.
func (s *session) begin() (h *held, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(endReplaced)
	if s.ended != "" {
		return nil, false
	}
	s.held = &held{done: make(chan struct{})}
	s.connects++
	first = !s.connected
	s.connected = true
	return s.held, first
}

// finish notes that a connect was answered or its connection lost; from here
// on the client has the lapse time to come back.
func (s *session) finish(h *held, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == h {
		s.held = nil
		s.lastReply = now
	}
}

// subscribe sets the session's place for a channel; a second subscription to
// the same channel moves the first.
func (s *session) subscribe(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.subs {
		if old.channel == sub.channel {
			s.overLocked(old, sub.opened)
			s.subs[i] = sub
			return
		}
	}
	s.subs = append(s.subs, sub)
}

func (s *session) unsubscribe(channel string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = slices.DeleteFunc(s.subs, func(sub *subscription) bool {
		if sub.channel == channel {
			s.overLocked(sub, now)
		}
		return sub.channel == channel
	})
}

// delivery is one message to write.
type delivery struct {
	data []byte
	tail []byte
}

// lowest is the index of the first event that any subscription still has to look at.
func (s *session) lowest(v view) int {
	low := v.end
	for _, sub := range s.subs {
		low = min(low, sub.cursor)
	}
	return max(low, v.base)
}

// moveTo moves all subscriptions on but those that stopped at an event which
// is still on its way.
func (s *session) moveTo(i int) {
	for _, sub := range s.subs {
		if !sub.blocked {
			sub.cursor = max(sub.cursor, i)
		}
		sub.blocked = false
	}
}

// wants reports whether the event is for the subscription; one that is still
// on its way stops it there.
func (sub *subscription) wants(e *logged, i int, now int64) bool {
	if i < sub.cursor || !has(sub.members, e.typ) || sub.starved || sub.blocked || sub.filter != nil && !holdsAll(sub.filter, e.row) {
		return false
	}
	if e.due > now {
		sub.blocked, sub.cursor = true, i
		return false
	}
	return true
}

// waiting moves over events that no subscription wants and reports whether
// one follows that is wanted; if not, due is when the first one on its way
// arrives, in epoch ms, or 0.
func (s *session) waiting(v view) (ready bool, due int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subs) == 0 {
		return false, 0
	}
	for i := s.lowest(v); i < v.end; i++ {
		e := v.at(i)
		for _, sub := range s.subs {
			if sub.wants(e, i, v.now) {
				s.moveTo(i)
				return true, 0
			}
			if sub.blocked && sub.cursor == i && (due == 0 || e.due < due) {
				due = e.due
			}
		}
	}
	s.moveTo(v.end)
	return false, due
}

// take moves the cursors over events and returns the messages for them: what
// is taken is gone for this session, whether or not it arrives. Events that
// share a replay id are taken together. h, if not nil, must still be current.
func (s *session) take(v view, h *held, maxEvents, maxBytes int, dst []delivery) []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.subs) == 0 || h != nil && s.held != h {
		return dst
	}
	size, n := 0, len(dst)
	i := s.lowest(v)
	for ; i < v.end; i++ {
		e := v.at(i)
		if (len(dst)-n >= maxEvents || size >= maxBytes) && e.replay != v.at(i-1).replay {
			break
		}
		for _, sub := range s.subs {
			if sub.wants(e, i, v.now) {
				sub.events++
				dst = append(dst, delivery{e.data, sub.tail})
				size += len(e.data) + len(sub.tail)
			}
		}
	}
	s.moveTo(i)
	s.events += int64(len(dst) - n)
	return dst
}

// takeCut returns the byte count after which this reply is to be cut, or -1,
// and forgets it.
func (s *session) takeCut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.cutAfter
	s.cutAfter = -1
	return n
}

func (s *session) cutNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutAfter == 0
}
