package cometd

import "strings"

// refusals are the error texts of Salesforce (Streaming API guide, "Streaming API
// Error Codes"), those seen from it beside them, and those of the CometD
// reference server; each with the messages it comes on (h: handshake, c: connect,
// s: subscribe) and what it means.
func refusals() []struct{ name, on, text, means string } {
	return []struct{ name, on, text, means string }{
		{"error/400 api version missing", "hcs", "400::API version in the URI is mandatory. URI format: '/cometd/66.0'", "no"},
		{"error/400 api version unsupported", "hcs", "400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'", "no"},
		{"error/400 connection type", "hc", "400::Invalid connection type {websocket}", "no"},
		{"error/400 channel does not exist", "s", "400::The channel you requested to subscribe to does not exist {/a}", "no"},
		{"error/400 channel does not exist: newer text", "s", "400::The channel you requested to subscribe to doesn't exist {/a}", "no"},
		{"error/400 channel not specified", "s", "400::Channel name not specified", "no"},
		{"error/400 leading slash", "s", "400::Channel subscriptions must start with a leading '/'", "no"},
		{"error/400 query fields", "s", "400::Query fields {Colour__c} do not exist on the topic entity", "no"},
		{"error/400 no cookie", "cs", "400::Client c1 has established a session, but no sfdc-stream cookie present", "gone"},
		{"error/400 replay id", "s", replayInvalid, "no"},
		{"error/400 another user", "cs", "400::Authenticated user id does not match the session's user id", "gone"},
		{"error/401 authentication invalid", "hcs", "401::Authentication invalid", "login"},
		{"error/401 authentication required", "hcs", "401::Request requires authentication", "login"},
		{"error/403 cannot create channel", "s", "403::Cannot create channel /u/x", "no"},
		{"error/403 no access to the entity", "s", "403::Subscriber does not have access to the entity in this topic", "no"},
		{"error/403 no access to the where clause", "s", "403::Subscriber does not have access to all fields referenced in the where clause of the PushTopic", "no"},
		{"error/403 handshake denied", "h", "403::Handshake denied", "no"},
		{"error/403 handshake not completed", "cs", "403::Client has not completed handshake", "gone"},
		{"error/403 concurrent user limit", "hc", "403::Organization concurrent user limit exceeded", "limit"},
		{"error/403 daily limit", "hcs", "403::Organization total events daily limit exceeded", "limit"},
		{"error/403 restricted channel", "s", "403::Restricted channel", "no"},
		{"error/403 not enabled for streaming", "hs", "403::User not enabled for streaming", "no"},
		{"error/403 no view all data", "s", "403::User not allowed to subscribe CDC without View All Data permissions", "no"},
		{"error/403 subscription limit", "s", "403::Subscription limit exceeded for this topic", "limit"},
		{"error/403 unknown client", "cs", "403::Unknown client", "gone"},
		{"error/403 simultaneous connections", "hc", simultaneous, "limit"},
		{"error/413 request size", "hcs", "413::Maximum Request Size Exceeded", "split"},
		{"error/503 too busy", "hcs", "503::Server is too busy. Please try your request again later.", "busy"},
		{"error/403 channel limit", "s", "403::Unable to create channel dynamically, maximum channel limit has been exceeded", "limit"},
		{"error/403 no access on channel", "s", "403::No access on channel", "no"},
		{"error/404 case of the channel", "s", "404::Channel names may not vary only by case", "no"},
		{"error/404 unknown channel", "s", "404::Unknown channel", "no"},
		{"error/seen create denied", "s", "403:denied_by_security_policy:create_denied", "no"},
		{"error/seen subscribe denied", "s", "403:denied_by_security_policy:subscribe_denied", "no"},
		{"error/seen 402 unknown client", "cs", "402::Unknown client", "gone"},
		{"error/reference session unknown", "cs", "402::session_unknown", "gone"},
		{"error/reference channel missing", "s", "400::channel_missing", "no"},
		{"error/reference channel invalid", "s", "405::channel_invalid", "no"},
		{"error/reference message id invalid", "cs", "405::message_id_invalid", "no"},
		{"error/reference handshake denied", "h", "403::handshake_denied", "no"},
		{"error/reference handshake failed", "h", "403::handshake_failed", "no"},
		{"error/reference subscription missing", "s", "403::subscription_missing", "no"},
		{"error/reference subscription invalid", "s", "403::subscription_invalid", "no"},
		{"error/reference subscribe failed", "s", "403::subscribe_failed", "no"},
		{"error/reference create denied", "s", "403:denied_by_not_granting:create_denied", "no"},
		{"error/reference subscribe denied", "s", "403:denied_by_not_granting:subscribe_denied", "no"},
		{"error/reference message deleted", "cs", "404::message_deleted", "no"},
		{"error/of nobody's list", "hcs", "418::teapot", "no"},
	}
}

