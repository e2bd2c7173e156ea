package sink

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// isFenced knows what brokers and coordinators say to a producer whose epoch is
// not the current one: INVALID_PRODUCER_EPOCH comes from partition leaders,
// PRODUCER_FENCED from coordinators.
func isFenced(err error) bool {
	return errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced)
}

// isForgotten knows what a coordinator says that has no such transactional id, or
// has it with another producer id. It drops ids that were not used for a week
// (transactional.id.expiration.ms), and never one with an open transaction: so
// nothing of what was refused with it can become visible.
func isForgotten(err error) bool { return errors.Is(err, kerr.InvalidProducerIDMapping) }

// isAbortable knows what brokers say to records that may be written in another
// transaction, once this one is aborted. That the numbers of a producer's records
// do not fit is what comes of a broker that has lost its memory of the producer or
// the end of its log: the records themselves are as good as before.
func isAbortable(err error) bool {
	return errors.Is(err, kerr.TransactionAbortable) ||
		errors.Is(err, kerr.InvalidTxnState) ||
		errors.Is(err, kerr.OutOfOrderSequenceNumber) ||
		errors.Is(err, kerr.UnknownProducerID)
}

// isTooLarge knows what brokers say to a batch that is more than a message, or
// more than a segment of the log, may be.
func isTooLarge(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge)
}

// isTooOld knows what the client says in place of a broker whose versions it has seen.
// It has no name for that error.
func isTooOld(err error) bool {
	return err != nil && strings.Contains(err.Error(), "broker is too old")
}

func isSASL(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}

// typed turns an error of the client into one of this package's types, or
// leaves it as it is if there is none that fits.
func (p *Producer) typed(err error, topic, doing string) error {
	if e := p.kind(err, topic, doing); e != nil {
		return e
	}
	return err
}

// kind finds the type for an error of the client, or nil. topic is the topic in
// question, or "" where there is none; doing names the call for the reader.
func (p *Producer) kind(err error, topic, doing string) error {
	switch {
	case isFenced(err):
		return &FencedError{TransactionalID: p.cfg.TransactionalID, Outlived: p.outlived(), Err: err}
	case isSASL(err):
		return &AuthenticationError{Brokers: p.brokers, Err: err}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &AuthorizationError{Operation: "Write", Resource: resourceTopic, Name: topic, Err: err}
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return &AuthorizationError{Operation: "Write", Resource: resourceTxn, Name: p.cfg.TransactionalID, Err: err}
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return &AuthorizationError{Operation: "IdempotentWrite", Resource: resourceCluster, Err: err}
	case errors.Is(err, kerr.InvalidTransactionTimeout):
		return &ConfigError{Field: "TransactionTimeout", Err: err}
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return &TopicError{Topic: topic, Hint: "was it deleted? reopen the producer to have it looked up again", Err: err, transient: p.cfg.topic(topic).Create}
	case p.isTransport(err):
		return p.unreachable(err, doing)
	default:
		return nil
	}
}

// isTransport reports whether err means that no answer came, as opposed to an
// answer that says no.
func (p *Producer) isTransport(err error) bool {
	if _, ok := errors.AsType[*kerr.Error](err); ok {
		return false
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return kgo.IsRetryableBrokerErr(err) ||
		is[*kgo.ErrFirstReadEOF](err) ||
		is[net.Error](err) ||
		errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, kgo.ErrRecordTimeout) ||
		errors.Is(err, kgo.ErrRecordRetries)
}

// unreachable explains silence with the last thing that a connection said,
// since the client itself only knows that it waited.
func (p *Producer) unreachable(err error, doing string) error {
	if last := p.watch.last(); last != nil {
		if isSASL(last) {
			return &AuthenticationError{Brokers: p.brokers, Err: last}
		}
		err = last
	}
	return &UnreachableError{Brokers: p.brokers, Doing: doing, Within: p.sinceStart(), Err: err}
}

// watch remembers the last error that a broker connection met, how many connections
// there were, and how long the brokers' quotas made the client wait. The client bears
// all of it silently, so that without it a timeout could not say why.
type watch struct {
	mu        sync.Mutex
	err       error
	throttled time.Duration
	until     time.Time // when the brokers' last wish is met
	dialled   int       // connections that were made
}

var (
	_ kgo.HookBrokerThrottle = (*watch)(nil)
	_ kgo.HookBrokerConnect  = (*watch)(nil)
	_ kgo.HookBrokerRead     = (*watch)(nil)
)

// OnBrokerConnect is called by the client after each dial and login.
func (w *watch) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	w.note(err)
	if err == nil {
		w.mu.Lock()
		w.dialled++
		w.mu.Unlock()
	}
}

// OnBrokerRead is called by the client after each response.
func (w *watch) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	w.note(err)
}

// OnBrokerThrottle is called by the client after a response that tells of a quota.
func (w *watch) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, _ bool) {
	w.mu.Lock()
	w.throttled += d
	if until := time.Now().Add(d); until.After(w.until) {
		w.until = until
	}
	w.mu.Unlock()
}

func (w *watch) note(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
}

func (w *watch) last() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *watch) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dialled
}

func (w *watch) waited() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.throttled
}

// reset is for the next call, which may begin with the rest of a wait that an
// earlier one has brought about.
func (w *watch) reset() {
	w.mu.Lock()
	w.err, w.throttled = nil, max(0, time.Until(w.until))
	w.mu.Unlock()
}

func seeds(cl *kgo.Client) []string {
	s, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	return slices.Clone(s)
}
