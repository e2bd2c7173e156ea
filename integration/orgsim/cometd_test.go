package orgsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSessionAsOnTheWire(t *testing.T) {
	o := newOrg(t, Config{Seed: 1})
	c := newClient(t, o, serve(t, o), nil)
	rep, _ := c.call("/meta/handshake", map[string]any{"version": "1.0", "supportedConnectionTypes": []string{"long-polling"}})
	if !rep.ok() || rep.Ext["replay"] != true || rep.Ext["payload.format"] != true || rep.Advice != nil {
		t.Fatalf("handshake reply: %+v", rep)
	}
	if !regexp.MustCompile(`^[0-9a-z]{26}$`).MatchString(rep.ClientID) {
		t.Errorf("client id %q", rep.ClientID)
	}
	c.clientID = rep.ClientID
	first, _ := c.connect()
	if !first.ok() || first.Advice == nil || first.Advice.Reconnect != "retry" || first.Advice.Timeout != 110000 || first.Advice.Interval == nil {
		t.Fatalf("first connect: %+v", first)
	}
	if rep := c.subscribe("/data/AccountChangeEvent", -1); !rep.ok() || string(rep.Subscription) != `"/data/AccountChangeEvent"` {
		t.Fatalf("subscribe: %+v", rep)
	}
	wait := c.heldConnect(o)
	id, err := o.Create("Account", Fields{"Name": "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := wait()
	if err != nil {
		t.Fatal(err)
	}
	rep, events := split(t, body, "/meta/connect")
	if !rep.ok() || rep.Advice != nil || len(events) != 1 || !strings.Contains(string(events[0].Data.Payload), id) {
		t.Fatalf("second connect: %s", body)
	}
	if !bytes.HasSuffix(body, []byte(`"/meta/connect","id":"4","successful":true}]`)) {
		t.Errorf("the connect reply is not last: %s", body)
	}
	want := o.Ledger()[0]
	if got := events[0]; got.Data.Event.ReplayID != want.ReplayID || got.Data.Schema != want.SchemaID || !bytes.Equal(got.Data.Payload, want.Payload) {
		t.Errorf("event and ledger differ:\n%s\n%s", got.Data.Payload, want.Payload)
	}
	if rep, _ := c.call("/meta/disconnect", nil); !rep.ok() {
		t.Errorf("disconnect: %+v", rep)
	}
	if rep, _ := c.connect(); rep.Error != unknownClient || rep.Advice.Reconnect != "handshake" {
		t.Errorf("connect after disconnect: %+v", rep)
	}
	s := o.Sessions()
	if len(s) != 1 || s[0].Reason != endDisconnected || s[0].Delivered != 1 || s[0].Connects != 2 || s[0].Channels[0] != "/data/AccountChangeEvent" {
		t.Errorf("session ledger: %+v", s)
	}
}

func TestReplayPositions(t *testing.T) {
	o := newOrg(t, Config{Seed: 2})
	base := serve(t, o)
	for i := range 10 {
		if _, err := o.Publish("Order__e", Fields{"Amount__c": i}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Create("Account", Fields{"Name": fmt.Sprint("A", i)}); err != nil {
			t.Fatal(err)
		}
	}
	led := o.Ledger()
	for _, tc := range []struct {
		from any
		want int
	}{{-2, 10}, {led[0].ReplayID, 9}, {led[9].ReplayID, 5}, {fmt.Sprint(led[17].ReplayID), 1}} {
		c := newClient(t, o, base, nil).ready(tc.from, "/event/Order__e")
		got := c.collect(tc.want)
		if len(got) != tc.want {
			t.Errorf("from %v: %d events, want %d", tc.from, len(got), tc.want)
		}
		for _, e := range got {
			if e.Channel != "/event/Order__e" || e.Data.Event.EventAPIName != "Order__e" || e.Data.Event.EventUUID == "" {
				t.Errorf("from %v: event %+v", tc.from, e)
			}
		}
	}
	c := newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	o.Trim(4)
	for _, from := range []int64{led[15].ReplayID, led[0].ReplayID, 82, led[19].ReplayID + 1} {
		rep := c.subscribe("/event/Order__e", from)
		want := fmt.Sprintf("400::The replayId {%d} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.", from)
		if rep.ok() || rep.Error != want {
			t.Errorf("from %d after the trim: %q", from, rep.Error)
		}
	}
	if rep := c.subscribe("/event/Order__e", led[16].ReplayID); !rep.ok() {
		t.Errorf("the earliest retained id: %s", rep.Error)
	}
	if got := c.collect(1); len(got) != 1 || got[0].Data.Event.ReplayID != led[18].ReplayID {
		t.Errorf("after the earliest retained id: %+v", got)
	}
	o.ResetBus()
	if rep := c.subscribe("/event/Order__e", led[19].ReplayID); rep.ok() {
		t.Error("an id from before the bus reset is accepted")
	}
}

func TestOneBusForAllChannels(t *testing.T) {
	o := newOrg(t, Config{Seed: 3, Channels: []Channel{{"/data/Sales__chn", []string{"AccountChangeEvent", "Invoice__ChangeEvent"}}, {"/event/Orders__chn", []string{"Order__e"}}}})
	c := newClient(t, o, serve(t, o), nil).ready(-2, "/data/ChangeEvents", "/data/AccountChangeEvent", "/data/Sales__chn", "/event/Orders__chn")
	for _, name := range []string{"Account", "Contact", "Invoice__c"} {
		fields := Fields{}
		if name == "Contact" {
			fields["LastName"] = "Krol"
		} else if name == "Account" {
			fields["Name"] = "Acme"
		}
		if _, err := o.Create(name, fields); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := o.Publish("Order__e", nil); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range c.collect(7) {
		i := 0
		for o.Ledger()[i].ReplayID != e.Data.Event.ReplayID {
			i++
		}
		got = append(got, fmt.Sprint(i, e.Channel))
	}
	want := []string{"0/data/ChangeEvents", "0/data/AccountChangeEvent", "0/data/Sales__chn", "1/data/ChangeEvents", "2/data/ChangeEvents", "2/data/Sales__chn", "3/event/Orders__chn"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if ch := o.Ledger()[0].Channels; fmt.Sprint(ch) != "[/data/AccountChangeEvent /data/ChangeEvents /data/Sales__chn]" {
		t.Errorf("ledger channels: %v", ch)
	}
}

func TestRefusedSubscriptions(t *testing.T) {
	o := newOrg(t, Config{Users: []User{{Username: "a@b", Denied: []string{"Contact", "Order__e"}}, {Username: "c@d"}}})
	c := newClient(t, o, serve(t, o), nil).ready(-1)
	for channel, want := range map[string]string{
		"/event/Nope__e":           "400::The channel you requested to subscribe to does not exist {/event/Nope__e}",
		"/data/accountchangeevent": "400::The channel you requested to subscribe to does not exist {/data/accountchangeevent}",
		"event/Order__e":           "400::Channel subscriptions must start with a leading '/'",
		"":                         "400::Channel name not specified",
		"/data/*":                  "403::Restricted channel",
		"/data/ContactChangeEvent": "403::User not allowed to subscribe CDC without View All Data permissions",
		"/event/Order__e":          "403::Subscriber does not have access to the entity in this topic",
	} {
		if rep := c.subscribe(channel, -1); rep.ok() || rep.Error != want {
			t.Errorf("%q: %q, want %q", channel, rep.Error, want)
		}
	}
	// A multi-entity channel accepts the user and leaves out what it may not read.
	if rep := c.subscribe("/data/ChangeEvents", -1); !rep.ok() {
		t.Fatal(rep.Error)
	}
	_, err1 := o.Create("Contact", Fields{"LastName": "X"})
	_, err2 := o.Create("Account", Fields{"Name": "Y"})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if got := c.collect(1); len(got) != 1 || !strings.Contains(string(got[0].Data.Payload), `"entityName":"Account"`) {
		t.Errorf("got %d events: %s", len(got), got[0].Data.Payload)
	}
	var both json.RawMessage
	rep, _ := c.call("/meta/subscribe", map[string]any{"subscription": []string{"/data/ChangeEvents", "/data/AccountChangeEvent"}})
	if both = rep.Subscription; !rep.ok() || string(both) != `["/data/ChangeEvents","/data/AccountChangeEvent"]` {
		t.Errorf("an array of subscriptions: %s %s", rep.Error, both)
	}
	c.token, err1 = o.Issue("c@d")
	if rep, _ := c.connect(); err1 != nil || rep.Error != "400::Authenticated user id does not match the session's user id" {
		t.Errorf("another user's token: %q", rep.Error)
	}
}

func TestTokensAndCookies(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	c := newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	wait := c.heldConnect(o)
	if n := o.ExpireTokens(); n != 1 {
		t.Errorf("expired %d tokens", n)
	}
	res, body, err := wait()
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	if rep, _ := split(t, body, "/meta/connect"); rep.ok() || rep.Error != authInvalid || rep.Advice.Reconnect != "none" {
		t.Errorf("held connect at expiry: %s", body)
	}
	bad := newClient(t, o, base, nil)
	bad.token = "00D!nonsense"
	rep, _ := bad.call("/meta/handshake", map[string]any{"supportedConnectionTypes": []string{"long-polling"}})
	if rep.ok() || rep.Error != "403::Handshake denied" || rep.Advice.Reconnect != "none" ||
		fmt.Sprint(rep.Ext["sfdc"]) != "map[failureReason:401::Authentication invalid]" {
		t.Errorf("handshake with a bad token: %+v", rep)
	}
	d := newClient(t, o, base, nil).ready(-1)
	d.http.Jar = nil
	rep, _ = d.connect()
	if want := "400::Client " + d.clientID + " has established a session, but no BAYEUX_BROWSER cookie present"; rep.Error != want {
		t.Errorf("without cookies: %q", rep.Error)
	}
}

func TestHTTPLevelRefusals(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	post := func(path, contentType, body string) (int, string) {
		res, err := http.Post(base+path, contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(raw)
	}
	one := `[{"channel":"/meta/connect","id":7}]`
	for _, tc := range []struct {
		path, ct, body string
		status         int
		text           string
	}{
		{"/cometd/66.0", "application/json", strings.Repeat(" ", 32_769), 413, "Maximum Request Size Exceeded"},
		{"/cometd/66.0", "application/json", "[{", 400, "malformed"},
		{"/cometd/66.0", "text/plain", one, 500, "content type"},
		{"/cometd", "application/json", one, 400, "400::API version in the URI is mandatory. URI format: '/cometd/66.0'"},
		{"/cometd/36.0", "application/json", one, 400, "400::Unsupported API version."},
		{"/cometd/66.0/", "application/json", one, 200, `"id":7`},
		{"/cometd/66.0/connect", "application/json;charset=UTF-8", one, 200, "401::Request requires authentication"},
		{"/cometd/66.0", "application/x-www-form-urlencoded", "message=" + `{"channel":"/meta/connect"}`, 200, "401::"},
		{"/nowhere", "application/json", one, 404, ""},
	} {
		if status, body := post(tc.path, tc.ct, tc.body); status != tc.status || !strings.Contains(body, tc.text) {
			t.Errorf("%s %s: HTTP %d %.200s, want %d %s", tc.path, tc.ct, status, body, tc.status, tc.text)
		}
	}
	res, err := http.Get(base + "/cometd/66.0")
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v %v", res, err)
	}
	_ = res.Body.Close()
}

func TestDuplicateConnectAndForgottenSession(t *testing.T) {
	o := newOrg(t, Config{DuplicateStatus: 408})
	base := serve(t, o)

	c := newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	older := c.heldConnect(o)
	c2 := *c
	newer := make(chan error, 1)
	go func() {
		_, _, err := c2.send(t.Context(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
		newer <- err
	}()
	if res, _, err := older(); err != nil || res.StatusCode != 408 {
		t.Errorf("the older of two connects: %v %v", res, err)
	}
	if n := o.ForgetSessions(); n != 1 {
		t.Errorf("forgot %d sessions", n)
	}
	if err := <-newer; err != nil {
		t.Error(err)
	}
	if rep, _ := c.connect(); rep.Error != unknownClient {
		t.Errorf("a forgotten session: %+v", rep)
	}
}

// A cut reply loses what it held: the session goes on behind it.
func TestCutConnections(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	c := newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	if n := o.CutConnections(100); n != 1 {
		t.Errorf("armed %d cuts", n)
	}
	if err := o.Bulk(Bulk{Object: "Order__e", Count: 5}); err != nil {
		t.Fatal(err)
	}
	_, body, err := c.send(t.Context(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
	if len(body) != 100 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut reply: %d bytes, %v", len(body), err)
	}
	if err := o.Bulk(Bulk{Object: "Order__e", Count: 1}); err != nil {
		t.Fatal(err)
	}
	if got := c.collect(1); len(got) != 1 || got[0].Data.Event.ReplayID != o.Ledger()[5].ReplayID {
		t.Errorf("the session went on with %+v", got)
	}
	if o.Stats().Cuts != 1 {
		t.Errorf("stats: %+v", o.Stats())
	}
	wait := c.heldConnect(o)
	o.CutConnections(0)
	if _, _, err := wait(); err == nil {
		t.Error("a held connect survived the cut")
	}
}

func TestScriptedRefusals(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	check(t, o.Refuse(Refusal{On: "/meta/subscribe", Error: "403:denied_by_security_policy:subscribe_denied", FailureReason: "503::Server is too busy. Please try your request again later."}))
	c := newClient(t, o, base, nil).ready(-1)
	if rep := c.subscribe("/event/Order__e", -1); rep.ok() || !strings.Contains(fmt.Sprint(rep.Ext), "503::Server is too busy") {
		t.Errorf("scripted refusal: %+v", rep)
	}
	if rep := c.subscribe("/event/Order__e", -1); !rep.ok() {
		t.Errorf("the refusal was for one time: %+v", rep)
	}
	wait := c.heldConnect(o)
	o.DisconnectSessions()
	if _, body, err := wait(); err != nil || !bytes.Contains(body, []byte(`{"channel":"/meta/disconnect"`)) {
		t.Errorf("server-sent disconnect: %s %v", body, err)
	}
}

func TestConcurrentClientLimit(t *testing.T) {
	o := newOrg(t, Config{MaxClients: 1})
	base := serve(t, o)
	newClient(t, o, base, nil).ready(-1)
	rep, _ := newClient(t, o, base, nil).call("/meta/handshake", map[string]any{"supportedConnectionTypes": []string{"long-polling"}})
	if rep.ok() || rep.Error != "403::Organization concurrent user limit exceeded" {
		t.Errorf("second client: %+v", rep)
	}
}

func TestReplyLimitsAndOrder(t *testing.T) {
	o := newOrg(t, Config{MaxReplyEvents: 7, ConnectReplyFirst: true})
	c := newClient(t, o, serve(t, o), nil).ready(-1, "/event/Order__e")
	if err := o.Bulk(Bulk{Object: "Order__e", Count: 20, Bytes: 3000}); err != nil {
		t.Fatal(err)
	}
	_, body, err := c.send(t.Context(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
	if err != nil || !bytes.HasPrefix(body, []byte(`[{"clientId"`)) {
		t.Fatalf("connect reply is not first: %.100s %v", body, err)
	}
	_, events := split(t, body, "/meta/connect")
	if len(events) != 7 {
		t.Errorf("%d events in one reply", len(events))
	}
	events = append(events, c.collect(13)...)
	for i, e := range o.Ledger() {
		if events[i].Data.Event.ReplayID != e.ReplayID || !bytes.Equal(events[i].Data.Payload, e.Payload) {
			t.Fatalf("event %d differs from the ledger", i)
		}
	}
}

func TestUngroupedEventsStayInOneReply(t *testing.T) {
	o := newOrg(t, Config{MaxReplyEvents: 1})
	var ids []string
	for range 3 {
		id, err := o.Create("Account", Fields{"Name": "A"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c := newClient(t, o, serve(t, o), nil).ready(-1, "/data/ChangeEvents")
	if err := o.UpdateUngrouped("Account", ids, Fields{"Rating": "Hot"}); err != nil {
		t.Fatal(err)
	}
	_, events := c.connect()
	if len(events) != 3 || events[0].Data.Event.ReplayID != events[2].Data.Event.ReplayID {
		t.Errorf("%d events: %+v", len(events), events)
	}
}

func TestClientGoneKeepsEvents(t *testing.T) {
	o := newOrg(t, Config{})
	c := newClient(t, o, serve(t, o), nil).ready(-1, "/event/Order__e")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := c.send(ctx, map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"}); err == nil {
		t.Fatal("the connect was answered with nothing")
	}
	until(t, "the org to notice", func() bool { return !o.Sessions()[0].Held })
	if _, err := o.Publish("Order__e", nil); err != nil {
		t.Fatal(err)
	}
	if got := c.collect(1); len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
}
