package cometd_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// Every reply of a session is cut at every byte; nothing is lost, nothing comes
// twice, and the order is kept.
func TestCutAtEveryByte(t *testing.T) {
	publish := func(server *cometdtest.Server) {
		server.Publish(orders, data(1))
		server.Publish(accounts, data(2), data(3)) // one id
		server.Publish(orders, data(4))
		server.Publish(accounts, data(5), data(6))
	}
	const total = 6
	for _, channel := range []string{"/meta/handshake", "/meta/subscribe", "/meta/connect"} {
		for _, options := range []*cometdtest.Server{{}, {EventsWithSubscribe: true}, {ReplyFirst: true, MaxEvents: 2}} {
			for n := 1; n <= 3; n++ {
				name := fmt.Sprintf("%s %d with-subscribe=%v reply-first=%v", channel[6:], n, options.EventsWithSubscribe, options.ReplyFirst)
				t.Run(name, func(t *testing.T) {
					cutEverywhere(t, channel, n, total, func() *cometdtest.Server {
						return &cometdtest.Server{
							EventsWithSubscribe: options.EventsWithSubscribe, ReplyFirst: options.ReplyFirst, MaxEvents: options.MaxEvents,
						}
					}, publish)
				})
			}
		}
	}
}

func cutEverywhere(t *testing.T, channel string, n, total int, fresh func() *cometdtest.Server, publish func(*cometdtest.Server)) {
	for at, reached := 0, true; reached; at++ {
		reached = false
		server := fresh()
		cut := cometdtest.Once(channel, n, &cometdtest.Fault{Rewrite: func(body string) string {
			reached = at < len(body)
			return body
		}, Cut: &at, Chunk: 7})
		server.Fault = cut
		bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = 64 }, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			h.subscribe(accounts, cometd.Earliest())
			publish(server)
			perChannel := map[string][]string{}
			for got := 0; got < total; {
				events, err := h.client.Next(h.ctx)
				if err != nil && !cometd.Retryable(err) {
					t.Fatalf("cut at %d, %d events so far: %v", at, got, err)
				}
				for i, e := range events {
					got++
					perChannel[e.Channel] = append(perChannel[e.Channel], string(e.Payload))
					if last := i == len(events)-1; last && e.Channel == accounts && strings.ContainsAny(string(e.Payload), "25") {
						t.Errorf("cut at %d: a batch ends inside a group", at)
					}
				}
			}
			h.equal(perChannel[orders], []string{`{"n": 1}`, `{"n": 4}`}, fmt.Sprintf("orders, cut at %d", at))
			h.equal(perChannel[accounts], []string{`{"n": 2}`, `{"n": 3}`, `{"n": 5}`, `{"n": 6}`}, fmt.Sprintf("accounts, cut at %d", at))
			server.Forget()
			h.idle(time.Minute) // nothing more comes, also in a new session
		})
		if t.Failed() {
			return
		}
	}
}

func TestDroppedReplyIsAskedForAgain(t *testing.T) {
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprint("connect ", n), func(t *testing.T) {
			server := &cometdtest.Server{
				MaxEvents: 2,
				Fault:     cometdtest.Once("/meta/connect", n, &cometdtest.Fault{Drop: true}),
			}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				for i := range 8 {
					server.Publish(orders, data(i))
				}
				ids, errs := h.collect(8)
				h.equal(ids, sequence(1, 8), "events")
				if len(errs) != 1 || !cometd.Retryable(errs[0]) {
					t.Errorf("errors: %v", errs)
				}
				h.equal(h.handshakes, 2, "handshakes")
			})
		})
	}
}

func TestRefusedConnectionKeepsTheSession(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Refuse: true})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		ids, errs := h.collect(1)
		h.equal(ids, []int64{1}, "events")
		h.equal(h.handshakes, 1, "handshakes")
		var network *cometd.NetworkError
		if len(errs) != 1 || !errors.As(errs[0], &network) || network.Sent {
			t.Errorf("errors: %v", errs)
		}
	})
}

func TestSilentServerIsNoticed(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 3, &cometdtest.Fault{Hang: true})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		start := time.Now()
		if err := fails[*cometd.NetworkError](h); !errors.Is(err, cometd.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		h.equal(time.Since(start), 125*time.Second, "patience: hold and allowance")
		server.Publish(orders, data(2))
		h.equal(h.next()[0].ReplayID, 2, "next event")
	})
}

func TestStalledBodyIsNoticed(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Chunk: 150, Pause: 16 * time.Second})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 10 {
			server.Publish(orders, data(i))
		}
		ids, errs := h.collect(10)
		h.equal(ids, sequence(1, 10), "events")
		if len(errs) != 1 || !errors.Is(errs[0], cometd.ErrTimeout) {
			t.Errorf("errors: %v", errs)
		}
	})
}

// Some servers send the header at once and hold the body.
func TestHeldBodyIsNotCut(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Pause: 109 * time.Second})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		ids, errs := h.collect(1)
		h.equal(ids, []int64{1}, "events")
		h.equal(errs, []error(nil), "errors")
	})
}

func TestSlowBodyIsNotCut(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Chunk: 20, Pause: 14 * time.Second})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 10 {
			server.Publish(orders, data(i))
		}
		ids, errs := h.collect(10)
		h.equal(ids, sequence(1, 10), "events")
		h.equal(errs, []error(nil), "errors")
	})
}

