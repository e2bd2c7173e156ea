package transform

import (
	"context"
	"fmt"
	"time"

	"github.com/sfbridge/bridge/schemas"
)

// Event is one event as a channel delivers it.
type Event struct {
	// Channel as subscribed, such as /data/AccountChangeEvent.
	Channel string
	// Position of the event in its stream: an opaque text.
	Position string
	// SchemaID is data.schema: which schema the payload follows. Events of
	// PushTopics and generic channels have none; Encode fills in the id of the
	// schema that it used.
	SchemaID string
	// UUID is data.event.EventUuid, empty if the event has none.
	UUID string
	// APIName is data.event.EventApiName, empty if the event has none.
	APIName string
	// Payload is data.payload, a JSON object; of an event of a PushTopic or a
	// generic channel the whole data member. It is not modified, and records do
	// not refer to it.
	Payload []byte
	// ReceivedAt is the timestamp of records of an event without a time of its
	// own.
	ReceivedAt time.Time
}

// Format is how values are written.
type Format uint8

const (
	// Avro is Avro binary by the event's schema.
	Avro Format = iota
	// JSON is the same logical record as JSON.
	JSON
	// Raw is the payload as Salesforce sent it, byte for byte.
	Raw
)

// String returns the format's name in configurations.
func (f Format) String() string {
	switch f {
	case Avro:
		return "avro"
	case JSON:
		return "json"
	case Raw:
		return "raw"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// Registrar gives a schema its id in the schema registry.
type Registrar interface {
	Register(ctx context.Context, subject string, s *schemas.Schema) (int, error)
}

var _ Registrar = (*schemas.Registry)(nil)

// DefaultTopicTemplate is the topic of events without another.
const DefaultTopicTemplate = "salesforce.{{.Object}}"

// Config says how events become records.
type Config struct {
	// OrgID is the org's 18-character id, for the header sf-org.
	OrgID string
	// Schemas hands out the events' schemas.
	Schemas *schemas.Catalog
	// Registry of the schemas; nil for none. It must not be a nil pointer in a
	// non-nil interface. Used by format Avro, and by JSON with JSONSchema.
	Registry Registrar
	// JSONSchema registers a JSON Schema of the records of format JSON and puts
	// its id before each value, as Confluent's serializer does.
	JSONSchema bool
	// Format of the values.
	Format Format
	// TopicTemplate of the topics, default [DefaultTopicTemplate]: a text with
	// any of {{.Prefix}}, {{.Object}} (entity name of a change event, API name
	// of a platform event, name of a PushTopic, u.a.b of /u/a/b), {{.Channel}}
	// (without its first segment) and {{.ChangeType}} (empty for platform and
	// generic events; created, updated, deleted, undeleted of a PushTopic).
	TopicTemplate string
	// Prefix is what {{.Prefix}} stands for.
	Prefix string
	// TopicMap has the topic templates of single objects, by {{.Object}}.
	TopicMap map[string]string
	// TopicRoutes are for the objects that TopicMap has not: the first that
	// matches counts. TopicTemplate is for those that none matches.
	TopicRoutes []TopicRoute
	// OwnTopics are those that no records of events may go to, or to a topic whose
	// name Kafka cannot tell from one of them.
	OwnTopics []string
	// Topics is what all encoders of a process share, so that what one sends
	// somewhere the others know; nil for a table of the encoder's own.
	Topics *Topics
	// KeyFormat is how record keys are written. AvroKeys needs a Registry.
	KeyFormat KeyFormat
	// Streams has what differs for single channels, by channel.
	Streams map[string]StreamOptions
	// Tombstone says for a topic whether a DELETE is followed by a tombstone;
	// nil for never. It is asked once for each topic, so it may be slow.
	Tombstone func(topic string) bool
	// SourceName and Version are what the envelope debezium has as source.name
	// and source.version; the name is by default the org's id.
	SourceName, Version string
	// Subject strategy of the schemas in the registry.
	Subject schemas.SubjectStrategy
}

// ValueSchema is the schema of the values that events of s have when they come on
// a channel: with the field for unknown keys if the channel keeps them, in its
// envelope, and as a JSON Schema if those are registered. Errors are
// [*schemas.SchemaError].
func (c *Config) ValueSchema(channel string, s *schemas.Schema) (*schemas.Schema, error) {
	opts := c.Streams[channel]
	var err error
	if opts.Extras {
		if s, err = schemas.WithExtras(s); err != nil {
			return nil, err
		}
	}
	if s, err = opts.Envelope.In(s); err != nil {
		return nil, err
	}
	if c.JSONSchema {
		s = schemas.JSONSchema(s)
	}
	return s, nil
}

// StreamOptions are the settings of one channel.
type StreamOptions struct {
	// Topic template in place of all that [Config] says of topics; empty for that.
	Topic string
	// KeyField is the top-level field whose value is the record key; empty for
	// the EventUuid. For platform events only: the records of a change event
	// are keyed by record id. An event without a value in the field is keyed
	// as if none were configured; one whose schema lacks it is a [*ConfigError].
	KeyField string
	// Entities has what differs for single entities, by entity name of a change
	// event or API name of a platform event.
	Entities map[string]EntityOptions
	// Extras keeps the keys that an event has and its schema lacks, in place of
	// [*UnknownFieldError]: the value's schema is then Salesforce's with one more
	// field at the end, see [schemas.WithExtras].
	Extras bool
	// Envelope is the shape of the values, for /data/ and /event/ channels.
	Envelope schemas.Envelope
}

// Meta is what the caller may want to know of an event beside its records.
type Meta struct {
	// Object is what the topic template has for it.
	Object string
	// ChangeType such as UPDATE; empty for a platform or a generic event.
	ChangeType string
	// Time is when the event happened: commitTimestamp or CreatedDate.
	Time time.Time
	// Records and Tombstones count what was appended; tombstones are not
	// counted as records.
	Records, Tombstones int
	// Extras counts the keys that the event's schema lacks and that were kept.
	Extras int
	// Gap is set if the event says that something happened that it does not
	// carry.
	Gap *Gap
}

// GapReason says what an event leaves open.
type GapReason uint8

const (
	// GapEvent: the records named changed, their fields are unknown (GAP_*).
	GapEvent GapReason = iota + 1
	// GapWildcard: all records of a key prefix changed (ids such as "001*").
	GapWildcard
	// GapOverflow: an unknown number of the entity's records changed
	// (GAP_OVERFLOW, or the dummy id 000000000000000AAA).
	GapOverflow
)

// String returns the reason's name.
func (r GapReason) String() string {
	switch r {
	case GapEvent:
		return "gap_event"
	case GapWildcard:
		return "wildcard"
	case GapOverflow:
		return "overflow"
	}
	return fmt.Sprintf("GapReason(%d)", uint8(r))
}

// Gap describes what an event leaves open (Change Data Capture guide, "Gap
// Events", "Overflow Events", "Wildcard Record IDs").
type Gap struct {
	Reason     GapReason
	Entity     string
	ChangeType string
	// RecordIDs as the event carries them.
	RecordIDs []string
	// Time of the commit.
	Time time.Time
}
