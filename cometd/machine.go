package cometd

import (
	"slices"
	"time"
)

// This file and finish.go are the protocol's state machine: pure functions from
// a state and an input to a state and actions. They do no I/O, know no clock and
// draw no random numbers; what has to happen later is said as a delay.

// phase is how far a session has come.
type phase uint8

const (
	phaseDown  phase = iota // no session: the next request is a handshake
	phaseFresh              // handshake accepted: the first connect comes next
	phaseLive               // first connect answered: subscribe, connect, connect, …
)

// kind is the meta channel of a request.
type kind uint8

const (
	kindHandshake kind = iota
	kindConnect
	kindSubscribe
	kindUnsubscribe
	kindDisconnect
)

func (k kind) channel() string {
	return [...]string{metaHandshake, metaConnect, metaSubscribe, metaUnsubscribe, metaDisconnect}[k]
}

type credentialState uint8

const (
	credentialsNone    credentialState = iota
	credentialsHeld                    // to be used as they are
	credentialsRefused                 // the server refused those that are held
	credentialsDoubted                 // nothing answers where they say that the server is
)

type subscriptionState uint8

const (
	subWanted  subscriptionState = iota // to be sent
	subSent                             // sent, not answered yet
	subActive                           // accepted in this session
	subWaiting                          // refused for now: becomes wanted when due
	subLeaving                          // an unsubscribe is to be sent
)

type subscription struct {
	channel string
	state   subscriptionState
	retries int // refused for now so many times running
	// stale: it was left in this session, and the server may have events of it
	// queued. They are fetched before it is subscribed again, or they would come
	// once from the queue and once by replay.
	stale bool
}

// state is all that the machine knows. It is a value: step never writes to a
// slice that an older state holds.
type state struct {
	phase       phase
	clientID    string // of the last session, empty when the server does not know it any more
	credentials credentialState
	renewed     bool // the credentials replace refused ones and have not been seen to work
	advice      Advice
	unheard     int           // handshakes running that nothing of Bayeux answered, in a cycle of doubtEvery
	cuts        int           // connects running that were cut while they were held
	patience    time.Duration // how long a connect may be held, by what came of longer ones; 0: as long as the server likes
	failures    int           // attempts failed since a session last settled
	limits      int           // the same, for limits
	idle        int           // connects running that were answered at once with nothing
	batch       int           // subscriptions to send in one request
	subs        []subscription
}

// maxBatch is how many subscriptions go in one request while the server takes
// it: Salesforce allows several, and bounds the request's size. Some servers
// stumble over many: after a failure a tenth goes in one request, then one.
const maxBatch = 100

func newState() state { return state{batch: maxBatch} }

// inputs

type input interface{ input() }

type (
	// subscribe and unsubscribe are the caller's wishes. A channel that was refused
	// more than once running has to wait.
	subscribe struct {
		channel  string
		refusals int
	}
	unsubscribe struct{ channel string }
	// due says that the delays of retry actions are over.
	due struct{ channels []string }
	// proceed asks for the next request: nothing is outstanding, no delay is left.
	proceed struct{}
	// authorized is the outcome of an authorize action.
	authorized struct{ err error }
	// release asks for the request that frees a session that was given up and
	// that the server may still hold.
	release struct{}
	// renew gives the session up because the caller wants another.
	renew struct{}
	// closing asks for the last request.
	closing struct{}
)

func (subscribe) input()   {}
func (unsubscribe) input() {}
func (due) input()         {}
func (proceed) input()     {}
func (authorized) input()  {}
func (release) input()     {}
func (renew) input()       {}
func (closing) input()     {}
func (finished) input()    {}

// actions

type action interface{ action() }

