// Package oracle decides whether what a consumer read is exactly what a
// simulated org published: the judge of the demo and of every integration test.
//
// # What it does
//
// Expected lists the records that the org's ledger demands, Read takes from a
// Kafka record what identifies it, Compare tells every difference.
//
// # What it promises
//
// A record that is missing, comes twice, was never published, or comes out of
// the order of its key is found and named.
//
// # What it does not do
//
// It does not look at values: that what is inside a record is right is a matter
// of the encoder's tests and of readers that decode it.
//
// # Concurrency
//
// The functions keep nothing.
//
// # Errors
//
// Read returns an error for a record without the headers that every record has.
package oracle

import (
	"fmt"
	"iter"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// PlatformEvent is the Operation of records of events without a type, also those
// of generic channels, and Tombstone that of records without a value.
const (
	PlatformEvent = "EVENT"
	Tombstone     = "TOMBSTONE"
)

// Record is what makes a record the only one of its kind.
type Record struct {
	Topic     string // not compared: routing is the configuration's matter
	Channel   string
	ReplayID  int64
	Index     int    // among the records of one event
	Key       string // record id, or EventUuid, or channel#replay id
	Operation string // change type, that of a PushTopic's event, or one of the above
}

func (r Record) String() string {
	return fmt.Sprintf("%s %s %s at replay id %d, record %d", r.Channel, r.Operation, r.Key, r.ReplayID, r.Index)
}

// Expected lists the records that the ledger demands of a bridge that
// subscribes to the channels, which may have the filters of PushTopics.
func Expected(ledger iter.Seq[orgsim.Entry], channels []string) []Record {
	var out []Record
	for e := range ledger {
		for _, channel := range channels {
			if !e.On(channel) {
				continue
			}
			if e.ChangeType == "" {
				key := e.UUID
				if key == "" {
					key = channel + "#" + strconv.FormatInt(e.ReplayID, 10) // of a generic channel
				}
				out = append(out, Record{Channel: channel, ReplayID: e.ReplayID, Key: key, Operation: PlatformEvent})
			}
			for i, id := range e.RecordIDs {
				out = append(out, Record{Channel: channel, ReplayID: e.ReplayID, Index: i, Key: id, Operation: e.ChangeType})
			}
		}
	}
	return out
}

// Read takes the identity of a record from its key and headers.
func Read(r *kgo.Record) (Record, error) {
	out := Record{Topic: r.Topic, Key: string(r.Key), Operation: PlatformEvent}
	found := 0
	for _, h := range r.Headers {
		var err error
		switch h.Key {
		case "sf-channel":
			out.Channel = string(h.Value)
		case "sf-change-type":
			out.Operation = string(h.Value)
			continue
		case "sf-replay-id":
			out.ReplayID, err = strconv.ParseInt(string(h.Value), 10, 64)
		case "sf-record-index":
			out.Index, err = strconv.Atoi(string(h.Value))
		default:
			continue
		}
		if err != nil {
			return out, fmt.Errorf("header %s of offset %d in %s: %w", h.Key, r.Offset, r.Topic, err)
		}
		found++
	}
	if found != 3 {
		return out, fmt.Errorf("offset %d in %s lacks some of the headers sf-channel, sf-replay-id, sf-record-index", r.Offset, r.Topic)
	}
	if r.Value == nil {
		out.Operation = Tombstone
	}
	return out, nil
}

// Compare tells what a consumer saw too little, too often or out of order. The
// records of one key must be given in the order in which they were consumed.
func Compare(want, got []Record) []string {
	var out []string
	missing := make(map[Record]int, len(want))
	for _, r := range want {
		r.Topic = ""
		missing[r]++
	}
	type place struct{ topic, channel, key string }
	last := make(map[place]Record)
	for _, r := range got {
		p := place{r.Topic, r.Channel, r.Key}
		if before, ok := last[p]; ok && before.ReplayID > r.ReplayID {
			out = append(out, fmt.Sprintf("out of order: %v after replay id %d", r, before.ReplayID))
		}
		last[p] = r
		r.Topic = ""
		if missing[r]--; missing[r] < 0 {
			out = append(out, fmt.Sprintf("never published, or seen again: %v", r))
		}
	}
	for _, r := range want {
		r.Topic = ""
		if missing[r] > 0 {
			missing[r] = 0
			out = append(out, fmt.Sprintf("not seen: %v", r))
		}
	}
	return out
}
