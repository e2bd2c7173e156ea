package replay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ConfigError says which option Open cannot work with.
type ConfigError struct {
	Field string // field of Config
	Err   error
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("position store option %s: %v", e.Field, e.Err)
}
func (e *ConfigError) Unwrap() error { return e.Err }

// TopicMissingError says that the position topic does not exist, cannot be
// created, or is not the one that was opened any more.
type TopicMissingError struct {
	Topic string
	Lanes int
	// Recreated is true if a topic of that name exists, but is another one
	// than at Open: the positions are gone with the old one.
	Recreated bool
	Err       error
}

func (e *TopicMissingError) Error() string {
	if e.Recreated {
		return fmt.Sprintf("position topic %q was deleted and created again since it was opened: its positions are gone; restore them, or restart to begin anew on purpose", e.Topic)
	}
	return fmt.Sprintf("position topic %q is missing: %v; allow creating it, or create it: kafka-topics.sh --create --topic %s --partitions %d --config cleanup.policy=compact", e.Topic, e.Err, e.Topic, e.Lanes)
}

func (e *TopicMissingError) Unwrap() error { return e.Err }

// NotCompactedError says that the broker may delete positions.
type NotCompactedError struct {
	Topic  string
	Policy string // the topic's cleanup.policy
}

func (e *NotCompactedError) Error() string {
	return fmt.Sprintf("position topic %q has cleanup.policy=%s, so that positions get lost; try: kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config cleanup.policy=compact", e.Topic, e.Policy, e.Topic)
}

// LaneCountError says that the topic has another number of partitions than
// there are lanes.
type LaneCountError struct {
	Topic string
	Have  int // partitions of the topic
	Want  int // configured lanes
}

func (e *LaneCountError) Error() string {
	return fmt.Sprintf("position topic %q has %d partitions, but %d lanes are configured; set lanes to %d, or move the positions to %d lanes: stop the bridge, then bridge positions migrate", e.Topic, e.Have, e.Want, e.Have, e.Want)
}

// OtherOrgError says that the topic holds positions of another org. They mean
// nothing to this one, and starting beside them would be starting from nothing.
type OtherOrgError struct {
	Topic     string
	Partition int32
	Offset    int64
	Found     string // org id in the topic
	Want      string // org id that the store was opened for
}

func (e *OtherOrgError) Error() string {
	return fmt.Sprintf("position topic %q belongs to org %s (partition %d, offset %d), not to org %s; check the login, give this bridge another name, or delete the topic to start anew on purpose", e.Topic, e.Found, e.Partition, e.Offset, e.Want)
}

// MisplacedKeyError says that a position lies where its key does not belong:
// the topic's partition count was changed, so that every later position of the
// stream would go elsewhere and the old one would be taken up again some day.
type MisplacedKeyError struct {
	Topic     string
	Key       Key
	Partition int32 // where it is
	Want      int32 // where it belongs
	Lanes     int
	Offset    int64
}

func (e *MisplacedKeyError) Error() string {
	return fmt.Sprintf("position of %q is in partition %d of topic %q (offset %d) and belongs in partition %d of %d: the number of partitions was changed; put the positions where they belong: stop the bridge, then bridge positions migrate", e.Key.String(), e.Partition, e.Topic, e.Offset, e.Want, e.Lanes)
}

// UnfinishedMigrationError says that a migration of the positions to another
// number of lanes was interrupted: the copy that it works with is there, and the
// topic may be missing, empty or old.
type UnfinishedMigrationError struct {
	Topic string
	Copy  string // the topic that is there as long as a migration goes on
}

func (e *UnfinishedMigrationError) Error() string {
	return fmt.Sprintf("the positions of topic %q are being moved to another number of lanes: topic %q exists; finish it, which loses nothing: bridge positions migrate", e.Topic, e.Copy)
}

// CopyError says that a migration cannot go on by itself, because the copy and
// the topic do not fit together. Nothing was changed.
type CopyError struct {
	Topic string
	Copy  string
	Hint  string // what to try
	Err   error
}

func (e *CopyError) Error() string {
	return fmt.Sprintf("copy %q of position topic %q cannot be used: %v; %s", e.Copy, e.Topic, e.Err, e.Hint)
}

func (e *CopyError) Unwrap() error { return e.Err }

