package transform

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/kgo"
)

// keptBuffer is how large a working buffer may stay between events. One event
// has at most 1 MB at Salesforce; a rare giant should not be paid for ever.
const keptBuffer = 2 << 20

// wirePrefix is the length of Confluent's magic byte and schema id.
const wirePrefix = 5

// Encoder turns events into records. It is for one goroutine at a time.
type Encoder struct {
	cfg    Config
	router *router
	org    []byte

	channels map[string]*channel
	codecs   map[codecKey]*codec
	routes   map[routeKey]*route
	names    map[string]string // interned objects and change types
	decimals [][]byte          // of record indexes and counts

	scan scan
	buf  []byte // value, keys and header texts of the event in hand
	keys []span // in buf

	values []span // in the arena: one, or one for each key
}

// channel is what is known of a channel before any event.
type channel struct {
	name     string
	text     []byte // name, for the header
	short    string // for topics
	family   family
	change   bool           // change data capture
	template *topicTemplate // of the channel's own, nil for none
	keyField string
	entities map[string]entityPlan
	extras   bool // unknown keys are kept
	envelope schemas.Envelope
	raw      map[string][]rawField // what format raw looks for, by the key's field, when it is known

	pushTopic string // name of the PushTopic, "" for other families
	object    string // of a PushTopic's or a generic channel's records: no event names one
}

// entityPlan is what differs for one entity of a channel.
type entityPlan struct {
	template *topicTemplate // nil for none
	keyField string
}

// key is the field that the records of an object are keyed by, "" for none.
func (ch *channel) key(object string) string {
	if field := ch.entities[object].keyField; field != "" {
		return field
	}
	return ch.keyField
}

// codecKey is a schema as it is used by some channels.
type codecKey struct {
	id       string
	extras   bool
	envelope schemas.Envelope
}

type routeKey struct {
	channel *channel
	codec   *codec
	object  string
	change  string
}

// route is what all events of one channel, schema, object and change type have
// in common.
type route struct {
	topic     string
	object    []byte
	change    []byte
	tombstone bool
	id, keyID int // in the registry, 0 until they are known
	keyField  int // field of the root, -1 for none
}

