package transform

// withoutPlace is an event without its position. That of a polled stream says how far
// a poll has come and what it remembers: it is long, all rows of a page share it, and to
// a reader of the record it is no place.
func withoutPlace(ev *Event) *Event {
	other := *ev
	other.Position = ""
	return &other
}
