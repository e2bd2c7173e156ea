package schemas

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// describeWait is how long a schema that is to be registered waits for its docs,
// once for each object.
const describeWait = 5 * time.Second

// Describer tells what an org calls an object and its fields (REST API Developer
// Guide, "sObject Describe").
type Describer interface {
	DescribeObject(ctx context.Context, object string) (*Description, error)
}

// DescriberFunc makes a Describer of a function.
type DescriberFunc func(ctx context.Context, object string) (*Description, error)

var _ Describer = DescriberFunc(nil)

// DescribeObject calls f.
func (f DescriberFunc) DescribeObject(ctx context.Context, object string) (*Description, error) {
	return f(ctx, object)
}

// Description is what people call an object and its fields.
type Description struct {
	Label  string
	Fields []FieldDescription
}

// FieldDescription is what people call a field. Parts of compound fields have the
// names of SOQL (BillingCity).
type FieldDescription struct {
	Name, Label, Help string
	Type              string // "string", "datetime", "currency"
}

// docs has the descriptions of objects, each asked for once whatever the answer:
// schemas do not wait for an org that does not tell.
type docs struct {
	describer Describer   // nil for no docs
	told      func(error) // nil for nobody
	flight    flight[string, *Description]
}

func (d *docs) of(ctx context.Context, object string) (*Description, error) {
	always := func(error) bool { return true }
	return d.flight.do(ctx, object, always, func(ctx context.Context) (*Description, error) {
		wait, cancel := context.WithTimeout(ctx, describeWait)
		defer cancel()
		found, err := d.describer.DescribeObject(wait, object)
		if err != nil {
			return nil, &UndescribedError{Object: object, Err: err}
		}
		return found, nil
	})
}

// Documented returns s as [Registry.Register] would register it: with docs from
// [RegistryConfig.Describer], if there is one and s is of events that an object of
// the org stands behind. The record that holds the fields has the object's label;
// each field has, a line each,
//
//	its label and its type in the object's description, in parentheses
//	its help text, if there is one
//	what Salesforce's event schema says of it, such as Data:DateOnly
//
// Parts of compound fields are documented where they are fields of a row: in the
// event's own shape one type is shared by all addresses. Everything else is as in
// s. Errors are [*UndescribedError], and ctx's own.
func (r *Registry) Documented(ctx context.Context, s *Schema) (*Schema, error) {
	object := describedObject(s)
	if r.docs.describer == nil || object == "" {
		return s, nil
	}
	d, err := r.docs.of(ctx, object)
	if err != nil {
		return nil, err
	}
	out, err := document(s, d)
	switch {
	case err != nil:
		return nil, &UndescribedError{Object: object, Err: err}
	case len(out.JSON) > maxDocumented:
		return nil, &UndescribedError{Object: object, Reason: fmt.Sprintf("with them the text has %d bytes, more than the %d that every registry takes", len(out.JSON), maxDocumented)}
	}
	return out, nil
}

// documented is Documented for registering: what cannot be described is registered
// as it is.
func (r *Registry) documented(ctx context.Context, s *Schema) (*Schema, error) {
	out, err := r.Documented(ctx, s)
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	if r.docs.told != nil {
		r.docs.told(err)
	}
	return s, nil
}

// describedObject is the object whose description has the fields of a schema's
// events, "" if there is none (Change Data Capture guide, "Change Event Name").
func describedObject(s *Schema) string {
	switch {
	case s.Streaming == PushTopicEvent:
		return s.object
	case s.Streaming != NotStreaming || s.Root == nil || s.Root.Kind != KindRecord:
		return "" // generic events, the bridge's own records, keys
	case !s.ChangeEvent:
		return s.Name
	}
	name := strings.TrimSuffix(s.Name, "ChangeEvent")
	if strings.HasSuffix(name, "__") {
		name += "c"
	}
	return name
}
