package cometd_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

const (
	accounts = "/data/AccountChangeEvent"
	orders   = "/event/Order__e"
)

// harness is a client and its server in one bubble.
type harness struct {
	t          *testing.T
	ctx        context.Context // ends after a day of virtual time, since a lost event would be waited for without end
	server     *cometdtest.Server
	client     *cometd.Client
	authorized int
	rejected   []cometd.Credentials
	waits      []time.Duration
	handshakes int
	accepted   []string
}

// bubble runs a test in virtual time against a server; a goroutine left behind
// fails it.
func bubble(t *testing.T, server *cometdtest.Server, change func(*cometd.Config), test func(*testing.T, *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{t: t, server: server}
		var cancel context.CancelFunc
		h.ctx, cancel = context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		config := cometd.Config{Transport: server, Rand: func() float64 { return 0 }}
		config.Authorize = func(_ context.Context, rejected cometd.Credentials) (cometd.Credentials, error) {
			h.authorized++
			h.rejected = append(h.rejected, rejected)
			return cometd.Credentials{Endpoint: cometdtest.URL, Authorization: fmt.Sprintf("Bearer %d", h.authorized)}, nil
		}
		config.Trace.Reconnect = func(_ error, wait time.Duration) { h.waits = append(h.waits, wait) }
		config.Trace.Handshake = func() { h.handshakes++ }
		config.Trace.Subscribed = func(channel string) { h.accepted = append(h.accepted, channel) }
		if change != nil {
			change(&config)
		}
		var err error
		if h.client, err = cometd.New(config); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := h.client.Close(context.Background()); err != nil {
				t.Errorf("closing: %v", err)
			}
		}()
		test(t, h)
	})
}

func (h *harness) subscribe(channel string, from cometd.From) {
	h.t.Helper()
	if err := h.client.Subscribe(channel, from); err != nil {
		h.t.Fatal(err)
	}
}

// next returns the next batch or fails.
func (h *harness) next() []cometd.Event {
	h.t.Helper()
	events, err := h.client.Next(h.ctx)
	if err != nil {
		h.t.Fatalf("Next: %v", err)
	}
	return events
}

// fails calls Next and expects an error of a type, and no events with it.
func fails[E error](h *harness) E {
	h.t.Helper()
	events, err := h.client.Next(h.ctx)
	var want E
	if !errors.As(err, &want) || len(events) > 0 {
		h.t.Fatalf("Next = %d events, %v (%T), want a %T", len(events), err, err, want)
	}
	return want
}

// collect calls Next until it has n events, and returns their ids and the errors
// on the way.
func (h *harness) collect(n int) (ids []int64, errs []error) {
	h.t.Helper()
	for len(ids) < n {
		events, err := h.client.Next(h.ctx)
		if err != nil {
			errs = append(errs, err)
			if len(errs) > 50 || h.ctx.Err() != nil {
				h.t.Fatalf("no end of errors, the last one: %v", err)
			}
		}
		for _, e := range events {
			ids = append(ids, e.ReplayID)
		}
	}
	return ids, errs
}

// idle runs Next for a time in which no event is expected.
func (h *harness) idle(d time.Duration) (errs []error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, d)
	defer cancel()
	for {
		events, err := h.client.Next(ctx)
		if len(events) > 0 {
			h.t.Fatalf("unexpected events: %v", events)
		}
		if ctx.Err() != nil {
			return errs
		}
		errs = append(errs, err)
	}
}

func (h *harness) equal(got, want any, what string) {
	h.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func data(n int) string {
	return fmt.Sprintf(`{"schema":"s1","payload":{"n": %d},"event":{"EventUuid":"u%d"}}`, n, n)
}

func sequence(from, to int64) []int64 {
	var ids []int64
	for ; from <= to; from++ {
		ids = append(ids, from)
	}
	return ids
}

// later lets virtual time pass.
func later(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// idleEvents runs Next for a time, whatever comes.
func (h *harness) idleEvents(d time.Duration) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, d)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := h.client.Next(ctx); err != nil && !cometd.Retryable(err) && ctx.Err() == nil {
			h.t.Fatal(err)
		}
	}
}
