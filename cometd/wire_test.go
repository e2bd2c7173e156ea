package cometd_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// message is an event as the server writes it.
func message(channel string, id, n int) string {
	return fmt.Sprintf(`{"data":{"payload":{"n": %d},"event":{"replayId":%d}},"channel":%q}`, n, id, channel)
}

// around puts messages before and behind those of a reply.
func around(before, behind string) *cometdtest.Fault {
	return &cometdtest.Fault{Rewrite: func(body string) string {
		return "[" + before + "," + strings.TrimSuffix(strings.TrimPrefix(body, "["), "]") + "," + behind + "]"
	}}
}

// A subscribe's and an unsubscribe's reply bring events of any channel.
func TestEventsWithEveryReply(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.First(
		cometdtest.Once("/meta/subscribe", 2, around(message(accounts, 3, 3), message(orders, 4, 4))),
		cometdtest.Once("/meta/unsubscribe", 1, around(message(orders, 5, 5), message(accounts, 6, 6))),
		cometdtest.Once("/meta/disconnect", 1, around(message(accounts, 7, 7), message(accounts, 8, 8))),
	)}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(accounts, cometd.Earliest())
		server.Publish(accounts, data(1))
		server.Publish(accounts, data(2))
		h.collect(2)
		h.subscribe(orders, cometd.Earliest())
		ids, _ := h.collect(2)
		h.equal(ids, []int64{3, 4}, "with the subscribe reply, of another channel and its own")
		if err := h.client.Unsubscribe(orders); err != nil {
			t.Fatal(err)
		}
		ids, _ = h.collect(1)
		h.equal(ids, []int64{6}, "with the unsubscribe reply: those of the channel given up are dropped")
	})
}

// Nothing is subscribed yet when a handshake is answered: an event that comes
// with it must not move the position of a subscription, whose own replay brings it.
func TestEventsWithTheHandshake(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/handshake", 1,
		around(message(orders, 3, 3), `{"channel":"/other","data":{"event":{"replayId":9}}}`))}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		for n := range 3 {
			server.Publish(orders, data(n+1))
		}
		h.subscribe(orders, cometd.Earliest())
		ids, errs := h.collect(4)
		h.equal(ids, []int64{9, 1, 2, 3}, "events")
		h.equal(errs, []error(nil), "errors")
	})
}

// The server's duplicates are the server's: they have one position.
func TestSameEventTwice(t *testing.T) {
	server := &cometdtest.Server{Fault: cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Rewrite: func(b string) string {
		end := strings.Index(b, "},\n")
		return "[" + b[1:end+2] + b[1:]
	}})}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		server.Publish(orders, data(2))
		ids, errs := h.collect(3)
		h.equal(ids, []int64{1, 1, 2}, "events")
		h.equal(errs, []error(nil), "errors")
	})
}

// A reply of many megabytes comes in pieces, however large it is.
func TestReplyOfManyMegabytes(t *testing.T) {
	const n, size = 3000, 8000
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		text := strings.Repeat("x", size)
		for range n {
			server.Publish(orders, `{"payload":"`+text+`"}`)
		}
		largest, got := 0, 0
		for got < n {
			events := h.next()
			got += len(events)
			largest = max(largest, len(events))
		}
		h.equal(server.Requests(), 4, "requests: one connect brought them all")
		if largest*size > 1<<20 {
			t.Errorf("%d events in one slice: the reply was gathered", largest)
		}
	})
}