type (
	// authorize asks for credentials; rejected: those that are held were refused,
	// or lead nowhere.
	authorize struct{ rejected bool }
	// request is to be sent, with what follows from its kind.
	request struct {
		kind     kind
		channels []string // subscribe, unsubscribe
		atOnce   bool     // connect: ask the server not to hold it
		farewell bool     // disconnect: of a session given up, its outcome matters to nobody
	}
	// pause is to be taken before the next request.
	pause struct{ delay delay }
	// retry asks for a due input when the delay is over.
	retry struct {
		channel string
		delay   delay
	}
	// report hands an error to the caller.
	report struct{ err error }
	// opened, ended: a session began (forget nothing), or is over for a reason.
	opened struct{}
	ended  struct{ reason error }
	// accepted, refused: what became of a channel.
	accepted struct{ channel string }
	refused  struct{ channel string }
)

func (authorize) action() {}
func (request) action()   {}
func (pause) action()     {}
func (retry) action()     {}
func (report) action()    {}
func (opened) action()    {}
func (ended) action()     {}
func (accepted) action()  {}
func (refused) action()   {}

// delay is a time to wait as the machine can say it: at least least, and the
// level-th step of a schedule.
type delay struct {
	least    time.Duration
	schedule schedule
	level    int
}

type schedule uint8

const (
	noSchedule      schedule = iota
	failureSchedule          // seconds: trouble that passes
	limitSchedule            // minutes: an allocation is used up
	paceSchedule             // parts of a second: the server answers at once with nothing
)

func step(s state, in input) (state, []action) {
	switch in := in.(type) {
	case subscribe:
		return s.wish(in)
	case unsubscribe:
		return s.unsubscribe(in.channel), nil
	case due:
		s = s.owned()
		for _, channel := range in.channels {
			if b := s.entry(channel, subWaiting); b != nil {
				b.state = subWanted
			}
		}
		return s, nil
	case proceed:
		return s.proceed()
	case authorized:
		return s.authorized(in.err)
	case release:
		return s.release()
	case renew:
		if s.phase == phaseDown {
			return s, nil // another comes anyway
		}
		return s.down(), []action{ended{ErrRenewed}}
	case closing:
		return s.closing()
	case finished:
		return s.finished(in)
	}
	return s, nil
}

func (s state) wish(in subscribe) (state, []action) {
	if s.find(in.channel) >= 0 || in.refusals < 2 {
		return s.subscribe(in.channel), nil
	}
	stale := s.entry(in.channel, subLeaving) != nil
	s.subs = append(slices.Clone(s.subs), subscription{channel: in.channel, state: subWaiting, stale: stale})
	return s, []action{retry{in.channel, delay{schedule: failureSchedule, level: in.refusals - 2}}}
}

func (s state) subscribe(channel string) state {
	if s.find(channel) >= 0 {
		return s
	}
	stale := s.entry(channel, subLeaving) != nil
	s.subs = append(slices.Clone(s.subs), subscription{channel: channel, stale: stale})
	return s
}

// fetched is the state after a connect has brought what was queued: for the
// channels of which nothing can be queued since.
func (s state) fetched() state {
	if !slices.ContainsFunc(s.subs, func(b subscription) bool { return b.stale }) {
		return s
	}
	s = s.owned()
	for i := range s.subs {
		b := &s.subs[i]
		b.stale = b.stale && s.entry(b.channel, subLeaving) != nil
	}
	return s
}

// find looks for a channel that is wished for: one that is being left is not.
func (s state) find(channel string) int {
	return slices.IndexFunc(s.subs, func(b subscription) bool {
		return b.channel == channel && b.state != subLeaving
	})
}

func (s state) unsubscribe(channel string) state {
	i := s.find(channel)
	if i < 0 {
		return s
	}
	known := s.subs[i].state == subActive || s.subs[i].state == subSent
	s.subs = slices.Clone(s.subs)
	if known {
		s.subs[i].state = subLeaving
	} else {
		s.subs = slices.Delete(s.subs, i, i+1)
	}
	return s
}

// owned is a state whose list of subscriptions may be written to.
func (s state) owned() state {
	s.subs = slices.Clone(s.subs)
	return s
}

