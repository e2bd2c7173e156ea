package pipeline

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// newBackoff is the only place that makes one: the library's default gives up
// after 15 minutes, ours never does by itself.
func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(30*time.Second),
		backoff.WithMaxElapsedTime(0),
	)
}

// sleep waits for d or until ctx ends, and says whether the wait was whole.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
