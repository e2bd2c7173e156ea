package transform

import (
	"errors"

	"github.com/sfbridge/bridge/schemas"
)

// SchemaRefused reports whether the schema of an event, and so every event that
// names it, is refused for good, though the event itself may be fine: the
// registry calls it incompatible or shall not be given it, Salesforce does not know its id,
// no schema can be made of a PushTopic, or the
// configuration does not fit it or has no topic for it. Setting such events aside one by one would be
// wrong; somebody must change something first.
func SchemaRefused(err error) bool {
	var (
		incompatible *schemas.IncompatibleError
		fetch        *schemas.FetchError
		unregistered *schemas.NotRegisteredError
		topic        *schemas.TopicError
		config       *ConfigError
		collision    *CollisionError
	)
	if errors.As(err, &incompatible) || errors.As(err, &topic) || errors.As(err, &unregistered) || errors.As(err, &config) ||
		errors.As(err, &collision) {
		return true
	}
	return errors.As(err, &fetch) && !schemas.Retryable(err)
}
