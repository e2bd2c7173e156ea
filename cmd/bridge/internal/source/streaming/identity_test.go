package streaming

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// numbered is a message with a replay id that the server did not give out.
func numbered(channel string, id int64) string {
	return fmt.Sprintf(`{"data":{"schema":"s1","event":{"replayId":%d},"payload":{"n":0}},"channel":"%s"}`, id, channel)
}

// sent is what Next returns when the server sends a message as it is.
func (f *fixture) sent(t *testing.T, message string) (pipeline.Batch, error) {
	t.Helper()
	time.AfterFunc(time.Minute, func() { f.server.Send(message) }) // the session is there by then
	return f.Next(t.Context())
}

func foreign(t *testing.T, b pipeline.Batch, err error, channel string) {
	t.Helper()
	src, ok := errors.AsType[*pipeline.SourceError](err)
	_, reset := errors.AsType[*BusResetError](err)
	if !ok || !reset || src.Condition != pipeline.PositionForeign || src.Channel != channel || len(b.Events) > 0 {
		t.Errorf("%d events, %v", len(b.Events), err)
	}
}

// A bus that takes an old id and begins elsewhere shows it by the first event.
func TestFirstEventBelowThePosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		for n := range 5 {
			server.Publish(accounts, data(n))
		}
		f := open(t, server, after(accounts, "5"), earliest(contacts))
		b, err := f.sent(t, numbered(accounts, 2))
		foreign(t, b, err, accounts)
	})
}

// What the org sends twice, ids that go back later, and the first events of streams
// that were not subscribed behind an id are no sign of anything.
func TestIdsThatProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		for n := range 5 {
			server.Publish(accounts, data(n))
		}
		f := open(t, server, after(accounts, "5"), earliest(contacts))
		for _, message := range []string{numbered(accounts, 5), numbered(accounts, 4), numbered(accounts, 7), numbered(accounts, 6), numbered(contacts, 1)} {
			if b, err := f.sent(t, message); err != nil || len(b.Events) != 1 {
				t.Errorf("%s: %d events, %v", message, len(b.Events), err)
			}
		}
	})
}

// In each new session, and in a new subscription, streams go on behind the last
// event taken, and the first event has to follow that.
func TestFirstEventBelowTheLastOneTaken(t *testing.T) {
	for name, again := range map[string]func(*testing.T, *fixture){
		"session":      func(_ *testing.T, f *fixture) { f.server.Forget() },
		"subscription": func(t *testing.T, f *fixture) { check(t, f.Resubscribe(accounts)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &cometdtest.Server{}
				f := open(t, server, earliest(accounts))
				for n := range 3 {
					server.Publish(accounts, data(n))
				}
				f.take(t, 3)
				again(t, f)
				b, err := f.sent(t, numbered(accounts, 2))
				for err != nil && pipeline.Decide(pipeline.Classify(err), false).Action == pipeline.GoOn {
					b, err = f.Next(t.Context())
				}
				foreign(t, b, err, accounts)
			})
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Before the first events of a session that is not the first are handed on, it is
// asked whether the org is still where it was.
func TestWhereTheOrgLivesIsAskedInEachSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		f := open(t, server, earliest(accounts))
		asked, moved := 0, error(nil)
		f.moved = func(context.Context) error { asked++; return moved }
		publish := func(n int) {
			for range n {
				server.Publish(accounts, data(n))
			}
		}
		publish(2)
		f.take(t, 2)
		if asked != 0 {
			t.Errorf("asked %d times in the first session", asked)
		}
		server.Forget()
		publish(2)
		f.take(t, 2)
		publish(1)
		f.take(t, 1)
		if asked != 1 {
			t.Errorf("asked %d times in the second session", asked)
		}
		server.Forget()
		moved = errors.New("it has moved")
		publish(1)
		b, err := f.Next(t.Context())
		for pipeline.Decide(pipeline.Classify(err), false).Action == pipeline.GoOn {
			b, err = f.Next(t.Context())
		}
		if !errors.Is(err, moved) || pipeline.Classify(err) != pipeline.OrgMoved || len(b.Events) > 0 {
			t.Errorf("%d events, %v", len(b.Events), err)
		}
	})
}