// entry is that of a channel that is in a state, nil if there is none. It may be
// written to if the state is owned.
func (s state) entry(channel string, in subscriptionState) *subscription {
	for i := range s.subs {
		if b := &s.subs[i]; b.channel == channel && b.state == in {
			return b
		}
	}
	return nil
}

// remove takes the channels that are in a state off the list.
func (s state) remove(channels []string, in subscriptionState) state {
	if len(channels) > 0 {
		s.subs = slices.DeleteFunc(slices.Clone(s.subs), func(b subscription) bool {
			return b.state == in && slices.Contains(channels, b.channel)
		})
	}
	return s
}

// in lists the channels in a state, at most limit of them.
func (s state) in(wanted subscriptionState, limit int) []string {
	var channels []string
	for _, b := range s.subs {
		if b.state == wanted && len(channels) < limit {
			channels = append(channels, b.channel)
		}
	}
	return channels
}

func (s state) proceed() (state, []action) {
	if len(s.subs) == 0 {
		return s, []action{report{ErrNoSubscription}}
	}
	switch s.phase {
	case phaseDown:
		if s.credentials != credentialsHeld {
			return s, []action{authorize{rejected: s.credentials != credentialsNone}}
		}
		return s, []action{request{kind: kindHandshake}}
	case phaseFresh:
		return s, []action{request{kind: kindConnect, atOnce: true}}
	}
	// Subscriptions go out while no connect is outstanding, and their reply is
	// read to its end before the next connect: a server may deliver the same
	// channel through both replies, and then the order across them is lost.
	if channels := s.in(subLeaving, s.batch); channels != nil {
		return s, []action{request{kind: kindUnsubscribe, channels: channels}}
	}
	if slices.ContainsFunc(s.subs, func(b subscription) bool { return b.stale && b.state == subWanted }) {
		return s, []action{request{kind: kindConnect, atOnce: true}}
	}
	if channels := s.in(subWanted, s.batch); channels != nil {
		s = s.owned()
		for _, channel := range channels {
			s.entry(channel, subWanted).state = subSent
		}
		return s, []action{request{kind: kindSubscribe, channels: channels}}
	}
	return s, []action{request{kind: kindConnect}}
}

func (s state) authorized(err error) (state, []action) {
	if err == nil {
		s.renewed = s.renewed || s.credentials == credentialsRefused
		s.credentials = credentialsHeld
		return s, nil
	}
	if s.credentials == credentialsDoubted {
		s.credentials = credentialsHeld // nobody refused them: they may serve after the outage
	}
	return s.fail(&AuthorizeError{err}, 0)
}

// release frees a session that was given up, or it would count against the
// org's limit of clients until it lapses. There is one try: it is a courtesy.
func (s state) release() (state, []action) {
	if s.phase != phaseDown || s.clientID == "" || s.credentials != credentialsHeld {
		return s, nil
	}
	return s, []action{request{kind: kindDisconnect, farewell: true}}
}

func (s state) closing() (state, []action) {
	if s.clientID == "" || s.credentials != credentialsHeld {
		return s, nil
	}
	return s, []action{request{kind: kindDisconnect}}
}

// fail reports a failed attempt; the next one waits.
func (s state) fail(err error, least time.Duration) (state, []action) {
	d := delay{least: least, schedule: failureSchedule, level: s.failures}
	s.failures++
	return s, []action{report{err}, pause{d}}
}

// down ends the session: every accepted subscription is to be made again.
// A retry that waits goes on waiting, or a flapping session would undo the wait.
func (s state) down() state {
	s.phase, s.idle = phaseDown, 0
	s.advice = Advice{Timeout: s.advice.Timeout, HasTimeout: s.advice.HasTimeout}
	var subs []subscription
	for _, b := range s.subs {
		switch b.state {
		case subLeaving:
			continue
		case subActive, subSent:
			b.state = subWanted
		}
		b.stale = false
		subs = append(subs, b)
	}
	s.subs = subs
	return s
}
