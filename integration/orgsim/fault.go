package orgsim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that goes wrong. Kind decides what; the other members
// narrow down which requests it hits and replace what the kind would choose.
// In JSON durations are texts such as "30s".
type Fault struct {
	Kind string `json:"kind"` // one of FaultKinds or QueryFaultKinds
	// On is a Bayeux channel such as "/meta/connect", "cometd" (any of them),
	// "rest", a part of it such as "rest/query", or "oauth"; "": whatever the kind fits.
	On       string `json:"on,omitempty"`
	ClientID string `json:"clientId,omitempty"` // only requests of this session
	Skip     int    `json:"skip,omitempty"`     // fitting requests that pass unharmed before
	Times    int    `json:"times,omitempty"`    // fitting requests that are hit; default 1
	Mode     string `json:"mode,omitempty"`     // variation; "": the kind's first one

	// After is how long a connect is held before. One that is answered earlier,
	// since there are events or it is the first, is spared; what the fault does
	// to token and session then follows it.
	After    time.Duration `json:"after,omitempty"`
	Bytes    int           `json:"bytes,omitempty"`    // cut: body bytes that still come, below 0: none; drip: bytes at a time
	Interval time.Duration `json:"interval,omitempty"` // drip: pause; advice and cookies: their time
	For      time.Duration `json:"for,omitempty"`      // drip and outage: how long it lasts

	Error         string          `json:"error,omitempty"`         // reply: such as "403::Organization total events daily limit exceeded"
	FailureReason string          `json:"failureReason,omitempty"` // reply: ext.sfdc.failureReason
	Advice        json.RawMessage `json:"advice,omitempty"`        // reply, advice: the whole advice member
	Status        int             `json:"status,omitempty"`        // http
	Body          string          `json:"body,omitempty"`          // http
	ContentType   string          `json:"contentType,omitempty"`   // http; default text/html
	Location      string          `json:"location,omitempty"`      // http 3xx, instance-moved: the new address
	Channel       string          `json:"channel,omitempty"`       // starvation: "": any that is subscribed to
}

// UnmarshalJSON takes durations as texts.
func (f *Fault) UnmarshalJSON(raw []byte) error {
	type plain Fault
	return decodeDurations(raw, (*plain)(f), "after", "interval", "for")
}

