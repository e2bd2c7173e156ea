package orgsim

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const inProcess = "https://acme.my.salesforce.com"

// wait lets the bubble's clock move on.
func wait(d time.Duration) { <-time.After(d) }

func TestSessionLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, "/event/Order__e")
		start := time.Now()
		if rep, events := c.connect(); !rep.ok() || len(events) != 0 || time.Since(start) != 110*time.Second {
			t.Errorf("an empty connect after %v: %+v", time.Since(start), rep)
		}
		wait(39 * time.Second)
		if rep, _ := c.call("/meta/connect", map[string]any{"connectionType": "long-polling", "advice": map[string]any{"timeout": 0}}); !rep.ok() {
			t.Errorf("connect after 39 s: %+v", rep)
		}
		wait(41 * time.Second)
		if rep, _ := c.connect(); rep.Error != unknownClient || rep.Advice.Reconnect != "handshake" || rep.ClientID != "" {
			t.Errorf("connect after 41 s: %+v", rep)
		}
		s := o.Sessions()[0]
		if s.Reason != endLapsed || s.Closed.Sub(s.Opened) != (110+39+40)*time.Second {
			t.Errorf("session ledger: %+v", s)
		}
	})
}

func TestRoundTripperStreamsAndHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, "/event/Order__e")
		go func() {
			wait(30 * time.Second)
			if _, err := o.Publish("Order__e", nil); err != nil {
				t.Error(err)
			}
		}()
		start := time.Now()
		if got := c.collect(1); len(got) != 1 || time.Since(start) != 30*time.Second {
			t.Errorf("after %v: %+v", time.Since(start), got)
		}
		o.CutConnections(10)
		go func() {
			if _, err := o.Publish("Order__e", nil); err != nil {
				t.Error(err)
			}
		}()
		_, body, err := c.send(t.Context(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
		if len(body) != 10 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a cut reply: %q %v", body, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err = c.send(ctx, map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a connect that its client gave up: %v", err)
		}
		synctest.Wait()
		if o.Sessions()[0].Held {
			t.Error("the org still holds it")
		}
	})
}

// What compresses one reply compresses the next, also after one that was cut off
// in its midst.
func TestCompressedRepliesAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{Gzip: true})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, "/event/Order__e")
		for range 3 {
			_, err := o.Publish("Order__e", nil)
			check(t, err)
			if got := c.collect(1); len(got) != 1 {
				t.Fatalf("got %+v", got)
			}
			o.CutConnections(50)
			_, err = o.Publish("Order__e", nil)
			check(t, err)
			if _, body, err := c.send(t.Context(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"}); err == nil {
				t.Errorf("a cut reply is whole: %q", body)
			}
		}
	})
}

func TestLoadKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		l, err := o.NewLoad(LoadConfig{Rate: 500, Objects: []string{"Order__e"}})
		check(t, err)
		check(t, l.Run(ctx))
		if n := l.Published(); n < 4990 || n > 5010 {
			t.Errorf("%d events in 10 s at 500/s", n)
		}
		l, err = o.NewLoad(LoadConfig{Events: 50})
		check(t, err)
		check(t, l.Run(t.Context()))
		if l.Published() < 50 {
			t.Errorf("%d events", l.Published())
		}
		if _, err := o.NewLoad(LoadConfig{Objects: []string{"Nope"}}); err == nil || !strings.Contains(err.Error(), "Nope") {
			t.Errorf("a load on nothing: %v", err)
		}
	})
}
