package orgsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// strike is what a fault does to one message or request.
type strike struct {
	after   time.Duration // connects: how long they are held before
	revoke  bool          // the request's token ends
	forget  string        // the session ends, for this reason
	failure *failure      // the reply in place of the real one; nil with revoke or forget: what the org says of itself
	http    *answer       // a response of HTTP in place of one of Bayeux
	drop    bool          // the connection is closed without a response
	lost    bool          // http, drop: only after the request was carried out
	locator bool          // REST: the query locator that the request names ends
	rows    int           // REST: a page has no more
	job     *jobFate      // REST: what becomes of the bulk job that the request creates
}

// failure is a scripted reply.
type failure struct {
	text, reason string
	advice       json.RawMessage
	withID       bool // with the clientId that the client sent
	hidden       bool // the text is what hides a failureReason on that channel
	hiddenAdvice bool // advice none, but not on a subscribe
	unasked      bool // a /meta/disconnect comes before it
	silent       bool // no reply at all
	good         bool // successful
}

func (f *failure) reply(m *message) *reply {
	rep := &reply{Channel: m.Channel, ID: m.ID, Subscription: m.Subscription, Successful: f.good, Error: f.text}
	if f.withID {
		rep.ClientID = m.ClientID
	}
	raw := f.advice
	if f.hidden || f.hiddenAdvice {
		raw = json.RawMessage(adviceNone)
		if m.Channel == onSubscribe {
			raw = nil
		}
	}
	if f.hidden {
		switch m.Channel {
		case onHandshake:
			rep.Ext = map[string]any{"replay": true, "payload.format": true}
			rep.Error = "403::Handshake denied"
		case onSubscribe:
			rep.Error = "403:denied_by_security_policy:subscribe_denied"
		default:
			rep.Error = authInvalid
		}
	}
	if raw != nil {
		rep.Advice = &advice{raw: raw}
	}
	if f.reason != "" {
		rep.because(f.reason)
	}
	return rep
}

// answer is a response of HTTP.
type answer struct {
	status                                  int
	body, contentType, location, retryAfter string
}

func (a *answer) write(w http.ResponseWriter, base string) {
	w.Header().Set("Content-Type", a.contentType)
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	if a.status >= 300 && a.status < 400 {
		location := a.location
		if location == "" {
			location = base + "/?ec=302&startURL=%2Fcometd"
		}
		w.Header().Set("Location", location)
	}
	w.WriteHeader(a.status)
	if a.body != "" {
		_, _ = w.Write([]byte(a.body))
	}
}

// Places of a reply among the events of its response.
const (
	placeFirst = iota + 1
	placeMiddle
	placeLast
)

// effect is everything that faults do to one POST to /cometd. A nil effect
// does nothing.
type effect struct {
	strikes map[int]*strike // by index of the message

	advice   json.RawMessage
	noAdvice bool
	instant  bool   // a connect is not held
	end      string // the session ends when the response is written, for this reason
	silent   bool   // subscriptions are not made

	cut            int // body bytes; -1: not cut
	drip           int // bytes at a time; 0: at once
	pause, dripFor time.Duration
	gzip           bool

	place                            int // 0: as the org's Config says
	withEvents                       bool
	twice                            string
	numberIDs, noIDs                 bool
	noClientIDs                      bool
	object, extra, stamps, lowerType bool
	cookies                          []cookieChange
	clock                            []Fault // steps of the plan that happen to the org before this request
}

func (e *effect) at(i int) *strike {
	if e == nil {
		return nil
	}
	return e.strikes[i]
}

// instead returns the strike that takes the place of the whole response: one
// that comes before the org looks at the request, or after.
func (e *effect) instead(lost bool) *strike {
	if e == nil {
		return nil
	}
	for _, s := range e.strikes {
		if (s.http != nil || s.drop) && s.lost == lost && s.after == 0 {
			return s
		}
	}
	return nil
}

