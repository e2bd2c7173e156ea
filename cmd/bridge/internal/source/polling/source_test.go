package polling

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
)

// next is what one call of Next gives, and how long it took.
func (p *polled) next(t *testing.T, within time.Duration) (pipeline.Batch, time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	began := time.Now()
	b, err := p.Next(ctx)
	return b, time.Since(began), err
}

func newAccounts(t *testing.T, n int, what Stream) *polled {
	t.Helper()
	p := newPolled(t, nil, map[string]Stream{"/query/Account": what})
	for range n {
		_, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
		must(t, err)
	}
	p.open(t)
	return p
}

// Trouble of the org is told with its condition, and the next question waits longer each
// time.
func TestTroubleIsPaced(t *testing.T) {
	for status, c := range map[int]struct {
		code string
		want pipeline.Condition
		wait time.Duration
	}{
		503: {"", pipeline.Transient, 7 * time.Second},
		403: {"REQUEST_LIMIT_EXCEEDED", pipeline.LimitExceeded, 3 * limitPause},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newAccounts(t, 1, Stream{Object: "Account"})
			calls := 0
			p.Source.cfg.Spend = func(context.Context, int) error {
				calls++
				return &salesforce.APIError{Status: status, Code: c.code, Message: "no"}
			}
			began := time.Now()
			for range 4 {
				if _, _, err := p.next(t, time.Hour); pipeline.Classify(err) != c.want {
					t.Fatalf("%v", err)
				}
			}
			if waited := time.Since(began); waited < c.wait || waited > 2*c.wait || calls != 4 {
				t.Errorf("4 questions took %s, %d calls", waited, calls)
			}
		})
	}
}

// A login that leads to another org, or nowhere, is told as such.
func TestConditions(t *testing.T) {
	for _, c := range []struct {
		err  error
		want pipeline.Condition
	}{
		{&salesforce.OrgChangedError{From: "a", To: "b"}, pipeline.PositionsBad},
		{&salesforce.OAuthError{Code: "invalid_grant"}, pipeline.Unauthorized},
		{&salesforce.APIError{Status: 401}, pipeline.Unauthorized},
		{&salesforce.NetworkError{Err: errors.New("cut")}, pipeline.Transient},
		{&salesforce.APIError{Status: 400, Code: "INVALID_TYPE"}, pipeline.ChannelRefused},
		{&salesforce.RowError{Object: "Account"}, pipeline.ChannelRefused},
		{&salesforce.ConfigError{}, pipeline.Misconfigured},
		{errors.New("no calls are left"), pipeline.LimitExceeded},
	} {
		if got := pipeline.Classify(sourceError("/query/x", c.err)); got != c.want {
			t.Errorf("%v is %s, want %s", c.err, got, c.want)
		}
	}
	if err := sourceError("/query/x", context.Canceled); !errors.Is(err, context.Canceled) || pipeline.Classify(err) != pipeline.Stopped {
		t.Errorf("%v", err)
	}
}

// Next is woken, ends with its context, and a halted stream is not asked about.
func TestNextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newAccounts(t, 1, Stream{Object: "Account", Every: time.Hour})
		if b, _, err := p.next(t, time.Minute); err != nil || len(b.Events) != 1 {
			t.Fatalf("%d events, %v", len(b.Events), err)
		}
		time.AfterFunc(10*time.Second, p.Wake)
		if b, took, err := p.next(t, time.Minute); err != nil || len(b.Events) != 0 || took != 10*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if _, took, err := p.next(t, time.Minute); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("%v after %s", err, took)
		}
		must(t, p.Halt("/query/Account"))
		must(t, p.Halt("/query/Account"))
		calls := p.cfg.Client.Calls()
		if _, _, err := p.next(t, 10*time.Hour); !errors.Is(err, context.DeadlineExceeded) || p.cfg.Client.Calls() != calls {
			t.Errorf("%v, and %d calls", err, p.cfg.Client.Calls()-calls)
		}
	})
}

// A stream is looked at before its time when it is told to, and from another place.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newAccounts(t, 3, Stream{Object: "Account", Every: 10 * time.Hour})
		p.read(t, time.Minute)
		_, err := p.org.Create("Account", orgsim.Fields{"Name": "More"})
		must(t, err)
		must(t, p.Resubscribe("/query/Account"))
		if b, took, err := p.next(t, time.Minute); err != nil || len(b.Events) != 1 || took > time.Second {
			t.Errorf("%d events after %s, %v", len(b.Events), took, err)
		}
		must(t, p.Restart("/query/Account", pipeline.Start{Earliest: true}))
		if b, _, err := p.next(t, time.Minute); err != nil || len(b.Events) != 4 {
			t.Errorf("%d events, %v", len(b.Events), err)
		}
		_, err = p.org.Create("Account", orgsim.Fields{"Name": "Last"})
		must(t, err)
		p.Renew()
		if b, _, err := p.next(t, time.Minute); err != nil || len(b.Events) != 1 {
			t.Errorf("%d events, %v", len(b.Events), err)
		}
		pass(time.Hour)
		_, err = p.org.Create("Account", orgsim.Fields{"Name": "Now"})
		must(t, err)
		must(t, p.Restart("/query/Account", pipeline.Start{Latest: true}))
		if b, _, err := p.next(t, time.Minute); err != nil || len(b.Events) != 1 {
			t.Errorf("%d events, %v", len(b.Events), err)
		}
		must(t, p.Close(t.Context()))
	})
}

