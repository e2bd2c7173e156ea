package orgsim

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Refusal is a scripted answer: the next Times matching requests get it in
// place of the real one.
type Refusal struct {
	// On is a Bayeux channel such as "/meta/connect", or "cometd" (any POST to
	// it), "oauth" (the token endpoint), "rest".
	On    string `json:"on"`
	Times int    `json:"times"` // default 1
	// Bayeux channels: the failed reply.
	Error         string `json:"error,omitempty"`         // such as "403::Organization total events daily limit exceeded"
	FailureReason string `json:"failureReason,omitempty"` // ext.sfdc.failureReason
	Reconnect     string `json:"reconnect,omitempty"`     // advice; "": none is sent
	// If set, an HTTP answer is given instead, whatever On is; 200 with an
	// empty Body is possible.
	HTTPStatus  int    `json:"httpStatus,omitempty"`
	Body        string `json:"body,omitempty"`
	ContentType string `json:"contentType,omitempty"` // default text/html
}

type faults struct {
	mu     sync.Mutex
	script []*Refusal
}

// take returns the next scripted refusal for on, or nil.
func (f *faults) take(on string) *Refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range f.script {
		if r.On != on {
			continue
		}
		if r.Times--; r.Times == 0 {
			f.script = append(f.script[:i:i], f.script[i+1:]...)
		}
		return r
	}
	return nil
}

func (f *Refusal) write(w http.ResponseWriter) {
	ct := f.ContentType
	if ct == "" {
		ct = "text/html;charset=UTF-8"
	}
	w.Header().Set("Content-Type", ct)
	w.WriteHeader(f.HTTPStatus)
	_, _ = w.Write([]byte(f.Body))
}

func (f *Refusal) reply(m *message) *reply {
	rep := &reply{Channel: m.Channel, ID: m.ID, ClientID: m.ClientID, Subscription: m.Subscription}
	rep.fail(f.Error, f.Reconnect)
	if f.FailureReason != "" {
		rep.because(f.FailureReason)
	}
	return rep
}

// Refuse scripts refusals.
func (o *Org) Refuse(r Refusal) {
	if r.Times <= 0 {
		r.Times = 1
	}
	if r.HTTPStatus == 0 && (r.On == "cometd" || r.On == "oauth" || r.On == "rest") {
		r.HTTPStatus = http.StatusServiceUnavailable
	}
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	o.faults.script = append(o.faults.script, &r)
}

// refused answers the request as scripted, if it is.
func (o *Org) refused(w http.ResponseWriter, on string) bool {
	f := o.faults.take(on)
	if f == nil {
		return false
	}
	o.stats.refusals.Add(1)
	f.write(w)
	return true
}

// ExpireTokens ends all access tokens and returns how many there were. Held
// connects are answered with 401::Authentication invalid at once.
func (o *Org) ExpireTokens() int {
	o.auth.mu.Lock()
	n := len(o.auth.tokens)
	clear(o.auth.tokens)
	o.auth.mu.Unlock()
	o.stats.expired.Add(int64(n))
	o.bus.wake()
	return n
}

// ForgetSessions drops all CometD sessions, as moving to another server does,
// and returns how many there were. Held connects get 403::Unknown client.
func (o *Org) ForgetSessions() int { return o.endAll(endForgotten) }

// DisconnectSessions ends all sessions with a /meta/disconnect that nobody
// asked for, as an instance refresh does.
func (o *Org) DisconnectSessions() int { return o.endAll(endServer) }

func (o *Org) endAll(why string) int {
	o.sweep()
	o.hub.mu.Lock()
	defer o.hub.mu.Unlock()
	n := 0
	now := o.now()
	for _, s := range o.hub.sessions {
		o.endLocked(s, why, now)
		n++
	}
	o.stats.forgotten.Add(int64(n))
	return n
}

// CutConnections arranges that every session's next connect reply is cut off
// after that many body bytes, and at the latest before its last one; what the
// reply held is lost to the session. With 0, held connects are cut at once. It
// returns the number of sessions concerned; Stats.Cuts counts the cuts that
// happened.
func (o *Org) CutConnections(afterBytes int) int {
	o.sweep()
	o.hub.mu.Lock()
	n := 0
	for _, s := range o.hub.sessions {
		s.mu.Lock()
		s.cutAfter = max(afterBytes, 0)
		s.mu.Unlock()
		n++
	}
	o.hub.mu.Unlock()
	o.bus.wake()
	return n
}

// ResetBus does to the event bus what a migration of the org does: nothing is
// retained any more and every replay id known so far is invalid.
func (o *Org) ResetBus() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replay += 1_000_000 + o.gapRand.Int64N(1_000_000)
	o.bus.reset(o.replay)
}

type counters struct {
	sessions, tokens, connects, published, delivered   atomic.Int64
	expired, forgotten, cuts, refusals, rest, requests atomic.Int64
}

// Stats are counters since the org was made.
type Stats struct {
	SessionsOpened    int64     `json:"sessionsOpened"`
	SessionsOpen      int       `json:"sessionsOpen"` // now
	TokensIssued      int64     `json:"tokensIssued"`
	Connects          int64     `json:"connects"`        // accepted /meta/connect messages
	EventsPublished   int64     `json:"eventsPublished"` //
	EventsDelivered   int64     `json:"eventsDelivered"` // messages written, once for each channel
	EventsRetained    int       `json:"eventsRetained"`
	RestRequests      int64     `json:"restRequests"`
	Requests          int64     `json:"requests"` // HTTP requests of all kinds but the control API
	TokensExpired     int64     `json:"tokensExpired"`
	SessionsForgotten int64     `json:"sessionsForgotten"`
	Cuts              int64     `json:"cuts"` // replies cut off in mid-body
	Refusals          int64     `json:"refusals"`
	Clock             time.Time `json:"clock"`
}

// Stats returns the counters.
func (o *Org) Stats() Stats {
	o.sweep()
	o.hub.mu.Lock()
	open := len(o.hub.sessions)
	o.hub.mu.Unlock()
	c := &o.stats
	return Stats{
		SessionsOpened: c.sessions.Load(), SessionsOpen: open, TokensIssued: c.tokens.Load(), Connects: c.connects.Load(),
		EventsPublished: c.published.Load(), EventsDelivered: c.delivered.Load(), EventsRetained: o.Retained(),
		RestRequests: c.rest.Load(), Requests: c.requests.Load(), TokensExpired: c.expired.Load(),
		SessionsForgotten: c.forgotten.Load(), Cuts: c.cuts.Load(), Refusals: c.refusals.Load(), Clock: o.now().UTC(),
	}
}
