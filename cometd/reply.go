package cometd

import (
	"encoding/json"
	"slices"
	"strings"
)

// The meta channels (Bayeux 1.0, 4.1).
const (
	metaHandshake   = "/meta/handshake"
	metaConnect     = "/meta/connect"
	metaSubscribe   = "/meta/subscribe"
	metaUnsubscribe = "/meta/unsubscribe"
	metaDisconnect  = "/meta/disconnect"
)

// reply is a meta message from the server. Members that are missing or of an
// unexpected type have zero values.
type reply struct {
	channel       string
	id            string // a number's text when the server sent a number
	clientID      string
	successful    bool
	hasSuccessful bool
	subscriptions []string
	failure       string // the error member
	reason        string // ext.sfdc.failureReason: the real cause, when present
	advice        Advice
	hasAdvice     bool
	replay        bool // ext.replay: the server confirms the replay extension
	transports    []string
}

// parseReply reads a meta message whose grammar was checked.
func parseReply(raw []byte) reply {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		// Deeper than encoding/json goes; such a message says nothing we know.
		return reply{}
	}
	r := reply{
		channel:       text(m["channel"]),
		id:            idText(m["id"]),
		clientID:      text(m["clientId"]),
		failure:       text(m["error"]),
		subscriptions: texts(m["subscription"]),
		transports:    texts(m["supportedConnectionTypes"]),
	}
	var successful *bool
	if json.Unmarshal(m["successful"], &successful) == nil && successful != nil {
		r.successful, r.hasSuccessful = *successful, true
	}
	r.advice, r.hasAdvice = parseAdvice(m["advice"])
	var ext map[string]json.RawMessage
	if json.Unmarshal(m["ext"], &ext) == nil {
		var sfdc map[string]json.RawMessage
		if json.Unmarshal(ext["sfdc"], &sfdc) == nil {
			r.reason = text(sfdc["failureReason"])
		}
		switch string(ext["replay"]) {
		case "", "false", "null":
		default:
			r.replay = true
		}
	}
	return r
}

// ok says whether the reply is a success. A server may leave successful out of
// messages that it sends on its own; then an error text decides.
func (r *reply) ok() bool {
	if r.hasSuccessful {
		return r.successful
	}
	return r.failure == ""
}

// answers says whether the reply can be the one to the message with this id.
func (r *reply) answers(channel, id string) bool {
	return r.channel == channel && (r.id == "" || r.id == id)
}

func (r *reply) names(subscription string) bool {
	return slices.Contains(r.subscriptions, subscription)
}

func (r *reply) offersLongPolling() bool {
	return len(r.transports) == 0 || slices.Contains(r.transports, "long-polling")
}

func (r *reply) err() *ReplyError {
	e := parseErrorText(r.failure)
	e.Channel, e.FailureReason, e.Advice = r.channel, r.reason, r.advice
	e.class = classify(r.failure, r.reason)
	return e
}

// parseErrorText splits an error member: "code:arguments:text", at the first
// two colons only, since the text may contain more (Bayeux 1.0, "error").
// What does not have this form is text.
func parseErrorText(s string) *ReplyError {
	code, rest, found := strings.Cut(s, ":")
	n, isCode := errorCode(code)
	if !found || !isCode {
		return &ReplyError{Text: s}
	}
	args, text, found := strings.Cut(rest, ":")
	if !found {
		return &ReplyError{Code: n, Text: rest}
	}
	e := &ReplyError{Code: n, Text: text}
	if args != "" {
		e.Args = strings.Split(args, ",")
	}
	return e
}

func errorCode(s string) (int, bool) {
	if len(s) != 3 {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	if s := text(raw); s != "" {
		return []string{s}
	}
	return nil
}

func idText(raw json.RawMessage) string {
	if len(raw) > 0 && raw[0] == '"' {
		return text(raw)
	}
	if s := string(raw); s != "null" {
		return s
	}
	return ""
}
