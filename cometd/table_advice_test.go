package cometd

import (
	"io"
	"strings"
	"time"
)

// Bayeux 1.0, "advice"; CometD reference, "Bayeux Protocol Advice Fields".
func adviceRows() []row {
	second := with(live(), func(s *state) { s.advice.Interval = time.Second })
	advice := func(members string) finished { return yes(kindConnect, `,"advice":{`+members+`}`) }
	return []row{
		{"advice/reconnect retry", live(), advice(`"reconnect":"retry","interval":100`), "pause(100ms)", "connect"},
		{"advice/reconnect retry: on a failure", live(), no(kindConnect, "trouble", adviceRetry), sameAgain, "connect"},
		{"advice/reconnect handshake", live(), advice(`"reconnect":"handshake","interval":100`), "pause(100ms) ended", newOne},
		{"advice/reconnect handshake: on a failure", live(), no(kindConnect, "trouble", adviceHandshake), gone, newOne},
		{"advice/reconnect handshake: on every success", failed(live(), 2), advice(`"reconnect":"handshake"`), "pause(0s failure 1) ended", newOne},
		{"advice/reconnect handshake: on every failure", failed(live(), 3), no(kindConnect, "trouble", adviceHandshake), "pause(0s failure 2) ended ReplyError", newOne},
		{"advice/reconnect none", live(), advice(`"reconnect":"none"`), newAgain, freed},
		{"advice/reconnect none: on a failure", live(), no(kindConnect, "trouble", adviceNone), newAgain, freed},
		{"advice/reconnect none: the server asks for a long silence", live(), no(kindConnect, "trouble", `,"advice":{"reconnect":"none","interval":60000}`), "ReplyError pause(1m0s failure 0) ended", newOne},
		{"advice/reconnect of an unknown word", live(), advice(`"reconnect":"whatever","interval":500`), "pause(500ms)", "connect"},
		{"advice/reconnect of an unknown word: on a failure", live(), no(kindConnect, "trouble", `,"advice":{"reconnect":"whatever"}`), newAgain, freed},
		{"advice/interval", live(), advice(`"interval":3000`), "pause(3s)", "connect"},
		{"advice/interval: negative", live(), advice(`"interval":-1`), newAgain, freed},
		{"advice/interval: negative, with a refused channel", sent(), no(kindSubscribe, "403::Restricted channel", `,"advice":{"interval":-1}`), outOther, "connect"},
		{"advice/interval: long, with a refused channel", with(sent(), func(s *state) { s.advice.Interval = time.Second }), no(kindSubscribe, "503::busy", `,"advice":{"interval":90000}`), "SubscriptionError retry/a(1m30s failure 0) accepted/b", "connect"},
		{"advice/interval: absurd", live(), advice(`"interval":1e300`), "pause(15m0s)", "connect"},
		{"advice/interval: a fraction", live(), advice(`"interval":0.5`), "pause(500µs)", "connect"},
		{"advice/interval: a number in quotes", live(), advice(`"interval":"2000"`), "pause(2s)", "connect"},
		{"advice/interval: a word", live(), advice(`"interval":"soon"`), goOn, "connect"},
		{"advice/interval: another type", live(), advice(`"interval":{"ms":1}`), goOn, "connect"},
		{"advice/timeout", live(), advice(`"timeout":20000`), goOn, "connect"}, // what is made of it: TestHold
		{"advice/multiple-clients", live(), advice(`"multiple-clients":true,"interval":2000`), "pause(2s)", "connect"},
		{"advice/hosts", live(), advice(`"hosts":["https://other.example"]`), goOn, "connect"},
		{"advice/maxInterval", live(), advice(`"maxInterval":10000`), goOn, "connect"},
		{"advice/of a transport", live(), advice(`"interval":9000,"long-polling":{"interval":1000},"websocket":{"interval":5000}`), "pause(1s)", "connect"},
		{"advice/of a transport: a word for it", live(), advice(`"reconnect":"retry","long-polling":{"reconnect":"handshake"}`), "pause(0s) ended", newOne},
		{"advice/new replaces old", second, advice(`"reconnect":"retry"`), goOn, "connect"},
		{"advice/absent means the old stays", second, yes(kindConnect, ""), "pause(1s)", "connect"},
		{"advice/absent means the old stays: null", second, yes(kindConnect, `,"advice":null`), "pause(1s)", "connect"},
		{"advice/absent means the old stays: another type", second, yes(kindConnect, `,"advice":[1]`), "pause(1s)", "connect"},
		{"advice/absent on a failure means back off", live(), no(kindConnect, "trouble", ""), sameAgain, "connect"},
		{"advice/absent on a failure means back off: again", failed(live(), 4), no(kindConnect, "trouble", ""), "ReplyError pause(0s failure 4)", "connect"},
		{"advice/the client's own", fresh(), proceed{}, "connect-at-once", "connect-at-once"},
	}
}

