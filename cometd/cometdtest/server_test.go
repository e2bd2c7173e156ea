package cometdtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// browser is a client that does exactly what it is told.
type browser struct {
	t       *testing.T
	server  *cometdtest.Server
	id      string
	cookies []*http.Cookie
}

// post sends messages, with CLIENT standing for the session's id.
func (b *browser) post(messages string) string {
	b.t.Helper()
	body, err := b.try(b.t.Context(), messages)
	if err != nil {
		b.t.Fatal(err)
	}
	return body
}

func (b *browser) try(ctx context.Context, messages string) (string, error) {
	messages = strings.ReplaceAll(messages, "CLIENT", b.id)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, cometdtest.URL, strings.NewReader(messages))
	if err != nil {
		return "", err
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	response, err := b.server.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if cookies := response.Cookies(); len(cookies) > 0 {
		b.cookies = cookies
	}
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return response.Status, err
	}
	return string(body), err
}

// open makes a session.
func (b *browser) open() {
	b.t.Helper()
	b.cookies = nil
	var replies []struct {
		ClientID string `json:"clientId"`
	}
	if err := json.Unmarshal([]byte(b.post(`[{"channel":"/meta/handshake","id":"1"}]`)), &replies); err != nil || len(replies) != 1 {
		b.t.Fatal(replies, err)
	}
	b.id = replies[0].ClientID
}

func (b *browser) expect(messages string, parts ...string) {
	b.t.Helper()
	body := b.post(messages)
	at := 0
	for _, part := range parts {
		i := strings.Index(body[at:], part)
		if i < 0 {
			b.t.Fatalf("%s\nanswered %s\nwithout  %s", messages, body, part)
		}
		at += i
	}
}

const connect = `[{"channel":"/meta/connect","id":"2","clientId":"CLIENT"}]`

func subscribe(channel, replay string) string {
	return `[{"channel":"/meta/subscribe","id":"3","clientId":"CLIENT","subscription":"` + channel + `","ext":{"replay":{"` + channel + `":` + replay + `}}}]`
}

func run(t *testing.T, server *cometdtest.Server, test func(*testing.T, *browser)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, &browser{t: t, server: server}) })
}

func TestReplay(t *testing.T) {
	ids := []int64{3, 1, 4}
	server := &cometdtest.Server{Retention: time.Hour, Gap: func() int64 {
		gap := ids[0]
		ids = append(ids[1:], gap)
		return gap
	}}
	run(t, server, func(t *testing.T, b *browser) {
		for _, want := range []int64{3, 4, 8} {
			if id := server.Publish("/u/a", `{}`); id != want {
				t.Errorf("replay id %d, want %d", id, want)
			}
		}
		for _, row := range []struct {
			replay string
			want   []string
		}{
			{"-2", []string{`"replayId":3`, `"replayId":4`, `"replayId":8`, `"successful":true`}},
			{`"-2"`, []string{`"replayId":3`}},
			{"3", []string{`"replayId":4`, `"replayId":8`}},
			{"5", []string{`"replayId":8`}},
			{"8", []string{`[{"channel":"/meta/connect"`}},
			{"-1", []string{`[{"channel":"/meta/connect"`}},
		} {
			b.open()
			b.expect(subscribe("/u/a", row.replay), `"successful":true`)
			b.expect(connect, row.want...)
		}
		b.open()
		b.expect(subscribe("/u/a", "9"), "400::The replayId {9} you provided was invalid.", `"successful":false`)
		<-time.After(2 * time.Hour)
		server.Publish("/u/a", `{}`)
		b.open()
		b.expect(subscribe("/u/a", "3"), "400::The replayId {3}")
		b.expect(subscribe("/u/a", "8"), `"successful":true`)
		b.expect(connect, `"replayId":11`)
		server.Reset()
		b.open()
		b.expect(subscribe("/u/a", "8"), "400::The replayId {8}")
	})
}

