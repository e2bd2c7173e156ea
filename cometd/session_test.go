package cometd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

func TestFirstEvents(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		server.Publish(orders, data(1))
		h.subscribe(orders, cometd.Earliest())
		events := h.next()
		if len(events) != 1 {
			t.Fatalf("got %d events", len(events))
		}
		e := events[0]
		h.equal(e.Channel+" "+e.Subscription, orders+" "+orders, "channel")
		h.equal(string(e.Payload), `{"n": 1}`, "payload")
		h.equal(string(e.Data), `{"schema":"s1","payload":{"n": 1},"event":{"replayId":1,"EventUuid":"u1"}}`, "data")
		h.equal(e.Schema+" "+e.UUID, "s1 u1", "schema and uuid")
		h.equal(e.HasReplayID, true, "has replay id")
		h.equal(h.authorized, 1, "authorize calls")
		h.equal(h.rejected[0], cometd.Credentials{}, "rejected credentials")
		status := h.client.Status()
		h.equal(status.Ready(), true, "ready")
		h.equal(status.Subscribed, []string{orders}, "subscribed")
	})
	if n := server.Sessions(); n != 0 {
		t.Errorf("%d sessions are left after Close", n)
	}
}

// What goes over the wire, from the first request to the last.
func TestRequestsOfASession(t *testing.T) {
	var bodies []string
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		if got := r.Header.Get("Content-Type") + " " + r.Header.Get("Authorization"); got != "application/json;charset=UTF-8 Bearer 1" {
			t.Errorf("headers: %s", got)
		}
		bodies = append(bodies, strings.ReplaceAll(r.Body, `"clientId":"`+r.Messages[0].ClientID+`"`, `"clientId":"CLIENT"`))
		return nil
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
	})
	want := []string{
		`[{"id":"1","channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling"],"ext":{"replay":true}}]`,
		`[{"id":"2","channel":"/meta/connect","clientId":"CLIENT","connectionType":"long-polling","advice":{"timeout":0}}]`,
		`[{"id":"3","channel":"/meta/subscribe","clientId":"CLIENT","subscription":"/event/Order__e","ext":{"replay":{"/event/Order__e":-2}}}]`,
		`[{"id":"4","channel":"/meta/connect","clientId":"CLIENT","connectionType":"long-polling"}]`,
		`[{"id":"5","channel":"/meta/disconnect","clientId":"CLIENT"}]`,
	}
	if !slices.Equal(bodies, want) {
		t.Errorf("requests: %q", bodies)
	}
}

func TestHeldConnectDeliversAtOnce(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		start := time.Now()
		time.AfterFunc(time.Hour, func() { // from another goroutine
			status := h.client.Status()
			h.equal(status.Ready(), true, "ready")
			h.equal(time.Since(status.LastReply) < 111*time.Second, true, "last reply is recent")
			h.equal(status.Since, start, "since")
		})
		time.AfterFunc(3*time.Hour+time.Second, func() { server.Publish(orders, data(1)) })
		h.next()
		h.equal(time.Since(start), 3*time.Hour+time.Second, "arrival")
		h.equal(h.handshakes, 1, "handshakes")
	})
}

func TestSessionLapse(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.equal(h.next()[0].ReplayID, 1, "first event")
		server.Publish(orders, data(2))
		// The consumer stays away for longer than the server's patience.
		later(h.t, 41*time.Second)
		server.Publish(orders, data(3))
		ids, errs := h.collect(2)
		h.equal(ids, []int64{2, 3}, "events after the lapse")
		var reply *cometd.ReplyError
		if len(errs) != 1 || !errors.As(errs[0], &reply) || reply.Code != 403 || !cometd.Retryable(errs[0]) {
			t.Errorf("errors on the way: %v", errs)
		}
		h.equal(h.handshakes, 2, "handshakes")
		h.equal(h.authorized, 1, "authorize calls")
		h.equal(h.waits, []time.Duration{0}, "waits before new sessions")
	})
}

