package orgsim

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mix says how often each kind of fault comes: for a kind that hits requests
// the chance of every request that it fits, for one that happens to the org
// the times an hour. A kind alone means requests to /cometd; "rest:http-503"
// and "oauth:http-503" mean the others.
type Mix map[string]float64

// DefaultMix has every kind that a client must come through with nothing lost
// and nothing doubled: about one request to /cometd in ten goes wrong.
func DefaultMix() Mix {
	m := Mix{"rest:http-503": .02, "rest:token-http-401": .01, "rest:reply-lost": .01, "oauth:http-503": .03, "oauth:http-html": .01, "oauth:reply-lost": .02}
	for _, k := range FaultKinds() {
		if k.Rate > 0 && !k.Hole {
			m[k.Name] = k.Rate
		}
	}
	return m
}

// Scale returns the mix with all rates multiplied.
func (m Mix) Scale(by float64) Mix {
	out := Mix{}
	for name, rate := range m {
		out[name] = rate * by
	}
	return out
}

// With returns the mix with other rates for some kinds.
func (m Mix) With(more Mix) Mix {
	out := maps.Clone(m)
	maps.Copy(out, more)
	return out
}

// Without returns the mix less some kinds.
func (m Mix) Without(kinds ...string) Mix {
	out := maps.Clone(m)
	for _, k := range kinds {
		delete(out, k)
	}
	return out
}

// FaultPlan is a schedule of faults. What it does to the n-th request of a
// kind (to the n-th /meta/connect, say) depends on its seed and n only, and
// what it does to the org on its seed and the clock: the same requests get the
// same faults.
type FaultPlan struct {
	Seed  uint64      `json:"seed"`
	Mix   Mix         `json:"mix,omitempty"`
	Steps []FaultStep `json:"steps,omitempty"`
	// The mix acts from Start to End after the plan began, by the org's clock;
	// End 0: until it is stopped.
	Start time.Duration `json:"start,omitempty"`
	End   time.Duration `json:"end,omitempty"`
	// After MaxRun requests to /cometd that went wrong in a row, the next Calm
	// ones do not: a client that does all right makes progress. Default 3 and
	// 8; MaxRun below 0: no bound.
	MaxRun int `json:"maxRun,omitempty"`
	Calm   int `json:"calm,omitempty"`
}

// FaultStep is a fault at a certain point: when the org's clock has gone At
// since the plan began or, if Request is set, at that request to /cometd,
// counted from 1.
type FaultStep struct {
	At      time.Duration `json:"at,omitempty"`
	Request int           `json:"request,omitempty"`
	Fault   Fault         `json:"fault"`
}

// UnmarshalJSON takes durations as texts.
func (p *FaultPlan) UnmarshalJSON(raw []byte) error {
	type plain FaultPlan
	return decodeDurations(raw, (*plain)(p), "start", "end")
}

// UnmarshalJSON takes durations as texts.
func (s *FaultStep) UnmarshalJSON(raw []byte) error {
	type plain FaultStep
	return decodeDurations(raw, (*plain)(s), "at")
}

// Faults is the plan of a mix by seed.
func Faults(seed uint64, mix Mix) FaultPlan { return FaultPlan{Seed: seed, Mix: mix} }

// FaultEvent is one line of the fault log.
type FaultEvent struct {
	At      time.Time `json:"at"`      // org's clock
	Request int       `json:"request"` // requests to /cometd so far
	On      string    `json:"on,omitempty"`
	Fault   Fault     `json:"fault"` // as it was, with what was left open filled in
}

// faultLog is how many lines the fault log keeps.
const faultLog = 100_000

type faults struct {
	active   atomic.Bool // something is scripted, or a plan runs
	mu       sync.Mutex
	script   []*armed
	plan     *plan
	requests int // to /cometd
	log      []FaultEvent
	counts   map[string]int

	run  sync.Mutex   // held while the plan does something to the org
	next atomic.Int64 // when it does so next, org's clock in ns; 0: never
}

// plan is a FaultPlan under way.
type plan struct {
	FaultPlan
	began    time.Time
	first    int // requests before it
	requests []mixed
	clock    []*mixed
	steps    []FaultStep // by time, those that are left
	seen     map[string]uint64
	run      int // requests in a row that went wrong
	calm     int // requests left that do not
}

// mixed is a kind with its rate.
type mixed struct {
	kind *FaultKind
	on   string // "": /cometd
	rate float64
	rnd  *rand.Rand // clock
	due  time.Time  // clock
}

// RunFaults begins a plan, in place of the one that runs.
func (o *Org) RunFaults(p FaultPlan) error {
	orDefault(&p.MaxRun, 3)
	orDefault(&p.Calm, 8)
	now := o.now()
	pl := &plan{FaultPlan: p, began: now, seen: map[string]uint64{}}
	for _, key := range sortedKeys(p.Mix) {
		m, err := pl.mixed(key, p.Mix[key])
		if err != nil {
			return err
		}
		if m.rnd != nil {
			m.due = now.Add(p.Start)
			m.again(m.due)
			pl.clock = append(pl.clock, m)
			continue
		}
		pl.requests = append(pl.requests, *m)
	}
	for _, s := range p.Steps {
		if _, err := s.Fault.check(); err != nil {
			return err
		}
		pl.steps = append(pl.steps, s)
	}
	slices.SortStableFunc(pl.steps, func(a, b FaultStep) int { return int(a.At - b.At) })
	o.faults.mu.Lock()
	pl.first = o.faults.requests
	o.faults.plan = pl
	o.faults.active.Store(true)
	o.faults.next.Store(pl.next())
	o.faults.mu.Unlock()
	o.bus.wake() // held connects look at the new plan's times
	return nil
}

