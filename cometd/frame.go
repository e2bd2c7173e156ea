package cometd

import (
	"bytes"
	"strings"
)

// maxInterned bounds the table of names, which a server fills.
const maxInterned = 4096

// interner keeps one string for each channel, schema id and event name, so that
// an event costs no allocation for them. It is keyed by the bytes as sent,
// escapes and all.
type interner map[string]string

func (t interner) text(raw []byte) string {
	if s, ok := t[string(raw)]; ok {
		return s
	}
	if len(t) >= maxInterned {
		clear(t)
	}
	s := unquote(raw)
	t[string(raw)] = s
	return s
}

// frame is one message of a reply. For a data message the event is filled in;
// what a meta message says is parsed from raw by parseReply.
type frame struct {
	raw        []byte
	event      Event
	hasChannel bool
	hasData    bool
	problem    string // why the message is refused though its JSON is valid
	problemAt  int
	strange    bool // a replay id is there and is none: it equals no other
	// The schema's two places: at data wins over at data.event.
	dataSchema, eventSchema string
}

func (f *frame) meta() bool { return strings.HasPrefix(f.event.Channel, "/meta/") }

// parse reads the message that begins at b[i] and returns the index behind it.
// It checks the whole grammar and takes out what an event needs; of members
// that come twice, the last one counts.
func (f *frame) parse(b []byte, i int, names interner) int {
	*f = frame{}
	if b[i] != '{' {
		f.problem, f.problemAt = "a message must be a JSON object", i
		return bad(i)
	}
	start := i
	i++
	for first := true; ; first = false {
		name, v := nextMember(b, i, first)
		if v < 0 {
			return v
		}
		if b[v] == '}' {
			i = v + 1
			break
		}
		switch string(memberName(name)) {
		case "channel":
			i = f.channel(b, v, names)
		case "data":
			i = f.data(b, v, names)
		default:
			i = skipValue(b, v, 1)
		}
		if i < 0 {
			return i
		}
	}
	if f.problem != "" {
		return bad(f.problemAt)
	}
	if !f.hasChannel {
		f.problem, f.problemAt = "a message must have a channel, which is a string", start
		return bad(start)
	}
	f.event.Schema = f.dataSchema
	if f.event.Schema == "" {
		f.event.Schema = f.eventSchema
	}
	f.raw = b[start:i:i]
	return i
}

func (f *frame) channel(b []byte, v int, names interner) int {
	end := skipValue(b, v, 1)
	if end < 0 {
		return end
	}
	f.event.Channel = ""
	if b[v] == '"' {
		f.event.Channel = names.text(b[v+1 : end-1])
	}
	f.hasChannel = f.event.Channel != ""
	return end
}

func (f *frame) data(b []byte, v int, names interner) int {
	f.event = Event{Channel: f.event.Channel}
	f.problem, f.strange = "", false
	f.hasData, f.dataSchema, f.eventSchema = true, "", ""
	if b[v] != '{' {
		end := skipValue(b, v, 1)
		if end >= 0 {
			f.event.Data = b[v:end:end]
		}
		return end
	}
	var payload, sobject []byte
	i := v + 1
	for first := true; ; first = false {
		name, m := nextMember(b, i, first)
		if m < 0 {
			return m
		}
		if b[m] == '}' {
			i = m + 1
			break
		}
		switch string(memberName(name)) {
		case "schema":
			f.dataSchema, i = optionalText(b, m, names)
		case "payload":
			if i = skipValue(b, m, 2); i >= 0 {
				payload = b[m:i:i]
			}
		case "sobject":
			if i = skipValue(b, m, 2); i >= 0 {
				sobject = b[m:i:i]
			}
		case "event":
			i = f.eventMember(b, m, names)
		default:
			i = skipValue(b, m, 2)
		}
		if i < 0 {
			return i
		}
	}
	f.event.Payload = payload
	if payload == nil {
		f.event.Payload = sobject
	}
	f.event.Data = b[v:i:i]
	return i
}

func (f *frame) eventMember(b []byte, v int, names interner) int {
	e := &f.event
	e.ReplayID, e.HasReplayID = 0, false
	f.problem, f.strange = "", false
	e.UUID, e.APIName, e.Type, e.CreatedDate, f.eventSchema = "", "", "", "", ""
	if b[v] != '{' {
		return skipValue(b, v, 2)
	}
	i := v + 1
	for first := true; ; first = false {
		name, m := nextMember(b, i, first)
		if m < 0 {
			return m
		}
		if b[m] == '}' {
			return m + 1
		}
		switch string(memberName(name)) {
		case "replayId":
			i = f.replayID(b, m)
		case "EventUuid":
			e.UUID, i = optionalText(b, m, nil)
		case "EventApiName":
			e.APIName, i = optionalText(b, m, names)
		case "type":
			e.Type, i = optionalText(b, m, names)
		case "createdDate":
			e.CreatedDate, i = optionalText(b, m, nil)
		case "schema":
			f.eventSchema, i = optionalText(b, m, names)
		default:
			i = skipValue(b, m, 3)
		}
		if i < 0 {
			return i
		}
	}
}

// replayID reads the position. Null is none; anything that is not an integer
// of 64 bits is refused, since a rounded position would be another position.
func (f *frame) replayID(b []byte, v int) int {
	end := skipValue(b, v, 3)
	if end < 0 {
		return end
	}
	f.problem, f.strange = "", false
	f.event.ReplayID, f.event.HasReplayID = 0, false
	if b[v] == 'n' {
		return end
	}
	n, ok := parseInt(b[v:end])
	if !ok {
		f.strange, f.problemAt = true, v
		f.problem = "replayId must be an integer of 64 bits, found " + quoted(b[v:end])
		return end
	}
	f.event.ReplayID, f.event.HasReplayID = n, true
	return end
}

// optionalText reads a string; a value of another type counts as absent, since
// the consumer has the whole data member. Without a table the text is not kept.
func optionalText(b []byte, v int, names interner) (string, int) {
	end := skipValue(b, v, 3)
	if end < 0 || b[v] != '"' {
		return "", end
	}
	raw := b[v+1 : end-1]
	if names == nil {
		return unquote(raw), end
	}
	return names.text(raw), end
}

// quoted makes a short printable excerpt of wire bytes for an error message.
func quoted(b []byte) string {
	const limit = 40
	cut := len(b) > limit
	if cut {
		b = b[:limit]
	}
	s := string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, bytes.ToValidUTF8(b, []byte("?"))))
	if cut {
		s += "…"
	}
	return "`" + s + "`"
}