func TestHoldAndLapse(t *testing.T) {
	server := &cometdtest.Server{}
	run(t, server, func(t *testing.T, b *browser) {
		b.open()
		start := time.Now()
		b.expect(connect, `"timeout":110000`)
		if d := time.Since(start); d != 0 {
			t.Errorf("the first connect was held for %v", d)
		}
		b.expect(connect, `"successful":true`)
		if d := time.Since(start); d != 110*time.Second {
			t.Errorf("the second connect was held for %v", d)
		}
		b.expect(subscribe("/u/a", "-1"), `"successful":true`)
		time.AfterFunc(5*time.Second, func() { server.Publish("/u/a", `{"x":1}`) })
		b.expect(connect, `{"event":{"replayId":1},"x":1}`, `"successful":true`)
		if d := time.Since(start); d != 115*time.Second {
			t.Errorf("the event came after %v", d)
		}
		<-time.After(39 * time.Second)
		b.expect(`[{"channel":"/meta/connect","id":"2","clientId":"CLIENT","advice":{"timeout":0}}]`, `"successful":true`)
		<-time.After(41 * time.Second)
		if n := server.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
		b.expect(connect, `403::Unknown client`, `"reconnect":"handshake"`, `"successful":false`)
	})
}

func TestCookies(t *testing.T) {
	server := &cometdtest.Server{}
	run(t, server, func(t *testing.T, b *browser) {
		b.open()
		good := b.cookies
		b.cookies = nil
		b.expect(connect, "400::Client "+b.id+" has established a session, but no BAYEUX_BROWSER cookie present")
		b.cookies = []*http.Cookie{{Name: "BAYEUX_BROWSER", Value: "other"}}
		b.expect(connect, "403::Unknown client")
		b.cookies = good
		b.expect(connect, `"successful":true`)
	})
}

func TestToken(t *testing.T) {
	valid := true
	server := &cometdtest.Server{Token: func(string) bool { return valid }}
	run(t, server, func(t *testing.T, b *browser) {
		b.open()
		b.expect(connect, `"successful":true`)
		valid = false
		b.expect(connect, "401::Authentication invalid", `"reconnect":"none"`)
		b.expect(`{"channel":"/meta/handshake"}`, `"failureReason":"401::Authentication invalid"`, "403::Handshake denied")
	})
}

func TestDuplicateConnect(t *testing.T) {
	run(t, &cometdtest.Server{}, func(t *testing.T, b *browser) {
		b.open()
		b.expect(connect, `"successful":true`)
		older := make(chan string)
		go func() {
			body, err := b.try(t.Context(), connect)
			if err != nil {
				body = err.Error()
			}
			older <- body
		}()
		synctest.Wait()
		go func() {
			if body, err := b.try(t.Context(), connect); err != nil || !strings.Contains(body, "true") {
				t.Errorf("the newer connect: %v %s", err, body)
			}
		}()
		if body := <-older; !strings.HasPrefix(body, "500") {
			t.Errorf("the older connect: %s", body)
		}
		synctest.Wait()
		<-time.After(111 * time.Second)
	})
}

