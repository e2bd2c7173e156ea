package cometd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// The consumer stops in the middle of a long reply.
func TestBackpressure(t *testing.T) {
	server := &cometdtest.Server{Fault: func(*cometdtest.Request) *cometdtest.Fault { return &cometdtest.Fault{Chunk: 500} }}
	bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = 1000 }, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 1000 {
			server.Publish(orders, data(i))
		}
		ids, errs := h.collect(100)
		later(t, 10*time.Minute)
		more, errs2 := h.collect(1000 - len(ids))
		h.equal(append(ids, more...), sequence(1, 1000), "events")
		h.equal(append(errs, errs2...), []error(nil), "errors")
		// The connect loop goes on, though the session has lapsed meanwhile.
		server.Publish(orders, data(1001))
		ids, errs = h.collect(1)
		h.equal(ids, []int64{1001}, "after the pause")
		h.equal(len(errs), 1, "errors: unknown client")
	})
}

func TestServerFreedoms(t *testing.T) {
	for name, server := range map[string]*cometdtest.Server{
		"bare object":           {BareObject: true},
		"numeric ids":           {NumericIDs: true},
		"reply first":           {ReplyFirst: true},
		"events with subscribe": {EventsWithSubscribe: true},
		"one event a reply":     {MaxEvents: 1},
		"tiny pieces": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Chunk: 1}
		}},
		"slashes escaped": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Rewrite: func(b string) string { return strings.ReplaceAll(b, "/", `\/`) }}
		}},
		"names escaped": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Rewrite: func(b string) string {
				return strings.NewReplacer(`"channel"`, `"\u0063hannel"`, `"replayId"`, `"replay\u0049d"`).Replace(b)
			}}
		}},
		"white space and unknown members": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Rewrite: func(b string) string {
				return "\r\n " + strings.ReplaceAll(b, `{"channel"`, "{ \"timestamp\" :\t\"now\", \"x\":[{},[],1.5e3], \n\"channel\"") + "\n\n"
			}}
		}},
		"subscription as array": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Rewrite: func(b string) string {
				b = strings.ReplaceAll(b, `"subscription":"`+orders+`"`, `"subscription":["`+orders+`"]`)
				if strings.Contains(b, "subscribe") {
					b = strings.ReplaceAll(b, `"id":`, `"_id":`)
				}
				return b
			}}
		}},
		"no ids": {Fault: func(*cometdtest.Request) *cometdtest.Fault {
			return &cometdtest.Fault{Rewrite: func(b string) string { return strings.ReplaceAll(b, `"id":`, `"_id":`) }}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				h.subscribe(orders, cometd.Earliest())
				h.subscribe(accounts, cometd.Earliest())
				for i := range 20 {
					server.Publish([]string{orders, accounts}[i%2], data(i))
				}
				ids, errs := h.collect(20)
				slices.Sort(ids) // the two channels are replayed one after the other
				h.equal(ids, sequence(1, 20), "events")
				h.equal(errs, []error(nil), "errors")
				time.AfterFunc(10*time.Minute, func() { server.Publish(orders, data(21)) })
				h.equal(h.next()[0].ReplayID, 21, "later event")
				h.equal(h.handshakes, 1, "handshakes")
			})
		})
	}
}

func TestEventWithoutReplayID(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		server.Send(`{"channel":"` + orders + `","data":{"payload":{"n":"x"}}}`)
		if e := h.next()[0]; e.HasReplayID || string(e.Payload) != `{"n":"x"}` {
			t.Errorf("got %+v", e)
		}
		server.Forget()
		server.Publish(orders, data(2))
		ids, _ := h.collect(1)
		h.equal(ids, []int64{2}, "events of the next session")
	})
}

// Groups of events with one id, over every chunk size and reply size.
func TestGroupsStayTogether(t *testing.T) {
	for _, buffer := range []int{1, 7, 64, 100, 150, 1000, 1 << 20} {
		server := &cometdtest.Server{}
		bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = buffer }, func(t *testing.T, h *harness) {
			h.subscribe(orders, cometd.Earliest())
			total := 0
			for i := 1; i <= 12; i++ {
				group := make([]string, i%4+1)
				for k := range group {
					group[k] = data(total)
					total++
				}
				server.Publish(orders, group...)
			}
			got, last := 0, int64(0)
			for got < total {
				events := h.next()
				if events[0].ReplayID == last {
					t.Errorf("buffer %d: group %d is split", buffer, last)
				}
				got += len(events)
				last = events[len(events)-1].ReplayID
			}
			h.equal(got, total, "events")
		})
	}
}

func TestPayloadsAreNotWrittenOver(t *testing.T) {
	server := &cometdtest.Server{MaxEvents: 3}
	bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = 500 }, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 200 {
			server.Publish(orders, data(i))
		}
		var all []cometd.Event
		for len(all) < 200 {
			all = append(all, h.next()...)
		}
		for i, e := range all {
			h.equal(string(e.Payload), fmt.Sprintf(`{"n": %d}`, i), "payload")
			_ = append(e.Payload, "scribble"...) // must not reach the next one
		}
	})
}

func TestClosedClient(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		h.idle(time.Minute)
		for range 2 {
			if err := h.client.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, err := h.client.Next(t.Context()); !errors.Is(err, cometd.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
		if err := h.client.Subscribe(accounts, cometd.Latest()); !errors.Is(err, cometd.ErrClosed) {
			t.Errorf("Subscribe: %v", err)
		}
		h.equal(server.Sessions(), 0, "sessions: the one that idle gave up was disconnected")
	})
}

func TestCloseInTheMiddleOfAReply(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = 300 }, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 100 {
			server.Publish(orders, data(i))
		}
		h.next()
		if err := h.client.Close(t.Context()); err != nil {
			t.Error(err)
		}
		h.equal(server.Sessions(), 0, "sessions")
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{Fault: cometdtest.Once("/meta/disconnect", 1, &cometdtest.Fault{Hang: true})}
		client, err := cometd.New(cometd.Config{Transport: server, Authorize: func(context.Context, cometd.Credentials) (cometd.Credentials, error) {
			return cometd.Credentials{Endpoint: cometdtest.URL}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Subscribe(orders, cometd.Earliest()); err != nil {
			t.Fatal(err)
		}
		server.Publish(orders, data(1))
		if _, err := client.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if err := client.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("Close took %v", d)
		}
	})
}
