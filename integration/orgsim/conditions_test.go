package orgsim

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const orders = "/event/Order__e"

// now is a connect that is not held.
func (c *client) now() (event, []event) {
	c.t.Helper()
	return c.call(onConnect, map[string]any{"connectionType": "long-polling", "advice": map[string]any{"timeout": 0}})
}

func (c *client) again(replay any) int {
	c.t.Helper()
	if rep := c.subscribe(orders, replay); !rep.ok() {
		c.t.Fatalf("subscribe: %s", rep.Error)
	}
	_, events := c.now()
	return len(events)
}

func TestStarvation(t *testing.T) {
	for _, tc := range []struct {
		until                              string
		resubscribe, session, tip, afterwd int // events got: after subscribing again from the stored id, in a new session, in a new session at the tip
	}{
		{StarveSession, 0, 3, 0, 1}, {StarveSubscription, 3, 3, 0, 1}, {StarveTip, 0, 0, 0, 1}, {StarveForever, 0, 0, 0, 0},
	} {
		t.Run(tc.until, func(t *testing.T) {
			o := newOrg(t, Config{})
			rt := o.RoundTripper()
			publish(t, o, 1)
			stored := o.Ledger()[0].ReplayID
			c := newClient(t, o, inProcess, rt).ready(stored, orders, "/data/ChangeEvents")
			check(t, o.Starve(Starvation{Channel: orders, Until: tc.until}))
			publish(t, o, 3)
			if _, err := o.Create("Account", Fields{"Name": "A"}); err != nil {
				t.Fatal(err)
			}
			if rep, events := c.now(); !rep.ok() || len(events) != 1 || events[0].Channel != "/data/ChangeEvents" {
				t.Errorf("starving: %+v %+v", rep, events)
			}
			if n := c.again(stored); n != tc.resubscribe {
				t.Errorf("subscribed again: %d events, want %d", n, tc.resubscribe)
			}
			if n := newClient(t, o, inProcess, rt).ready(-1).again(stored); n != tc.session {
				t.Errorf("new session: %d events, want %d", n, tc.session)
			}
			last := newClient(t, o, inProcess, rt).ready(-1, orders)
			publish(t, o, 1)
			if _, events := last.now(); len(events) != tc.afterwd {
				t.Errorf("new session at the tip: %d events, want %d", len(events), tc.afterwd)
			}
			o.Feed()
			publish(t, o, 1)
			if _, events := c.now(); len(events) != 1+boolInt(tc.resubscribe > 0) {
				t.Errorf("fed: %d events", len(events))
			}
		})
	}
}

// A bulk load makes the subscription starve at its row, whatever else comes.
func TestStarvationAfterBulkLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{MaxReplyEvents: 10_000})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, "/data/AccountChangeEvent")
		check(t, o.Starve(Starvation{Object: "Account", Rows: 500}))
		check(t, o.Bulk(Bulk{Object: "Contact", Count: 900}))
		before := time.Now().UTC()
		wait(1500 * time.Millisecond)
		check(t, o.Bulk(Bulk{Object: "Account", Count: 499, Records: 2000}))
		if got := c.collect(499); len(got) != 499 {
			t.Errorf("%d events before", len(got))
		}
		check(t, o.Bulk(Bulk{Object: "Account", Count: 700, Records: 2000}))
		for range 3 {
			start := time.Now()
			if rep, events := c.connect(); !rep.ok() || len(events) != 0 || time.Since(start) != 110*time.Second {
				t.Errorf("starving: %+v, %d events, %v", rep, len(events), time.Since(start))
			}
		}
		for where, want := range map[string]int{
			"SystemModstamp > " + before.Format(time.RFC3339): 1199, "LastModifiedDate >= " + before.Add(time.Second).Format(restTimeLayout): 1199,
			"SystemModstamp > " + before.Add(time.Second).Format(time.RFC3339): 0, "LastModifiedDate > " + before.Format(time.RFC3339) + " AND CreatedDate < " + before.Format(time.RFC3339): 0,
			"SystemModstamp > " + before.Format(time.RFC3339) + " AND Name != 'x'": 1199, // the long way gives the same
		} {
			if n, limit := c.count(where); n != want || !strings.HasPrefix(limit, "api-usage=") {
				t.Errorf("%s: %d rows, want %d; %s", where, n, want, limit)
			}
		}
		if subs := o.Sessions()[0].Subscriptions; len(subs) != 1 || !subs[0].Starved || subs[0].Delivered != 499 {
			t.Errorf("session ledger: %+v", subs)
		}
	})
}

