package cometd_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// Before its first event a subscription has no position: the caller says where
// it begins when it is made again, or "latest" would be a later moment.
func TestResubscribe(t *testing.T) {
	refuse := &cometdtest.Fault{Error: "403:denied_by_security_policy:subscribe_denied", FailureReason: "503::busy"}
	for _, row := range []struct {
		name   string
		from   cometd.From
		answer func(cometd.From) cometd.From // nil: no function
		fault  func(*cometdtest.Request) *cometdtest.Fault
		events int // of the two published while nobody is subscribed
		want   string
	}{
		{"session lost", cometd.Latest(), rewind, nil, 2, "latest: earliest"},
		{"session lost, nobody asked", cometd.Latest(), nil, nil, 0, "latest"},
		{"session lost, invalid answer", cometd.Latest(), func(cometd.From) cometd.From { return cometd.From{} }, nil, 0, "latest: invalid start"},
		{"an id is an answer", cometd.Latest(), func(cometd.From) cometd.From { return cometd.After(1) }, nil, 1, "latest: after 1"},
		{"earliest too", cometd.Earliest(), rewind, nil, 2, "earliest: earliest"},
		{"lost again", cometd.Latest(), rewind, cometdtest.Once("/meta/connect", 3, &cometdtest.Fault{Forget: true}), 2, "latest: earliest, earliest: earliest"},
		{"reply to the first subscribe lost", cometd.Latest(), rewind, cometdtest.Once("/meta/subscribe", 1, &cometdtest.Fault{Drop: true}), 2, "latest: earliest, earliest: earliest"},
		{"refused for now", cometd.Latest(), rewind, cometdtest.Once("/meta/subscribe", 1, refuse), 2, "latest: earliest, earliest: earliest"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := &cometdtest.Server{Fault: row.fault}
			asked, restarted := "", 0
			bubble(t, server, func(c *cometd.Config) {
				c.Trace.Restarted = func(string, cometd.From) { restarted++ }
				if row.answer == nil {
					return
				}
				c.Resubscribe = func(channel string, from cometd.From) cometd.From {
					if asked != "" {
						asked += ", "
					}
					asked += fmt.Sprint(from, ": ", row.answer(from))
					return row.answer(from)
				}
			}, func(t *testing.T, h *harness) {
				h.subscribe(orders, row.from)
				h.idle(5 * time.Minute)
				server.Forget()
				server.Publish(orders, data(1))
				server.Publish(orders, data(2))
				time.AfterFunc(5*time.Minute, func() { server.Publish(orders, data(3)) })
				ids, _ := h.collect(row.events + 1)
				h.equal(ids, sequence(int64(3-row.events), 3), "events")
				if asked == "" {
					asked = row.from.String()
				}
				h.equal(asked, row.want, "questions and answers")
				n := restarted
				server.Forget()
				server.Publish(orders, data(4))
				h.collect(1)
				h.equal(restarted, n, "no question once there is a position")
			})
		})
	}
}

func rewind(cometd.From) cometd.From { return cometd.Earliest() }
