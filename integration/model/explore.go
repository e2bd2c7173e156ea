package model

import (
	"hash/maphash"
	"slices"
)

// Result is what an exploration found.
type Result struct {
	States, Steps int
	Depth         int            // steps to the state that is farthest from the beginning
	Taken         map[string]int // steps by rule
	// Broken is the property that does not hold, Trace a shortest way to where it
	// does not.
	Broken string
	Trace  []string
}

// explorer visits every state once, the nearer ones first. Of a state that was
// visited only a hash is kept: among half a million the odds that any two share
// one are one in a hundred million, and the seed is another in each run.
type explorer struct {
	p       Protocol
	rules   []rule
	taken   []int // by rule
	seed    maphash.Seed
	visited map[uint64]int32 // number of a state, in the order of visits
	parent  []int32
	good    []bool  // all is delivered
	steps   []int32 // where each step leads to, in the order of what they lead away from
	begin   []int32 // of a state's steps
}

// Explore takes every step from every state that can be reached, until a property
// is broken or there is none left. It panics if the bounds of the protocol need
// more room than a state has.
func Explore(p Protocol) Result {
	x := &explorer{p: p, rules: rules(), seed: maphash.MakeSeed(), visited: make(map[uint64]int32)}
	x.taken = make([]int, len(x.rules))
	first := x.first()
	x.visit(&first, -1)
	depth := 0
	for level := []state{first}; len(level) > 0; depth++ {
		var next []state
		for i := range level {
			if why := level[i].broken(p); why != "" {
				return x.result(depth, why, x.visited[x.hash(&level[i])])
			}
			next = x.expand(&level[i], next)
		}
		level = next
	}
	if at := x.stuck(); at >= 0 {
		return x.result(depth-1, "liveness: from here, not all events can become visible any more", at)
	}
	return x.result(depth-1, "", 0)
}

func (x *explorer) first() state {
	return state{moves: uint8(x.p.Moves), troubles: uint8(x.p.Troubles)}
}

func (x *explorer) hash(s *state) uint64 { return maphash.Comparable(x.seed, *s) }

// expand takes all steps from the state that was visited first of those that
// were not expanded, and appends the new ones of what they lead to.
func (x *explorer) expand(s *state, fresh []state) []state {
	from := int32(len(x.begin))
	x.begin = append(x.begin, int32(len(x.steps)))
	for i := range x.rules {
		x.rules[i].next(x.p, *s, func(_ about, to state) {
			to.canonical(x.p)
			x.taken[i]++
			at, known := x.visited[x.hash(&to)]
			if !known {
				at = x.visit(&to, from)
				fresh = append(fresh, to)
			}
			x.steps = append(x.steps, at)
		})
	}
	return fresh
}

func (x *explorer) visit(s *state, from int32) int32 {
	at := int32(len(x.parent))
	x.visited[x.hash(s)] = at
	x.parent = append(x.parent, from)
	x.good = append(x.good, s.delivered(x.p))
	return at
}

// targets are where the steps from a state lead to.
func (x *explorer) targets(at int) []int32 {
	end := int32(len(x.steps))
	if at+1 < len(x.begin) {
		end = x.begin[at+1]
	}
	return x.steps[x.begin[at]:end]
}

// stuck returns the first state from which no good one can be reached, or -1.
func (x *explorer) stuck() int32 {
	good := slices.Clone(x.good)
	// Steps lead forward but for a few: from the last state to the first, one
	// pass finds nearly everything.
	for changed := true; changed; {
		changed = false
		for at := len(x.begin) - 1; at >= 0; at-- {
			if !good[at] && slices.ContainsFunc(x.targets(at), func(to int32) bool { return good[to] }) {
				good[at], changed = true, true
			}
		}
	}
	return int32(slices.Index(good, false))
}

func (x *explorer) result(depth int, why string, at int32) Result {
	r := Result{States: len(x.parent), Steps: len(x.steps), Depth: depth, Broken: why, Taken: make(map[string]int)}
	for i, n := range x.taken {
		r.Taken[x.rules[i].name] = n
	}
	if why != "" {
		r.Trace = x.trace(at)
	}
	return r
}
