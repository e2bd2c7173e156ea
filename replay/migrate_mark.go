package replay

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
)

// copyOf is the topic that a migration keeps the positions in meanwhile.
func copyOf(topic string) string { return topic + ".migrating" }

// markKey is the key of the record that says that the copy is complete.
const markKey = "copied"

// mark is the value of that record. It binds itself to the entries that it speaks
// of, and knows what the topic was like, so that it can be made again.
type mark struct {
	V          int               `json:"v"`
	Org        string            `json:"org"`
	Source     string            `json:"source,omitempty"` // id of the topic that was copied; brokers before 2.8 have none
	Partitions int               `json:"partitions"`       // of that topic
	Replicas   int               `json:"replicas"`
	Settings   map[string]string `json:"settings"`
	Digest     string            `json:"digest"`
}

// shape is what a topic is made like.
type shape struct {
	replicas int
	settings map[string]string // that differ from the broker's
}

func (m mark) shape() shape { return shape{replicas: m.Replicas, settings: m.Settings} }

func decodeMark(value []byte) (mark, error) {
	var m mark
	if err := decode(value, &m); err != nil {
		return mark{}, err
	}
	if m.Org == "" || m.Digest == "" || m.Partitions < 1 {
		return mark{}, errors.New("org, partitions or digest is missing")
	}
	return m, nil
}

// topicID is the form of a topic's id in a mark; "" if the broker gives none.
func topicID(id kadm.TopicID) string {
	if id == (kadm.TopicID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// digest is the same for the same keys and values, and for no others.
func digest(entries map[string]place) string {
	h := sha256.New()
	sized := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		_, _ = h.Write(n[:]) // hashes take everything
		_, _ = h.Write(b)
	}
	for _, k := range slices.Sorted(maps.Keys(entries)) {
		sized([]byte(k))
		sized(entries[k].record.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}
