package cometd

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// The state diagram in the package comment is drawn by walking the machine: from
// every state that it reaches, with every kind of input. A state is named after
// what the client does next in it.

var update = flag.Bool("update", false, "write the state diagram into doc.go") //nolint:gochecknoglobals // a flag is global

const (
	diagramBegin = "//\tstateDiagram-v2\n"
	diagramEnd   = "//\n// # "
)

func TestDiagram(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(doc), diagramBegin)
	at := strings.Index(rest, diagramEnd)
	if !ok || at < 0 {
		t.Fatal("doc.go has no state diagram, or no heading behind it")
	}
	var b strings.Builder
	for _, line := range draw() {
		b.WriteString("//\t    " + line + "\n")
	}
	want := head + diagramBegin + b.String() + rest[at:]
	if want == string(doc) {
		return
	}
	if !*update {
		t.Fatalf("the state diagram in doc.go is not that of the machine: go test -run TestDiagram -update; want\n%s", b.String())
	}
	if err := os.WriteFile("doc.go", []byte(want), 0o644); err != nil { //nolint:gosec // a source file
		t.Fatal(err)
	}
}

// The order of the states in the diagram.
func places() []string {
	return []string{"Nothing", "Authorize", "Handshake", "FirstConnect", "Unsubscribe", "Fetch", "Subscribe", "Connect", "Farewell", "Disconnect", "[*]"}
}

// place names a state after its next request, which it returns too.
func placeOf(s state) (string, state, action) {
	if _, acts := step(s, release{}); len(acts) > 0 {
		return "Farewell", s, acts[0]
	}
	next, acts := step(s, proceed{})
	switch a := acts[0].(type) {
	case authorize:
		return "Authorize", next, a
	case request:
		switch {
		case a.atOnce && s.phase == phaseLive:
			return "Fetch", next, a // of what is queued of a channel that was left
		case a.atOnce:
			return "FirstConnect", next, a
		}
		return strings.ToUpper(a.kind.channel()[6:7]) + a.kind.channel()[7:], next, a
	}
	return "Nothing", next, nil
}

// outcomeClass is a kind of end that an exchange can have.
type outcomeClass struct {
	name string
	on   string // the requests that it can happen to, by their first letters; all if empty
	end  func(request) finished
}

func outcomeClasses() []outcomeClass {
	replied := func(members string) func(request) finished {
		return func(r request) finished {
			more := members
			if r.kind == kindHandshake && strings.HasPrefix(members, `"successful":true`) {
				more += `,"clientId":"c","ext":{"replay":true}`
			}
			f := finished{request: r, ids: []string{"1"}}
			for i := range r.channels[min(1, len(r.channels)):] {
				f.ids = append(f.ids, fmt.Sprint(i+2))
			}
			for _, id := range f.ids {
				f.replies = append(f.replies, parseReply([]byte(`{"channel":"`+r.kind.channel()+`","id":"`+id+`",`+more+`}`)))
			}
			return f
		}
	}
	ended := func(o outcome, err error) func(request) finished {
		return func(r request) finished { return finished{request: r, outcome: o, err: err} }
	}
	settles := func(r request) finished { return settled(replied(`"successful":true`)(r)) }
	const failed = `"successful":false,"error":`
	return []outcomeClass{
		{"success", "", settles},
		{"channel refused", "s", replied(failed + `"403::Restricted channel"`)},
		{"channel busy or over a limit", "s", replied(failed + `"503::busy"`)},
		{"advice handshake", "hc", replied(failed + `"x"` + adviceHandshake)},
		{"advice handshake on success", "c", replied(`"successful":true` + adviceHandshake)},
		{"advice none", "hc", replied(failed + `"x"` + adviceNone)},
		{"advice none on success", "c", replied(`"successful":true` + adviceNone)},
		{"refused", "hc", replied(failed + `"x"`)},
		{"busy", "hc", replied(failed + `"503::busy"`)},
		{"limit", "hc", replied(failed + `"403::Organization concurrent user limit exceeded"` + adviceNone)},
		{"unknown client", "hcsu", replied(failed + `"403::Unknown client"` + adviceHandshake)},
		{"401", "", replied(failed + `"401::Authentication invalid"` + adviceNone)},
		{"HTTP 401 or 403", "", ended(lost, &HTTPError{Status: 401})},
		{"other HTTP status", "", ended(lost, &HTTPError{Status: 500})},
		{"reply lost or malformed", "", ended(lost, &NetworkError{Sent: true, Err: io.ErrUnexpectedEOF})},
		{"not sent", "", ended(unsent, &NetworkError{})},
		{"caller's context ended", "", ended(aborted, nil)},
		{"disconnect from the server", "hcsu", func(r request) finished {
			f := replied(`"successful":true`)(r)
			f.replies = append(f.replies, parseReply([]byte(`{"channel":"/meta/disconnect"}`)))
			return f
		}},
	}
}

type edge struct{ from, to, label string }

