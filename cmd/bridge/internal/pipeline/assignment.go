package pipeline

import (
	"context"
	"errors"
	"sync"
)

// Assignment decides which lanes this process owns, and when.
type Assignment interface {
	// Run calls start, in a goroutine of its own, for each lane that becomes
	// ours, waits for all of them, and returns what they ended with. Ending
	// the intake given to start asks a lane to drain, ending its ctx to drop
	// everything at once.
	Run(ctx, intake context.Context, start StartLane) error
}

// StartLane runs one lane until it ends.
type StartLane func(ctx, intake context.Context, lane int32) error

// StaticLanes owns the same lanes for ever: for a process that is alone by its
// nature, as the demo is.
type StaticLanes []int32

var _ Assignment = StaticLanes(nil)

// Run runs all lanes. One that fails asks the others to drain, except when its
// streams were halted by policy: those of other lanes go on.
func (s StaticLanes) Run(ctx, intake context.Context, start StartLane) error {
	intake, stop := context.WithCancel(intake)
	defer stop()
	errs := make([]error, len(s))
	var wg sync.WaitGroup
	for i, lane := range s {
		wg.Go(func() {
			errs[i] = start(ctx, intake, lane)
			if errs[i] != nil && !halted(errs[i]) {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func halted(err error) bool {
	exit, ok := errors.AsType[*ExitError](err)
	return ok && exit.Code == ExitHalted
}