// Bayeux 1.0, "Handshake".
func handshakeRows() []row {
	const version = "400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'"
	return []row{
		{"handshake/credentials first", newStateWith("/a"), proceed{}, "authorize(false)", "authorize(false)"},
		{"handshake/credentials first: then the handshake", newStateWith("/a"), authorized{}, "", newOne},
		{"handshake/credentials first: none", newStateWith("/a"), authorized{io.ErrClosedPipe}, "AuthorizeError pause(0s failure 0)", "authorize(false)"},
		{"handshake/credentials first: nothing subscribed", newState(), proceed{}, "error", "error"},
		{"handshake/alone in its request", with(down(), func(s *state) { s.subs[0].state = subLeaving }), proceed{}, newOne, newOne},
		{"handshake/success", down(), shaken(`,"version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling","callback-polling"],"authSuccessful":true`), begun, "connect-at-once"},
		{"handshake/success: advice with it", down(), shaken(`,"advice":{"interval":2000}`), "opened pause(2s)", "connect-at-once"},
		{"handshake/success: no client id", down(), yes(kindHandshake, `,"ext":{"replay":true}`), lostReply, newOne},
		{"handshake/success: no reply to it", down(), answer(kindHandshake, `[]`), lostReply, newOne},
		{"handshake/success: a reply to something else", down(), answer(kindHandshake, `[{"channel":"/meta/connect","id":"7","successful":true}]`), lostReply, newOne},
		{"handshake/success: replay not confirmed", down(), yes(kindHandshake, `,"clientId":"c"`), "error pause(0s failure 0)", freed},
		{"handshake/success: replay denied", down(), yes(kindHandshake, `,"clientId":"c","ext":{"replay":false}`), "error pause(0s failure 0)", freed},
		{"handshake/failure", down(), no(kindHandshake, "any text", `,"version":"1.0","supportedConnectionTypes":["long-polling"]`), newAgain, newOne},
		{"handshake/failure: in an unsupported version", down(), no(kindHandshake, version, adviceNone), newAgain, newOne},
		{"handshake/failure with handshake", down(), no(kindHandshake, "once more", adviceHandshake), gone, newOne},
		{"handshake/failure with handshake: for ever", failed(down(), 6), no(kindHandshake, "once more", adviceHandshake), "pause(0s failure 5) ended ReplyError", newOne},
		{"handshake/failure with none", down(), no(kindHandshake, "no", adviceNone), newAgain, newOne},
		{"handshake/no common transport", down(), shaken(`,"supportedConnectionTypes":["websocket"]`), "error pause(0s failure 0)", freed},
		{"handshake/no common transport: the error", down(), no(kindHandshake, "405:c[long-polling],s[websocket]:no_transport", adviceNone), newAgain, newOne},
		{"handshake/events with it", down(), answer(kindHandshake, `[{"channel":"/meta/handshake","id":"7","successful":true,"clientId":"c","ext":{"replay":true},"x-messages":1},{"channel":"/a","data":{}}]`), begun, "connect-at-once"},
	}
}

