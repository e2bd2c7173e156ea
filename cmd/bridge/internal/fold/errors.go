package fold

import "fmt"

// ConfigError says that a setting cannot be right.
type ConfigError struct {
	Setting string
	Problem string
	Try     string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("reading record topics: %s %s; try: %s", e.Setting, e.Problem, e.Try)
}

// RecordError says why a record cannot be folded.
type RecordError struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string
	Problem   string
	Try       string // may be empty
	Err       error  // may be nil
}

func (e *RecordError) Error() string {
	text := fmt.Sprintf("record %d of partition %d of %s (key %q): %s", e.Offset, e.Partition, e.Topic, e.Key, e.Problem)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Try != "" {
		text += "; try: " + e.Try
	}
	return text
}

// Unwrap returns what the decoder said.
func (e *RecordError) Unwrap() error { return e.Err }
