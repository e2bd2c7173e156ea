package snapshot

import (
	"cmp"
	"slices"
)

// Progress is how far a task has come that is not ended.
type Progress struct {
	Channel  string   `json:"channel"`
	Task     string   `json:"task"`
	Kind     Kind     `json:"kind"`
	Object   string   `json:"object"`
	Standing Standing `json:"standing"`
	Rows     int      `json:"rows"`            // written
	Read     int      `json:"read"`            // of the object
	Total    int      `json:"total,omitempty"` // of the object, when its rows were counted
}

func (w *Worker) enter(b *board) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.boards == nil {
		w.boards = make(map[*board]struct{})
	}
	w.boards[b] = struct{}{}
}

func (w *Worker) leave(b *board) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.boards, b)
}

// Tasks are those of the lanes of this process that are not ended.
func (w *Worker) Tasks() (out []Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for b := range w.boards {
		out = append(out, b.progress()...)
	}
	slices.SortFunc(out, func(a, b Progress) int { return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Task, b.Task)) })
	return out
}

func (b *board) progress() (out []Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tasks {
		t.mu.Lock()
		if s := t.state; !s.ended() && len(s.Parts) > 0 {
			p := s.Current()
			out = append(out, Progress{Channel: t.key.Channel, Task: t.id, Kind: s.Kind, Object: p.Object, Standing: s.Standing, Rows: s.Rows, Read: p.Read, Total: p.Total})
		}
		t.mu.Unlock()
	}
	return out
}
