package orgsim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// outcome is what a client sees of one request.
type outcome struct {
	status int
	header http.Header
	body   string
	err    error
	took   time.Duration
}

// raw sends a message as it is and returns whatever comes of it.
func (c *client) raw(ctx context.Context, m map[string]any) outcome {
	began := time.Now()
	res, body, err := c.send(ctx, m)
	o := outcome{body: string(body), err: err, took: time.Since(began)}
	if res != nil {
		o.status, o.header = res.StatusCode, res.Header
	}
	return o
}

func messageOn(on string) map[string]any {
	m := map[string]any{"channel": on}
	switch on {
	case onHandshake:
		m["supportedConnectionTypes"] = []string{"long-polling"}
	case onConnect:
		m["connectionType"] = "long-polling"
	case onSubscribe:
		m["subscription"] = "/event/Order__e"
		m["ext"] = map[string]any{"replay": map[string]any{"/event/Order__e": -2}}
	}
	return m
}

// faultCase is a fault and what a client sees of it. The session is subscribed
// to /event/Order__e and, unless quiet, one event waits.
type faultCase struct {
	fault  Fault
	on     string // "": /meta/connect
	quiet  bool
	status int    // default 200; -1: no response
	has    string // parts that the body has, separated by |
	hasNot string
	took   time.Duration
	cut    bool // the body ends early
	header string
	then   string // what the next connect's body has
}

