package orgsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// survivor is a client that gives a session up at the first trouble and begins
// a new one behind the last event that it had whole.
type survivor struct {
	t      *testing.T
	o      *Org
	c      *client
	ctx    context.Context
	base   string
	from   int64
	events []event
	seen   map[string]bool
}

func newSurvivor(ctx context.Context, t *testing.T, o *Org) *survivor {
	return &survivor{t: t, o: o, ctx: ctx, base: inProcess, from: -2, seen: map[string]bool{}}
}

func (s *survivor) ask(m map[string]any, limit time.Duration) (rep event, ok bool) {
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	got := s.c.raw(ctx, m)
	body := []byte(got.body)
	if len(body) > 0 && body[0] == '{' {
		body = append(append([]byte("["), body...), ']')
	}
	var all []struct {
		Channel    string          `json:"channel"`
		ClientID   string          `json:"clientId"`
		Successful *bool           `json:"successful"`
		Data       json.RawMessage `json:"data"`
		Advice     json.RawMessage `json:"advice"`
	}
	if got.err != nil || got.status != http.StatusOK || json.Unmarshal(body, &all) != nil {
		return rep, false
	}
	for _, e := range all {
		switch {
		case e.Channel == m["channel"]:
			rep.ClientID = e.ClientID
			ok = e.Successful != nil && *e.Successful && !bytes.Contains(e.Advice, []byte("handshake"))
		case !strings.HasPrefix(e.Channel, "/meta/"):
			var next event
			if err := json.Unmarshal(e.Data, &next.Data); err != nil {
				s.t.Error(err)
			}
			s.from = next.Data.Event.ReplayID
			if key := fmt.Sprint(s.from) + string(next.Data.Payload); !s.seen[key] {
				s.seen[key] = true
				s.events = append(s.events, next)
			}
		}
	}
	return rep, ok
}

// session lives as long as all goes well.
func (s *survivor) session(channel string) {
	if token, err := s.o.Issue(""); err == nil {
		jar, _ := cookiejar.New(nil)
		s.c = &client{t: s.t, base: s.base, token: token, http: &http.Client{Jar: jar, Transport: s.o.RoundTripper(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
		if i := s.o.instance.Load(); i != nil {
			s.c.base = i.url
		}
	}
	connect := func() map[string]any { return map[string]any{"channel": onConnect, "connectionType": "long-polling"} }
	rep, ok := s.ask(messageOn(onHandshake), 30*time.Second)
	s.c.clientID = rep.ClientID
	if ok {
		_, ok = s.ask(connect(), 30*time.Second)
	}
	if ok {
		_, ok = s.ask(map[string]any{"channel": onSubscribe, "subscription": channel, "ext": map[string]any{"replay": map[string]any{channel: s.from}}}, 30*time.Second)
	}
	for ok {
		_, ok = s.ask(connect(), 3*time.Minute)
	}
}

func (s *survivor) live(channel string) {
	for s.ctx.Err() == nil {
		s.session(channel)
		pause(s.ctx, time.Second)
	}
}

// survive lives through a plan in virtual time and returns the org and what was received.
func survive(t *testing.T, cfg Config, length time.Duration) (*Org, []event) {
	o := newOrg(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l, err := o.NewLoad(LoadConfig{Rate: .02})
		check(t, err)
		loading, stop := context.WithTimeout(ctx, length-time.Hour)
		defer stop()
		check(t, l.Run(loading))
	}()
	s := newSurvivor(ctx, t, o)
	s.live("/data/ChangeEvents")
	<-done
	return o, s.events
}

func changes(o *Org) (out []Entry) {
	for e := range o.LedgerFrom(0) {
		if e.ChangeType != "" {
			out = append(out, e)
		}
	}
	return out
}

// What DefaultMix promises: a client that does all right loses nothing.
func TestDefaultMixTakesNothingAway(t *testing.T) {
	met := map[string]bool{}
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			plan := Faults(seed, DefaultMix())
			plan.End = 47 * time.Hour
			o, got := survive(t, Config{Seed: seed, Faults: &plan, Delays: map[string]Delay{"": {Max: 20 * time.Second}}}, 48*time.Hour)
			want := changes(o)
			if len(got) != len(want) || len(want) < 1000 {
				t.Errorf("seed %d: %d events, ledger %d", seed, len(got), len(want))
				return
			}
			for i, e := range want {
				if got[i].Data.Event.ReplayID != e.ReplayID || !bytes.Equal(got[i].Data.Payload, e.Payload) {
					t.Errorf("seed %d: event %d is not the ledger's", seed, i)
					return
				}
			}
			for k := range o.FaultCounts() {
				met[k] = true
			}
		})
	}
	for k := range DefaultMix() {
		if !strings.Contains(k, ":") && !met[k] && k != "instance-moved" && k != "no-handshake" && k != "other-user" {
			t.Errorf("%s never came", k)
		}
	}
}