// StopFaults ends the plan and takes back every fault that waits for a request.
func (o *Org) StopFaults() {
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	o.faults.plan, o.faults.script = nil, nil
	o.faults.next.Store(0)
	o.faults.active.Store(false)
}

// FaultLog is what happened so far, the last 100,000 lines of it.
func (o *Org) FaultLog() []FaultEvent {
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	return slices.Clone(o.faults.log)
}

// FaultCounts says how often each kind of fault happened.
func (o *Org) FaultCounts() map[string]int {
	o.faults.mu.Lock()
	defer o.faults.mu.Unlock()
	return maps.Clone(o.faults.counts)
}

func (f *faults) note(o *Org, fault Fault, on string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteLocked(o, fault, on)
}

func (f *faults) noteLocked(o *Org, fault Fault, on string) {
	if len(f.log) >= faultLog {
		f.log = slices.Delete(f.log, 0, faultLog/10)
	}
	f.log = append(f.log, FaultEvent{At: o.now().UTC(), Request: f.requests, On: on, Fault: fault})
	if f.counts == nil {
		f.counts = map[string]int{}
	}
	f.counts[fault.Kind]++
}

func (p *plan) mixed(key string, rate float64) (*mixed, error) {
	on, name, ok := strings.Cut(key, ":")
	if !ok {
		on, name = "", key
	}
	k, found := kindNamed(name)
	wrong := func(what string) (*mixed, error) { return nil, &ConfigError{"mix " + quoted(key), what} }
	switch {
	case !found:
		return wrong("there is no such kind of fault; GET /orgsim/faults lists them")
	case rate < 0 || math.IsNaN(rate) || !k.clock() && rate > 1:
		return wrong(fmt.Sprintf("%v is no rate", rate))
	case on != "" && !k.fits(on):
		return wrong(fmt.Sprintf("%q is none of %q", on, k.Fits))
	}
	m := &mixed{kind: k, on: on, rate: rate}
	if k.clock() {
		m.rnd = seeded(p.Seed, name, 0)
	}
	return m, nil
}

// again sets when an org's kind comes next after at.
func (m *mixed) again(at time.Time) {
	if m.rate == 0 {
		m.due = time.Time{}
		return
	}
	m.due = at.Add(time.Duration(m.rnd.ExpFloat64() / m.rate * float64(time.Hour)))
}

// seeded is a stream of its own for each name and number.
func seeded(seed uint64, name string, n uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()^(n*0x9e3779b97f4a7c15+seedFaults))) //nolint:gosec // reproducible on purpose
}

// acts reports whether the mix acts now.
func (p *plan) acts(now time.Time) bool {
	d := now.Sub(p.began)
	return d >= p.Start && (p.End == 0 || d < p.End)
}

// next is when the plan does something to the org: ns, 0 for never.
func (p *plan) next() int64 {
	var at time.Time
	for _, m := range p.clock {
		if !m.due.IsZero() && (at.IsZero() || m.due.Before(at)) {
			at = m.due
		}
	}
	for _, s := range p.steps {
		if due := p.began.Add(s.At); s.Request == 0 && (at.IsZero() || due.Before(at)) {
			at = due
		}
	}
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

// pop takes what is due at now, or nil.
func (p *plan) pop(now time.Time) *Fault {
	for i, s := range p.steps {
		if s.Request == 0 && !p.began.Add(s.At).After(now) {
			p.steps = slices.Delete(p.steps, i, i+1)
			return &s.Fault
		}
	}
	var first *mixed
	for _, m := range p.clock {
		if !m.due.IsZero() && !m.due.After(now) && (first == nil || m.due.Before(first.due)) {
			first = m
		}
	}
	if first == nil {
		return nil
	}
	at := first.due
	f := &Fault{Kind: first.kind.Name}
	first.kind.fill(f, first.rnd)
	first.again(at)
	if !p.acts(at) {
		first.due = time.Time{}
		return p.pop(now)
	}
	return f
}

// tick does to the org what is due by now: what its jobs have, and the plan.
func (o *Org) tick() {
	o.tickJobs()
	f := &o.faults
	if next := f.next.Load(); next == 0 || o.now().UnixNano() < next {
		return
	}
	f.run.Lock()
	defer f.run.Unlock()
	for {
		f.mu.Lock()
		var fault *Fault
		if f.plan != nil {
			fault = f.plan.pop(o.now())
			f.next.Store(f.plan.next())
		}
		f.mu.Unlock()
		if fault == nil || o.Inject(*fault) != nil {
			return
		}
	}
}

// untilTick is how long it is until the plan does something to the org.
func (o *Org) untilTick() (d time.Duration, ok bool) {
	next := o.faults.next.Load()
	return time.Unix(0, next).Sub(o.now()), next != 0
}