func faultCases() []faultCase {
	const none, again = `"advice":{"interval":0,"reconnect":"none"}`, `"advice":{"interval":0,"reconnect":"handshake"}`
	cases := []faultCase{
		{fault: Fault{Kind: "reply", Error: "404::Unknown channel"}, has: `"error":"404::Unknown channel"|"clientId"`, hasNot: "advice|replayId", then: "replayId"},
		{fault: Fault{Kind: "http", Status: 418, Body: "tea"}, status: 418, has: "tea"},
		{fault: Fault{Kind: "advice", Advice: json.RawMessage(`[1]`)}, has: `"advice":[1]|replayId`},
		{fault: Fault{Kind: "token-http-401"}, status: 401, has: "INVALID_SESSION_ID", then: authInvalid},
		{fault: Fault{Kind: "token-http-401", After: time.Minute}, quiet: true, status: 401, took: time.Minute, then: authInvalid},
		{fault: Fault{Kind: "token-http-403"}, status: 403, has: "<html>", then: authInvalid},
		{fault: Fault{Kind: "token-reply"}, has: `"error":"` + authInvalid + `"|` + none, then: authInvalid},
		{fault: Fault{Kind: "token-reply", After: 5 * time.Second}, quiet: true, has: authInvalid + "|" + none, took: 5 * time.Second},
		{fault: Fault{Kind: "token-reply"}, on: onSubscribe, has: authInvalid + "|" + none},
		{fault: Fault{Kind: "token-handshake"}, on: onHandshake, has: `"failureReason":"401::Authentication invalid"|403::Handshake denied|"advice":{"reconnect":"none"}`, hasNot: "clientId"},
		{fault: Fault{Kind: "busy-hidden"}, has: `"failureReason":"503::Server is too busy|"error":"401::Authentication invalid"|` + none, then: "replayId"},
		{fault: Fault{Kind: "busy-hidden"}, on: onHandshake, has: `"failureReason":"503::Server is too busy|"error":"403::Handshake denied"|` + none},
		{fault: Fault{Kind: "busy-hidden"}, on: onSubscribe, has: `"failureReason":"503::|"error":"403:denied_by_security_policy:subscribe_denied"`, hasNot: "advice"},
		{fault: Fault{Kind: "busy"}, has: `"error":"503::Server is too busy|"reconnect":"retry"`, then: "replayId"},
		{fault: Fault{Kind: "other-user"}, has: "400::Authenticated user id", then: unknownClient},
		{fault: Fault{Kind: "unknown-client"}, has: `"error":"403::Unknown client"|` + again, hasNot: "clientId|replayId", then: unknownClient},
		{fault: Fault{Kind: "unknown-client", After: 77 * time.Second}, quiet: true, has: unknownClient, hasNot: "clientId", took: 77 * time.Second},
		{fault: Fault{Kind: "unknown-client", Mode: "with-id"}, has: `403::Unknown client|"clientId"|` + again, then: unknownClient},
		{fault: Fault{Kind: "unknown-client", Mode: "402", After: time.Second}, quiet: true, has: "402::session_unknown|" + again, took: time.Second, then: unknownClient},
		{fault: Fault{Kind: "unknown-client", Mode: "no-advice"}, on: onSubscribe, has: "403::Unknown client", hasNot: "advice", then: unknownClient},
		{fault: Fault{Kind: "no-handshake"}, has: "403::Client has not completed handshake", then: unknownClient},
		{fault: Fault{Kind: "server-disconnect"}, has: disconnectMsg + "|" + authInvalid + "|" + none, then: unknownClient},
		{fault: Fault{Kind: "server-disconnect", Mode: "alone", After: time.Second}, quiet: true, has: disconnectMsg, hasNot: onConnect, took: time.Second, then: unknownClient},
		{fault: Fault{Kind: "server-disconnect", Mode: "with-reply"}, has: disconnectMsg + `|"successful":true`, then: unknownClient},
		{fault: Fault{Kind: "dropped"}, status: -1, then: "replayId"},
		{fault: Fault{Kind: "reply-lost"}, status: -1, then: "CLEAN"},
		{fault: Fault{Kind: "reply-lost-504"}, status: 504, has: "<html>", then: "CLEAN"},
		{fault: Fault{Kind: "proxy-cut"}, quiet: true, status: -1, took: time.Minute},
		{fault: Fault{Kind: "proxy-cut", Mode: "504"}, quiet: true, status: 504, took: time.Minute},
		{fault: Fault{Kind: "client-limit"}, on: onHandshake, has: clientsText + "|" + none},
		{fault: Fault{Kind: "connection-limit"}, on: onHandshake, has: "403::Handshake denied|simultaneous connections per server|" + none},
		{fault: Fault{Kind: "daily-limit"}, has: deliverText + "|" + none, then: "replayId"},
		{fault: Fault{Kind: "daily-limit"}, on: onSubscribe, has: deliverText, hasNot: "advice"},
		{fault: Fault{Kind: "silent-subscribe"}, on: onSubscribe, has: `"successful":true`},
		{fault: Fault{Kind: "advice-none"}, has: `"successful":false|` + none, hasNot: `"error"`, then: unknownClient},
		{fault: Fault{Kind: "advice-handshake"}, has: `replayId|"successful":true|` + again, then: unknownClient},
		{fault: Fault{Kind: "advice-retry"}, has: `"successful":false|"interval":500|"reconnect":"retry"`, then: "replayId"},
		{fault: Fault{Kind: "advice-interval"}, has: `"interval":-1|replayId`},
		{fault: Fault{Kind: "advice-interval", Mode: "null"}, has: `"interval":null`},
		{fault: Fault{Kind: "advice-interval", Mode: `"soon"`}, has: `"interval":"soon"`},
		{fault: Fault{Kind: "advice-interval", Mode: "9007199254740993"}, has: `"interval":9007199254740993`},
		{fault: Fault{Kind: "advice-timeout", Mode: "null"}, has: `"timeout":null`},
		{fault: Fault{Kind: "advice-unknown"}, has: `"reconnect":"later"|"successful":true`},
		{fault: Fault{Kind: "advice-transport"}, has: `"advice":{"long-polling":{`, then: "CLEAN"},
		{fault: Fault{Kind: "advice-transport", Mode: "both"}, has: `"long-polling":{"reconnect":"handshake"`, then: unknownClient},
		{fault: Fault{Kind: "advice-hosts"}, has: `"hosts":["other|replayId`},
		{fault: Fault{Kind: "connect-at-once"}, quiet: true, has: `"interval":1000|"successful":true`},
		{fault: Fault{Kind: "multiple-clients"}, quiet: true, has: `"multiple-clients":true,"interval":2000`},
		{fault: Fault{Kind: "http-empty"}, has: "EMPTY", then: "replayId"},
		{fault: Fault{Kind: "http-html"}, has: "<html>", then: "replayId"},
		{fault: Fault{Kind: "cut", Bytes: 17}, cut: true, has: "LEN17", then: "CLEAN"},
		{fault: Fault{Kind: "cut", Bytes: -1}, cut: true, has: "EMPTY", then: "CLEAN"},
		{fault: Fault{Kind: "cut", Bytes: 1 << 20}, cut: true, has: "replayId", then: "CLEAN"},
		{fault: Fault{Kind: "cut", Bytes: 3}, on: onHandshake, cut: true, has: "LEN3"},
		{fault: Fault{Kind: "gzip"}, has: "replayId"},
		{fault: Fault{Kind: "drip", For: time.Hour}, quiet: true, on: onSubscribe, has: `"successful":true`, took: -1},
		{fault: Fault{Kind: "drip", Bytes: 10, Interval: 2 * time.Second, For: 9 * time.Second}, on: onSubscribe, took: 10 * time.Second},
		{fault: Fault{Kind: "events-with-subscribe"}, on: onSubscribe, has: "replayId|/meta/subscribe"},
		{fault: Fault{Kind: "reply-first"}, has: `[{"clientId"|replayId`},
		{fault: Fault{Kind: "reply-last"}, has: `[{"data"|"successful":true}]`},
		{fault: Fault{Kind: "reply-middle"}, has: `replayId|/meta/connect`},
		{fault: Fault{Kind: "id-number"}, has: `"id":4,`},
		{fault: Fault{Kind: "id-missing"}, has: "replayId", hasNot: `"id":`},
		{fault: Fault{Kind: "client-id-missing"}, has: "replayId", hasNot: "clientId"},
		{fault: Fault{Kind: "object"}, on: onSubscribe, has: "OBJECT"},
		{fault: Fault{Kind: "object"}, quiet: true, has: "OBJECT", took: 110 * time.Second},
		{fault: Fault{Kind: "unknown-members"}, has: `"x-future"|replayId`},
		{fault: Fault{Kind: "timestamp"}, has: `GMT"|replayId`},
		{fault: Fault{Kind: "header-case"}, header: "Content-Type: application/json;charset=utf-8"},
		{fault: Fault{Kind: "duplicate-events"}, has: "TWICE"},
		{fault: Fault{Kind: "duplicate-events", Mode: "again"}, has: "TWICE"},
		{fault: Fault{Kind: "cookie-lost"}, header: "Set-Cookie: BAYEUX_BROWSER=; Path=/; Max-Age=0", then: "400::Client"},
		{fault: Fault{Kind: "cookie-changed"}, header: "Set-Cookie: BAYEUX_BROWSER=", then: "CLEAN"},
		{fault: Fault{Kind: "cookie-twice"}, header: "Path=/cometd", then: "CLEAN"},
		{fault: Fault{Kind: "cookie-affinity", Interval: time.Second}, header: "Set-Cookie: sfdc-stream=", then: unknownClient},
		{fault: Fault{Kind: "tokens-expired"}, has: authInvalid},
		{fault: Fault{Kind: "sessions-forgotten"}, has: unknownClient},
		{fault: Fault{Kind: "sessions-disconnected"}, has: unknownClient},
		{fault: Fault{Kind: "connections-cut"}, cut: true},
		{fault: Fault{Kind: "outage", For: time.Minute}, status: 503, has: "<html>", then: "<html>"},
		{fault: Fault{Kind: "instance-moved"}, has: unknownClient},
		{fault: Fault{Kind: "instance-moved", Mode: MovedRedirect, Location: "https://new.example"}, status: 307, header: "Location: https://new.example/cometd/66.0"},
		{fault: Fault{Kind: "instance-moved", Mode: MovedGone}, status: 404, has: "<html>"},
		{fault: Fault{Kind: "bus-reset"}, has: "replayId"}, // what the session already waits for
		{fault: Fault{Kind: "starvation"}, has: `"successful":true`, hasNot: "replayId", took: 110 * time.Second},
	}
	for _, status := range []int{204, 301, 302, 307, 308, 400, 404, 405, 408, 413, 420, 429, 500, 502, 503, 504} {
		cases = append(cases, faultCase{fault: Fault{Kind: fmt.Sprintf("http-%d", status)}, status: status, then: "replayId"})
	}
	return cases
}

