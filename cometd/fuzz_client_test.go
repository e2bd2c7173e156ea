package cometd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzErrorText holds the error grammar: the code, what stands between the first
// two colons, and the rest; and that a reason which says something is believed
// before the error.
func FuzzErrorText(f *testing.F) {
	for _, r := range refusals() {
		f.Add(r.text, "")
		f.Add("401::Authentication invalid", r.text)
	}
	f.Add("403:a,b:c:d", "503")
	f.Fuzz(func(t *testing.T, text, reason string) {
		e := parseErrorText(text)
		back := e.Text
		switch {
		case e.Code != 0 || strings.HasPrefix(text, "000:"):
			back = fmt.Sprintf("%03d:%s:%s", e.Code, strings.Join(e.Args, ","), e.Text)
			if strings.Count(text, ":") == 1 {
				back = fmt.Sprintf("%03d:%s", e.Code, e.Text)
			}
		case len(e.Args) > 0:
			t.Errorf("%q has arguments and no code", text)
		}
		if back != text {
			t.Errorf("%q became %q", text, back)
		}
		want := classifyText(reason)
		if want == classOther {
			want = classifyText(text)
		}
		if got := classify(text, reason); got != want {
			t.Errorf("class %d, want %d", got, want)
		}
		r := reply{channel: metaSubscribe, failure: text, reason: reason}
		err := &SubscriptionError{Channel: "/a", Reason: r.err().class.reason(), Err: r.err()}
		if err.Error() == "" || Retryable(err) != (err.Reason == ReasonBusy || err.Reason == ReasonLimit) {
			t.Errorf("%v: retryable %v", err, Retryable(err))
		}
	})
}

// script is a server whose first held connect is answered with any bytes, in any
// pieces, and whose next session shows where the client goes on.
type script struct {
	body       []byte
	status     int
	size       int
	connects   int
	handshakes int
	stop       func()
	resumed    []string // the replay ids of the subscribes in later sessions
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	channel, ids := between(sent, `"channel":"`, `"`)[0], between(sent, `"id":"`, `"`)
	var replies []string
	status, size := 200, 1<<20
	for _, id := range ids {
		replies = append(replies, fmt.Sprintf(`{"channel":%q,"id":%q,"successful":true,"clientId":"c","ext":{"replay":true}}`, channel, id))
	}
	body := []byte("[" + strings.Join(replies, ",") + "]")
	switch channel {
	case metaHandshake:
		s.handshakes++
	case metaSubscribe:
		if s.handshakes > 1 {
			s.resumed = between(sent, `"replay":{`, "}")
		}
	case metaConnect:
		switch s.connects++; {
		case len(s.resumed) > 0:
			s.stop() // it is known what was to be known
			return nil, context.Canceled
		case s.connects == 2:
			body, status, size = bytes.ReplaceAll(s.body, []byte("ID"), []byte(ids[0])), s.status, s.size
		case s.connects > 2 && s.handshakes == 1:
			body = []byte(`[{"channel":"/meta/connect","successful":false,"error":"403::Unknown client"}]`)
		}
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(&pieces{rest: body, size: size})}, nil
}

// between finds the texts that stand between two others.
func between(b []byte, before, behind string) (found []string) {
	for _, part := range strings.Split(string(b), before)[1:] {
		text, _, _ := strings.Cut(part, behind)
		found = append(found, text)
	}
	return found
}

