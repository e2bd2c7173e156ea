package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Task is how far a piece of work for a stream has come that is not a matter of
// positions: rows that are read beside the stream's events. It is committed in the
// transaction of what the work writes, and lies in the stream's lane, so that the
// stream's owner has it.
type Task struct {
	Key Key
	// ID names the task among those of the stream.
	ID string
	// Object is whose rows the task writes; empty for none. Covers says that rows of
	// it were written which may hold whatever happened up to then; zero for none.
	// Millisecond precision, UTC.
	Object string
	Covers time.Time
	// Body is the worker's matter: one JSON value. Without it the task is deleted.
	Body    json.RawMessage
	Updated time.Time // UTC
}

const taskPrefix = "task/"

type wireTask struct {
	V       int             `json:"v"`
	Object  string          `json:"object,omitempty"`
	Covers  *time.Time      `json:"covers,omitempty"`
	Body    json.RawMessage `json:"body"`
	Updated time.Time       `json:"updated"`
}

func (t Task) recordKey() string {
	return taskPrefix + url.PathEscape(t.ID) + "/" + t.Key.Org + t.Key.Channel
}

// TaskRecord returns the record that keeps t, its partition set; without a Body the one
// that deletes it. It panics for a task without an id, of an org that is not the
// store's, or whose Body is not JSON.
func (s *Store) TaskRecord(t Task) *kgo.Record {
	if err := t.Key.check(); err != nil || t.Key.Org != s.cfg.Org || t.ID == "" || t.Body != nil && !json.Valid(t.Body) {
		panic(fmt.Sprintf("replay: task %q of %q cannot be kept (%v)", t.ID, t.Key.String(), err))
	}
	r := &kgo.Record{Topic: s.cfg.Topic, Partition: s.LaneOf(t.Key), Key: []byte(t.recordKey())}
	if t.Body != nil {
		r.Value = encode(wireTask{
			V: version, Object: t.Object, Covers: timeOrNil(t.Covers.Truncate(time.Millisecond)),
			Body: t.Body, Updated: t.Updated.UTC().Truncate(time.Millisecond),
		})
	}
	return r
}

// taskStream is the key of the stream that the record of a task belongs to.
func taskStream(key string) (id string, stream Key, err error) {
	escaped, rest, ok := strings.Cut(strings.TrimPrefix(key, taskPrefix), "/")
	if !ok {
		return "", Key{}, errors.New("its key has no stream")
	}
	if stream, err = ParseKey(streamPrefix + rest); err != nil {
		return "", Key{}, err
	}
	id, err = url.PathUnescape(escaped)
	if err == nil && (id == "" || url.PathEscape(id) != escaped) {
		err = fmt.Errorf("its key has %q for an id", escaped)
	}
	return id, stream, err
}

func decodeTask(key string, value []byte) (Task, error) {
	id, stream, err := taskStream(key)
	if err != nil {
		return Task{}, err
	}
	var w wireTask
	if err := decode(value, &w); err != nil {
		return Task{}, err
	}
	t := Task{Key: stream, ID: id, Object: w.Object, Body: bytes.Clone(w.Body), Updated: w.Updated.UTC()}
	if w.Covers != nil {
		t.Covers = w.Covers.UTC()
	}
	if len(t.Body) == 0 {
		return Task{}, errors.New("there is no body in it")
	}
	return t, nil
}

// Tasks returns the tasks of a lane that are committed when it is called, in the order
// of their streams and ids. After Load it has all that an older owner committed.
func (s *Store) Tasks(ctx context.Context, lane int32) ([]Task, error) {
	start := time.Now()
	last, err := s.latest(ctx, lane)
	if err != nil {
		return nil, s.typed(err, fmt.Sprintf("reading the tasks of lane %d", lane), start)
	}
	if _, err := s.decode(lane, last); err != nil {
		return nil, err
	}
	var out []Task
	for key, r := range last {
		if r.Value == nil || !strings.HasPrefix(key, taskPrefix) {
			continue
		}
		if t, err := decodeTask(key, r.Value); err == nil { // decode has judged it already
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b Task) int {
		return cmp.Or(strings.Compare(a.Key.String(), b.Key.String()), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}
