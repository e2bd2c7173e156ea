package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// newBudget is what rows and the watchdog may take of the org's API requests.
func (b *bridge) newBudget() *callBudget {
	return newCallBudget(b.cfg.Org.MaxAPICalls, &allowance{rest: b.org.rest, percent: int64(b.cfg.Watchdog.ReservePercent), log: b.log})
}

// watchdog looks for streams that starve; nil if the configuration wants none.
func (b *bridge) watchdog() *pipeline.Watchdog {
	w := b.cfg.Watchdog
	if w.DailyCalls == 0 {
		return nil
	}
	budget := b.budget.Load()
	return pipeline.NewWatchdog(pipeline.WatchdogConfig{
		Every: w.Every, Delay: w.Delay, DailyCalls: w.DailyCalls, Stats: b.stats, Log: b.log,
		Count: func(ctx context.Context, object string, after, upTo time.Time) (int, error) {
			if err := budget.ask(ctx); err != nil {
				return 0, err
			}
			return b.org.rest.CountModified(ctx, object, after, upTo)
		},
	})
}

// watching runs the watchdog, if there is one, until the returned function is
// called, which waits for it.
func (b *bridge) watching(intake context.Context, dog *pipeline.Watchdog) (end func()) {
	if dog == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(intake)
	var wg sync.WaitGroup
	wg.Go(func() { dog.Run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// watch says how a stream is watched.
func watch(s config.Stream) pipeline.Watch {
	if s.Kind != config.ChangeData {
		return pipeline.Watch{}
	}
	w := pipeline.Watch{}
	if s.OnStarvation != config.StarvationIgnore {
		w.OnStarvation = pipeline.Rouse(s.OnStarvation)
	}
	if object := s.Object(); object != "" {
		w.Objects = []string{object}
	} else {
		w.Seen = true
	}
	return w
}

const (
	// limitsEvery is how old the answer may be by which the reserve is kept: asking
	// costs a request too.
	limitsEvery = time.Hour
	// dailyRequests is the name of the allocation.
	dailyRequests = "DailyApiRequests"
)

// allowance leaves the last of the org's daily API requests to others.
type allowance struct {
	rest    *salesforce.Client
	percent int64
	log     zerolog.Logger

	mu    sync.Mutex
	asked time.Time
	left  *salesforce.Limit // nil while it is not known
}

// ask is an error that wraps pipeline.ErrWithheld if the org has no request to
// spare. What is not known holds nothing back: the bridge must not go blind
// because it may not read the limits.
func (a *allowance) ask(ctx context.Context, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.asked) >= limitsEvery {
		a.asked = now
		limits, err := a.rest.Limits(ctx)
		if err != nil {
			a.log.Warn().Err(err).Msg("the org's limits cannot be read; watchdog.reserve_percent goes by what was known before")
		} else if l, ok := limits[dailyRequests]; ok {
			a.left = &l
		}
	}
	if a.left != nil && a.left.Remaining*100 < a.left.Max*a.percent {
		return fmt.Errorf("%w: the org has %d of %d daily API requests left, and watchdog.reserve_percent leaves the last %d %% to others",
			pipeline.ErrWithheld, a.left.Remaining, a.left.Max, a.percent)
	}
	return nil
}

// remaining is what the org last told of its daily API requests; nil before.
func (a *allowance) remaining() *int64 {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left == nil {
		return nil
	}
	n := a.left.Remaining
	return &n
}
