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

func channelName(i int) string { return fmt.Sprintf("/event/An_Event_With_A_Long_Name_%03d__e", i) }

// Five hundred channels on one session, some of which are refused, given up,
// added, lost, while the others go on.
func TestFiveHundredChannels(t *testing.T) {
	const n = 500
	refusals := map[string]string{
		channelName(7): "403::Restricted channel", channelName(77): "400::The channel you requested to subscribe to does not exist {x}",
		channelName(177): "400::The replayId {5} you provided was invalid.", channelName(477): "403::Subscriber does not have access to the entity in this topic",
	}
	subscribes, largest := 0, 0
	server := &cometdtest.Server{
		Refuse: func(channel string) string { return refusals[channel] },
		Fault: func(r *cometdtest.Request) *cometdtest.Fault {
			largest = max(largest, len(r.Body))
			if r.Channel == "/meta/subscribe" {
				subscribes++
			}
			return nil
		},
	}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		for i := range n {
			h.subscribe(channelName(i), cometd.Earliest())
			server.Publish(channelName(i), data(i))
		}
		ids, errs := h.collect(n - len(refusals))
		slices.Sort(ids)
		h.equal(len(slices.Compact(ids)), n-len(refusals), "events")
		var names []string
		for _, err := range errs {
			var sub *cometd.SubscriptionError
			if errors.As(err, &sub) {
				names = append(names, sub.Channel)
			}
		}
		slices.Sort(names)
		h.equal(names, []string{channelName(7), channelName(77), channelName(177), channelName(477)}, "refused, by name")
		h.equal(subscribes, 5, "subscribe requests")
		status := h.client.Status()
		h.equal(len(status.Subscribed), n-len(refusals), "subscribed")
		h.equal(status.Ready(), true, "ready")

		// Given up and added without a new session.
		for i := range 100 {
			if err := h.client.Unsubscribe(channelName(10 * i % n)); err != nil {
				t.Fatal(err)
			}
		}
		for i := n; i < n+50; i++ {
			h.subscribe(channelName(i), cometd.Earliest())
		}
		server.Publish(channelName(20), data(0)) // given up
		last := server.Publish(channelName(n+49), data(0))
		got, errs := h.collect(1)
		h.equal(got, []int64{last}, "of an added channel, and none of those given up")
		h.equal(errs, []error(nil), "errors")
		h.equal(h.handshakes, 1, "handshakes")

		// A lost session makes them all again.
		h.accepted = nil
		server.Forget()
		server.Publish(channelName(499), data(1))
		h.collect(1)
		h.equal(len(h.accepted), n-len(refusals)-50+50, "subscribed again")
	})
	if largest > 30_000 {
		t.Errorf("a request of %d bytes", largest)
	}
}

// A server that takes few messages in one request gets few, and hears no more
// than it has to.
func TestFewerSubscriptionsARequest(t *testing.T) {
	for _, row := range []struct {
		limit, most int
		fault       cometdtest.Fault
		handshakes  int
	}{
		{20, 31, cometdtest.Fault{Status: 500}, 2},
		{1, 330, cometdtest.Fault{Status: 413}, 3},
		{20, 31, cometdtest.Fault{Error: "413::Maximum Request Size Exceeded"}, 1},
		{1, 330, cometdtest.Fault{Drop: true}, 3},
	} {
		t.Run(fmt.Sprint(row.limit, row.fault.Status, row.fault.Error), func(t *testing.T) {
			const n = 300
			requests := 0
			server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
				if r.Channel != "/meta/subscribe" {
					return nil
				}
				requests++
				if len(r.Messages) > row.limit {
					return &row.fault
				}
				return nil
			}}
			bubble(t, server, nil, func(t *testing.T, h *harness) {
				for i := range n {
					h.subscribe(channelName(i), cometd.Earliest())
					server.Publish(channelName(i), data(i))
				}
				ids, _ := h.collect(n)
				slices.Sort(ids)
				h.equal(len(slices.Compact(ids)), n, "events")
				h.equal(h.handshakes, row.handshakes, "handshakes")
			})
			if requests > row.most {
				t.Errorf("%d subscribe requests, want at most %d", requests, row.most)
			}
		})
	}
}

