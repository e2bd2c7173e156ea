package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// DeadLetter makes records of events that could not become records as they
// should: the payload as Salesforce sent it as value, the reason in headers.
type DeadLetter struct {
	Topic string
}

// record makes a dead letter. Without its payload (it is too large for Kafka)
// the letter holds size and hash, by which the event can be found again.
func (d DeadLetter) record(key replay.Key, ev *transform.Event, why error, withPayload bool) *kgo.Record {
	sum := sha256.Sum256(ev.Payload)
	r := &kgo.Record{
		Topic: d.Topic,
		Key:   []byte(key.Channel + "@" + ev.Position),
		Headers: []kgo.RecordHeader{
			{Key: "sf-org", Value: []byte(key.Org)},
			{Key: "sf-channel", Value: []byte(key.Channel)},
			{Key: "sf-replay-id", Value: []byte(ev.Position)},
			{Key: "sf-schema-id", Value: []byte(ev.SchemaID)},
			{Key: "sf-event-uuid", Value: []byte(ev.UUID)},
			{Key: "bridge-error", Value: []byte(why.Error())},
			{Key: "bridge-payload-bytes", Value: strconv.AppendInt(nil, int64(len(ev.Payload)), 10)},
			{Key: "bridge-payload-sha256", Value: []byte(hex.EncodeToString(sum[:]))},
		},
	}
	if withPayload {
		r.Value = ev.Payload
	}
	return r
}
