package cometd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestErrorGrammar(t *testing.T) {
	for _, row := range []struct {
		text string
		code int
		args []string
		rest string
	}{
		{"401::No client ID", 401, nil, "No client ID"},
		{"402:xj3sjdsjdsjad:Unknown Client ID", 402, []string{"xj3sjdsjdsjad"}, "Unknown Client ID"},
		{"403:xj3sjdsjdsjad,/foo/bar:Subscription denied", 403, []string{"xj3sjdsjdsjad", "/foo/bar"}, "Subscription denied"},
		{"400::a: b: c", 400, nil, "a: b: c"},
		{"403:denied_by_security_policy:create_denied", 403, []string{"denied_by_security_policy"}, "create_denied"},
		{"403:only one colon", 403, nil, "only one colon"},
		{"once more", 0, nil, "once more"},
		{"12:: two digits", 0, nil, "12:: two digits"},
		{"4o3::letters", 0, nil, "4o3::letters"},
		{"", 0, nil, ""},
		{"::", 0, nil, "::"},
	} {
		e := parseErrorText(row.text)
		if e.Code != row.code || !slices.Equal(e.Args, row.args) || e.Text != row.rest {
			t.Errorf("%q: got %d %q %q", row.text, e.Code, e.Args, e.Text)
		}
	}
}

// Every documented error text, and what it means.
func TestClassify(t *testing.T) {
	for _, row := range []struct {
		text string
		want class
	}{
		{"400::API version in the URI is mandatory. URI format: '/cometd/66.0'", classConfig},
		{"400::Unsupported API version. Only API versions '37.0' and later are supported. URI format: '/cometd/66.0'", classConfig},
		{"400::Invalid connection type {x}", classConfig},
		{"400::The channel you requested to subscribe to does not exist {/event/X__e}", classNoChannel},
		{"400::The channel you requested to subscribe to doesn't exist {/event/X__e}", classNoChannel},
		{"400::Channel name not specified", classNoChannel},
		{"400::Channel subscriptions must start with a leading '/'", classNoChannel},
		{"400::Query fields {a} do not exist on the topic entity", classNoChannel},
		{"400::Client {id} has established a session, but no {cookie} cookie present", classSession},
		{"400::The replayId {82} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", classReplayInvalid},
		{"400::The replayId {82} you provided was invalid. Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", classReplayInvalid},
		{"400::Authenticated user id does not match the session's user id", classSession},
		{"401::Authentication invalid", classAuth},
		{"401::Request requires authentication", classAuth},
		{"403::Cannot create channel /u/x", classForbidden},
		{"403::Subscriber does not have access to the entity in this topic", classForbidden},
		{"403::Subscriber does not have access to all fields referenced in the where clause of the PushTopic", classForbidden},
		{"403::Handshake denied", classOther},
		{"403::Client has not completed handshake", classSession},
		{"403::Organization concurrent user limit exceeded", classLimit},
		{"403::Organization total events daily limit exceeded", classLimit},
		{"403::Restricted channel", classForbidden},
		{"403::User not enabled for streaming", classForbidden},
		{"403::User not allowed to subscribe CDC without View All Data permissions", classForbidden},
		{"403::Subscription limit exceeded for this topic", classLimit},
		{"403::Unknown client", classSession},
		{"403::UNKNOWN CLIENT", classSession},
		{"402::Unknown client", classSession},
		{"402::session_unknown", classSession},
		{"403::Unable to create channel dynamically, maximum channel limit has been exceeded", classLimit},
		{"403::No access on channel", classForbidden},
		{"404::Channel names may not vary only by case", classNoChannel},
		{"404::Unknown channel", classNoChannel},
		{"503::Server is too busy. Please try your request again later.", classBusy},
		{"500::oops", classBusy},
		{"403:denied_by_security_policy:create_denied", classNoChannel},
		{"403:denied_by_security_policy:subscribe_denied", classForbidden},
		{"something new", classOther},
	} {
		if got := classify(row.text, ""); got != row.want {
			t.Errorf("%s: class %d, want %d", row.text, got, row.want)
		}
		// The reason is believed before a generic error.
		if row.want != classOther {
			if got := classify("401::Authentication invalid", row.text); got != row.want {
				t.Errorf("as a reason, %s: class %d, want %d", row.text, got, row.want)
			}
		}
	}
	if got := classify("401::Authentication invalid", "unknown reason"); got != classAuth {
		t.Errorf("class %d for an unknown reason", got)
	}
}

type verdictError bool

func (verdictError) Error() string     { return "verdict" }
func (v verdictError) Retryable() bool { return bool(v) }