// Bayeux 1.0, "Connect"; CometD reference, long polling.
func connectRows() []row {
	const ok = `{"channel":"/meta/connect","id":"7","successful":true}`
	return []row{
		{"connect/one at a time", live(), proceed{}, "connect", "connect"},
		{"connect/the first is answered at once", fresh(), first(yes(kindConnect, `,"advice":{"interval":0,"timeout":110000,"reconnect":"retry"}`)), goOn, "subscribe/a,/b"},
		{"connect/the first is answered at once: by a server that holds it", fresh(), first(yes(kindConnect, "")), goOn, "subscribe/a,/b"},
		{"connect/many events in one reply", live(), answer(kindConnect, `[`+strings.Repeat(`{"channel":"/a","data":{}},`, 50)+ok+`]`), goOn, "connect"},
		{"connect/reply anywhere in the array", live(), answer(kindConnect, `[{"channel":"/a","data":{}},`+ok+`,{"channel":"/b","data":{}}]`), goOn, "connect"},
		{"connect/held only when alone", with(live(), func(s *state) { s.subs[0].state = subWanted }), proceed{}, "subscribe/a", "connect"},
		{"connect/the older of two ends with an error", live(), status(kindConnect, 500), lostHTTP, freed},
		{"connect/matched by id", live(), answer(kindConnect, strings.Replace("["+ok+"]", "7", "6", 1)), lostReply, freed},
		{"connect/matched by id: two replies, one is ours", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"6","successful":false,"error":"403::Unknown client"},`+ok+`]`), goOn, "connect"},
		{"connect/matched by id: no reply", live(), answer(kindConnect, `[{"channel":"/a","data":{}}]`), lostReply, freed},
		{"connect/empty body is a failure", live(), broke(kindConnect, &HTTPError{Status: 200}), lostHTTP, freed},
		{"connect/too late", live(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"connect/not sent", live(), withOutcome(answer(kindConnect, "[]"), unsent, &NetworkError{}), "NetworkError pause(0s failure 0)", "connect"},
		{"connect/given up by the caller", live(), withOutcome(answer(kindConnect, "[]"), aborted, nil), "ended", freed},
	}
}

// Bayeux 1.0, "Subscribe", "Unsubscribe".
func subscribeRows() []row {
	const b = `{"channel":"/meta/subscribe","id":"8","subscription":"/b","successful":true}`
	waiting := with(live(), func(s *state) { s.subs[1].state = subWaiting })
	manyWanted := func(batch int) state {
		s := live()
		s.subs, s.batch = nil, batch
		for _, c := range []string{"/1", "/2", "/3", "/4"} {
			s = s.subscribe(c)
		}
		return s
	}
	return []row{
		{"subscribe/echo", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"7","clientId":"c1","subscription":"/a","successful":true,"timestamp":"now"},`+b+`]`), bothIn, "connect"},
		{"subscribe/echo: missing", sent(), yes(kindSubscribe, ""), bothIn, "connect"},
		{"subscribe/echo: as an array", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","subscription":"/b","successful":true},{"channel":"/meta/subscribe","subscription":["/a"],"successful":false,"error":"403::Restricted channel"}]`), outOther, "connect"},
		{"subscribe/one channel a message", manyWanted(100), proceed{}, "subscribe/1,/2,/3,/4", "connect"},
		{"subscribe/one channel a message: few in a request", manyWanted(3), proceed{}, "subscribe/1,/2,/3", "subscribe/4"},
		{"subscribe/one channel a message: did not fit", sent(), alone(yes(kindSubscribe, "")), "accepted/a", "subscribe/b"},
		{"subscribe/one channel a message: stumbled over", sent(), status(kindSubscribe, 500), lostHTTP, freed},
		{"subscribe/events with the reply", sent(), answer(kindSubscribe, `[{"channel":"/b","data":{}},{"channel":"/meta/subscribe","id":"7","successful":true},{"channel":"/a","data":{}},`+b+`]`), bothIn, "connect"},
		{"subscribe/unanswered", sent(), answer(kindSubscribe, `[`+b+`]`), lostReply, freed},
		{"subscribe/not sent", sent(), withOutcome(answer(kindSubscribe, `[]`), unsent, &NetworkError{}), "NetworkError pause(0s failure 0)", "subscribe/a,/b"},
		{"subscribe/lost", sent(), cut(kindSubscribe), lostReply, freed},
		{"subscribe/bound to the session", fresh(), first(yes(kindConnect, "")), goOn, "subscribe/a,/b"},
		{"subscribe/retry is due", waiting, due{[]string{"/b"}}, "", "subscribe/b"},
		{"subscribe/retry is due: given up meanwhile", live(), due{[]string{"/c"}}, "", "connect"},
		{"subscribe/given up while sent", sent().unsubscribe("/a"), yes(kindSubscribe, ""), "accepted/b", "unsubscribe/a"},
		{"subscribe/new wish in a session", live(), subscribe{channel: "/c"}, "", "subscribe/c"},
		{"subscribe/new wish in a session: there already", live(), subscribe{channel: "/a"}, "", "connect"},
		{"subscribe/refused again and again", live(), subscribe{"/c", 1}, "", "subscribe/c"},
		{"subscribe/refused again and again: pauses", live(), subscribe{"/c", 4}, "retry/c(0s failure 2)", "connect"},
		{"subscribe/refused with advice handshake", sent(), no(kindSubscribe, "403::Restricted channel", adviceHandshake), outOther + " pause(0s) ended", newOne},
		{"subscribe/refused with advice none", sent(), no(kindSubscribe, "403::Restricted channel", adviceNone), outOther, "connect"},
		{"unsubscribe/wish", live(), unsubscribe{"/a"}, "", "unsubscribe/a"},
		{"unsubscribe/wish: before it was sent", down(), unsubscribe{"/a"}, "", newOne},
		{"unsubscribe/events with the reply", leaving(), answer(kindUnsubscribe, `[{"channel":"/a","data":{}},{"channel":"/meta/unsubscribe","id":"7","successful":true},{"channel":"/meta/unsubscribe","id":"8","successful":true}]`), "", "subscribe/c"},
		{"unsubscribe/failure does not matter", leaving(), no(kindUnsubscribe, "x", ""), "", "subscribe/c"},
		{"unsubscribe/unanswered", leaving(), answer(kindUnsubscribe, `[]`), lostReply, freed},
	}
}

