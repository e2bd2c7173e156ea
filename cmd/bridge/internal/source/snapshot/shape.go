package snapshot

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/transform"
)

// Shape gives the rows of one object the shape of its change events, so that a row
// becomes the same record as an event of the same values.
//
// A row is a whole record, as the event of a CREATE is, and its record is that of the
// CREATE with another header. A field without a value is null: in JSON it says so by a
// null, where a CREATE leaves it out, so that readers who lay one record over the other
// see a field end that was cleared while nobody heard of it.
//
// A field that rows do not have (Left) is null in Avro too, and absent in JSON. Nothing
// was read of it, so that it must not look empty: changedFields names the fields that
// the row speaks for. Where a row has them all the list is empty, as it is in a CREATE.
// nulledFields and diffFields are empty always: nothing was cleared, as far as a row
// can tell.
//
// A Shape does not change and may be shared.
type Shape struct {
	form             *salesforce.Form
	channel, schema  string
	present, deleted string // what stands before the record's id in a payload
}

// ShapeConfig says for which rows a Shape is.
type ShapeConfig struct {
	Client *salesforce.Client
	Org    string // for errors
	// Channel as subscribed, which may carry the events of several objects.
	Channel string
	Object  string // API name
}

// NewShape asks the org for the object's description and for the schema of its events.
// Errors are the client's, and an *ObjectError for an object without change events.
func NewShape(ctx context.Context, cfg ShapeConfig) (*Shape, error) {
	described, err := cfg.Client.Describe(ctx, cfg.Object)
	if err != nil {
		return nil, err
	}
	object := described.Name
	event := changeEventOf(object)
	text, err := cfg.Client.EventSchemaByName(ctx, event)
	if err != nil {
		if refused, ok := errors.AsType[*salesforce.APIError](err); ok && refused.Status == http.StatusNotFound {
			err = &ObjectError{Org: cfg.Org, Object: object, Problem: "it has no events " + event + ", so Change Data Capture does not cover it",
				Try: "source: query, which reads rows without events", Err: err}
		}
		return nil, err
	}
	schema, problem := readSchema(text)
	if problem != "" {
		return nil, &ObjectError{Org: cfg.Org, Object: object, Problem: "of the schema of " + event + " " + problem, Try: "a newer version of the bridge"}
	}
	form, err := salesforce.NewForm(salesforce.FormConfig{Describe: described, Fields: schema.body, Nulls: true})
	if err != nil {
		return nil, err
	}
	if !hasModstamp(form) {
		return nil, &ObjectError{Org: cfg.Org, Object: object, Problem: "it has no SystemModstamp, so nobody can tell whether a row or an event is newer",
			Try: "another object: this one cannot be read beside its events"}
	}
	s := &Shape{form: form, channel: cfg.Channel, schema: schema.id}
	s.present = schema.head(object, "SNAPSHOT", carried(schema.body, described, form.Left()))
	s.deleted = schema.head(object, "DELETE", nil)
	return s, nil
}

// Form says how rows are to be read.
func (s *Shape) Form() *salesforce.Form { return s.form }

// Left lists the fields of the events that rows do not have, and why.
func (s *Shape) Left() []salesforce.LeftField { return s.form.Left() }

// Event is a row as an event: of the type SNAPSHOT, committed when the row was last
// touched, and of no transaction. It has no position.
func (s *Shape) Event(row salesforce.Row) transform.Event {
	return s.event(s.present, row.ID, row.Modstamp, row.JSON)
}

// Deletion is the event of a record that was gone at a time.
func (s *Shape) Deletion(id string, at time.Time) transform.Event {
	return s.event(s.deleted, id, at, []byte("{}"))
}

// event puts header and body into one buffer.
func (s *Shape) event(head, id string, at time.Time, body []byte) transform.Event {
	if full, err := salesforce.ID18(id); err == nil && full != id {
		id = full
	}
	const between = `"],"commitTimestamp":` + `-9223372036854775808` + `},`
	p := make([]byte, 0, len(head)+len(id)+len(between)+len(body))
	p = append(append(append(p, head...), id...), `"],"commitTimestamp":`...)
	p = append(strconv.AppendInt(p, at.UnixMilli(), 10), '}')
	if body[1] != '}' {
		p = append(p, ',')
	}
	return transform.Event{Channel: s.channel, SchemaID: s.schema, Payload: append(p, body[1:]...)}
}

// changeEventOf names the events of an object (Change Data Capture Developer Guide,
// "Change Event Name").
func changeEventOf(object string) string {
	if base, ok := strings.CutSuffix(object, "__c"); ok {
		return base + "__ChangeEvent"
	}
	return object + "ChangeEvent"
}

func hasModstamp(form *salesforce.Form) bool {
	for _, column := range form.Columns() {
		if column == "SystemModstamp" {
			return true
		}
	}
	return false
}

// ObjectError says that rows of an object cannot become records beside events.
type ObjectError struct {
	Org, Object string
	Problem     string
	Try         string
	Err         error // what the org said, nil for nothing
}

func (e *ObjectError) Error() string {
	text := "reading rows of " + e.Object
	if e.Org != "" {
		text += " of org " + e.Org
	}
	text += ": " + e.Problem
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text + "; try: " + e.Try
}

// Unwrap returns what the org said.
func (e *ObjectError) Unwrap() error { return e.Err }
