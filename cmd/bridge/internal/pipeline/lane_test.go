package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

const (
	accounts = "/data/AccountChangeEvent"
	contacts = "/data/ContactChangeEvent"
)

// carry runs a lane in a bubble until everything is at rest, drains it, and
// returns what it ended with.
func carry(t *testing.T, l *Lane, during func()) error {
	t.Helper()
	intake, drain := context.WithCancel(t.Context())
	defer drain()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(t.Context(), intake) }()
	synctest.Wait()
	if during != nil {
		during()
		synctest.Wait()
	}
	drain()
	return <-ended
}

func TestCarriesInOrderAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 40)
		w.publish(contacts, 30)
		if err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), func() { w.publish(accounts, 25) }); err != nil {
			t.Fatal(err)
		}
		w.publish(contacts, 10) // while nobody runs
		if err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), nil); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		w.exactly(t, contacts)
		balanced(t, stats)
		if w.barriers != 2 || w.closed != 2 {
			t.Errorf("%d barriers, %d sessions closed, want 2 and 2", w.barriers, w.closed)
		}
	})
}

// While a commit is under way, what arrives joins the batch that waits: few
// large transactions, and never more than MaxEvents in one.
func TestBatchesGrowWhileACommitIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		under, release := make(chan struct{}), make(chan struct{})
		w.onCommit = func(n int, _ []*kgo.Record) (bool, error) {
			if n == 1 {
				close(under)
				w.mu.Unlock() // the org goes on while Kafka is slow
				<-release
				w.mu.Lock()
			}
			return true, nil
		}
		w.publish(accounts, 1)
		err := carry(t, w.lane(stats, stream(accounts)), func() {
			<-under
			w.publish(accounts, 250)
			synctest.Wait()
			if got := stats.Stream(accounts).Received.Load(); got > 1+100+2*perNext {
				t.Errorf("%d events were taken while Kafka stood still: memory is not bounded", got)
			}
			close(release)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		if w.batches[1] < 90 || slices.Max(w.batches) > 100 {
			t.Errorf("records by commit: %v; want the second nearly 100, none above", w.batches)
		}
	})
}

// A Kafka that hangs is seen while it does, not when it has ended.
func TestCommitUnderWayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		hang := make(chan struct{})
		w.onCommit = func(int, []*kgo.Record) (bool, error) {
			w.mu.Unlock() // it hangs outside of the world
			<-hang
			w.mu.Lock()
			return true, nil
		}
		began := time.Now()
		if err := carry(t, w.lane(stats, stream(accounts)), func() {
			w.publish(accounts, 1)
			pass(time.Minute)
			if since := stats.Waiting(); len(since) != 1 || !since[0].Equal(began) {
				t.Errorf("waiting %v, want lane 0 since %v", since, began)
			}
			close(hang)
			pass(time.Second)
			if since := stats.Waiting(); len(since) != 0 {
				t.Errorf("waiting %v after the commit", since)
			}
		}); err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
	})
}

func TestDrainCommitsWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		intake, drain := context.WithCancel(t.Context())
		w.onCommit = func(int, []*kgo.Record) (bool, error) { drain(); return true, nil }
		w.publish(accounts, 500)
		if err := w.lane(stats, stream(accounts)).Run(t.Context(), intake); err != nil {
			t.Fatal(err)
		}
		s := stats.Snapshot()[0]
		if s.Received == 0 || s.Received >= 500 || s.Produced != s.Received {
			t.Errorf("%d received, %d produced: I6 wants all that was taken committed and nothing new taken", s.Received, s.Produced)
		}
		if int(s.Produced) != len(w.committed) {
			t.Errorf("%d produced, %d records in Kafka", s.Produced, len(w.committed))
		}
	})
}

func TestHardStopTellsThatEventsComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		ctx, kill := context.WithCancel(t.Context())
		w.onCommit = func(int, []*kgo.Record) (bool, error) { kill(); return false, context.Canceled }
		w.publish(accounts, 3)
		if err := w.lane(stats, stream(accounts)).Run(ctx, ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want the cancelled commit", err)
		}
		if s := stats.Snapshot()[0]; s.Returned != s.Received || len(w.committed) != 0 {
			t.Errorf("%d received, %d returned, %d committed", s.Received, s.Returned, len(w.committed))
		}
	})
}

