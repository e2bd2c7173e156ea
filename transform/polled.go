package transform

// withoutPlace is an event without its position. That of a polled stream says how far
// a poll has come and what it remembers: it is long, all rows of a page share it, and to
// a reader of the record it is no place.
func withoutPlace(ev *Event) *Event {
	other := *ev
	other.Position = ""
	return &other
}

// DeletionsForgotten is the reason of a hole in a polled stream: records were deleted,
// and the org does not remember any more which.
const DeletionsForgotten = "deletions_forgotten"
