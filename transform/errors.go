package transform

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sfbridge/bridge/schemas"
)

// FieldError says that one value of an event does not fit its schema.
type FieldError struct {
	// Path of the field from the payload, such as BillingAddress.City or
	// ChangeEventHeader.recordIds[0].
	Path string
	// Field is the schema's name of the field: the last name of Path that is no
	// index.
	Field string
	// Found describes the value. The text of string fields is not shown.
	Found string
	// Expected describes what the schema asks for.
	Expected string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("field %s: found %s, expected %s", e.Path, e.Found, e.Expected)
}

// UnknownFieldError says that an event has a field that its schema lacks. The
// field would be lost if the event were encoded.
type UnknownFieldError struct {
	Path   string // of the key
	Schema string // full name of the record that lacks it
	Found  string // what kind of value the key has
}

func (e *UnknownFieldError) Error() string {
	return fmt.Sprintf("field %s: found %s, expected no such key: it is not in the schema %s that the event names; try: on_unknown_field: keep",
		e.Path, e.Found, e.Schema)
}

// EventError says that an event is malformed as a whole.
type EventError struct {
	Reason string
	// Path of the field that the payload was read for, empty for none.
	Path string
	// Found shows the byte at Offset; empty at the payload's end.
	Found string
	// Offset into the payload in bytes, -1 if the trouble has no place there.
	Offset int
}

func (e *EventError) Error() string {
	if e.Offset < 0 {
		return "event: " + e.Reason
	}
	at := fmt.Sprintf("event payload at byte %d", e.Offset)
	if e.Path != "" {
		at += ", field " + e.Path
	}
	if e.Found != "" {
		return at + ": " + e.Reason + "; found " + e.Found
	}
	return at + ": " + e.Reason
}

// UnsupportedChannelError says that no encoding is defined for a channel.
type UnsupportedChannelError struct{ Channel string }

func (e *UnsupportedChannelError) Error() string {
	return fmt.Sprintf("channel %q: only /data/ (change data capture), /event/ (platform events), /topic/ (PushTopics) and /u/ (generic streaming) can be encoded", e.Channel)
}

// ConfigError says that the configuration does not fit, either in itself or for
// an event that came.
type ConfigError struct {
	Setting string // such as "topic template", "key of /event/Order__e"
	Reason  string
}

func (e *ConfigError) Error() string { return e.Setting + ": " + e.Reason }

// CollisionError says that records must not go to the topic which the
// configuration gives them: it is the bridge's own, or Kafka cannot tell it from
// another, or other records are in it and nothing says that both shall be.
type CollisionError struct {
	Topic   string // that the records would go to
	Records string // whose they are; empty if that makes no difference
	Setting string // what gives them the topic
	With    string // the topic that has the name, or one which Kafka takes for the same
	Own     bool   // With is the bridge's own

	OtherRecords, OtherSetting string // of what else goes to With
}

func (e *CollisionError) Error() string {
	same := ""
	if e.Topic != e.With {
		same = fmt.Sprintf("; Kafka creates no topic whose name differs from that of another only by '.' and '_', as it does from %q", e.With)
	}
	switch {
	case e.Own && same == "":
		return fmt.Sprintf("%s gives the topic %q, which is the bridge's own; try: another name", e.Setting, e.Topic)
	case e.Own:
		return fmt.Sprintf("%s gives the topic %q%s, which is the bridge's own; try: another name", e.Setting, e.Topic, same)
	case same != "":
		return fmt.Sprintf("%s would go to the topic %q by %s%s, the topic of %s by %s; try: another topic for one of them",
			e.Records, e.Topic, e.Setting, same, e.OtherRecords, e.OtherSetting)
	}
	return fmt.Sprintf("%s would go to the topic %q by %s, where %s go by %s, and nothing says that they shall be in one; "+
		"try: a topic of their own, or the topic's full name for both",
		e.Records, e.Topic, e.Setting, e.OtherRecords, e.OtherSetting)
}

// BadEvent reports whether the event itself is at fault, so that setting it
// aside is right. It is false where any other event would fail as well: an
// unreachable endpoint, a refusing registry, a wrong configuration, an ended
// context. An event whose schema is unusable counts as bad.
func BadEvent(err error) bool {
	var (
		field   *FieldError
		unknown *UnknownFieldError
		event   *EventError
		channel *UnsupportedChannelError
		schema  *schemas.SchemaError
		bitmap  *BitmapError
	)
	return errors.As(err, &field) || errors.As(err, &unknown) || errors.As(err, &event) ||
		errors.As(err, &channel) || errors.As(err, &schema) || errors.As(err, &bitmap)
}

// Retryable reports whether encoding the same event may succeed later without
// anybody changing anything: the schema endpoint or the registry was in
// trouble, or the context ended.
func Retryable(err error) bool {
	return schemas.Retryable(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// within prefixes the path of an error of the event's with the name of what contains it.
func within(name string, err error) error {
	var (
		field   *FieldError
		unknown *UnknownFieldError
		event   *EventError
	)
	switch {
	case errors.As(err, &field):
		field.Path = join(name, field.Path)
		if field.Field == "" && !strings.HasPrefix(name, "[") {
			field.Field = name
		}
	case errors.As(err, &unknown):
		unknown.Path = join(name, unknown.Path)
	case errors.As(err, &event):
		event.Path = join(name, event.Path)
	}
	return err
}

func join(name, rest string) string {
	if rest == "" || strings.HasPrefix(rest, "[") {
		return name + rest
	}
	return name + "." + rest
}
