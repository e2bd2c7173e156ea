package orgsim

import (
	"maps"
	"math/rand/v2"
	"time"
)

// Delay is how long after its commit an event can be delivered: evenly
// distributed between Min and Max, and Tail on top of that, which is a mean and has
// no bound: one event in twenty has to wait for three times as long, one in a
// thousand for seven. Events of one channel keep their order.
type Delay struct {
	Min  time.Duration `json:"min"`
	Max  time.Duration `json:"max"`
	Tail time.Duration `json:"tail,omitempty"`
}

// UnmarshalJSON takes durations as texts.
func (d *Delay) UnmarshalJSON(raw []byte) error {
	type plain Delay
	return decodeDurations(raw, (*plain)(d), "min", "max", "tail")
}

// SetDelay sets the delay of an object's or platform event's events from now
// on; for "" that of all that have none of their own.
func (o *Org) SetDelay(object string, d Delay) error {
	if object != "" && o.objects[object] == nil {
		return errNoObject(object)
	}
	if d.Min < 0 || d.Max < 0 || d.Tail < 0 {
		return &ConfigError{"delay " + quoted(object), "a delay is not negative"}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.delays == nil {
		o.delays = map[string]Delay{}
	}
	o.delays[object] = d
	return nil
}

// delay gives a transaction's events the time from which they can be
// delivered, one for each object, never before an older event of the object.
// The caller holds o.mu.
func (o *Org) delay(events []logged) {
	if len(o.delays) == 0 {
		return
	}
	if o.due == nil {
		o.due = map[string]int64{}
	}
	drawn := map[string]bool{}
	for i := range events {
		e := &events[i]
		name := e.typ.object
		if !drawn[name] {
			drawn[name] = true
			d, ok := o.delays[name]
			if !ok {
				d = o.delays[""]
			}
			by := d.draw(o.delayRand)
			o.due[name] = max(o.due[name], e.commit+by.Milliseconds())
		}
		if at := o.due[name]; at > e.commit {
			e.due = at
		}
	}
}

// draw is a delay by chance.
func (d Delay) draw(rnd *rand.Rand) time.Duration {
	by := d.Min
	if d.Max > d.Min {
		by += time.Duration(rnd.Int64N(int64(d.Max - d.Min + 1)))
	}
	if d.Tail > 0 {
		by += time.Duration(rnd.ExpFloat64() * float64(d.Tail))
	}
	return by
}

// look is a view of the bus at the org's present time.
func (o *Org) look() view {
	v := o.bus.view()
	v.now = o.now().UnixMilli()
	return v
}

// tip is where a subscription to new events begins: behind what was delivered.
// An event on its way is new to it.
func (o *Org) tip(members []bool) int {
	v := o.look()
	o.bus.mu.Lock()
	slowest := o.bus.slowest
	o.bus.mu.Unlock()
	at := v.end
	for i := v.end - 1; slowest > 0 && i >= v.first && v.at(i).commit+slowest > v.now; i-- {
		if e := v.at(i); has(members, e.typ) && e.due > v.now {
			at = i
		}
	}
	return at
}

func (c *Config) delays() map[string]Delay { return maps.Clone(c.Delays) }