// TestEveryFault injects each kind over the method and over the control API.
func TestEveryFault(t *testing.T) {
	tested := map[string]bool{"advice-missing": true, "rest-limit": true, "ids-shared": true} // see below
	for i, tc := range faultCases() {
		tested[tc.fault.Kind] = true
		t.Run(fmt.Sprintf("%s %s %s", tc.fault.Kind, tc.fault.Mode, tc.on), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tc.run(t, i%2 == 0) })
		})
	}
	for _, k := range FaultKinds() {
		if !tested[k.Name] {
			t.Errorf("no case for %s", k.Name)
		}
	}
}

func (tc faultCase) run(t *testing.T, control bool) {
	o := newOrg(t, Config{Seed: 3})
	c := newClient(t, o, inProcess, o.RoundTripper())
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.ready(-1, "/event/Order__e")
	if !tc.quiet {
		publish(t, o, 1)
	}
	if control {
		raw, err := json.Marshal(tc.fault)
		check(t, err)
		res, err := c.http.Post(inProcess+"/orgsim/fault", "application/json", bytes.NewReader(raw))
		check(t, err)
		if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
			t.Fatalf("control API: %d %s %v", res.StatusCode, body, err)
		}
		check(t, res.Body.Close())
	} else {
		check(t, o.Inject(tc.fault))
	}
	if tc.on == "" {
		tc.on = onConnect
	}
	got := c.raw(t.Context(), messageOn(tc.on))
	tc.judge(t, got)
	if tc.then != "" {
		wait(time.Second)
		next := c.raw(t.Context(), map[string]any{"channel": onConnect, "connectionType": "long-polling", "advice": map[string]any{"timeout": 0}})
		if tc.then == "CLEAN" {
			if !strings.Contains(next.body, `"successful":true`) || strings.Contains(next.body, "replayId") {
				t.Errorf("then: %+v, want a good reply without the event", next)
			}
		} else if !strings.Contains(next.body, tc.then) {
			t.Errorf("then: %+v, want %s", next, tc.then)
		}
	}
	if log := o.FaultLog(); len(log) != 1 || log[0].Fault.Kind != tc.fault.Kind || o.FaultCounts()[tc.fault.Kind] != 1 {
		t.Errorf("fault log: %+v", log)
	}
}

