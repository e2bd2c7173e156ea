package orgsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequest is the size of a request body that Salesforce still takes
// (Streaming API guide, limits).
const maxRequest = 32_768

const (
	authInvalid   = "401::Authentication invalid"
	unknownClient = "403::Unknown client"
	cookieName    = "BAYEUX_BROWSER"
)

// message is a Bayeux message from a client (Bayeux 1.0, 2.3).
type message struct {
	Channel                  string                     `json:"channel"`
	ClientID                 string                     `json:"clientId"`
	ID                       json.RawMessage            `json:"id"`
	Version                  string                     `json:"version"`
	ConnectionType           string                     `json:"connectionType"`
	SupportedConnectionTypes []string                   `json:"supportedConnectionTypes"`
	Subscription             json.RawMessage            `json:"subscription"`
	Ext                      map[string]json.RawMessage `json:"ext"`
	Advice                   *struct {
		Timeout *int64 `json:"timeout"`
	} `json:"advice"`
}

type advice struct {
	Interval  *int64 `json:"interval,omitempty"`
	Timeout   int64  `json:"timeout,omitempty"`
	Reconnect string `json:"reconnect"`

	raw json.RawMessage // written in place of all that
}

func adviceOf(reconnect string) *advice {
	zero := int64(0)
	return &advice{Interval: &zero, Reconnect: reconnect}
}

// reply is a message to a client.
type reply struct {
	Ext                      map[string]any  `json:"ext,omitempty"`
	MinimumVersion           string          `json:"minimumVersion,omitempty"`
	ClientID                 string          `json:"clientId,omitempty"`
	SupportedConnectionTypes []string        `json:"supportedConnectionTypes,omitempty"`
	Advice                   *advice         `json:"advice,omitempty"`
	Channel                  string          `json:"channel"`
	ID                       json.RawMessage `json:"id,omitempty"`
	Subscription             json.RawMessage `json:"subscription,omitempty"`
	Version                  string          `json:"version,omitempty"`
	Error                    string          `json:"error,omitempty"`
	Successful               bool            `json:"successful"`
	unasked                  bool            // sent by the server of its own accord: the channel alone
}

// fail makes the reply a refusal.
func (r *reply) fail(text, reconnect string) *reply {
	r.Error, r.Successful = text, false
	if reconnect != "" {
		r.Advice = adviceOf(reconnect)
	}
	return r
}

func (r *reply) because(reason string) {
	if r.Ext == nil {
		r.Ext = map[string]any{}
	}
	r.Ext["sfdc"] = map[string]string{"failureReason": reason}
}

// exchange is one POST.
type exchange struct {
	o       *Org
	r       *http.Request
	user    *user // nil: no valid token
	token   string
	alone   bool // the request holds one message only: a connect may be held
	cookie  string
	strange bool // the address is that of an instance where the org no longer lives
	replies []*reply
	owner   *session // the session that the request belongs to
	session *session // whose events go out with this response
	mute    bool     // they wait
	held    *held
	status  int // an HTTP error in place of a response
	cut     int // body bytes after which the response is cut; -1: not
	fx      *effect
	later   *strike      // waits for the connect that is held
	fired   bool         // it has come
	fresh   *http.Cookie // of the load balancer
}

// serveCometd is /cometd/<version> with any suffix.
func (o *Org) serveCometd(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	messages, status, err := readMessages(r)
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	fx := o.effectOn(messages)
	token := bearer(r)
	if st := fx.instead(false); st != nil {
		o.stats.refusals.Add(1)
		o.perform(st, token, messages[0].ClientID)
		o.deliver(st, w, r)
		return
	}
	if text := badVersion(r.URL.Path); text != "" {
		rep := &reply{Channel: messages[0].Channel, ID: messages[0].ID}
		writeJSON(w, http.StatusBadRequest, []*reply{rep.fail(text, "none")})
		return
	}
	x := &exchange{o: o, r: r, token: token, alone: len(messages) == 1, cut: -1, fx: fx, strange: o.formerHost(r.Host) != ""}
	if !x.strange {
		x.user = o.caller(token)
	}
	defer x.release()
	for i := range messages {
		if rep := x.answer(i, &messages[i]); rep != nil {
			x.replies = append(x.replies, rep)
		}
		if messages[i].Channel == onHandshake {
			break // the spec lets a handshake come alone only
		}
	}
	if st := fx.instead(true); st != nil {
		o.stats.refusals.Add(1)
		x.respond(nowhere{http.Header{}})
		o.deliver(st, w, r)
		return
	}
	x.respond(w)
}

// effectOn is what faults do to a POST; a plan's steps for the org come first.
func (o *Org) effectOn(messages []message) *effect {
	fx := o.faults.effectOn(o, messages)
	if fx != nil {
		for _, f := range fx.clock {
			_ = o.Inject(f) // it was checked when the plan began
		}
	}
	return fx
}

