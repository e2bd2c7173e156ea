package ops

import (
	"slices"
	"sync"
	"time"
)

// StreamStats is what is known of one stream at one moment. The counters only
// grow while the process lives, and balance:
// Received = Produced + DeadLettered + Filtered + Returned + InFlight.
type StreamStats struct {
	Stream        string    `json:"stream"`              // the channel
	Lane          int32     `json:"lane"`                // that the stream belongs to
	Owned         bool      `json:"owned"`               // the lane is this process's; if not, only the counters say something
	Received      uint64    `json:"received"`            // events taken from the org
	Produced      uint64    `json:"produced"`            // events whose records are committed
	Records       uint64    `json:"records"`             // records committed; a merged event has several
	DeadLettered  uint64    `json:"dead_lettered"`       // events committed to the dead-letter topic
	Filtered      uint64    `json:"filtered"`            // events from before the stream's start
	Returned      uint64    `json:"returned"`            // events given up uncommitted; they come again
	Gaps          uint64    `json:"gaps"`                // entries committed to the gap ledger
	OpenGaps      *int      `json:"open_gaps,omitempty"` // in the gap ledger, whoever entered them; nil is not known
	Extras        uint64    `json:"extras"`              // fields kept that the events' schemas lack
	Rows          uint64    `json:"rows"`                // rows of the org committed, by snapshots and repairs
	RowsLeft      uint64    `json:"rows_left_out"`       // rows not written for an event that came meanwhile
	RowsRefused   uint64    `json:"rows_dead_lettered"`  // of Rows, those committed to the dead-letter topic
	InFlight      uint64    `json:"in_flight"`           // events taken and not yet committed
	LastEventTime time.Time `json:"last_event,omitzero"` // when the last committed event happened
	LastCommit    time.Time `json:"last_commit,omitzero"`
	LastReceived  time.Time `json:"last_received,omitzero"` // when the last event was taken from the org
	Position      string    `json:"position,omitempty"`     // opaque; not a metric
	Subscribed    bool      `json:"subscribed"`             // Salesforce delivers it now
	Halted        bool      `json:"halted"`                 // stopped by policy
	// Starving says, for people, why the stream is thought to get nothing though
	// there is something to get. It is "" for all other streams.
	Starving string `json:"starving,omitempty"`
	// If the stream is not read until LostAfter, Salesforce begins to drop events
	// that it has not delivered; at PositionExpires it forgets the position itself.
	// Zero is not known.
	LostAfter       time.Time `json:"lost_after,omitzero"`
	PositionExpires time.Time `json:"position_expires,omitzero"`
}

// Snapshot is what a Collector asks for at each scrape. Maps may be nil.
type Snapshot struct {
	Streams       []StreamStats     // each stream once
	Lanes         []int32           // that this process owns
	Members       int               // of the consumer group, as last seen
	Differing     int               // of them, with another configuration than this one
	Reconnects    map[string]uint64 // sessions begun again, by reason
	TokenRequests map[string]uint64 // requests for an access token, by result
	Commits       map[string]uint64 // commits to Kafka, by result
	CommitSeconds HistogramData     // of the successful ones
	Questions     map[string]uint64 // of the watchdog about silent streams, by result
	APICalls      uint64            // requests that were sent to the org's REST API
	APIRemaining  *int64            // of the org's daily API requests; nil is not known
	Rows          *Rows             // nil while no rows can be read
}

// Results, for the maps of Snapshot that are by result.
const (
	ResultOK     = "ok"
	ResultFailed = "failed"
)

// HistogramData is a histogram at one moment.
type HistogramData struct {
	Count   uint64
	Sum     float64            // seconds
	Buckets map[float64]uint64 // upper bound in seconds to number of observations at or below it
}

// Histogram counts durations. The zero value has no buckets but counts.
type Histogram struct {
	mu     sync.Mutex
	bounds []float64
	counts []uint64
	count  uint64
	sum    float64
}

// NewHistogram returns a histogram with the given upper bounds in seconds.
func NewHistogram(bounds ...float64) *Histogram {
	sorted := slices.Compact(slices.Sorted(slices.Values(bounds)))
	return &Histogram{bounds: sorted, counts: make([]uint64, len(sorted))}
}

// NewCommitHistogram returns a histogram that fits the time a transaction
// takes: from the few milliseconds of a near broker to the tens of seconds of
// one that has lost its leader.
func NewCommitHistogram() *Histogram {
	return NewHistogram(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
}

// Observe counts d.
func (h *Histogram) Observe(d time.Duration) {
	seconds := d.Seconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	h.sum += seconds
	if i, _ := slices.BinarySearch(h.bounds, seconds); i < len(h.counts) {
		h.counts[i]++
	}
}

// Data returns what was counted so far.
func (h *Histogram) Data() HistogramData {
	h.mu.Lock()
	defer h.mu.Unlock()
	data := HistogramData{Count: h.count, Sum: h.sum, Buckets: make(map[float64]uint64, len(h.bounds))}
	below := uint64(0)
	for i, bound := range h.bounds {
		below += h.counts[i]
		data.Buckets[bound] = below
	}
	return data
}
