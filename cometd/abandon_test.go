package cometd_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// farewells records the disconnects that a server sees, and when handshakes come.
type farewells struct {
	sessions, cookies []string
	cookie            string // of the last request that was not a disconnect
	client            string
	handshakes        []time.Time
}

func (f *farewells) see(r *cometdtest.Request) *cometdtest.Fault {
	switch m := r.Messages[0]; r.Channel {
	case "/meta/disconnect":
		f.sessions = append(f.sessions, m.ClientID)
		f.cookies = append(f.cookies, r.Header.Get("Cookie"))
	case "/meta/handshake":
		f.handshakes = append(f.handshakes, time.Now())
	default:
		f.client, f.cookie = m.ClientID, r.Header.Get("Cookie")
	}
	return nil
}

// A session that is given up is freed, with its own id and cookies, once; one
// that the server has forgotten is left alone.
func TestSessionGivenUpIsFreed(t *testing.T) {
	at := 50
	busy := `[{"channel":"/meta/connect","successful":false,"error":"401::Authentication invalid","ext":{"sfdc":{"failureReason":"503::busy"}},"advice":{"reconnect":"none"}}]`
	for _, row := range []struct {
		name  string
		fault *cometdtest.Fault
		freed bool
	}{
		{"reply dropped", &cometdtest.Fault{Drop: true}, true},
		{"reply cut", &cometdtest.Fault{Cut: &at}, true},
		{"HTTP 500", &cometdtest.Fault{Status: 500}, true},
		{"malformed", &cometdtest.Fault{Rewrite: func(b string) string { return b[:len(b)-1] + ",]" }}, true},
		{"busy behind 401, none", &cometdtest.Fault{Body: busy, ContentType: "application/json"}, true},
		{"advice none", &cometdtest.Fault{Error: "trouble", Advice: `{"reconnect":"none"}`}, true},
		{"limit", &cometdtest.Fault{Error: "403::Organization concurrent user limit exceeded", Advice: `{"reconnect":"none"}`}, true},
		{"hangs", &cometdtest.Fault{Hang: true}, true},
		{"the server asks for ten seconds of silence", &cometdtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"10"}}}, true},
		{"and for more than it keeps a session", &cometdtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"45"}}}, false},
		{"unknown client", &cometdtest.Fault{Forget: true}, false},
		{"advice handshake", &cometdtest.Fault{Error: "trouble", Advice: `{"reconnect":"handshake"}`}, false},
		{"token refused", &cometdtest.Fault{Error: "401::Authentication invalid", Advice: `{"reconnect":"none"}`}, false},
		{"HTTP 401", &cometdtest.Fault{Status: 401}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var seen farewells
			server := &cometdtest.Server{Fault: cometdtest.First(seen.see, cometdtest.Once("/meta/connect", 2, row.fault))}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				server.Publish(orders, data(1))
				if _, errs := h.collect(1); len(errs) != 1 {
					t.Errorf("errors: %v", errs)
				}
				h.equal(len(seen.sessions), map[bool]int{true: 1}[row.freed], "disconnects")
				h.equal(h.handshakes, 2, "handshakes")
				if row.freed {
					h.equal(server.Sessions(), 1, "sessions")
				}
			})
			for _, c := range seen.cookies {
				if !strings.HasPrefix(c, "BAYEUX_BROWSER=") || strings.Contains(c, ";") {
					t.Errorf("cookies of a disconnect: %q", c)
				}
			}
			if row.freed && (seen.sessions[0] == seen.sessions[1] || seen.cookies[0] == seen.cookies[1]) {
				t.Errorf("the session that was given up and the last one are the same: %v", seen)
			}
		})
	}
}

// Freeing a session holds nobody up: one try, of a second, within the pause.
func TestFarewellIsBounded(t *testing.T) {
	for name, fault := range map[string]*cometdtest.Fault{
		"never answered":    {Hang: true},
		"answered in drips": {Chunk: 1, Pause: 400 * time.Millisecond},
		"refused":           {Status: 401},
		"token refused":     {Error: "401::Authentication invalid", Advice: `{"reconnect":"none"}`},
		"no connection":     {Refuse: true},
		"malformed":         {Body: "<html>"},
		"asks for silence":  {Status: 503, Header: http.Header{"Retry-After": {"600"}}},
		"brings events":     {Rewrite: func(b string) string { return "[" + message(orders, 99, 99) + "," + b[1:] }},
	} {
		t.Run(name, func(t *testing.T) {
			var seen farewells
			server := &cometdtest.Server{Fault: cometdtest.First(seen.see,
				cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Drop: true}),
				cometdtest.Once("/meta/disconnect", 1, fault))}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				server.Publish(orders, data(1))
				start := time.Now()
				ids, errs := h.collect(1)
				h.equal(ids, []int64{1}, "events")
				h.equal(len(errs), 1, "errors: that of the connect, not that of the disconnect")
				h.equal(time.Since(start), time.Second, "time until the next session: the backoff's own")
				h.equal(len(seen.sessions), 1, "disconnects")
				h.equal(h.authorized, 1, "authorize calls")
			})
		})
	}
}

// A caller that goes away leaves the session to Close, and one that comes back
// frees it itself.
func TestSessionOfACallerThatWentAway(t *testing.T) {
	for _, back := range []bool{false, true} {
		var seen farewells
		server := &cometdtest.Server{Fault: seen.see}
		bubble(t, server, nil, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			h.idle(time.Minute)
			h.equal(len(seen.sessions), 0, "disconnects before")
			if back {
				h.idle(time.Minute)
				h.equal(len(seen.sessions), 1, "disconnects when the caller is back")
				h.equal(len(seen.handshakes), 2, "handshakes")
			}
			if err := h.client.Close(context.Background()); err != nil {
				t.Error(err)
			}
			h.equal(server.Sessions(), 0, "sessions")
		})
	}
}

// A handshake that is of no use leaves a session behind, which is freed too.
func TestSessionOfNoUseIsFreed(t *testing.T) {
	var seen farewells
	server := &cometdtest.Server{NoReplay: true, Fault: seen.see}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		h.idle(10 * time.Minute)
		if len(seen.handshakes)-len(seen.sessions) > 1 || len(seen.handshakes) < 5 {
			t.Errorf("%d handshakes, %d disconnects", len(seen.handshakes), len(seen.sessions))
		}
		if n := server.Sessions(); n > 1 {
			t.Errorf("%d sessions", n)
		}
	})
}
