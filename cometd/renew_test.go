package cometd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// woken waits for the return of Next that Wake asks for.
func (h *harness) woken() {
	h.t.Helper()
	events, err := h.client.Next(h.t.Context())
	if err != nil || len(events) > 0 {
		h.t.Fatalf("got %d events and %v, want to be woken", len(events), err)
	}
}

func TestWakeLosesNothing(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		start := time.Now()
		time.AfterFunc(time.Minute, h.client.Wake)
		h.woken()
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("woken after %s, want when the held connect is answered", d)
		}
		h.client.Wake() // nothing is outstanding now
		start = time.Now()
		h.woken()
		h.equal(time.Since(start), time.Duration(0), "time")
		server.Publish(orders, data(2))
		h.equal(h.next()[0].ReplayID, 2, "event")
		h.equal(h.handshakes, 1, "handshakes")
	})
}

func TestRenewIsANewSessionBehindTheLastEvent(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.client.Renew() // before there is one
		h.subscribe(orders, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		h.client.Wake()
		h.woken()
		h.client.Renew()
		h.client.Renew()
		server.Publish(orders, data(2))
		start := time.Now()
		h.equal(h.next()[0].ReplayID, 2, "event")
		h.equal(time.Since(start), time.Duration(0), "time")
		h.equal(h.handshakes, 2, "handshakes")
		h.equal(server.Sessions(), 1, "sessions at the server")
	})
}

// A reply that is being read is given up with its session: what was not taken
// from it comes again.
func TestRenewWithinAReply(t *testing.T) {
	server := &cometdtest.Server{Fault: func(*cometdtest.Request) *cometdtest.Fault { return &cometdtest.Fault{Chunk: 300, Pause: time.Second} }}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		for i := range 50 {
			server.Publish(orders, data(i+1))
		}
		first := h.next()
		h.client.Renew()
		ids, errs := h.collect(50 - len(first))
		h.equal(len(errs), 0, "errors")
		h.equal(ids, sequence(int64(len(first)+1), 50), "events")
		h.equal(h.handshakes, 2, "handshakes")
	})
}

func TestResubscribeWithinTheSession(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		h.subscribe(accounts, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		before := server.Requests()
		h.client.Wake()
		h.woken()
		if err := h.client.Resubscribe(orders); err != nil {
			t.Fatal(err)
		}
		if err := h.client.Resubscribe("/event/Nobody__e"); err != nil {
			t.Fatal(err)
		}
		server.Publish(orders, data(2))
		server.Publish(accounts, data(3))
		ids, errs := h.collect(2)
		h.equal(len(errs), 0, "errors")
		slices.Sort(ids) // each channel has its own order
		h.equal(ids, []int64{2, 3}, "events")
		h.equal(len(h.idle(10*time.Minute)), 0, "errors while nothing comes")
		h.equal(h.handshakes, 1, "handshakes")
		if made := server.Requests() - before; made < 4 {
			t.Errorf("%d requests, want an unsubscribe, a connect for what is queued, a subscribe and a connect", made)
		}
	})
}
