package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// rows is the org's table as the watchdog asks about it.
type rows struct {
	mu      sync.Mutex
	changed map[string][]time.Time // by object
	asked   []string
	err     error
	during  func() // while a question is under way
}

func (r *rows) change(object string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(map[string][]time.Time)
	}
	for range n {
		r.changed[object] = append(r.changed[object], time.Now())
	}
}

func (r *rows) count(_ context.Context, object string, after, upTo time.Time) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.during != nil {
		r.during()
	}
	r.asked = append(r.asked, object)
	n := 0
	for _, at := range r.changed[object] {
		if at.After(after) && !at.After(upTo) {
			n++
		}
	}
	return n, r.err
}

func (r *rows) questions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func watchedStream(channel string, how Rouse, objects ...string) Stream {
	s := stream(channel)
	s.Watch = Watch{Objects: objects, Seen: len(objects) == 0, OnStarvation: how}
	return s
}

// watch runs a lane under a watchdog that asks every 15 minutes at the most and
// allows ten minutes for delivery.
func watch(t *testing.T, w *world, r *rows, stats *Stats, dailyCalls int, during func(), streams ...Stream) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w.watchdog = NewWatchdog(WatchdogConfig{
		Every: 15 * time.Minute, Delay: 10 * time.Minute, DailyCalls: dailyCalls, Count: r.count, Stats: stats, Log: zerolog.Nop(),
	})
	var wg sync.WaitGroup
	wg.Go(func() { w.watchdog.Run(ctx) })
	if err := carry(t, w.lane(stats, streams...), during); err != nil {
		t.Error(err)
	}
	cancel()
	wg.Wait()
}

func pass(d time.Duration) {
	sleep(context.Background(), d)
	synctest.Wait()
}

// A subscription delivers nothing though rows change: that is told, entered into
// the ledger, and ended by policy with nothing lost.
func TestStarvingStreamIsRoused(t *testing.T) {
	for how, want := range map[Rouse]string{RouseSession: "[session]", RouseResubscribe: "[resubscribe " + accounts + "]"} {
		t.Run(string(how), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r, stats := newWorld(), &rows{}, &Stats{}
				watch(t, w, r, stats, 1000, func() {
					w.publish(accounts, 3)
					r.change("Account", 3)
					pass(time.Hour)
					if len(w.roused) != 0 || r.questions() == 0 {
						t.Errorf("a quiet stream was roused (%v), or not asked about (%v)", w.roused, r.asked)
					}
					w.silence(accounts)
					w.publish(accounts, 5)
					r.change("Account", 5)
					pass(9 * time.Minute)
					if stats.Snapshot()[0].Starving != nil {
						t.Error("an alarm before the events can be late")
					}
					pass(30 * time.Minute)
					pass(time.Hour)
				}, watchedStream(accounts, how, "Account"))
				if got := fmt.Sprint(w.roused); got != want {
					t.Errorf("roused by %s, want %s", got, want)
				}
				w.exactly(t, accounts)
				hole := accounts + ` starvation from "3" to "" []`
				if got := w.entries(); !slices.Equal(got, []string{hole, hole + " repaired"}) || !w.oneGap() {
					t.Errorf("ledger: %q", got)
				}
				if s := stats.Snapshot()[0]; s.Starving != nil || s.Gaps != 2 || stats.Questions()[AnswerStarving] != 1 {
					t.Errorf("%+v, %v", s, stats.Questions())
				}
			})
		})
	}
}

func (w *world) silence(channel string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute[channel] = true
}

// oneGap says whether all entries of the ledger are states of one gap.
func (w *world) oneGap() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make(map[string]bool)
	for _, r := range w.committed {
		if r.Topic == "gaps" {
			ids[string(r.Key)] = true
		}
	}
	return len(ids) == 1
}

