package cometdtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// parseMessages reads a request: an array, or one bare message.
func parseMessages(body []byte) ([]Message, error) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '{' {
		body = append(append([]byte{'['}, body...), ']')
	}
	var raw []struct {
		Message
		ID any `json:"id"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("parsing a request: %w", err)
	}
	messages := make([]Message, len(raw))
	for i, r := range raw {
		messages[i] = r.Message
		if r.ID != nil {
			messages[i].ID = fmt.Sprint(r.ID)
		}
		replay, _ := r.Ext["replay"].(map[string]any)
		for channel, position := range replay {
			// Some clients send the number as a string, and Salesforce takes it.
			n, err := strconv.ParseInt(fmt.Sprint(position), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("parsing the position of %s: %w", channel, err)
			}
			if messages[i].Replay == nil {
				messages[i].Replay = map[string]int64{}
			}
			messages[i].Replay[channel] = n
		}
	}
	return messages, nil
}

// object builds the reply to a message.
type object struct{ b strings.Builder }

func (s *Server) object(m Message) *object {
	o := &object{}
	o.b.WriteString(`{"channel":` + quote(m.Channel))
	_, err := strconv.Atoi(m.ID)
	switch {
	case m.ID == "":
	case s.NumericIDs && err == nil:
		o.raw("id", m.ID)
	default:
		o.text("id", m.ID)
	}
	if m.Subscription != "" {
		o.text("subscription", m.Subscription)
	}
	return o
}

func (o *object) raw(name, value string)  { o.b.WriteString("," + quote(name) + ":" + value) }
func (o *object) text(name, value string) { o.raw(name, quote(value)) }
func (o *object) end() string             { return o.b.String() + "}" }

// insertReplayID puts the id into data.event and leaves every other byte alone.
func insertReplayID(data string, id int64) string {
	number := `"replayId":` + strconv.FormatInt(id, 10)
	at, hasEvent := eventMember(data)
	if at < 0 {
		panic("cometdtest: data must be a JSON object, got " + data)
	}
	insert := `"event":{` + number + `}`
	if hasEvent {
		insert = number
	}
	rest := data[at:]
	if !strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), "}") {
		insert += ","
	}
	return data[:at] + insert + rest
}

// eventMember finds the index behind the opening brace of data.event, or else
// behind that of data; negative if data is no object.
func eventMember(data string) (at int, hasEvent bool) {
	if !json.Valid([]byte(data)) {
		return -1, false
	}
	d := json.NewDecoder(strings.NewReader(data))
	t, err := d.Token()
	if err != nil || t != json.Delim('{') {
		return -1, false
	}
	first := int(d.InputOffset())
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return -1, false
		}
		if name == "event" {
			if t, err := d.Token(); err == nil && t == json.Delim('{') {
				return int(d.InputOffset()), true
			}
			return -1, false
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return -1, false
		}
	}
	return first, false
}
