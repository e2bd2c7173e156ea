package cometd

import "time"

const (
	paceInitial = 50 * time.Millisecond
	paceMax     = time.Second
)

// wait turns a delay into a time. Failures are spread over the upper half of
// their step, so that many clients do not come back at the same instant. Limits
// are spread upwards, since their first step is a promise to wait that long.
func (c *Config) wait(d delay) time.Duration {
	var w time.Duration
	switch d.schedule {
	case noSchedule:
		return d.least
	case failureSchedule:
		w = double(c.BackoffInitial, c.BackoffMax, d.level)
		w -= time.Duration(c.Rand() * float64(w) / 2)
	case limitSchedule:
		w = double(c.LimitBackoffInitial, c.LimitBackoffMax, d.level)
		w += time.Duration(c.Rand() * float64(w) / 4)
	case paceSchedule:
		w = double(paceInitial, paceMax, d.level)
	}
	return max(w, d.least)
}

func double(initial, limit time.Duration, level int) time.Duration {
	for ; level > 0 && initial < limit; level-- {
		initial *= 2
	}
	return min(initial, limit)
}
