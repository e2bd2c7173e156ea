package model

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// usual is what the bridge does on Kafka 4, with two owners at a time, crashes at
// every step, and three events in batches of one and two.
func usual() Protocol {
	return Protocol{Events: 3, Batch: 2, Moves: 1, Troubles: 2}
}

// with changes the usual.
func with(change func(*Protocol)) Protocol {
	p := usual()
	change(&p)
	return p
}

// atLeastOnce holds a protocol without transactions to repeats of what was not
// confirmed.
func atLeastOnce(p Protocol) Protocol {
	p.Delivery, p.Bounded = AtLeastOnce, true
	return p
}

// sized makes the explorations small under -short. Below the floor of states an
// exploration went wrong, and what it says to hold was not looked at.
func sized(p Protocol, floor int) (Protocol, int) {
	if testing.Short() {
		p.Events, p.Troubles, floor = 2, min(p.Troubles, 1), 50
	}
	return p, floor
}

func TestHolds(t *testing.T) {
	for name, c := range map[string]struct {
		p     Protocol
		floor int
	}{
		"Kafka 4":              {with(func(p *Protocol) { p.Repeats = true }), 450_000},
		"Kafka 4, two moves":   {Protocol{Events: 2, Batch: 1, Moves: 2, Troubles: 1, Repeats: true}, 100_000},
		"Kafka 4, four events": {Protocol{Events: 4, Batch: 2, Troubles: 2, Repeats: true}, 7_000},
		"Kafka 3.6":            {with(func(p *Protocol) { p.Broker = Kafka36 }), 300_000},
		"Kafka 3.5":            {with(func(p *Protocol) { p.Broker = Kafka35 }), 300_000},
		"eager init":           {with(func(p *Protocol) { p.Events, p.EagerInit = 2, true }), 350_000},
		"stable end":           {with(func(p *Protocol) { p.Reading = ToStableEnd }), 300_000},
		"at least once":        {Protocol{Events: 3, Batch: 2, Moves: 1, Troubles: 1, Delivery: AtLeastOnce}, 200_000},
		"at least once, one owner": {
			Protocol{Events: 4, Batch: 2, Troubles: 2, Delivery: AtLeastOnce, Bounded: true, Prompt: true}, 2_000,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, floor := sized(c.p, c.floor)
			r := Explore(p)
			t.Logf("%d states, %d steps, the farthest %d steps away", r.States, r.Steps, r.Depth)
			if r.Broken != "" {
				t.Errorf("%s:\n%s", r.Broken, strings.Join(r.Trace, "\n"))
			}
			if r.States < floor {
				t.Errorf("%d states, want at least %d", r.States, floor)
			}
		})
	}
}

func TestBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		p      Protocol
		broken string // the property
		length int    // of the shortest way there
	}{
		"no fence":                    {with(func(p *Protocol) { p.OwnID = true }), "I7", 19},
		"no new epoch":                {with(func(p *Protocol) { p.Broker, p.SameEpoch = Kafka36, true }), "I2", 15},
		"no barrier":                  {with(func(p *Protocol) { p.Reading = WhatIsThere }), "exactly once", 16},
		"no barrier, eager init":      {with(func(p *Protocol) { p.Reading, p.EagerInit = ToStableEnd, true }), "I7", 9},
		"position before records":     {with(func(p *Protocol) { p.Position = BeforeRecords }), "I2", 10},
		"position after records":      {with(func(p *Protocol) { p.Position = AfterRecords }), "exactly once", 20},
		"subscribed before owning":    {with(func(p *Protocol) { p.SubscribeFirst = true }), "exactly once", 13},
		"Kafka 3.5, aborts at once":   {with(func(p *Protocol) { p.Broker, p.AbortsAtOnce = Kafka35, true }), "I2", 17},
		"Kafka 3.6, EndTxn twice":     {with(func(p *Protocol) { p.Broker, p.Repeats = Kafka36, true }), "I2", 11},
		"at least once, late request": {atLeastOnce(Protocol{Events: 2, Batch: 1, Troubles: 1}), "the position goes back", 20},
		"at least once, two owners":   {atLeastOnce(Protocol{Events: 2, Batch: 2, Moves: 1, Prompt: true}), "the position goes back", 17},
		"at least once, both go on":   {atLeastOnce(Protocol{Events: 2, Batch: 1, Moves: 1, Prompt: true}), "bounded", 21},
	} {
		t.Run(name, func(t *testing.T) {
			r := Explore(c.p)
			t.Logf("%d steps, %d states: %s\n%s", len(r.Trace), r.States, r.Broken, strings.Join(r.Trace, "\n"))
			if !strings.HasPrefix(r.Broken, c.broken) {
				t.Errorf("broken is %q, want %q", r.Broken, c.broken)
			}
			if len(r.Trace) != c.length {
				t.Errorf("the shortest way there has %d steps, want %d", len(r.Trace), c.length)
			}
		})
	}
}

// Every rule has its part in what the other tests explore.
func TestRules(t *testing.T) {
	p := Protocol{Events: 2, Batch: 1, Moves: 1, Troubles: 1, Repeats: true}
	taken := Explore(p).Taken
	p.Position = AfterRecords
	for name, n := range Explore(p).Taken {
		taken[name] += n
	}
	for _, name := range slices.Sorted(maps.Keys(taken)) {
		if taken[name] == 0 {
			t.Errorf("%q is never taken", name)
		}
	}
}

func TestStuck(t *testing.T) {
	x := &explorer{steps: []int32{1, 2, 2}, begin: []int32{0, 2, 2}, good: []bool{false, true, false}}
	if at := x.stuck(); at != 2 {
		t.Errorf("stuck at %d, want 2", at)
	}
	x.steps[2] = 0
	if at := x.stuck(); at != -1 {
		t.Errorf("stuck at %d, want nowhere: from 2 the way leads over 0 to 1", at)
	}
}
