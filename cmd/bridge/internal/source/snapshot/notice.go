package snapshot

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
)

// NoticeType is what a notice tells.
type NoticeType string

// The notices.
const (
	Started    NoticeType = "started"
	ChunkDone  NoticeType = "chunk" // of rows, which became durable with the notice
	TaskDone   NoticeType = "done"
	TaskEnded  NoticeType = "aborted"
	TaskPaused NoticeType = "paused"
	Resumed    NoticeType = "resumed"
	Refused    NoticeType = "refused" // a signal that cannot be followed
)

// Notice is what is told of a task in the topic of notifications, as JSON, keyed by
// channel and task. It is committed with what it tells of.
type Notice struct {
	V       int        `json:"v"` // 1
	Type    NoticeType `json:"type"`
	Org     string     `json:"org"`
	Channel string     `json:"channel"`
	Task    string     `json:"task"`
	Kind    Kind       `json:"kind,omitempty"`
	Object  string     `json:"object,omitempty"`
	Total   int        `json:"total,omitempty"` // rows to be read, when they were counted
	Counts
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at"`
}

// ReadNotice reads a notice. What is not known of it is left out: it is for people.
func ReadNotice(value []byte) (Notice, error) {
	var n Notice
	if err := json.Unmarshal(value, &n); err != nil || n.V != 1 {
		return Notice{}, fmt.Errorf("it is no notice of version 1: %w", err)
	}
	return n, nil
}

func (n Notice) record(topic string) *kgo.Record {
	n.V, n.At = 1, time.Now().UTC().Truncate(time.Millisecond)
	value, err := json.Marshal(n)
	if err != nil {
		panic(fmt.Sprintf("snapshot: encoding a notice: %v", err)) // it has nothing that JSON cannot express
	}
	return &kgo.Record{Topic: topic, Key: []byte(n.Channel + "#" + n.Task), Value: value}
}

// tell makes the records of a notice of a task; none if nobody is told.
func (w *Worker) tell(kind NoticeType, key replay.Key, id string, s *State, why string) []*kgo.Record {
	if w.cfg.NoticesTopic == "" {
		return nil
	}
	n := Notice{Type: kind, Org: key.Org, Channel: key.Channel, Task: id, Kind: s.Kind, Counts: s.Counts, Why: why}
	if len(s.Parts) > 0 {
		p := s.Current()
		n.Object, n.Total = p.Object, p.Total
	}
	return []*kgo.Record{n.record(w.cfg.NoticesTopic)}
}
