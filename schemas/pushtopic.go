package schemas

import (
	"context"
	"crypto/sha256"
	_ "embed" // the schema of generic streaming events
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Streaming says which shape of event a schema is for that Salesforce publishes
// none for.
type Streaming uint8

// The shapes. NotStreaming is that of all events with a schema of Salesforce's.
const (
	NotStreaming Streaming = iota
	// PushTopicEvent is {"event": …, "sobject": …}, and a last field that lists
	// the fields which came as null.
	PushTopicEvent
	// GenericEvent is {"event": …, "payload": …}, and a last field for the JSON
	// text of a payload that is no text.
	GenericEvent
)

// The fields of the schemas that the bridge makes itself.
const (
	// EventField holds what the event says of itself: its type, createdDate, replayId.
	EventField = "event"
	// RowField holds the fields that a PushTopic's query selects.
	RowField = "sobject"
	// NullFieldsField lists the selected fields that came as null.
	NullFieldsField = "nullFields"
	// PayloadField and PayloadJSONField hold a generic event's payload.
	PayloadField     = "payload"
	PayloadJSONField = "payloadJson"
)

//go:embed generic.avsc
var genericText []byte

// maxAsked bounds for how many fields one PushTopic is asked anew while its
// answer stays the same.
const maxAsked = 200

// TopicFetcher tells what an org says of PushTopics and of objects.
type TopicFetcher interface {
	// TopicQuery returns the query of a PushTopic.
	TopicQuery(ctx context.Context, name string) (string, error)
	// ObjectFields returns the fields of an object that the user may see.
	ObjectFields(ctx context.Context, object string) ([]ObjectField, error)
}

// ObjectField is a field of an object with its type as the object's description
// has it: "string", "datetime", "currency" (REST API Developer Guide, "sObject
// Describe").
type ObjectField struct{ Name, Type string }

// TopicError says that no schema can be made of a PushTopic as it is. Every event of
// it fails, so somebody must edit it first.
type TopicError struct {
	Topic  string // name of the PushTopic
	Query  string
	Reason string
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("the PushTopic %s, whose query is %q, %s; try: edit the query, or leave the stream out", e.Topic, e.Query, e.Reason)
}

// topics is the part of a catalog that knows the PushTopics.
type topics struct {
	fetcher TopicFetcher
	flight  flight[string, *Schema] // by name of the PushTopic

	mu    sync.Mutex
	asked map[string]*askedFields // by name of the PushTopic
}

// askedFields are the fields for whose sake a PushTopic was asked anew while the
// schema was the one named.
type askedFields struct {
	schemaID string
	paths    map[string]bool
}

// WithTopics makes the catalog know PushTopics, and returns it. It is called
// before the catalog is used.
func (c *Catalog) WithTopics(f TopicFetcher) *Catalog {
	c.topics.fetcher = f
	return c
}

// PushTopic returns the schema of a PushTopic's events, made of the fields that
// its query selects when it is first asked for. Its id is a hash of its text, and
// [Catalog.Schema] knows it by that from then on. Permanent errors are kept as
// Schema keeps them; [Catalog.ForgetPushTopic] drops them.
//
// Errors: [*TopicError] for a query or a type of field that cannot be read,
// [*FetchError], and ctx's own.
func (c *Catalog) PushTopic(ctx context.Context, name string) (*Schema, error) {
	return c.topics.flight.do(ctx, name, isPermanent, func(ctx context.Context) (*Schema, error) {
		s, err := c.makeTopic(ctx, name)
		if err == nil {
			c.flight.put(s.ID, s)
		}
		return s, err
	})
}

// RenewPushTopic asks the org anew for a PushTopic of whose events one does not
// fit the schema with the given id in the given fields: the query may have been
// edited, or a field's type. Each field is a reason to ask only once for as long
// as the answer stays the same. It returns the schema that holds from now on,
// which is the old one if there is no other.
//
// Errors are only those that pass. If the org will not tell, the old schema holds.
func (c *Catalog) RenewPushTopic(ctx context.Context, name, id string, fields []string) (*Schema, error) {
	now, err := c.PushTopic(ctx, name)
	if err != nil || now.ID != id {
		return now, err
	}
	if !c.topics.worthAsking(name, id, fields) {
		return now, nil
	}
	next, err := c.makeTopic(ctx, name)
	switch {
	case err != nil && (Retryable(err) || ctx.Err() != nil):
		return nil, err
	case err != nil || next.ID == id:
		c.topics.noteAsked(name, id, fields)
		return now, nil //nolint:nilerr // what the org told before holds where it will not tell anew
	}
	c.topics.noteAsked(name, next.ID, fields) // this answer was the one to them
	c.flight.put(next.ID, next)
	c.topics.flight.put(name, next)
	return next, nil
}

// ForgetPushTopic makes the next call for a PushTopic ask the org again.
func (c *Catalog) ForgetPushTopic(name string) { c.topics.flight.forget(name) }

// Generic returns the schema of generic streaming events, which is the same for
// all of them. [Catalog.Schema] knows it by its id from then on.
func (c *Catalog) Generic() (*Schema, error) {
	s, err := ownEvent(genericText, GenericEvent)
	if err != nil {
		return nil, err
	}
	c.flight.put(s.ID, s)
	return s, nil
}

func (t *topics) worthAsking(name, id string, fields []string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.asked[name]
	if before == nil || before.schemaID != id {
		return true
	}
	return len(before.paths) < maxAsked && slices.ContainsFunc(fields, func(f string) bool { return !before.paths[f] })
}

func (t *topics) noteAsked(name, id string, fields []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked == nil {
		t.asked = make(map[string]*askedFields)
	}
	before := t.asked[name]
	if before == nil || before.schemaID != id {
		before = &askedFields{schemaID: id, paths: make(map[string]bool)}
		t.asked[name] = before
	}
	for _, f := range fields {
		if len(before.paths) < maxAsked {
			before.paths[f] = true
		}
	}
}

// makeTopic asks the org for a PushTopic and its object.
func (c *Catalog) makeTopic(ctx context.Context, name string) (*Schema, error) {
	if c.topics.fetcher == nil {
		return nil, &FetchError{ID: "of the PushTopic " + name, Err: Permanent(errors.New("the catalog was not told where PushTopics come from"))}
	}
	query, err := c.topics.fetcher.TopicQuery(ctx, name)
	if err != nil {
		return nil, &FetchError{ID: "of the PushTopic " + name, Err: err}
	}
	object, wanted, err := selected(name, query)
	if err != nil {
		return nil, err
	}
	fields, err := c.topics.fetcher.ObjectFields(ctx, object)
	if err != nil {
		return nil, &FetchError{ID: "of the PushTopic " + name + " (fields of " + object + ")", Err: err}
	}
	text, unfit := topicText(name, object, fields, wanted)
	if unfit != nil {
		unfit.Query = query
		return nil, unfit
	}
	s, err := ownEvent(text, PushTopicEvent)
	if err != nil {
		return nil, err
	}
	s.object = object
	return s, nil
}

// ownEvent compiles a schema that is not Salesforce's. Its id is a hash of its
// text, in the form that Salesforce's own ids have.
func ownEvent(text []byte, shape Streaming) (*Schema, error) {
	s, err := Parse("", text)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(s.JSON)
	s.ID = base64.RawURLEncoding.EncodeToString(sum[:16])
	s.Streaming = shape
	return s, nil
}

// selected reads the object and the fields out of a PushTopic's query, which is
// SELECT fields FROM object, with or without a condition (Streaming API Developer
// Guide, "PushTopic Queries").
func selected(topic, query string) (object string, fields []string, err error) {
	bad := func(format string, args ...any) error {
		return &TopicError{Topic: topic, Query: query, Reason: fmt.Sprintf(format, args...)}
	}
	words := strings.Fields(query)
	if len(words) < 4 || !strings.EqualFold(words[0], "SELECT") {
		return "", nil, bad("is not SELECT fields FROM object")
	}
	from := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, "FROM") })
	if from < 2 || from+1 == len(words) {
		return "", nil, bad("is not SELECT fields FROM object")
	}
	if object = words[from+1]; !legalName(object) {
		return "", nil, bad("names %q as its object", object)
	}
	for f := range strings.SplitSeq(strings.Join(words[1:from], " "), ",") {
		if f = strings.TrimSpace(f); !legalName(f) {
			return "", nil, bad("selects %q, which is no field of the object's own", f)
		}
		fields = append(fields, f)
	}
	return object, fields, nil
}

