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
	// Version and RegistryID are those of the subject's latest schema, 0 if it
	// could not be had; Changes is what is different from it. A rule that looks
	// at all versions may mean an earlier one: Detail says so.
	Version, RegistryID int
	Changes             Changes
	// Unread says why there are no Changes; nil if there are.
	Unread error
}

// mostChanges bounds how many changes a message tells.
const mostChanges = 40

func (e *IncompatibleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema registry: subject %s refuses schema %s (%s) as incompatible: ", e.Subject, e.Schema, e.SchemaID)
	if e.Unread == nil && e.Version > 0 {
		fmt.Fprintf(&b, "seen from its latest version %d (id %d): %s; the registry says: ", e.Version, e.RegistryID, e.Changes.most(mostChanges))
	}
	b.WriteString(e.Detail)
	b.WriteString("; try: registry.on_incompatible new_subject, another compatibility level for the subject, " +
		"or another subject (strategy record or topic_record)")
	return b.String()
}

// NotRegisteredError says that a schema is not in the registry, where nothing
// may be registered by us.
type NotRegisteredError struct {
	Subject string
	// Schema is the full name of the schema and SchemaID Salesforce's id of it;
	// empty if no schema in particular was asked for.
	Schema, SchemaID string
	// Version and RegistryID are those of the subject's latest schema, 0 if it
	// has none; Changes is what is different from it.
	Version, RegistryID int
	Changes             Changes
}

func (e *NotRegisteredError) Error() string {
	if e.Schema == "" {
		return fmt.Sprintf("schema registry: nothing is registered under subject %s", e.Subject)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "schema registry: schema %s (%s) is not registered under subject %s", e.Schema, e.SchemaID, e.Subject)
	if e.Version > 0 {
		fmt.Fprintf(&b, ", whose latest version is %d (id %d), without these changes: %s", e.Version, e.RegistryID, e.Changes.most(mostChanges))
	}
	b.WriteString("; try: register what 'bridge schemas show' prints of it, or set registry.auto_register to true")
	return b.String()
}

// RegistryError is any other failure to register a schema or to ask for one.
type RegistryError struct {
	// Doing is what was asked for, such as "register under".
	Doing   string
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
	fmt.Fprintf(&b, "schema registry: %s %s", e.Doing, e.Subject)
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

// UndescribedError says why a schema has no docs. It fails nothing.
type UndescribedError struct {
	Object string
	// Reason says what is wrong with the description, if there is one.
	Reason string
	// Err is what the Describer returned.
	Err error
}

func (e *UndescribedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("no docs for the schemas of %s: %v", e.Object, e.Err)
	}
	return fmt.Sprintf("no docs for the schemas of %s: %s", e.Object, e.Reason)
}

func (e *UndescribedError) Unwrap() error { return e.Err }

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
		missing      *NotRegisteredError
		registry     *RegistryError
		fetch        *FetchError
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &schema), errors.As(err, &incompatible), errors.As(err, &missing):
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
