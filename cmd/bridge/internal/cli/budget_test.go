package cli

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// Whatever asks and whenever, there are never more calls within a day than there may
// be, and none is withheld for longer than a day and a slot.
func TestBudgetHoldsForEveryDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1000
		b := newCallBudget(most, nil)
		began := time.Now()
		var at []time.Time // of each call
		for n := 1; len(at) < 10*most; n++ {
			calls := 1 + n%7
			if err := b.spend(t.Context(), calls, false); err != nil {
				t.Fatal(err)
			}
			for range calls {
				at = append(at, time.Now())
			}
			time.Sleep(time.Duration(n%91) * time.Second) //nolint:forbidigo // virtual time
		}
		for i := most; i < len(at); i++ {
			if took := at[i].Sub(at[i-most]); took < budgetDay {
				t.Fatalf("call %d came %s behind call %d", i, took, i-most)
			}
		}
		if took := time.Since(began); took > 11*(budgetDay+budgetSlot) {
			t.Errorf("the calls of 10 days took %s", took)
		}
	})
}

// When the calls are used up, rows wait for the next, questions are withheld, and what
// holds a lane's commits does neither.
func TestBudgetIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCallBudget(10, nil)
		began := time.Now()
		spend := func(calls int, urgent bool) time.Duration {
			if err := b.spend(t.Context(), calls, urgent); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		if took := spend(10, false); took != 0 {
			t.Errorf("the first waited for %s", took)
		}
		if used, most := b.usage(time.Now()); used != 10 || most != 10 {
			t.Errorf("%d of %d are used", used, most)
		}
		if err := b.ask(t.Context()); !errors.Is(err, pipeline.ErrWithheld) {
			t.Errorf("the watchdog was told %v", err)
		}
		if took := spend(2, true); took != 0 {
			t.Errorf("what is urgent waited for %s", took)
		}
		if took := spend(1, false); took < budgetDay || took > budgetDay+budgetSlot {
			t.Errorf("the next waited for %s", took)
		}
		if err := b.ask(t.Context()); err != nil {
			t.Errorf("a day later the watchdog was told %v", err)
		}
	})
}

// What costs more than a whole day may is done once nothing else was, and who is asked
// to stop does not wait for a day.
func TestBudgetOddities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCallBudget(5, nil)
		if err := b.spend(t.Context(), 9, false); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		if err := b.spend(ctx, 1, false); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
