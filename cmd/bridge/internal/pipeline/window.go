package pipeline

import (
	"sync"
	"time"
)

// idLength is that of a record's id, in which every key of change data ends, whatever
// the format of keys.
const idLength = 18

// recent remembers which records had events or rows committed while somebody reads rows:
// a row that was asked for before an event of its record became durable, and comes after
// it, may be older than the event.
type recent struct {
	mu   sync.Mutex
	now  uint64 // counts commits
	open map[*Window]struct{}
	ids  map[[idLength]byte]heard
}

// heard is what is remembered of a record: its latest event, and in which commit the
// last of its events was.
type heard struct {
	at     time.Time
	commit uint64
}

// Window is the time between the sending of a query and the commit of the last of its
// rows.
type Window struct {
	r     *recent
	since uint64
}

// begin opens a window.
func (r *recent) begin() *Window {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open, r.ids = make(map[*Window]struct{}), make(map[[idLength]byte]heard)
	}
	w := &Window{r: r, since: r.now}
	r.open[w] = struct{}{}
	return w
}

// Close ends the window. It may be called more than once.
func (w *Window) Close() {
	r := w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.open[w]; !ok {
		return
	}
	delete(r.open, w)
	r.forget()
}

// forget drops what no window asks for any more.
func (r *recent) forget() {
	if len(r.open) == 0 {
		clear(r.ids)
		return
	}
	oldest := r.now
	for w := range r.open {
		oldest = min(oldest, w.since)
	}
	for id, h := range r.ids {
		if h.commit <= oldest {
			delete(r.ids, id)
		}
	}
}

// watching says whether a window is open.
func (r *recent) watching() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) > 0
}

// commit begins what is remembered of the next commit.
func (r *recent) commit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now++
}

// hear remembers that an event or a row of a record became durable with this commit.
func (r *recent) hear(key []byte, at time.Time) {
	if len(key) < idLength {
		return
	}
	id := [idLength]byte(key[len(key)-idLength:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		return
	}
	h := r.ids[id]
	r.ids[id] = heard{at: latestOf(h.at, at), commit: r.now}
}

// outdated says whether a row may be older than an event of its record that became
// durable in the window. Rows have whole seconds: an event of the same second may be
// the newer one.
func (w *Window) outdated(id string, modified time.Time) bool {
	if len(id) != idLength {
		return false
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	h, ok := w.r.ids[[idLength]byte([]byte(id))]
	return ok && h.commit > w.since && !h.at.Before(modified.Truncate(time.Second))
}
