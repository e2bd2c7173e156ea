package polling

import "time"

// clock is what is known of the org's time: not later than it is. It is taken from the
// times of rows and from how much of our own time has passed since, so that it does not
// matter what our clock shows.
type clock struct {
	org time.Time
	at  time.Time // of ours, when the org's was that or later
}

// observe notes that the org has been at a time by now.
func (c *clock) observe(org, now time.Time) {
	if !org.IsZero() && (c.org.IsZero() || org.After(c.read(now))) {
		c.org, c.at = org, now
	}
}

// read is the earliest that the org's time can be; zero if nothing is known.
func (c *clock) read(now time.Time) time.Time {
	if c.org.IsZero() {
		return time.Time{}
	}
	return c.org.Add(now.Sub(c.at))
}

// settled is the first second whose rows may still change, or may not be visible yet. No
// row is settled while nothing is known.
func (c *clock) settled(now time.Time, overlap time.Duration) time.Time {
	at := c.read(now)
	if at.IsZero() {
		return earliest()
	}
	return at.Add(-overlap).Truncate(time.Second)
}
