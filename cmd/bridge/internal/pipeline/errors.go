package pipeline

import (
	"fmt"
)

// Exit codes of the program, by kind of ending.
const (
	ExitOK          = 0
	ExitRuntime     = 1 // a bug or an unforeseen failure
	ExitUsage       = 2 // usage or configuration
	ExitEnvironment = 3 // something outside is unreachable, refuses us, or is not as it must be
	ExitHalted      = 4 // halted by policy
)

// SourceError is how a source tells the pipeline what kind of trouble it had.
type SourceError struct {
	Condition Condition
	// Channel is set when the trouble concerns one stream only.
	Channel string
	Err     error
}

func (e *SourceError) Error() string {
	if e.Channel == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Channel, e.Err)
}

func (e *SourceError) Unwrap() error { return e.Err }

// ExitError ends the process with a code.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// PositionError says that a stored position is not one that its source can
// resume from.
type PositionError struct {
	Channel  string
	Position string
	Err      error
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("the stored position %q of %s cannot be read: %v; "+
		"correct or delete its record in the positions topic, which is a decision about data, so it is not made for you",
		e.Position, e.Channel, e.Err)
}

func (e *PositionError) Unwrap() error { return e.Err }
