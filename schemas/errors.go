package schemas

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// SchemaError says why the text of an event schema cannot be used. It is
// permanent: the text behind a schema id never changes.
type SchemaError struct {
	// ID is the schema id, empty if the text came without one.
	ID string
	// Path is the place inside the schema, such as
	// "AccountChangeEvent.BillingAddress.City"; empty for the whole text.
	Path string
	// Reason says what is wrong there.
	Reason string
	// Err is the cause, if another package reported it.
	Err error
}

func (e *SchemaError) Error() string {
	var b strings.Builder
	b.WriteString("event schema")
	if e.ID != "" {
		fmt.Fprintf(&b, " %s", e.ID)
	}
	if e.Path != "" {
		fmt.Fprintf(&b, " at %s", e.Path)
	}
	b.WriteString(": ")
	b.WriteString(e.Reason)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *SchemaError) Unwrap() error { return e.Err }

// FetchError says that a schema could not be had from Salesforce.
type FetchError struct {
	ID  string // the schema id asked for
	Err error  // what the Fetcher returned
}

func (e *FetchError) Error() string {
	return fmt.Sprintf("fetch event schema %s: %v", e.ID, e.Err)
}

func (e *FetchError) Unwrap() error { return e.Err }

// IncompatibleError says that the registry refused a schema because of the
// subject's compatibility rule (Confluent Schema Registry API, status 409).
type IncompatibleError struct {
	Subject string
	// Schema is the full name of the refused schema and SchemaID Salesforce's
	// id of it.
	Schema, SchemaID string
	// Detail is the registry's own explanation.
	Detail string
}

func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("schema registry: subject %s refuses schema %s (%s) as incompatible: %s; "+
		"try: another subject (strategy record or topic_record), or another compatibility level for this one",
		e.Subject, e.Schema, e.SchemaID, e.Detail)
}

// RegistryError is any other failure to register a schema.
type RegistryError struct {
	Subject string
	// Status is the HTTP status, 0 if there was no answer.
	Status int
	// Code is the registry's error_code, 0 if it gave none.
	Code int
	// Detail is what the registry said, or why its answer is unusable.
	Detail string
	// Hint says what to try; may be empty.
	Hint string
	// Err is the transport's error if there was no usable answer.
	Err error
}

func (e *RegistryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema registry: register under %s", e.Subject)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Code != 0 && e.Code != e.Status {
		fmt.Fprintf(&b, ", error code %d", e.Code)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "; try: %s", e.Hint)
	}
	return b.String()
}

func (e *RegistryError) Unwrap() error { return e.Err }

// Permanent marks an error of a [Fetcher] as one that asking again does not
// cure, such as an unknown schema id. Errors without a mark are taken to be
// passing trouble.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err: err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string   { return e.err.Error() }
func (e *permanentError) Unwrap() error   { return e.err }
func (e *permanentError) Retryable() bool { return false }

// Retryable reports whether the call that returned err may succeed later
// without anybody changing schema, registry or configuration.
//
// The end of a context is retryable: it says nothing about the schema. A
// [*FetchError] is retryable unless an error in its chain has a method
// Retryable() bool that says otherwise (see [Permanent]).
func Retryable(err error) bool {
	var (
		schema       *SchemaError
		incompatible *IncompatibleError
		registry     *RegistryError
		fetch        *FetchError
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &schema), errors.As(err, &incompatible):
		return false
	case errors.As(err, &registry):
		return registry.retryable()
	case errors.As(err, &fetch):
		var judged interface{ Retryable() bool }
		if errors.As(fetch.Err, &judged) {
			return judged.Retryable()
		}
		return true
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// retryable: no answer, an answer that is not the registry's (a proxy's page),
// and the statuses that ask for another try. Everything else needs somebody to
// change the registry or the configuration.
func (e *RegistryError) retryable() bool {
	switch {
	case e.Status == 0, e.Status >= 200 && e.Status < 300:
		return true
	case e.Status == 408, e.Status == 425, e.Status == 429:
		return true
	}
	return e.Status >= 500 && e.Status != 501
}