// dress gives a reply the form that the effect asks for.
func (e *effect) dress(rep *reply, now time.Time) ([]byte, error) {
	if rep.unasked {
		return []byte(disconnectMsg), nil
	}
	if e == nil {
		return json.Marshal(rep)
	}
	c := *rep
	if e.noClientIDs && c.Channel != onHandshake {
		c.ClientID = ""
	}
	switch {
	case e.noIDs:
		c.ID = nil
	case e.numberIDs:
		c.ID = otherForm(c.ID)
	}
	raw, err := json.Marshal(&c)
	if err != nil {
		return nil, err
	}
	tail := e.tail(now)
	if len(tail) == 0 {
		return raw, nil
	}
	return append(raw[:len(raw)-1], tail...), nil
}

// tail ends a message with what the effect adds to it.
func (e *effect) tail(now time.Time) []byte {
	var tail []byte
	if e.stamps {
		tail = append(tail, `,"timestamp":"`+now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")+`"`...)
	}
	if e.extra {
		tail = append(tail, " ,\r\n\t\"x-future\" : { \"channel\":\"/meta/handshake\",\"data\":[{\"event\":{\"replayId\":1}},null,\"\\\"]}\"] } , \"lazy\":true\n"...)
	}
	if len(tail) == 0 {
		return nil
	}
	return append(tail, '}')
}

// otherForm makes a number of a text of digits, and a text of a number.
func otherForm(id json.RawMessage) json.RawMessage {
	var n json.Number
	if inner := strings.Trim(string(id), `"`); len(id) > 0 && json.Unmarshal([]byte(inner), &n) == nil {
		if id[0] == '"' {
			return json.RawMessage(inner)
		}
		return json.RawMessage(`"` + inner + `"`)
	}
	return id
}

// MarshalJSON writes an advice that a fault gave as it is.
func (a *advice) MarshalJSON() ([]byte, error) {
	if a.raw != nil {
		return a.raw, nil
	}
	type plain advice
	return json.Marshal((*plain)(a))
}

// perform does what the strike does to token and session.
func (o *Org) perform(s *strike, access, clientID string) {
	if s.revoke {
		o.revoke(access)
	}
	if s.forget != "" {
		if victim := o.find(clientID); victim != nil {
			o.end(victim, s.forget)
		}
	}
}

// revoke ends a token; connects that are held with it are answered with 401.
func (o *Org) revoke(access string) {
	o.auth.mu.Lock()
	_, ok := o.auth.tokens[access]
	delete(o.auth.tokens, access)
	o.auth.mu.Unlock()
	if ok {
		o.stats.expired.Add(1)
		o.bus.wake()
	}
}

// deliver writes what the strike puts in place of a response, or closes the
// connection.
func (o *Org) deliver(s *strike, w http.ResponseWriter, r *http.Request) {
	if s.drop {
		panic(http.ErrAbortHandler)
	}
	s.http.write(w, o.baseURL(r))
}

// lossy is the response of a REST or OAuth request that a fault may lose after
// it was carried out.
type lossy struct {
	http.ResponseWriter
	r      *http.Request
	strike *strike
	header http.Header // of the lost response
}

func (l *lossy) Header() http.Header {
	if l.strike != nil {
		return l.header
	}
	return l.ResponseWriter.Header()
}

func (l *lossy) WriteHeader(status int) {
	if l.strike == nil {
		l.ResponseWriter.WriteHeader(status)
	}
}

func (l *lossy) Write(p []byte) (int, error) {
	if l.strike == nil {
		return l.ResponseWriter.Write(p)
	}
	return len(p), nil
}

// refused answers a REST or OAuth request as a fault wants it, and done says so. If
// the response is to be lost, or differs only in part, the request goes on.
func (o *Org) refused(w http.ResponseWriter, on string) (s *strike, done bool) {
	s = o.faults.strikeOn(o, on)
	if s == nil {
		return nil, false
	}
	o.stats.refusals.Add(1)
	l, ok := w.(*lossy)
	if !ok {
		return s, false
	}
	if s.lost {
		l.strike, l.header = s, http.Header{}
		return s, false
	}
	o.perform(s, bearer(l.r), "")
	if s.locator {
		o.forgetLocator(l.r.URL.Path)
	}
	if s.http == nil && !s.drop {
		return s, false
	}
	o.deliver(s, w, l.r)
	return s, true
}

// settle ends a request whose response was lost.
func (o *Org) settle(l *lossy) {
	if s := l.strike; s != nil {
		l.strike = nil
		o.deliver(s, l.ResponseWriter, l.r)
	}
}

// nowhere takes a response that is lost.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