func TestRequestContext(t *testing.T) {
	server := &cometdtest.Server{}
	run(t, server, func(t *testing.T, b *browser) {
		b.open()
		b.expect(connect, `"successful":true`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.try(ctx, connect); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := b.try(ctx, connect); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		b.expect(`[{"channel":"/meta/connect","clientId":"CLIENT","advice":{"timeout":0}}]`, `"successful":true`)
	})
}

// A request whose reader goes away must not take events along, and its body
// must end with the context.
func TestBodyEndsWithContext(t *testing.T) {
	server := &cometdtest.Server{Fault: func(*cometdtest.Request) *cometdtest.Fault {
		return &cometdtest.Fault{Chunk: 1, Pause: time.Second}
	}}
	run(t, server, func(t *testing.T, b *browser) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if body, err := b.try(ctx, `[{"channel":"/meta/handshake"}]`); !errors.Is(err, context.DeadlineExceeded) || len(body) < 3 {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

func TestFaults(t *testing.T) {
	var fault *cometdtest.Fault
	server := &cometdtest.Server{Fault: func(*cometdtest.Request) *cometdtest.Fault { return fault }}
	run(t, server, func(t *testing.T, b *browser) {
		b.open()
		fault = &cometdtest.Fault{Error: "403::x", Advice: `{"reconnect":"none"}`, FailureReason: "503::y"}
		b.expect(connect, `"error":"403::x","advice":{"reconnect":"none"},"ext":{"sfdc":{"failureReason":"503::y"}}`)
		fault = &cometdtest.Fault{Status: 503, Body: "<html>"}
		b.expect(connect, "503 Service Unavailable")
		fault = &cometdtest.Fault{Empty: true}
		if body := b.post(connect); body != "" {
			t.Errorf("got %q", body)
		}
		fault = &cometdtest.Fault{Refuse: true}
		if _, err := b.try(t.Context(), connect); err == nil || !strings.HasPrefix(err.Error(), "dial tcp") {
			t.Errorf("got %v", err)
		}
		fault = &cometdtest.Fault{Drop: true}
		if body, err := b.try(t.Context(), connect); err == nil || body != "" {
			t.Errorf("got %q, %v", body, err)
		}
		fault = cometdtest.CutAt(5)
		if body, err := b.try(t.Context(), `[{"channel":"/meta/subscribe","clientId":"CLIENT","subscription":"/u/a"}]`); err == nil || len(body) != 5 {
			t.Errorf("got %q, %v", body, err)
		}
		fault = &cometdtest.Fault{Rewrite: strings.ToUpper, Delay: 30 * time.Second}
		start := time.Now()
		b.expect(`[{"channel":"/meta/unsubscribe","clientId":"CLIENT","subscription":"/u/a"}]`, `"SUCCESSFUL":TRUE`)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("the delay was %v", d)
		}
		fault = &cometdtest.Fault{Forget: true}
		b.expect(connect, "403::Unknown client")
	})
}

func TestOnceAndFirst(t *testing.T) {
	one, two := &cometdtest.Fault{Drop: true}, &cometdtest.Fault{Hang: true}
	f := cometdtest.First(cometdtest.Once("/meta/connect", 2, one), cometdtest.Once("/meta/connect", 3, two), cometdtest.Once("/meta/subscribe", 1, two))
	for i, row := range []struct {
		channel string
		want    *cometdtest.Fault
	}{{"/meta/connect", nil}, {"/meta/handshake", nil}, {"/meta/connect", one}, {"/meta/connect", two}, {"/meta/subscribe", two}, {"/meta/connect", nil}} {
		if got := f(&cometdtest.Request{Channel: row.channel}); got != row.want {
			t.Errorf("request %d: got %v", i, got)
		}
	}
}

func TestPublishKeepsBytes(t *testing.T) {
	server := &cometdtest.Server{EventsWithSubscribe: true}
	run(t, server, func(t *testing.T, b *browser) {
		server.Publish("/u/a", ` {"payload": { "<a>" : 1.0 } , "event" : { "type":"x" } }`)
		server.Publish("/u/a", `{"event":{}}`, `{}`)
		b.open()
		b.expect(subscribe("/u/a", "-2"),
			`{"data": {"payload": { "<a>" : 1.0 } , "event" : {"replayId":1, "type":"x" } },"channel":"/u/a"}`,
			`{"data":{"event":{"replayId":2}},"channel":"/u/a"}`,
			`{"data":{"event":{"replayId":2}},"channel":"/u/a"}`, `/meta/subscribe`)
	})
	for _, data := range []string{``, `x`, `[]`, `{"a"}`, `{"event":1}`} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", data)
				}
			}()
			server.Publish("/u/a", data)
		}()
	}
}

func TestRefusedRequests(t *testing.T) {
	server := httptest.NewServer(&cometdtest.Server{})
	defer server.Close()
	for _, row := range []struct {
		method, body string
		status       int
	}{
		{http.MethodGet, "", 405},
		{http.MethodPost, "x", 400},
		{http.MethodPost, "[]", 400},
		{http.MethodPost, "[" + strings.Repeat(" ", 32_768) + "]", 413},
		{http.MethodPost, `[{"channel":"/meta/handshake"},{"channel":"/meta/connect"}]`, 500},
		{http.MethodPost, `{"channel":"/meta/handshake"}`, 200},
	} {
		r, err := http.NewRequestWithContext(t.Context(), row.method, server.URL+"/cometd/66.0/handshake", bytes.NewReader([]byte(row.body)))
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != row.status {
			t.Errorf("%s %.40s: status %d, want %d", row.method, row.body, response.StatusCode, row.status)
		}
	}
}