// A failed commit whose outcome is unknown is settled by the position topic:
// nothing is lost when it was not applied, nothing doubled when it was.
func TestUnknownOutcomeIsSettledByThePositions(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%t", applied), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stats := newWorld(), &Stats{}
				w.onCommit = func(n int, _ []*kgo.Record) (bool, error) {
					if n%3 == 2 {
						return applied, &sink.UnknownOutcomeError{TransactionalID: "test", Step: "commit", Err: errLost}
					}
					return true, nil
				}
				w.publish(accounts, 60)
				if err := carry(t, w.lane(stats, stream(accounts)), func() {
					for range 5 {
						w.publish(accounts, 9)
						synctest.Wait()
						sleep(t.Context(), newBackoff().MaxInterval)
					}
				}); err != nil {
					t.Fatal(err)
				}
				w.exactly(t, accounts)
				balanced(t, stats)
				if stats.FailedCommits.Load() == 0 {
					t.Error("no commit failed: the test shows nothing")
				}
			})
		})
	}
}

func TestBadEventBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.onEncode = func(ev *transform.Event) error {
			if ev.Position == "5" {
				return &transform.UnknownFieldError{Path: "New__c", Schema: "S"}
			}
			return nil
		}
		w.publish(accounts, 9)
		if err := carry(t, w.lane(stats, stream(accounts)), nil); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(w.committed, func(r *kgo.Record) bool { return r.Topic == "dlq" })
		if i < 0 || string(w.committed[i].Value) != `{"n":1}` || !hasHeader(w.committed[i], "bridge-error", "New__c") {
			t.Fatalf("dead letter %d of %v", i, w.committed)
		}
		if s := stats.Snapshot()[0]; s.Produced != 8 || s.DeadLettered != 1 || s.Position != "9" {
			t.Errorf("%+v", s)
		}
		balanced(t, stats)
	})
}

// A field that the schema lacks has a policy of its own, whatever that of other
// bad events is.
func TestUnknownFieldHasItsOwnPolicy(t *testing.T) {
	for _, halts := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w, stats := newWorld(), &Stats{}
			w.publish(accounts, 3)
			w.onEncode = func(ev *transform.Event) error {
				if ev.Position == "2" {
					return &transform.UnknownFieldError{Path: "New__c"}
				}
				return nil
			}
			s := stream(accounts)
			s.HaltOnBadEvent, s.HaltOnUnknownField = !halts, halts
			if err := carry(t, w.lane(stats, s, stream(contacts)), nil); err != nil {
				t.Fatal(err)
			}
			if halted := stats.Stream(accounts).haltedWhy() != ""; halted != halts || (stats.Stream(accounts).DeadLettered.Load() == 1) == halts {
				t.Errorf("halted %t, %d dead letters, want halt %t", halted, stats.Stream(accounts).DeadLettered.Load(), halts)
			}
		})
	}
}

func TestTooLargeRecordBecomesADeadLetterWithoutPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.onCommit = func(_ int, records []*kgo.Record) (bool, error) {
			for i, r := range records {
				if string(r.Value) == "e3" {
					return false, &sink.RecordTooLargeError{Index: i, Topic: r.Topic, Size: 2, Limit: 1}
				}
			}
			return true, nil
		}
		w.publish(accounts, 6)
		if err := carry(t, w.lane(stats, stream(accounts)), nil); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(w.committed, func(r *kgo.Record) bool { return r.Topic == "dlq" })
		if i < 0 || w.committed[i].Value != nil || !hasHeader(w.committed[i], "bridge-payload-sha256", "") {
			t.Fatalf("no letter without payload among %v", w.committed)
		}
		if s := stats.Snapshot()[0]; s.Produced != 5 || s.DeadLettered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func hasHeader(r *kgo.Record, key, part string) bool {
	return slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool {
		return h.Key == key && strings.Contains(string(h.Value), part)
	})
}

// A stream that halts stands before the whole group of events that share the
// bad one's position; the other streams go on.
func TestHaltStandsBeforeTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 2)
		w.group(accounts, "g", 3)
		w.publish(contacts, 4)
		w.publish(accounts, 2)
		w.onEncode = func(ev *transform.Event) error {
			if ev.UUID == "e3" { // the second of the group
				return &transform.EventError{Reason: "bad", Offset: -1}
			}
			return nil
		}
		halting := stream(accounts)
		halting.HaltOnBadEvent = true
		if err := carry(t, w.lane(stats, halting, stream(contacts)), nil); err != nil {
			t.Fatal(err)
		}
		if got := w.positions[accounts]; got != "2" {
			t.Errorf("position of the halted stream is %q, want 2", got)
		}
		for _, r := range w.committed {
			if r.Topic == accounts && string(r.Value) != "e0" && string(r.Value) != "e1" {
				t.Errorf("%s was committed though it comes again with its group", r.Value)
			}
		}
		w.exactly(t, contacts)
		balanced(t, stats)
		if !slices.Equal(w.halts, []string{accounts}) {
			t.Errorf("halted at the source: %v", w.halts)
		}
	})
}

func TestAllStreamsHaltedEndsWithItsCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		w.publish(accounts, 1)
		w.onEncode = func(*transform.Event) error { return &transform.EventError{Reason: "bad", Offset: -1} }
		s := stream(accounts)
		s.HaltOnBadEvent = true
		err := w.lane(stats, s).Run(t.Context(), t.Context())
		wantExit(t, err, ExitHalted, "is halted")
	})
}

func wantExit(t *testing.T, err error, code int, text string) {
	t.Helper()
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || exit.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want exit code %d and %q", err, code, text)
	}
}

// While a schema cannot be had the batch is held: nothing is skipped, and the
// lane says why it is not ready.
func TestEncodingWaitsAndSkipsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		up := &atomic.Bool{}
		w.onEncode = func(*transform.Event) error { return unless(up, errLost) }
		w.publish(accounts, 20)
		err := carry(t, w.lane(stats, stream(accounts)), func() {
			if tr := stats.Troubles()[0]; tr.Condition != EncodeTransient {
				t.Errorf("trouble %+v", tr)
			}
			up.Store(true)
			sleep(t.Context(), newBackoff().MaxInterval)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.exactly(t, accounts)
		if len(stats.Troubles()) != 0 {
			t.Error("the trouble is over and still told")
		}
	})
}

func TestFencedLaneStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stats := newWorld(), &Stats{}
		ended := make(chan error, 1)
		go func() { ended <- w.lane(stats, stream(accounts)).Run(t.Context(), t.Context()) }()
		synctest.Wait()
		w.mu.Lock()
		w.owner++ // another instance opens the lane's producer
		w.mu.Unlock()
		w.publish(accounts, 3)
		if err := <-ended; !errors.Is(err, sink.ErrFenced) {
			t.Fatalf("got %v, want ErrFenced", err)
		}
		if len(w.committed) != 0 {
			t.Error("a fenced owner committed")
		}
	})
}

func TestLaneWithoutStreamsOpensNothing(t *testing.T) {
	w := newWorld()
	if err := w.lane(&Stats{}).Run(t.Context(), t.Context()); err != nil || w.owner != 0 {
		t.Errorf("err %v, %d producers opened", err, w.owner)
	}
}

// unless returns err while the flag is down.
func unless(flag *atomic.Bool, err error) error {
	if flag.Load() {
		return nil
	}
	return err
}

// dice is randomness that both goroutines of a lane may ask.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func newDice(seed uint64) *dice {
	return &dice{rnd: rand.New(rand.NewPCG(seed, 7))} //nolint:gosec // reproducible on purpose
}

func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

// Over random faults at every step nothing is lost, doubled or out of order,
// and the counters balance.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			dice, calm := newDice(seed), &atomic.Bool{}
			w, stats := newWorld(), &Stats{}
			w.onCommit = func(int, []*kgo.Record) (bool, error) {
				switch dice.roll(6) {
				case 0:
					return calm.Load(), unless(calm, &sink.AbortedError{Err: errLost})
				case 1:
					return calm.Load() || dice.roll(2) == 0, unless(calm, &sink.UnknownOutcomeError{Err: errLost})
				}
				return true, nil
			}
			w.onEncode = func(*transform.Event) error {
				if dice.roll(40) == 0 {
					return unless(calm, errLost)
				}
				return nil
			}
			w.onNext = func(call int) error {
				if call > 1 && dice.roll(8) == 0 {
					return unless(calm, &SourceError{Condition: Transient, Err: errLost})
				}
				return nil
			}
			err := carry(t, w.lane(stats, stream(accounts), stream(contacts)), func() {
				for range 8 {
					w.publish([]string{accounts, contacts}[dice.roll(2)], 1+dice.roll(30))
					sleep(t.Context(), newBackoff().MaxInterval)
				}
				calm.Store(true)
				sleep(t.Context(), 10*newBackoff().MaxInterval)
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			w.exactly(t, accounts)
			w.exactly(t, contacts)
			balanced(t, stats)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}
