package orgsim

import (
	"encoding/json"
	"math/rand/v2"
	"time"
)

// adviceKinds change what a connect reply advises.
func adviceKinds() []FaultKind {
	return []FaultKind{
		{Name: "advice-none", Rate: .003, Text: "a failed connect without an error, advice none; the session ends", Fits: []string{onConnect}, draw: heldTime,
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, forget: endAdvice, failure: &failure{advice: json.RawMessage(adviceNone), withID: true}}
			}},
		{Name: "advice-handshake", Rate: .003, Text: "a good connect reply, with its events, and advice handshake; the session ends", Fits: []string{onConnect},
			apply: func(_ *Fault, e *effect) { e.advice, e.end = json.RawMessage(adviceAgain), endAdvice }},
		{Name: "advice-retry", Rate: .003, Text: "a failed connect without an error, advice retry after an interval", Fits: []string{onConnect}, draw: heldTime,
			strike: func(f *Fault) *strike {
				orDefault(&f.Interval, 500*time.Millisecond)
				return &strike{after: f.After, failure: &failure{advice: adviceAfter(f.Interval), withID: true}}
			}},
		oddKind("advice-interval", "the interval of a good connect reply is odd: negative, huge, null, a text, a list", "interval",
			"-1", "-2147483648", "9007199254740993", "86400000", "1e3", "0.5", "null", `"1000"`, `"soon"`, "true", "[5]", "{}"),
		oddKind("advice-timeout", "the timeout of a good connect reply is odd", "timeout",
			"0", "-1", "null", `"110000"`, "9007199254740993", "{}"),
		oddKind("advice-unknown", "the reconnect of a good connect reply is null, not a text or not known", "reconnect",
			`"later"`, "null", "7", `["retry"]`, `""`),
		{Name: "advice-transport", Rate: .003, Text: "the advice lies in the transport's own member: retry, or handshake, whereupon the session ends", Fits: []string{onConnect}, Modes: []string{"retry", "handshake", "both"},
			apply: func(f *Fault, e *effect) {
				switch f.Mode {
				case "retry":
					e.advice = json.RawMessage(`{"long-polling":{"reconnect":"retry","interval":250,"timeout":110000}}`)
				case "handshake":
					e.advice, e.end = json.RawMessage(`{"long-polling":{"reconnect":"handshake","interval":0}}`), endAdvice
				default:
					e.advice, e.end = json.RawMessage(`{"reconnect":"retry","interval":0,"long-polling":{"reconnect":"handshake","interval":100},"callback-polling":{"reconnect":"none"}}`), endAdvice
				}
			}},
		{Name: "advice-missing", Rate: .01, Shape: true, Text: "no advice, also not with the first connect reply", Fits: []string{onConnect},
			apply: func(_ *Fault, e *effect) { e.noAdvice = true }},
		{Name: "advice-hosts", Rate: .005, Shape: true, Text: "advice with hosts, maxInterval and unknown members", Fits: []string{onConnect},
			apply: func(_ *Fault, e *effect) {
				e.advice = json.RawMessage(`{"reconnect":"retry","interval":0,"timeout":110000,"maxInterval":40000,"hosts":["other.my.salesforce.com"],"x-future":{"a":[1]}}`)
			}},
		{Name: "connect-at-once", Rate: .01, Shape: true, Text: "a connect is answered at once though there is nothing, with an interval (default 1 s)", Fits: []string{onConnect},
			apply: func(f *Fault, e *effect) {
				orDefault(&f.Interval, time.Second)
				e.advice, e.instant = adviceAfter(f.Interval), true
			}},
		{Name: "multiple-clients", Rate: .004, Shape: true, Text: "a connect is answered at once with multiple-clients advice and an interval of 2 s", Fits: []string{onConnect},
			apply: func(_ *Fault, e *effect) {
				e.advice, e.instant = json.RawMessage(`{"multiple-clients":true,"interval":2000,"reconnect":"retry"}`), true
			}},
	}
}