func TestUnknownClientOnEveryMessage(t *testing.T) {
	for _, channel := range []string{"/meta/connect", "/meta/subscribe"} {
		for n := 1; n <= 3; n++ {
			if channel == "/meta/subscribe" && n > 1 {
				continue
			}
			t.Run(fmt.Sprint(channel[6:], n), func(t *testing.T) {
				server := &cometdtest.Server{Fault: cometdtest.Once(channel, n, &cometdtest.Fault{Forget: true})}
				bubble(t, server, nil, func(t *testing.T, h *harness) {
					h.subscribe(orders, cometd.Earliest())
					for i := range 5 {
						server.Publish(orders, data(i))
					}
					ids, errs := h.collect(5)
					h.equal(ids, sequence(1, 5), "events")
					server.Publish(orders, data(6))
					more, errs2 := h.collect(1)
					h.equal(more, []int64{6}, "next event")
					if n := len(errs) + len(errs2); n != 1 {
						t.Errorf("%d errors, want one: %v %v", n, errs, errs2)
					}
				})
			})
		}
	}
}

// Failures that have been got over do not count any more.
func TestSuccessForgivesFailures(t *testing.T) {
	valid := "Bearer 1"
	server := &cometdtest.Server{Token: func(a string) bool { return a == valid }}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range int64(4) {
			server.Publish(orders, data(int(i)))
			ids, errs := h.collect(1)
			h.equal(ids, []int64{i + 1}, "events")
			for _, err := range errs {
				if !cometd.Retryable(err) {
					t.Errorf("round %d: %v", i, err)
				}
			}
			// The reply to a held connect is the success.
			time.AfterFunc(200*time.Second, func() { server.Send(`{"channel":"` + orders + `","data":{}}`) })
			h.next()
			if i%2 == 0 {
				server.Forget()
			} else {
				valid = fmt.Sprintf("Bearer %d", h.authorized+1)
			}
		}
		h.equal(h.waits, []time.Duration{0, 0, 0}, "waits before new sessions")
		server.Publish(orders, data(4))
		h.collect(1)
		h.equal(h.authorized, 3, "authorize calls")
	})
}

// A server that forgets every session must not be asked for ever more of them.
func TestUnknownClientForEver(t *testing.T) {
	connects := 0
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel != "/meta/connect" {
			return nil
		}
		if connects++; connects%2 == 0 {
			return &cometdtest.Fault{Forget: true}
		}
		return nil
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		errs := h.idle(time.Hour)
		if n := len(errs); n < 50 || n > 75 {
			t.Errorf("%d attempts in an hour, want about one a minute", n)
		}
		h.equal(h.waits[:5], []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, "waits")
	})
}

func TestTokenRefused(t *testing.T) {
	expired := false
	server := &cometdtest.Server{Token: func(a string) bool { return !expired || a != "Bearer 1" }}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		expired = true
		server.Publish(orders, data(2))
		if auth := fails[*cometd.AuthError](h); auth.Fresh || !cometd.Retryable(auth) {
			t.Errorf("first refusal: %v", auth)
		}
		h.equal(h.next()[0].ReplayID, 2, "event after the new token")
		h.equal(h.authorized, 2, "authorize calls")
		h.equal(h.rejected[1].Authorization == "Bearer 1", true, "rejected credentials are handed over")
	})
}

func TestTokenRefusedForEver(t *testing.T) {
	server := &cometdtest.Server{Token: func(string) bool { return false }}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		if auth := fails[*cometd.AuthError](h); auth.Fresh {
			t.Errorf("first refusal: %v", auth)
		}
		start := time.Now()
		if auth := fails[*cometd.AuthError](h); !auth.Fresh || cometd.Retryable(auth) {
			t.Errorf("second refusal: %v", auth)
		}
		h.equal(time.Since(start), time.Duration(0), "wait before the second attempt")
		h.idle(time.Hour)
		if h.authorized > 75 {
			t.Errorf("%d logins in an hour", h.authorized)
		}
	})
}

