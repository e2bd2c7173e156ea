package schemas

import (
	"context"
)

// Fetcher hands out the COMPACT text of an event schema by its id (Salesforce
// REST API, /event/eventSchema/<id>?payloadFormat=COMPACT).
type Fetcher interface {
	EventSchema(ctx context.Context, id string) ([]byte, error)
}

// FetcherFunc makes a Fetcher of a function.
type FetcherFunc func(ctx context.Context, id string) ([]byte, error)

var _ Fetcher = FetcherFunc(nil)

// EventSchema calls f.
func (f FetcherFunc) EventSchema(ctx context.Context, id string) ([]byte, error) {
	return f(ctx, id)
}

// Catalog holds Salesforce's event schemas by id. What an id means never
// changes, so a schema is fetched once and kept for the catalog's life.
type Catalog struct {
	fetcher Fetcher
	flight  flight[string, *Schema]
	topics  topics
}

// NewCatalog returns an empty catalog that fetches from f.
func NewCatalog(f Fetcher) *Catalog {
	return &Catalog{fetcher: f}
}

// Schema returns the schema with the given id, fetching it if nobody has yet.
// Permanent errors are kept like schemas, so that a bad id costs one request
// and not one per event; [Catalog.Forget] drops them.
//
// Errors: [*SchemaError], [*FetchError], and ctx's own error for a caller that
// gave up waiting for another's fetch.
func (c *Catalog) Schema(ctx context.Context, id string) (*Schema, error) {
	if id == "" {
		return nil, &SchemaError{Reason: "the event carries no schema id"}
	}
	return c.flight.do(ctx, id, isPermanent, func(ctx context.Context) (*Schema, error) {
		text, err := c.fetcher.EventSchema(ctx, id)
		if err != nil {
			return nil, &FetchError{ID: id, Err: err}
		}
		return Parse(id, text)
	})
}

// Forget makes the next call for id fetch again: for an operator who granted a
// missing permission and resumes.
func (c *Catalog) Forget(id string) {
	c.flight.forget(id)
}

func isPermanent(err error) bool { return !Retryable(err) }
