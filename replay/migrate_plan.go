package replay

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// decide says which steps lead from a state to as many lanes as cfg says. It
// trusts the copy only if the copy says that it is complete, and the topic only
// as long as no complete copy knows better.
func (at state) decide(cfg Config) ([]Step, error) {
	switch {
	case !at.copied.exists && !at.topic.exists:
		return nil, &TopicMissingError{Topic: cfg.Topic, Lanes: cfg.Lanes, Err: kerr.UnknownTopicOrPartition}
	case !at.copied.exists:
		return at.fromTopic(cfg.Lanes), nil
	case at.mark == nil && !at.topic.exists:
		return nil, at.broken(cfg, errors.New("the topic is gone, and the copy was never finished"),
			"restore the topic, or delete the copy to start anew on purpose")
	case at.mark == nil:
		return at.copyAgain(cfg.Lanes), nil
	case at.fromSource() && !at.faithful():
		// The topic that was copied is still there, and what it holds has
		// changed, or an older copy was being written over.
		return at.copyAgain(cfg.Lanes), nil
	case at.mark.Digest != digest(at.copied.entries):
		return nil, at.broken(cfg, errors.New("it does not hold what it says"),
			"find out who wrote to it; if the topic is right as it is, delete the copy and try again")
	case at.topic.exists && !at.within():
		return nil, at.broken(cfg, errors.New("the topic holds positions that the copy does not know"),
			"find out who wrote to the topic; if it is right as it is, delete the copy and try again")
	default:
		return at.fromCopy(cfg.Lanes), nil
	}
}

func (at state) broken(cfg Config, err error, hint string) error {
	return &CopyError{Topic: cfg.Topic, Copy: copyOf(cfg.Topic), Hint: hint, Err: err}
}

// fromTopic are the steps where there is no copy.
func (at state) fromTopic(lanes int) []Step {
	have := at.topic.partitions()
	switch {
	case have > lanes:
		return append([]Step{CreateCopy}, throughCopy()...)
	case have < lanes && at.moving(lanes):
		return []Step{AddPartitions, MoveEntries}
	case have < lanes:
		return []Step{AddPartitions}
	case len(at.topic.stray) > 0:
		return []Step{MoveEntries}
	default:
		return nil
	}
}

// throughCopy are the steps once there is a copy to be written.
func throughCopy() []Step {
	return []Step{WriteCopy, DeleteTopic, CreateTopic, WriteBack, DeleteCopy}
}

// copyAgain are the steps where the topic is right and the copy is not.
func (at state) copyAgain(lanes int) []Step {
	if at.topic.partitions() > lanes {
		return throughCopy()
	}
	return append([]Step{DeleteCopy}, at.fromTopic(lanes)...)
}

// fromCopy are the steps where the copy is complete and the topic holds nothing
// else.
func (at state) fromCopy(lanes int) []Step {
	switch {
	case !at.topic.exists:
		return []Step{CreateTopic, WriteBack, DeleteCopy}
	case at.topic.partitions() != lanes:
		return []Step{DeleteTopic, CreateTopic, WriteBack, DeleteCopy}
	case len(at.topic.stray) > 0 || !at.faithful():
		return []Step{WriteBack, DeleteCopy}
	default:
		return []Step{DeleteCopy}
	}
}

// fromSource says whether the topic is the very one that was copied.
func (at state) fromSource() bool {
	id := topicID(at.topic.detail.ID)
	return id != "" && id == at.mark.Source
}

// within says whether the copy has all that the topic holds.
func (at state) within() bool {
	for k, e := range at.topic.entries {
		copied, ok := at.copied.entries[k]
		if !ok || !bytes.Equal(copied.record.Value, e.record.Value) {
			return false
		}
	}
	return true
}

// faithful says whether the copy has what the topic holds and nothing else.
func (at state) faithful() bool {
	return len(at.copied.entries) == len(at.topic.entries) && at.within() && at.mark.Digest == digest(at.copied.entries)
}

// truth is what the topic shall hold in the end.
func (at state) truth() map[string]place {
	if at.copied.exists {
		return at.copied.entries
	}
	return at.topic.entries
}

func (at state) moving(lanes int) bool {
	for _, e := range at.topic.entries {
		if e.among(lanes) != e.partition {
			return true
		}
	}
	return false
}

// from is how many lanes the positions come from.
func (at state) from() int {
	if at.mark != nil {
		return at.mark.Partitions
	}
	return at.topic.partitions()
}

// moves are where the streams' positions were, as far as that is known, and where
// they go.
func (at state) moves(lanes int) []Move {
	entries := at.topic.entries
	if at.mark != nil && len(at.copied.entries) > len(entries) {
		entries = at.copied.entries
	}
	var out []Move
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		k, err := ParseKey(key)
		if err != nil {
			continue // no position
		}
		move := Move{Key: k, From: entries[key].partition, To: LaneOf(k, lanes)}
		if at.mark != nil { // a copy does not tell where it lay, but among how many
			move.From = LaneOf(k, at.mark.Partitions)
		}
		out = append(out, move)
	}
	return out
}

// settling are the records that make the topic, which has as many partitions as
// cfg has lanes, hold the truth: first what is missing, then the end of what is
// in the wrong place. In this order nothing is lost in between (I2).
func (at state) settling(cfg Config) [][]*kgo.Record {
	var puts, ends []*kgo.Record
	truth := at.truth()
	for _, k := range slices.Sorted(maps.Keys(truth)) {
		want := truth[k].among(cfg.Lanes)
		if e, ok := at.topic.entries[k]; !ok || e.partition != want {
			puts = append(puts, truth[k].to(cfg.Topic, want))
		}
	}
	for _, e := range at.topic.stray {
		ends = append(ends, e.end(cfg.Topic))
	}
	return [][]*kgo.Record{puts, ends}
}

// copying are the records that make the copy complete: the mark is the last.
func (at state) copying(cfg Config) [][]*kgo.Record {
	copied := copyOf(cfg.Topic)
	var puts []*kgo.Record
	for _, k := range slices.Sorted(maps.Keys(at.copied.entries)) {
		if _, ok := at.topic.entries[k]; !ok {
			puts = append(puts, at.copied.entries[k].end(copied))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(at.topic.entries)) {
		puts = append(puts, at.topic.entries[k].to(copied, 0))
	}
	m := encode(mark{
		V: version, Org: cfg.Org, Source: topicID(at.topic.detail.ID), Partitions: at.topic.partitions(),
		Replicas: at.topic.shape.replicas, Settings: at.topic.shape.settings, Digest: digest(at.topic.entries),
	})
	return [][]*kgo.Record{puts, {{Topic: copied, Key: []byte(markKey), Value: m}}}
}

// to is the same record in another place.
func (p place) to(topic string, partition int32) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Key: p.record.Key, Value: p.record.Value, Headers: p.record.Headers}
}

// end is the record that takes this one out of its place.
func (p place) end(topic string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: p.partition, Key: p.record.Key}
}