func TestHTTPErrors(t *testing.T) {
	for _, row := range []struct {
		name      string
		fault     cometdtest.Fault
		status    int
		retryable bool
		wait      time.Duration
	}{
		{"maintenance page", cometdtest.Fault{Status: 503, Body: "<html>down</html>"}, 503, true, time.Second},
		{"asks to wait", cometdtest.Fault{Status: 503, Header: http.Header{"Retry-After": {"30"}}}, 503, true, 30 * time.Second},
		{"too many requests", cometdtest.Fault{Status: 429}, 429, true, time.Second},
		{"not found", cometdtest.Fault{Status: 404}, 404, false, time.Second},
		{"redirect", cometdtest.Fault{Status: 302, Header: http.Header{"Location": {"https://other.example/"}}}, 302, false, time.Second},
		{"login page", cometdtest.Fault{Body: "<html>log in</html>"}, 200, true, time.Second},
		{"empty", cometdtest.Fault{Empty: true}, 200, true, time.Second},
		{"no content", cometdtest.Fault{Status: 204}, 204, true, time.Second},
	} {
		for _, channel := range []string{"/meta/handshake", "/meta/connect", "/meta/subscribe"} {
			t.Run(row.name+channel, func(t *testing.T) {
				server := &cometdtest.Server{Fault: cometdtest.Once(channel, 1, &row.fault)}
				bubble(t, server, nil, func(t *testing.T, h *harness) {
					h.subscribe(orders, cometd.Earliest())
					server.Publish(orders, data(1))
					start := time.Now()
					err := fails[*cometd.HTTPError](h)
					h.equal(err.Status, row.status, "status")
					h.equal(cometd.Retryable(err), row.retryable, "retryable")
					h.equal(h.next()[0].ReplayID, 1, "event after the error")
					h.equal(time.Since(start), row.wait, "wait")
					h.equal(h.authorized, 1, "authorize calls")
				})
			})
		}
	}
}

func TestHTTPUnauthorized(t *testing.T) {
	for _, status := range []int{401, 403} {
		server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Status: status})}
		bubble(t, server, nil, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			server.Publish(orders, data(1))
			fails[*cometd.AuthError](h)
			h.equal(h.next()[0].ReplayID, 1, "event after the new token")
			h.equal(h.authorized, 2, "authorize calls")
		})
	}
}

// A server may put Bayeux failures under an HTTP error status.
func TestBayeuxFailureUnderHTTPStatus(t *testing.T) {
	body := `[{"channel":"/meta/connect","id":"4","error":"403::Unknown client","successful":false,"advice":{"reconnect":"handshake"}}]`
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2,
		&cometdtest.Fault{Status: 403, Body: body, ContentType: "application/json"})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		if err := fails[*cometd.ReplyError](h); err.Text != "Unknown client" {
			t.Errorf("got %v", err)
		}
		h.next()
		h.equal(h.authorized, 1, "authorize calls")
	})
}

func TestMalformedMessage(t *testing.T) {
	broken := false
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		return &cometdtest.Fault{Rewrite: func(b string) string {
			if broken {
				return b
			}
			changed := strings.Replace(b, `"n": 3`, `"n": 03`, 1)
			broken = changed != b
			return changed
		}}
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := 1; i <= 5; i++ {
			server.Publish(orders, data(i))
		}
		// Whether the broken message shares the second one's id cannot be seen.
		h.equal(len(h.next()), 1, "events before the broken message")
		if err := fails[*cometd.FrameError](h); !cometd.Retryable(err) {
			t.Errorf("got %v", err)
		}
		ids, _ := h.collect(4)
		h.equal(ids, sequence(2, 5), "what follows comes again")
	})
}

// If the broken message shows an id of its own, what is before it is whole.
func TestMalformedMessageWithItsOwnID(t *testing.T) {
	for name, message := range map[string]string{
		"broken behind its id": `{"data":{"event":{"replayId":3},"payload":{"n": 03}},"channel":"/event/Order__e"}`,
		"an id too large":      `{"data":{"event":{"replayId":99999999999999999999}},"channel":"/event/Order__e"}`,
	} {
		t.Run(name, func(t *testing.T) {
			server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Rewrite: func(b string) string {
				return strings.Replace(b, `{"data":`+strings.Replace(data(3), `"event":{`, `"event":{"replayId":3,`, 1)+`,"channel":"/event/Order__e"}`, message, 1)
			}})}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				for i := 1; i <= 5; i++ {
					server.Publish(orders, data(i))
				}
				h.equal(len(h.next()), 2, "events before the broken message")
				fails[*cometd.FrameError](h)
				ids, _ := h.collect(3)
				h.equal(ids, sequence(3, 5), "what follows comes again")
			})
		})
	}
}

func TestMessageTooLarge(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, func(c *cometd.Config) { c.MaxMessageBytes = 5000; c.ReadBufferBytes = 100 }, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, `{"payload":"`+strings.Repeat("x", 4000)+`"}`)
		h.equal(len(h.next()[0].Payload), 4002, "large payload")
		server.Publish(orders, `{"payload":"`+strings.Repeat("x", 5000)+`"}`)
		if err := fails[*cometd.FrameError](h); err.Limit != 5000 {
			t.Errorf("got %v", err)
		}
	})
}
