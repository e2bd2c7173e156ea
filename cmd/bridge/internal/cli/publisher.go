package cli

import (
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// publisher makes the demo's org lively, up to an exact number of records.
type publisher struct {
	org     *orgsim.Org
	lively  *orgsim.Load
	single  *orgsim.Load // one record each: to hit the number exactly
	events  int
	rate    float64
	counted int // ledger entries that records counts
	records int
	began   time.Time
	steps   int
}

// maxRecordsAStep is the most that one change in the org can become: several
// records changed alike are one merged event and one record each.
const maxRecordsAStep = 8

func newPublisher(org *orgsim.Org, opts demoOptions) (*publisher, error) {
	lively, err := org.NewLoad(orgsim.LoadConfig{})
	if err != nil {
		return nil, err
	}
	single, err := org.NewLoad(orgsim.LoadConfig{Objects: []string{"Order__e"}})
	if err != nil {
		return nil, err
	}
	return &publisher{org: org, lively: lively, single: single, events: opts.events, rate: opts.rate, began: time.Now()}, nil
}

// step makes one change, and says whether more are wanted.
func (p *publisher) step() (bool, error) {
	load := p.lively
	if p.events > 0 && p.events-p.records <= maxRecordsAStep {
		load = p.single
	}
	if err := load.Step(); err != nil {
		return false, err
	}
	for e := range p.org.LedgerFrom(p.counted) {
		p.counted++
		p.records += max(1, len(e.RecordIDs))
	}
	p.steps++
	return p.events == 0 || p.records < p.events, nil
}

// pace returns a channel that is ready when the next step is due.
func (p *publisher) pace() <-chan time.Time {
	if p.rate == 0 {
		return time.After(0)
	}
	return time.After(time.Until(p.began.Add(time.Duration(float64(p.steps) / p.rate * float64(time.Second)))))
}