func (tc faultCase) judge(t *testing.T, got outcome) {
	t.Helper()
	switch {
	case tc.status == -1 && (got.err == nil || got.status != 0):
		t.Errorf("a response: %+v", got)
	case tc.status != -1 && got.status != max(tc.status, 200):
		t.Errorf("HTTP %d %v, want %d", got.status, got.err, max(tc.status, 200))
	case tc.cut != errors.Is(got.err, io.ErrUnexpectedEOF):
		t.Errorf("body cut: %v, want %v", got.err, tc.cut)
	}
	if tc.took >= 0 && got.took != tc.took || tc.took < 0 && got.took != time.Duration(len(got.body)-1)*time.Second {
		t.Errorf("took %v, want %v", got.took, tc.took)
	}
	if parts := strings.SplitN(tc.header, ": ", 2); len(parts) == 2 && !strings.Contains(fmt.Sprint(got.header[parts[0]]), parts[1]) {
		t.Errorf("header %v, want %s", got.header, tc.header)
	}
	for _, part := range strings.Split(tc.has, "|") {
		ok := strings.Contains(got.body, part)
		switch part {
		case "EMPTY":
			ok = got.body == ""
		case "LEN17", "LEN3":
			ok = fmt.Sprintf("LEN%d", len(got.body)) == part
		case "OBJECT":
			ok = strings.HasPrefix(got.body, "{") && json.Valid([]byte(got.body))
		case "TWICE":
			ok = strings.Count(got.body, "replayId") == 2 && json.Valid([]byte(got.body))
		}
		if !ok {
			t.Errorf("body %.400s, want %s", got.body, part)
		}
	}
	for _, part := range strings.Split(tc.hasNot, "|") {
		if part != "" && strings.Contains(got.body, part) {
			t.Errorf("body %.400s, want no %s", got.body, part)
		}
	}
	if got.status == 200 && got.err == nil && got.body != "" && !strings.Contains(got.body, "<html>") && !json.Valid([]byte(got.body)) {
		t.Errorf("no JSON: %s", got.body)
	}
}

