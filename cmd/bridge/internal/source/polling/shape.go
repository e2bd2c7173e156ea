package polling

import (
	"strconv"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

// batch is events that will share a position.
type batch struct {
	events []transform.Event
	bytes  int
}

func (b *batch) add(ev transform.Event) {
	b.events = append(b.events, ev)
	b.bytes += len(ev.Payload)
}

// at gives all events one position: they become durable together, or come again.
func (b *batch) at(position string) pipeline.Batch {
	for i := range b.events {
		b.events[i].Position = position
	}
	return pipeline.Batch{Events: b.events, Bytes: b.bytes}
}

// event is a row, or what is known of one that is gone, in the shape of a change event.
// What only a transaction has is empty.
func (s *stream) event(r *row) transform.Event {
	change := "SNAPSHOT"
	if r.gone {
		change = "DELETE"
	}
	p := make([]byte, 0, 320+len(r.json))
	p = append(p, `{"ChangeEventHeader":{"entityName":"`...)
	p = append(append(p, s.entity...), `","recordIds":["`...)
	p = append(append(p, r.id...), `"],"changeType":"`...)
	p = append(append(p, change...), `","changeOrigin":"","transactionKey":"","sequenceNumber":1,"commitTimestamp":`...)
	p = strconv.AppendInt(p, r.at.UnixMilli(), 10)
	p = append(p, `,"commitNumber":0,"commitUser":"","nulledFields":[],"diffFields":[],"changedFields":[]}`...)
	if len(r.json) > 2 && !r.gone {
		p = append(append(p, ','), r.json[1:]...)
	} else {
		p = append(p, '}')
	}
	return transform.Event{Channel: s.channel, SchemaID: s.schemaID, Payload: p, ReceivedAt: time.Now()}
}
