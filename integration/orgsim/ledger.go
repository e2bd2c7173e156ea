package orgsim

import (
	"encoding/json"
	"iter"
	"time"
)

// Entry is one event that the org published: the truth that a consumer's
// output is compared with.
type Entry struct {
	Index          int             `json:"index"`                // position in the ledger, from 0
	ReplayID       int64           `json:"replayId"`             //
	Event          string          `json:"event"`                // AccountChangeEvent, Order__e
	Object         string          `json:"object"`               // Account, Invoice__c, Order__e
	Channels       []string        `json:"channels"`             // every channel that carries it
	ChangeType     string          `json:"changeType"`           // CREATE ... GAP_OVERFLOW; created ... undeleted of a PushTopic; "" for platform and generic events
	RecordIDs      []string        `json:"recordIds"`            // change events; more than one when merged; one of a PushTopic
	UUID           string          `json:"uuid,omitempty"`       // platform events
	TransactionKey string          `json:"transactionKey"`       //
	Sequence       int             `json:"sequence"`             // within the transaction, from 1
	Commit         time.Time       `json:"commit"`               // millisecond precision, UTC
	Deliverable    time.Time       `json:"deliverable,omitzero"` // from when on, if not at once
	SchemaID       string          `json:"schemaId"`             //
	Payload        json.RawMessage `json:"payload,omitempty"`    // data.payload, byte for byte as it is delivered; do not modify; of a PushTopic data.sobject

	row map[string]any // of a PushTopic's event: what On filters by
}

// Ledger returns everything published so far, in order. With
// Config.DropTrimmed entries that fell out of retention are missing.
func (o *Org) Ledger() []Entry {
	v := o.bus.view()
	out := make([]Entry, 0, v.end-v.base)
	for i := v.base; i < v.end; i++ {
		out = append(out, entry(i, v.at(i)))
	}
	return out
}

// LedgerLen is the index that the next published event will have.
func (o *Org) LedgerLen() int {
	_, end := o.bus.bounds()
	return end
}

// LedgerFrom iterates over what was published from the index on, up to what is
// there when the iteration begins; it copies nothing.
func (o *Org) LedgerFrom(index int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		v := o.bus.view()
		for i := max(index, v.base); i < v.end; i++ {
			if !yield(entry(i, v.at(i))) {
				return
			}
		}
	}
}

func entry(index int, e *logged) Entry {
	out := Entry{
		Index: index, ReplayID: e.replay, Event: e.typ.name, Object: e.typ.object, Channels: e.typ.channels,
		ChangeType: e.change, RecordIDs: e.ids, UUID: e.uuid, TransactionKey: e.key, Sequence: e.sequence,
		Commit: time.UnixMilli(e.commit).UTC(), SchemaID: e.schema, row: e.row,
		Payload: e.data[e.payload[0]:e.payload[1]:e.payload[1]],
	}
	if e.due > 0 {
		out.Deliverable = time.UnixMilli(e.due).UTC()
	}
	return out
}
