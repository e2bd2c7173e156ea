package model

import (
	"fmt"
	"slices"
	"strings"
)

// trace tells the shortest way to a state, by taking it again.
func (x *explorer) trace(at int32) []string {
	var way []int32
	for ; at > 0; at = x.parent[at] {
		way = append(way, at)
	}
	slices.Reverse(way)
	s := x.first()
	out := make([]string, 0, len(way))
	for i, at := range way {
		name, to := x.find(s, at)
		out = append(out, fmt.Sprintf("%2d %-46s %s", i+1, name, to))
		s = to
	}
	return out
}

// find takes the step from s that leads to the state with that number.
func (x *explorer) find(s state, number int32) (name string, found state) {
	for _, r := range x.rules {
		r.next(x.p, s, func(a about, to state) {
			to.canonical(x.p)
			if at, known := x.visited[x.hash(&to)]; known && at == number && name == "" {
				name, found = r.told(a), to
			}
		})
	}
	return name, found
}

// told is the rule's name for one step.
func (r rule) told(a about) string {
	requests := [...]string{sendInit: "InitProducerID", sendRecords: "a batch of records", sendPosition: "a position", sendEnd: "EndTxn"}
	what := requests[a.what]
	if strings.Contains(r.name, "to WHAT") {
		what = map[uint8]string{toRecords: "the records", toPositions: "the positions"}[a.what]
	}
	return strings.NewReplacer("WHO", owners[a.who:a.who+1], "WHAT", what).Replace(r.name)
}

const owners = "AB"

// String shows what the owners do and what is in the logs; what no reader of
// committed records sees yet is marked with a question mark.
func (s state) String() string {
	doing := [...]string{
		idle: "idle", opening: "opening", opened: "opened", writing: "writing", ending: "ending",
		between: "between", reading: "reading", running: "running",
	}
	var b strings.Builder
	for i, o := range s.owners {
		at := doing[o.at]
		if o.to != 0 {
			at += fmt.Sprintf(" %d-%d", o.next, o.to)
		}
		fmt.Fprintf(&b, "| %c %-11s ", owners[i], at)
	}
	fmt.Fprintf(&b, "| records%s | positions%s", s.records, s.positions)
	return b.String()
}

func (p partition) String() string {
	var b strings.Builder
	for _, e := range p.log[:p.n] {
		value := fmt.Sprint(e.value)
		if e.value == barrier {
			value = "barrier"
		}
		b.WriteString(" " + value)
		if e.open == yes || e.above == yes {
			b.WriteString("?")
		}
	}
	return b.String()
}