func adviceAfter(d time.Duration) json.RawMessage {
	raw, err := json.Marshal(map[string]any{"interval": d.Milliseconds(), "timeout": 110_000, "reconnect": "retry"})
	if err != nil {
		return nil
	}
	return raw
}

// oddKind is an advice with one strange member; the modes are its values.
func oddKind(name, text, member string, values ...string) FaultKind {
	return FaultKind{Name: name, Rate: .004, Shape: true, Text: text, Fits: []string{onConnect}, Modes: values,
		apply: func(f *Fault, e *effect) {
			all := map[string]json.RawMessage{"interval": json.RawMessage("0"), "timeout": json.RawMessage("110000"), "reconnect": json.RawMessage(`"retry"`)}
			all[member] = json.RawMessage(f.Mode)
			if raw, err := json.Marshal(all); err == nil {
				e.advice = raw
			}
		}}
}

// bodyKinds change how the bytes of a response come.
func bodyKinds() []FaultKind {
	return []FaultKind{
		{Name: "cut", Rate: .008, Text: "the body is cut off after some bytes, at the latest before its last one; what it held is lost to the session", Fits: []string{"cometd"},
			draw: func(f *Fault, r *rand.Rand) {
				switch {
				case f.Bytes != 0:
				case r == nil:
					f.Bytes = 1
				default:
					// As likely within the first 16 bytes as within the last 16,384.
					f.Bytes = r.IntN(1 << (1 + r.IntN(15)))
					if f.Bytes == 0 {
						f.Bytes = -1
					}
				}
			},
			apply: func(f *Fault, e *effect) { e.cut = max(f.Bytes, 0) }},
		{Name: "gzip", Rate: .02, Shape: true, Text: "the body is compressed, if the client accepts it", Fits: []string{"cometd"},
			apply: func(_ *Fault, e *effect) { e.gzip = true }},
		{Name: "drip", Rate: .004, Shape: true, Text: "the body comes some bytes at a time (default 1) with a pause between (1 s), for a time (20 s), then the rest at once", Fits: []string{"cometd"},
			draw: func(f *Fault, r *rand.Rand) {
				if r != nil {
					f.Bytes = 1 + r.IntN(64)
				}
			},
			apply: func(f *Fault, e *effect) {
				e.drip, e.pause, e.dripFor = max(f.Bytes, 1), f.Interval, f.For
				orDefault(&e.pause, time.Second)
				orDefault(&e.dripFor, 20*time.Second)
			}},
	}
}

// shapeKinds are freedoms that a conforming server has.
func shapeKinds() []FaultKind {
	form := func(name string, rate float64, text string, on string, apply func(e *effect)) FaultKind {
		return FaultKind{Name: name, Rate: rate, Shape: true, Text: text, Fits: []string{on}, apply: func(_ *Fault, e *effect) { apply(e) }}
	}
	return []FaultKind{
		form("events-with-subscribe", .1, "events that are there already come with the subscribe reply", onSubscribe, func(e *effect) { e.withEvents = true }),
		form("reply-first", .03, "the reply comes before the events", "cometd", func(e *effect) { e.place = placeFirst }),
		form("reply-middle", .03, "the reply comes amid the events", "cometd", func(e *effect) { e.place = placeMiddle }),
		form("reply-last", .03, "the reply comes after the events, whatever the org's Config says", "cometd", func(e *effect) { e.place = placeLast }),
		form("id-number", .05, "the message id comes back as a number, or as a text if it was a number", "cometd", func(e *effect) { e.numberIDs = true }),
		form("id-missing", .03, "the reply has no id", "cometd", func(e *effect) { e.noIDs = true }),
		form("client-id-missing", .03, "replies but the handshake's have no clientId", "cometd", func(e *effect) { e.noClientIDs = true }),
		form("object", .03, "a response of one message is a bare object", "cometd", func(e *effect) { e.object = true }),
		form("unknown-members", .03, "messages have members that nobody knows, and spaces between", "cometd", func(e *effect) { e.extra = true }),
		form("timestamp", .03, "messages have timestamps", "cometd", func(e *effect) { e.stamps = true }),
		form("header-case", .02, "Content-Type is application/json;charset=utf-8", "cometd", func(e *effect) { e.lowerType = true }),
		{Name: "duplicate-events", Rate: .01, Shape: true, Text: "events come twice: each after itself, or up to 256 of them as a whole again", Fits: []string{onConnect, onSubscribe}, Modes: []string{"each", "again"},
			apply: func(f *Fault, e *effect) { e.twice = f.Mode }},
	}
}

