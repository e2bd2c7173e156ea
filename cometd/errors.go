package cometd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrClosed is returned by every method of a closed client.
	ErrClosed = errors.New("cometd client is closed")
	// ErrNoSubscription is returned by Next when there is nothing to receive:
	// Subscribe was not called, or every channel was refused.
	ErrNoSubscription = errors.New("no channel is subscribed: call Subscribe before Next")
	// ErrNoReply means that the server answered with a reply that has no answer
	// to the message that was sent.
	ErrNoReply = errors.New("the reply does not answer the message that was sent")
	// ErrTimeout means that the server was silent for longer than it may be.
	ErrTimeout = errors.New("the server sent nothing for too long")
	// ErrNoReplay means that the server did not confirm the replay extension:
	// subscriptions would start anywhere and lose events silently.
	ErrNoReplay = errors.New("the server does not offer the replay extension: use a Salesforce CometD endpoint of version 37.0 or later")
	// ErrNoLongPolling means that the server and this client have no transport in common.
	ErrNoLongPolling = errors.New("the server does not offer the long-polling transport")
)

// ReplyError is a meta reply that says no.
type ReplyError struct {
	Channel string   // the meta channel, "/meta/connect"
	Code    int      // three digits, 0 when the text has none
	Args    []string // what stands between the two colons
	Text    string
	// FailureReason is Salesforce's ext.sfdc.failureReason, the real cause when
	// present; it has the same form as the error itself.
	FailureReason string
	Advice        Advice
	class         class
}