// Cookies come and go with any reply, and lapse when they say so.
func TestCookiesOfAnyReply(t *testing.T) {
	set := func(cookies ...string) *cometdtest.Fault {
		return &cometdtest.Fault{Header: http.Header{"Set-Cookie": cookies}}
	}
	var seen []string
	page := set("BAYEUX_BROWSER=of-the-proxy; Path=/")
	page.Status, page.Body = 503, "<html>"
	server := &cometdtest.Server{Fault: cometdtest.First(
		func(r *cometdtest.Request) *cometdtest.Fault {
			names := ""
			for _, c := range strings.Split(r.Header.Get("Cookie"), "; ") {
				name, value, _ := strings.Cut(c, "=")
				if names += name; name == "sfdc-stream" {
					names += value
				}
			}
			seen = append(seen, r.Channel[6:9]+":"+names)
			return nil
		},
		cometdtest.Once("/meta/connect", 1, set("sfdc-stream=1; Path=/; Max-Age=300; Secure; SameSite=None", "BrowserId=x; Path=/; Domain=org.example")),
		cometdtest.Once("/meta/connect", 2, set("sfdc-stream=2; Path=/; Max-Age=300; Secure; SameSite=None")),
		cometdtest.Once("/meta/connect", 6, page),
	)}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		h.idle(9 * time.Minute)
	})
	all := strings.Join(seen, " ")
	for _, part := range []string{
		"han: con:BAYEUX_BROWSER ", // alone at first
		"sub:BAYEUX_BROWSERsfdc-stream1BrowserId con:BAYEUX_BROWSERsfdc-stream1BrowserId ",
		"con:BAYEUX_BROWSERsfdc-stream2BrowserId ", // the others stay
		"con:BAYEUX_BROWSERBrowserId ",             // it has lapsed
		"dis:BAYEUX_BROWSERBrowserId han: con:BAYEUX_BROWSER ",
	} {
		if !strings.Contains(all+" ", part) {
			t.Errorf("no %q in %s", part, all)
		}
	}
}

// The header is what Authorize says, with any scheme or none, and goes to no
// other host, whatever a redirect or an advice names.
func TestAuthorizationAsGiven(t *testing.T) {
	for _, authorization := range []string{"Bearer 00D", "OAuth 00D", "00D"} {
		var hosts []string
		server := &cometdtest.Server{
			Token: func(a string) bool { return a == authorization },
			Fault: cometdtest.First(
				cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Status: 307, Header: http.Header{"Location": {"https://other.example/"}}}),
				cometdtest.Once("/meta/connect", 4, &cometdtest.Fault{Rewrite: func(b string) string {
					return strings.Replace(b, `"successful":true`, `"successful":true,"advice":{"reconnect":"handshake","hosts":["https://other.example/"]}`, 1)
				}}),
			),
		}
		bubble(t, server, func(c *cometd.Config) {
			c.Transport = transport(func(r *http.Request) (*http.Response, error) {
				hosts = append(hosts, r.URL.Host)
				return server.RoundTrip(r)
			})
			c.Authorize = func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
				return cometd.Credentials{Endpoint: cometdtest.URL, Authorization: authorization}, nil
			}
		}, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			server.Publish(orders, data(1))
			ids, _ := h.collect(1)
			h.equal(ids, []int64{1}, "events")
			h.idle(5 * time.Minute)
			h.equal(slices.Compact(hosts), []string{"org.example"}, "hosts")
			h.equal(h.handshakes, 3, "handshakes")
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A proxy that cuts every long poll costs a session each time, and no event, until
// it is learned.
func TestProxyThatCutsLongPolls(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, func(c *cometd.Config) {
		c.Transport = transport(func(r *http.Request) (*http.Response, error) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
			response, err := server.RoundTrip(r.WithContext(ctx))
			if err != nil {
				cancel()
				return nil, err
			}
			t.Cleanup(cancel)
			return response, nil
		})
	}, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for n := range int64(5) {
			time.AfterFunc(150*time.Second, func() { server.Publish(orders, data(int(n))) })
			ids, errs := h.collect(1)
			h.equal(ids, []int64{n + 1}, "events")
			if want := map[bool]int{true: 2}[n == 0]; len(errs) != want {
				t.Errorf("errors at %d: %v", n, errs)
			}
			h.equal(server.Sessions(), 1, "sessions")
		}
	})
}