// topicText writes a PushTopic's schema as Salesforce writes those of its events:
// what is nullable and which logical type a field has follows from it by the same
// rules.
func topicText(topic, object string, fields []ObjectField, selected []string) ([]byte, *TopicError) {
	name := avroName(topic)
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"record","name":%q,"namespace":"bridge.pushtopic","doc":%s,"fields":[`, name, strconv.Quote(
		"Events of the PushTopic "+name+" on "+object+", as Salesforce sends them. Salesforce publishes no schema for them: this one is made of the fields that the query selects."))
	b.WriteString(`{"name":"event","type":{"type":"record","name":"PushTopicEvent","namespace":"bridge.streaming","fields":[` +
		`{"name":"createdDate","type":["null","long"],"doc":"createdDate:DateTime","default":null},` +
		`{"name":"replayId","type":["null","long"],"default":null},` +
		`{"name":"type","type":["null",{"type":"enum","name":"PushTopicEventType","symbols":["created","updated","deleted","undeleted"]}],"default":null}]}},`)
	fmt.Fprintf(&b, `{"name":"sobject","type":{"type":"record","name":%q,"fields":[`, name+"_sobject")
	if err := topicFields(&b, topic, fields, selected); err != nil {
		return nil, err
	}
	b.WriteString(`]}},{"name":"nullFields","type":["null",{"type":"array","items":"string"}],"default":null,` +
		`"doc":"Added by the bridge: the fields of sobject that came as null. One that is null and not in this list was not sent. Null if there are none."}]}`)
	return []byte(b.String()), nil
}

// topicFields writes the selected fields. One that the object's description
// lacks, because the user may not see it, is left out: an event that has it all
// the same has an unknown field.
func topicFields(b *strings.Builder, topic string, fields []ObjectField, selected []string) *TopicError {
	written := make(map[string]bool)
	id, comma := false, ""
	for _, want := range selected {
		i := slices.IndexFunc(fields, func(f ObjectField) bool { return strings.EqualFold(f.Name, want) })
		if i < 0 || written[fields[i].Name] || !legalName(fields[i].Name) {
			continue
		}
		f := &fields[i]
		avro, ok := avroOf(f.Type, written)
		if !ok {
			return &TopicError{Topic: topic, Reason: fmt.Sprintf("selects the field %s of the type %q, which is not known", f.Name, f.Type)}
		}
		written[f.Name] = true
		id = id || f.Name == "Id"
		fmt.Fprintf(b, comma+`{"name":%q,"type":["null",%s],"doc":%q,"default":null}`, f.Name, avro, "Data:"+docOf(f.Type))
		comma = ","
	}
	if !id {
		return &TopicError{Topic: topic, Reason: "does not select the Id that its records are keyed by"}
	}
	return nil
}

// avroOf is the Avro type of a field by its type in describe: that of the event
// schemas of Salesforce's own. Compound fields have the parts that REST gives
// them. written has the names that the schema has defined.
func avroOf(kind string, written map[string]bool) (avro string, ok bool) {
	switch kind {
	case "id", "reference", "string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox",
		"encryptedstring", "base64", "datacategorygroupreference":
		return `"string"`, true
	case "boolean":
		return `"boolean"`, true
	case "int", "time":
		return `"int"`, true
	case "long", "date", "datetime":
		return `"long"`, true
	case "double", "currency", "percent":
		return `"double"`, true
	case "address":
		return compound("Address", written, []string{"city", "country", "countryCode", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "stateCode", "street"}), true
	case "location":
		return compound("Location", written, []string{"latitude", "longitude"}), true
	}
	return "", false
}

func compound(name string, written map[string]bool, parts []string) string {
	const namespace = "bridge.streaming"
	full := namespace + "." + name
	if written[full] {
		return strconv.Quote(full)
	}
	written[full] = true
	var b strings.Builder
	fmt.Fprintf(&b, `{"type":"record","name":%q,"namespace":%q,"fields":[`, name, namespace)
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		avro := "string"
		if p == "latitude" || p == "longitude" {
			avro = "double"
		}
		fmt.Fprintf(&b, `{"name":%q,"type":["null",%q],"default":null}`, p, avro)
	}
	b.WriteString(`]}`)
	return b.String()
}

// docOf is Salesforce's word for a type in the docs of its event schemas.
func docOf(kind string) string {
	switch kind {
	case "id", "reference":
		return "EntityId"
	case "boolean":
		return "Boolean"
	case "int", "long":
		return "Integer"
	case "double":
		return "Double"
	case "currency":
		return "Currency"
	case "percent":
		return "Percent"
	case "date":
		return "DateOnly"
	case "datetime":
		return "DateTime"
	case "time":
		return "TimeOnly"
	case "address":
		return "Address"
	case "location":
		return "Location"
	}
	return "Text"
}

// avroName makes a legal Avro name of a PushTopic's: what cannot be part of one
// becomes an underscore and the byte's value in hex.
func avroName(topic string) string {
	var b strings.Builder
	for i := range len(topic) {
		c := topic[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		digit := c >= '0' && c <= '9'
		switch {
		case digit && i == 0:
			b.WriteByte('_')
			b.WriteByte(c)
		case letter, digit:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}
