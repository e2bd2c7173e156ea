package salesforce

import (
	"context"
	"encoding/json"
)

// compactFormat asks for the schema of the record itself. The default format
// describes the CometD message around it, in a type that is not legal Avro.
const compactFormat = "?payloadFormat=COMPACT"

// EventSchema returns the Avro schema of a schema id, as events carry it, in the
// COMPACT format (REST API Developer Guide, "Platform Event Schema by Schema ID").
// The id is opaque. Ids of earlier definitions of an event stay known as long as
// such events are retained; an unknown id is an *APIError of status 404.
func (c *Client) EventSchema(ctx context.Context, schemaID string) ([]byte, error) {
	id, err := pathPart("schema id", schemaID)
	if err != nil {
		return nil, err
	}
	return c.schema(ctx, "/event/eventSchema/"+id+compactFormat)
}

// EventSchemaByName returns the present Avro schema of an event, such as
// "Low_Ink__e" or "AccountChangeEvent", in the COMPACT format (REST API Developer
// Guide, "Platform Event Schema by Event Name").
func (c *Client) EventSchemaByName(ctx context.Context, eventName string) ([]byte, error) {
	name, err := pathPart("event name", eventName)
	if err != nil {
		return nil, err
	}
	return c.schema(ctx, "/sobjects/"+name+"/eventSchema"+compactFormat)
}

func (c *Client) schema(ctx context.Context, path string) ([]byte, error) {
	var text json.RawMessage
	if err := c.Get(ctx, path, &text); err != nil {
		return nil, err
	}
	return text, nil
}
