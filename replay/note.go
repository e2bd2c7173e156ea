package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Note is something else that a bridge has to remember in the transaction of its
// positions: what a position was before it was set by hand, how a backfill was
// begun. What it says is its writer's matter.
type Note struct {
	Name    string
	Body    json.RawMessage
	Updated time.Time // UTC
}

const (
	notePrefix = "note/"
	// noteLane has all notes, whatever lane's producer writes them, so that they
	// stay where they are when the number of lanes changes.
	noteLane = 0
)

type wireNote struct {
	V       int             `json:"v"`
	Org     string          `json:"org"`
	Body    json.RawMessage `json:"body"`
	Updated time.Time       `json:"updated"`
}

// NoteRecord returns the record that keeps n; without a Body it deletes the note of
// that name. It panics for a note without a name, or a Body that is not JSON.
func (s *Store) NoteRecord(n Note) *kgo.Record {
	if n.Name == "" || n.Body != nil && !json.Valid(n.Body) {
		panic(fmt.Sprintf("replay: note %q without a name, or not JSON", n.Name))
	}
	r := &kgo.Record{Topic: s.cfg.Topic, Partition: noteLane, Key: []byte(notePrefix + n.Name)}
	if n.Body != nil {
		r.Value = encode(wireNote{V: version, Org: s.cfg.Org, Body: n.Body, Updated: n.Updated.UTC().Truncate(time.Millisecond)})
	}
	return r
}

func decodeNote(key string, value []byte) (n Note, org string, err error) {
	var w wireNote
	if err := decode(value, &w); err != nil {
		return Note{}, "", err
	}
	n = Note{Name: strings.TrimPrefix(key, notePrefix), Body: w.Body, Updated: w.Updated.UTC()}
	if n.Name == "" || w.Org == "" || len(w.Body) == 0 {
		return Note{}, "", errors.New("name, org or body is missing")
	}
	return n, w.Org, nil
}

// Notes returns the notes that are committed when it is called, by name.
func (s *Store) Notes(ctx context.Context) (map[string]Note, error) {
	start := time.Now()
	last, err := s.latest(ctx, noteLane)
	if err != nil {
		return nil, s.typed(err, "reading the notes", start)
	}
	if _, err := s.decode(noteLane, last); err != nil {
		return nil, err
	}
	out := make(map[string]Note)
	for key, r := range last {
		if r.Value == nil || !strings.HasPrefix(key, notePrefix) {
			continue
		}
		if n, _, err := decodeNote(key, r.Value); err == nil { // decode has judged it already
			out[n.Name] = n
		}
	}
	return out, nil
}
