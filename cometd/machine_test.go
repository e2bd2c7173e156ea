package cometd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
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

func live() state {
	s := newState()
	s.phase, s.clientID, s.credentials = phaseLive, "c1", credentialsHeld
	s.advice = Advice{Timeout: 110 * time.Second, HasTimeout: true}
	s.subs = []subscription{{channel: "/a", state: subActive}, {channel: "/b", state: subActive}}
	return s
}

func down() state {
	s := newState()
	s.credentials = credentialsHeld
	s.subs = []subscription{{channel: "/a"}, {channel: "/b"}}
	return s
}

func fresh() state {
	s := down()
	s.phase, s.clientID = phaseFresh, "c1"
	return s
}

// sent is a live session whose two subscribes are on their way.
func sent() state {
	s := live()
	for i := range s.subs {
		s.subs[i].state = subSent
	}
	return s
}

func with(s state, change func(*state)) state {
	change(&s)
	return s
}

// exchange makes a finished exchange from the state's phase and a reply body.
func answer(k kind, body string) finished {
	f := finished{request: request{kind: k}, ids: []string{"7"}}
	if k == kindSubscribe || k == kindUnsubscribe {
		f.request.channels, f.ids = []string{"/a", "/b"}, []string{"7", "8"}
	}
	_, f.replies, f.err = decodeAll([]byte(body), 1000, 1000)
	return f
}

func broke(k kind, err error) finished {
	f := answer(k, "[]")
	f.outcome, f.err = lost, err
	return f
}

