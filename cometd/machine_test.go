package cometd

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// show writes actions as a line: what a table can compare.
func show(acts []action) string {
	var words []string
	for _, a := range acts {
		switch a := a.(type) {
		case authorize:
			words = append(words, fmt.Sprintf("authorize(%v)", a.rejected))
		case request:
			w := a.kind.channel()[len("/meta/"):]
			if a.atOnce {
				w += "-at-once"
			}
			words = append(words, w+strings.Join(a.channels, ","))
		case pause:
			words = append(words, "pause"+showDelay(a.delay))
		case retry:
			words = append(words, "retry"+a.channel+showDelay(a.delay))
		case report:
			w := strings.TrimPrefix(fmt.Sprintf("%T", a.err), "*cometd.")
			if w == "*errors.errorString" {
				w = "error"
			}
			words = append(words, w)
		case opened:
			words = append(words, "opened")
		case ended:
			words = append(words, "ended")
		case accepted:
			words = append(words, "accepted"+a.channel)
		case refused:
			words = append(words, "refused"+a.channel)
		}
	}
	return strings.Join(words, " ")
}

func showDelay(d delay) string {
	s := "(" + d.least.String()
	switch d.schedule {
	case failureSchedule:
		s += fmt.Sprintf(" failure %d", d.level)
	case limitSchedule:
		s += fmt.Sprintf(" limit %d", d.level)
	case paceSchedule:
		s += fmt.Sprintf(" pace %d", d.level)
	}
	return s + ")"
}

// A new session makes every subscription again, except one that waits.
func TestMachineSubscribesAgain(t *testing.T) {
	s := live()
	s.subs = append(s.subs, subscription{channel: "/w", state: subWaiting, retries: 2}, subscription{channel: "/l", state: subLeaving})
	s, _ = step(s, broke(kindConnect, &HTTPError{Status: 500}))
	want := []subscription{{channel: "/a"}, {channel: "/b"}, {channel: "/w", state: subWaiting, retries: 2}}
	if !slices.Equal(s.subs, want) {
		t.Errorf("got %v, want %v", s.subs, want)
	}
}