func (e *ReplyError) Error() string {
	var b strings.Builder
	b.WriteString(e.Channel)
	b.WriteString(" was refused: ")
	if e.Code != 0 {
		b.WriteString(strconv.Itoa(e.Code))
		b.WriteByte(' ')
	}
	if len(e.Args) > 0 {
		b.WriteString("(" + strings.Join(e.Args, ",") + ") ")
	}
	if e.Code == 0 && e.Text == "" {
		b.WriteString("no error text")
	}
	b.WriteString(e.Text)
	if e.FailureReason != "" {
		b.WriteString("; reason: " + e.FailureReason)
	}
	if e.Advice.Reconnect != "" {
		b.WriteString("; advice: " + e.Advice.Reconnect)
	}
	if hint := e.class.hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

// tooLarge says that one request had more in it than the server takes.
func (e *ReplyError) tooLarge() bool { return e.Code == http.StatusRequestEntityTooLarge }

func (c class) hint() string {
	switch c {
	case classLimit:
		return "an allocation of the org is used up: see Setup, Company Information, or stop other subscribers"
	case classForbidden:
		return "check the user's permissions"
	case classConfig:
		return "check the endpoint, which must look like https://<My Domain>/cometd/66.0"
	case classNoChannel:
		return "check the channel's name (case counts) and the user's permission on it"
	}
	return ""
}

// HTTPError is an answer that is not Bayeux: another status than 200, or a body
// that is not JSON (a login page, a maintenance page).
type HTTPError struct {
	Status      int
	ContentType string
	Snippet     string // the printable beginning of the body
	// RetryAfter is what the server asked for, zero if it did not.
	RetryAfter time.Duration
}

func (e *HTTPError) Error() string {
	s := fmt.Sprintf("the server answered HTTP %d", e.Status)
	if e.Status == http.StatusOK {
		s += " without a Bayeux reply"
	}
	if e.ContentType != "" {
		s += " (" + e.ContentType + ")"
	}
	if e.Snippet != "" {
		s += ": " + e.Snippet
	}
	switch {
	case e.Status >= 300 && e.Status < 400:
		s += "; redirects are not followed with credentials: use the My Domain host of the token reply"
	case e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusBadRequest:
		s += "; check the endpoint, which must look like https://<My Domain>/cometd/66.0"
	}
	return s
}

func (e *HTTPError) retryable() bool {
	switch e.Status {
	case http.StatusOK, http.StatusNoContent, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
		http.StatusTooEarly, http.StatusTooManyRequests, 420:
		return true
	}
	return e.Status >= 500
}

// FrameError is a message that cannot be read. The events before it were
// delivered, no position passes it, and what follows it comes again with the
// next session.
type FrameError struct {
	Offset  int64 // of the byte in the reply's body
	Problem string
	Limit   int // Config.MaxMessageBytes when the message is larger, else 0
}

func (e *FrameError) Error() string {
	s := fmt.Sprintf("malformed reply at byte %d: %s", e.Offset, e.Problem)
	if e.Limit > 0 {
		s += fmt.Sprintf(" of %d bytes: raise MaxMessageBytes", e.Limit)
	}
	return s
}

// NetworkError is an exchange that failed below HTTP, or that broke before its
// reply was whole.
type NetworkError struct {
	Channel string // the meta channel of the request
	// Sent is false when it is certain that the request did not leave.
	Sent bool
	Err  error
}

func (e *NetworkError) Error() string {
	if !e.Sent {
		return fmt.Sprintf("sending %s: %v", e.Channel, e.Err)
	}
	return fmt.Sprintf("waiting for the reply to %s: %v", e.Channel, e.Err)
}

func (e *NetworkError) Unwrap() error { return e.Err }

// AuthError means that the server refused the credentials. The next call of
// Next asks Config.Authorize for others.
type AuthError struct {
	// Fresh says that the refused credentials had just been issued in place of
	// refused ones, and no connect ever worked with them: others of the same kind
	// will not help.
	Fresh bool
	Err   error // *ReplyError or *HTTPError
}

func (e *AuthError) Error() string {
	if e.Fresh {
		return fmt.Sprintf("the server refuses new credentials too: %v; check the user's session policies (IP lock, high assurance) and API access", e.Err)
	}
	return fmt.Sprintf("the server refuses the credentials: %v", e.Err)
}

func (e *AuthError) Unwrap() error { return e.Err }

// AuthorizeError is an error of Config.Authorize.
type AuthorizeError struct{ Err error }

func (e *AuthorizeError) Error() string { return fmt.Sprintf("getting credentials: %v", e.Err) }
func (e *AuthorizeError) Unwrap() error { return e.Err }

// Reason says why a subscription was refused.
type Reason uint8

const (
	// ReasonOther is a refusal that this client does not know.
	ReasonOther Reason = iota
	// ReasonReplayInvalid: the position is not retained, or not of this org.
	ReasonReplayInvalid
	// ReasonUnknownChannel: no such channel, or invisible to the user.
	ReasonUnknownChannel
	// ReasonForbidden: the user may not subscribe.
	ReasonForbidden
	// ReasonLimit: an allocation is used up; the client tries again.
	ReasonLimit
	// ReasonBusy: the server is overloaded; the client tries again.
	ReasonBusy
)

func (r Reason) String() string {
	switch r {
	case ReasonReplayInvalid:
		return "replay id invalid"
	case ReasonUnknownChannel:
		return "unknown channel"
	case ReasonForbidden:
		return "forbidden"
	case ReasonLimit:
		return "limit exceeded"
	case ReasonBusy:
		return "server busy"
	}
	return "refused"
}

// SubscriptionError is a refused subscription. With ReasonBusy and ReasonLimit
// the client subscribes again by itself, later; with any other reason the
// channel is out until Subscribe is called for it. Other channels go on.
type SubscriptionError struct {
	Channel string
	Reason  Reason
	Err     *ReplyError
}

func (e *SubscriptionError) Error() string {
	return fmt.Sprintf("subscribing to %s: %s: %v", e.Channel, e.Reason, e.Err)
}

func (e *SubscriptionError) Unwrap() error { return e.Err }

// ChannelError is a channel name or start that cannot be subscribed to.
type ChannelError struct{ Channel, Problem string }

func (e *ChannelError) Error() string { return fmt.Sprintf("channel %q: %s", e.Channel, e.Problem) }

// Retryable says whether calling Next again can help without anyone changing
// anything. An error of Config.Authorize is asked itself, if it has a method
// Retryable() bool, and counts as retryable if not. Errors of the caller's
// context are not retryable.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrNoSubscription) ||
		errors.Is(err, ErrNoReplay) || errors.Is(err, ErrNoLongPolling) {
		return false
	}
	var (
		authorize *AuthorizeError
		auth      *AuthError
		sub       *SubscriptionError
		reply     *ReplyError
		http      *HTTPError
		frame     *FrameError
		network   *NetworkError
	)
	switch {
	case errors.As(err, &authorize):
		var r interface{ Retryable() bool }
		if errors.As(authorize.Err, &r) {
			return r.Retryable()
		}
		return !isContextError(authorize.Err)
	case errors.As(err, &auth):
		return !auth.Fresh
	case errors.As(err, &sub):
		return sub.Reason == ReasonBusy || sub.Reason == ReasonLimit
	case errors.As(err, &reply):
		return reply.class != classConfig && reply.class != classForbidden
	case errors.As(err, &http):
		return http.retryable()
	}
	return errors.As(err, &frame) || errors.As(err, &network)
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
