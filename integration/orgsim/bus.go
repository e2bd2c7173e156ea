package orgsim

import (
	"slices"
	"sort"
	"sync"
)

// eventType is one kind of event on the bus.
type eventType struct {
	index    int
	name     string // AccountChangeEvent, Order__e
	object   string // Account, Order__e
	channels []string
}

// logged is one event of the log. It never changes once it is on the bus, so
// it is read without a lock.
type logged struct {
	replay   int64
	commit   int64 // epoch ms
	due      int64 // epoch ms from which it can be delivered; 0: at once
	typ      *eventType
	data     []byte // the message's data member, rendered once
	payload  [2]int // where the payload lies in data
	change   string
	ids      []string
	uuid     string
	key      string
	sequence int
	schema   string
	row      map[string]any // of a PushTopic's event: the selected fields
}

const chunkSize = 1024

// bus is the org's one event log: an append-only sequence that every session
// reads through its own cursors.
type bus struct {
	mu      sync.Mutex
	chunks  []*[chunkSize]logged
	base    int   // index of the first entry of chunks[0]
	end     int   // index after the last entry
	first   int   // index of the first retained entry
	floor   int64 // ids up to this one are not retained
	reached int64 // ids below this one belong to a bus that was reset
	last    int64 // the last id given out
	wait    chan struct{}
	arena   []byte
	forget  bool  // drop entries that are no longer retained
	horizon int64 // retention in ms; 0: for ever
	slowest int64 // the longest that an event was on its way, ms
	anyID   bool  // every id is taken for one of this bus
	byID    bool  // an id is valid while every event behind it is retained
}

// view is a consistent look at the log.
type view struct {
	chunks           []*[chunkSize]logged
	base, first, end int
	now              int64 // epoch ms; 0: nothing that is on its way has arrived
}

func (v view) at(i int) *logged {
	i -= v.base
	return &v.chunks[i/chunkSize][i%chunkSize]
}

func (b *bus) view() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.viewLocked()
}

func (b *bus) viewLocked() view {
	return view{chunks: b.chunks, base: b.base, first: b.first, end: b.end}
}

// append puts events on the bus, in order, and wakes the held connects.
func (b *bus) append(events []logged) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range events {
		at := b.end - b.base
		if at/chunkSize == len(b.chunks) {
			b.chunks = append(b.chunks, new([chunkSize]logged))
		}
		b.chunks[at/chunkSize][at%chunkSize] = events[i]
		b.end++
		b.last = events[i].replay
		b.slowest = max(b.slowest, events[i].due-events[i].commit)
	}
	b.wakeLocked()
}

// keep copies rendered bytes into the log's own memory. The caller is the
// org's writer, of which there is one at a time.
func (b *bus) keep(data []byte) []byte {
	const block = 1 << 18
	if len(data) > cap(b.arena)-len(b.arena) {
		if len(data) > block/4 {
			return slices.Clone(data)
		}
		b.arena = make([]byte, 0, block)
	}
	at := len(b.arena)
	b.arena = append(b.arena, data...)
	return b.arena[at:len(b.arena):len(b.arena)]
}

// changed returns a channel that is closed at the next append or wake.
func (b *bus) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wait == nil {
		b.wait = make(chan struct{})
	}
	return b.wait
}

func (b *bus) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeLocked()
}

func (b *bus) wakeLocked() {
	if b.wait != nil {
		close(b.wait)
		b.wait = nil
	}
}

// expire applies the retention time.
func (b *bus) expire(now int64) {
	if b.horizon <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.viewLocked()
	n := sort.Search(v.end-v.first, func(i int) bool { return v.at(v.first+i).commit >= now-b.horizon })
	b.trimLocked(v.first + n)
}

// trim ends the retention of everything before index and returns how many
// events that were.
func (b *bus) trim(index int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trimLocked(index)
}

func (b *bus) trimLocked(index int) int {
	index = min(index, b.end)
	if index <= b.first {
		return 0
	}
	n := index - b.first
	b.floor = max(b.floor, b.viewLocked().at(index-1).replay)
	b.first = index
	if b.forget {
		if whole := (b.first - b.base) / chunkSize; whole > 0 {
			b.chunks = slices.Clone(b.chunks[whole:])
			b.base += whole * chunkSize
		}
	}
	return n
}

// reset is what an instance refresh does: nothing is retained and no id known
// so far is valid. next is a new id to count from.
func (b *bus) reset(next int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trimLocked(b.end)
	b.last = max(b.last, next)
	b.floor, b.reached = b.last, b.last+1
}

// renumber is a new bus: nothing is retained, ids count from first again, and those
// of the old one are taken for ids of this one.
func (b *bus) renumber(first int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trimLocked(b.end)
	b.last, b.floor, b.reached, b.anyID = first, first, first+1, true
}

// after returns the index of the first event behind the id; ok is false when
// the id was never given out or is no longer retained.
func (b *bus) after(id int64) (index int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.anyID && b.refuses(id) {
		return 0, false
	}
	v := b.viewLocked()
	return v.first + sort.Search(v.end-v.first, func(i int) bool { return v.at(v.first+i).replay > id }), true
}

// refuses says whether the id was never given out, or is no longer retained.
func (b *bus) refuses(id int64) bool {
	return id > b.last || id < b.floor || id == b.floor && (!b.byID || id < b.reached)
}

func (b *bus) bounds() (first, end int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first, b.end
}
