package orgsim

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// effectOn decides what happens to a POST to /cometd: what is scripted for it,
// and what the plan has. It is nil when that is nothing.
func (f *faults) effectOn(o *Org, messages []message) *effect {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if !f.active.Load() {
		return nil
	}
	e := &effect{cut: -1, strikes: map[int]*strike{}}
	d := drawing{o: o, f: f, e: e, messages: messages}
	for _, a := range slices.Clone(f.script) {
		if e.instead(false) != nil {
			break
		}
		d.script(a)
	}
	if f.plan != nil {
		d.planned(f.plan)
	}
	if d.hits == 0 {
		return nil
	}
	return e
}

// drawing is one POST for which an effect is put together.
type drawing struct {
	o        *Org
	f        *faults
	e        *effect
	messages []message
	hits     int
}

// script applies a scripted fault to the messages that it fits.
func (d *drawing) script(a *armed) {
	for i := range d.messages {
		m := &d.messages[i]
		if !a.hits(a.kind, m.Channel, m.ClientID) || a.kind.strike != nil && d.e.strikes[i] != nil {
			continue
		}
		if a.Skip > 0 {
			a.Skip--
			continue
		}
		once := a.Fault
		a.kind.fill(&once, nil)
		d.hit(a.kind, &once, i)
		if d.f.use(a) || a.kind.strike == nil || d.e.instead(false) != nil {
			return
		}
	}
}

// use counts one of the fault's times down and reports whether it was the last.
func (f *faults) use(a *armed) bool {
	if a.Times--; a.Times > 0 {
		return false
	}
	f.script = slices.DeleteFunc(f.script, func(b *armed) bool { return a == b })
	f.active.Store(len(f.script) > 0 || f.plan != nil)
	return true
}

func (d *drawing) hit(k *FaultKind, fault *Fault, i int) {
	d.hits++
	on := d.messages[i].Channel
	if k.strike == nil {
		k.apply(fault, d.e)
	} else {
		s := k.strike(fault)
		if on != onConnect {
			s.after = 0 // nothing else is held
		}
		d.e.strikes[i] = s
	}
	d.f.noteLocked(d.o, *fault, on)
}

// planned applies the plan's step for this request and draws from its mix.
func (d *drawing) planned(p *plan) {
	at := d.f.requests - p.first
	for i := 0; i < len(p.steps); i++ {
		s := p.steps[i]
		if s.Request == 0 || s.Request > at {
			continue
		}
		k, err := s.Fault.check()
		if err != nil {
			continue
		}
		if k.clock() {
			// Others may hold the locks that it needs: the request does it, see serveCometd.
			d.e.clock = append(d.e.clock, s.Fault)
			d.hits++
		} else if j := slices.IndexFunc(d.messages, func(m message) bool { return s.Fault.hits(k, m.Channel, m.ClientID) }); j >= 0 && d.e.strikes[j] == nil {
			k.fill(&s.Fault, nil)
			d.hit(k, &s.Fault, j)
		} else {
			continue // the next request that it fits gets it
		}
		p.steps = slices.Delete(p.steps, i, i+1)
		i--
	}
	on := d.messages[0].Channel
	if !p.acts(d.o.now()) || !strings.HasPrefix(on, "/meta/") {
		return
	}
	p.seen[on]++
	rnd := seeded(p.Seed, on, p.seen[on])
	d.hard(p, on, rnd)
	for _, m := range p.requests {
		if m.kind.Shape && m.on == "" && m.kind.fits(on) && rnd.Float64() < m.rate {
			d.random(m.kind, rnd)
		}
	}
}

// hard draws at most one fault that makes the request fail.
func (d *drawing) hard(p *plan, on string, rnd *rand.Rand) {
	k := p.pick(rnd, func(m mixed) bool { return m.on == "" && m.kind.fits(on) })
	switch {
	case p.calm > 0:
		p.calm--
	case k == nil || len(d.e.strikes) > 0:
		p.run = 0
	default:
		if p.run++; p.run >= p.MaxRun && p.MaxRun > 0 {
			p.run, p.calm = 0, p.Calm
		}
		d.random(k, rnd)
	}
}

// pick draws one of the kinds that make a request fail, by their rates, or none.
func (p *plan) pick(rnd *rand.Rand, fits func(mixed) bool) *FaultKind {
	u := rnd.Float64()
	for _, m := range p.requests {
		if m.kind.Shape || !fits(m) {
			continue
		}
		if u -= m.rate; u < 0 {
			return m.kind
		}
	}
	return nil
}

// random applies a kind to one of the messages that it fits.
func (d *drawing) random(k *FaultKind, rnd *rand.Rand) {
	var fit []int
	for i := range d.messages {
		if k.fits(d.messages[i].Channel) {
			fit = append(fit, i)
		}
	}
	fault := Fault{Kind: k.Name, On: d.messages[fit[0]].Channel}
	k.fill(&fault, rnd)
	d.hit(k, &fault, fit[rnd.IntN(len(fit))])
}

// strikeOn decides what happens to a request to "rest" or "oauth"; nil: nothing.
func (f *faults) strikeOn(o *Org, on string) *strike {
	if !f.active.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.script {
		if a.kind.strike == nil || !a.hits(a.kind, on, "") {
			continue
		}
		if a.Skip > 0 {
			a.Skip--
			continue
		}
		once := a.Fault
		a.kind.fill(&once, nil)
		f.use(a)
		f.noteLocked(o, once, on)
		return a.kind.strike(&once)
	}
	p := f.plan
	if p == nil || !p.acts(o.now()) {
		return nil
	}
	whole, _, part := strings.Cut(on, "/")
	k, rnd := p.draw(whole)
	if k == nil && part {
		k, rnd = p.draw(on)
	}
	if k == nil {
		return nil
	}
	fault := Fault{Kind: k.Name, On: on}
	k.fill(&fault, rnd)
	f.noteLocked(o, fault, on)
	return k.strike(&fault)
}

// draw is what the mix has for the next request of a name.
func (p *plan) draw(on string) (*FaultKind, *rand.Rand) {
	p.seen[on]++
	rnd := seeded(p.Seed, on, p.seen[on])
	return p.pick(rnd, func(m mixed) bool { return m.on == on }), rnd
}
