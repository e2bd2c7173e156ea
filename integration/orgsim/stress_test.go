package orgsim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
)

// drain reads the channel until it has n events, through whatever happens to
// token, session and connection: after any trouble it begins a new session
// behind the last event that it got whole.
func drain(t *testing.T, o *Org, base, channel string, n int, progress func(int)) []event {
	t.Helper()
	var out []event
	var from int64 = -2
	for len(out) < n {
		c := newClient(t, o, base, nil)
		c.http.Jar, _ = cookiejar.New(nil)
		ask := func(m map[string]any) (event, []event, bool) {
			res, body, err := c.send(t.Context(), m)
			if err != nil || res.StatusCode != http.StatusOK {
				return event{}, nil, false
			}
			channel, _ := m["channel"].(string)
			rep, events := split(t, body, channel)
			return rep, events, rep.ok()
		}
		rep, _, ok := ask(map[string]any{"channel": "/meta/handshake", "supportedConnectionTypes": []string{"long-polling"}})
		c.clientID = rep.ClientID
		if ok {
			_, _, ok = ask(map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
		}
		if ok {
			_, _, ok = ask(map[string]any{"channel": "/meta/subscribe", "subscription": channel, "ext": map[string]any{"replay": map[string]any{channel: from}}})
		}
		for ok && len(out) < n {
			var events []event
			_, events, ok = ask(map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
			out = append(out, events...)
			if len(out) > 0 {
				from = out[len(out)-1].Data.Event.ReplayID
			}
			progress(len(out))
		}
	}
	return out
}

func TestNothingIsLostOrDoubledThroughFaults(t *testing.T) {
	const each, writers = 1500, 2
	o := newOrg(t, Config{MaxReplyEvents: 100})
	base := serve(t, o)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if err := o.Bulk(Bulk{Object: "Invoice__c", Count: each, Records: 20}); err != nil {
				t.Error(err)
			}
		})
	}
	step := 0
	faults := []func(){
		func() { o.ExpireTokens() }, func() { o.CutConnections(5000) }, func() { o.ForgetSessions() }, func() { o.CutConnections(0) },
		func() {
			check(t, o.AddField("Invoice__c", Field{Name: "F" + strings.Repeat("x", step) + "__c", Type: Text}))
		},
		func() {
			check(t, o.Refuse(Refusal{On: "/meta/connect", Error: "403::Organization total events daily limit exceeded"}))
		},
		func() { check(t, o.Refuse(Refusal{On: "cometd"})) }, func() { o.DisconnectSessions() },
	}
	got := drain(t, o, base, "/data/ChangeEvents", each*writers, func(n int) {
		if n/150 > step {
			step = n / 150
			faults[step%len(faults)]()
		}
	})
	wg.Wait()
	led := o.Ledger()
	if len(got) != len(led) {
		t.Fatalf("%d events, ledger %d", len(got), len(led))
	}
	for i, e := range led {
		if got[i].Data.Event.ReplayID != e.ReplayID || !bytes.Equal(got[i].Data.Payload, e.Payload) {
			t.Fatalf("event %d is not the ledger's", i)
		}
	}
	if s := o.Stats(); s.Cuts == 0 || s.TokensExpired == 0 || s.SessionsForgotten == 0 || s.Refusals < 2 {
		t.Errorf("faults that did not happen: %+v", s)
	}
}

func TestOptionsOfTheServer(t *testing.T) {
	o := newOrg(t, Config{Gzip: true, EventsWithSubscribe: true, NoCookies: true})
	if _, err := o.Publish("Order__e", Fields{"Status__c": "Placed"}); err != nil {
		t.Fatal(err)
	}
	base := serve(t, o)
	c := newClient(t, o, base, nil).ready(-1)
	c.http.Jar = nil
	_, events := c.call("/meta/subscribe", map[string]any{"subscription": "/event/Order__e", "ext": map[string]any{"replay": map[string]any{"/event/Order__e": -2}}})
	if len(events) != 1 {
		t.Errorf("%d events with the subscribe reply", len(events))
	}
	// A connect that is not alone is not held.
	batch := `[{"channel":"/meta/unsubscribe","subscription":"/event/Order__e","clientId":"` + c.clientID + `"},{"channel":"/meta/connect","connectionType":"long-polling","clientId":"` + c.clientID + `"}]`
	req, err := http.NewRequest(http.MethodPost, base+"/cometd/66.0/", strings.NewReader(batch))
	check(t, err)
	req.Header.Set("Authorization", "OAuth "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	res, err := c.http.Do(req)
	check(t, err)
	defer res.Body.Close()
	zip, err := gzip.NewReader(res.Body)
	check(t, err)
	body, err := io.ReadAll(zip)
	check(t, err)
	var replies []event
	check(t, json.Unmarshal(body, &replies))
	if len(replies) != 2 || !replies[0].ok() || !replies[1].ok() {
		t.Errorf("a batch: %s", body)
	}
	if s := o.Sessions(); len(s[0].Channels) != 0 {
		t.Errorf("still subscribed: %+v", s)
	}
}
