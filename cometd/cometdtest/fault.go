package cometdtest

import (
	"net/http"
	"time"
)

// Request is what a fault function sees.
type Request struct {
	N        int    // 1 for the server's first request
	Channel  string // of the first message: "/meta/connect"
	Messages []Message
	Header   http.Header
	Body     string
}

// Message is one message of a request, with the members that requests have.
type Message struct {
	ID           string           `json:"id"`
	Channel      string           `json:"channel"`
	ClientID     string           `json:"clientId"`
	Subscription string           `json:"subscription"`
	Advice       *Advice          `json:"advice"`
	Ext          map[string]any   `json:"ext"`
	Replay       map[string]int64 `json:"-"` // ext.replay of a subscribe
}

// Advice is what a client may ask for with a connect.
type Advice struct {
	Timeout *int64 `json:"timeout"` // milliseconds
}

// Fault is something that goes wrong with one request. The zero value changes
// nothing; members can be combined where that makes sense.
type Fault struct {
	// Before the server sees the request:

	// Refuse: no connection is made; a RoundTripper returns a dial error.
	Refuse bool
	// Delay waits; Hang never answers.
	Delay time.Duration
	Hang  bool
	// Forget ends the session first, so the answer is "403::Unknown client".
	Forget bool
	// Status answers with an HTTP status and Body in place of the server.
	// Without Status, a Body that is not empty, or Empty, is answered with 200.
	Status      int
	Body        string
	Empty       bool
	ContentType string // "text/html" for a Body
	// Error answers each message with this error text, Advice (a JSON object)
	// and FailureReason (the text in ext.sfdc).
	Error         string
	Advice        string
	FailureReason string

	// After the server has made its reply, and taken the events in it off the queue:

	// Drop loses the whole reply: the connection ends before its header.
	Drop bool
	// Cut ends the connection after that many bytes of the body, if the body
	// is longer than that.
	Cut *int
	// Header is added to the reply's, also to that of a Status or Body.
	Header http.Header
	// Rewrite changes the body.
	Rewrite func(body string) string
	// Chunk sends the body in pieces of so many bytes, with Pause before each.
	Chunk int
	Pause time.Duration
}

// CutAt is a fault that ends the connection after n bytes of the body.
func CutAt(n int) *Fault { return &Fault{Cut: &n} }

// Once applies a fault to the n-th request (from 1) on a meta channel, and to
// no other.
func Once(channel string, n int, fault *Fault) func(*Request) *Fault {
	return func(r *Request) *Fault {
		if r.Channel != channel {
			return nil
		}
		if n--; n == 0 {
			return fault
		}
		return nil
	}
}

// First applies the first fault that one of the functions returns.
func First(functions ...func(*Request) *Fault) func(*Request) *Fault {
	return func(r *Request) *Fault {
		var found *Fault
		for _, f := range functions { // all are asked: they may count
			if fault := f(r); found == nil {
				found = fault
			}
		}
		return found
	}
}
