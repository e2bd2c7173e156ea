package orgsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// client is a small Bayeux client by hand: one session, no recovery.
type client struct {
	t        testing.TB
	http     *http.Client
	base     string
	token    string
	clientID string
	n        int
}

type event struct {
	Channel string `json:"channel"`
	Data    struct {
		Schema  string          `json:"schema"`
		Payload json.RawMessage `json:"payload"`
		Sobject json.RawMessage `json:"sobject"`
		Event   struct {
			ReplayID     int64  `json:"replayId"`
			EventUUID    string `json:"EventUuid"`
			EventAPIName string `json:"EventApiName"`
			Type         string `json:"type"`
			CreatedDate  string `json:"createdDate"`
		} `json:"event"`
	} `json:"data"`
	reply
	Successful *bool `json:"successful"`
}

func newOrg(t testing.TB, cfg Config) *Org {
	t.Helper()
	o, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// serve puts the org on a loopback port.
func serve(t testing.TB, o *Org) string {
	t.Helper()
	srv := httptest.NewServer(o.Handler())
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	return srv.URL
}

func newClient(t testing.TB, o *Org, base string, rt http.RoundTripper) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := o.Issue("")
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, base: base, token: token, http: &http.Client{Jar: jar, Transport: rt}}
}

// send posts one message and returns the HTTP response and its body as far as it arrived.
func (c *client) send(ctx context.Context, m map[string]any) (*http.Response, []byte, error) {
	c.n++
	m["id"] = fmt.Sprint(c.n)
	if c.clientID != "" {
		m["clientId"] = c.clientID
	}
	raw, err := json.Marshal([]any{m})
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/cometd/66.0", bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res, body, err
}

// call sends a message and returns its reply and the events that came with it.
func (c *client) call(channel string, m map[string]any) (event, []event) {
	c.t.Helper()
	if m == nil {
		m = map[string]any{}
	}
	m["channel"] = channel
	res, body, err := c.send(context.Background(), m)
	if err != nil {
		c.t.Fatalf("%s: %v", channel, err)
	}
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: HTTP %d: %s", channel, res.StatusCode, body)
	}
	return split(c.t, body, channel)
}

func split(t testing.TB, body []byte, channel string) (rep event, events []event) {
	t.Helper()
	var all []event
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatalf("reply is not JSON: %v: %.300s", err, body)
	}
	found := false
	for _, e := range all {
		switch {
		case e.Channel == channel:
			rep, found = e, true
		case !strings.HasPrefix(e.Channel, "/meta/"):
			events = append(events, e)
		}
	}
	if !found {
		t.Fatalf("no reply on %s in %.300s", channel, body)
	}
	return rep, events
}

func (e event) ok() bool { return e.Successful != nil && *e.Successful }

func (c *client) handshake() {
	c.t.Helper()
	rep, _ := c.call("/meta/handshake", map[string]any{"version": "1.0", "supportedConnectionTypes": []string{"long-polling"}, "ext": map[string]any{"replay": true}})
	if !rep.ok() {
		c.t.Fatalf("handshake refused: %s", rep.Error)
	}
	c.clientID = rep.ClientID
}

func (c *client) connect() (event, []event) {
	c.t.Helper()
	return c.call("/meta/connect", map[string]any{"connectionType": "long-polling"})
}

func (c *client) subscribe(channel string, replay any) event {
	c.t.Helper()
	rep, _ := c.call("/meta/subscribe", map[string]any{"subscription": channel, "ext": map[string]any{"replay": map[string]any{channel: replay}}})
	return rep
}

// ready is a session after its first connect, subscribed to the channels from the replay id.
func (c *client) ready(replay any, channels ...string) *client {
	c.t.Helper()
	c.handshake()
	if rep, _ := c.connect(); !rep.ok() {
		c.t.Fatalf("first connect: %s", rep.Error)
	}
	for _, ch := range channels {
		if rep := c.subscribe(ch, replay); !rep.ok() {
			c.t.Fatalf("subscribe %s: %s", ch, rep.Error)
		}
	}
	return c
}

// collect connects until n events are there.
func (c *client) collect(n int) []event {
	c.t.Helper()
	var out []event
	for len(out) < n {
		rep, events := c.connect()
		if !rep.ok() {
			c.t.Fatalf("connect: %s", rep.Error)
		}
		out = append(out, events...)
	}
	return out
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %s", what)
		case <-tick.C:
		}
	}
}

// heldConnect sends a connect and returns once the org holds it; wait gives its outcome.
func (c *client) heldConnect(o *Org) (wait func() (*http.Response, []byte, error)) {
	c.t.Helper()
	type outcome struct {
		res  *http.Response
		body []byte
		err  error
	}
	ch := make(chan outcome, 1)
	go func() {
		res, body, err := c.send(context.Background(), map[string]any{"channel": "/meta/connect", "connectionType": "long-polling"})
		ch <- outcome{res, body, err}
	}()
	until(c.t, "a held connect", func() bool {
		for _, s := range o.Sessions() {
			if s.ClientID == c.clientID && s.Held {
				return true
			}
		}
		return false
	})
	return func() (*http.Response, []byte, error) { x := <-ch; return x.res, x.body, x.err }
}

func tokenRequest(t testing.TB, base string, form url.Values) (int, map[string]string) {
	t.Helper()
	res, err := http.PostForm(base+"/services/oauth2/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]string
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, out
}

func restRequest(t testing.TB, base, token, method, path, body string, v any) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil {
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return res
}

// rest reads a REST resource into v, whatever the status, and returns the
// Sforce-Limit-Info header.
func (c *client) rest(path string, v any) string {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodGet, c.base+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		c.t.Fatal(err)
	}
	return res.Header.Get("Sforce-Limit-Info")
}
