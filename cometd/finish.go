package cometd

import (
	"errors"
	"net/http"
	"slices"
	"time"
)

// outcome is how an exchange ended.
type outcome uint8

const (
	// whole: the reply arrived to its end.
	whole outcome = iota
	// unsent: it is certain that the request did not reach the server.
	unsent
	// lost: anything else. The server may have taken events off its queue for a
	// reply that never arrived, and says nothing of it later: the session cannot
	// be trusted any more.
	lost
	// aborted: the caller gave up; lost, but nobody is to blame.
	aborted
)

// finished is an exchange that is over, with the meta messages of its reply.
type finished struct {
	request request
	ids     []string // of the messages sent, one for each channel or one
	outcome outcome
	err     error // of an exchange that is not whole
	replies []reply
	events  int           // data messages in the reply
	elapsed time.Duration // from the request to the end of the reply
	quick   bool          // answered faster than a held connect can be
	settled bool          // the session is old enough to have proved itself
	// retryAfter is what an HTTP header asked for.
	retryAfter time.Duration
}

// serverPatience is how long Salesforce keeps a session without a connect
// (Streaming API guide, "Streaming API timeouts").
const serverPatience = 40 * time.Second

func (s state) finished(f finished) (state, []action) {
	if f.request.farewell {
		s.clientID = ""
		return s, nil
	}
	s, acts := s.outcome(f)
	for _, a := range acts {
		if p, ok := a.(pause); ok && s.phase == phaseDown && p.delay.least >= serverPatience {
			s.clientID = "" // nothing may be sent until the session has lapsed by itself
		}
	}
	return s, acts
}

func (s state) outcome(f finished) (state, []action) {
	switch f.request.kind {
	case kindSubscribe:
		s = s.recall(f)
	case kindHandshake:
		s = s.doubt(f)
	case kindConnect:
		s = s.learn(f)
	}
	switch f.outcome {
	case whole:
		return s.answered(f)
	case unsent:
		return s.fail(f.err, 0)
	case aborted:
		return s.down(), []action{ended{f.err}}
	}
	var h *HTTPError
	if errors.As(f.err, &h) && (h.Status == http.StatusUnauthorized || h.Status == http.StatusForbidden) {
		return s.refuse(f.err, 0)
	}
	if f.request.kind == kindSubscribe || f.request.kind == kindUnsubscribe {
		s = s.smaller(f) // whatever it was, a smaller request is less to stumble over
	}
	s, acts := s.down().fail(f.err, f.retryAfter)
	return s, append(acts, ended{f.err})
}

// Handshakes running without an answer of Bayeux after which other credentials
// are asked for: the third, and then one in fifteen, which is about every quarter
// of an hour.
const (
	doubtFirst = 3
	doubtEvery = 15
)

// doubt looks for a server that has moved. Salesforce tells the address with the
// token, so an org that was moved has its new one there, and the old address
// answers with a redirect or a page, or not at all, for ever. It is the same to
// look at as an outage, in which a login now and then does no harm.
func (s state) doubt(f finished) state {
	switch f.outcome {
	case whole:
		s.unheard = 0
	case unsent, lost:
		if s.unheard = (s.unheard + 1) % doubtEvery; s.unheard == doubtFirst {
			s.credentials = credentialsDoubted
		}
	}
	return s
}

// Something on the way may end what is silent for long: a proxy at 60 s, say, while
// the server holds a connect for 110 s. Every quiet session would die of it.
const (
	// heldLong is from when on a lost connect may have been cut for its silence.
	heldLong = 20 * time.Second
	// cutsToLearn is how many running make it likely.
	cutsToLearn = 2
	// leastPatience is what is asked for at the least.
	leastPatience = 10 * time.Second
)

// learn shortens the time for which connects are asked to be held, when those that
// were held for long did not come back. A reply that our own patience ended tells
// only that it is too long, one that was cut tells when.
func (s state) learn(f finished) state {
	if f.request.atOnce || f.elapsed < heldLong || f.outcome == aborted {
		return s
	}
	if f.outcome == whole || f.events > 0 {
		s.cuts = 0
		return s
	}
	if s.cuts++; s.cuts < cutsToLearn {
		return s
	}
	asked := s.held()
	s.cuts, s.patience = 0, f.elapsed*5/6
	if errors.Is(f.err, ErrTimeout) {
		s.patience = asked / 2
	}
	s.patience = min(max(s.patience, leastPatience), asked)
	return s
}

// held is for how long a connect is to be held.
func (s state) held() time.Duration {
	if s.patience > 0 {
		return min(s.patience, s.advice.hold())
	}
	return s.advice.hold()
}

// smaller lets fewer subscriptions go in one request than went in this one.
func (s state) smaller(f finished) state {
	s.batch = min(s.batch, max(1, len(f.request.channels)/10))
	return s
}