func TestMachine(t *testing.T) {
	const (
		connectOK = `[{"channel":"/meta/connect","id":"7","successful":true}]`
		forgotten = "pause(0s) ended ReplyError"
	)
	refusal := func(channel, text, more string) string {
		return `[{"channel":"` + channel + `","id":"7","successful":false,"error":"` + text + `"` + more + `}]`
	}
	connect := func(text, more string) finished { return answer(kindConnect, refusal("/meta/connect", text, more)) }
	handshake := func(text, more string) finished {
		return answer(kindHandshake, refusal("/meta/handshake", text, more))
	}
	shake := func(more string) finished {
		return answer(kindHandshake, `[{"channel":"/meta/handshake","id":"7","successful":true`+more+`}]`)
	}
	subscribed := func(text, more string) finished {
		return answer(kindSubscribe, strings.TrimSuffix(refusal("/meta/subscribe", text, more), "]")+
			`,{"channel":"/meta/subscribe","id":"8","successful":true}]`)
	}
	const (
		retryAdvice     = `,"advice":{"reconnect":"retry","interval":0}`
		handshakeAdvice = `,"advice":{"reconnect":"handshake","interval":0}`
		noneAdvice      = `,"advice":{"reconnect":"none","interval":0}`
		busyReason      = `,"ext":{"sfdc":{"failureReason":"503::Server is too busy. Please try your request again later."}}`
		authReason      = `,"ext":{"sfdc":{"failureReason":"401::Authentication invalid"},"replay":true}`
		limitReason     = `,"ext":{"sfdc":{"failureReason":"403::To protect all customers from excessive use and Denial of Service attacks, we limit the number of simultaneous connections per server. Your request has been denied because this limit has been exceeded. Please try your request again later."}}`
	)
	for _, row := range []struct {
		name  string
		state state
		input input
		want  string // actions
		next  string // what proceed gives then
	}{
		{"start/credentials first", newStateWith("/a"), proceed{}, "authorize(false)", "authorize(false)"},
		{"start/then handshake", newStateWith("/a"), authorized{}, "", "handshake"},
		{"start/no credentials", newStateWith("/a"), authorized{errors.New("x")}, "AuthorizeError pause(0s failure 0)", "authorize(false)"},
		{"start/nothing subscribed", newState(), proceed{}, "error", "error"},

		{"handshake/accepted", down(), shake(`,"clientId":"c","ext":{"replay":true}`), "opened pause(0s)", "connect-at-once"},
		{"handshake/no id on the reply", down(), answer(kindHandshake, `[{"channel":"/meta/handshake","clientId":"c","successful":true,"ext":{"replay":true}}]`), "opened pause(0s)", "connect-at-once"},
		{"handshake/number as id", down(), answer(kindHandshake, `[{"channel":"/meta/handshake","id":7,"clientId":"c","successful":true,"ext":{"replay":true}}]`), "opened pause(0s)", "connect-at-once"},
		{"handshake/advice with it", down(), shake(`,"clientId":"c","ext":{"replay":true},"advice":{"interval":2000}`), "opened pause(2s)", "connect-at-once"},
		{"handshake/replay not confirmed", down(), shake(`,"clientId":"c"`), "error pause(0s failure 0)", "handshake"},
		{"handshake/replay denied", down(), shake(`,"clientId":"c","ext":{"replay":false}`), "error pause(0s failure 0)", "handshake"},
		{"handshake/no client id", down(), shake(`,"ext":{"replay":true}`), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"handshake/no common transport", down(), shake(`,"clientId":"c","ext":{"replay":true},"supportedConnectionTypes":["websocket"]`), "error pause(0s failure 0)", "handshake"},
		{"handshake/no reply", down(), answer(kindHandshake, `[]`), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"handshake/reply to something else", down(), answer(kindHandshake, connectOK), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"handshake/401 behind 403", down(), handshake("403::Handshake denied", authReason+`,"advice":{"reconnect":"none"}`), "AuthError pause(0s) ended", "authorize(true)"},
		{"handshake/503 behind 403", down(), handshake("403::Handshake denied", busyReason+noneAdvice), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"handshake/limit behind 401", down(), handshake("401::Authentication invalid", limitReason+noneAdvice), "ReplyError pause(0s limit 0) ended", "handshake"},
		{"handshake/403 concurrent users", down(), handshake("403::Organization concurrent user limit exceeded", handshakeAdvice), "ReplyError pause(0s limit 0) ended", "handshake"},
		{"handshake/403 denied without reason", down(), handshake("403::Handshake denied", noneAdvice), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"handshake/negotiation goes on", down(), handshake("once more", handshakeAdvice), "pause(0s) ended ReplyError", "handshake"},
		{"handshake/unsupported version", down(), handshake("400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'", noneAdvice), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"handshake/http 401", down(), broke(kindHandshake, &HTTPError{Status: 401}), "AuthError pause(0s) ended", "authorize(true)"},
		{"handshake/http 500", down(), broke(kindHandshake, &HTTPError{Status: 500}), "HTTPError pause(0s failure 0) ended", "handshake"},

		{"auth/second refusal waits", with(down(), func(s *state) { s.renewed = true }), handshake("401::Authentication invalid", noneAdvice), "AuthError pause(0s failure 0) ended", "authorize(true)"},
		{"auth/new ones", with(down(), func(s *state) { s.credentials = credentialsRefused }), authorized{}, "", "handshake"},

		{"connect/first", fresh(), with2(answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":0,"timeout":110000,"reconnect":"retry"}}]`), true), "pause(0s)", "subscribe/a,/b"},
		{"connect/held", live(), answer(kindConnect, connectOK), "pause(0s)", "connect"},
		{"connect/other id", live(), answer(kindConnect, strings.Replace(connectOK, "7", "6", 1)), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"connect/successful missing", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7"}]`), "pause(0s)", "connect"},
		{"connect/unknown members", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"x":1,"ext":{"y":[]},"timestamp":5}]`), "pause(0s)", "connect"},
		{"connect/reply missing", live(), answer(kindConnect, `[{"channel":"/a","data":{}}]`), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"connect/cut", live(), broke(kindConnect, &NetworkError{Sent: true, Err: io.ErrUnexpectedEOF}), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"connect/not sent", live(), finished{request: request{kind: kindConnect}, outcome: unsent, err: &NetworkError{}}, "NetworkError pause(0s failure 0)", "connect"},
		{"connect/given up by the caller", live(), finished{request: request{kind: kindConnect}, outcome: aborted}, "ended", "handshake"},
		{"connect/http 403", live(), broke(kindConnect, &HTTPError{Status: 403}), "AuthError pause(0s) ended", "authorize(true)"},
		{"connect/http 408", live(), broke(kindConnect, &HTTPError{Status: 408}), "HTTPError pause(0s failure 0) ended", "handshake"},

		{"advice/interval", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":3000}}]`), "pause(3s)", "connect"},
		{"advice/interval stays", with(live(), func(s *state) { s.advice.Interval = time.Second }), answer(kindConnect, connectOK), "pause(1s)", "connect"},
		{"advice/new replaces old", with(live(), func(s *state) { s.advice.Interval = time.Second }), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"reconnect":"retry"}}]`), "pause(0s)", "connect"},
		{"advice/null", with(live(), func(s *state) { s.advice.Interval = time.Second }), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":null}]`), "pause(1s)", "connect"},
		{"advice/interval null", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":null,"x":1}}]`), "pause(0s)", "connect"},
		{"advice/transport wins", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":9000,"long-polling":{"interval":1000},"websocket":{"interval":5000}}}]`), "pause(1s)", "connect"},
		{"advice/negative interval", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":-1}}]`), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"advice/absurd interval", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"interval":1e300}}]`), "pause(15m0s)", "connect"},
		{"advice/handshake on success", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"reconnect":"handshake","interval":100}}]`), "pause(100ms) ended", "handshake"},
		{"advice/handshake on every success", with(live(), func(s *state) { s.failures = 2 }), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"reconnect":"handshake"}}]`), "pause(0s failure 1) ended", "handshake"},
		{"advice/none on success", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"reconnect":"none"}}]`), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"advice/unknown word on success", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"reconnect":"whatever","interval":500}}]`), "pause(500ms)", "connect"},
		{"advice/unknown word on failure", live(), connect("500::x", `,"advice":{"reconnect":"whatever"}`), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"advice/multiple clients", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true,"advice":{"multiple-clients":true,"interval":2000,"hosts":["x"]}}]`), "pause(2s)", "connect"},
		{"advice/retry on failure", live(), connect("trouble", retryAdvice), "ReplyError pause(0s failure 0)", "connect"},
		{"advice/absent on failure", live(), connect("trouble", ""), "ReplyError pause(0s failure 0)", "connect"},
		{"advice/none on failure", live(), connect("trouble", noneAdvice), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"advice/handshake on failure", live(), connect("trouble", handshakeAdvice), forgotten, "handshake"},
		{"advice/handshake on failure again", with(live(), func(s *state) { s.failures = 3 }), connect("trouble", handshakeAdvice), "pause(0s failure 2) ended ReplyError", "handshake"},

		{"error/403 unknown client", live(), connect("403::Unknown client", handshakeAdvice), forgotten, "handshake"},
		{"error/402 unknown client", live(), connect("402::Unknown client", ""), forgotten, "handshake"},
		{"error/402 session unknown", live(), connect("402::session_unknown", ""), forgotten, "handshake"},
		{"error/402 any text", live(), connect("402:x:whatever", ""), forgotten, "handshake"},
		{"error/no handshake", live(), connect("403::Client has not completed handshake", retryAdvice), forgotten, "handshake"},
		{"error/no cookie", live(), connect("400::Client c1 has established a session, but no BAYEUX_BROWSER cookie present", ""), forgotten, "handshake"},
		{"error/other user", live(), connect("400::Authenticated user id does not match the session's user id", ""), forgotten, "handshake"},
		{"error/401", live(), connect("401::Authentication invalid", noneAdvice), "AuthError pause(0s) ended", "authorize(true)"},
		{"error/401 no token", live(), connect("401::Request requires authentication", ""), "AuthError pause(0s) ended", "authorize(true)"},
		{"error/503 behind 401, none", live(), connect("401::Authentication invalid", busyReason+noneAdvice), "ReplyError pause(0s failure 0) ended", "handshake"},
		{"error/503 behind 401, retry", live(), connect("401::Authentication invalid", busyReason+retryAdvice), "ReplyError pause(0s failure 0)", "connect"},
		{"error/503 itself", live(), connect("503::Server is too busy", retryAdvice), "ReplyError pause(0s failure 0)", "connect"},
		{"error/500", live(), connect("500::oops", ""), "ReplyError pause(0s failure 0)", "connect"},
		{"error/daily limit", live(), connect("403::Organization total events daily limit exceeded", retryAdvice), "ReplyError pause(0s limit 0) ended", "handshake"},
		{"error/daily limit again", with(live(), func(s *state) { s.limits = 2 }), connect("403::Organization total events daily limit exceeded", retryAdvice), "ReplyError pause(0s limit 2) ended", "handshake"},
		{"error/text with colons", live(), connect("403::Unknown client: a:b:c", ""), forgotten, "handshake"},

		{"subscribe/both", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"8","successful":true},{"channel":"/meta/subscribe","id":"7","successful":true}]`), "accepted/a accepted/b", "connect"},
		{"subscribe/by name", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","subscription":"/b","successful":true},{"channel":"/meta/subscribe","subscription":["/a"],"successful":false,"error":"403::Restricted channel"}]`), "SubscriptionError refused/a accepted/b", "connect"},
		{"subscribe/one unanswered", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"8","successful":true}]`), "NetworkError pause(0s failure 0) ended", "handshake"},
		{"subscribe/replay id invalid", sent(), subscribed("400::The replayId {82} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", ""), "SubscriptionError refused/a accepted/b", "connect"},
		{"subscribe/no channel", sent(), subscribed("400::The channel you requested to subscribe to does not exist {/a}", ""), "SubscriptionError refused/a accepted/b", "connect"},
		{"subscribe/busy behind denied", sent(), subscribed("403:denied_by_security_policy:subscribe_denied", busyReason), "SubscriptionError retry/a(0s failure 0) accepted/b", "connect"},
		{"subscribe/limit", sent(), subscribed("403::Subscription limit exceeded for this topic", ""), "SubscriptionError retry/a(0s limit 0) accepted/b", "connect"},
		{"subscribe/unknown client without advice", sent(), subscribed("402::session_unknown", ""), "accepted/b pause(0s) ended ReplyError", "handshake"},
		{"subscribe/401", sent(), subscribed("401::Authentication invalid", noneAdvice), "accepted/b AuthError pause(0s) ended", "authorize(true)"},
		{"subscribe/refused and handshake", sent(), subscribed("403::Restricted channel", handshakeAdvice), "SubscriptionError refused/a accepted/b pause(0s) ended", "handshake"},
		{"subscribe/http 413", sent(), broke(kindSubscribe, &HTTPError{Status: 413}), "HTTPError pause(0s failure 0) ended", "handshake"},
		{"subscribe/not sent", sent(), withOutcome(answer(kindSubscribe, `[]`), unsent, &NetworkError{}), "NetworkError pause(0s failure 0)", "subscribe/a,/b"},
		{"subscribe/retry due", with(live(), func(s *state) { s.subs[1].state = subWaiting }), due{"/b"}, "", "subscribe/b"},
		{"subscribe/retry due after unsubscribe", live(), due{"/c"}, "", "connect"},
		{"subscribe/given up while sent", with(sent(), func(s *state) { *s = s.unsubscribe("/a") }), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"7","successful":true},{"channel":"/meta/subscribe","id":"8","successful":true}]`), "accepted/b", "unsubscribe/a"},
		{"subscribe/new wish", live(), subscribe{"/c"}, "", "subscribe/c"},
		{"subscribe/wished already", live(), subscribe{"/a"}, "", "connect"},

		{"unsubscribe/wish", live(), unsubscribe{"/a"}, "", "unsubscribe/a"},
		{"unsubscribe/before it was sent", down(), unsubscribe{"/a"}, "", "handshake"},
		{"unsubscribe/failure does not matter", with(live(), func(s *state) { *s = s.unsubscribe("/a").unsubscribe("/b").subscribe("/c") }), answer(kindUnsubscribe, `[{"channel":"/meta/unsubscribe","id":"7","successful":false,"error":"x"},{"channel":"/meta/unsubscribe","id":"8","successful":true}]`), "", "subscribe/c"},
		{"unsubscribe/unknown client", with(live(), func(s *state) { *s = s.unsubscribe("/a").unsubscribe("/b").subscribe("/c") }), answer(kindUnsubscribe, `[{"channel":"/meta/unsubscribe","id":"7","successful":false,"error":"403::Unknown client"},{"channel":"/meta/unsubscribe","id":"8","successful":true}]`), forgotten, "handshake"},

		{"disconnect/sent by the server", live(), answer(kindConnect, `[{"channel":"/meta/disconnect"}]`), "pause(0s) ended", "handshake"},
		{"disconnect/sent with the connect reply", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true},{"channel":"/meta/disconnect"}]`), "pause(0s) ended", "handshake"},
		{"disconnect/ours", live(), closing{}, "disconnect", "connect"},
		{"disconnect/without a session", down(), closing{}, "", "handshake"},
		{"disconnect/without credentials", with(live(), func(s *state) { s.credentials = credentialsRefused }), closing{}, "", "connect"},
		{"disconnect/done", live(), answer(kindDisconnect, `[{"channel":"/meta/disconnect","id":"7","successful":true}]`), "", "handshake"},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := fmt.Sprintf("%+v", row.state)
			next, acts := step(row.state, row.input)
			if got := show(acts); got != row.want {
				t.Errorf("actions: got %q, want %q", got, row.want)
			}
			if after := fmt.Sprintf("%+v", row.state); after != before {
				t.Errorf("step changed the state that it was given:\n%s\n%s", before, after)
			}
			if _, acts := step(next, proceed{}); show(acts) != row.next {
				t.Errorf("then: got %q, want %q", show(acts), row.next)
			}
		})
	}
}

func newStateWith(channel string) state { return newState().subscribe(channel) }

func with2(f finished, atOnce bool) finished {
	f.request.atOnce = atOnce
	return f
}

func withOutcome(f finished, o outcome, err error) finished {
	f.outcome, f.err = o, err
	return f
}

// A new session makes every subscription again, except one that waits.
func TestMachineSubscribesAgain(t *testing.T) {
	s := live()
	s.subs = append(s.subs, subscription{channel: "/w", state: subWaiting, retries: 2}, subscription{channel: "/l", state: subLeaving})
	s, _ = step(s, broke(kindConnect, &HTTPError{Status: 500}))
	want := []subscription{{"/a", subWanted, 0}, {"/b", subWanted, 0}, {"/w", subWaiting, 2}}
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
		for _, b := range script {
			p.turn(b)
		}
	})
}

type player struct {
	t       *testing.T
	state   state
	hurried int // failures running without a pause
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
	case 250:
		p.feed(subscribe{"/c"})
	case 251:
		p.feed(unsubscribe{"/a"})
	case 252:
		p.feed(unsubscribe{"/c"})
	case 253:
		p.feed(subscribe{"/a"})
	case 254:
		p.feed(due{"/a"})
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
		p.feed(p.reply(a, b))
	}
}

func (p *player) reply(a request, b byte) finished {
	f := finished{request: a, ids: []string{"1"}, quick: b&64 != 0, events: int(b) / 100}
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