func TestRetryable(t *testing.T) {
	reply := func(text string) *ReplyError { return (&reply{channel: metaConnect, failure: text}).err() }
	for _, row := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{ErrClosed, false},
		{ErrNoSubscription, false},
		{ErrNoReplay, false},
		{ErrNoLongPolling, false},
		{context.Canceled, false},
		{context.DeadlineExceeded, false},
		{errors.New("foreign"), false},
		{reply("403::Unknown client"), true},
		{reply("503::busy"), true},
		{reply("403::Organization total events daily limit exceeded"), true},
		{reply("whatever"), true},
		{reply("400::Unsupported API version"), false},
		{reply("403::User not enabled for streaming"), false},
		{&HTTPError{Status: 500}, true},
		{&HTTPError{Status: 503}, true},
		{&HTTPError{Status: 420}, true},
		{&HTTPError{Status: 429}, true},
		{&HTTPError{Status: 408}, true},
		{&HTTPError{Status: 413}, true},
		{&HTTPError{Status: 200}, true},
		{&HTTPError{Status: 404}, false},
		{&HTTPError{Status: 405}, false},
		{&HTTPError{Status: 301}, false},
		{&FrameError{}, true},
		{&NetworkError{Err: io.EOF}, true},
		{&NetworkError{Err: ErrTimeout}, true},
		{&AuthError{Err: &HTTPError{Status: 401}}, true},
		{&AuthError{Err: &HTTPError{Status: 401}, Fresh: true}, false},
		{&AuthorizeError{io.EOF}, true},
		{&AuthorizeError{verdictError(true)}, true},
		{&AuthorizeError{verdictError(false)}, false},
		{&AuthorizeError{context.Canceled}, false},
		{&SubscriptionError{Reason: ReasonBusy, Err: reply("")}, true},
		{&SubscriptionError{Reason: ReasonLimit, Err: reply("")}, true},
		{&SubscriptionError{Reason: ReasonReplayInvalid, Err: reply("")}, false},
		{&SubscriptionError{Reason: ReasonOther, Err: reply("")}, false},
		{&ChannelError{}, false},
		{fmt.Errorf("wrapped: %w", &HTTPError{Status: 500}), true},
	} {
		if got := Retryable(row.err); got != row.want {
			t.Errorf("%v: got %v", row.err, got)
		}
	}
}

func TestLimitExceeded(t *testing.T) {
	for text, want := range map[string]bool{
		"403::Organization total events daily limit exceeded": true,
		"403::Organization concurrent user limit exceeded":    true,
		"403::Unknown client":                                 false,
	} {
		err := (&reply{channel: metaConnect, failure: text}).err()
		if got := LimitExceeded(&SubscriptionError{Err: err}); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if LimitExceeded(io.EOF) {
		t.Error("any error is a limit")
	}
}

func TestErrorTexts(t *testing.T) {
	r := parseReply([]byte(`{"channel":"/meta/handshake","error":"403::Handshake denied","successful":false,"advice":{"reconnect":"none"},"ext":{"sfdc":{"failureReason":"401::Authentication invalid"}}}`))
	for _, row := range []struct {
		err  error
		want string
	}{
		{r.err(), "/meta/handshake was refused: 403 Handshake denied; reason: 401::Authentication invalid; advice: none"},
		{&SubscriptionError{"/u/x", ReasonForbidden, &ReplyError{Channel: metaSubscribe, Code: 403, Args: []string{"a", "b"}, Text: "no"}}, "subscribing to /u/x: forbidden: /meta/subscribe was refused: 403 (a,b) no"},
		{&HTTPError{Status: 302, ContentType: "text/html"}, "the server answered HTTP 302 (text/html); redirects are not followed with credentials: use the My Domain host of the token reply"},
		{&HTTPError{Status: 200, Snippet: "<html>"}, "the server answered HTTP 200 without a Bayeux reply: <html>"},
		{&FrameError{Offset: 7, Problem: "a message is larger than the limit", Limit: 5}, "malformed reply at byte 7: a message is larger than the limit of 5 bytes: raise MaxMessageBytes"},
		{&NetworkError{Channel: metaConnect, Sent: true, Err: ErrTimeout}, "waiting for the reply to /meta/connect: the server sent nothing for too long"},
		{&NetworkError{Channel: metaConnect, Err: io.EOF}, "sending /meta/connect: EOF"},
	} {
		if got := row.err.Error(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

func TestSnippet(t *testing.T) {
	if s := snippet([]byte(" <p>\n\tdown\x00 \xff for\r\nmaintenance ")); s != "<p> down ? for maintenance" {
		t.Errorf("got %q", s)
	}
	if s := snippet([]byte(strings.Repeat("é", 5000))); len([]rune(s)) > 201 {
		t.Errorf("%d characters", len([]rune(s)))
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 15, 22, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "0": 0, "120": 2 * time.Minute, "99999999": 15 * time.Minute,
		"Wed, 04 Mar 2026 09:16:22 GMT": time.Minute, "Wed, 04 Mar 2026 09:14:22 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
	// A date is read by the clock of the server that wrote it.
	h := http.Header{"Retry-After": {"Wed, 04 Mar 2026 10:16:22 GMT"}, "Date": {"Wed, 04 Mar 2026 10:15:52 GMT"}}
	if got := retryAfter(h, now); got != 30*time.Second {
		t.Errorf("by the server's clock: got %v", got)
	}
}