// answer gives a message its reply, by way of the fault that is meant for it;
// nil: none.
func (x *exchange) answer(i int, m *message) *reply {
	s := x.fx.at(i)
	switch {
	case s == nil || s.lost:
		return x.handle(m)
	case s.after > 0:
		x.later = s
		rep := x.handle(m)
		if !x.fired || s.failure == nil {
			return rep
		}
		return x.failed(s.failure, m)
	}
	x.o.perform(s, x.token, m.ClientID)
	if s.revoke {
		x.user = nil
	}
	if s.failure == nil {
		return x.handle(m)
	}
	return x.failed(s.failure, m)
}

func (x *exchange) failed(f *failure, m *message) *reply {
	x.o.stats.refusals.Add(1)
	if f.unasked {
		x.replies = append(x.replies, &reply{Channel: "/meta/disconnect", unasked: true})
	}
	if f.silent {
		return nil
	}
	return f.reply(m)
}

func (x *exchange) release() {
	if x.held != nil {
		x.session.finish(x.held, x.o.now())
	}
	if x.later != nil && !x.fired && x.owner != nil {
		// The connect was answered before its fault came: it meets the next one.
		x.o.perform(x.later, x.token, x.owner.id)
	}
	if x.fx != nil && x.fx.end != "" && x.session != nil {
		x.o.end(x.session, x.fx.end)
	}
}

// readMessages reads the body: an array of messages or one bare message, as
// JSON or in the form field "message".
func readMessages(r *http.Request) ([]message, int, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil {
		return nil, http.StatusBadRequest, errors.New("unreadable request body")
	}
	if len(body) > maxRequest {
		return nil, http.StatusRequestEntityTooLarge, requestSizeError{}
	}
	switch ct, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); ct {
	case "application/json", "text/json":
	case "application/x-www-form-urlencoded":
		r.Body = io.NopCloser(bytes.NewReader(body))
		body = []byte(r.FormValue("message"))
	default:
		return nil, http.StatusInternalServerError, errors.New("content type is not application/json")
	}
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '{' {
		body = append(append([]byte{'['}, body...), ']')
	}
	var messages []message
	if err := json.Unmarshal(body, &messages); err != nil || len(messages) == 0 {
		return nil, http.StatusBadRequest, errors.New("malformed Bayeux message")
	}
	return messages, 0, nil
}

// requestSizeError has Salesforce's words.
type requestSizeError struct{}

func (requestSizeError) Error() string { return "Maximum Request Size Exceeded" }

// badVersion returns Salesforce's text for a path without a usable version.
func badVersion(path string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, "/cometd"), "/")
	rest = strings.TrimPrefix(rest, "replay/")
	version, _, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseFloat(version, 64)
	switch {
	case err != nil:
		return "400::API version in the URI is mandatory. URI format: '/cometd/66.0'"
	case n < 37:
		return "400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'"
	}
	return ""
}

func (x *exchange) handle(m *message) *reply {
	rep := &reply{Channel: m.Channel, ID: m.ID}
	if m.Channel == "/meta/handshake" {
		return x.handshake(m, rep)
	}
	if !slices.Contains([]string{"/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect"}, m.Channel) {
		return rep.fail("403:denied_by_security_policy:publish_denied", "")
	}
	rep.ClientID = m.ClientID
	s, refusal := x.sessionOf(m, rep)
	if refusal != nil {
		return refusal
	}
	x.owner = s
	switch m.Channel {
	case "/meta/connect":
		return x.connect(m, s, rep)
	case "/meta/subscribe":
		return x.subscribe(m, s, rep)
	case "/meta/unsubscribe":
		rep.Subscription = m.Subscription
		for _, ch := range channelNames(m.Subscription) {
			s.unsubscribe(ch, x.o.now())
		}
	case "/meta/disconnect":
		x.o.end(s, endDisconnected)
	}
	rep.Successful = true
	return rep
}

// sessionOf finds the message's session, or makes rep its refusal.
func (x *exchange) sessionOf(m *message, rep *reply) (s *session, refusal *reply) {
	switch {
	case x.strange:
		rep.ClientID = ""
		return nil, rep.fail(unknownClient, "handshake")
	case x.user == nil:
		return nil, rep.fail(x.authError(), "none")
	case m.ClientID == "":
		return nil, rep.fail("403::Client has not completed handshake", "handshake")
	}
	s = x.o.find(m.ClientID)
	if s != nil && x.strayed(s) {
		x.o.end(s, endStrayed)
		s = nil
	}
	switch {
	case s == nil:
		rep.ClientID = ""
		return nil, rep.fail(unknownClient, "handshake")
	case !x.o.cfg.NoCookies && !s.knows(x.r):
		return nil, rep.fail(fmt.Sprintf("400::Client %s has established a session, but no %s cookie present", s.id, cookieName), "handshake")
	case s.user != x.user:
		return nil, rep.fail("400::Authenticated user id does not match the session's user id", "handshake")
	}
	return s, nil
}

func (x *exchange) authError() string {
	if x.token == "" {
		return "401::Request requires authentication"
	}
	return authInvalid
}