// What begins with "latest" has nothing that was settled before.
func TestLatestIsFromNowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newAccounts(t, 5, Stream{Object: "Account"})
		pass(time.Hour)
		_, err := p.org.Create("Account", orgsim.Fields{"Name": "Old"})
		must(t, err)
		pass(time.Hour)
		p.Source, err = Open(p.cfg, []pipeline.Resume{{Channel: "/query/Account", Start: pipeline.Start{Latest: true}}}, p.trace)
		must(t, err)
		p.read(t, time.Minute)
		_, err = p.org.Create("Account", orgsim.Fields{"Name": "New"})
		must(t, err)
		p.read(t, 2*time.Minute)
		if got := p.rows["/query/Account"]; len(got) != 2 { // the last one before is the org's time
			t.Errorf("%d rows", len(got))
		}
	})
}

// A page that does not fit into a batch comes in several, and none is larger than it
// must be.
func TestBatchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, nil, map[string]Stream{"/query/Account": {Object: "Account"}})
		for range 200 {
			_, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme", "Description": string(make([]byte, 0, 1)) + "0123456789012345678901234567890123456789"})
			must(t, err)
		}
		pass(time.Hour)
		p.cfg.MaxEvents, p.cfg.MaxBytes = 70, 5_000
		p.open(t)
		n := 0
		for n < 200 {
			b, _, err := p.next(t, 10*time.Minute)
			must(t, err)
			if n += len(b.Events); b.Bytes > 3*p.cfg.MaxBytes || len(b.Events) > 70 {
				t.Fatalf("a batch of %d events and %d bytes", len(b.Events), b.Bytes)
			}
		}
	})
}

// A stream with much to read does not keep another from its turn.
func TestStreamsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolled(t, nil, map[string]Stream{"/query/Account": {Object: "Account"}, "/query/Contact": {Object: "Contact", Every: 5 * time.Second}})
		contact := func(n int) {
			for range n {
				_, err := p.org.Create("Contact", orgsim.Fields{"Name": orgsim.Fields{"LastName": "Byron"}})
				must(t, err)
			}
		}
		for range 300 {
			_, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
			must(t, err)
		}
		contact(50)
		pass(time.Hour)
		p.cfg.MaxEvents = 10
		p.open(t)
		came := map[string]int{}
		for i := range 25 {
			if i == 12 {
				contact(1)
			}
			pass(time.Second) // as a page takes
			b, _, err := p.next(t, time.Minute)
			must(t, err)
			came[b.Events[0].Channel]++
		}
		if came["/query/Contact"] != 6 || came["/query/Account"] != 19 {
			t.Errorf("%v", came)
		}
	})
}

// What a look costs where nothing has changed.
func TestCallsOfQuietLooks(t *testing.T) {
	for deletions, calls := range map[Deletions]uint64{QueryAll: 10, NoDeletions: 10, Deleted: 20} {
		synctest.Test(t, func(t *testing.T) {
			p := newAccounts(t, 3, Stream{Object: "Account", Every: time.Minute, Deletions: deletions})
			p.read(t, 5*time.Minute+30*time.Second)
			before := p.cfg.Client.Calls()
			p.read(t, 10*time.Minute)
			if got := p.cfg.Client.Calls() - before; got != calls {
				t.Errorf("%s: %d calls for 10 looks, want %d", deletions, got, calls)
			}
		})
	}
}

func TestSourcesThatCannotBeOpened(t *testing.T) {
	if _, err := Open(Config{}, nil, pipeline.SourceTrace{}); err == nil {
		t.Error("a source without a client")
	}
	synctest.Test(t, func(t *testing.T) {
		p := newAccounts(t, 0, Stream{Object: "Account"})
		_, err := Open(p.cfg, []pipeline.Resume{{Channel: "/query/Other", Start: pipeline.Start{Earliest: true}}}, p.trace)
		if pipeline.Classify(err) != pipeline.ChannelRefused {
			t.Errorf("%v", err)
		}
	})
}
