package orgsim

import (
	"context"
	"time"
)

// LoadConfig describes a lively org.
type LoadConfig struct {
	Rate    float64  `json:"rate,omitempty"`    // changes a second; 0: as fast as possible
	Seed    uint64   `json:"seed,omitempty"`    // 0: the org's
	Events  int      `json:"events,omitempty"`  // stop once that many events are published; 0: never
	Objects []string `json:"objects,omitempty"` // nil: every sObject and platform event
}

// Load makes changes as people would: mostly updates, also creates, deletes,
// undeletes, changes of several records at once, and platform events. It is
// used by one goroutine.
type Load struct {
	o      *Org
	cfg    LoadConfig
	g      *generator
	rows   []*object
	events []*object
	bin    []binned // deleted records, for undelete
	done   int
}

type binned struct {
	ob *object
	id string
}

// fewRecords is how many records an object gets before any are deleted.
const fewRecords = 10

// NewLoad prepares a load on the org.
func (o *Org) NewLoad(cfg LoadConfig) (*Load, error) {
	if cfg.Seed == 0 {
		cfg.Seed = o.cfg.Seed
	}
	l := &Load{o: o, cfg: cfg, g: newGenerator(o, cfg.Seed)}
	names := cfg.Objects
	if names == nil {
		for _, ob := range o.order {
			names = append(names, ob.def.Name)
		}
	}
	for _, name := range names {
		ob := o.objects[name]
		switch {
		case ob == nil:
			return nil, errNoObject(name)
		case ob.def.IsEvent():
			l.events = append(l.events, ob)
		default:
			l.rows = append(l.rows, ob)
		}
	}
	if len(l.rows)+len(l.events) == 0 {
		return nil, errNoObject("")
	}
	return l, nil
}

// Published is how many events the load has published.
func (l *Load) Published() int { return l.done }

// Step makes one transaction.
func (l *Load) Step() error {
	before := l.o.LedgerLen()
	err := l.o.Transact(TxOptions{Origin: "com/salesforce/api/rest/66.0;client=orgsim"}, func(tx *Tx) error {
		if len(l.rows) == 0 || len(l.events) > 0 && l.g.chance(15) {
			ob := l.events[l.g.rnd.IntN(len(l.events))]
			_, err := tx.Publish(ob.def.Name, l.g.fields(ob, false))
			return err
		}
		return l.change(tx, l.rows[l.g.rnd.IntN(len(l.rows))])
	})
	l.done += l.o.LedgerLen() - before
	return err
}

func (l *Load) change(tx *Tx, ob *object) error {
	name := ob.def.Name
	some := func() string { return ob.live[l.g.rnd.IntN(len(ob.live))].id }
	switch n := l.g.rnd.IntN(100); {
	case len(ob.live) < fewRecords || n < 22:
		_, err := tx.Create(name, l.g.fields(ob, false))
		return err
	case n < 29:
		id := some()
		l.bin = append(l.bin, binned{ob, id})
		if len(l.bin) > 100 {
			l.bin = l.bin[1:]
		}
		return tx.Delete(name, id)
	case n < 31 && len(l.bin) > 0:
		b := l.bin[len(l.bin)-1]
		l.bin = l.bin[:len(l.bin)-1]
		return tx.Undelete(b.ob.def.Name, b.id)
	case n < 34:
		// Several records get one change: usually a merged event.
		fields := l.g.fields(ob, true)
		for range 2 + l.g.rnd.IntN(3) {
			if err := tx.Update(name, some(), fields); err != nil {
				return err
			}
		}
		return nil
	default:
		return tx.Update(name, some(), l.g.fields(ob, true))
	}
}

// tick is the shortest pause between steps: above that rate steps come in bunches.
const tick = 10 * time.Millisecond

// Run steps at the configured rate until ctx ends or the number of events is
// reached; the end of ctx is no error.
func (l *Load) Run(ctx context.Context) error {
	start := time.Now()
	for steps := 0; ctx.Err() == nil && (l.cfg.Events == 0 || l.done < l.cfg.Events); steps++ {
		if l.cfg.Rate > 0 {
			due := start.Add(time.Duration(float64(steps) / l.cfg.Rate * float64(time.Second)))
			if d := time.Until(due); d > 0 && !pause(ctx, max(d, tick)) {
				return nil
			}
		}
		if err := l.Step(); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// loads is the load that runs in the background, if one does.
type loads struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// StartLoad runs a load in the background until StopLoad or Close. A load that
// runs already is stopped first.
func (o *Org) StartLoad(cfg LoadConfig) error {
	l, err := o.NewLoad(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	next := &loads{cancel: cancel, done: make(chan struct{})}
	_ = o.swapLoad(next) // how the old one ended concerns nobody now
	go func() {
		defer close(next.done)
		next.err = l.Run(ctx)
	}()
	return nil
}

// StopLoad stops the background load, waits for it, and returns what made it
// end by itself, if anything did.
func (o *Org) StopLoad() error { return o.swapLoad(nil) }

func (o *Org) swapLoad(next *loads) error {
	o.mu.Lock()
	old := o.load
	o.load = next
	o.mu.Unlock()
	if old == nil {
		return nil
	}
	old.cancel()
	<-old.done
	return old.err
}
