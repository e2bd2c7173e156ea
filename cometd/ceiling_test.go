package cometd_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// Ceilings, as the package comment states them: of requests in any minute and,
// from the tenth minute on, of requests in any minute, of handshakes in any hour
// and of calls of Authorize in any hour.
const (
	mostRequestsInAMinute = 80
	mostRequestsLater     = 70
	mostHandshakesAnHour  = 300
	mostAuthorizeAnHour   = 300
	batchesOfFiveHundred  = 5 // subscribe requests that 500 channels make
)

// meter counts what happens in windows of time.
type meter struct{ at []time.Time }

func (m *meter) mark() { m.at = append(m.at, time.Now()) }

// most is the largest number of marks in any window that begins after from.
func (m *meter) most(window time.Duration, from time.Time) (most int) {
	first := 0
	for last, at := range m.at {
		if at.Before(from) {
			first = last + 1
			continue
		}
		for at.Sub(m.at[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// unkind is a server that does its worst for more than an hour.
type unkind struct {
	name     string
	server   *cometdtest.Server
	channels int // 1
	busiest  int // requests in any minute, when more than the common ceiling
}

func (u unkind) run(t *testing.T, random func() float64) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 20_000
		var requests, handshakes, authorize meter
		client, err := cometd.New(cometd.Config{
			Rand: random,
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				if requests.mark(); len(requests.at) > patience {
					<-r.Context().Done() // or a tight loop would not end the test
				}
				return u.server.RoundTrip(r)
			}),
			Authorize: func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
				authorize.mark()
				return cometd.Credentials{Endpoint: cometdtest.URL}, nil
			},
			Trace: cometd.Trace{Reply: func(r cometd.ReplyInfo) {
				if r.Channel == "/meta/handshake" {
					handshakes.mark()
				}
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range max(u.channels, 1) {
			if err := client.Subscribe(channelName(i), cometd.Latest()); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		duration := 75 * time.Minute
		if u.channels > 1 {
			duration = 20 * time.Minute // they take their time
		}
		ctx, cancel := context.WithTimeout(t.Context(), duration)
		defer cancel()
		for ctx.Err() == nil {
			// A caller that does not care, and asks again for what it was refused.
			_, err := client.Next(ctx)
			var sub *cometd.SubscriptionError
			if errors.As(err, &sub) && !cometd.Retryable(err) {
				if err := client.Subscribe(sub.Channel, cometd.Latest()); err != nil {
					t.Fatal(err)
				}
			}
		}
		u.server.Fault = nil
		_ = client.Close(t.Context()) // the server may refuse that, too
		tenth := start.Add(10 * time.Minute)
		for _, c := range []struct {
			what      string
			got, most int
		}{
			{"requests in a minute", requests.most(time.Minute, start), max(u.busiest, mostRequestsInAMinute)},
			{"requests in a minute, later", requests.most(time.Minute, tenth), max(u.busiest, mostRequestsLater)},
			{"handshakes in an hour", handshakes.most(time.Hour, start), mostHandshakesAnHour},
			{"authorize calls in an hour", authorize.most(time.Hour, start), mostAuthorizeAnHour},
		} {
			if c.got > c.most {
				t.Errorf("%d %s, want at most %d", c.got, c.what, c.most)
			}
		}
		t.Logf("%d requests in the busiest minute, %d later, %d handshakes and %d authorize calls in the busiest hour",
			requests.most(time.Minute, start), requests.most(time.Minute, tenth), handshakes.most(time.Hour, start), authorize.most(time.Hour, start))
	})
}

// instant is a server that answers connects at once.
func instant() *cometdtest.Server { return &cometdtest.Server{Hold: time.Nanosecond} }

// every makes a server that does the same with each request on a channel ("" for
// all), but the first of a session's when skip says so many.
func every(server *cometdtest.Server, channel string, skip int, fault cometdtest.Fault) *cometdtest.Server {
	n := 0
	server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel == "/meta/handshake" {
			n = 0
		}
		if channel != "" && r.Channel != channel {
			return nil
		}
		if n++; n > skip {
			return &fault
		}
		return nil
	}
	return server
}

// advised puts an advice into every connect reply.
func advised(server *cometdtest.Server, advice string) *cometdtest.Server {
	return every(server, "/meta/connect", 0, cometdtest.Fault{Rewrite: func(b string) string {
		return strings.Replace(b, `"successful":true`, `"successful":true,"advice":`+advice, 1)
	}})
}

func unkindServers() []unkind {
	list := []unkind{
		{name: "holds and says nothing", server: &cometdtest.Server{}},
		{name: "answers at once with nothing", server: instant()},
		{name: "answers in just under a second", server: &cometdtest.Server{Hold: 999 * time.Millisecond}},
		{name: "answers in just over a second", server: &cometdtest.Server{Hold: 1001 * time.Millisecond}},
		{name: "500 channels, answers at once with nothing", server: instant(), channels: 500},
		{name: "500 channels, all refused for now", server: every(&cometdtest.Server{}, "/meta/subscribe", 0, cometdtest.Fault{Error: "503::busy"}), channels: 500},
		{name: "500 channels, all over a limit", server: every(instant(), "/meta/subscribe", 0, cometdtest.Fault{Error: "403::Subscription limit exceeded for this topic"}), channels: 500},
		{name: "500 channels, forgotten at the end", server: every(instant(), "/meta/subscribe", batchesOfFiveHundred-1, cometdtest.Fault{Forget: true}), channels: 500},
		{name: "500 channels, and only one a request", server: func() *cometdtest.Server {
			s := instant()
			s.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
				if len(r.Messages) > 1 {
					return &cometdtest.Fault{Status: 500}
				}
				return nil
			}
			return s
		}(), channels: 500, busiest: 600},
		{name: "no connection", server: every(instant(), "", 0, cometdtest.Fault{Refuse: true})},
		{name: "no connection for connects", server: every(instant(), "/meta/connect", 3, cometdtest.Fault{Refuse: true})},
		{name: "replay not offered", server: &cometdtest.Server{NoReplay: true}},
		{name: "token never good", server: &cometdtest.Server{Token: func(string) bool { return false }}},
	}
	for _, advice := range []string{
		`{"interval":0}`, `{"interval":-1}`, `{"interval":1e300}`, `{"interval":-1e300}`, `{"interval":"x"}`, `{"interval":null}`, `{"interval":"0"}`,
		`{"reconnect":"handshake","interval":0}`, `{"reconnect":"none","interval":0}`, `{"reconnect":"retry","timeout":0}`, `{"reconnect":"whatever"}`, `7`,
	} {
		list = append(list, unkind{name: "advice " + advice, server: advised(instant(), advice)})
	}
	for _, channel := range []string{"/meta/handshake", "/meta/connect", "/meta/subscribe", ""} {
		for name, fault := range map[string]cometdtest.Fault{
			"forgets":           {Forget: true},
			"HTTP 500":          {Status: 500},
			"HTTP 401":          {Status: 401},
			"HTTP 404":          {Status: 404},
			"HTTP 413":          {Status: 413},
			"HTTP 429":          {Status: 429, Header: http.Header{"Retry-After": {"0"}}},
			"empty":             {Empty: true},
			"drops":             {Drop: true},
			"401":               {Error: "401::Authentication invalid", Advice: `{"reconnect":"none","interval":0}`},
			"503, retry":        {Error: "503::busy", Advice: `{"reconnect":"retry","interval":0}`},
			"limit":             {Error: "403::Organization concurrent user limit exceeded", Advice: `{"reconnect":"handshake","interval":0}`},
			"refuses":           {Error: "403::Restricted channel", Advice: `{"reconnect":"retry","interval":0}`},
			"refuses with none": {Error: "4::", Advice: `{"reconnect":"none","interval":-1}`},
			"refuses, go on":    {Error: "x", Advice: `{"reconnect":"handshake","interval":0}`},
			"sends disconnect":  {Rewrite: func(b string) string { return `[{"channel":"/meta/disconnect"},` + b[1:] }},
			"answers another":   {Rewrite: func(b string) string { return strings.ReplaceAll(b, `"id":"`, `"id":"9`) }},
		} {
			for _, skip := range []int{0, 1, 5, 65} { // connects for which it behaves: up to about a minute
				if skip > 0 && channel != "/meta/connect" || skip == 65 && len(name) > len("forgets") {
					continue
				}
				list = append(list, unkind{name: fmt.Sprintf("%s on %s after %d", name, channel, skip), server: every(instant(), channel, skip, fault)})
			}
		}
	}
	return append(list,
		unkind{name: "behaves for a minute, then forgets six sessions at once", server: sixOfSeven(cometdtest.Fault{Forget: true})},
		unkind{name: "behaves for a minute, then refuses six tokens", server: sixOfSeven(cometdtest.Fault{Status: 401})},
	)
}

// sixOfSeven lets every seventh session last for just as long as it takes to be
// forgiven what was before it.
func sixOfSeven(fault cometdtest.Fault) *cometdtest.Server {
	s := instant()
	session, opened := 0, time.Time{}
	s.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
		switch r.Channel {
		case "/meta/handshake":
			session++
			opened = time.Now()
		case "/meta/connect":
			if session%7 != 0 || time.Since(opened) > 61*time.Second {
				return &fault
			}
		}
		return nil
	}
	return s
}

func TestCeilings(t *testing.T) {
	for _, u := range unkindServers() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			u.run(t, func() float64 { return 0.999 }) // the shortest waits
		})
	}
}
