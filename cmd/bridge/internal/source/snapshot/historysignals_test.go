package snapshot

import (
	"sync"
	"time"
)

// wishes are the topic of signals in memory.
type wishes struct {
	mu      sync.Mutex
	signals []Signal
	arrived chan struct{}
}

func newWishes() *wishes { return &wishes{arrived: make(chan struct{})} }

func (w *wishes) put(s Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.V, s.Offset, s.At = 1, int64(len(w.signals)), time.Now()
	w.signals = append(w.signals, s)
	close(w.arrived)
	w.arrived = make(chan struct{})
}

func (w *wishes) From(channel string, offset int64) (out []Signal, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.signals {
		if s.Channel == channel && s.Offset >= offset {
			out = append(out, s)
		}
	}
	return out, int64(len(w.signals))
}

func (w *wishes) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived
}

// wish asks for something: all rows once more, a few of them, or a pause of what is
// under way or its end.
func (h *history) wish() {
	object := h.object()
	s := Signal{Channel: channelOf(object), Object: object}
	switch n := h.rnd.IntN(6); {
	case n == 0:
		s.Type = AskSnapshot
	case n == 1 && len(h.ids[object]) > 0:
		s.Type, s.IDs = AskReread, []string{h.one(object), h.one(object)}
	case n == 2:
		s.Type = AskResume
	default:
		s.Type = AskPause
	}
	h.wishes.put(s)
}

// goOn resumes everything.
func (h *history) goOn() {
	for _, object := range historyObjects() {
		h.wishes.put(Signal{Type: AskResume, Channel: channelOf(object), Object: object})
	}
}