func publish(t testing.TB, o *Org, n int) {
	t.Helper()
	for range n {
		if _, err := o.Publish("Order__e", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingAdviceAndSharedIDs(t *testing.T) {
	o := newOrg(t, Config{})
	check(t, o.Inject(Fault{Kind: "advice-missing"}))
	c := newClient(t, o, inProcess, o.RoundTripper())
	c.handshake()
	if rep, _ := c.connect(); !rep.ok() || rep.Advice != nil {
		t.Errorf("first connect: %+v", rep)
	}
	check(t, o.Inject(Fault{Kind: "ids-shared"}))
	for range 2 {
		publish(t, o, 1) // alone, it shares with nobody
		check(t, o.Transact(TxOptions{}, func(tx *Tx) error {
			for range 3 {
				if _, err := tx.Publish("Order__e", nil); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	l := o.Ledger()
	if l[0].ReplayID == l[1].ReplayID || l[1].ReplayID != l[3].ReplayID || l[5].ReplayID == l[6].ReplayID {
		t.Errorf("replay ids: %+v", l)
	}
}

func TestFaultsOnRestAndOAuth(t *testing.T) {
	key, _, err := NewKey()
	check(t, err)
	o := newOrg(t, Config{Apps: []App{DefaultApp(&key.PublicKey)}})
	base := serve(t, o)
	token, err := o.Issue("")
	check(t, err)
	for _, f := range []Fault{{Kind: "http-503", On: "rest"}, {Kind: "rest-limit"}, {Kind: "http-html", On: "rest"}} {
		check(t, o.Inject(f))
	}
	for _, want := range []int{503, 403, 200, 200} {
		if res := restRequest(t, base, token, "GET", "/services/data/v66.0/limits", "", nil); res.StatusCode != want {
			t.Errorf("HTTP %d, want %d", res.StatusCode, want)
		}
	}
	check(t, o.Inject(Fault{Kind: "reply-lost", On: "rest"}))
	req, err := http.NewRequest("POST", base+"/services/data/v66.0/sobjects/Account", strings.NewReader(`{"Name":"Acme"}`))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if res, err := http.DefaultClient.Do(req); err == nil {
		t.Errorf("a lost response came: %d", res.StatusCode)
	}
	if o.LedgerLen() != 1 {
		t.Error("the request whose response was lost was not carried out")
	}
	check(t, o.Inject(Fault{Kind: "token-http-401", On: "rest"}))
	for range 2 { // the fault, and then the token that it ended
		var body []map[string]any
		if res := restRequest(t, base, token, "GET", "/services/data/v66.0/limits", "", &body); res.StatusCode != 401 || body[0]["errorCode"] != "INVALID_SESSION_ID" {
			t.Errorf("HTTP %d %v", res.StatusCode, body)
		}
	}
	form := "grant_type=client_credentials&client_id=" + DefaultApp(nil).ClientID + "&client_secret=" + DefaultApp(nil).ClientSecret
	ask := func() int {
		res, err := http.Post(base+"/services/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	check(t, o.Inject(Fault{Kind: "http", On: "oauth", Status: 500, Skip: 1, Times: 2}))
	before := o.Stats().TokensIssued
	if got := fmt.Sprint(ask(), ask(), ask()); got != "200 500 500" {
		t.Errorf("token requests: %s", got)
	}
	check(t, o.Inject(Fault{Kind: "reply-lost-504", On: "oauth"}))
	if got := ask(); got != 504 || o.Stats().TokensIssued-before != 2 {
		t.Errorf("lost token reply: HTTP %d, %d issued", got, o.Stats().TokensIssued-before)
	}
	if s := o.Stats(); s.PeakTokens != 4 {
		t.Errorf("peak of token requests: %d", s.PeakTokens)
	}
}

func TestFaultsThatCannotBe(t *testing.T) {
	o := newOrg(t, Config{})
	for _, f := range []Fault{
		{Kind: "nope"}, {Kind: "proxy-cut", On: "/meta/handshake"}, {Kind: "cut", Mode: "x"}, {Kind: "advice", Advice: json.RawMessage("{")},
		{Kind: "http", Status: 99}, {Kind: "rest-limit", On: "cometd"},
	} {
		var ce *ConfigError
		if err := o.Inject(f); !errors.As(err, &ce) {
			t.Errorf("%+v: %v", f, err)
		}
		if err := o.RunFaults(FaultPlan{Steps: []FaultStep{{Fault: f}}}); !errors.As(err, &ce) {
			t.Errorf("step %+v: %v", f, err)
		}
	}
	for key, rate := range (Mix{"nope": 1, "cut": 2, "rest:cut": .1, "dropped": -1}) {
		if err := o.RunFaults(Faults(1, Mix{key: rate})); err == nil {
			t.Errorf("mix %s %v was taken", key, rate)
		}
	}
	if err := o.Starve(Starvation{Until: "x"}); err == nil {
		t.Error("a starvation until x")
	}
}

// Only the messages and sessions that a fault names are hit.
func TestFaultNarrowedDown(t *testing.T) {
	o := newOrg(t, Config{})
	rt := o.RoundTripper()
	a, b := newClient(t, o, inProcess, rt).ready(-1), newClient(t, o, inProcess, rt).ready(-1)
	check(t, o.Inject(Fault{Kind: "unknown-client", ClientID: b.clientID, On: onSubscribe}))
	if rep := a.subscribe("/event/Order__e", -1); !rep.ok() {
		t.Errorf("the wrong session: %+v", rep)
	}
	publish(t, o, 1)
	if _, events := a.connect(); len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
	if rep := b.subscribe("/event/Order__e", -1); rep.Error != unknownClient {
		t.Errorf("the right session: %+v", rep)
	}
	// One subscribe of a batch fails, the others do not.
	check(t, o.Inject(Fault{Kind: "busy-hidden", Skip: 1}))
	var batch []string
	for _, ch := range []string{"/data/AccountChangeEvent", "/data/ContactChangeEvent", "/event/Order__e"} {
		batch = append(batch, fmt.Sprintf(`{"channel":"/meta/subscribe","clientId":%q,"subscription":%q}`, a.clientID, ch))
	}
	req, err := http.NewRequest("POST", inProcess+"/cometd/66.0", strings.NewReader("["+strings.Join(batch, ",")+"]"))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.token)
	res, err := a.http.Do(req)
	check(t, err)
	defer res.Body.Close()
	var replies []event
	check(t, json.NewDecoder(res.Body).Decode(&replies))
	if len(replies) != 3 || !replies[0].ok() || replies[1].ok() || !replies[2].ok() {
		t.Errorf("replies: %+v", replies)
	}
}

// The table in the package documentation is made of the kinds.
func TestDocumentedFaults(t *testing.T) {
	raw, err := os.ReadFile("doc.go")
	check(t, err)
	for _, k := range slices.Concat(FaultKinds(), QueryFaultKinds()) {
		on := "the org"
		if len(k.Fits) > 0 {
			on = strings.ReplaceAll(strings.Join(k.Fits, " "), "/meta/", "")
		}
		line := fmt.Sprintf("//\t%-22s on %s: %s", k.Name, on, k.Text)
		if k.Shape {
			line += " (form only)"
		}
		if k.Hole {
			line += " (leaves a hole)"
		}
		if !strings.Contains(string(raw), line+"\n") {
			t.Errorf("doc.go lacks the line\n%s", line)
		}
	}
}
