package pipeline

import "sync"

// Changes lets others wait for a change. Its zero value is ready, and it is safe for
// concurrent use.
type Changes struct {
	mu sync.Mutex
	ch chan struct{}
}

// Wait returns what is closed at the next change. Whoever asks before looking at what
// may change misses none.
func (c *Changes) Wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

// Changed tells those who wait.
func (c *Changes) Changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}