// decodeDurations decodes a JSON object strictly, the named members of which
// are durations: a text such as "1m30s", or nanoseconds.
func decodeDurations(raw []byte, v any, names ...string) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	for _, name := range names {
		var text string
		if json.Unmarshal(members[name], &text) != nil {
			continue
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%s is %q, want a duration such as 90s", name, text)
		}
		members[name] = fmt.Appendf(nil, "%d", int64(d))
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// FaultKind describes one kind of fault; the package documentation has them all.
type FaultKind struct {
	Name  string   `json:"name"`
	Text  string   `json:"text"`
	Fits  []string `json:"fits,omitempty"`  // requests it can hit; none: it happens to the org, by its clock
	Modes []string `json:"modes,omitempty"` // variations
	Rate  float64  `json:"rate"`            // in DefaultMix
	// Shape: only the form of a good response differs.
	Shape bool `json:"shape,omitempty"`
	// Hole: something may be missing that no new session brings back, so the
	// kind is not in DefaultMix.
	Hole bool `json:"hole,omitempty"`

	strike func(f *Fault) *strike    // what happens to one message
	apply  func(f *Fault, e *effect) // what happens to the response
	run    func(o *Org, f *Fault)    // what happens to the org
	draw   func(f *Fault, r *rand.Rand)
}

// cometdChannels are the requests that "cometd" stands for.
func cometdChannels() []string {
	return []string{"/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/unsubscribe", "/meta/disconnect"}
}

// FaultKinds lists every kind of fault that a stream can meet; QueryFaultKinds has
// those of queries and jobs.
func FaultKinds() []FaultKind {
	return slices.Concat(plainKinds(), tokenKinds(), sessionKinds(), limitKinds(), adviceKinds(), httpKinds(), bodyKinds(), shapeKinds(), cookieKinds(), orgKinds())
}

func kindNamed(name string) (*FaultKind, bool) {
	all := slices.Concat(FaultKinds(), QueryFaultKinds())
	i := slices.IndexFunc(all, func(k FaultKind) bool { return k.Name == name })
	if i < 0 {
		return nil, false
	}
	return &all[i], true
}

// fits reports whether the kind can hit such a request.
func (k *FaultKind) fits(on string) bool {
	return slices.Contains(k.Fits, on) || strings.HasPrefix(on, "/meta/") && slices.Contains(k.Fits, "cometd") ||
		slices.Contains(restParts(), on) && slices.Contains(k.Fits, "rest")
}

// clock reports whether the kind happens to the org and not to a request.
func (k *FaultKind) clock() bool { return k.run != nil }

// fill sets what the fault leaves open: with rnd as it comes, without the
// plainest choice.
func (k *FaultKind) fill(f *Fault, rnd *rand.Rand) {
	if f.Mode == "" && len(k.Modes) > 0 {
		f.Mode = k.Modes[0]
		if rnd != nil {
			f.Mode = k.Modes[rnd.IntN(len(k.Modes))]
		}
	}
	if k.draw != nil {
		k.draw(f, rnd)
	}
}

// check finds what cannot be meant.
func (f *Fault) check() (*FaultKind, error) {
	k, ok := kindNamed(f.Kind)
	wrong := func(what string) (*FaultKind, error) {
		return nil, &ConfigError{"fault " + quoted(f.Kind), what}
	}
	switch {
	case !ok:
		return wrong("there is no such kind; GET /orgsim/faults lists them")
	case f.Mode != "" && !slices.Contains(k.Modes, f.Mode):
		return wrong(fmt.Sprintf("mode %q is none of %q", f.Mode, k.Modes))
	case f.On != "" && f.On != "cometd" && !k.fits(f.On), f.On == "cometd" && !slices.ContainsFunc(cometdChannels(), k.fits):
		return wrong(fmt.Sprintf("on %q is none of %q", f.On, k.Fits))
	case f.Advice != nil && !json.Valid(f.Advice):
		return wrong("advice is not JSON")
	case f.Kind == "http" && f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return wrong(fmt.Sprintf("status %d is not an HTTP status of a response", f.Status))
	}
	return k, nil
}

// hits reports whether the fault is meant for a message or request of that name.
func (f *Fault) hits(k *FaultKind, on, clientID string) bool {
	switch {
	case f.ClientID != "" && f.ClientID != clientID, !k.fits(on):
		return false
	case f.On == "cometd":
		return strings.HasPrefix(on, "/meta/")
	}
	return f.On == "" || f.On == on || strings.HasPrefix(on, f.On+"/")
}

// Inject makes a fault happen: one of the org's own kinds at once, another to
// the next requests that it fits.
func (o *Org) Inject(f Fault) error {
	k, err := f.check()
	if err != nil {
		return err
	}
	f.Times = max(f.Times, 1)
	if k.clock() {
		k.fill(&f, nil)
		k.run(o, &f)
		o.faults.note(o, f, "")
		return nil
	}
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	o.faults.script = append(o.faults.script, &armed{Fault: f, kind: k})
	o.faults.active.Store(true)
	return nil
}

// armed is a scripted fault that waits for its requests.
type armed struct {
	Fault
	kind *FaultKind
}

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

// Refuse scripts refusals: Inject with the kinds "reply" and "http".
func (o *Org) Refuse(r Refusal) error {
	f := Fault{Kind: "reply", On: r.On, Times: r.Times, Error: r.Error, FailureReason: r.FailureReason, Status: r.HTTPStatus, Body: r.Body, ContentType: r.ContentType}
	if r.Reconnect != "" {
		f.Advice = fmt.Appendf(nil, `{"interval":0,"reconnect":%q}`, r.Reconnect)
	}
	if r.HTTPStatus != 0 || !strings.HasPrefix(r.On, "/") {
		f.Kind = "http"
	}
	return o.Inject(f)
}