// An empty connect that is answered at once slows the loop down; an event, or a
// connect that was held, lets it run again.
func TestMachinePace(t *testing.T) {
	s := live()
	quick := answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true}]`)
	quick.quick = true
	var got []string
	for _, events := range []int{0, 0, 0, 0, 0, 1, 0, 0, 0} {
		quick.events = events
		var acts []action
		s, acts = step(s, quick)
		got = append(got, show(acts))
	}
	want := []string{
		"pause(0s)", "pause(0s)", "pause(0s pace 0)", "pause(0s pace 1)", "pause(0s pace 2)",
		"pause(0s)", "pause(0s)", "pause(0s)", "pause(0s pace 0)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDelays(t *testing.T) {
	c := Config{Authorize: nil, BackoffInitial: time.Second, BackoffMax: time.Minute, LimitBackoffInitial: time.Minute, LimitBackoffMax: 15 * time.Minute}
	for _, row := range []struct {
		delay     delay
		low, high time.Duration
	}{
		{delay{}, 0, 0},
		{delay{least: 3 * time.Second}, 3 * time.Second, 3 * time.Second},
		{delay{schedule: failureSchedule}, 500 * time.Millisecond, time.Second},
		{delay{schedule: failureSchedule, level: 3}, 4 * time.Second, 8 * time.Second},
		{delay{schedule: failureSchedule, level: 1 << 40}, 30 * time.Second, time.Minute},
		{delay{schedule: failureSchedule, least: 2 * time.Minute}, 2 * time.Minute, 2 * time.Minute},
		{delay{schedule: limitSchedule}, time.Minute, 75 * time.Second},
		{delay{schedule: limitSchedule, level: 9}, 15 * time.Minute, 18*time.Minute + 45*time.Second},
		{delay{schedule: paceSchedule, level: 9}, time.Second, time.Second},
	} {
		c.Rand = func() float64 { return 0 }
		a := c.wait(row.delay)
		c.Rand = func() float64 { return 1 }
		b := c.wait(row.delay)
		if min(a, b) != row.low || max(a, b) != row.high {
			t.Errorf("%v: from %v to %v, want %v to %v", row.delay, min(a, b), max(a, b), row.low, row.high)
		}
	}
}

// FuzzMachine plays any sequence of answers and checks what must hold always.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte{8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8})
	f.Add([]byte{0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 3, 16, 17, 16, 17, 0, 18})
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 1}, 6))  // every held connect says: handshake
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 3}, 6))  // or is forgotten
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 4}, 6))  // or unauthorized
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 15}, 6)) // or is told to go
	f.Add(bytes.Repeat([]byte{0, 0, 0, 3}, 6))     // every subscribe is forgotten
	f.Add(bytes.Repeat([]byte{0, 0, 3}, 6))        // every first connect is
	f.Fuzz(func(t *testing.T, script []byte) {
		p := player{t: t, state: newStateWith("/a").subscribe("/b")}
		for _, b := range script[:min(len(script), 500)] { // longer ones only take longer
			p.turn(b)
		}
	})
}

type player struct {
	t       *testing.T
	state   state
	freed   bool // the session given up last was freed, and no other came since
	hurried int  // failures running without a pause
	next    action
}

// feed steps the machine and checks purity and the pace of failures.
func (p *player) feed(in input) {
	before := fmt.Sprintf("%+v", p.state)
	old := p.state
	next, acts := step(p.state, in)
	if after := fmt.Sprintf("%+v", old); after != before {
		p.t.Fatalf("step changed its argument: %s became %s", before, after)
	}
	p.state, p.next = next, nil
	io, failed, paused := 0, false, false
	for _, a := range acts {
		switch a := a.(type) {
		case authorize, request:
			io++
			p.next = a
		case report:
			failed = failed || !errors.Is(a.err, ErrNoSubscription)
			var sub *SubscriptionError
			failed = failed && !errors.As(a.err, &sub)
		case ended:
			failed = true
		case pause:
			paused = paused || a.delay.schedule != noSchedule
			if a.delay.least < 0 || a.delay.level < 0 {
				p.t.Fatalf("delay %+v", a.delay)
			}
		}
	}
	if io > 1 {
		p.t.Fatalf("two requests at once: %s", show(acts))
	}
	if f, ok := in.(finished); ok && f.outcome == aborted {
		return // the caller's doing
	}
	switch {
	case paused, next.failures == 0 && next.limits == 0 && !failed:
		p.hurried = 0
	case failed:
		if p.hurried++; p.hurried > 3 {
			p.t.Fatalf("%d failures running without a pause", p.hurried)
		}
	}
}

func (p *player) turn(b byte) {
	switch b {
	case 249:
		p.feed(subscribe{channel: "/d", refusals: 3})
	case 250:
		p.feed(subscribe{channel: "/c"})
	case 251:
		p.feed(unsubscribe{"/a"})
	case 252:
		p.feed(unsubscribe{"/c"})
	case 253:
		p.feed(subscribe{channel: "/a"})
	case 254:
		p.feed(due{[]string{"/a"}})
	}
	p.feed(release{})
	if a, ok := p.next.(request); ok {
		if p.freed || p.state.phase != phaseDown || p.state.clientID == "" || !a.farewell {
			p.t.Fatalf("a farewell to %q in phase %d, freed before: %v", p.state.clientID, p.state.phase, p.freed)
		}
		p.freed = true
		before := p.state.failures
		p.feed(p.reply(a, b>>1))
		if p.state.clientID != "" || p.state.failures != before || len(p.state.subs) == 0 && p.next != nil {
			p.t.Fatalf("a farewell left its mark: %+v", p.state)
		}
	}
	p.feed(proceed{})
	switch a := p.next.(type) {
	case nil:
		if len(p.state.subs) > 0 {
			p.t.Fatalf("nothing to do with %v", p.state.subs)
		}
	case authorize:
		var err error
		if b%5 == 1 {
			err = errors.New("no")
		}
		p.feed(authorized{err})
	case request:
		if a.kind != kindHandshake && p.state.clientID == "" {
			p.t.Fatalf("a %s without a client id", a.kind.channel())
		}
		if a.kind == kindHandshake {
			p.freed = false
		}
		p.feed(p.reply(a, b))
	}
	wished := map[string]bool{}
	for _, s := range p.state.subs {
		if s.state != subLeaving && wished[s.channel] {
			p.t.Fatalf("%s is there twice: %v", s.channel, p.state.subs)
		}
		wished[s.channel] = wished[s.channel] || s.state != subLeaving
		if p.state.phase != phaseLive && s.state != subWanted && s.state != subWaiting {
			p.t.Fatalf("%s is in state %d without a session", s.channel, s.state)
		}
	}
	if p.state.batch < 1 {
		p.t.Fatalf("batches of %d", p.state.batch)
	}
}

func (p *player) reply(a request, b byte) finished {
	f := finished{request: a, ids: []string{"1"}, quick: b&64 != 0, events: int(b) / 100, settled: b&32 != 0, retryAfter: time.Duration(b&16) * time.Second}
	for i := range a.channels[min(1, len(a.channels)):] {
		f.ids = append(f.ids, fmt.Sprint(i+2))
	}
	good := ""
	if a.kind == kindHandshake {
		good = `,"clientId":"c","ext":{"replay":true}`
	}
	var more string
	switch b % 20 {
	default:
		more = `"successful":true` + good
	case 1:
		more = `"successful":true,"advice":{"reconnect":"handshake"}` + good
	case 2:
		more = `"successful":true,"advice":{"reconnect":"none","interval":-1}` + good
	case 3:
		more = `"successful":false,"error":"403::Unknown client","advice":{"reconnect":"handshake"}`
	case 4:
		more = `"successful":false,"error":"401::Authentication invalid","advice":{"reconnect":"none"}`
	case 5:
		more = `"successful":false,"error":"x","ext":{"sfdc":{"failureReason":"503::busy"}}`
	case 6:
		more = `"successful":false,"error":"403::Organization total events daily limit exceeded"`
	case 7:
		more = `"successful":false,"error":"what","advice":{"reconnect":"handshake"}`
	case 8:
		more = `"successful":false`
	case 9:
		more = `"successful":false,"error":"400::The replayId {1} you provided was invalid."`
	case 10:
		return withOutcome(f, lost, &HTTPError{Status: 401})
	case 11:
		return withOutcome(f, lost, &NetworkError{Sent: true})
	case 12:
		return withOutcome(f, unsent, &NetworkError{})
	case 13:
		return withOutcome(f, aborted, nil)
	case 14:
		return f // no reply at all
	case 16:
		more = `"successful":false,"error":"413::Maximum Request Size Exceeded"`
	case 15:
		f.replies = append(f.replies, parseReply([]byte(`{"channel":"/meta/disconnect"}`)))
		return f
	}
	for i, id := range f.ids {
		body := more
		if i > 0 && b&128 != 0 {
			body = `"successful":true`
		}
		f.replies = append(f.replies, parseReply([]byte(`{"channel":"`+a.kind.channel()+`","id":"`+id+`",`+body+`}`)))
	}
	return f
}
