package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

const (
	// budgetDay is the time in which there may be so many calls, whenever it begins.
	budgetDay = 24 * time.Hour
	// budgetSlot is how exactly calls are remembered: those of a slot come back
	// together, when the whole of it is a day ago.
	budgetSlot = 5 * time.Minute
	// reserveRetry is how often it is looked whether the org has calls to spare again.
	reserveRetry = 5 * time.Minute
)

// callBudget bounds the calls of the org's API that rows and the watchdog make. It is
// safe for concurrent use.
type callBudget struct {
	max  int
	left *allowance // what is left to others; nil for nothing

	mu    sync.Mutex
	used  int
	slots []budgetUse // of the last day, the oldest first
}

// budgetUse is how many calls a slot had.
type budgetUse struct {
	begin time.Time
	calls int
}

func newCallBudget(most int, left *allowance) *callBudget { return &callBudget{max: most, left: left} }

// take takes calls if there are so many; if not it says when to try again. Forced
// takes them in any case.
func (b *callBudget) take(now time.Time, calls int, forced bool) (again time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	if !forced && b.used+calls > b.max && b.used > 0 { // a request that costs more than a day's has to be made some time
		return b.slots[0].begin.Add(budgetSlot + budgetDay), false
	}
	begin := now.Truncate(budgetSlot)
	if n := len(b.slots); n == 0 || b.slots[n-1].begin.Before(begin) {
		b.slots = append(b.slots, budgetUse{begin: begin})
	}
	b.slots[len(b.slots)-1].calls += calls
	b.used += calls
	return time.Time{}, true
}

// forget drops what was used more than a day ago.
func (b *callBudget) forget(now time.Time) {
	for len(b.slots) > 0 && now.Sub(b.slots[0].begin) >= budgetSlot+budgetDay {
		b.used -= b.slots[0].calls
		b.slots = b.slots[1:]
	}
}

// usage is how many calls were made in the last day, and how many there may be.
func (b *callBudget) usage(now time.Time) (used, most int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	return b.used, b.max
}

// spare is an error if the org's own requests are to be left to others.
func (b *callBudget) spare(ctx context.Context, now time.Time) error {
	if b.left == nil {
		return nil
	}
	return b.left.ask(ctx, now)
}

// ask takes a call for a question that can be put another time. An error that wraps
// pipeline.ErrWithheld says that there is none.
func (b *callBudget) ask(ctx context.Context) error {
	now := time.Now()
	if err := b.spare(ctx, now); err != nil {
		return err
	}
	if again, ok := b.take(now, 1, false); !ok {
		return fmt.Errorf("%w: the %d API calls of org.max_api_calls_per_day are used up until %s", pipeline.ErrWithheld, b.max, again.UTC().Format(time.RFC3339))
	}
	return nil
}

// spend takes calls for rows, and waits until there are so many. Urgent is what must
// not wait, since events do until it is done.
func (b *callBudget) spend(ctx context.Context, calls int, urgent bool) error {
	for {
		now := time.Now()
		until := now.Add(reserveRetry)
		err := b.spare(ctx, now)
		if err == nil || urgent || !errors.Is(err, pipeline.ErrWithheld) {
			var ok bool
			if until, ok = b.take(now, calls, urgent); ok {
				return ctx.Err()
			}
		}
		wait(ctx, time.Until(until))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// remaining is what the org last told of its daily API requests; nil before.
func (b *callBudget) remaining() *int64 {
	if b == nil {
		return nil
	}
	return b.left.remaining()
}
