package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

// ledgerHoles are the holes of the ledger in memory.
type ledgerHoles struct {
	h *history

	hidden atomic.Bool // the ledger is not read yet

	mu   sync.Mutex
	read int
	open map[string]transform.Hole
}

func (l *ledgerHoles) catchUp() map[string]transform.Hole {
	records := l.h.topics.all()
	reader, err := transform.NewLedgerReader(nil)
	done(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[string]transform.Hole)
	}
	for _, r := range records[l.read:] {
		if r.Topic != "gaps" {
			continue
		}
		e, err := reader.Read(context.Background(), r)
		done(err)
		delete(l.open, e.ID)
		if e.Unfilled() {
			l.open[e.ID] = e.Hole
		}
	}
	l.read = len(records)
	return maps.Clone(l.open)
}

func (l *ledgerHoles) Open(channel string) (out []transform.Hole, known bool) {
	if l.hidden.Load() {
		return nil, false
	}
	for _, h := range l.catchUp() {
		if h.Channel == channel {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b transform.Hole) int { return a.Detected.Compare(b.Detected) })
	return out, true
}

func (l *ledgerHoles) Changed() <-chan struct{} {
	l.h.topics.mu.Lock()
	defer l.h.topics.mu.Unlock()
	return l.h.topics.arrived
}

func (l *ledgerHoles) none() bool { return len(l.catchUp()) == 0 }

// told is what a reader of a topic knows of a record.
type told struct {
	fields map[string]string
	alive  bool
	trail  []string  // what was read of it, for people
	at     time.Time // of the last event or row
}

// alive are the records that a reader of the topic has at this moment.
func (h *history) alive(_ context.Context, _, object string) iter.Seq2[string, error] {
	table := make(map[string]*told)
	for _, r := range h.topics.all() {
		if r.Topic == object {
			fold(table, r)
		}
	}
	return func(yield func(string, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(table)) {
			if table[id].alive && !yield(id, nil) {
				return
			}
		}
	}
}

// judge folds the topics as a reader does, and compares them with the org.
func (h *history) judge() (faults []string) {
	tables := make(map[string]map[string]*told)
	for _, object := range historyObjects() {
		tables[object] = make(map[string]*told)
	}
	for _, r := range h.topics.all() {
		if table, ok := tables[r.Topic]; ok {
			if fault := fold(table, r); fault != "" {
				faults = append(faults, fault)
			}
		} else if r.Topic == "dead" {
			faults = append(faults, "a dead letter: "+header(r, "bridge-error"))
		}
	}
	for _, object := range historyObjects() {
		faults = append(faults, h.compare(object, tables[object])...)
	}
	return faults
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// fold applies one record. What it returns is wrong whatever comes later: a value that
// goes back to an older one.
func fold(table map[string]*told, r *kgo.Record) (fault string) {
	if r.Value == nil {
		return ""
	}
	var whole map[string]json.RawMessage
	done(json.Unmarshal(r.Value, &whole))
	var head struct {
		ChangeType      string
		CommitTimestamp int64
		NulledFields    []string
	}
	done(json.Unmarshal(whole["ChangeEventHeader"], &head))
	id := string(r.Key)
	was := table[id]
	if was == nil {
		was = &told{fields: make(map[string]string)}
		table[id] = was
	}
	at := time.UnixMilli(head.CommitTimestamp)
	was.trail = append(was.trail, fmt.Sprintf("%s@%s%s%s", head.ChangeType, at.UTC().Format(time.TimeOnly+".000"), header(r, pipeline.SnapshotHeader), header(r, pipeline.InSnapshotHeader)))
	mayGoBack := header(r, pipeline.InSnapshotHeader) != ""
	values := make(map[string]string)
	for name, raw := range whole {
		var text *string
		if json.Unmarshal(raw, &text) == nil && text != nil && len(*text) == 8 && (*text)[0] == 'v' {
			values[name] = *text
			if *text < was.fields[name] && !mayGoBack {
				fault = fmt.Sprintf("%s of %s goes back from %s to %s by a %s of %s: %v", name, id, was.fields[name], *text, head.ChangeType, at.UTC().Format(time.TimeOnly+".000"), was.trail)
			}
		}
	}
	switch head.ChangeType {
	case "CREATE", "UNDELETE", "SNAPSHOT":
		if head.ChangeType == "SNAPSHOT" && !was.alive && was.at.After(at.Add(time.Second)) {
			fault = fmt.Sprintf("a row brings %s back, which was deleted after it: %v", id, was.trail)
		}
		was.fields, was.alive = values, true
	case "UPDATE":
		maps.Copy(was.fields, values)
		for _, name := range head.NulledFields {
			delete(was.fields, name)
		}
		if len(values)+len(head.NulledFields) > 0 {
			was.alive = true
		}
	case "DELETE":
		was.fields, was.alive = make(map[string]string), false
	default:
		return fault // a gap event says nothing
	}
	was.at = at
	return fault
}

func (h *history) compare(object string, table map[string]*told) (faults []string) {
	rows, err := h.org.Rows(object)
	done(err)
	living := make(map[string]bool)
	for _, row := range rows {
		if row.Deleted {
			continue
		}
		living[row.ID] = true
		got := table[row.ID]
		if got == nil || !got.alive {
			faults = append(faults, fmt.Sprintf("%s %s is not in the topic", object, row.ID))
			continue
		}
		for n := range 3 {
			name := fieldOf(object, n)
			want := ""
			if raw, ok := row.Fields[name].(json.RawMessage); ok && string(raw) != "null" {
				done(json.Unmarshal(raw, &want))
			}
			if got.fields[name] != want {
				faults = append(faults, fmt.Sprintf("%s of %s is %q in the topic and %q in the org: %v", name, row.ID, got.fields[name], want, got.trail))
			}
		}
	}
	for id, got := range table {
		if got.alive && !living[id] {
			faults = append(faults, fmt.Sprintf("%s %s is in the topic and not in the org: %v", object, id, got.trail))
		}
	}
	slices.Sort(faults)
	return faults
}
