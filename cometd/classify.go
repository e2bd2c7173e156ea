package cometd

import "strings"

// class is what kind of trouble a failed reply reports.
type class uint8

const (
	classOther         class = iota // unknown: the advice decides
	classBusy                       // 503 and its kind, or too much in one request: wait, same session, same credentials
	classAuth                       // the credentials are refused
	classSession                    // the server does not know the session
	classLimit                      // an allocation of the org is used up: wait for minutes
	classConfig                     // cannot work as it is configured
	classReplayInvalid              // subscribe: the replay id is not retained
	classNoChannel                  // subscribe: there is no such channel
	classForbidden                  // subscribe or handshake: the user may not
)

// classify names the trouble. failureReason holds the real cause while error
// can be generic: an overload hides behind "401::Authentication invalid", and
// taking it for bad credentials would end in a storm of logins. So the error
// counts only when the reason says nothing that is known here.
func classify(failure, reason string) class {
	if c := classifyText(reason); c != classOther {
		return c
	}
	return classifyText(failure)
}

func classifyText(s string) class {
	code := parseErrorText(s).Code
	switch {
	case code == 401:
		return classAuth
	case code >= 500, code == 413, code == 420, code == 429:
		return classBusy
	}
	s = strings.ToLower(s)
	if c := classifyPhrase(s); c != classOther {
		return c
	}
	if code == 402 {
		return classSession
	}
	return classOther
}

// classifyPhrase looks for known phrases in a text of lower case. They are
// Salesforce's (Streaming API guide, "Streaming API Error Codes") and CometD's.
func classifyPhrase(s string) class {
	for _, t := range [...]struct {
		phrase string
		class  class
	}{
		{"unknown client", classSession},
		{"session_unknown", classSession},
		{"has not completed handshake", classSession},
		{"cookie present", classSession},
		{"does not match the session's user id", classSession},
		{"concurrent user limit exceeded", classLimit},
		{"total events daily limit exceeded", classLimit},
		{"number of simultaneous connections", classLimit},
		{"subscription limit exceeded", classLimit},
		{"maximum channel limit has been exceeded", classLimit},
		{"you provided was invalid", classReplayInvalid},
		{"to subscribe to does not exist", classNoChannel},
		{"to subscribe to doesn't exist", classNoChannel},
		{"create_denied", classNoChannel}, // the topic does not exist or the user cannot see it
		{"unknown channel", classNoChannel},
		{"may not vary only by case", classNoChannel},
		{"must start with a leading", classNoChannel},
		{"do not exist on the topic entity", classNoChannel},
		{"channel name not specified", classNoChannel},
		{"subscribe_denied", classForbidden},
		{"does not have access", classForbidden},
		{"no access on channel", classForbidden},
		{"cannot create channel", classForbidden},
		{"restricted channel", classForbidden},
		{"not enabled for streaming", classForbidden},
		{"not allowed to subscribe", classForbidden},
		{"subscription denied", classForbidden},
		{"api version", classConfig},
		{"invalid connection type", classConfig},
		{"no_transport", classConfig},
	} {
		if strings.Contains(s, t.phrase) {
			return t.class
		}
	}
	return classOther
}