// fates are what a meaning comes to, on a handshake, a connect and a subscribe
// (whose second channel is accepted): the actions, and the next request. The
// failed handshakes and connects have an advice none, as Salesforce's have.
func fates(means string) (handshake, connect, subscribe [2]string) {
	switch means {
	case "gone":
		return [2]string{gone, newOne}, [2]string{gone, newOne}, [2]string{"accepted/b " + gone, newOne}
	case "login":
		return [2]string{login, asLogin}, [2]string{login, asLogin}, [2]string{"accepted/b " + login, asLogin}
	case "limit":
		return [2]string{minutes, newOne}, [2]string{minutes, freed}, [2]string{limitOther, "connect"}
	case "busy":
		return [2]string{newAgain, newOne}, [2]string{newAgain, freed}, [2]string{waitsOther, "connect"}
	case "split":
		return [2]string{newAgain, newOne}, [2]string{newAgain, freed}, [2]string{"accepted/b", "subscribe/a"}
	}
	return [2]string{newAgain, newOne}, [2]string{newAgain, freed}, [2]string{outOther, "connect"}
}

func errorRows() []row {
	var list []row
	for _, r := range refusals() {
		handshake, connect, subscribe := fates(r.means)
		name := r.name
		if !strings.Contains(name, ": ") {
			name += ":"
		}
		if strings.Contains(r.on, "h") {
			list = append(list, row{name + " handshake", down(), no(kindHandshake, r.text, adviceNone), handshake[0], handshake[1]})
		}
		if strings.Contains(r.on, "c") {
			list = append(list, row{name + " connect", live(), no(kindConnect, r.text, adviceNone), connect[0], connect[1]})
		}
		if strings.Contains(r.on, "s") {
			list = append(list, row{name + " subscribe", sent(), no(kindSubscribe, r.text, ""), subscribe[0], subscribe[1]})
		}
	}
	return append(list,
		row{"error/reference unsubscribe failed: unsubscribe", leaving(), no(kindUnsubscribe, "403::unsubscribe_failed", ""), "", "subscribe/c"},
		row{"error/text with colons", live(), no(kindConnect, "403::Unknown client: a:b:c", ""), gone, newOne},
		row{"error/text without form", live(), no(kindConnect, "Unknown Client", ""), gone, newOne},
		row{"error/missing", live(), said(kindConnect, `"successful":false`), sameAgain, "connect"},
		row{"error/413 request size: alone", sent(), alone(no(kindSubscribe, "413::Maximum Request Size Exceeded", "")), "SubscriptionError retry/a(0s failure 0)", "subscribe/b"},
	)
}

// The real cause is in ext.sfdc.failureReason, whatever the error says.
func disguiseRows() []row {
	return []row{
		{"disguise/reason before error: 401 behind 403 at a handshake", down(), no(kindHandshake, "403::Handshake denied", reasonAuth+`,"advice":{"reconnect":"none"}`), login, asLogin},
		{"disguise/reason before error: 503 behind 403 at a handshake", down(), no(kindHandshake, "403::Handshake denied", reasonBusy+adviceNone), newAgain, newOne},
		{"disguise/reason before error: limit behind 401 at a handshake", down(), no(kindHandshake, "401::Authentication invalid", reasonLimit+adviceNone), minutes, newOne},
		{"disguise/reason before error: limit behind 403 at a handshake", down(), no(kindHandshake, "403::Handshake denied", reasonLimit+adviceNone), minutes, newOne},
		{"disguise/reason before error: unknown reason", live(), no(kindConnect, "401::Authentication invalid", `,"ext":{"sfdc":{"failureReason":"of some kind"}}`+adviceNone), login, asLogin},
		{"disguise/reason before error: reason of another type", live(), no(kindConnect, "403::Unknown client", `,"ext":{"sfdc":{"failureReason":503}}`), gone, newOne},
		{"disguise/sample: token refused at a handshake", down(), answer(kindHandshake, `[{"ext":{"sfdc":{"failureReason":"401::Authentication invalid"},"replay":true,"payload.format":true},"advice":{"reconnect":"none"},"channel":"/meta/handshake","id":"7","error":"403::Handshake denied","successful":false}]`), login, asLogin},
		{"disguise/sample: token refused at a connect", live(), answer(kindConnect, `[{"clientId":"c1","advice":{"reconnect":"none","interval":0},"channel":"/meta/connect","id":"7","error":"401::Authentication invalid","successful":false}]`), login, asLogin},
		{"disguise/sample: unknown client without client id", live(), answer(kindConnect, `[{"error":"403::Unknown client","successful":false,"advice":{"interval":0,"reconnect":"handshake"},"channel":"/meta/connect","id":"7"}]`), gone, newOne},
		{"disguise/sample: busy behind 401 at a connect", live(), no(kindConnect, "401::Authentication invalid", reasonBusy+adviceNone), newAgain, freed},
		{"disguise/sample: busy behind 401 at a connect, retry", live(), no(kindConnect, "401::Authentication invalid", reasonBusy+adviceRetry), sameAgain, "connect"},
		{"disguise/sample: no such channel", sent(), no(kindSubscribe, "400::The channel you requested to subscribe to does not exist {/event/Nope__e}", ""), outOther, "connect"},
		{"disguise/sample: busy behind denied at a subscribe", sent(), no(kindSubscribe, "403:denied_by_security_policy:subscribe_denied", reasonBusy), waitsOther, "connect"},
		{"disguise/under HTTP 200 or not: a reply", live(), no(kindConnect, "401::Authentication invalid", adviceNone), login, asLogin},
		{"disguise/under HTTP 200 or not: a status", live(), status(kindConnect, 401), login, asLogin},
	}
}