func TestPlanIsDeterministic(t *testing.T) {
	logOf := func(seed uint64) (text string) {
		synctest.Test(t, func(t *testing.T) {
			plan := Faults(seed, DefaultMix().Scale(2).With(Mix{"starvation": .01}).Without("instance-moved"))
			o, _ := survive(t, Config{Seed: 1, Faults: &plan}, 6*time.Hour)
			raw, err := json.Marshal(o.FaultLog())
			check(t, err)
			text = string(raw)
		})
		return text
	}
	a, b, c := logOf(1), logOf(1), logOf(2)
	if a != b || len(a) < 1000 {
		t.Errorf("one seed, two logs:\n%.2000s\n%.2000s", a, b)
	}
	if a == c {
		t.Error("two seeds, one log")
	}
	if strings.Contains(a, "instance-moved") {
		t.Error("a kind came that the mix does not have")
	}
}

func TestPlanSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		c := newClient(t, o, inProcess, o.RoundTripper())
		raw := `{"steps":[{"request":4,"fault":{"kind":"http-502"}},{"at":"90s","fault":{"kind":"sessions-forgotten"}},{"at":"30s","fault":{"kind":"busy","on":"/meta/connect","after":"10s"}},{"request":6,"fault":{"kind":"outage","for":"2s"}}]}`
		res, err := c.http.Post(inProcess+"/orgsim/faults", "application/json", strings.NewReader(raw))
		check(t, err)
		check(t, res.Body.Close())
		c.ready(-1, "/event/Order__e") // three requests
		if got := c.raw(t.Context(), messageOn(onConnect)); got.status != 502 {
			t.Errorf("request 4: %+v", got)
		}
		if got := c.raw(t.Context(), messageOn(onConnect)); got.took != 90*time.Second || !strings.Contains(got.body, unknownClient) {
			t.Errorf("the connect that was held when the clock reached 90 s: %+v", got)
		}
		c.clientID = ""
		c.handshake() // 6: the outage begins behind it
		if got := c.raw(t.Context(), messageOn(onConnect)); got.status != 503 {
			t.Errorf("outage: %+v", got)
		}
		wait(2 * time.Second)
		// What came at 30 s hits the next request that it fits.
		if got := c.raw(t.Context(), messageOn(onConnect)); got.took != 0 || !strings.Contains(got.body, `"successful":true`) {
			t.Errorf("a first connect is not held: %+v", got)
		}
		if kinds := fmt.Sprint(o.FaultCounts()); kinds != "map[busy:1 http-502:1 outage:1 sessions-forgotten:1]" {
			t.Errorf("counts: %s", kinds)
		}
		check(t, o.Inject(Fault{Kind: "http-500"}))
		o.StopFaults()
		if got := c.raw(t.Context(), map[string]any{"channel": onConnect, "connectionType": "long-polling", "advice": map[string]any{"timeout": 0}}); got.status != 200 {
			t.Errorf("after StopFaults: %+v", got)
		}
	})
}

// However much goes wrong, MaxRun and Calm let a client come through.
func TestPlanLeavesCalm(t *testing.T) {
	o := newOrg(t, Config{})
	plan := Faults(1, Mix{"http-503": 1})
	plan.MaxRun, plan.Calm = 2, 3
	check(t, o.RunFaults(plan))
	c := newClient(t, o, inProcess, o.RoundTripper())
	var got []int
	for range 10 {
		got = append(got, c.raw(t.Context(), messageOn(onHandshake)).status)
	}
	if want := []int{503, 503, 200, 200, 200, 503, 503, 200, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestFaultControl(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	post := func(path, body string) (int, string) {
		res := restRequest(t, base, "", "POST", "/orgsim/"+path, body, nil)
		return res.StatusCode, res.Header.Get("Content-Type")
	}
	for path, body := range map[string]string{
		"faults": `{"seed":4,"mix":{"cut":0.1,"rest:http-503":0.2},"end":"2h"}`, "faults/stop": "", "starve": `{"channel":"/event/Order__e","until":"tip","rows":3}`,
		"feed": "", "delay": `{"object":"Account","delay":{"min":"1s","max":"3s"}}`, "outage": `{"for":"1ms"}`, "share-ids": `{"count":2}`,
		"move": `{"address":""}`, "refuse": `{"on":"rest"}`, "fault": `{"kind":"drip","bytes":3,"interval":"10ms"}`,
	} {
		if status, _ := post(path, body); status != 200 {
			t.Errorf("%s: HTTP %d", path, status)
		}
	}
	for path, body := range map[string]string{
		"faults": `{"mix":{"nope":1}}`, "fault": `{"kind":"cut","byte":3}`, "starve": `{"until":"x"}`, "delay": `{"object":"Nope"}`, "outage": `{"for":"soon"}`,
	} {
		if status, _ := post(path, body); status < 400 {
			t.Errorf("%s %s: HTTP %d", path, body, status)
		}
	}
	var all struct {
		Kinds      []FaultKind
		DefaultMix Mix
	}
	restRequest(t, base, "", "GET", "/orgsim/faults", "", &all)
	if len(all.Kinds) != len(FaultKinds()) || len(all.DefaultMix) != len(DefaultMix()) {
		t.Errorf("catalogue: %d kinds", len(all.Kinds))
	}
}
