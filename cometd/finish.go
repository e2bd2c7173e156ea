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
	events  int  // data messages in the reply
	quick   bool // answered faster than a held connect can be
	// retryAfter is what an HTTP header asked for.
	retryAfter time.Duration
}

func (s state) finished(f finished) (state, []action) {
	if f.request.kind == kindSubscribe {
		s = s.recall(f)
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
		s.batch = 1 // whatever it was, a smaller request is less to stumble over
	}
	s, acts := s.down().fail(f.err, f.retryAfter)
	return s, append(acts, ended{f.err})
}

// recall makes wanted again what a subscribe request did not carry: all of it,
// or what did not fit.
func (s state) recall(f finished) state {
	for _, channel := range s.in(subSent, len(s.subs)) {
		if f.outcome == unsent || !slices.Contains(f.request.channels, channel) {
			s = s.update(channel, subSent, func(b *subscription) { b.state = subWanted })
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
			s.clientID = ""
			return s.restart(r.err(), r.advice.pause())
		}
		if at := f.match(r); at >= 0 && answers[at] == nil {
			answers[at] = r
			if r.hasAdvice {
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
		return s.rejected(r)
	}
	switch {
	case r.clientID == "":
		return s.unanswered(f)
	case !r.offersLongPolling():
		return s.fail(ErrNoLongPolling, 0)
	case !r.replay:
		s.clientID = r.clientID // so that Close frees it
		return s.fail(ErrNoReplay, 0)
	}
	s.phase, s.clientID = phaseFresh, r.clientID
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
		return s.rejected(r)
	}
	if r.hasAdvice {
		switch r.advice.Reconnect {
		case reconnectHandshake:
			return s.restart(nil, r.advice.pause())
		case reconnectNone:
			s, acts := s.down().fail(r.err(), r.advice.pause())
			return s, append(acts, ended{r.err()})
		}
	}
	if s.advice.Interval < 0 {
		s, acts := s.down().fail(r.err(), 0)
		return s, append(acts, ended{r.err()})
	}
	// Only a connect that is held, and whose reply lets the session go on, shows
	// that session and credentials are good: until then failures count on.
	held := !f.request.atOnce
	if held {
		s.failures, s.limits, s.renewed = 0, 0, false
	}
	s.phase = phaseLive
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

// rejected handles a failed reply that concerns the whole session.
func (s state) rejected(r *reply) (state, []action) {
	err := r.err()
	least := r.advice.pause()
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
		s.clientID = ""
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

// restart makes a new session, the first time at once, then with growing
// pauses: a server that keeps forgetting us must not be asked for ever more
// sessions, since their number is limited.
func (s state) restart(reason error, least time.Duration) (state, []action) {
	s = s.down()
	d := delay{least: least}
	if s.failures > 0 {
		d.schedule, d.level = failureSchedule, s.failures-1
	}
	s.failures++
	return s, []action{pause{d}, ended{reason}}
}

// refuse handles refused credentials: others are asked for at once, and after
// that only with growing pauses, until a connect has succeeded.
func (s state) refuse(err error, least time.Duration) (state, []action) {
	s = s.down()
	s.clientID = ""
	s.credentials = credentialsRefused
	fresh := s.renewed
	auth := &AuthError{Fresh: fresh, Err: err}
	if !fresh {
		return s, []action{report{auth}, pause{delay{least: least}}, ended{auth}}
	}
	s, acts := s.fail(auth, least)
	return s, append(acts, ended{auth})
}

func (s state) subscribed(f finished, answers []*reply) (state, []action) {
	var acts []action
	var last *reply // that ends the session
	for i, channel := range f.request.channels {
		r := answers[i]
		switch {
		case r == nil:
			return s.unanswered(f)
		case !r.ok() && sessionClass(r.err().class):
			if last == nil {
				last = r
			}
		case !s.has(channel, subSent): // given up meanwhile
		case r.ok():
			s = s.update(channel, subSent, func(b *subscription) { b.state, b.retries = subActive, 0 })
			acts = append(acts, accepted{channel})
		default:
			var more []action
			s, more = s.refusedChannel(channel, r)
			acts = append(acts, more...)
		}
		if r.advice.Reconnect == reconnectHandshake && last == nil {
			last = r
		}
	}
	if last == nil {
		return s, acts
	}
	var more []action
	if err := last.err(); last.ok() || !sessionClass(err.class) {
		s, more = s.restart(err, last.advice.pause()) // reported above, if at all
	} else {
		s, more = s.rejected(last)
	}
	return s, append(acts, more...)
}

// sessionClass says whether a failed subscribe means the session, not the channel.
func sessionClass(c class) bool { return c == classAuth || c == classSession }

func (s state) has(channel string, in subscriptionState) bool {
	return slices.ContainsFunc(s.subs, func(b subscription) bool {
		return b.channel == channel && b.state == in
	})
}

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

// refusedChannel handles a subscription that the server does not make. Trouble
// that passes is tried again while the session and its other channels go on.
func (s state) refusedChannel(channel string, r *reply) (state, []action) {
	cause := r.err()
	err := &SubscriptionError{Channel: channel, Reason: cause.class.reason(), Err: cause}
	acts := []action{report{err}}
	if !Retryable(err) {
		s = s.remove(channel, subSent)
		return s, append(acts, refused{channel})
	}
	d := delay{least: r.advice.pause(), schedule: failureSchedule}
	if err.Reason == ReasonLimit {
		d.schedule = limitSchedule
	}
	s = s.update(channel, subSent, func(b *subscription) {
		d.level = b.retries
		b.state, b.retries = subWaiting, b.retries+1
	})
	return s, append(acts, retry{channel, d})
}

// unsubscribed drops the channels whatever the replies say, unless they speak
// of the session: the caller does not want them, and a next session will not
// have them.
func (s state) unsubscribed(f finished, answers []*reply) (state, []action) {
	for _, channel := range f.request.channels {
		s = s.remove(channel, subLeaving)
	}
	for _, r := range answers {
		if r == nil {
			return s.unanswered(f)
		}
		if !r.ok() && sessionClass(r.err().class) {
			return s.rejected(r)
		}
	}
	return s, nil
}