func (c *client) count(where string) (int, string) {
	c.t.Helper()
	var out struct{ TotalSize int }
	header := c.rest("/services/data/v66.0/query?q="+url.QueryEscape("SELECT COUNT() FROM Account WHERE "+where), &out)
	return out.TotalSize, header
}

// TestDelayWithoutBound: a tail makes some events much later than most, in order.
func TestDelayWithoutBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{Seed: 3, Delays: map[string]Delay{"Account": {Min: time.Second, Tail: time.Minute}}})
		var late []time.Duration
		for range 400 {
			must[string](t)(o.Create("Account", Fields{"Name": "x"}))
			wait(time.Hour)
		}
		v := o.bus.view()
		for i := v.first; i < v.end; i++ {
			e := v.at(i)
			late = append(late, time.Duration(e.due-e.commit)*time.Millisecond)
		}
		slices.Sort(late)
		if least, middle, most := late[0], late[200], late[399]; least < time.Second || middle < 20*time.Second || middle > time.Minute || most < 4*time.Minute {
			t.Errorf("%v, %v, %v", least, middle, most)
		}
	})
	if _, err := New(Config{Delays: map[string]Delay{"": {Tail: -1}}}); err == nil {
		t.Error("a negative tail")
	}
}

func TestDeliveryDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{Delays: map[string]Delay{"Account": {Min: 30 * time.Second, Max: 30 * time.Second}}})
		rt := o.RoundTripper()
		if _, err := o.Create("Account", Fields{"Name": "On its way"}); err != nil {
			t.Fatal(err)
		}
		c := newClient(t, o, inProcess, rt).ready(-1, "/data/ChangeEvents", orders)
		if _, err := o.Create("Contact", Fields{"LastName": "Behind it"}); err != nil {
			t.Fatal(err)
		}
		publish(t, o, 1)
		start := time.Now()
		if _, events := c.connect(); len(events) != 1 || events[0].Channel != orders || time.Since(start) != 0 {
			t.Errorf("another channel after %v: %+v", time.Since(start), events)
		}
		_, events := c.connect()
		if len(events) != 2 || time.Since(start) != 30*time.Second || events[0].Data.Event.ReplayID != o.Ledger()[0].ReplayID {
			t.Errorf("after %v: %+v", time.Since(start), events)
		}
		if l := o.Ledger(); l[0].Deliverable.Sub(l[0].Commit) != 30*time.Second || !l[1].Deliverable.IsZero() {
			t.Errorf("ledger: %+v", l[:2])
		}
		// Random delays: order within the channel, none early.
		check(t, o.SetDelay("Account", Delay{Max: time.Minute}))
		for range 50 {
			if _, err := o.Create("Account", Fields{"Name": "A"}); err != nil {
				t.Fatal(err)
			}
			wait(500 * time.Millisecond)
		}
		var got []event
		for len(got) < 50 {
			rep, some := c.connect()
			if !rep.ok() {
				t.Fatalf("connect: %s", rep.Error)
			}
			for _, e := range some {
				entry := o.Ledger()[3+len(got)]
				if e.Data.Event.ReplayID != entry.ReplayID || time.Now().Before(entry.Deliverable) {
					t.Errorf("event %d: %+v at %v", len(got), entry, time.Now())
				}
				got = append(got, e)
			}
		}
		if c.connects() < 10 {
			t.Errorf("all in %d connects", c.connects())
		}
	})
}

func (c *client) connects() int { return c.n }

func TestDailyDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{DailyDeliveries: 100, Retention: -1})
		rt := o.RoundTripper()
		a, b := newClient(t, o, inProcess, rt).ready(-1, orders), newClient(t, o, inProcess, rt).ready(-1, orders)
		publish(t, o, 60)
		if got := len(a.collect(60)); got != 60 {
			t.Errorf("%d events", got)
		}
		if _, events := b.connect(); len(events) != 40 {
			t.Errorf("%d events until the limit", len(events))
		}
		var limits map[string]struct{ Max, Remaining int }
		a.rest("/services/data/v66.0/limits", &limits)
		if l := limits["DailyDeliveredPlatformEvents"]; l.Max != 100 || l.Remaining != 0 {
			t.Errorf("limits: %+v", l)
		}
		if rep, events := b.now(); rep.Error != deliverText || len(events) != 0 {
			t.Errorf("used up: %+v", rep)
		}
		if rep := b.subscribe(orders, -1); rep.Error != deliverText {
			t.Errorf("used up: %+v", rep)
		}
		wait(23 * time.Hour)
		late := newClient(t, o, inProcess, rt)
		late.handshake()
		if rep, _ := late.now(); rep.Error != deliverText {
			t.Errorf("23 h later: %+v", rep)
		}
		wait(time.Hour)
		if n := newClient(t, o, inProcess, rt).ready(-1).again(-2); n != 60 {
			t.Errorf("24 h later: %d events", n)
		}
	})
}

