package orgsim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	busyText      = "503::Server is too busy. Please try your request again later."
	clientsText   = "403::Organization concurrent user limit exceeded"
	deliverText   = "403::Organization total events daily limit exceeded"
	connectsText  = "403::To protect all customers from excessive use and Denial of Service attacks, we limit the number of simultaneous connections per server. Your request has been denied because this limit has been exceeded. Please try your request again later."
	expiredJSON   = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
	adviceNone    = `{"interval":0,"reconnect":"none"}`
	adviceAgain   = `{"interval":0,"reconnect":"handshake"}`
	onConnect     = "/meta/connect"
	onSubscribe   = "/meta/subscribe"
	onHandshake   = "/meta/handshake"
	longestHeld   = 100 * time.Second // drawn times of a held connect stay below the usual hold
	jsonType      = "application/json;charset=UTF-8"
	htmlType      = "text/html;charset=UTF-8"
	disconnectMsg = `{"channel":"/meta/disconnect"}`
)

// heldTime draws how long a connect is held before the fault.
func heldTime(f *Fault, r *rand.Rand) {
	if r != nil && f.After == 0 && r.IntN(2) == 0 {
		f.After = time.Duration(r.Int64N(int64(longestHeld)))
	}
}

// plainKinds are those that say nothing by themselves.
func plainKinds() []FaultKind {
	return []FaultKind{
		{Name: "reply", Text: "a failed reply with the error, failureReason and advice that the fault gives", Fits: []string{"cometd"},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, failure: &failure{text: f.Error, reason: f.FailureReason, advice: f.Advice, withID: true}}
			}},
		{Name: "http", Text: "an HTTP answer with the status, body, content type and location that the fault gives (default 503)", Fits: []string{"cometd", "rest", "oauth"},
			strike: func(f *Fault) *strike {
				orDefault(&f.Status, http.StatusServiceUnavailable)
				orDefault(&f.ContentType, htmlType)
				return &strike{after: f.After, http: &answer{status: f.Status, body: f.Body, contentType: f.ContentType, location: f.Location}}
			}},
		{Name: "advice", Text: "the advice of a good connect reply is the one that the fault gives", Fits: []string{onConnect}, Shape: true,
			apply: func(f *Fault, e *effect) { e.advice = f.Advice }},
	}
}

// tokenKinds are the disguises of an ended token, and what looks like one.
func tokenKinds() []FaultKind {
	return []FaultKind{
		{Name: "token-http-401", Rate: .004, Text: "the token ends; HTTP 401 with a JSON array of errors", Fits: []string{"cometd", "rest"}, draw: heldTime,
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, revoke: true, http: &answer{status: http.StatusUnauthorized, body: expiredJSON, contentType: jsonType}}
			}},
		{Name: "token-http-403", Rate: .002, Text: "the token ends; HTTP 403 with a page", Fits: []string{"cometd"},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, revoke: true, http: page(http.StatusForbidden)}
			}},
		{Name: "token-reply", Rate: .004, Text: "the token ends; the reply is 401::Authentication invalid, advice none", Fits: []string{onConnect, onSubscribe, "/meta/unsubscribe", "/meta/disconnect"}, draw: heldTime,
			strike: func(f *Fault) *strike { return &strike{after: f.After, revoke: true} }},
		{Name: "token-handshake", Rate: .01, Text: "the token ends; 403::Handshake denied with failureReason 401, advice none", Fits: []string{onHandshake},
			strike: func(*Fault) *strike { return &strike{revoke: true} }},
		{Name: "busy-hidden", Rate: .004, Text: "failureReason 503 behind 401 (connect), 403 (handshake) or subscribe_denied; the token is good", Fits: []string{onHandshake, onConnect, onSubscribe}, draw: heldTime,
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, failure: &failure{hidden: true, reason: busyText, withID: true}}
			}},
		{Name: "busy", Rate: .004, Text: "503::Server is too busy, advice retry", Fits: []string{onHandshake, onConnect, onSubscribe}, draw: heldTime,
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, failure: &failure{text: busyText, advice: json.RawMessage(`{"interval":0,"reconnect":"retry"}`), withID: true}}
			}},
		{Name: "other-user", Rate: .001, Text: "400::Authenticated user id does not match the session's user id; the session ends", Fits: []string{onConnect, onSubscribe},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, forget: endForgotten, failure: &failure{text: "400::Authenticated user id does not match the session's user id", advice: json.RawMessage(adviceAgain), withID: true}}
			}},
	}
}