// FuzzClient answers a connect with any bytes: what Next returns are the messages
// before the first bad one, in order, the next session goes on behind the last of
// them, and the memory is bounded.
func FuzzClient(f *testing.F) {
	const reply = `{"channel":"/meta/connect","id":"ID","successful":true}`
	for _, seed := range []string{
		`[` + reply + `]`, ``, `[`, `<html>`, `{}`, reply,
		`[{"channel":"/a","data":{"event":{"replayId":5}}},{"channel":"/b","data":{"event":{"replayId":6}}},` + reply + `]`,
		`[{"channel":"/a","data":{"event":{"replayId":5}}},{"channel":"/a","data":{"event":{"replayId":5}}},{"channel":"/a","data":{"event":{"replayId":9}}},{"x":}]`,
		`[{"channel":"/a","data":{"event":{"replayId":5}}},{"channel":"/a","data":{"event":{"replayId":1e3}}},` + reply + `]`,
		`[` + reply + `,{"channel":"/other","data":{"event":{"replayId":7}}},{"channel":"/meta/disconnect"}]`,
		`[{"channel":"/meta/connect","id":"ID","successful":false,"error":"503::busy","advice":{"interval":900000,"reconnect":"none"}}]`,
		`[{"channel":"/a","data":{"payload":"` + strings.Repeat("x", 3000) + `","event":{"replayId":5}}}]`,
	} {
		f.Add([]byte(seed), uint16(7), uint8(0))
		f.Add([]byte(seed), uint16(900), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, size uint16, code uint8) {
		body = body[:min(len(body), 4*fuzzMessageLimit)] // longer ones only take longer
		synctest.Test(t, func(t *testing.T) {
			s := &script{body: body, size: int(size) + 1, status: []int{200, 200, 200, 500, 401, 302}[int(code)%6]}
			s.check(t, s.play(t))
		})
	})
}

const fuzzMessageLimit = 2000

// play runs a client until the second session has subscribed.
func (s *script) play(t *testing.T) (got []Event) {
	c, err := New(Config{
		Transport: s, MaxMessageBytes: fuzzMessageLimit, ReadBufferBytes: 256,
		Authorize: func(context.Context, Credentials) (Credentials, error) {
			return Credentials{Endpoint: "https://org.example/cometd/66.0"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, channel := range []string{"/a", "/b"} {
		if err := c.Subscribe(channel, After(1)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	s.stop = cancel
	for ctx.Err() == nil {
		events, err := c.Next(ctx)
		if err != nil && len(events) > 0 {
			t.Fatalf("%d events beside %v", len(events), err)
		}
		got = append(got, events...)
		if most := 4*fuzzMessageLimit + 512; cap(c.decoder.buf) > most {
			t.Fatalf("a chunk of %d bytes, want at most %d", cap(c.decoder.buf), most)
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return got
}

// check compares with what a decoder finds in the whole body.
func (s *script) check(t *testing.T, got []Event) {
	if len(s.resumed) == 0 {
		t.Fatal("no second session in a day")
	}
	body := bytes.ReplaceAll(s.body, []byte("ID"), []byte("5")) // as long as any
	d := decoder{chunkSize: len(body) + 1, maxMessage: fuzzMessageLimit, names: interner{}}
	var good []Event
	var fr frame
	r := &pieces{rest: body, size: len(body) + 1}
	_, _ = d.fill(r) // takes all
	v, err := gotFrame, error(nil)
	for err == nil && v == gotFrame {
		if v, err = d.decode(&fr); err == nil && v == gotFrame && fr.hasData && !fr.meta() {
			good = append(good, fr.event)
		}
	}
	if s.status != 200 {
		good = nil
	}
	if len(got) > len(good) || s.status == 200 && d.place == atEnd && err == nil && len(got) != len(good) {
		t.Fatalf("%d events, want %d", len(got), len(good))
	}
	after := map[string]int64{"/a": 1, "/b": 1}
	for i, e := range got {
		if string(e.Data) != string(good[i].Data) || e.Channel != good[i].Channel {
			t.Fatalf("event %d is %s, want %s", i, e.Data, good[i].Data)
		}
		if key := replayKey(e.Channel); after[key] != 0 && e.HasReplayID {
			after[key] = e.ReplayID
		}
	}
	all := strings.Join(s.resumed, ",")
	for channel, id := range after {
		if want := fmt.Sprintf("%q:%d", channel, id); !strings.Contains(all+",", want+",") {
			t.Fatalf("the next session begins at %s, want %s", all, want)
		}
	}
}
