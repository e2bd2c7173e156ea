package pipeline

import "time"

// turns says when rows may have the committer. Rows are not in a hurry, and events are:
// an event that comes while rows are being committed waits for them, and behind them for
// its own commit.
type turns struct {
	ahead int              // batches of events in a row that went before rows
	last  time.Time        // when the last of them came
	rest  <-chan time.Time // not nil: rows wait for it
}

const (
	// mostAhead is how many batches of events may go before rows that wait: what is
	// remembered for those grows while they do (rule 3).
	mostAhead = 8
	// While events flow, rows have a quarter of the committer's time at most: after each
	// commit of theirs it is free for three times as long.
	restAfterRows = 3
	mostRest      = time.Second
	// flowing is how long after the last events the next are thought to be near.
	flowing = time.Second
)

// rows says whether rows may go next, if so many batches of events wait.
func (t *turns) rows(waiting int) bool {
	return t.rest == nil && (waiting == 0 || t.ahead >= mostAhead)
}

// events notes that a batch of events is taken.
func (t *turns) events() {
	t.ahead++
	t.last = time.Now()
}

// took notes how long rows had the committer.
func (t *turns) took(d time.Duration) {
	t.ahead = 0
	if time.Since(t.last) < flowing+d {
		t.rest = time.After(min(restAfterRows*d, mostRest))
	}
}
