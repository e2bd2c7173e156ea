package cometd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is one decision of the machine: what it does with an input in a state. Its
// name is "topic/entry", or "topic/entry: case", as entries_test.go lists them.
type row struct {
	name  string
	state state
	input input
	want  string // the actions
	next  string // the request that follows, with that which frees a session given up
}

func rows() []row {
	return slices.Concat(adviceRows(), handshakeRows(), connectRows(), subscribeRows(), disconnectRows(),
		httpRows(), stateRows(), freedomRows(), errorRows(), disguiseRows(), decisionRows(), tokenRows(),
		timingRows(), doubtRows(), libraryRows())
}

func TestMachine(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range rows() {
		t.Run(row.name, func(t *testing.T) {
			if seen[row.name] {
				t.Error("a row of this name is there already")
			}
			seen[row.name] = true
			before := fmt.Sprintf("%+v", row.state)
			next, acts := step(row.state, row.input)
			if got := show(acts); got != row.want {
				t.Errorf("actions:\n got %q\nwant %q", got, row.want)
			}
			if after := fmt.Sprintf("%+v", row.state); after != before {
				t.Errorf("step changed the state that it was given:\n%s\n%s", before, after)
			}
			if got := following(next); got != row.next {
				t.Errorf("then:\n got %q\nwant %q", got, row.next)
			}
		})
	}
}

// following is what the client does next in a state.
func following(s state) string {
	var words []string
	if _, acts := step(s, release{}); len(acts) > 0 {
		words = append(words, show(acts))
	}
	_, acts := step(s, proceed{})
	return strings.Join(append(words, show(acts)), ", ")
}

// What the rows have in common.
const (
	adviceRetry     = `,"advice":{"reconnect":"retry","interval":0}`
	adviceHandshake = `,"advice":{"reconnect":"handshake","interval":0}`
	adviceNone      = `,"advice":{"reconnect":"none","interval":0}`
	reasonBusy      = `,"ext":{"sfdc":{"failureReason":"503::Server is too busy. Please try your request again later."}}`
	reasonAuth      = `,"ext":{"sfdc":{"failureReason":"401::Authentication invalid"},"replay":true,"payload.format":true}`
	simultaneous    = "403::To protect all customers from excessive use and Denial of Service attacks, we limit the number of simultaneous connections per server. Your request has been denied because this limit has been exceeded. Please try your request again later."
	reasonLimit     = `,"ext":{"sfdc":{"failureReason":"` + simultaneous + `"}}`
	replayInvalid   = "400::The replayId {82} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."

	// actions
	goOn       = "pause(0s)"
	begun      = "opened pause(0s)"
	gone       = "pause(0s) ended ReplyError" // forgotten, without a growing pause
	login      = "AuthError pause(0s) ended"
	lostReply  = "NetworkError pause(0s failure 0) ended"
	lostHTTP   = "HTTPError pause(0s failure 0) ended"
	sameAgain  = "ReplyError pause(0s failure 0)" // the session goes on
	newAgain   = "ReplyError pause(0s failure 0) ended"
	minutes    = "ReplyError pause(0s limit 0) ended"
	bothIn     = "accepted/a accepted/b"
	outOther   = "SubscriptionError refused/a accepted/b"
	waitsOther = "SubscriptionError retry/a(0s failure 0) accepted/b"
	limitOther = "SubscriptionError retry/a(0s limit 0) accepted/b"

	// what follows
	freed   = "disconnect, handshake" // the server may still hold the session
	newOne  = "handshake"             // it does not
	asLogin = "authorize(true)"
)

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
	return with(live(), func(s *state) { s.subs[0].state, s.subs[1].state = subSent, subSent })
}

// leaving is a live session that gives its two channels up for a third.
func leaving() state { return live().unsubscribe("/a").unsubscribe("/b").subscribe("/c") }

// failed is a state with failures behind it.
func failed(s state, n int) state { return with(s, func(s *state) { s.failures = n }) }

func with(s state, change func(*state)) state {
	change(&s)
	return s
}

func newStateWith(channel string) state { return newState().subscribe(channel) }

// answer is an exchange whose reply has this body.
func answer(k kind, body string) finished {
	f := finished{request: request{kind: k}, ids: []string{"7"}}
	if k == kindSubscribe || k == kindUnsubscribe {
		f.request.channels, f.ids = []string{"/a", "/b"}, []string{"7", "8"}
	}
	var events []Event
	events, f.replies, f.err = decodeAll([]byte(body), 1000, 1000)
	f.events = len(events)
	return f
}

// yes is a successful reply with more members, no a failed one. Of two
// subscriptions the second one's reply is a plain success.
func yes(k kind, more string) finished { return said(k, `"successful":true`+more) }
func no(k kind, text, more string) finished {
	return said(k, `"successful":false,"error":"`+text+`"`+more)
}

func said(k kind, members string) finished {
	body := `[{"channel":"` + k.channel() + `","id":"7",` + members + `}`
	if k == kindSubscribe || k == kindUnsubscribe {
		body += `,{"channel":"` + k.channel() + `","id":"8","successful":true}`
	}
	return answer(k, body+"]")
}

func shaken(more string) finished {
	return yes(kindHandshake, `,"clientId":"c","ext":{"replay":true}`+more)
}

// alone keeps the first of two subscriptions.
func alone(f finished) finished {
	f.request.channels, f.ids, f.replies = f.request.channels[:1], f.ids[:1], f.replies[:1]
	return f
}

// broke is an exchange without a whole reply.
func broke(k kind, err error) finished { return withOutcome(answer(k, "[]"), lost, err) }

func cut(k kind) finished {
	return broke(k, &NetworkError{Channel: k.channel(), Sent: true, Err: io.ErrUnexpectedEOF})
}

func status(k kind, code int) finished { return broke(k, &HTTPError{Status: code}) }

// first marks the first connect of a session.
func first(f finished) finished {
	f.request.atOnce = true
	return f
}

func settled(f finished) finished {
	f.settled = true
	return f
}

func after(f finished, retry time.Duration) finished {
	f.retryAfter = retry
	return f
}

func withOutcome(f finished, o outcome, err error) finished {
	f.outcome, f.err = o, err
	return f
}
