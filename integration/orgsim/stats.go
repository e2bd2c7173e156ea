package orgsim

import (
	"sync/atomic"
	"time"
)

type counters struct {
	sessions, tokens, connects, published, delivered   atomic.Int64
	expired, forgotten, cuts, refusals, rest, requests atomic.Int64
}

// Stats are counters since the org was made.
type Stats struct {
	SessionsOpened    int64     `json:"sessionsOpened"`
	SessionsOpen      int       `json:"sessionsOpen"` // now
	TokensIssued      int64     `json:"tokensIssued"`
	Connects          int64     `json:"connects"`        // accepted /meta/connect messages
	EventsPublished   int64     `json:"eventsPublished"` //
	EventsDelivered   int64     `json:"eventsDelivered"` // messages written, once for each channel
	EventsRetained    int       `json:"eventsRetained"`
	RestRequests      int64     `json:"restRequests"`
	Requests          int64     `json:"requests"` // HTTP requests of all kinds but the control API
	TokensExpired     int64     `json:"tokensExpired"`
	SessionsForgotten int64     `json:"sessionsForgotten"`
	Cuts              int64     `json:"cuts"`     // replies cut off in mid-body
	Refusals          int64     `json:"refusals"` // replies and responses that faults gave in place of the org's
	Faults            int       `json:"faults"`   // of the fault log
	DeliveredToday    int64     `json:"deliveredToday"`
	RestToday         int64     `json:"restToday"`
	PeakRequests      int64     `json:"peakRequests"` // most requests to /cometd within a minute
	PeakTokens        int64     `json:"peakTokens"`   // most requests to the token endpoint within an hour
	Clock             time.Time `json:"clock"`
}

// Stats returns the counters.
func (o *Org) Stats() Stats {
	o.sweep()
	o.hub.mu.Lock()
	open := len(o.hub.sessions)
	o.hub.mu.Unlock()
	c := &o.stats
	now := o.now()
	faults := 0
	for _, n := range o.FaultCounts() {
		faults += n
	}
	return Stats{
		SessionsOpened: c.sessions.Load(), SessionsOpen: open, TokensIssued: c.tokens.Load(), Connects: c.connects.Load(),
		EventsPublished: c.published.Load(), EventsDelivered: c.delivered.Load(), EventsRetained: o.Retained(),
		RestRequests: c.rest.Load(), Requests: c.requests.Load(), TokensExpired: c.expired.Load(),
		SessionsForgotten: c.forgotten.Load(), Cuts: c.cuts.Load(), Refusals: c.refusals.Load(), Faults: faults,
		DeliveredToday: o.deliveries.total(now), RestToday: o.restCalls.total(now),
		PeakRequests: o.cometdCalls.highest(), PeakTokens: o.tokenCalls.highest(), Clock: now.UTC(),
	}
}
