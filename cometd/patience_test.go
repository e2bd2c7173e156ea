package cometd_test

import (
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// A proxy that cuts silence at 60 s costs two sessions, not all of them.
func TestProxyThatCutsSilenceIsLearned(t *testing.T) {
	server := &cometdtest.Server{}
	cuts := 0
	server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel != "/meta/connect" || r.Messages[0].Advice != nil && *r.Messages[0].Advice.Timeout < 60_000 {
			return nil
		}
		cuts++
		return &cometdtest.Fault{Delay: time.Minute, Drop: true}
	}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		if errs := h.idle(time.Hour); len(errs) != 2 || cuts != 2 {
			t.Errorf("%d errors, %d cuts: %v", len(errs), cuts, errs)
		}
		h.equal(h.handshakes, 3, "handshakes")
		if n := server.Requests(); n < 60 || n > 120 {
			t.Errorf("%d requests in an hour, want a connect every 50 s", n)
		}
		server.Publish(orders, data(1))
		h.equal(h.next()[0].ReplayID, 1, "event")
	})
}

// A black hole gives no sign: the client's own patience ends the wait, and is
// halved until replies come back.
func TestSilenceThatIsSwallowedIsLearned(t *testing.T) {
	server := &cometdtest.Server{}
	server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel != "/meta/connect" || r.Messages[0].Advice != nil && *r.Messages[0].Advice.Timeout < 60_000 {
			return nil
		}
		return &cometdtest.Fault{Delay: time.Hour}
	}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		if errs := h.idle(2 * time.Hour); len(errs) > 4 {
			t.Errorf("%d errors: %v", len(errs), errs)
		}
	})
}