// recall makes wanted again what a subscribe request did not carry: all of it,
// or what did not fit.
func (s state) recall(f finished) state {
	s = s.owned()
	for _, channel := range s.in(subSent, len(s.subs)) {
		if f.outcome == unsent || !slices.Contains(f.request.channels, channel) {
			s.entry(channel, subSent).state = subWanted
		}
	}
	return s
}

// answered handles a whole reply. What concerns the session comes first: what
// the other messages say ends with it.
func (s state) answered(f finished) (state, []action) {
	answers := make([]*reply, len(f.ids))
	for i := range f.replies {
		r := &f.replies[i]
		if r.channel == metaDisconnect && f.request.kind != kindDisconnect {
			return s.restart(r.err(), r.advice.pause())
		}
		if at := f.match(r); at >= 0 && answers[at] == nil {
			answers[at] = r
			// What comes with a refused channel concerns that channel: the
			// others must not wait for it.
			if r.hasAdvice && (r.ok() || f.request.kind != kindSubscribe) {
				s.advice = s.advice.replace(r.advice)
			}
		}
	}
	switch f.request.kind {
	case kindHandshake:
		return s.handshaken(f, answers[0])
	case kindConnect:
		return s.connected(f, answers[0])
	case kindSubscribe:
		return s.subscribed(f, answers)
	case kindUnsubscribe:
		return s.unsubscribed(f, answers)
	}
	s.clientID = ""
	return s.down(), nil
}

// match finds the message that a reply answers: by id, and for subscriptions
// without an id by the channel's name.
func (f *finished) match(r *reply) int {
	channel := f.request.kind.channel()
	if r.channel != channel {
		return -1
	}
	if r.id != "" {
		return slices.Index(f.ids, r.id)
	}
	if len(f.ids) == 1 {
		return 0
	}
	return slices.IndexFunc(f.request.channels, r.names)
}

// unanswered is a reply in which our message's answer is missing. Something on
// the way ate it, and may have eaten events.
func (s state) unanswered(f finished) (state, []action) {
	err := &NetworkError{Channel: f.request.kind.channel(), Sent: true, Err: ErrNoReply}
	s, acts := s.down().fail(err, 0)
	return s, append(acts, ended{err})
}

func (s state) handshaken(f finished, r *reply) (state, []action) {
	if r == nil {
		return s.unanswered(f)
	}
	if !r.ok() {
		return s.rejected(r, f.retryAfter)
	}
	if r.clientID == "" {
		return s.unanswered(f)
	}
	s.clientID = r.clientID // of use or not, it is to be freed
	switch {
	case !r.offersLongPolling():
		return s.fail(ErrNoLongPolling, 0)
	case !r.replay:
		return s.fail(ErrNoReplay, 0)
	}
	s.phase = phaseFresh
	return s, []action{opened{}, pause{delay{least: s.advice.pause()}}}
}

// idleGrace is how many connects running may be answered at once with nothing
// before the loop is slowed down.
const idleGrace = 2

func (s state) connected(f finished, r *reply) (state, []action) {
	if r == nil {
		return s.unanswered(f)
	}
	if !r.ok() {
		return s.rejected(r, f.retryAfter)
	}
	switch {
	case r.advice.Reconnect == reconnectHandshake:
		return s.restart(nil, r.advice.pause())
	case r.advice.Reconnect == reconnectNone, r.advice.Interval < 0:
		s, acts := s.down().fail(r.err(), r.advice.pause())
		return s, append(acts, ended{r.err()})
	}
	// A connect that may be held shows that the credentials are good. That the
	// session is takes longer: a server that accepts and forgets would otherwise
	// be asked for session after session. Until then failures count on.
	held := !f.request.atOnce
	if held {
		s.renewed = false
	}
	if held && f.settled {
		s.failures, s.limits = 0, 0
	}
	s.phase = phaseLive
	s = s.fetched()
	d := delay{least: s.advice.pause()}
	s.idle++
	if !held || !f.quick || f.events > 0 {
		s.idle = 0
	}
	if s.idle > idleGrace {
		d.schedule, d.level = paceSchedule, s.idle-idleGrace-1
	}
	return s, []action{pause{d}}
}

// rejected handles a failed reply that concerns the whole session. The longer of
// what the advice and an HTTP header ask for is waited.
func (s state) rejected(r *reply, least time.Duration) (state, []action) {
	err := r.err()
	least = max(least, r.advice.pause())
	switch err.class {
	case classBusy:
		if r.channel != metaHandshake && r.keepsSession() {
			return s.fail(err, least)
		}
		s, acts := s.down().fail(err, least)
		return s, append(acts, ended{err})
	case classAuth:
		return s.refuse(err, least)
	case classSession:
		s, acts := s.restart(err, least)
		return s, append(acts, report{err})
	case classLimit:
		s = s.down()
		d := delay{least: least, schedule: limitSchedule, level: s.limits}
		s.limits++
		return s, []action{report{err}, pause{d}, ended{err}}
	}
	switch {
	case r.advice.Reconnect == reconnectHandshake:
		s, acts := s.restart(err, least)
		return s, append(acts, report{err})
	case r.channel != metaHandshake && r.keepsSession():
		return s.fail(err, least)
	}
	// "None" is how Salesforce ends a session for many reasons. The application
	// asked for a stream, so a new session is tried, after a pause.
	s, acts := s.down().fail(err, least)
	return s, append(acts, ended{err})
}

