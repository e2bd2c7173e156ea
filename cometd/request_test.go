package cometd

import (
	"encoding/json"
	"testing"
	"time"
)

func TestRequests(t *testing.T) {
	for _, row := range []struct{ got, want string }{
		{string(appendHandshake(nil, "1")), `{"id":"1","channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"replay":true}}`},
		{string(appendConnect(nil, "2", "c", -1)), `{"id":"2","channel":"/meta/connect","clientId":"c","connectionType":"long-polling"}`},
		{string(appendConnect(nil, "2", "c", 0)), `{"id":"2","channel":"/meta/connect","clientId":"c","connectionType":"long-polling","advice":{"timeout":0}}`},
		{string(appendConnect(nil, "2", "c", 1500*time.Millisecond)), `{"id":"2","channel":"/meta/connect","clientId":"c","connectionType":"long-polling","advice":{"timeout":1500}}`},
		{string(appendSubscribe(nil, "3", "c", "/topic/T?a='\"b\\'", -2)), `{"id":"3","channel":"/meta/subscribe","clientId":"c","subscription":"/topic/T?a='\"b\\'","ext":{"replay":{"/topic/T":-2}}}`},
		{string(appendSubscribe(nil, "3", "c", "/event/X__e", 9223372036854775807)), `{"id":"3","channel":"/meta/subscribe","clientId":"c","subscription":"/event/X__e","ext":{"replay":{"/event/X__e":9223372036854775807}}}`},
		{string(appendUnsubscribe(nil, "4", "c", "/u/é")), `{"id":"4","channel":"/meta/unsubscribe","clientId":"c","subscription":"/u/é"}`},
		{string(appendDisconnect(nil, "5", "c\"\x01")), `{"id":"5","channel":"/meta/disconnect","clientId":"c\"\u0001"}`},
	} {
		if row.got != row.want {
			t.Errorf("got  %s\nwant %s", row.got, row.want)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\/\u2028\xff\xc3é😀")
	f.Fuzz(func(t *testing.T, s string) {
		marshalled, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var got, want string
		if err := json.Unmarshal(marshalled, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != want {
			t.Errorf("%q came back as %q: %v", s, got, err)
		}
	})
}
