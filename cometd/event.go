package cometd

import (
	"fmt"
	"math"
)

// Event is one data message. Its byte slices are the bytes that the server
// sent: the client does not change or reuse them after the event is handed out.
// They share memory with other events of the same reply, so a consumer that
// keeps one small slice for long should copy it.
type Event struct {
	// Channel is the channel as the server wrote it on the message.
	Channel string
	// Subscription is the name given to Subscribe that the event belongs to. It
	// differs from Channel for a PushTopic with a filter ("/topic/T?Status=A",
	// whose events come on "/topic/T"), and for a channel of many events
	// ("/data/ChangeEvents", "/data/X__chn", "/event/X__chn") if the server names
	// the event's own channel and no other subscription can have brought it. It is
	// empty when the event belongs to none, or cannot be told whose it is: such an
	// event is delivered all the same, and moves no position.
	Subscription string
	// ReplayID is data.event.replayId. HasReplayID is false when the message has
	// none; then the event never moves the point from which its subscription resumes.
	ReplayID    int64
	HasReplayID bool
	// Schema is data.schema (old endpoints: data.event.schema), the id of the
	// event's schema; empty for PushTopic and generic events.
	Schema string
	// UUID is data.event.EventUuid, APIName data.event.EventApiName; both optional.
	UUID    string
	APIName string
	// Type is data.event.type, CreatedDate data.event.createdDate: PushTopic and
	// generic events.
	Type        string
	CreatedDate string
	// Payload is data.payload, or data.sobject for a PushTopic; nil when the
	// message has neither.
	Payload []byte
	// Data is the whole data member.
	Data []byte
}

// From says where a subscription starts. The zero value is invalid.
type From struct {
	replay int64
	valid  bool
}

// Latest starts with events published after the subscription (replay -1).
func Latest() From { return From{-1, true} }

// Earliest starts with the oldest retained event (replay -2).
func Earliest() From { return From{-2, true} }

// After starts behind the event with the given replay id. An id is never
// computed: use one that came with an event. Negative ids are invalid.
func After(replayID int64) From { return From{replayID, replayID >= 0} }

// Replay is the value as the replay extension has it, exactly as sent.
func (f From) Replay() int64 {
	if !f.valid {
		return math.MinInt64
	}
	return f.replay
}

func (f From) String() string {
	switch {
	case !f.valid:
		return "invalid start"
	case f.replay == -1:
		return "latest"
	case f.replay == -2:
		return "earliest"
	}
	return fmt.Sprintf("after %d", f.replay)
}
