package cometd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
)

// FuzzDecode compares the decoder with encoding/json: which replies are taken,
// and what is read from them, however they arrive.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`[]`, `{"channel":"/a"}`, `[{"channel":"/a","data":{"event":{"replayId":1}}}]`,
		`[{"channel":"/a","data":{"schema":"s","payload":{"a":[1,2.5e3,null,true,"é\u00e9\ud83d\ude00"]},"event":{"replayId":-7,"EventUuid":"u","EventApiName":"n","type":"t","createdDate":"d","schema":"x"}}}]`,
		`[{"\u0063hannel":"/a","data":{"sobject":{"Id":"a"},"event":{"replay\u0049d":12}}}, {"channel":"/meta/connect","successful":true,"advice":{"interval":0,"timeout":110000}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":9223372036854775808}}}]`, `[{"channel":"/a","data":{"event":{"replayId":1.5}}}]`,
		`[{"channel":"/a","channel":7}]`, `[{"channel":7,"channel":"/a"}]`, `[{"channel":"/a","data":{"event":{"replayId":"x","replayId":4}}}]`,
		` [ { "channel" : "/a" , "data" : null } , ] `, `[{"channel":"/a"}]x`, "[{\"channel\":\"\xff\"}]", "<html>", "", "[[{}]]", `[{"channel":"/a","x":"\`,
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, size uint8) {
		if depth(body) > maxDepth-2 {
			return
		}
		want, ok := reference(body)
		for _, read := range []int{len(body) + 1, int(size) + 1} {
			events, metas, err := decodeAll(body, int(size)+1, read)
			if (err == nil) != ok {
				t.Fatalf("reads of %d: the decoder says %v, encoding/json says %v", read, err, ok)
			}
			var frame *FrameError
			if err != nil && !errors.As(err, &frame) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("untyped error %v", err)
			}
			if got := append([]string{fmt.Sprint(len(metas))}, describe(events)...); ok && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("reads of %d:\ngot  %q\nwant %q", read, got, want)
			}
		}
	})
}

func describe(events []Event) []string {
	var list []string
	for _, e := range events {
		list = append(list, fmt.Sprintf("%q %d %v %q %q %q %q %q %q %q",
			e.Channel, e.ReplayID, e.HasReplayID, e.Schema, e.UUID, e.APIName, e.Type, e.CreatedDate, e.Payload, e.Data))
	}
	return list
}

func depth(body []byte) (deepest int) {
	n := 0
	for _, c := range body {
		switch c {
		case '[', '{':
			n++
		case ']', '}':
			n--
		}
		deepest = max(deepest, n)
	}
	return deepest
}

// reference reads a reply with encoding/json. The first element is the number
// of meta messages.
func reference(body []byte) (list []string, ok bool) {
	body = bytes.Trim(body, " \t\r\n")
	if !json.Valid(body) {
		return nil, false
	}
	if body[0] == '{' {
		body = append(append([]byte{'['}, body...), ']')
	}
	var messages []json.RawMessage
	if json.Unmarshal(body, &messages) != nil || messages == nil {
		return nil, false
	}
	var events []Event
	metas := 0
	for _, raw := range messages {
		m := object(raw)
		if m == nil {
			return nil, false
		}
		e := Event{Channel: text(m["channel"])}
		if e.Channel == "" {
			return nil, false
		}
		if data, ok := m["data"]; ok && !referenceData(&e, data) {
			return nil, false
		}
		switch f := (frame{event: e}); {
		case f.meta():
			metas++
		case m["data"] != nil:
			events = append(events, e)
		}
	}
	return append([]string{fmt.Sprint(metas)}, describe(events)...), true
}

func referenceData(e *Event, data json.RawMessage) bool {
	e.Data = data
	d := object(data)
	e.Payload = d["payload"]
	if e.Payload == nil {
		e.Payload = d["sobject"]
	}
	event := object(d["event"])
	if raw := event["replayId"]; raw != nil && string(raw) != "null" {
		if json.Unmarshal(raw, &e.ReplayID) != nil {
			return false
		}
		e.HasReplayID = true
	}
	e.UUID, e.APIName = text(event["EventUuid"]), text(event["EventApiName"])
	e.Type, e.CreatedDate = text(event["type"]), text(event["createdDate"])
	if e.Schema = text(d["schema"]); e.Schema == "" {
		e.Schema = text(event["schema"])
	}
	return true
}

func object(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// FuzzReply looks for meta replies and error texts that break the parser, and
// holds it to the error grammar.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		`{"channel":"/meta/connect","id":"7","error":"403::Unknown client","advice":{"interval":0,"reconnect":"handshake"},"successful":false}`,
		`{"channel":"/meta/subscribe","id":7,"subscription":["/a","/b"],"ext":{"sfdc":{"failureReason":"503::busy: wait"},"replay":true}}`,
		`{"channel":"/meta/handshake","advice":{"interval":null,"timeout":1e99,"long-polling":{"interval":-1}},"ext":[],"id":{}}`,
		`{"channel":"/meta/x","error":"402:a,b:c:d:e","successful":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := parseReply(raw)
		err := r.err()
		if err.Error() == "" || Retryable(err) == (err.class == classConfig || err.class == classForbidden) {
			t.Errorf("error %q of class %d", err, err.class)
		}
		if err.Code < 0 || err.Code > 999 {
			t.Errorf("code %d", err.Code)
		}
		if h := r.advice.hold(); h < 0 || h > maxHold {
			t.Errorf("hold %v", h)
		}
		if p := r.advice.pause(); p < 0 || p > maxInterval {
			t.Errorf("pause %v", p)
		}
	})
}