// walk finds every edge, with the waits that there can be on it.
func walk() map[edge]map[string]bool {
	edges := map[edge]map[string]bool{}
	seen := map[string]bool{}
	queue := []state{newState()}
	note := func(from string, s state, acts []action, label string) {
		s = bounded(s)
		to, _, _ := placeOf(s)
		e := edge{from, to, label}
		if edges[e] == nil {
			edges[e] = map[string]bool{}
		}
		edges[e][waitOf(acts)] = true
		if key := fmt.Sprintf("%+v", s); !seen[key] {
			seen[key] = true
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		from, next, what := placeOf(s)
		switch a := what.(type) {
		case nil:
			note(from, s.subscribe("/a").subscribe("/b"), nil, "Subscribe")
		case authorize:
			for label, err := range map[string]error{"credentials": nil, "none to be had": errors.New("x")} {
				s, acts := step(next, authorized{err})
				note(from, s, acts, label)
			}
		case request:
			for _, class := range outcomeClasses() {
				letter := a.kind.channel()[6:7]
				if class.on == "" || strings.Contains(class.on, letter) {
					s, acts := step(next, class.end(a))
					note(from, s, acts, class.name)
				}
			}
		}
		if from == "Connect" {
			for _, in := range []input{subscribe{channel: "/c"}, unsubscribe{"/a"}, due{[]string{"/a", "/b"}}} {
				changed, _ := step(s, in)
				label := map[bool]string{true: "Subscribe", false: "Unsubscribe"}[changed.find("/c") >= 0]
				if _, ok := in.(due); ok {
					label = "a refused channel is tried again"
				}
				if to, _, _ := placeOf(changed); to != from && len(changed.subs) < 3 {
					note(from, changed, nil, label)
				}
			}
		}
		if from == "Unsubscribe" {
			for _, channel := range s.in(subLeaving, 1) {
				note(from, s.subscribe(channel), nil, "Subscribe")
			}
		}
		if changed, acts := step(s, renew{}); len(acts) > 0 {
			note(from, changed, acts, "Renew")
		}
		if _, acts := step(s, closing{}); len(acts) > 0 {
			edges[edge{from, "Disconnect", "Close"}] = map[string]bool{"": true}
		}
	}
	edges[edge{"Disconnect", "[*]", "any outcome"}] = map[string]bool{"": true}
	return edges
}

// bounded keeps the walk finite: of what is counted, it matters whether it is zero.
func bounded(s state) state {
	s.failures, s.limits, s.idle, s.batch = min(s.failures, 1), min(s.limits, 1), 0, maxBatch
	s.unheard = min(s.unheard, doubtFirst+1)
	s.cuts, s.patience = 0, 0
	s.advice = Advice{}
	s = s.owned()
	for i := range s.subs {
		s.subs[i].retries = 0
	}
	return s
}

// waitOf says how long the actions want to wait.
func waitOf(acts []action) string {
	for _, a := range acts {
		p, ok := a.(pause)
		switch {
		case !ok:
		case p.delay.schedule == limitSchedule:
			return "after minutes"
		case p.delay.schedule == failureSchedule:
			return "after a growing pause"
		case slices.ContainsFunc(acts, func(a action) bool { _, ok := a.(ended); return ok }):
			return "at once"
		}
	}
	return ""
}

// draw makes the diagram's lines: what goes from one state to another with the
// same waits is one arrow.
func draw() []string {
	type arrow struct{ from, to, wait string }
	labels := map[arrow][]string{}
	total := map[string]int{}
	edges := walk()
	for e, waits := range edges {
		delete(waits, "")
		wait := strings.Join(slices.Sorted(maps.Keys(waits)), ", then ")
		wait = strings.Replace(wait, "after a growing pause, then at once", "at once, then after a growing pause", 1)
		a := arrow{e.from, e.to, wait}
		labels[a] = append(labels[a], e.label)
		total[e.from]++
	}
	order := places()
	arrows := slices.SortedFunc(maps.Keys(labels), func(a, b arrow) int {
		if d := slices.Index(order, a.from) - slices.Index(order, b.from); d != 0 {
			return d
		}
		if d := slices.Index(order, a.to) - slices.Index(order, b.to); d != 0 {
			return d
		}
		return strings.Compare(a.wait, b.wait)
	})
	lines := []string{"[*] --> Nothing: New"}
	for _, a := range arrows {
		text := inOrder(labels[a])
		if a.from == "Farewell" && a.to != "Disconnect" {
			text = "any outcome"
		}
		if a.wait != "" {
			text += "; " + a.wait
		}
		lines = append(lines, fmt.Sprintf("%s --> %s: %s", a.from, a.to, text))
	}
	return lines
}

func inOrder(labels []string) string {
	var sorted []string
	for _, class := range outcomeClasses() {
		if slices.Contains(labels, class.name) {
			sorted = append(sorted, class.name)
		}
	}
	slices.Sort(labels)
	for _, label := range labels {
		if !slices.Contains(sorted, label) {
			sorted = append(sorted, label)
		}
	}
	return strings.Join(sorted, ", ")
}

// A walk is a check, too: from every state there is a way to a held connect.
func TestEveryStateLeadsToAConnect(t *testing.T) {
	reach := map[string]bool{"Connect": true}
	edges := walk()
	for range places() {
		for e := range edges {
			if reach[e.to] && e.from != "Disconnect" {
				reach[e.from] = true
			}
		}
	}
	for _, place := range places() {
		if !reach[place] && place != "Disconnect" && place != "[*]" {
			t.Errorf("no way from %s to a connect", place)
		}
	}
	if len(edges) < 80 || len(edges) > 1000 {
		t.Errorf("%d edges: the walk went nowhere, or everywhere", len(edges))
	}
}
