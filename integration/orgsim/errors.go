package orgsim

import (
	"fmt"
	"strings"
)

// RequestError is what the org refuses with: REST shows it as its error array
// (REST API guide, Status Codes and Error Responses), methods return it.
type RequestError struct {
	Status  int      // HTTP status
	Code    string   // INVALID_FIELD, NOT_FOUND, ENTITY_IS_DELETED ...
	Message string   // Salesforce's words
	Fields  []string // the fields in question, if any
}

func (e *RequestError) Error() string {
	if len(e.Fields) > 0 {
		return fmt.Sprintf("org refused with %s (HTTP %d): %s [%s]", e.Code, e.Status, e.Message, strings.Join(e.Fields, ", "))
	}
	return fmt.Sprintf("org refused with %s (HTTP %d): %s", e.Code, e.Status, e.Message)
}

// ConfigError says which part of a Config cannot be used.
type ConfigError struct {
	Where, What string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("orgsim config: %s: %s", e.Where, e.What)
}

// Retryable reports whether the same call may succeed later. The org's own
// refusals and configuration errors never do.
func Retryable(error) bool { return false }

func errNotFound() *RequestError {
	return &RequestError{Status: 404, Code: "NOT_FOUND", Message: "The requested resource does not exist"}
}

func errNoObject(name string) *RequestError {
	return &RequestError{Status: 404, Code: "NOT_FOUND", Message: fmt.Sprintf("The requested resource does not exist: object %s", name)}
}
