package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity tells a problem that stops the bridge from one that is only worth
// knowing.
type Severity int

// The severities.
const (
	Error   Severity = iota // the configuration cannot be used
	Warning                 // it can, but the reader should know
)

// String returns error or warning.
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Problem is one thing wrong with a configuration. No field ever holds a
// secret or the value of a reference.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`           // as given to Load or Parse
	Line     int      `json:"line,omitempty"` // 1 is the first; 0 when there is no line to name
	Path     string   `json:"path,omitempty"` // streams[1].channel; "" is the whole file
	Message  string   `json:"message"`        // what is wrong
	Hint     string   `json:"hint,omitempty"` // what to do, may be ""
}

// String is one line: file:line: [warning: ]path: message (try: hint).
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (try: " + p.Hint + ")")
	}
	return b.String()
}

// HasErrors says whether any of the problems makes the configuration unusable.
func HasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// valueError says what is wrong with one value; the walker adds where.
type valueError struct {
	message string
	hint    string
}

// maxQuoted bounds how much of a bad value a message repeats.
const maxQuoted = 80

// guard takes away a hint that is made of a value which a message must not
// repeat.
func (e *valueError) guard(value string) *valueError {
	if quote(value) == strconv.Quote(value) {
		return e
	}
	return &valueError{message: e.message}
}

// quote repeats a value of the file in a message. Values that look as if they
// held a credential are not repeated, though their key is not a secret one:
// a secret in the wrong place is a common mistake.
func quote(value string) string {
	switch {
	case strings.Contains(value, "PRIVATE KEY"):
		return "the text (which holds a private key)"
	case strings.Contains(value, ":") && strings.Contains(value, "@"):
		return "the text (which seems to hold a password)"
	case len(value) > maxQuoted:
		return fmt.Sprintf("the text of %d bytes", len(value))
	}
	return strconv.Quote(value)
}
