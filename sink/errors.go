package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrClosed is returned by calls on a Producer that was closed, or that
	// an earlier error made unusable.
	ErrClosed = errors.New("kafka producer is closed")

	// ErrFenced matches, with errors.Is, every error that says that this
	// producer no longer owns its transactional id. The concrete type is
	// *FencedError.
	ErrFenced = errors.New("kafka producer is fenced")
)

// FencedError says that the coordinator no longer accepts this producer's
// epoch. It matches ErrFenced. If it comes from the end of a transaction, it
// says nothing about that transaction's outcome.
type FencedError struct {
	TransactionalID string
	// Outlived is true if the transaction had been open for longer than
	// Config.TransactionTimeout: then the broker may have given up on it,
	// and there need not be another owner.
	Outlived bool
	Err      error
}

func (e *FencedError) Error() string {
	why := "another producer has opened this transactional id since"
	if e.Outlived {
		why = "the transaction outlived its timeout at the broker, or another producer has opened this transactional id since"
	}
	return fmt.Sprintf("producer of transactional id %q is fenced: %s: %v; reopen it only if this instance still owns the lane", e.TransactionalID, why, e.Err)
}

// Is reports whether target is ErrFenced.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }
func (e *FencedError) Unwrap() error        { return e.Err }

// RecordTooLargeError names one record that no request can carry. The
// transaction was aborted, nothing of it is visible, and the Producer takes
// further commits.
type RecordTooLargeError struct {
	Index int    // into the records given to Commit
	Topic string // the topic of that record
	Size  int    // bytes of the record alone in a batch, before compression
	Limit int    // the topic's max.message.bytes; 0 if the broker refused the record and the limit is not known
}

func (e *RecordTooLargeError) Error() string {
	limit := "more than the broker takes"
	if e.Limit > 0 {
		limit = fmt.Sprintf("more than its max.message.bytes of %d", e.Limit)
	}
	return fmt.Sprintf("record %d for topic %q has %d bytes, %s; raise max.message.bytes of the topic, or write something smaller", e.Index, e.Topic, e.Size, limit)
}

// UnknownOutcomeError says that the transaction was either committed as a whole
// or not at all, and that this producer cannot tell which. Opening a new
// Producer with the same transactional id settles it; what the position topic
// holds after that is the truth.
type UnknownOutcomeError struct {
	TransactionalID string
	// Step is "commit" if the outcome of a commit is open, and "abort" if an
	// abort was not confirmed: then nothing was committed, but the
	// transaction may still be open at the coordinator.
	Step string
	Err  error
}

func (e *UnknownOutcomeError) Error() string {
	if e.Step == stepAbort {
		return fmt.Sprintf("abort of a transaction of %q was not confirmed: %v; reopen the producer before going on", e.TransactionalID, e.Err)
	}
	return fmt.Sprintf("outcome of the transaction of %q is unknown: %v; reopen the producer and read the position from its topic", e.TransactionalID, e.Err)
}

func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

const (
	stepCommit = "commit"
	stepAbort  = "abort"
)

// TopicError says that a topic cannot be written to.
type TopicError struct {
	Topic string
	Hint  string // what to try
	Err   error

	transient bool // it may be ready by itself soon
}

func (e *TopicError) Error() string {
	return fmt.Sprintf("topic %q cannot be used: %v; %s", e.Topic, e.Err, e.Hint)
}

func (e *TopicError) Unwrap() error { return e.Err }

// AuthorizationError says which ACL is missing. For Write on a topic, brokers
// before Kafka 4.0 refuse the whole transaction, so that Name may be another
// topic of the same commit.
type AuthorizationError struct {
	Operation string // Kafka's name: Write, Create, Describe, IdempotentWrite
	Resource  string // Kafka's kind: topic, transactional-id, cluster
	Name      string // the resource's name
	Err       error
}

func (e *AuthorizationError) Error() string {
	name := e.Name
	if e.Resource == resourceCluster {
		return fmt.Sprintf("not authorised for %s on the cluster: %v; try: kafka-acls.sh --add --allow-principal User:<user> --operation %s --cluster", e.Operation, e.Err, e.Operation)
	}
	return fmt.Sprintf("not authorised for %s on %s %q: %v; try: kafka-acls.sh --add --allow-principal User:<user> --operation %s --%s %s", e.Operation, e.Resource, name, e.Err, e.Operation, e.Resource, name)
}

func (e *AuthorizationError) Unwrap() error { return e.Err }

