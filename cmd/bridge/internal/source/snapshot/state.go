package snapshot

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// Kind is what a task is for.
type Kind string

// The kinds of tasks.
const (
	Initial Kind = "initial"  // a stream begins
	Asked   Kind = "snapshot" // somebody asked for an object's rows
	Reread  Kind = "reread"   // somebody asked for some records
	Repair  Kind = "repair"   // a hole
)

// Standing is how a task stands.
type Standing string

// How a task can stand.
const (
	Running Standing = "running" // or it waits for its turn
	Paused  Standing = "paused"
	Done    Standing = "done"
	Aborted Standing = "aborted"
)

// Method is how rows are read.
type Method string

// The ways to read rows.
const (
	Auto Method = "auto" // by count
	REST Method = "rest"
	Bulk Method = "bulk"
)

// State is what is kept of a task.
type State struct {
	Kind     Kind              `json:"kind"`
	Standing Standing          `json:"standing"`
	Why      string            `json:"why,omitempty"` // of an end that is not good
	Holes    []*transform.Hole `json:"holes,omitempty"`
	Parts    []*Part           `json:"parts"`
	// Unsure is what the task could not find out.
	Unsure string `json:"unsure,omitempty"`
	Counts
	Begun   time.Time `json:"begun,omitzero"` // when the first query was sent
	Ended   time.Time `json:"ended,omitzero"`
	Ordered time.Time `json:"ordered"`
}

// Counts are what a task has done.
type Counts struct {
	Chunks int `json:"chunks"`
	Rows   int `json:"rows"`  // written
	Gone   int `json:"gone"`  // of them deletions
	Left   int `json:"left"`  // left out for an event that came meanwhile, and read again
	Calls  int `json:"calls"` // of the org's API
}

// Part is one question of a task: rows of one object.
type Part struct {
	Object string `json:"object"`
	// What is asked for: all rows, those that were changed since a time, those of a
	// condition, or those of ids. All asks for all rows where the time is that of
	// deletions alone.
	Since time.Time `json:"since,omitzero"`
	All   bool      `json:"all,omitempty"`
	Where string    `json:"where,omitempty"`
	IDs   []string  `json:"ids,omitempty"` // that are not read yet
	ByIDs bool      `json:"by_ids,omitempty"`
	// Deletions asks for deletions since the time too, and writes one for an id that is
	// not there. Sweep looks for records of the topic that the org does not have.
	Deletions bool `json:"deletions,omitempty"`
	Sweep     bool `json:"sweep,omitempty"`

	Phase  phase          `json:"phase,omitempty"`
	Method Method         `json:"method,omitempty"`
	Ranges []*idRange     `json:"ranges,omitempty"`
	Again  map[string]int `json:"again,omitempty"` // ids to be read again, and how often they were
	Total  int            `json:"total,omitempty"` // rows, when they were counted
	Read   int            `json:"read"`
}

// idRange is a part of an object: ids behind After up to UpTo.
type idRange struct {
	After string `json:"after,omitempty"`
	UpTo  string `json:"up_to,omitempty"`
	Done  bool   `json:"done,omitempty"`
	// Job of Bulk API that reads the range, and the version of the API that it was
	// made with.
	Job     string `json:"job,omitempty"`
	Version string `json:"version,omitempty"`
}

type phase string

// The phases of a part, in their order.
const (
	readingRows      phase = "" // the first
	readingDeletions phase = "deletions"
	sweeping         phase = "sweep"
	finished         phase = "done"
)

// Ended says whether nothing is left to do.
func (s *State) ended() bool { return s.Standing == Done || s.Standing == Aborted }

// objects of the parts, each once, in their order.
func (s *State) objects() (out []string) {
	for _, p := range s.Parts {
		if !slices.Contains(out, p.Object) {
			out = append(out, p.Object)
		}
	}
	return out
}

// ReadState reads the body of a task.
func ReadState(t replay.Task) (*State, error) {
	var s State
	dec := json.NewDecoder(strings.NewReader(string(t.Body)))
	dec.DisallowUnknownFields() // I5
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("task %q of %s cannot be read: %w; was it written by a newer version?", t.ID, t.Key.Channel, err)
	}
	return &s, nil
}

// task makes the record's form of a state.
func (s *State) task(key replay.Key, id string) replay.Task {
	body, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("snapshot: encoding the state of task %q: %v", id, err)) // it has nothing that JSON cannot express
	}
	t := replay.Task{Key: key, ID: id, Body: body, Updated: time.Now()}
	if objects := s.objects(); len(objects) == 1 {
		t.Object = objects[0]
	}
	return t
}

// InitialTask is the task of a stream that begins: all rows of an object. Its stream is
// filled in by whoever keeps it.
func InitialTask(object string) replay.Task {
	s := &State{Kind: Initial, Standing: Running, Parts: []*Part{{Object: object}}, Ordered: time.Now()}
	return s.task(replay.Key{}, string(Initial)+"/"+object)
}