// A server that answers every connect at once, with nothing.
func TestBusyLoopGuard(t *testing.T) {
	const most = 3700
	server := &cometdtest.Server{Hold: time.Nanosecond, Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		return &cometdtest.Fault{Hang: r.N > most} // or the test would not end
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		h.equal(h.idle(time.Hour), []error(nil), "errors")
		if n := server.Requests(); n > most || n < most/2 {
			t.Errorf("%d requests in an hour, want about one a second", n)
		}
		server.Fault = nil
	})
}

func TestCancelledNextLosesNothing(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range int64(5) {
			server.Publish(orders, data(int(i)))
			h.equal(h.next()[0].ReplayID, i+1, "event")
			h.equal(h.idle(time.Minute), []error(nil), "errors when cancelled")
		}
		h.equal(h.authorized, 1, "authorize calls")
	})
}

func TestLimitsWaitForMinutes(t *testing.T) {
	for _, channel := range []string{"/meta/handshake", "/meta/connect", "/meta/subscribe"} {
		t.Run(channel, func(t *testing.T) {
			n := 0
			server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
				if r.Channel == channel {
					if n++; n <= 6 {
						return &cometdtest.Fault{Error: "403::Organization total events daily limit exceeded", Advice: `{"reconnect":"none","interval":0}`}
					}
				}
				return nil
			}}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				server.Publish(orders, data(1))
				start := time.Now()
				ids, errs := h.collect(1)
				h.equal(ids, []int64{1}, "events")
				h.equal(len(errs), 6, "errors")
				h.equal(time.Since(start), (1+2+4+8+15+15)*time.Minute, "wait")
				h.equal(h.authorized, 1, "authorize calls")
			})
		})
	}
}

func TestServerSentDisconnect(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		server.Send(`{"channel":"/meta/disconnect"}`)
		server.Publish(orders, data(2))
		ids, _ := h.collect(1)
		h.equal(ids, []int64{2}, "events")
		h.idle(time.Minute)
		h.equal(h.handshakes >= 2, true, "a new session")
	})
}

func TestNoReplayIsRefused(t *testing.T) {
	server := &cometdtest.Server{NoReplay: true}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		if _, err := h.client.Next(t.Context()); !errors.Is(err, cometd.ErrNoReplay) || cometd.Retryable(err) {
			t.Errorf("got %v", err)
		}
	})
}

// Cookies belong to a session: each begins without any.
func TestCookiesEndWithTheSession(t *testing.T) {
	var cookies []string
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		cookies = append(cookies, strings.Fields(r.Channel + " " + r.Header.Get("Cookie") + "=")[1][:1])
		return nil
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		server.Forget()
		server.Publish(orders, data(2))
		h.collect(1)
	})
	// Handshake, connect, subscribe, connect; the connect that was forgotten; the same again, disconnect.
	if got, want := strings.Join(cookies, ""), "=BBBB=BBBB"; got != want {
		t.Errorf("cookies of the requests: got %s, want %s", got, want)
	}
}

func TestAuthorizeErrors(t *testing.T) {
	server := &cometdtest.Server{}
	broken := errors.New("no such key")
	calls := 0
	bubble(t, server, func(c *cometd.Config) {
		c.Authorize = func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
			switch calls++; calls {
			case 1:
				return cometd.Credentials{}, broken
			case 2:
				return cometd.Credentials{Endpoint: "acme.my.salesforce.com", Authorization: "Bearer secret"}, nil
			}
			return cometd.Credentials{Endpoint: cometdtest.URL}, nil
		}
	}, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		if err := fails[*cometd.AuthorizeError](h); !errors.Is(err, broken) || !cometd.Retryable(err) {
			t.Errorf("got %v", err)
		}
		if err := fails[*cometd.AuthorizeError](h); strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
		h.next()
	})
}

func TestCredentialsAreHidden(t *testing.T) {
	c := cometd.Credentials{Endpoint: "https://x", Authorization: "Bearer secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if s := fmt.Sprintf(format+format, c, &c); strings.Contains(s, "secret") || strings.Contains(s, "736563726574") {
			t.Errorf("%s shows %s", format, s)
		}
	}
}