func (x *exchange) handshake(m *message, rep *reply) *reply {
	rep.Ext = map[string]any{"replay": true, "payload.format": true}
	switch {
	case x.user == nil:
		rep.fail("403::Handshake denied", "none").because(x.authError())
		rep.Advice.Interval = nil // as in every log of it
		return rep
	case x.user.NoStreaming:
		return rep.fail("403::User not enabled for streaming", "none")
	case !slices.Contains(m.SupportedConnectionTypes, "long-polling"):
		return rep.fail(fmt.Sprintf("400::Invalid connection type {%s}", strings.Join(m.SupportedConnectionTypes, ",")), "none")
	}
	var browser string
	if c, err := x.r.Cookie(cookieName); err == nil {
		browser = c.Value
	}
	s, ok := x.o.open(x.user, browser)
	if !ok {
		return rep.fail("403::Organization concurrent user limit exceeded", "none")
	}
	x.cookie, x.owner = s.cookie, s
	if x.o.cfg.Affinity > 0 {
		x.bind(s, x.o.cfg.Affinity)
	}
	rep.ClientID, rep.Successful = s.id, true
	rep.Version, rep.MinimumVersion, rep.SupportedConnectionTypes = "1.0", "1.0", []string{"long-polling"}
	return rep
}

// connect answers the first connect of a session at once, with advice, and
// holds later ones until there is something to say.
func (x *exchange) connect(m *message, s *session, rep *reply) *reply {
	if m.ConnectionType != "long-polling" {
		return rep.fail(fmt.Sprintf("400::Invalid connection type {%s}", m.ConnectionType), "")
	}
	if x.o.exhausted(onConnect) {
		return rep.fail(deliverText, "none")
	}
	h, first := s.begin()
	if h == nil {
		rep.ClientID = ""
		return rep.fail(unknownClient, "handshake")
	}
	x.session, x.held = s, h
	x.o.stats.connects.Add(1)
	rep.Successful = true
	if first {
		rep.Advice = adviceOf("retry")
		rep.Advice.Timeout = x.o.cfg.Hold.Milliseconds()
		x.advise(rep)
		return rep
	}
	hold := x.o.cfg.Hold
	if m.Advice != nil && m.Advice.Timeout != nil {
		hold = min(hold, time.Duration(*m.Advice.Timeout)*time.Millisecond)
	}
	if x.later == nil && x.o.cfg.ProxyCut > 0 {
		x.later = x.o.proxy()
	}
	if x.alone && hold > 0 && (x.fx == nil || !x.fx.instant) {
		x.wait(s, h, hold, rep)
	}
	if rep.Successful {
		x.cut = s.takeCut()
		x.advise(rep)
	}
	return rep
}

// advise puts a fault's advice into a good connect reply.
func (x *exchange) advise(rep *reply) {
	switch {
	case x.fx == nil:
	case x.fx.noAdvice:
		rep.Advice = nil
	case x.fx.advice != nil:
		rep.Advice = &advice{raw: x.fx.advice}
	}
}

// wait holds the connect; it returns when events wait, time is up, the client
// is gone, or something ended the session or the token.
func (x *exchange) wait(s *session, h *held, hold time.Duration, rep *reply) {
	began := time.Now()
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for {
		changed := x.o.bus.changed()
		if x.o.caller(x.token) == nil {
			rep.fail(authInvalid, "none")
			return
		}
		ready, due := s.waiting(x.o.look())
		if ready && x.o.allowance() == 0 {
			if x.o.exhausted(onConnect) {
				rep.fail(deliverText, "none")
				return
			}
			ready = false
		}
		if ready || s.cutNow() {
			return
		}
		gone := time.Since(began)
		if gone >= hold {
			return
		}
		if x.later != nil && !x.fired && gone >= x.later.after {
			x.fired = true
			x.o.perform(x.later, x.token, s.id)
			if x.later.http != nil || x.later.drop || x.later.failure != nil {
				return
			}
			continue
		}
		timer.Reset(x.nap(hold-gone, gone, due))
		select {
		case <-changed:
		case <-timer.C:
			x.o.tick()
		case <-x.r.Context().Done():
			return
		case <-h.done:
			x.interrupted(h.why, rep)
			return
		}
	}
}

// nap is how long a held connect can wait until there is something to look at:
// the end of its time, the fault that is meant for it, the next event that is
// on its way, the plan's next fault.
func (x *exchange) nap(left, gone time.Duration, due int64) time.Duration {
	d := left
	if x.later != nil && !x.fired {
		d = min(d, x.later.after-gone)
	}
	if due > 0 {
		d = min(d, time.UnixMilli(due).Sub(x.o.now()))
	}
	if tick, ok := x.o.untilTick(); ok {
		d = min(d, tick)
	}
	return max(d, min(left, time.Millisecond)) // a clock that stands still is no reason to spin
}

// interrupted answers a connect that ended because of something else.
func (x *exchange) interrupted(why string, rep *reply) {
	switch why {
	case endReplaced:
		x.status = x.o.cfg.DuplicateStatus
	case endDisconnected:
		rep.Advice = adviceOf("none")
	case endServer:
		// As seen in instance refreshes: an unasked disconnect, then the connect fails.
		rep.fail(authInvalid, "none")
		x.replies = append(x.replies, &reply{Channel: "/meta/disconnect", unasked: true})
	default:
		rep.ClientID = ""
		rep.fail(unknownClient, "handshake")
	}
}
