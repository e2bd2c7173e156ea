package pipeline

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/sink"
)

// once makes the nth call of Next fail.
func once(n int, cond Condition, channel string) func(int) error {
	return func(call int) error {
		if call == n {
			return &SourceError{Condition: cond, Channel: channel, Err: errLost}
		}
		return nil
	}
}

func TestTroubleAtTheStartEndsTheProcess(t *testing.T) {
	for cond, code := range map[Condition]int{
		Unauthorized: ExitEnvironment, Misconfigured: ExitUsage, PositionsBad: ExitEnvironment, Unforeseen: ExitRuntime,
	} {
		t.Run(string(cond), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.onNext = once(1, cond, "")
				wantExit(t, w.lane(&Stats{}, stream(accounts)).Run(t.Context(), t.Context()), code, "lost")
			})
		})
	}
	t.Run("channel refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.onNext = once(1, ChannelRefused, contacts)
			err := w.lane(&Stats{}, stream(accounts), stream(contacts)).Run(t.Context(), t.Context())
			wantExit(t, err, ExitUsage, contacts)
		})
	})
}

func TestTroubleLaterIsLivedThrough(t *testing.T) {
	for _, cond := range []Condition{Unauthorized, Misconfigured, Transient, LimitExceeded, SessionLost} {
		t.Run(string(cond), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stats := newWorld(), &Stats{}
				w.publish(accounts, 5)
				w.onNext = once(2, cond, "")
				if err := carry(t, w.lane(stats, stream(accounts)), func() { w.publish(accounts, 5) }); err != nil {
					t.Fatal(err)
				}
				w.exactly(t, accounts)
			})
		})
	}
}

func TestChannelRefusedLaterHaltsOnlyThatStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 5)
		w.onNext = once(2, ChannelRefused, contacts)
		if err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), func() { w.publish(accounts, 5) }); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		if stats.Stream(contacts).haltedWhy() == "" || stats.Stream(accounts).haltedWhy() != "" {
			t.Error("want contacts halted and accounts not")
		}
	})
}

func TestExpiredPositionGoesOnByPolicy(t *testing.T) {
	for name, policy := range map[string]Start{"earliest": {Earliest: true}, "latest": {Latest: true}, "halt": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stats := newWorld(), &Stats{}
				w.onNext = once(1, ReplayInvalid, accounts)
				s := stream(accounts)
				s.OnExpired = policy
				if err := carry(t, w.lane(stats, s, stream(contacts)), nil); err != nil {
					t.Fatal(err)
				}
				halted := stats.Stream(accounts).haltedWhy() != ""
				if want := name == "halt"; halted != want || slices.Contains(w.restarts, accounts) == want {
					t.Errorf("halted %t, restarted %v", halted, w.restarts)
				}
			})
		})
	}
}

func TestReplyThatIsNeverAFrameEndsTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.publish(accounts, 1)
		w.onNext = func(call int) error {
			if call > 1 {
				return &SourceError{Condition: Malformed, Err: errLost}
			}
			return nil
		}
		wantExit(t, w.lane(&Stats{}, stream(accounts)).Run(t.Context(), t.Context()), ExitHalted, "no valid frame")
		if w.nexts != 1+malformedLimit {
			t.Errorf("%d calls of Next, want %d", w.nexts, 1+malformedLimit)
		}
	})
}

// Bad replies that are far apart are five accidents, not one reply that never gets
// better.
func TestBadRepliesFarApartAreLivedThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.onNext = func(call int) error {
			if call > 3*malformedLimit {
				return nil
			}
			sleep(t.Context(), malformedWithin+time.Second)
			return &SourceError{Condition: Malformed, Err: errLost}
		}
		if err := carry(t, w.lane(stats, stream(accounts)), func() {
			pass(24 * time.Hour)
			w.publish(accounts, 1)
			pass(time.Second)
		}); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
	})
}

// A Kafka that takes one commit and refuses the next costs the org a session each
// time, so there are growing pauses between them.
func TestReopeningHasPausesThoughSomeCommitsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		opened := 0
		w.onSource = func([]Resume) { opened++ }
		w.onCommit = func(n int, _ []*kgo.Record) (bool, error) {
			if n%2 == 0 {
				return false, &sink.AbortedError{Err: errLost}
			}
			return true, nil
		}
		if err := carry(t, w.lane(stats, stream(accounts)), func() {
			for range 3600 {
				w.publish(accounts, 1)
				pass(time.Second)
			}
			w.mu.Lock()
			w.onCommit = nil
			w.mu.Unlock()
			pass(time.Minute)
		}); err != nil {
			t.Fatal(err)
		}
		if opened < 10 || opened > 400 {
			t.Errorf("%d sessions in an hour", opened)
		}
		w.exactly(t, accounts)
	})
}

func TestProducerThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.onOpenWriter = func() error { return context.DeadlineExceeded }
		wantExit(t, w.lane(&Stats{}, stream(accounts)).Run(t.Context(), t.Context()), ExitEnvironment, "producer of lane 0")
	})
}

func TestStaticLanes(t *testing.T) {
	t.Run("a failure drains the others", func(t *testing.T) {
		err := StaticLanes{0, 1, 2}.Run(t.Context(), t.Context(), func(_, intake context.Context, lane int32) error {
			if lane == 1 {
				return errLost
			}
			<-intake.Done()
			return nil
		})
		if !errors.Is(err, errLost) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a halt leaves the others", func(t *testing.T) {
		intake, drain := context.WithCancel(t.Context())
		halted := make(chan struct{})
		err := StaticLanes{0, 1}.Run(t.Context(), intake, func(_, intake context.Context, lane int32) error {
			if lane == 1 {
				close(halted)
				return &ExitError{Code: ExitHalted, Err: errLost}
			}
			<-halted
			if intake.Err() != nil {
				t.Error("the other lane was asked to drain")
			}
			drain()
			<-intake.Done()
			return nil
		})
		wantExit(t, err, ExitHalted, "lost")
	})
}