// With the tip, what starves is given up to the ledger, and the hole's end is
// entered with the first event behind it.
func TestStarvingStreamGoesToTheTip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		watch(t, w, r, stats, 1000, func() {
			w.publish(accounts, 3)
			pass(time.Minute)
			w.silence(accounts)
			w.publish(accounts, 5)
			r.change("Account", 5)
			pass(40 * time.Minute)
			if w.positions[accounts] != "3" {
				t.Errorf("the position moved to %s before anything came", w.positions[accounts])
			}
			w.feed()
			w.publish(accounts, 1)
			pass(time.Minute)
			if stats.Snapshot()[0].Starving != nil {
				t.Error("the alarm stays though events come")
			}
			pass(time.Hour)
		}, watchedStream(accounts, RouseTip, "Account"))
		want := []string{accounts + ` starvation from "3" to "" []`, accounts + ` starvation from "3" to "9" []`}
		if got := w.entries(); !slices.Equal(got, want) || !w.oneGap() {
			t.Errorf("ledger: %q", got)
		}
		if w.positions[accounts] != "9" || len(w.consumedOf(accounts)) != 4 {
			t.Errorf("at %s, consumed %v", w.positions[accounts], w.consumedOf(accounts))
		}
	})
}

func (w *world) feed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.mute)
}

func (w *world) consumedOf(channel string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []string
	for _, r := range w.committed {
		if r.Topic == channel {
			got = append(got, string(r.Value))
		}
	}
	return got
}

// A stream that nothing helps is roused again with growing pauses, and the alarm
// stays.
func TestStarvationThatNothingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		watch(t, w, r, stats, 1000, func() {
			w.publish(accounts, 1)
			pass(time.Minute)
			r.change("Account", 4) // no event will ever tell of it
			pass(24 * time.Hour)
			s := stats.Snapshot()[0].Starving
			if s == nil || s.Rows != 4 || s.Object != "Account" || !strings.Contains(s.String(), "4 rows of Account") {
				t.Errorf("starving: %v", s)
			}
		}, watchedStream(accounts, RouseSession, "Account"))
		if n := len(w.roused); n < 4 || n > 10 {
			t.Errorf("roused %d times in a day", n)
		}
		if got := w.entries(); len(got) != 1 {
			t.Errorf("ledger: %q", got)
		}
	})
}

// An entry that the ledger refuses is not counted as one, and halts its stream: no
// position may pass what cannot be told.
func TestStarvationThatCannotBeEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		w.onLedger = func() error { return &schemas.IncompatibleError{Subject: "gaps-value"} }
		watch(t, w, r, stats, 1000, func() {
			pass(time.Minute)
			r.change("Account", 1)
			pass(2 * time.Hour)
			w.publish(contacts, 1)
		}, watchedStream(accounts, RouseSession, "Account"), stream(contacts))
		if s := stats.Stream(accounts).state(accounts); s.Gaps != 0 || s.Halted == "" || len(w.entries()) != 0 {
			t.Errorf("%d gaps, halted %q, ledger %q", s.Gaps, s.Halted, w.entries())
		}
		w.exactly(t, contacts)
	})
}

func TestAlarmOnlyAndUnwatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		watch(t, w, r, stats, 1000, func() {
			pass(time.Minute)
			r.change("Account", 1)
			r.change("Contact", 1)
			pass(2 * time.Hour)
			for _, s := range stats.Snapshot() {
				if (s.Starving != nil) != (s.Channel == accounts) {
					t.Errorf("%s: starving %v", s.Channel, s.Starving)
				}
			}
		}, watchedStream(accounts, RouseNone, "Account"), stream(contacts))
		if len(w.roused) != 0 || slices.Contains(r.asked, "Contact") {
			t.Errorf("roused %v, asked %v", w.roused, r.asked)
		}
	})
}

// The day's calls are spread over the streams, and never exceeded.
func TestQuestionsKeepToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		streams := make([]Stream, 20)
		for i := range streams {
			streams[i] = watchedStream(fmt.Sprintf("/data/X%dChangeEvent", i), RouseSession, fmt.Sprintf("X%d", i))
		}
		watch(t, w, r, stats, 100, func() { pass(3 * 24 * time.Hour) }, streams...)
		if n := r.questions(); n > 300 || n < 250 {
			t.Errorf("%d questions in three days, of at most 100 a day", n)
		}
		count := make(map[string]int)
		for _, object := range r.asked {
			count[object]++
		}
		for object, n := range count {
			if n < 12 || n > 16 || len(count) != 20 {
				t.Errorf("%s of %d was asked about %d times", object, len(count), n)
			}
		}
	})
}