// Channels that are refused for now are tried again together.
func TestBusyChannelsAreTriedTogether(t *testing.T) {
	const n = 500
	var subscribes []time.Time
	start := time.Now()
	server := &cometdtest.Server{Fault: func(r *cometdtest.Request) *cometdtest.Fault {
		if r.Channel != "/meta/subscribe" {
			return nil
		}
		subscribes = append(subscribes, time.Now())
		return &cometdtest.Fault{Error: "503::Server is too busy."}
	}}
	var x uint32
	bubble(t, server, func(c *cometd.Config) {
		c.Rand = func() float64 { x = x*1664525 + 1013904223; return float64(x>>8) / (1 << 24) }
	}, func(t *testing.T, h *harness) {
		start = time.Now()
		for i := range n {
			h.subscribe(channelName(i), cometd.Earliest())
		}
		h.idle(20 * time.Minute)
		server.Fault = nil
	})
	late := 0
	for _, at := range subscribes {
		if at.Sub(start) > 10*time.Minute {
			late++
		}
	}
	if perMinute := float64(late) / 10; perMinute > 15 || perMinute < 2 {
		t.Errorf("%.1f subscribe requests a minute", perMinute)
	}
}

// The messages of a channel of many events may name the event's own channel.
func TestOuterChannel(t *testing.T) {
	const (
		all     = "/data/ChangeEvents"
		sales   = "/data/Sales__chn"
		custom  = "/event/Mine__chn"
		contact = "/data/ContactChangeEvent"
	)
	for _, row := range []struct {
		name       string
		subscribed string
		comes      string
		want       string
	}{
		{"all change events", all, accounts, all},
		{"a custom channel", sales, accounts, sales},
		{"a custom channel of platform events", custom, orders, custom},
		{"its own name", sales, sales, sales},
		{"one of them is the event's own", sales + " " + accounts, accounts, accounts},
		{"another entity is nobody's", accounts, contact, ""},
		{"two could have brought it", all + " " + sales, accounts, ""},
		{"one of another kind", custom + " " + sales, accounts, sales},
		{"platform events are not in change events", all, orders, ""},
		{"a channel of many is not in another", all, sales, ""},
		{"topics are in no channel", all + " " + custom, "/topic/T", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := &cometdtest.Server{}
			unknown := 0
			replay := map[string]int64{}
			server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
				for _, m := range r.Messages {
					for channel, id := range m.Replay {
						replay[channel] = id
					}
				}
				return nil
			}
			bubble(t, server, func(c *cometd.Config) {
				c.Trace.Unknown = func(string, bool) { unknown++ }
			}, func(t *testing.T, h *harness) {
				for range 10 {
					server.Publish("/u/other", data(0)) // ids up to 10 exist
				}
				for _, channel := range strings.Fields(row.subscribed) {
					h.subscribe(channel, cometd.Latest())
				}
				time.AfterFunc(time.Minute, func() { server.Send(message(row.comes, 7, 1)) })
				for range 2 { // the second time, it is known
					e := h.next()[0]
					h.equal(e.Channel+" of "+e.Subscription, row.comes+" of "+row.want, "event")
					server.Send(message(row.comes, 8, 1))
				}
				h.next()
				h.equal(unknown > 0, row.want == "", "traced as unknown")
				server.Forget()
				h.idleEvents(time.Minute)
				for channel, id := range replay {
					want := int64(-1)
					if channel == row.want {
						want = 8
					}
					h.equal(id, want, "position of "+channel)
				}
			})
		})
	}
}

// A channel of many events that was given up in this session may still bring
// some: they are dropped, and are not another's.
func TestOuterChannelOfOneGivenUp(t *testing.T) {
	const all, sales = "/data/ChangeEvents", "/data/Sales__chn"
	server := &cometdtest.Server{}
	bubble(t, server, nil, func(t *testing.T, h *harness) {
		h.subscribe(all, cometd.Latest())
		h.subscribe(orders, cometd.Latest())
		time.AfterFunc(time.Second, func() { server.Send(message(accounts, 7, 1)) })
		h.equal(h.next()[0].Subscription, all, "while it is the only one")
		if err := h.client.Unsubscribe(all); err != nil {
			t.Fatal(err)
		}
		server.Send(message(accounts, 8, 1))
		server.Publish(orders, data(1))
		h.equal(h.next()[0].Channel, orders, "what comes for it is dropped")
		h.subscribe(sales, cometd.Latest())
		time.AfterFunc(time.Second, func() { server.Send(message(accounts, 9, 1)) })
		h.equal(h.next()[0].Subscription, "", "whose it is cannot be told")
		server.Forget()
		time.AfterFunc(time.Minute, func() { server.Send(message(accounts, 10, 1)) })
		for {
			events, err := h.client.Next(h.ctx)
			if err == nil {
				h.equal(events[0].Subscription, sales, "in the next session it can")
				return
			}
		}
	})
}
