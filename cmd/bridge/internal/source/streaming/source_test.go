package streaming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/cometd/cometdtest"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/salesforce"
)

const (
	orgID    = "00Dxx0000001gPLEAY"
	accounts = "/data/AccountChangeEvent"
	contacts = "/data/ContactChangeEvent"
)

// grants hands out the tokens t1, t2, … of one org, or an error.
type grants struct {
	n   int
	org string
	err error
}

func (g *grants) Exchange(context.Context) (salesforce.Token, error) {
	if g.err != nil {
		return salesforce.Token{}, g.err
	}
	g.n++
	return salesforce.Token{
		Access: salesforce.Secret(fmt.Sprintf("t%d", g.n)), OrgID: g.org, InstanceURL: "https://org.example/",
	}, nil
}

// fixture is a source in a bubble, and what it told its lane.
type fixture struct {
	*Source
	server     *cometdtest.Server
	grants     *grants
	subscribed map[string]bool
	rewound    []string
	forward    bool // the lane does not know since when events are wanted
	ended      []pipeline.Condition
	alive      int
	idle       int
}

func open(t *testing.T, server *cometdtest.Server, streams ...pipeline.Resume) *fixture {
	t.Helper()
	f := &fixture{server: server, grants: &grants{org: orgID}, subscribed: make(map[string]bool)}
	var err error
	f.Source, err = Open(Config{
		Client: cometd.Config{Transport: f.server}, Tokens: salesforce.NewTokenSource(f.grants), APIVersion: "66.0", OrgID: orgID,
	}, streams, pipeline.SourceTrace{
		Subscribed:   func(channel string, on bool) { f.subscribed[channel] = on },
		SessionEnded: func(why pipeline.Condition) { f.ended = append(f.ended, why) },
		Rewind: func(channel string) bool {
			f.rewound = append(f.rewound, channel)
			return !f.forward
		},
		Alive: func() { f.alive++ }, Idle: func() { f.idle++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close(context.Background()) })
	return f
}

func earliest(channel string) pipeline.Resume {
	return pipeline.Resume{Channel: channel, Start: pipeline.Start{Earliest: true}}
}

func after(channel, position string) pipeline.Resume {
	return pipeline.Resume{Channel: channel, Start: pipeline.Start{After: replay.Position(position)}}
}

// data is a change event without its replay id, which the server adds.
func data(n int) string { return fmt.Sprintf(`{"schema":"s1","payload":{"n":%d}}`, n) }

// take reads until n events have come, over any number of batches; errors that
// the policy would live through are passed over.
func (f *fixture) take(t *testing.T, n int) (payloads, positions []string) {
	t.Helper()
	for len(payloads) < n {
		b, err := f.Next(t.Context())
		if err != nil && pipeline.Decide(pipeline.Classify(err), false).Action != pipeline.GoOn {
			t.Fatal(err)
		}
		size := 0
		for _, ev := range b.Events {
			payloads, positions = append(payloads, string(ev.Payload)), append(positions, ev.Position)
			size += len(ev.Payload)
			if ev.SchemaID != "s1" || ev.ReceivedAt.IsZero() {
				t.Fatalf("%+v", ev)
			}
		}
		if size != b.Bytes {
			t.Fatalf("%d bytes said, %d are there", b.Bytes, size)
		}
	}
	return payloads, positions
}

func TestResumesEachStreamAfterItsPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		position := server.Publish(accounts, data(1))
		server.Publish(accounts, data(2))
		server.Publish(contacts, data(3))
		f := open(t, server, earliest(contacts), after(accounts, fmt.Sprint(position)))
		payloads, positions := f.take(t, 2)
		slices.Sort(payloads)
		if !slices.Equal(payloads, []string{`{"n":2}`, `{"n":3}`}) || slices.Contains(positions, "") {
			t.Errorf("payloads %v at %v", payloads, positions)
		}
		if !f.subscribed[accounts] || !f.subscribed[contacts] || f.alive == 0 {
			t.Errorf("told: %v subscribed, %d times alive", f.subscribed, f.alive)
		}
	})
}

// A request that the org held and answered with nothing shows that nothing waits;
// one that it answered at once shows nothing, nor does one that failed.
func TestOnlyAHeldRequestShowsThatNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		failing := false
		server.Fault = func(r *cometdtest.Request) *cometdtest.Fault {
			if failing && r.Channel == "/meta/connect" {
				return &cometdtest.Fault{Delay: time.Minute, Error: "503::Server is too busy", Advice: `{"reconnect":"retry","interval":1000}`}
			}
			return nil
		}
		f := open(t, server, earliest(accounts))
		server.Publish(accounts, data(1))
		f.take(t, 1)
		if f.idle != 0 {
			t.Errorf("idle %d times before a request was held", f.idle)
		}
		f.rest(t)
		if f.idle != 1 {
			t.Errorf("idle %d times after a request that was held and empty", f.idle)
		}
		failing = true
		if _, err := f.Next(t.Context()); err == nil || f.idle != 1 {
			t.Errorf("error %v, idle %d times after a request that failed", err, f.idle)
		}
	})
}

