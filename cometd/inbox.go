package cometd

// inbox holds events that were decoded and not handed out yet. It holds the
// last replay id's events back until it is known that there are no more of
// them: enriched change events can share one id (Change Data Capture guide,
// "Enriched change events"), a position between them does not exist, and a
// batch that ends between them would lose the rest after a restart.
type inbox struct {
	events []Event
	held   int   // the last so many may not go yet
	id     int64 // the replay id that they share
	from   int64 // where in the body the first of them begins
	usual  int   // size of a batch, for the next one's slice
}

func (b *inbox) add(e *Event, offset int64) {
	if b.events == nil {
		b.events = make([]Event, 0, b.usual+8)
	}
	b.events = append(b.events, *e)
	switch {
	case e.HasReplayID && (b.held == 0 || e.ReplayID != b.id):
		b.held, b.id, b.from = 1, e.ReplayID, offset
	case b.held > 0:
		// Of the same id; or without one, and behind those that wait.
		b.held++
	}
}

// release lets go what was held back: its group is known to be whole.
func (b *inbox) release() { b.held = 0 }

// discard forgets what was held back: it comes again with the next session.
func (b *inbox) discard() {
	b.events = b.events[:len(b.events)-b.held]
	b.held = 0
}

// drop forgets the events of a subscription that nobody wants any more.
func (b *inbox) drop(subscription string) {
	var kept []Event
	held := 0
	for i, e := range b.events {
		if e.Subscription == subscription {
			continue
		}
		kept = append(kept, e)
		if i >= len(b.events)-b.held {
			held++
		}
	}
	b.events, b.held = kept, held
}

// take hands out what may go; the rest moves, since the slice is the caller's now.
func (b *inbox) take() []Event {
	n := len(b.events) - b.held
	if n == 0 {
		return nil
	}
	out := b.events[:n:n]
	b.usual = n
	rest := b.events[n:]
	b.events = nil
	if len(rest) > 0 {
		b.events = append(make([]Event, 0, max(b.usual, len(rest))+8), rest...)
	}
	return out
}
