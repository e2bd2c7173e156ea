package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SignalType is what a signal asks for.
type SignalType string

// The signals.
const (
	AskSnapshot SignalType = "snapshot" // all rows of an object, or those of a condition
	AskReread   SignalType = "reread"   // some records
	AskRepair   SignalType = "repair"   // a hole of the gap ledger, whatever the stream's policy
	AskStop     SignalType = "stop"     // a task; or all of an object
	AskPause    SignalType = "pause"
	AskResume   SignalType = "resume"
)

// Signal is a wish that is put into the topic of signals. Its form there is JSON.
type Signal struct {
	V       int        `json:"v"` // 1
	Type    SignalType `json:"type"`
	Channel string     `json:"channel"` // the stream
	Object  string     `json:"object,omitempty"`
	Where   string     `json:"where,omitempty"` // SOQL, without the word
	Sweep   bool       `json:"sweep,omitempty"`
	IDs     []string   `json:"ids,omitempty"`
	Hole    string     `json:"hole,omitempty"` // id in the gap ledger
	Task    string     `json:"task,omitempty"` // to stop, pause or resume; empty: all of Object
	By      string     `json:"by,omitempty"`   // who asks, for people
	At      time.Time  `json:"at,omitzero"`

	Offset int64 `json:"-"` // in the topic
	Wrong  error `json:"-"` // why it cannot be read: then it is only told of
}

// ReadSignal reads a signal. A field that is not known is an error (I5).
func ReadSignal(value []byte) (Signal, error) {
	var s Signal
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return Signal{}, fmt.Errorf("it is no signal: %w", err)
	}
	return s, s.check()
}

// Text is the signal as the topic holds it.
func (s Signal) Text() ([]byte, error) {
	s.V = 1
	if err := s.check(); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

func (s Signal) check() error {
	known := []SignalType{AskSnapshot, AskReread, AskRepair, AskStop, AskPause, AskResume}
	switch {
	case s.V != 1:
		return fmt.Errorf("its version is %d, want 1", s.V)
	case !slices.Contains(known, s.Type):
		return fmt.Errorf("its type is %q, want one of %v", s.Type, known)
	case !strings.HasPrefix(s.Channel, "/"):
		return fmt.Errorf("its channel is %q, want one such as /data/AccountChangeEvent", s.Channel)
	case (s.Type == AskSnapshot || s.Type == AskReread) && s.Object == "":
		return errors.New("it has no object")
	case s.Type == AskReread && len(s.IDs) == 0:
		return errors.New("it has no ids")
	case s.Type == AskRepair && s.Hole == "":
		return errors.New("it has no hole")
	case s.Sweep && s.Where != "":
		return errors.New("a sweep is of a whole object: it cannot have a condition")
	}
	return nil
}

// TaskID is that of the task which the signal at an offset makes.
func (s Signal) TaskID() string {
	if s.Type == AskRepair {
		return repairID(s.Hole)
	}
	return fmt.Sprintf("%s/%d", s.Type, s.Offset)
}
