package backfill

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
)

// The states of a run.
const (
	Running = "running" // it was begun and has not ended in order
	Stopped = "stopped" // before its end; it can be resumed
	Done    = "done"
)

// Run is one backfill, as it is kept in Kafka.
type Run struct {
	ID      string    `json:"id"`
	Streams []Stream  `json:"streams"`
	To      End       `json:"to"`
	Into    string    `json:"into,omitempty"` // names of topics, see Target; "" is in place
	Filter  Filter    `json:"filter"`
	Started time.Time `json:"started"`
	State   string    `json:"state"`
	Ended   time.Time `json:"ended,omitzero"`
	Events  uint64    `json:"events,omitempty"` // of which records were written, since it was begun or resumed last
	Rows    uint64    `json:"rows,omitempty"`   // likewise
}

// Stream is one channel of a run and where it begins: at the earliest event that
// the org retains, or after a position, and in both cases not before a time.
type Stream struct {
	Channel string          `json:"channel"`
	After   replay.Position `json:"after,omitempty"` // "" is the earliest
	Since   time.Time       `json:"since,omitzero"`
	// Rows stand for what happened before the earliest event; nil: nothing does.
	Rows *RowPart `json:"rows,omitempty"`
}

// End is where a run ends: with the event that has a position, or before a time.
type End struct {
	Position replay.Position `json:"position,omitempty"`
	Time     time.Time       `json:"time,omitzero"`
}

// Filter says which records are wanted; an empty list wants all.
type Filter struct {
	Entities    []string `json:"entities,omitempty"`
	RecordIDs   []string `json:"record_ids,omitempty"` // of 15 or 18 characters
	ChangeTypes []string `json:"change_types,omitempty"`
}

// Check returns what is wrong with a run.
func (r Run) Check() error {
	switch {
	case r.ID == "":
		return errors.New("a run needs an id")
	case len(r.Streams) == 0:
		return errors.New("a run needs a stream")
	case r.To.Position == "" && r.To.Time.IsZero():
		return errors.New("a run needs an end")
	case r.To.Position != "" && len(r.Streams) > 1:
		return errors.New("a replay id belongs to one channel: an end that is an id needs a run of one channel")
	}
	for _, s := range r.Streams {
		if r.To.Position == "" && !s.Since.Before(r.To.Time) && !s.Since.IsZero() {
			return fmt.Errorf("%s: nothing lies between %s and %s", s.Channel, s.Since.Format(time.RFC3339), r.To.Time.Format(time.RFC3339))
		}
		if s.Rows != nil && r.To.Position != "" {
			return fmt.Errorf("%s: rows are read until they all are: an end that is an id needs a run without", s.Channel)
		}
		if s.After != "" && s.After == r.To.Position {
			return fmt.Errorf("%s: nothing lies between the replay id %s and itself", s.Channel, s.After)
		}
	}
	for _, id := range r.Filter.RecordIDs {
		if len(id) != 15 && len(id) != 18 || strings.ContainsFunc(id, notAlphanumeric) {
			return fmt.Errorf("%q is not a record id, which has 15 or 18 letters and digits", id)
		}
	}
	if r.Into == "" {
		return nil
	}
	_, err := r.Target("topic")
	return err
}

// The placeholders of Run.Into.
const (
	holdTopic = "{{.Topic}}"
	holdRun   = "{{.Run}}"
)

// SideTopic is the target of a run that names none.
const SideTopic = holdTopic + ".replay." + holdRun

// Target is the topic that takes the place of one: itself for a run in place.
func (r Run) Target(topic string) (string, error) {
	if r.Into == "" {
		return topic, nil
	}
	name := strings.NewReplacer(holdTopic, topic, holdRun, r.ID).Replace(r.Into)
	const most = 249 // Kafka's bound
	switch {
	case strings.Contains(name, "{{") || strings.Contains(name, "}}"):
		return "", fmt.Errorf("%q: unknown placeholder; known are %s and %s", r.Into, holdTopic, holdRun)
	case name == topic:
		return "", fmt.Errorf("%q is the topic itself; what is meant to go there goes in place", r.Into)
	case len(name) > most:
		return "", fmt.Errorf("%q is longer than the %d characters of a topic's name", name, most)
	case strings.ContainsFunc(name, func(c rune) bool {
		return notAlphanumeric(c) && !strings.ContainsRune("._-", c)
	}):
		return "", fmt.Errorf("%q is no topic's name: letters, digits, '.', '_' and '-' are allowed", name)
	}
	return name, nil
}

func notAlphanumeric(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
}

// rows drops the records of an entity from first on that are not wanted.
func (f Filter) rows(records []*kgo.Record, first int, entity string) []*kgo.Record {
	kept := records[:first]
	for _, r := range records[first:] {
		if f.wants(entity, header(r, "sf-change-type"), r.Key) {
			kept = append(kept, r)
		}
	}
	return kept
}

// wants says whether a record of an entity and a change type is wanted, whose key
// has the record's id in it.
func (f Filter) wants(entity, changeType string, key []byte) bool {
	if len(f.Entities) > 0 && !slices.Contains(f.Entities, entity) {
		return false
	}
	if len(f.ChangeTypes) > 0 && !slices.Contains(f.ChangeTypes, changeType) {
		return false
	}
	const unique = 15 // characters of an id; the others are a checksum
	return len(f.RecordIDs) == 0 || slices.ContainsFunc(f.RecordIDs, func(id string) bool {
		return strings.Contains(string(key), id[:unique])
	})
}

func (r Run) encode() json.RawMessage {
	text, err := json.Marshal(r)
	if err != nil {
		panic("backfill: " + err.Error()) // texts and times
	}
	return text
}
