package transform

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
)

// sideQuestion bounds what is asked for the sake of a schema change alone: the
// old schema, and the version of the new one. The record is written without the
// answer if it does not come.
const sideQuestion = 5 * time.Second

// SchemaChange says that an entity's events have a schema that they had not
// before.
type SchemaChange struct {
	Org, Channel string
	Object       string // entity name or the platform event's API name
	// OldID is the schema that was new before this one, empty for the first;
	// NewID is that of the event.
	OldID, NewID string
	// Time and Position are those of the first event with the new schema, First
	// is its first record.
	Time     time.Time
	Position string
	First    *kgo.Record
}

// Key is the key of the change's record: the same for a change that is found
// again after a crash, so that compaction leaves one.
func (c *SchemaChange) Key() string { return c.Org + "/" + c.Object + "/" + c.NewID }

// ParseSchemaChangeKey is the inverse of [SchemaChange.Key]. ok is false for a
// key that is none.
func ParseSchemaChangeKey(key string) (org, object, id string, ok bool) {
	parts := strings.SplitN(key, "/", 3) // an id is opaque and may have a slash in it
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// Locator says under which subject and version a registry has an id that it gave
// for a subject.
type Locator interface {
	Locate(ctx context.Context, subject string, id int) (schemas.Registered, error)
}

var _ Locator = (*schemas.Registry)(nil)

// SchemaLog makes the records of schema changes. It is safe for concurrent use.
type SchemaLog struct {
	own     ownTopic
	cfg     Config
	locator Locator // nil where the registry cannot tell, or there is none
}

// NewSchemaLog returns the log of a topic, with the catalog, registry, subject
// strategy and format of cfg. A registry that is a [Locator] is asked for the
// versions.
func NewSchemaLog(topic string, cfg Config) (*SchemaLog, error) {
	own, err := newOwnTopic(topic, &cfg, schemas.SchemaChange())
	if err != nil {
		return nil, err
	}
	l := &SchemaLog{own: own, cfg: cfg}
	l.locator, _ = cfg.Registry.(Locator)
	return l, nil
}

// changeWire is a SchemaChange as it is written, in Avro and in JSON alike.
type changeWire struct {
	Org        string      `avro:"org" json:"org"`
	Object     string      `avro:"object" json:"object"`
	Event      string      `avro:"event" json:"event"`
	Channel    string      `avro:"channel" json:"channel"`
	OldID      *string     `avro:"oldSchemaId" json:"oldSchemaId"`
	NewID      string      `avro:"newSchemaId" json:"newSchemaId"`
	Compared   bool        `avro:"compared" json:"compared"`
	Changes    []fieldWire `avro:"changes" json:"changes"`
	FirstSeen  *time.Time  `avro:"firstSeen" json:"firstSeen"`
	Position   *string     `avro:"position" json:"position"`
	Topic      string      `avro:"topic" json:"topic"`
	Subject    *string     `avro:"subject" json:"subject"`
	Version    *int        `avro:"version" json:"version"`
	RegistryID *int        `avro:"registryId" json:"registryId"`
	Detail     string      `avro:"detail" json:"detail"`
}

type fieldWire struct {
	Kind string  `avro:"kind" json:"kind"`
	Path string  `avro:"path" json:"path"`
	Old  *string `avro:"old" json:"old"`
	New  *string `avro:"new" json:"new"`
}

// Record makes the record of a change. Errors are those of the registry for the
// record's own schema, and of the catalog for the new one, which an event was
// encoded with already; see [Retryable] and [SchemaRefused].
func (l *SchemaLog) Record(ctx context.Context, c *SchemaChange) (*kgo.Record, error) {
	now, err := l.cfg.Schemas.Schema(ctx, c.NewID)
	if err != nil {
		return nil, err
	}
	w := changeWire{
		Org: c.Org, Object: c.Object, Event: now.Name, Channel: c.Channel, OldID: known(c.OldID), NewID: c.NewID,
		Changes: []fieldWire{}, FirstSeen: knownTime(c.Time), Position: known(c.Position), Topic: c.First.Topic,
	}
	l.compare(ctx, &w, now)
	values, err := l.cfg.ValueSchema(c.Channel, now)
	if err != nil {
		return nil, err // no event was encoded with it
	}
	l.locate(ctx, &w, values, c.First)
	if ctx.Err() != nil {
		return nil, ctx.Err() // what was not answered was not asked
	}
	r, err := l.own.record(ctx, c.Key(), &w)
	if err != nil {
		return nil, err
	}
	r.Timestamp = c.Time
	r.Headers = append([]kgo.RecordHeader{
		{Key: "sf-org", Value: []byte(c.Org)},
		{Key: "sf-channel", Value: []byte(c.Channel)},
		{Key: "sf-object", Value: []byte(c.Object)},
		{Key: "sf-event", Value: []byte(now.Name)},
		{Key: "sf-schema-id", Value: []byte(c.NewID)},
	}, r.Headers...)
	return r, nil
}

// compare tells what is different from the old schema.
func (l *SchemaLog) compare(ctx context.Context, w *changeWire, now *schemas.Schema) {
	if w.OldID == nil {
		w.Detail = "the first schema of the entity"
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sideQuestion)
	defer cancel()
	old, err := l.cfg.Schemas.Schema(ctx, *w.OldID)
	if err != nil {
		w.Detail = "the old schema cannot be had: " + err.Error()
		return
	}
	changes := schemas.Diff(old, now)
	w.Compared, w.Detail = true, changes.String()
	for _, one := range changes {
		w.Changes = append(w.Changes, fieldWire{Kind: string(one.Kind), Path: one.Path, Old: known(one.Old), New: known(one.New)})
	}
}

// locate says where in the registry the schema is that the event's record
// carries.
func (l *SchemaLog) locate(ctx context.Context, w *changeWire, now *schemas.Schema, first *kgo.Record) {
	if l.cfg.Registry == nil || l.cfg.Format != Avro || len(first.Value) < wirePrefix {
		return
	}
	id := int(binary.BigEndian.Uint32(first.Value[1:wirePrefix]))
	subject := l.cfg.Subject.Subject(first.Topic, now)
	w.RegistryID = &id
	if l.locator == nil {
		w.Subject = &subject
		return
	}
	ctx, cancel := context.WithTimeout(ctx, sideQuestion)
	defer cancel()
	at, err := l.locator.Locate(ctx, subject, id)
	if err == nil && at.Subject != "" {
		w.Subject, w.Version = &at.Subject, &at.Version
	}
}