// NewEncoder checks the configuration and returns an encoder. Errors are
// [*ConfigError], and [*UnsupportedChannelError] for a stream that cannot be
// encoded.
func NewEncoder(cfg Config) (*Encoder, error) {
	switch {
	case cfg.OrgID == "":
		return nil, &ConfigError{Setting: "org id", Reason: "is missing"}
	case cfg.Schemas == nil:
		return nil, &ConfigError{Setting: "schemas", Reason: "no catalog given"}
	case cfg.Format > Raw:
		return nil, &ConfigError{Setting: "format", Reason: "unknown " + cfg.Format.String()}
	case cfg.Subject > schemas.TopicRecordSubject:
		return nil, &ConfigError{Setting: "subject strategy", Reason: "unknown " + cfg.Subject.String()}
	}
	if err := cfg.keyFits(); err != nil {
		return nil, err
	}
	router, err := newRouter(&cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Topics == nil {
		cfg.Topics = new(Topics)
	}
	e := &Encoder{
		cfg:      cfg,
		router:   router,
		org:      []byte(cfg.OrgID),
		channels: make(map[string]*channel),
		codecs:   make(map[codecKey]*codec),
		routes:   make(map[routeKey]*route),
		names:    make(map[string]string),
	}
	e.scan.json = cfg.Format == JSON
	for name := range cfg.Streams {
		if _, err := e.channel(name); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Encode appends the records of ev to dst, in the order in which they must be
// produced. On error dst comes back as it was.
func (e *Encoder) Encode(ctx context.Context, dst []*kgo.Record, ev *Event) ([]*kgo.Record, Meta, error) {
	ch, err := e.channel(ev.Channel)
	if err != nil {
		return dst, Meta{}, err
	}
	if len(ev.Payload) > 1<<30 {
		return dst, Meta{}, &EventError{Offset: -1, Reason: "the payload is longer than 1 GiB"}
	}
	defer e.shrink()
	if ch.family == polledRows {
		ev = withoutPlace(ev)
	}
	if e.cfg.Format == Raw {
		return e.raw(ctx, dst, ev, ch)
	}
	switch ch.family {
	case pushTopics:
		return e.pushTopic(ctx, dst, ev, ch)
	case genericChannels:
		return e.generic(ctx, dst, ev, ch)
	}
	cd, err := e.codec(ctx, ev.SchemaID, ch)
	if err != nil {
		return dst, Meta{}, err
	}
	if ch.change && !cd.schema.ChangeEvent {
		return dst, Meta{}, &EventError{Offset: -1, Reason: "the schema " + cd.schema.FullName +
			" has no " + schemas.HeaderField + ", but the channel " + ch.name + " carries change events"}
	}
	if err := e.value(ev, ch, cd); err != nil {
		return dst, Meta{}, err
	}
	if ch.change {
		return e.changeEvent(ctx, dst, ev, ch, cd)
	}
	return e.platformEvent(ctx, dst, ev, ch, cd)
}

// value scans the payload and writes the value into buf, behind the room for
// the wire prefix.
func (e *Encoder) value(ev *Event, ch *channel, cd *codec) error {
	s := &e.scan
	s.reset(ev.Payload, cd)
	if !ch.change {
		s.header = nil
	}
	err := s.payload()
	if err != nil {
		return err
	}
	if len(s.extras) > 1 {
		if err := s.sortExtras(); err != nil {
			return err
		}
	}
	s.closeCompounds()
	if s.header != nil && s.header.nulls == 0 && s.isUpdate() && s.countListed(listNulled) > 0 {
		return &FieldError{
			Path: schemas.HeaderField + ".nulledFields", Field: "nulledFields",
			Found: "cleared fields", Expected: "a schema with a place to list them",
		}
	}
	if e.buf = e.buf[:0]; e.framed() {
		e.buf = append(e.buf, 0, 0, 0, 0, 0)
	}
	switch {
	case cd.env != nil:
		return e.envelope(ev, ch, cd)
	case s.json:
		e.buf, err = s.appendRecordJSON(e.buf, cd.root, 0)
	default:
		e.buf, err = s.appendRecord(e.buf, cd.root, 0)
	}
	return err
}

// shrink lets go of buffers that one giant event has left.
func (e *Encoder) shrink() {
	e.scan.p = nil
	if cap(e.buf) > keptBuffer {
		e.buf = nil
	}
	if cap(e.scan.aux) > keptBuffer {
		e.scan.aux = nil
	}
	if cap(e.scan.extras) > keptExtras {
		e.scan.extras = nil
	}
	if cap(e.scan.scratch) > keptBuffer {
		e.scan.scratch = nil
	}
}

// channel returns what is known of a channel by its name.
func (e *Encoder) channel(name string) (*channel, error) {
	if ch, ok := e.channels[name]; ok {
		return ch, nil
	}
	opts := e.cfg.Streams[name]
	ch, err := e.router.channel(name, &opts)
	if err != nil {
		return nil, err
	}
	ch.extras = opts.Extras
	if ch.envelope = opts.Envelope; ch.envelope != schemas.EventEnvelope {
		if err := e.envelopeFits(ch); err != nil {
			return nil, err
		}
	}
	if err := ch.keysFit(); err != nil {
		return nil, err
	}
	e.channels[name] = ch
	return ch, nil
}

// keysFit checks that a key is chosen only where there is a choice.
func (ch *channel) keysFit() error {
	chosen := ch.keyField != ""
	for _, plan := range ch.entities {
		chosen = chosen || plan.keyField != ""
	}
	switch {
	case chosen && ch.change:
		return &ConfigError{Setting: "key of " + ch.name, Reason: "change events are keyed by record id; leave the key out"}
	case chosen && ch.family != platformEvents:
		return &ConfigError{Setting: "key of " + ch.name, Reason: "only the records of platform events have a key to choose; leave the key out"}
	}
	return nil
}

// codec returns the compiled schema of an id for a channel.
func (e *Encoder) codec(ctx context.Context, id string, ch *channel) (*codec, error) {
	if cd, ok := e.codecs[ch.codecKey(id)]; ok {
		return cd, nil
	}
	s, err := e.cfg.Schemas.Schema(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.codecOf(s, ch)
}

func (ch *channel) codecKey(id string) codecKey { return codecKey{id, ch.extras, ch.envelope} }

// codecOf compiles a schema for a channel, once for all that have the same shape.
// What it is registered as is what [Config.ValueSchema] tells.
func (e *Encoder) codecOf(s *schemas.Schema, ch *channel) (*codec, error) {
	key := ch.codecKey(s.ID)
	if cd, ok := e.codecs[key]; ok {
		return cd, nil
	}
	var err error
	if ch.extras {
		if s, err = schemas.WithExtras(s); err != nil {
			return nil, err
		}
	}
	cd, err := compile(s)
	if err != nil {
		return nil, err
	}
	if ch.envelope != schemas.EventEnvelope {
		if err := cd.compileEnvelope(ch.envelope); err != nil {
			return nil, &ConfigError{Setting: "envelope of " + ch.name, Reason: err.Error() + "; try: envelope: event"}
		}
	}
	if e.cfg.JSONSchema {
		cd.out = schemas.JSONSchema(cd.out)
	}
	e.codecs[key] = cd
	return cd, nil
}

// intern returns b as a string without allocating one that was seen before.
func (e *Encoder) intern(b []byte) string {
	if s, ok := e.names[string(b)]; ok {
		return s
	}
	s := string(b)
	e.names[s] = s
	return s
}

// route returns where events of one kind go. The schema is registered when the
// first of them comes.
func (e *Encoder) route(ctx context.Context, ch *channel, cd *codec, object, change string) (*route, error) {
	key := routeKey{ch, cd, object, change}
	r, ok := e.routes[key]
	if !ok {
		topic, err := e.topic(ch, object, change)
		if err != nil {
			return nil, err
		}
		r = &route{topic: topic, object: []byte(object), change: []byte(change), keyField: -1}
		if (change == "DELETE" || ch.family == pushTopics && change == deletedRow) && e.cfg.Tombstone != nil {
			r.tombstone = e.cfg.Tombstone(topic)
		}
		if field := ch.key(object); field != "" && cd.root != nil {
			if r.keyField, err = cd.keyField(ch, object, field); err != nil {
				return nil, err
			}
		}
		e.routes[key] = r
	}
	if r.id == 0 && e.framed() {
		id, err := e.cfg.Registry.Register(ctx, e.cfg.Subject.Subject(r.topic, cd.out), cd.out)
		if err != nil {
			return nil, err
		}
		r.id = id
	}
	if r.keyID == 0 && e.cfg.KeyFormat == AvroKeys {
		id, err := e.cfg.Registry.Register(ctx, keySubject(r.topic), schemas.StringKey())
		if err != nil {
			return nil, err
		}
		r.keyID = id
	}
	return r, nil
}

// topic is where the records of an object go, which nothing else may.
func (e *Encoder) topic(ch *channel, object, change string) (string, error) {
	topic, template, err := e.router.topic(ch, object, change)
	if _, illegal := errors.AsType[*ConfigError](err); illegal && !isAPIName(object) {
		return "", badObject(ch, object) // the event's fault, not the template's
	}
	if err != nil {
		return "", err
	}
	return topic, e.cfg.Topics.use(topic, topicUser{kind: ch.kind(object), channel: ch.name, template: template})
}

// keyField finds the field that an object's records are keyed by.
func (cd *codec) keyField(ch *channel, object, field string) (int, error) {
	i := cd.root.find([]byte(field))
	reason := ""
	if i < 0 {
		reason = "the schema " + cd.schema.FullName + " has no field " + strconv.Quote(field)
	} else if t := cd.root.fields[i].typ; t.text.op == opNone && t.number.op == opNone && t.boolean.op == opNone {
		reason = "the field " + field + " of " + cd.schema.FullName + " is " + t.expected + ", which is no key"
	}
	if reason != "" {
		setting := "key of " + ch.name
		if ch.entities[object].keyField != "" {
			setting = "key of " + object + " on " + ch.name
		}
		return 0, &ConfigError{Setting: setting, Reason: reason}
	}
	return i, nil
}

// decimal returns the text of a small number.
func (e *Encoder) decimal(n int) []byte {
	for len(e.decimals) <= n {
		e.decimals = append(e.decimals, strconv.AppendInt(nil, int64(len(e.decimals)), 10))
	}
	return e.decimals[n]
}

// put appends a text to buf and returns its place there.
func (e *Encoder) put(text []byte) span {
	start := len(e.buf)
	e.buf = append(e.buf, text...)
	return span{start: int32(start), end: int32(len(e.buf))}
}

func (e *Encoder) putString(text string) span {
	start := len(e.buf)
	e.buf = append(e.buf, text...)
	return span{start: int32(start), end: int32(len(e.buf))}
}

// framed reports whether values begin with the id of their schema in the
// registry.
func (e *Encoder) framed() bool {
	return e.cfg.Registry != nil && (e.cfg.Format == Avro || e.cfg.Format == JSON && e.cfg.JSONSchema)
}

// envelopeFits checks that a channel's events can be put into its envelope.
func (e *Encoder) envelopeFits(ch *channel) error {
	reason := ""
	switch {
	case ch.envelope > schemas.DebeziumEnvelope:
		reason = "unknown " + ch.envelope.String()
	case e.cfg.Format == Raw:
		reason = "the format raw has no envelope but Salesforce's own"
	case !ch.change && ch.family != platformEvents:
		reason = "only change events and platform events have another than event"
	}
	if reason == "" {
		return nil
	}
	return &ConfigError{Setting: "envelope of " + ch.name, Reason: reason}
}

// putID writes the registry's id into the wire prefix.
func (e *Encoder) putID(r *route) {
	if e.framed() {
		binary.BigEndian.PutUint32(e.buf[1:wirePrefix], uint32(r.id))
	}
}

var errNoTime = errors.New("no time")

// millis reads a slot that counts milliseconds since 1970.
func (s *scan) millis(at int) (time.Time, error) {
	sl := &s.slots[at]
	switch sl.kind {
	case kindText:
		if v, ok := epochMillis(s.bytes(sl)); ok {
			return time.UnixMilli(v), nil
		}
	case kindNumber:
		if v, why := wholeNumber(s.p[sl.start:sl.end]); why == "" {
			return time.UnixMilli(v), nil
		}
	}
	return time.Time{}, errNoTime
}