func sessionKinds() []FaultKind {
	return []FaultKind{
		{Name: "unknown-client", Rate: .008, Text: "the session is forgotten; 403::Unknown client without clientId (plain) or with it, 402::session_unknown, or without advice", Fits: []string{onConnect, onSubscribe, "/meta/unsubscribe"},
			Modes: []string{"plain", "with-id", "402", "no-advice"}, draw: heldTime,
			strike: func(f *Fault) *strike {
				s := &strike{after: f.After, forget: endForgotten}
				switch f.Mode {
				case "with-id":
					s.failure = &failure{text: unknownClient, advice: json.RawMessage(adviceAgain), withID: true}
				case "402":
					s.failure = &failure{text: "402::session_unknown", advice: json.RawMessage(adviceAgain)}
				case "no-advice":
					s.failure = &failure{text: unknownClient}
				}
				return s
			}},
		{Name: "no-handshake", Rate: .001, Text: "the session is forgotten; 403::Client has not completed handshake", Fits: []string{onConnect, onSubscribe},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, forget: endForgotten, failure: &failure{text: "403::Client has not completed handshake", advice: json.RawMessage(adviceAgain), withID: true}}
			}},
		{Name: "server-disconnect", Rate: .004, Text: "the session ends with a /meta/disconnect of the server, and 401 on the connect (with-401), nothing else (alone), or a good connect reply (with-reply)", Fits: []string{onConnect},
			Modes: []string{"with-401", "alone", "with-reply"}, draw: heldTime,
			strike: func(f *Fault) *strike {
				s := &strike{after: f.After, forget: endServer, failure: &failure{unasked: true, withID: true}}
				switch f.Mode {
				case "with-401":
					s.failure.text, s.failure.advice = authInvalid, json.RawMessage(adviceNone)
				case "alone":
					s.failure.silent = true
				default:
					s.failure.good = true
				}
				return s
			}},
		{Name: "dropped", Rate: .004, Text: "the connection is closed before the org has looked at the request", Fits: []string{"cometd", "rest", "oauth"},
			strike: func(*Fault) *strike { return &strike{drop: true} }},
		{Name: "reply-lost", Rate: .006, Text: "the request was carried out and the connection closed before the response's header: what it held is lost to the session", Fits: []string{"cometd", "rest", "oauth"},
			strike: func(*Fault) *strike { return &strike{drop: true, lost: true} }},
		{Name: "reply-lost-504", Rate: .003, Text: "as reply-lost, and a proxy answers 504", Fits: []string{"cometd", "rest", "oauth"},
			strike: func(*Fault) *strike { return &strike{lost: true, http: page(http.StatusGatewayTimeout)} }},
		{Name: "proxy-cut", Rate: .004, Text: "a proxy ends a connect that was held for 60 s, by closing it or with a 504; nothing is lost", Fits: []string{onConnect}, Modes: []string{"close", "504"},
			strike: func(f *Fault) *strike {
				orDefault(&f.After, time.Minute)
				if f.Mode == "504" {
					return &strike{after: f.After, http: page(http.StatusGatewayTimeout)}
				}
				return &strike{after: f.After, drop: true}
			}},
	}
}

func limitKinds() []FaultKind {
	return []FaultKind{
		{Name: "client-limit", Rate: .004, Text: clientsText + ", advice none", Fits: []string{onHandshake, onConnect},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, failure: &failure{text: clientsText, advice: json.RawMessage(adviceNone), withID: true}}
			}},
		{Name: "connection-limit", Rate: .004, Text: "403::Handshake denied; failureReason: too many simultaneous connections per server", Fits: []string{onHandshake},
			strike: func(*Fault) *strike {
				return &strike{failure: &failure{hidden: true, reason: connectsText}}
			}},
		{Name: "daily-limit", Rate: .001, Text: deliverText + ": on connect with advice none, on subscribe without", Fits: []string{onConnect, onSubscribe},
			strike: func(f *Fault) *strike {
				return &strike{after: f.After, failure: &failure{text: deliverText, hiddenAdvice: true, withID: true}}
			}},
		{Name: "rest-limit", Text: "403 REQUEST_LIMIT_EXCEEDED", Fits: []string{"rest"},
			strike: func(*Fault) *strike {
				return &strike{http: &answer{status: http.StatusForbidden, contentType: jsonType, body: `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`}}
			}},
		{Name: "silent-subscribe", Hole: true, Text: "a subscribe succeeds, also for a channel that does not exist, and no subscription is made", Fits: []string{onSubscribe},
			apply: func(_ *Fault, e *effect) { e.silent = true }},
	}
}

// httpKinds are HTTP answers of the org or of a proxy before it.
func httpKinds() []FaultKind {
	kinds := []FaultKind{
		{Name: "http-empty", Rate: .003, Text: "HTTP 200 without a body", Fits: []string{"cometd"},
			strike: func(*Fault) *strike { return &strike{http: &answer{status: 200, contentType: jsonType}} }},
		{Name: "http-html", Rate: .003, Text: "HTTP 200 with a page of HTML", Fits: []string{"cometd", "rest", "oauth"},
			strike: func(*Fault) *strike { return &strike{http: page(200)} }},
	}
	rates := map[int]float64{204: .002, 302: .002, 307: .002, 408: .002, 413: .001, 420: .002, 429: .002, 500: .003, 502: .003, 503: .003, 504: .003}
	for _, status := range []int{204, 301, 302, 307, 308, 400, 404, 405, 408, 413, 420, 429, 500, 502, 503, 504} {
		kinds = append(kinds, FaultKind{
			Name: fmt.Sprintf("http-%d", status), Rate: rates[status], Text: strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))), Fits: []string{"cometd", "rest", "oauth"},
			strike: func(f *Fault) *strike {
				a := page(status)
				a.location = f.Location
				return &strike{after: f.After, http: a}
			},
		})
	}
	return kinds
}

// page is an HTTP answer as a proxy or a web server gives it.
func page(status int) *answer {
	a := &answer{status: status, contentType: htmlType, body: fmt.Sprintf("<html><head><title>%d %s</title></head><body><h1>%s</h1>It&#39;s down for maintenance: {\"channel\":[\n</body></html>\n", status, http.StatusText(status), http.StatusText(status))}
	switch status {
	case http.StatusNoContent:
		a.body = ""
	case http.StatusRequestEntityTooLarge:
		a.body, a.contentType = requestSizeError{}.Error(), "text/plain"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		a.retryAfter = "2"
	}
	return a
}
