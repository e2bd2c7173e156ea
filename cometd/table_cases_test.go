package cometd

import (
	"errors"
	"time"
)

// The order in which a failed reply is looked at.
func decisionRows() []row {
	return []row{
		{"decision/503", live(), no(kindConnect, "503::busy", adviceRetry), sameAgain, "connect"},
		{"decision/503: advice does not allow the session", live(), no(kindConnect, "503::busy", adviceNone), newAgain, freed},
		{"decision/503: advice handshake", live(), no(kindConnect, "503::busy", adviceHandshake), newAgain, freed},
		{"decision/503: no advice", live(), no(kindConnect, "500::oops", ""), sameAgain, "connect"},
		{"decision/503: wins over 401", live(), no(kindConnect, "401::Authentication invalid", reasonBusy), sameAgain, "connect"},
		{"decision/401", live(), no(kindConnect, "401::Authentication invalid", ""), login, asLogin},
		{"decision/401: wins over advice retry", live(), no(kindConnect, "401::Authentication invalid", adviceRetry), login, asLogin},
		{"decision/401: repeated at once", with(failed(down(), 1), func(s *state) { s.renewed = true }), no(kindHandshake, "401::Authentication invalid", adviceNone), "AuthError pause(0s failure 0) ended", asLogin},
		{"decision/401: repeated for ever", with(failed(down(), 9), func(s *state) { s.renewed = true }), no(kindHandshake, "401::Authentication invalid", adviceNone), "AuthError pause(0s failure 8) ended", asLogin},
		{"decision/unknown client", live(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"decision/unknown client: wins over advice retry", live(), no(kindConnect, "403::Client has not completed handshake", adviceRetry), gone, newOne},
		{"decision/unknown client: the second time", failed(live(), 1), no(kindConnect, "403::Unknown client", adviceHandshake), "pause(0s failure 0) ended ReplyError", newOne},
		{"decision/limits", live(), no(kindConnect, "403::Organization total events daily limit exceeded", adviceRetry), minutes, freed},
		{"decision/limits: again", with(live(), func(s *state) { s.limits = 2 }), no(kindConnect, "403::Organization total events daily limit exceeded", adviceHandshake), "ReplyError pause(0s limit 2) ended", freed},
		{"decision/replay id invalid", sent(), no(kindSubscribe, replayInvalid, ""), outOther, "connect"},
		{"decision/other refusal of a channel", sent(), no(kindSubscribe, "404::Unknown channel", adviceRetry), outOther, "connect"},
		{"decision/advice handshake", live(), no(kindConnect, "trouble", adviceHandshake), gone, newOne},
		{"decision/advice retry", live(), no(kindConnect, "trouble", `,"advice":{"reconnect":"retry","interval":700}`), "ReplyError pause(700ms failure 0)", "connect"},
		{"decision/advice none without a cause", live(), no(kindConnect, "trouble", adviceNone), newAgain, freed},
		{"decision/nothing known", live(), no(kindConnect, "", ""), sameAgain, "connect"},
		{"decision/nothing known: network", live(), cut(kindConnect), lostReply, freed},
		{"decision/nothing known: HTTP 502", live(), status(kindConnect, 502), lostHTTP, freed},
	}
}

// Tokens in the life of a session (Streaming API guide, "Client Authentication").
func tokenRows() []row {
	refused := with(down(), func(s *state) { s.credentials = credentialsRefused })
	renewed := with(live(), func(s *state) { s.renewed = true })
	return []row{
		{"token/new of the same user", refused, authorized{}, "", newOne},
		{"token/new of the same user: none to be had", refused, authorized{errors.New("x")}, "AuthorizeError pause(0s failure 0)", asLogin},
		{"token/of another user", live(), no(kindConnect, "400::Authenticated user id does not match the session's user id", ""), gone, newOne},
		{"token/session locked to an address", with(down(), func(s *state) { s.renewed = true }), no(kindHandshake, "403::Handshake denied", reasonAuth+adviceNone), "AuthError pause(0s failure 0) ended", asLogin},
		{"token/revoked", live(), no(kindConnect, "401::Authentication invalid", adviceNone), login, asLogin},
		{"token/revoked: while connected for long", failed(live(), 0), settled(no(kindConnect, "401::Authentication invalid", adviceNone)), login, asLogin},
		{"token/revoked: again after it worked", renewed, yes(kindConnect, ""), goOn, "connect"},
		{"token/instance refresh: disconnect", live(), answer(kindConnect, `[{"channel":"/meta/disconnect"}]`), "pause(0s) ended", newOne},
		{"token/instance refresh: then 401", failed(down(), 1), no(kindHandshake, "401::Authentication invalid", adviceNone), "AuthError pause(0s failure 0) ended", asLogin},
		{"token/instance refresh: nothing there", with(failed(down(), 2), func(s *state) { s.unheard = 2 }), broke(kindHandshake, &HTTPError{Status: 404}), "HTTPError pause(0s failure 2) ended", asLogin},
		{"token/instance refresh: an outage after all", with(down(), func(s *state) { s.credentials = credentialsDoubted }), authorized{errors.New("x")}, "AuthorizeError pause(0s failure 0)", newOne},
		{"token/instance refresh: somebody there", with(down(), func(s *state) { s.unheard = 2 }), no(kindHandshake, "503::busy", ""), "ReplyError pause(0s failure 0) ended", newOne},
	}
}

// Streaming API guide, "Streaming API timeouts", and what is seen.
func timingRows() []row {
	return []row{
		{"timing/connect held and answered empty", live(), settled(yes(kindConnect, "")), goOn, "connect"},
		{"timing/40 s without a connect", live(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"timing/connect every two minutes", live(), yes(kindConnect, adviceRetry), goOn, "connect"},
		{"timing/read timeout", live(), broke(kindConnect, &NetworkError{Sent: true, Err: ErrTimeout}), lostReply, freed},
		{"timing/token expires in a live session", live(), settled(no(kindConnect, "401::Authentication invalid", adviceNone)), login, asLogin},
		{"timing/login after hours", settledOnce(), no(kindConnect, "401::Authentication invalid", adviceNone), login, asLogin},
		{"timing/unknown client at any time", settledOnce(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"timing/affinity cookie lapses", settledOnce(), no(kindConnect, "403::Unknown client", adviceHandshake), gone, newOne},
		{"timing/affinity cookie lapses: and everything is subscribed again", fresh(), first(yes(kindConnect, "")), goOn, "subscribe/a,/b"},
	}
}

// settledOnce is a session that had trouble before and has lasted since.
func settledOnce() state {
	s, _ := step(failed(live(), 5), settled(yes(kindConnect, "")))
	return s
}

// Where sources disagree, both readings are taken.
func doubtRows() []row {
	const daily = "403::Organization total events daily limit exceeded"
	oneSpace := "400::The replayId {82} you provided was invalid. Please provide a valid ID, -2 to replay all events, or -1 to replay only new events."
	return []row{
		{"doubt/02 daily limit: on connect", live(), no(kindConnect, daily, adviceNone), minutes, freed},
		{"doubt/02 daily limit: on subscribe", sent(), no(kindSubscribe, daily, ""), limitOther, "connect"},
		{"doubt/03 replay id: two spaces", sent(), no(kindSubscribe, replayInvalid, ""), outOther, "connect"},
		{"doubt/03 replay id: one space", sent(), no(kindSubscribe, oneSpace, ""), outOther, "connect"},
		{"doubt/04 channel does not exist: 400", sent(), no(kindSubscribe, "400::The channel you requested to subscribe to does not exist {/a}", ""), outOther, "connect"},
		{"doubt/04 channel does not exist: create denied", sent(), no(kindSubscribe, "403:denied_by_security_policy:create_denied", ""), outOther, "connect"},
		{"doubt/05 unknown session: 402", live(), no(kindConnect, "402::Unknown client", ""), gone, newOne},
		{"doubt/05 unknown session: 403", live(), no(kindConnect, "403::Unknown client", ""), gone, newOne},
		{"doubt/06 end of a held connect: the server answers", live(), yes(kindConnect, ""), goOn, "connect"},
		{"doubt/06 end of a held connect: the server closes", live(), cut(kindConnect), lostReply, freed},
		{"doubt/06 end of a held connect: the client closes", live(), broke(kindConnect, &NetworkError{Sent: true, Err: ErrTimeout}), lostReply, freed},
		{"doubt/11 lowest version: 37.0", down(), no(kindHandshake, "400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'", adviceNone), newAgain, newOne},
		{"doubt/11 lowest version: 23.0", down(), no(kindHandshake, "400::Unsupported API version. Only API versions '23.0' and later are supported.", adviceNone), newAgain, newOne},
		{"doubt/12 payload.format: announced", down(), yes(kindHandshake, `,"clientId":"c","ext":{"replay":true,"payload.format":true}`), begun, "connect-at-once"},
		{"doubt/12 payload.format: not announced", down(), yes(kindHandshake, `,"clientId":"c","ext":{"replay":true}`), begun, "connect-at-once"},
		{"doubt/18 connect reply: first", live(), answer(kindConnect, `[{"channel":"/meta/connect","id":"7","successful":true},{"channel":"/a","data":{}}]`), goOn, "connect"},
		{"doubt/18 connect reply: last", live(), answer(kindConnect, `[{"channel":"/a","data":{}},{"channel":"/meta/connect","id":"7","successful":true}]`), goOn, "connect"},
		{"doubt/19 after an invalid replay id", with(live(), func(s *state) { s.subs = s.subs[1:] }), subscribe{channel: "/a"}, "", "subscribe/a"},
		{"doubt/21 subscribed twice", live(), subscribe{channel: "/a"}, "", "connect"},
		{"doubt/23 kinds of token", down(), no(kindHandshake, "403::Handshake denied", reasonAuth+adviceNone), login, asLogin},
	}
}

// What the CometD server library (8.0) does, found by running it.
func libraryRows() []row {
	return []row{
		{"library/1 a lost reply is lost data: connect", live(), cut(kindConnect), lostReply, freed},
		{"library/1 a lost reply is lost data: subscribe", sent(), cut(kindSubscribe), lostReply, freed},
		{"library/1 a lost reply is lost data: unsubscribe", leaving(), cut(kindUnsubscribe), lostReply, freed},
		{"library/1 a lost reply is lost data: malformed", live(), broke(kindConnect, &FrameError{}), "FrameError pause(0s failure 0) ended", freed},
		{"library/2 order breaks across two replies", with(live(), func(s *state) { *s = s.subscribe("/c") }), proceed{}, "subscribe/c", "connect"},
		{"library/3 unknown session without advice: connect", live(), no(kindConnect, "402::session_unknown", adviceHandshake), gone, newOne},
		{"library/3 unknown session without advice: subscribe", sent(), no(kindSubscribe, "402::session_unknown", ""), "accepted/b " + gone, newOne},
		{"library/4 no client id but in the handshake", sent(), yes(kindSubscribe, ""), bothIn, "connect"},
		{"library/5 advice with the handshake", down(), shaken(`,"advice":{"interval":0,"timeout":20000,"reconnect":"retry"}`), begun, "connect-at-once"},
		{"library/5 advice with the handshake: not with the connect", fresh(), first(yes(kindConnect, "")), goOn, "subscribe/a,/b"},
		{"library/5 advice with the first connect", fresh(), first(yes(kindConnect, `,"advice":{"interval":250,"timeout":110000,"reconnect":"retry"}`)), "pause(250ms)", "subscribe/a,/b"},
		{"library/6 number for an id comes back as text", live(), yes(kindConnect, ""), goOn, "connect"},
		{"library/settled", with(live(), func(s *state) { s.failures, s.limits, s.advice.Interval = 3, 3, time.Second }), settled(yes(kindConnect, "")), "pause(1s)", "connect"},
	}
}
