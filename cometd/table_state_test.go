package cometd

import (
	"fmt"
	"time"
)

// HTTP outcomes, as seen from a Bayeux server, a proxy before it, and Salesforce.
func httpRows() []row {
	html := func(k kind, code int) finished {
		return broke(k, &HTTPError{Status: code, ContentType: "text/html", Snippet: "<html>"})
	}
	list := []row{
		{"http/200 with an array", live(), yes(kindConnect, ""), goOn, "connect"},
		{"http/200 empty, 204", live(), status(kindConnect, 204), lostHTTP, freed},
		{"http/200 empty, 204: handshake", down(), status(kindHandshake, 200), lostHTTP, newOne},
		{"http/401", live(), status(kindConnect, 401), login, asLogin},
		{"http/401: handshake", down(), status(kindHandshake, 401), login, asLogin},
		{"http/401: subscribe", sent(), status(kindSubscribe, 401), login, asLogin},
		{"http/401: of new credentials", with(down(), func(s *state) { s.renewed = true }), status(kindHandshake, 401), "AuthError pause(0s failure 0) ended", asLogin},
		{"http/403", live(), html(kindConnect, 403), login, asLogin},
		{"http/403: a Bayeux reply decides", live(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"http/network error", live(), cut(kindConnect), lostReply, freed},
		{"http/network error: handshake", down(), cut(kindHandshake), lostReply, newOne},
		{"http/network error: no connection was made", live(), withOutcome(answer(kindConnect, "[]"), unsent, &NetworkError{}), "NetworkError pause(0s failure 0)", "connect"},
		{"http/network error: timeout", live(), broke(kindConnect, &NetworkError{Sent: true, Err: ErrTimeout}), lostReply, freed},
		{"http/retry-after", live(), after(status(kindConnect, 503), 30*time.Second), "HTTPError pause(30s failure 0) ended", freed},
		{"http/retry-after: longer than a session lives", live(), after(status(kindConnect, 429), 40*time.Second), "HTTPError pause(40s failure 0) ended", newOne},
		{"http/retry-after: with a Bayeux reply", live(), after(no(kindConnect, "503::busy", adviceRetry), 9*time.Second), "ReplyError pause(9s failure 0)", "connect"},
		{"http/retry-after: with an advice that is longer", live(), after(no(kindConnect, "503::busy", `,"advice":{"reconnect":"retry","interval":20000}`), 9*time.Second), "ReplyError pause(20s failure 0)", "connect"},
		{"http/retry-after: with a limit", live(), after(no(kindConnect, "403::Organization total events daily limit exceeded", ""), 5*time.Minute), "ReplyError pause(5m0s limit 0) ended", newOne},
		{"http/retry-after: with a handshake", down(), after(no(kindHandshake, "503::busy", adviceNone), 9*time.Second), "ReplyError pause(9s failure 0) ended", newOne},
	}
	for _, code := range []int{400, 404, 405, 408, 413, 420, 429, 500, 502, 503, 504, 301, 302, 307} {
		name := fmt.Sprint("http/", code)
		if code < 400 {
			name = "http/3xx: " + fmt.Sprint(code)
		}
		list = append(list,
			row{name, live(), html(kindConnect, code), lostHTTP, freed},
			row{name + ": handshake", down(), html(kindHandshake, code), lostHTTP, newOne},
			row{name + ": subscribe", sent(), html(kindSubscribe, code), lostHTTP, freed},
		)
	}
	return list
}

// The client's states, by the names that CometD's Java client gives them.
func stateRows() []row {
	return []row{
		{"state/disconnected to handshaking", down(), proceed{}, newOne, newOne},
		{"state/handshaking to handshaken", down(), shaken(""), begun, "connect-at-once"},
		{"state/handshaking to rehandshaking", down(), no(kindHandshake, "x", ""), newAgain, newOne},
		{"state/handshaking to rehandshaking: by advice", down(), no(kindHandshake, "x", adviceHandshake), gone, newOne},
		{"state/handshaking to terminating", down(), no(kindHandshake, "x", adviceNone), newAgain, newOne},
		{"state/handshaken to connecting", down(), shaken(`,"advice":{"interval":500}`), "opened pause(500ms)", "connect-at-once"},
		{"state/connecting to connected", fresh(), first(yes(kindConnect, "")), goOn, "subscribe/a,/b"},
		{"state/connected to connected", live(), yes(kindConnect, ""), goOn, "connect"},
		{"state/connected to unconnected: network", live(), cut(kindConnect), lostReply, freed},
		{"state/connected to unconnected: HTTP", live(), status(kindConnect, 502), lostHTTP, freed},
		{"state/connected to unconnected: refused", live(), no(kindConnect, "x", adviceRetry), sameAgain, "connect"},
		{"state/connected to rehandshaking", live(), no(kindConnect, "x", adviceHandshake), gone, newOne},
		{"state/unconnected to connected", failed(live(), 2), yes(kindConnect, ""), goOn, "connect"},
		{"state/unconnected to rehandshaking", failed(live(), 2), no(kindConnect, "403::Unknown client", adviceHandshake), "pause(0s failure 1) ended ReplyError", newOne},
		{"state/unconnected to terminating", failed(live(), 2), no(kindConnect, "x", adviceNone), "ReplyError pause(0s failure 2) ended", freed},
		{"state/unconnected for too long", failed(live(), 9), no(kindConnect, "402::session_unknown", ""), "pause(0s failure 8) ended ReplyError", newOne},
		{"state/any to disconnecting", fresh(), closing{}, "disconnect", "connect-at-once"},
		{"state/any to disconnecting: connected", live(), closing{}, "disconnect", "connect"},
		{"state/backoff grows", failed(live(), 7), cut(kindConnect), "NetworkError pause(0s failure 7) ended", freed},
		{"state/backoff is reset by a session that lasts", failed(live(), 7), settled(no(kindConnect, "403::Unknown client", "")), "pause(0s failure 6) ended ReplyError", newOne},
		{"state/backoff and an advised handshake", failed(live(), 0), no(kindConnect, "x", adviceHandshake), gone, newOne},
		{"state/advice of a failed reply wins over the old", with(live(), func(s *state) { s.advice.Reconnect = reconnectRetry }), no(kindConnect, "x", adviceHandshake), gone, newOne},
		{"state/advice of a failed reply wins over the old: interval", with(live(), func(s *state) { s.advice.Interval = time.Minute }), no(kindConnect, "x", `,"advice":{"interval":5}`), "ReplyError pause(5ms failure 0)", "connect"},
	}
}

// What a conforming server is free to do.
func freedomRows() []row {
	const reply = `{"channel":"/meta/connect","id":"7","successful":true}`
	const event = `{"channel":"/a","data":{"event":{"replayId":5}}}`
	connect := func(body string) finished { return answer(kindConnect, body) }
	quick := yes(kindConnect, "")
	quick.quick = true
	empty := with(live(), func(s *state) { s.idle = 2 })
	return []row{
		{"freedom/01 one object and no array", live(), connect(reply), goOn, "connect"},
		{"freedom/02 events around the connect reply", live(), connect(`[` + event + `,` + reply + `,` + event + `]`), goOn, "connect"},
		{"freedom/02 events around the connect reply: behind it", live(), connect(`[` + reply + `,` + event + `]`), goOn, "connect"},
		{"freedom/03 events with the subscribe reply", sent(), answer(kindSubscribe, `[`+event+`,{"channel":"/meta/subscribe","id":"7","successful":true},{"channel":"/other","data":{}},{"channel":"/meta/subscribe","id":"8","successful":true}]`), bothIn, "connect"},
		{"freedom/03 events with the unsubscribe reply", leaving(), answer(kindUnsubscribe, `[{"channel":"/meta/unsubscribe","id":"8","successful":true},`+event+`,{"channel":"/meta/unsubscribe","id":"7","successful":true}]`), "", "subscribe/c"},
		{"freedom/03 events with the disconnect reply", live(), answer(kindDisconnect, `[`+event+`,{"channel":"/meta/disconnect","id":"7","successful":true}]`), "", newOne},
		{"freedom/04 events with the handshake reply", down(), answer(kindHandshake, `[{"channel":"/meta/handshake","id":"7","successful":true,"clientId":"c","ext":{"replay":true},"x-messages":1},`+event+`]`), begun, "connect-at-once"},
		{"freedom/05 subscribe replies in another order", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"8","successful":true},{"channel":"/meta/subscribe","id":"7","successful":true}]`), bothIn, "connect"},
		{"freedom/06 reply without id", live(), connect(`[{"channel":"/meta/connect","successful":true}]`), goOn, "connect"},
		{"freedom/06 reply without id: handshake", down(), answer(kindHandshake, `[{"channel":"/meta/handshake","clientId":"c","successful":true,"ext":{"replay":true}}]`), begun, "connect-at-once"},
		{"freedom/06 reply without id: subscribe", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","subscription":"/b","successful":true},{"channel":"/meta/subscribe","subscription":"/a","successful":true}]`), bothIn, "connect"},
		{"freedom/06 reply without id: nor a subscription", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","successful":true},{"channel":"/meta/subscribe","successful":true}]`), lostReply, freed},
		{"freedom/06 reply with a number for an id", live(), connect(`[{"channel":"/meta/connect","id":7,"successful":true}]`), goOn, "connect"},
		{"freedom/07 reply without client id", live(), yes(kindConnect, ""), goOn, "connect"},
		{"freedom/07 reply without client id: failure", live(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"freedom/07 reply with a client id", live(), yes(kindConnect, `,"clientId":"c1"`), goOn, "connect"},
		{"freedom/08 advice absent", live(), yes(kindConnect, ""), goOn, "connect"},
		{"freedom/08 advice partial", live(), yes(kindConnect, `,"advice":{"timeout":5000}`), goOn, "connect"},
		{"freedom/08 advice of a transport", live(), yes(kindConnect, `,"advice":{"long-polling":{"interval":70}}`), "pause(70ms)", "connect"},
		{"freedom/08 advice with unknown members", live(), yes(kindConnect, `,"advice":{"colour":"red","interval":5}`), "pause(5ms)", "connect"},
		{"freedom/08 advice with interval null", live(), yes(kindConnect, `,"advice":{"interval":null}`), goOn, "connect"},
		{"freedom/09 successful missing", live(), connect(`[{"channel":"/meta/disconnect"}]`), "pause(0s) ended", newOne},
		{"freedom/09 successful missing: of a reply", live(), connect(`[{"channel":"/meta/connect","id":"7"}]`), goOn, "connect"},
		{"freedom/09 successful missing: of a failure", live(), connect(`[{"channel":"/meta/connect","id":"7","error":"403::Unknown client"}]`), gone, newOne},
		{"freedom/10 timestamps", live(), yes(kindConnect, `,"timestamp":"2026-03-04T09:15:22"`), goOn, "connect"},
		{"freedom/10 timestamps: a number", live(), yes(kindConnect, `,"timestamp":1772615722000`), goOn, "connect"},
		{"freedom/11 ext with unknown members", live(), yes(kindConnect, `,"ext":{"ack":5,"sfdc":{"x":[]},"y":null}`), goOn, "connect"},
		{"freedom/11 ext of another type", live(), yes(kindConnect, `,"ext":"none"`), goOn, "connect"},
		{"freedom/12 connect answered at once with nothing", empty, quick, "pause(0s pace 0)", "connect"},
		{"freedom/12 connect answered at once with nothing: interval", with(empty, func(s *state) { s.advice.Interval = 5 * time.Second }), quick, "pause(5s pace 0)", "connect"},
		{"freedom/13 HTML or nothing under 200", live(), broke(kindConnect, &HTTPError{Status: 200, ContentType: "text/html"}), lostHTTP, freed},
		{"freedom/13 HTML or nothing under 200: malformed", live(), broke(kindConnect, &FrameError{}), "FrameError pause(0s failure 0) ended", freed},
		{"freedom/14 connection closed in the body", live(), cut(kindConnect), lostReply, freed},
		{"freedom/15 unknown session on any message: connect", live(), no(kindConnect, "402::session_unknown", ""), gone, newOne},
		{"freedom/15 unknown session on any message: first connect", fresh(), first(no(kindConnect, "403::Unknown client", "")), gone, newOne},
		{"freedom/15 unknown session on any message: subscribe", sent(), no(kindSubscribe, "403::Unknown client", ""), "accepted/b " + gone, newOne},
		{"freedom/15 unknown session on any message: unsubscribe", leaving(), no(kindUnsubscribe, "403::Unknown client", ""), gone, newOne},
		{"freedom/15 unknown session on any message: disconnect", live(), no(kindDisconnect, "403::Unknown client", ""), "", newOne},
		{"freedom/18 the same event twice", live(), connect(`[` + event + `,` + event + `,` + reply + `]`), goOn, "connect"},
		{"freedom/20 hosts", live(), yes(kindConnect, `,"advice":{"reconnect":"retry","hosts":["https://other.example/cometd"]}`), goOn, "connect"},
		{"freedom/20 hosts: with a handshake", live(), yes(kindConnect, `,"advice":{"reconnect":"handshake","hosts":["https://other.example/cometd"]}`), "pause(0s) ended", newOne},
	}
}