// cookieKinds need a session; on other requests they do nothing.
func cookieKinds() []FaultKind {
	cookie := func(name string, rate float64, shape bool, text string, draw func(*Fault, *rand.Rand)) FaultKind {
		return FaultKind{Name: name, Rate: rate, Shape: shape, Text: text, Fits: []string{onHandshake, onConnect, onSubscribe}, draw: draw,
			apply: func(f *Fault, e *effect) { e.cookies = append(e.cookies, cookieChange{name, f.Interval}) }}
	}
	return []FaultKind{
		cookie(cookieLost, .002, false, "the response expires the "+cookieName+" cookie; the next request is refused with 400", nil),
		cookie(cookieChanged, .005, true, "the response sets another "+cookieName+", which is the one that counts from now on", nil),
		cookie(cookieTwice, .005, true, "the response sets a second "+cookieName+" for the path /cometd; either is enough", nil),
		cookie(cookieAffinity, .004, false, "the response sets sfdc-stream with an expiry (default 3 h); once it has passed, another server answers 403::Unknown client and sets a new one",
			func(f *Fault, r *rand.Rand) {
				if r != nil && f.Interval == 0 {
					f.Interval = time.Duration(1+r.IntN(240)) * time.Minute
				}
			}),
	}
}

// orgKinds happen to the org; their rates are times an hour.
func orgKinds() []FaultKind {
	return []FaultKind{
		{Name: "tokens-expired", Rate: .1, Text: "all access tokens end", run: func(o *Org, _ *Fault) { o.ExpireTokens() }},
		{Name: "sessions-forgotten", Rate: .2, Text: "all sessions are forgotten", run: func(o *Org, _ *Fault) { o.ForgetSessions() }},
		{Name: "sessions-disconnected", Rate: .05, Text: "all sessions end with a /meta/disconnect of the server", run: func(o *Org, _ *Fault) { o.DisconnectSessions() }},
		{Name: "connections-cut", Rate: .2, Text: "every session's next connect reply is cut off, held ones at once", run: func(o *Org, _ *Fault) { o.CutConnections(0) }},
		{Name: "outage", Rate: .03, Text: "every request gets 503 with a page for a time (default 2 min)", run: func(o *Org, f *Fault) {
			orDefault(&f.For, 2*time.Minute)
			o.Outage(f.For)
		}},
		{Name: "ids-shared", Rate: 1, Text: "the events of the next transaction with several share one replay id", run: func(o *Org, _ *Fault) { o.ShareReplayID(1) }},
		{Name: "instance-moved", Rate: .01, Text: "the instance gets another address; the old one redirects, is gone, or knows no session and no token", Modes: []string{MovedUnknown, MovedRedirect, MovedGone},
			run: func(o *Org, f *Fault) {
				orDefault(&f.Location, o.nextAddress())
				o.MoveInstance(f.Location, f.Mode)
			}},
		{Name: "bus-reset", Hole: true, Text: "nothing is retained and every known replay id is invalid", run: func(o *Org, _ *Fault) { o.ResetBus() }},
		{Name: "starvation", Hole: true, Text: "a channel's subscriptions get nothing more, though connects succeed", Modes: []string{StarveSession, StarveSubscription, StarveTip, StarveForever},
			run: func(o *Org, f *Fault) {
				orDefault(&f.Channel, o.anyChannel())
				_ = o.Starve(Starvation{Channel: f.Channel, ClientID: f.ClientID, Until: f.Mode}) // no Rows: nothing to be wrong
			}},
	}
}
