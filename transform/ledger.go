package transform

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
)

// The states of a hole in the ledger.
const (
	HoleOpen      = "open"
	HoleRepairing = "repairing" // what is missing is being fetched; it is not there yet
	HoleRepaired  = "repaired"
	HoleWaived    = "waived" // somebody decided to live with it
)

// Unfilled says whether data is missing that nobody has decided to do without. What
// a state of a newer version means is not known, so it counts (I5).
func (h *Hole) Unfilled() bool { return h.State != HoleRepaired && h.State != HoleWaived }

// HoleReasons are all reasons that are written.
func HoleReasons() []string {
	return []string{
		ReplayRefused, RetentionPassed, Starved, OrgChanged, BusReset, Skipped, DeletionsForgotten, RowsForEvents,
		GapEvent.String(), GapWildcard.String(), GapOverflow.String(),
	}
}

// The reasons of holes. Those that gap events show have the names of [GapReason].
const (
	ReplayRefused   = "replay_id_refused" // the org refused the position
	RetentionPassed = "retention_passed"  // the stream was away for longer than the org retains events
	Starved         = "starvation"        // rows changed, and the org delivered no events of them
	OrgChanged      = "org_changed"       // the org is another one, or lives elsewhere: its positions began anew
	BusReset        = "bus_reset"         // what came behind the position does not follow it
	Skipped         = "skipped"           // somebody set the position to another place, which may lie behind it
	RowsForEvents   = "rows_for_events"   // a backfill read rows in place of events that the org did not retain
	// DeletionsForgotten: records of a polled stream were deleted, and the org does not
	// remember any more which.
	DeletionsForgotten = "deletions_forgotten"
)

// Hole is one entry of the gap ledger: something that a stream lacks, as far as
// it is known. Texts that are empty and times that are zero are unknown.
type Hole struct {
	Org, Channel string
	Object       string // the entity; empty for the whole channel
	Reason       string
	ChangeType   string
	RecordIDs    []string
	// FromPosition is the last position before the hole, ToPosition the first
	// one behind it; the times are those of the events there.
	FromPosition, ToPosition string
	FromTime, ToTime         time.Time
	State                    string
	Detected                 time.Time
	Detail                   string
}

// ID is the same for all states of a hole: made from what the hole is, so that
// finding it again after a crash gives no second entry. Where a starvation ends, or a
// break behind which nothing comes, is not known when it is found, so that is no part of
// what it is. Where rows stand for events there is no event before, and the time from
// which on they do takes its place.
func (h *Hole) ID() string {
	from, to := h.FromPosition, h.ToPosition
	switch h.Reason {
	case Starved, ReplayRefused, RetentionPassed:
		to = ""
	case RowsForEvents:
		from = h.FromTime.UTC().Format(time.RFC3339Nano)
	}
	sum := sha256.New()
	for _, part := range []string{h.Org, h.Channel, h.Object, h.Reason, h.ChangeType, from, to} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		sum.Write(size[:])
		sum.Write([]byte(part))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// HoleOf is the ledger's entry for what an event leaves open.
func HoleOf(org string, ev *Event, g *Gap) *Hole {
	return &Hole{
		Org: org, Channel: ev.Channel, Object: g.Entity, Reason: g.Reason.String(), ChangeType: g.ChangeType,
		RecordIDs: g.RecordIDs, FromPosition: ev.Position, ToPosition: ev.Position, FromTime: g.Time, ToTime: g.Time,
		State: HoleOpen, Detail: "Salesforce says that records changed and does not say how",
	}
}

// Ledger makes the records of the gap ledger. It is safe for concurrent use.
type Ledger struct{ own ownTopic }

// NewLedger returns the ledger of a topic, with the registry, subject strategy
// and format of cfg.
func NewLedger(topic string, cfg Config) (*Ledger, error) {
	own, err := newOwnTopic(topic, &cfg, schemas.Gap())
	if err != nil {
		return nil, err
	}
	return &Ledger{own}, nil
}

// holeWire is a Hole as it is written, in Avro and in JSON alike.
type holeWire struct {
	ID           string     `avro:"id" json:"id"`
	Org          string     `avro:"org" json:"org"`
	Channel      string     `avro:"channel" json:"channel"`
	Object       *string    `avro:"object" json:"object"`
	Reason       string     `avro:"reason" json:"reason"`
	ChangeType   *string    `avro:"changeType" json:"changeType"`
	RecordIDs    []string   `avro:"recordIds" json:"recordIds"`
	FromPosition *string    `avro:"fromPosition" json:"fromPosition"`
	ToPosition   *string    `avro:"toPosition" json:"toPosition"`
	FromTime     *time.Time `avro:"fromTime" json:"fromTime"`
	ToTime       *time.Time `avro:"toTime" json:"toTime"`
	State        string     `avro:"state" json:"state"`
	Detected     time.Time  `avro:"detected" json:"detected"`
	Detail       string     `avro:"detail" json:"detail"`
}

// Record makes the record of a hole's state, keyed by the hole's id. Errors are
// the registry's, see [Retryable] and [SchemaRefused].
func (l *Ledger) Record(ctx context.Context, h *Hole) (*kgo.Record, error) {
	w := holeWire{
		ID: h.ID(), Org: h.Org, Channel: h.Channel, Object: known(h.Object), Reason: h.Reason, ChangeType: known(h.ChangeType),
		RecordIDs: h.RecordIDs, FromPosition: known(h.FromPosition), ToPosition: known(h.ToPosition),
		FromTime: knownTime(h.FromTime), ToTime: knownTime(h.ToTime), State: h.State, Detected: h.Detected.UTC(), Detail: h.Detail,
	}
	if w.RecordIDs == nil {
		w.RecordIDs = []string{}
	}
	return l.own.record(ctx, w.ID, &w)
}

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func knownTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
