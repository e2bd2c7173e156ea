package cometd_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

func TestInvalidReplayIDLeavesOtherChannelsAlone(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.After(4711))
		h.subscribe(accounts, cometd.Earliest())
		server.Publish(accounts, data(1))
		server.Publish(orders, data(2))
		sub := fails[*cometd.SubscriptionError](h)
		if sub.Channel != orders || sub.Reason != cometd.ReasonReplayInvalid || cometd.Retryable(sub) {
			t.Errorf("got %v", sub)
		}
		h.equal(h.next()[0].Channel, accounts, "other channel")
		h.equal(h.client.Status().Subscribed, []string{accounts}, "subscribed")
		h.subscribe(orders, cometd.Earliest()) // the caller's policy
		h.equal(h.next()[0].ReplayID, 2, "after the policy")
		h.equal(h.handshakes, 1, "handshakes")
	})
}

func TestEveryChannelRefused(t *testing.T) {
	server := &cometdtest.Server{Refuse: func(string) string { return "403::Restricted channel" }}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Latest())
		if sub := fails[*cometd.SubscriptionError](h); sub.Reason != cometd.ReasonForbidden {
			t.Errorf("got %v", sub)
		}
		if _, err := h.client.Next(t.Context()); !errors.Is(err, cometd.ErrNoSubscription) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBusySubscribeIsTriedAgain(t *testing.T) {
	tries := 0
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel == "/meta/subscribe" && r.Messages[0].Subscription == orders {
			if tries++; tries <= 3 {
				return &cometdtest.Fault{
					Error:         "403:denied_by_security_policy:subscribe_denied",
					FailureReason: "503::Server is too busy. Please try your request again later.",
				}
			}
		}
		return nil
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		server.Publish(orders, data(1))
		h.subscribe(orders, cometd.Earliest())
		start := time.Now()
		ids, errs := h.collect(1)
		h.equal(ids, []int64{1}, "events")
		h.equal(len(errs), 3, "errors")
		h.equal(time.Since(start), 7*time.Second, "1 s + 2 s + 4 s")
		h.equal(h.handshakes, 1, "handshakes")
		h.equal(h.authorized, 1, "authorize calls")
	})
}

func TestPushTopicWithFilter(t *testing.T) {
	const topic = "/topic/Invoices?Status__c='Open'"
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(topic, cometd.Earliest())
		server.Publish("/topic/Invoices", `{"event":{"createdDate":"2026-03-04T09:15:22.990Z","type":"updated"},"sobject":{"Id":"a01"}}`)
		e := h.next()[0]
		h.equal(e.Channel, "/topic/Invoices", "channel")
		h.equal(e.Subscription, topic, "subscription")
		h.equal(string(e.Payload)+e.Type+e.CreatedDate, `{"Id":"a01"}updated2026-03-04T09:15:22.990Z`, "payload, type, date")
		server.Forget()
		server.Publish("/topic/Invoices", `{"sobject":{"Id":"a02"}}`)
		ids, _ := h.collect(1)
		h.equal(ids, []int64{2}, "events of the next session")
		if err := h.client.Subscribe("/topic/Invoices", cometd.Latest()); err == nil {
			t.Error("the same channel with another filter shares its position, and was accepted")
		}
	})
}

func TestUnsubscribe(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		h.subscribe(accounts, cometd.Earliest())
		server.Publish(orders, data(1))
		h.next()
		if err := h.client.Unsubscribe(orders); err != nil {
			t.Fatal(err)
		}
		server.Publish(orders, data(2))
		server.Publish(accounts, data(3))
		h.equal(h.next()[0].ReplayID, 3, "event of the other channel")
		h.subscribe(orders, cometd.After(1))
		h.equal(h.next()[0].ReplayID, 2, "subscribed again")
	})
}

func TestUnsubscribeInTheMiddleOfAReply(t *testing.T) {
	server := &cometdtest.Server{Fault: func(*cometdtest.Request) *cometdtest.Fault { return &cometdtest.Fault{Chunk: 40} }}
	bubble(t, server, func(c *cometd.Config) { c.ReadBufferBytes = 64 }, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		h.subscribe(accounts, cometd.Earliest())
		for i := range 10 {
			server.Publish(orders, data(i))
			server.Publish(accounts, data(i))
		}
		h.equal(h.next()[0].Channel, orders, "first channel")
		if err := h.client.Unsubscribe(orders); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < 10; {
			for _, e := range h.next() {
				h.equal(e.Channel, accounts, "channel after Unsubscribe")
				got++
			}
		}
	})
}

func TestManyChannels(t *testing.T) {
	var sizes []int
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		sizes = append(sizes, len(r.Body))
		return nil
	}}
	bubble(t, server, func(c *cometd.Config) { c.MaxRequestBytes = 1000 }, func(t *testing.T, h *harness) {
		for i := range 60 {
			channel := fmt.Sprintf("/event/Some_Event_With_A_Name_%d__e", i)
			h.subscribe(channel, cometd.Earliest())
			server.Publish(channel, data(i))
		}
		h.collect(60)
		h.equal(len(h.accepted), 60, "accepted channels")
		if largest := slices.Max(sizes); largest > 1000 {
			t.Errorf("a request of %d bytes", largest)
		}
	})
}

// Some servers refuse several messages in one request.
func TestOneSubscriptionARequest(t *testing.T) {
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		if len(r.Messages) > 1 {
			return &cometdtest.Fault{Status: 500}
		}
		return nil
	}}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(orders, cometd.Earliest())
		h.subscribe(accounts, cometd.Earliest())
		server.Publish(orders, data(1))
		server.Publish(accounts, data(2))
		ids, errs := h.collect(2)
		h.equal(ids, []int64{1, 2}, "events")
		h.equal(len(errs), 1, "errors")
	})
}

func TestSubscribeChecks(t *testing.T) {
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		for _, channel := range []string{"", "x", "/meta/connect", "/service/x", "/a/", "/a//b", "/event/*", "/event/a b", "/event/\x00", "/topic/T?x='\x01'", "/u/" + strings.Repeat("x", 16_000)} {
			var bad *cometd.ChannelError
			if err := h.client.Subscribe(channel, cometd.Latest()); !errors.As(err, &bad) {
				t.Errorf("%.20q: %v", channel, err)
			}
		}
		for _, from := range []cometd.From{{}, cometd.After(-1), cometd.After(-7)} {
			if err := h.client.Subscribe(orders, from); err == nil {
				t.Errorf("%v was accepted", from)
			}
		}
		h.subscribe(orders, cometd.After(0))
		if err := h.client.Subscribe(orders, cometd.Latest()); err == nil {
			t.Error("a second subscription was accepted")
		}
	})
}