// Bayeux 1.0, "Disconnect"; cookies as the CometD reference server has them.
func disconnectRows() []row {
	farewell := yes(kindDisconnect, "")
	farewell.request.farewell = true
	given := with(down(), func(s *state) { s.clientID = "c1" })
	refusedFarewell := func(f finished) finished {
		f.request.farewell = true
		return f
	}
	return []row{
		{"disconnect/ours", live(), closing{}, "disconnect", "connect"},
		{"disconnect/ours: done", live(), yes(kindDisconnect, ""), "", newOne},
		{"disconnect/ours: without a session", down(), closing{}, "", newOne},
		{"disconnect/ours: without credentials", with(live(), func(s *state) { s.credentials = credentialsRefused }), closing{}, "", "connect"},
		{"disconnect/releases a held connect", live(), yes(kindConnect, adviceNone), newAgain, freed},
		{"disconnect/sent by the server", live(), answer(kindConnect, `[{"channel":"/meta/disconnect"}]`), "pause(0s) ended", newOne},
		{"disconnect/sent by the server: with the connect reply", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true},{"channel":"/meta/disconnect"}]`), "pause(0s) ended", newOne},
		{"disconnect/sent by the server: with a subscribe reply", sent(), answer(kindSubscribe, `[{"channel":"/meta/subscribe","id":"7","successful":true},{"channel":"/meta/disconnect"}]`), "pause(0s) ended", newOne},
		{"disconnect/sent by the server: each time", failed(live(), 3), answer(kindConnect, `[{"channel":"/meta/disconnect"}]`), "pause(0s failure 2) ended", newOne},
		{"disconnect/of a session given up", given, release{}, "disconnect", freed},
		{"disconnect/of a session given up: done", given, farewell, "", newOne},
		{"disconnect/of a session given up: lost", given, refusedFarewell(cut(kindDisconnect)), "", newOne},
		{"disconnect/of a session given up: refused", given, refusedFarewell(no(kindDisconnect, "401::Authentication invalid", adviceNone)), "", newOne},
		{"disconnect/of a session given up: forgotten", given, refusedFarewell(no(kindDisconnect, "403::Unknown client", adviceHandshake)), "", newOne},
		{"disconnect/of a session given up: HTTP 401", given, refusedFarewell(status(kindDisconnect, 401)), "", newOne},
		{"disconnect/of a session given up: the caller went", given, refusedFarewell(withOutcome(answer(kindDisconnect, "[]"), aborted, nil)), "", newOne},
		{"disconnect/of a session given up: not of one that is live", live(), release{}, "", "connect"},

		{"cookies/wrong or missing", live(), no(kindConnect, "402::session_unknown", adviceHandshake), gone, newOne},
		{"cookies/wrong or missing: at Salesforce", live(), no(kindConnect, "400::Client c1 has established a session, but no BAYEUX_BROWSER cookie present", ""), gone, newOne},
		{"cookies/several clients with one", live(), yes(kindConnect, `,"advice":{"multiple-clients":true,"reconnect":"retry","interval":2000}`), "pause(2s)", "connect"},
		{"cookies/several clients with one: not served", live(), no(kindConnect, "", `,"advice":{"multiple-clients":true,"reconnect":"none"}`), newAgain, freed},
	}
}