func TestDailyLimitWhere(t *testing.T) {
	for on, want := range map[string]string{LimitOnConnect: "false true", LimitOnSubscribe: "true false", "": "false false"} {
		synctest.Test(t, func(t *testing.T) {
			o := newOrg(t, Config{DailyDeliveries: 2, DailyLimitOn: on})
			c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, orders)
			publish(t, o, 2)
			c.collect(2)
			connect, _ := c.now()
			if got := fmt.Sprint(connect.ok(), c.subscribe(orders, -1).ok()); got != want {
				t.Errorf("limit on %q: connect and subscribe succeed: %s, want %s", on, got, want)
			}
			// Held when it is used up: not answered with nothing again and again.
			if on == LimitOnSubscribe {
				publish(t, o, 1)
				start := time.Now()
				if rep, events := c.connect(); !rep.ok() || len(events) != 0 || time.Since(start) != 110*time.Second {
					t.Errorf("%+v, %d events after %v", rep, len(events), time.Since(start))
				}
			}
			wait(24 * time.Hour)
			if n := newClient(t, o, inProcess, o.RoundTripper()).ready(-1).again(-2); n != 2 {
				t.Errorf("a day later: %d events", n)
			}
		})
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDailyAPIRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{DailyAPIRequests: 3})
		c := newClient(t, o, inProcess, o.RoundTripper())
		var limits map[string]struct{ Max, Remaining int }
		for i := 1; i <= 3; i++ {
			if header := c.rest("/services/data/v66.0/limits", &limits); header != fmt.Sprintf("api-usage=%d/3", i) || limits["DailyApiRequests"].Remaining != 3-i {
				t.Errorf("call %d: %s %+v", i, header, limits["DailyApiRequests"])
			}
		}
		var refused []struct{ ErrorCode string }
		c.rest("/services/data/v66.0/limits", &refused)
		if refused[0].ErrorCode != "REQUEST_LIMIT_EXCEEDED" {
			t.Errorf("call 4: %+v", refused)
		}
		wait(24 * time.Hour)
		fresh := newClient(t, o, inProcess, o.RoundTripper())
		if header := fresh.rest("/services/data/v66.0/limits", &limits); header != "api-usage=1/3" {
			t.Errorf("a day later: %s", header)
		}
	})
}

// An id of a quiet channel ends with the retention, or lasts as long as
// nothing behind it is gone.
func TestQuietAgeing(t *testing.T) {
	for _, byID := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := newOrg(t, Config{ExpireByID: byID})
			c := newClient(t, o, inProcess, o.RoundTripper())
			publish(t, o, 2)
			first, last := o.Ledger()[0].ReplayID, o.Ledger()[1].ReplayID
			valid := func(id int64) bool {
				fresh := newClient(t, o, inProcess, c.http.Transport).ready(-1)
				rep := fresh.subscribe(orders, id)
				if want := fmt.Sprintf("400::The replayId {%d} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", id); !rep.ok() && rep.Error != want {
					t.Errorf("refused with %s", rep.Error)
				}
				return rep.ok()
			}
			wait(72 * time.Hour)
			if !valid(first) || !valid(last) {
				t.Error("refused within the retention time")
			}
			wait(time.Second)
			if valid(first) || valid(last) != byID {
				t.Errorf("by id %v: an aged id is valid: %v %v", byID, valid(first), valid(last))
			}
			publish(t, o, 1)
			wait(73 * time.Hour)
			if valid(last) || valid(last-1) {
				t.Error("valid though an event behind it is gone")
			}
			now := o.Ledger()[2].ReplayID
			o.ResetBus()
			if valid(now) {
				t.Error("valid after a reset of the bus")
			}
		})
	}
}

func TestSessionLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, orders)
		start := time.Now()
		publish(t, o, 2)
		c.now()
		wait(10 * time.Second)
		c.again(-2)
		wait(10 * time.Second)
		c.call("/meta/unsubscribe", map[string]any{"subscription": orders})
		c.subscribe("/data/ChangeEvents", -1)
		wait(10 * time.Second)
		c.call("/meta/disconnect", nil)
		s := o.Sessions()[0]
		var got []string
		for _, sub := range s.Subscriptions {
			got = append(got, fmt.Sprintf("%s %s %v-%v %d", sub.Channel, sub.From, sub.Opened.Sub(start), sub.Closed.Sub(start), sub.Delivered))
		}
		if want := "[/event/Order__e -1 0s-10s 2 /event/Order__e -2 10s-20s 2 /data/ChangeEvents -1 20s-30s 0]"; fmt.Sprint(got) != want || s.User == "" || s.Reason != endDisconnected {
			t.Errorf("session ledger: %v %+v, want %s", got, s, want)
		}
	})
}

func TestLastingConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{Affinity: 3 * time.Hour, ProxyCut: time.Minute, SilentChannels: true})
		c := newClient(t, o, inProcess, o.RoundTripper()).ready(-1, "/event/Nowhere__e")
		start := time.Now()
		for range 180 {
			if got := c.raw(t.Context(), messageOn(onConnect)); got.took != time.Minute || !errors.Is(got.err, errServerClosed) {
				if got.took != 0 || time.Since(start) != 3*time.Hour || !strings.Contains(got.body, unknownClient) || !strings.Contains(got.header.Get("Set-Cookie"), affinityName) {
					t.Fatalf("after %v: %+v", time.Since(start), got)
				}
				break
			}
		}
		wait(time.Second)
		if got := c.raw(t.Context(), messageOn(onConnect)); !strings.Contains(got.body, unknownClient) {
			t.Errorf("the affinity cookie expired: %+v", got)
		}
		if s := o.Sessions()[0]; s.Reason != endStrayed || len(s.Channels) != 0 {
			t.Errorf("session ledger: %+v", s)
		}
		if rep := newClient(t, o, inProcess, c.http.Transport).ready(-1).subscribe("/event/Nowhere__e", -2); !rep.ok() {
			t.Errorf("subscribe to nothing: %+v", rep)
		}
	})
}

// Over sockets: the org moves from one name of the loopback address to the other.
func TestInstanceMoves(t *testing.T) {
	o := newOrg(t, Config{})
	old := serve(t, o)
	c := newClient(t, o, old, nil).ready(-1, orders)
	check(t, o.Inject(Fault{Kind: "instance-moved"}))
	if rep, _ := c.connect(); rep.Error != unknownClient {
		t.Errorf("old address: %+v", rep)
	}
	if rep, _ := c.call(onHandshake, map[string]any{"supportedConnectionTypes": []string{"long-polling"}}); rep.ok() || !strings.Contains(fmt.Sprint(rep.Ext), authInvalid) {
		t.Errorf("handshake at the old address: %+v", rep)
	}
	if res := restRequest(t, old, c.token, "GET", "/services/data/v66.0/limits", "", nil); res.StatusCode != 401 {
		t.Errorf("REST at the old address: HTTP %d", res.StatusCode)
	}
	status, reply := tokenRequest(t, old, url.Values{"grant_type": {"client_credentials"}, "client_id": {DefaultApp(nil).ClientID}, "client_secret": {DefaultApp(nil).ClientSecret}})
	if status != 200 || !strings.HasPrefix(reply["instance_url"], "http://localhost:") {
		t.Fatalf("token reply: %d %v", status, reply)
	}
	moved := newClient(t, o, reply["instance_url"], nil).ready(-1, orders)
	publish(t, o, 1)
	if _, events := moved.now(); len(events) != 1 {
		t.Errorf("%d events at the new address", len(events))
	}
	if next := o.nextAddress(); next != old {
		t.Errorf("next address %s, want %s", next, old)
	}
	o.MoveInstance("https://acme.my.salesforce.com", MovedGone)
	if a := o.nextAddress(); a != "https://acme--r1.my.salesforce.com" {
		t.Errorf("next address %s", a)
	}
	o.MoveInstance("https://acme--r1.my.salesforce.com", MovedGone)
	if a := o.nextAddress(); a != "https://acme--r2.my.salesforce.com" {
		t.Errorf("next address %s", a)
	}
}

func TestRollingCount(t *testing.T) {
	r := newRolling(time.Hour, 60)
	start := time.Unix(1_700_000_000, 0)
	r.add(start, 5)
	r.add(start.Add(30*time.Minute), 7)
	if got := fmt.Sprint(r.total(start.Add(59*time.Minute)), r.total(start.Add(61*time.Minute)), r.total(start.Add(5*time.Hour)), r.highest()); got != "12 7 0 12" {
		t.Errorf("rolling totals: %s", got)
	}
}