// How long a connect is waited for follows the advice, within bounds.
func TestHold(t *testing.T) {
	for advice, want := range map[string]time.Duration{
		`{"timeout":20000}`:                       35 * time.Second,
		`{"timeout":"20000"}`:                     35 * time.Second,
		`{"interval":0}`:                          125 * time.Second,
		`{"timeout":-5}`:                          125 * time.Second,
		`{"timeout":null}`:                        125 * time.Second,
		`{"timeout":1e12}`:                        615 * time.Second,
		`{"long-polling":{"timeout":1000}}`:       16 * time.Second,
		`{"timeout":1000,"websocket":{"x":9000}}`: 16 * time.Second,
	} {
		server := &cometdtest.Server{Fault: cometdtest.First(
			cometdtest.Once("/meta/connect", 1, &cometdtest.Fault{Rewrite: func(b string) string {
				at := strings.Index(b, `"advice":{`)
				end := at + strings.Index(b[at:], "}") + 1
				return b[:at] + `"advice":` + advice + b[end:]
			}}),
			cometdtest.Once("/meta/connect", 2, &cometdtest.Fault{Hang: true}),
		)}
		bubble(t, server, nil, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Latest())
			start := time.Now()
			fails[*cometd.NetworkError](h)
			h.equal(time.Since(start), want, advice)
		})
	}
}

// A connect that a newer one has replaced ends with an HTTP error: another client
// with our session's id would do that to us.
func TestOlderConnectEnds(t *testing.T) {
	server := &cometdtest.Server{}
	var last atomic.Pointer[http.Request]
	bubble(t, server, func(c *cometd.Config) {
		c.Transport = transport(func(r *http.Request) (*http.Response, error) {
			last.Store(r)
			return server.RoundTrip(r)
		})
	}, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		time.AfterFunc(30*time.Second, func() {
			held := last.Load()
			body, err := held.GetBody()
			if err != nil {
				t.Error(err)
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			second := held.Clone(ctx)
			second.Body = body
			if response, err := server.RoundTrip(second); err == nil {
				_ = response.Body.Close() // nothing was written
			}
		})
		time.AfterFunc(time.Hour, func() { server.Publish(orders, data(1)) })
		if err := fails[*cometd.HTTPError](h); err.Status != 500 {
			t.Errorf("got %v", err)
		}
		h.equal(h.next()[0].ReplayID, 1, "event of the next session")
	})
}

// The address is used as it was given: nothing is put behind it.
func TestAddressAsGiven(t *testing.T) {
	for _, address := range []string{"https://org.example/cometd/66.0", "https://org.example/cometd/66.0/", "http://127.0.0.1:8443/cometd/replay/36.0"} {
		server := &cometdtest.Server{FreeCookies: true}
		bubble(t, server, func(c *cometd.Config) {
			c.Transport = transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.String() != address || r.Method != http.MethodPost {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				return server.RoundTrip(r)
			})
			c.Authorize = func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
				return cometd.Credentials{Endpoint: address}, nil
			}
		}, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			server.Publish(orders, data(1))
			h.next()
		})
	}
}

// What a reply claims to be matters only if it is not what it should be.
func TestContentTypes(t *testing.T) {
	for _, claim := range []string{"application/json;charset=UTF-8", "application/json; charset=utf-8", "text/plain", "TEXT/HTML", ""} {
		server := &cometdtest.Server{}
		bubble(t, server, func(c *cometd.Config) {
			c.Transport = transport(func(r *http.Request) (*http.Response, error) {
				response, err := server.RoundTrip(r)
				if err == nil {
					response.Header.Set("Content-Type", claim)
				}
				return response, err
			})
		}, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			server.Publish(orders, data(1))
			ids, errs := h.collect(1)
			h.equal(ids, []int64{1}, "events")
			h.equal(errs, []error(nil), "errors")
		})
	}
}