// AmbiguousError says that a key has two values that differ, in two partitions. Which
// one is right cannot be known: positions are opaque (I4).
type AmbiguousError struct {
	Topic      string
	Key        string // at most 200 bytes of it
	Partitions [2]int32
	Offsets    [2]int64
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("topic %q holds two values of %q that differ: partition %d (offset %d) and partition %d (offset %d); decide for one, and write a record without a value for that key into the partition of the other",
		e.Topic, e.Key, e.Partitions[0], e.Offsets[0], e.Partitions[1], e.Offsets[1])
}

// UnreadableError says that a record of the topic is not one that this program
// writes, in a version that it knows.
type UnreadableError struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string // at most 200 bytes of it
	Err       error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("position topic %q partition %d offset %d key %q cannot be read: %v; run the version that wrote it, or write a record without a value for that key", e.Topic, e.Partition, e.Offset, e.Key, e.Err)
}

func (e *UnreadableError) Unwrap() error { return e.Err }

// AuthorizationError says which ACL is missing.
type AuthorizationError struct {
	Operation string // Kafka's name: Read, Describe, DescribeConfigs, Create, Alter, Delete
	Topic     string
	Group     string // instead of Topic
	Err       error
}

func (e *AuthorizationError) Error() string {
	what, flag, name := "position topic", "--topic", e.Topic
	if e.Group != "" {
		what, flag, name = "consumer group", "--group", e.Group
	}
	return fmt.Sprintf("not authorised for %s on %s %q: %v; try: kafka-acls.sh --add --allow-principal User:<user> --operation %s %s %s", e.Operation, what, name, e.Err, e.Operation, flag, name)
}

func (e *AuthorizationError) Unwrap() error { return e.Err }

// AuthenticationError says that the brokers refuse the SASL credentials or the
// mechanism.
type AuthenticationError struct {
	Brokers []string
	Err     error
}

func (e *AuthenticationError) Error() string {
	return fmt.Sprintf("kafka brokers %s refuse the SASL login: %v; check mechanism, user name and password", strings.Join(e.Brokers, ","), e.Err)
}

func (e *AuthenticationError) Unwrap() error { return e.Err }

// UnreachableError says that no broker gave an answer in time.
type UnreachableError struct {
	Brokers []string // the configured seed brokers
	Doing   string
	Within  time.Duration
	Err     error // the last error of a connection, where there was one

	ctx error // the end of the context, which Err may hide
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("kafka brokers %s gave no answer within %s while %s: %v; check that they run, and that address, port, TLS and SASL settings are right", strings.Join(e.Brokers, ","), e.Within.Round(time.Millisecond), e.Doing, e.Err)
}

// Unwrap returns Err and, if the time was up, context.DeadlineExceeded.
func (e *UnreachableError) Unwrap() []error {
	if e.ctx != nil {
		return []error{e.Err, e.ctx}
	}
	return []error{e.Err}
}

// Retryable reports whether the same call may succeed later without anyone
// changing a configuration, an ACL or the topic.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if is[*UnreachableError](err) {
		return true
	}
	if isOurs(err) {
		return false
	}
	return errors.Is(err, context.DeadlineExceeded) || kerr.IsRetriable(err) || errors.Is(err, kerr.OffsetOutOfRange) || isMembership(err)
}

// isMembership reports whether err only says that a member was away for too long,
// or late: it joins anew.
func isMembership(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.RebalanceInProgress)
}

// isOurs reports whether err has a type of this package already.
func isOurs(err error) bool {
	return is[*ConfigError](err) || is[*TopicMissingError](err) || is[*NotCompactedError](err) ||
		is[*LaneCountError](err) || is[*OtherOrgError](err) || is[*MisplacedKeyError](err) ||
		is[*UnfinishedMigrationError](err) || is[*CopyError](err) || is[*AmbiguousError](err) ||
		is[*UnreadableError](err) || is[*AuthorizationError](err) || is[*AuthenticationError](err) ||
		is[*UnreachableError](err)
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func isSASL(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}

// isTransport reports whether err means that no answer came, as opposed to an
// answer that says no.
func isTransport(err error) bool {
	if is[*kerr.Error](err) {
		return false
	}
	return is[net.Error](err) || is[*kgo.ErrFirstReadEOF](err) ||
		kgo.IsRetryableBrokerErr(err) || errors.Is(err, context.DeadlineExceeded)
}