// rest waits until a request has been held to its end.
func (f *fixture) rest(t *testing.T) {
	t.Helper()
	f.Wake()
	if b, err := f.Next(t.Context()); err != nil || len(b.Events) > 0 {
		t.Fatalf("%d events, %v", len(b.Events), err)
	}
	time.AfterFunc(time.Second, f.Wake)
	if b, err := f.Next(t.Context()); err != nil || len(b.Events) > 0 {
		t.Fatalf("%d events, %v", len(b.Events), err)
	}
}

// A session that is given up to rouse a stream is counted as that, and goes on
// behind the last event; a stream can be roused within its session too.
func TestRousing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		f := open(t, server, earliest(accounts), earliest(contacts))
		server.Publish(accounts, data(1))
		f.take(t, 1)
		f.rest(t)
		if err := f.Resubscribe(accounts); err != nil {
			t.Fatal(err)
		}
		server.Publish(accounts, data(2))
		if payloads, _ := f.take(t, 1); payloads[0] != `{"n":2}` || len(f.ended) != 0 {
			t.Errorf("%v came, sessions ended: %v", payloads, f.ended)
		}
		f.rest(t)
		f.Renew()
		server.Publish(accounts, data(3))
		if payloads, _ := f.take(t, 1); payloads[0] != `{"n":3}` || !slices.Equal(f.ended, []pipeline.Condition{pipeline.Starving}) {
			t.Errorf("%v came, sessions ended: %v", payloads, f.ended)
		}
	})
}

// A token that expires in mid-session is renewed once, and nothing is lost or
// doubled by it.
func TestExpiredTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, &cometdtest.Server{}, earliest(accounts))
		good := "Bearer t1"
		f.server.Token = func(a string) bool { return a == good }
		f.server.Publish(accounts, data(1))
		f.take(t, 1)
		good = "Bearer t2"
		time.AfterFunc(time.Minute, func() { f.server.Publish(accounts, data(2)) })
		if payloads, _ := f.take(t, 1); payloads[0] != `{"n":2}` {
			t.Errorf("got %v", payloads)
		}
		if f.grants.n != 2 || len(f.ended) != 1 {
			t.Errorf("%d tokens, sessions ended %v; want 2 and one", f.grants.n, f.ended)
		}
	})
}

func TestRefusedSubscriptionLeavesTheOthers(t *testing.T) {
	for text, want := range map[string]pipeline.Condition{
		"400::The replayId {7} you provided was invalid.  Please provide a valid ID, -2 to replay all events, or -1 to replay only new events.": pipeline.ReplayInvalid,
		"400::The channel you requested to subscribe to does not exist {" + contacts + "}":                                                      pipeline.ChannelRefused,
		"403::Subscriber does not have access to the entity in this topic":                                                                      pipeline.ChannelRefused,
		"403::Organization total events daily limit exceeded":                                                                                   pipeline.LimitExceeded,
	} {
		t.Run(text, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := open(t, &cometdtest.Server{}, earliest(accounts), after(contacts, "7"))
				f.server.Refuse = func(channel string) string {
					if channel == contacts {
						return text
					}
					return ""
				}
				f.server.Publish(accounts, data(1))
				_, err := f.Next(t.Context())
				src, ok := errors.AsType[*pipeline.SourceError](err)
				if !ok || src.Condition != want || src.Channel != contacts {
					t.Fatalf("got %v, want %s of %s", err, want, contacts)
				}
				f.take(t, 1)
			})
		})
	}
}

func TestRestartAndHalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		server.Publish(accounts, data(1))
		f := open(t, server, after(accounts, "99"), earliest(contacts))
		if _, err := f.Next(t.Context()); pipeline.Classify(err) != pipeline.ReplayInvalid {
			t.Fatalf("got %v, want the replay id refused", err)
		}
		if err := f.Restart(accounts, pipeline.Start{Earliest: true}); err != nil {
			t.Fatal(err)
		}
		if err := f.Halt(contacts); err != nil {
			t.Fatal(err)
		}
		server.Publish(contacts, data(2))
		server.Publish(accounts, data(3))
		if payloads, _ := f.take(t, 2); !slices.Equal(payloads, []string{`{"n":1}`, `{"n":3}`}) {
			t.Errorf("got %v, want the restarted stream from its beginning and nothing of the halted one", payloads)
		}
	})
}