const (
	resourceTopic   = "topic"
	resourceTxn     = "transactional-id"
	resourceCluster = "cluster"
)

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
	Doing   string   // what was waiting: "opening the producer", "producing"
	Within  time.Duration
	Err     error // the last error of a connection, where there was one
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("kafka brokers %s gave no answer within %s while %s: %v; check that they run, and that address, port, TLS and SASL settings are right", strings.Join(e.Brokers, ","), e.Within.Round(time.Millisecond), e.Doing, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// StalledError says that the brokers are there and did not take the records in
// time: a partition without a leader or without enough replicas, a full disk, a
// quota.
type StalledError struct {
	Doing  string // what was waiting: "producing", "committing"
	Within time.Duration
	Why    string // what the brokers say of themselves, and what to try
	Err    error
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("kafka answers, and did not get done within %s while %s: %s: %v", e.Within.Round(time.Millisecond), e.Doing, e.Why, e.Err)
}

func (e *StalledError) Unwrap() error { return e.Err }

// RejectedError says that a broker refused records for a reason that this
// package has no other type for (INVALID_RECORD, POLICY_VIOLATION, ...).
type RejectedError struct {
	Topic     string
	Partition int32
	// Index is the first record of the commit that was in the refused batch,
	// or -1 if it was a position.
	Index int
	Err   error
}

func (e *RejectedError) Error() string {
	what := fmt.Sprintf("record %d", e.Index)
	if e.Index < 0 {
		what = "position"
	}
	return fmt.Sprintf("kafka refuses %s for topic %q partition %d, or a record sent with it: %v", what, e.Topic, e.Partition, e.Err)
}

func (e *RejectedError) Unwrap() error { return e.Err }

// AbortedError says that a broker refused to go on with the transaction, or to
// commit it, for a reason that is not in the records, and that nothing of it is
// visible or will be.
type AbortedError struct {
	TransactionalID string
	Err             error
}

func (e *AbortedError) Error() string {
	return fmt.Sprintf("commit of %q was aborted, nothing was written: %v; reopen the producer and commit again", e.TransactionalID, e.Err)
}

func (e *AbortedError) Unwrap() error { return e.Err }

// TornError says that a transaction has ended and is still open in a partition, and
// that this producer cannot end it there as it ended elsewhere. Nothing was begun: the
// next transaction with that partition would end it as itself, which loses its records
// or makes them come twice.
type TornError struct {
	TransactionalID string
	Topic           string
	Partition       int32
	ProducerID      int64
	Offset          int64  // of the transaction's first record in the partition
	Outcome         string // "commit" or "abort"; "" if it is not known
	Why             string // it cannot be ended
	Err             error  // may be nil
}

func (e *TornError) Error() string {
	outcome := "nobody knows whether it was committed"
	if e.Outcome != "" {
		outcome = "its outcome is " + e.Outcome
	}
	why := e.Why
	if e.Err != nil {
		why += ": " + e.Err.Error()
	}
	return fmt.Sprintf("a transaction of %q has ended and is still open in partition %d of topic %q, from offset %d on (producer id %d); %s, and %s; try: kafka-transactions.sh find-hanging shows it; compare the records from there on with those of the other topics at that time; then give them up with kafka-transactions.sh abort --topic %s --partition %d --start-offset %d, and set the position back if they were to be kept",
		e.TransactionalID, e.Partition, e.Topic, e.Offset, e.ProducerID, outcome, why, e.Topic, e.Partition, e.Offset)
}

func (e *TornError) Unwrap() error { return e.Err }

// ConfigError says which option Open cannot work with.
type ConfigError struct {
	Field string // field of Config, or "Client"
	Err   error
}

func (e *ConfigError) Error() string { return fmt.Sprintf("sink option %s: %v", e.Field, e.Err) }
func (e *ConfigError) Unwrap() error { return e.Err }

// Retryable reports whether committing the same records again may succeed
// without anyone changing a configuration, an ACL, a topic or the records. For
// every error but *RecordTooLargeError it takes a new Producer, and after an
// *UnknownOutcomeError a look at the position topic first.
func Retryable(err error) bool {
	if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		return false
	}
	// Judged by the innermost cause, whatever it is wrapped in: reopening
	// cannot help while an ACL is missing.
	if is[*AuthorizationError](err) || is[*AuthenticationError](err) || is[*ConfigError](err) || is[*RecordTooLargeError](err) || is[*TornError](err) {
		return false
	}
	if e, ok := errors.AsType[*TopicError](err); ok {
		return e.transient
	}
	if is[*UnknownOutcomeError](err) || is[*UnreachableError](err) || is[*StalledError](err) || is[*AbortedError](err) {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err)
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
