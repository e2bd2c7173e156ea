package pipeline

import (
	"sync/atomic"
	"time"
)

// since makes `start: latest` mean one moment, whatever happens before the
// stream's first event: Salesforce has no position for "now", so until an event
// gives one, a stream that is taken up again is read from the earliest event
// that the org retains, and what happened before the moment is filtered out.
type since struct {
	// at is the moment; zero for a stream that has another start. It is not
	// changed while the lane carries events.
	at time.Time
	// bound says that the stream was taken up again. Before that it comes from
	// "latest" itself, and whatever comes is wanted. The poller sets it before
	// it hands on the first event that it concerns.
	bound atomic.Bool
	// past says that an event was committed that is wanted: from then on the
	// position alone is enough. Only the committer uses it.
	past bool
}

// clockMargin is how far the moment is moved back, since it is taken from our
// clock and compared with times of the org's. A login with a signed assertion
// fails at less than that.
const clockMargin = 5 * time.Minute

// unwanted says whether an event that happened at that time lies before the moment.
func (s *since) unwanted(at time.Time) bool {
	return s.bound.Load() && !s.past && !at.IsZero() && at.Before(s.at)
}