// keepsSession says whether a failed reply leaves the session alive.
func (r *reply) keepsSession() bool {
	return r.advice.Interval >= 0 && (r.advice.Reconnect == "" || r.advice.Reconnect == reconnectRetry)
}

// restart makes a new session since the server says that this one is gone, the
// first time at once, then with growing pauses: a server that keeps forgetting
// us must not be asked for ever more sessions, since their number is limited.
func (s state) restart(reason error, least time.Duration) (state, []action) {
	s = s.down()
	s.clientID = ""
	d := delay{least: least}
	if s.failures > 0 {
		d.schedule, d.level = failureSchedule, s.failures-1
	}
	s.failures++
	return s, []action{pause{d}, ended{reason}}
}

// refuse handles refused credentials: others are asked for at once, and after
// that only with growing pauses, until a session has settled.
func (s state) refuse(err error, least time.Duration) (state, []action) {
	auth := &AuthError{Fresh: s.renewed, Err: err}
	if s.renewed {
		s.failures = max(s.failures, 1)
	}
	s, acts := s.restart(auth, least)
	s.credentials = credentialsRefused
	return s, append([]action{report{auth}}, acts...)
}

func (s state) subscribed(f finished, answers []*reply) (state, []action) {
	if slices.Contains(answers, nil) {
		return s.unanswered(f)
	}
	s = s.owned()
	var acts []action
	var out []string
	var last *reply // that ends the session
	for i, channel := range f.request.channels {
		r, b := answers[i], s.entry(channel, subSent)
		err := r.err()
		switch {
		case !r.ok() && sessionClass(err.class):
			if last == nil {
				last = r
			}
		case b == nil: // given up meanwhile
		case r.ok():
			b.state, b.retries = subActive, 0
			acts = append(acts, accepted{channel})
		case err.tooLarge() && len(f.request.channels) > 1:
			// Nothing is wrong with the channel.
			b.state, s = subWanted, s.smaller(f)
		default:
			more := b.refused(err)
			if b.state == subSent {
				out = append(out, channel)
			}
			acts = append(acts, more...)
		}
		if r.advice.Reconnect == reconnectHandshake && last == nil {
			last = r
		}
	}
	s = s.remove(out, subSent)
	if last == nil {
		return s, acts
	}
	var more []action
	if err := last.err(); last.ok() || !sessionClass(err.class) {
		s, more = s.restart(err, last.advice.pause()) // reported above, if at all
	} else {
		s, more = s.rejected(last, f.retryAfter)
	}
	return s, append(acts, more...)
}

// sessionClass says whether a failed subscribe means the session, not the channel.
func sessionClass(c class) bool { return c == classAuth || c == classSession }

func (c class) reason() Reason {
	switch c {
	case classBusy:
		return ReasonBusy
	case classLimit:
		return ReasonLimit
	case classReplayInvalid:
		return ReasonReplayInvalid
	case classNoChannel:
		return ReasonUnknownChannel
	case classForbidden:
		return ReasonForbidden
	}
	return ReasonOther
}

// refused is for a subscription that the server does not make. Trouble that
// passes is tried again, while the session and its other channels go on; with any
// other the entry stays as it is, and is to be removed.
func (b *subscription) refused(cause *ReplyError) []action {
	err := &SubscriptionError{Channel: b.channel, Reason: cause.class.reason(), Err: cause}
	if !Retryable(err) {
		return []action{report{err}, refused{b.channel}}
	}
	d := delay{least: cause.Advice.pause(), schedule: failureSchedule, level: b.retries}
	if err.Reason == ReasonLimit {
		d.schedule = limitSchedule
	}
	b.state, b.retries = subWaiting, b.retries+1
	return []action{report{err}, retry{b.channel, d}}
}

// unsubscribed drops the channels whatever the replies say, unless they speak
// of the session: the caller does not want them, and a next session will not
// have them.
func (s state) unsubscribed(f finished, answers []*reply) (state, []action) {
	s = s.remove(f.request.channels, subLeaving)
	for _, r := range answers {
		if r == nil {
			return s.unanswered(f)
		}
		if !r.ok() && sessionClass(r.err().class) {
			return s.rejected(r, f.retryAfter)
		}
	}
	return s, nil
}
