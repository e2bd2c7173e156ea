package cometd

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The requests are written by hand: five shapes with few members each. A
// request is always an array (Bayeux 1.0, 3.4).

// message builds one message of a request.
type message struct{ b []byte }

func newMessage(b []byte, id, channel string) *message {
	m := &message{append(b, `{"id":`...)}
	m.b = appendString(m.b, id)
	m.text("channel", channel)
	return m
}

func (m *message) name(s string) {
	m.b = append(m.b, ',')
	m.b = appendString(m.b, s)
	m.b = append(m.b, ':')
}

func (m *message) text(name, value string) {
	m.name(name)
	m.b = appendString(m.b, value)
}

func (m *message) raw(name, value string) {
	m.name(name)
	m.b = append(m.b, value...)
}

func (m *message) end() []byte { return append(m.b, '}') }

func appendHandshake(b []byte, id string) []byte {
	m := newMessage(b, id, metaHandshake)
	m.text("version", "1.0")
	m.text("minimumVersion", "1.0")
	m.raw("supportedConnectionTypes", `["long-polling"]`)
	m.raw("ext", `{"replay":true}`)
	return m.end()
}

// appendConnect writes a connect. A hold of zero asks to be answered at once, a
// positive one asks for an answer by then; a negative one leaves it to the server.
func appendConnect(b []byte, id, clientID string, hold time.Duration) []byte {
	m := newMessage(b, id, metaConnect)
	m.text("clientId", clientID)
	m.text("connectionType", "long-polling")
	if hold >= 0 {
		m.raw("advice", `{"timeout":`+strconv.FormatInt(hold.Milliseconds(), 10)+`}`)
	}
	return m.end()
}

// appendSubscribe writes a subscribe with the position of its own channel only.
func appendSubscribe(b []byte, id, clientID, channel string, replay int64) []byte {
	m := newMessage(b, id, metaSubscribe)
	m.text("clientId", clientID)
	m.text("subscription", channel)
	m.name("ext")
	m.b = append(m.b, `{"replay":{`...)
	m.b = appendString(m.b, replayKey(channel))
	m.b = append(m.b, ':')
	m.b = strconv.AppendInt(m.b, replay, 10)
	m.b = append(m.b, `}}`...)
	return m.end()
}

func appendUnsubscribe(b []byte, id, clientID, channel string) []byte {
	m := newMessage(b, id, metaUnsubscribe)
	m.text("clientId", clientID)
	m.text("subscription", channel)
	return m.end()
}

func appendDisconnect(b []byte, id, clientID string) []byte {
	m := newMessage(b, id, metaDisconnect)
	m.text("clientId", clientID)
	return m.end()
}

// appendString writes a JSON string. Only what JSON asks for is escaped; bytes
// that are not UTF-8 become the replacement character.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}