func TestQuestionsThatBringNoAnswer(t *testing.T) {
	for answer, err := range map[Answer]error{AnswerFailed: errLost, AnswerWithheld: fmt.Errorf("%w: the org is tired", ErrWithheld)} {
		t.Run(string(answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r, stats := newWorld(), &rows{err: err}, &Stats{}
				r.change("Account", 1)
				watch(t, w, r, stats, 1000, func() {
					pass(time.Minute)
					r.change("Account", 1)
					pass(2 * time.Hour)
				}, watchedStream(accounts, RouseSession, "Account"))
				if q := stats.Questions(); q[answer] == 0 || len(q) != 1 || stats.Snapshot()[0].Starving != nil || errors.Is(err, errLost) != (answer == AnswerFailed) {
					t.Errorf("%v", q)
				}
			})
		})
	}
}

// An event that comes while the question is under way makes the answer void.
func TestAnswerOvertakenByAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		r.during = func() {
			w.publish(accounts, 1)
			pass(time.Second)
		}
		watch(t, w, r, stats, 1000, func() {
			pass(time.Minute)
			r.change("Account", 1)
			pass(time.Hour)
		}, watchedStream(accounts, RouseSession, "Account"))
		if q := stats.Questions(); q[AnswerOvertaken] == 0 || q[AnswerStarving] != 0 || len(w.roused) != 0 {
			t.Errorf("%v, roused %v", q, w.roused)
		}
	})
}

// A channel of many entities is asked about those that were seen on it.
func TestManyEntitiesAreWatchedAsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stats := newWorld(), &rows{}, &Stats{}
		watch(t, w, r, stats, 1000, func() {
			pass(time.Hour)
			if n := r.questions(); n != 0 {
				t.Errorf("%d questions before an entity was seen", n)
			}
			w.publish(accounts, 2)
			pass(time.Minute)
			r.change("Thing", 1)
			pass(time.Hour)
			if s := stats.Snapshot()[0].Starving; s == nil || s.Object != "Thing" {
				t.Errorf("starving %v", s)
			}
		}, watchedStream(accounts, RouseSession))
	})
}

// A subscription that goes on by itself with new events has skipped what was
// missing: that is no repair.
func TestStarvationThatEndsBehindWhatWasMissing(t *testing.T) {
	for _, how := range []Rouse{RouseNone, RouseSession, RouseResubscribe} {
		t.Run(string(how), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, r, stats := newWorld(), &rows{}, &Stats{}
				watch(t, w, r, stats, 1000, func() {
					w.publish(accounts, 1)
					pass(time.Minute)
					r.change("Account", 2) // what would tell of it the subscription never gets
					pass(40 * time.Minute)
					w.publish(accounts, 1)
					pass(time.Minute)
					r.change("Account", 1)
					w.publish(accounts, 1)
					pass(2 * time.Hour)
				}, watchedStream(accounts, how, "Account"))
				hole := accounts + ` starvation from "1" to `
				want := []string{hole + `"" []`, hole + `"2" []`}
				if got := w.entries(); !slices.Equal(got, want) || !w.oneGap() {
					t.Errorf("ledger: %q", got)
				}
				if s := stats.Snapshot()[0]; s.Starving != nil {
					t.Errorf("starving %v", s.Starving)
				}
			})
		})
	}
}

// An entry of the ledger is not overtaken by events that come after it, whose
// batch may enter the end of the same hole.
func TestEntryIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := w.lane(&Stats{}, stream(accounts))
		c := newCarrier(l, []opened{{Source: newSource(w, nil, l.trace(CometD)), channels: []string{accounts}}}, nil, nil, nil)
		events, entry := Batch{Events: make([]transform.Event, 2)}, Batch{Entries: []*transform.Hole{{Channel: accounts}}}
		put := func(b Batch) {
			if !c.put(t.Context(), b) {
				t.Error("a batch was not taken")
			}
		}
		put(events)
		put(entry) // behind the events, as it is written
		var wg sync.WaitGroup
		wg.Go(func() { put(events) })
		synctest.Wait()
		for i, want := range []int{1, 0} {
			if b := <-c.batches; len(b.Entries) != want || len(b.Events) != 2 {
				t.Errorf("batch %d has %d entries and %d events", i, len(b.Entries), len(b.Events))
			}
			synctest.Wait()
		}
		wg.Wait()
	})
}