// A session that ends before the first event of a stream that begins at
// "latest" must not make the stream begin later.
func TestLatestSurvivesALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		server.Publish(accounts, data(1)) // before the beginning
		f := open(t, server, pipeline.Resume{Channel: accounts, Start: pipeline.Start{Latest: true}})
		time.AfterFunc(time.Minute, func() {
			server.Forget()
			server.Publish(accounts, data(2)) // nobody is subscribed now
		})
		payloads, _ := f.take(t, 2)
		if !slices.Equal(payloads, []string{`{"n":1}`, `{"n":2}`}) || !slices.Equal(f.rewound, []string{accounts}) {
			t.Errorf("got %v, rewound %v; want the stream from the earliest event, and the lane told", payloads, f.rewound)
		}
		server.Forget()
		server.Publish(accounts, data(3))
		if payloads, _ := f.take(t, 1); payloads[0] != `{"n":3}` || len(f.rewound) != 1 {
			t.Errorf("got %v, rewound %v; want the stream behind its last event", payloads, f.rewound)
		}
	})
}

func TestLatestByPolicyIsLatestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		server.Publish(accounts, data(1))
		f := open(t, server, pipeline.Resume{Channel: accounts, Start: pipeline.Start{Latest: true}})
		f.forward = true
		time.AfterFunc(time.Minute, server.Forget)
		time.AfterFunc(time.Hour, func() { server.Publish(accounts, data(2)) })
		if payloads, _ := f.take(t, 1); payloads[0] != `{"n":2}` || len(f.rewound) != 1 {
			t.Errorf("got %v, asked %v", payloads, f.rewound)
		}
	})
}

func TestTokenOfAnotherOrg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, &cometdtest.Server{}, earliest(accounts))
		f.grants.org = "00Dyy0000001gPLEAY"
		_, err := f.Next(t.Context())
		if pipeline.Classify(err) != pipeline.PositionsBad || !strings.Contains(err.Error(), "00Dyy0000001gPLEAY") {
			t.Errorf("got %v", err)
		}
	})
}

func TestPositionsThatAreNoReplayIDs(t *testing.T) {
	for _, position := range []string{"", "twelve", "-1", "1.5", "99999999999999999999"} {
		_, err := Open(Config{}, []pipeline.Resume{after(accounts, position)}, pipeline.SourceTrace{})
		if pipeline.Classify(err) != pipeline.PositionsBad || !strings.Contains(fmt.Sprint(err), accounts) {
			t.Errorf("position %q: %v", position, err)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		err  error
		want pipeline.Condition
	}{
		{&cometd.NetworkError{Err: errors.New("reset")}, pipeline.Transient},
		{&cometd.HTTPError{Status: 503}, pipeline.Transient},
		{&cometd.HTTPError{Status: 404}, pipeline.Misconfigured},
		{&cometd.FrameError{Problem: "x"}, pipeline.Malformed},
		{&cometd.AuthError{Err: errors.New("401")}, pipeline.SessionLost},
		{&cometd.AuthError{Fresh: true, Err: errors.New("401")}, pipeline.Unauthorized},
		{&cometd.AuthorizeError{Err: &salesforce.OAuthError{Code: "invalid_grant", Description: "user hasn't approved this consumer"}}, pipeline.Unauthorized},
		{&cometd.AuthorizeError{Err: &salesforce.NetworkError{Err: errors.New("reset")}}, pipeline.Transient},
		{&cometd.AuthorizeError{Err: &salesforce.OrgChangedError{From: "a", To: "b"}}, pipeline.PositionsBad},
		{&cometd.AuthorizeError{Err: &OtherOrgError{Want: "a", Got: "b"}}, pipeline.PositionsBad},
		{&cometd.SubscriptionError{Reason: cometd.ReasonBusy, Err: &cometd.ReplyError{}}, pipeline.Transient},
		{&cometd.SubscriptionError{Reason: cometd.ReasonOther, Err: &cometd.ReplyError{}}, pipeline.ChannelRefused},
		{cometd.ErrNoReplay, pipeline.Misconfigured},
		{cometd.ErrClosed, pipeline.Unforeseen},
		{cometd.ErrNoSubscription, pipeline.Unforeseen},
		{context.Canceled, pipeline.Stopped},
	} {
		if got := pipeline.Classify(sourceError(fmt.Errorf("wrapped: %w", c.err))); got != c.want {
			t.Errorf("%T %v: %s, want %s", c.err, c.err, got, c.want)
		}
	}
}
