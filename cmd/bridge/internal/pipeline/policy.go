package pipeline

import (
	"context"
	"errors"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// Condition is what went wrong, in the words of the policy table.
type Condition string

// The conditions that stages report.
const (
	Transient       Condition = "transient"        // network, 5xx, 420, 429, busy: the same again may work
	Malformed       Condition = "malformed"        // a reply that is no valid frame
	SessionLost     Condition = "session lost"     // the org forgot the session
	Unauthorized    Condition = "unauthorized"     // credentials refused, again after renewal
	LimitExceeded   Condition = "limit exceeded"   // an allocation of the org is used up
	Misconfigured   Condition = "misconfigured"    // the org says that we ask for something impossible
	ReplayInvalid   Condition = "replay invalid"   // the position is no longer, or was never, one of the stream
	ChannelRefused  Condition = "channel refused"  // unknown or forbidden channel
	OrgMoved        Condition = "org moved"        // the org lives elsewhere than when the session began
	PositionForeign Condition = "position foreign" // what the org sent does not follow the position
	Starving        Condition = "starving"         // rows changed, and no event of them comes
	EventRejected   Condition = "event rejected"   // this event can never become a record as it is
	EncodeTransient Condition = "encode transient" // schema endpoint or registry down, or refusing every schema
	SchemaRefused   Condition = "schema refused"   // this schema is refused for good: incompatible, or not to be had
	RecordTooLarge  Condition = "record too large"
	KafkaTransient  Condition = "kafka transient" // the same commit may work on a new producer
	UnknownOutcome  Condition = "unknown outcome" // the position topic knows
	KafkaRefused    Condition = "kafka refused"   // missing rights, missing topic
	Fenced          Condition = "fenced"
	Torn            Condition = "torn transaction" // one that ended is still open in a partition: only an operator can end it
	PositionsBad    Condition = "positions bad"    // positions topic or a position in it is not as it must be
	Stopped         Condition = "stopped"          // we were asked to
	Unforeseen      Condition = "unforeseen"
)

// Action is what the pipeline does about a condition.
type Action string

// The actions.
const (
	GoOn        Action = "go on"        // ask the source again; it paces itself
	RetryBatch  Action = "retry batch"  // the same batch again, after a backoff
	Reopen      Action = "reopen"       // new producer, reload positions, new session, after a backoff
	SetAside    Action = "dead letter"  // or halt, by the stream's on_bad_event
	HaltStream  Action = "halt stream"  // this stream stops, the others go on
	Restart     Action = "restart"      // the stream's on_expired decides where
	BeginStream Action = "begin stream" // reopen the lane; the stream's on_expired decides where it begins anew
	RouseStream Action = "rouse stream" // the stream's on_starvation decides how
	StopLane    Action = "stop lane"    // another owner has it
	Exit        Action = "exit"
)

// Decision is one cell of the policy table.
type Decision struct {
	Action Action
	Code   int // with Exit
}

// Decide is the policy table: what is done about a condition, at the start (a
// mistake that a human must correct should be seen by the human who just made
// it) and later (a bridge that ran does not give up by itself).
func Decide(c Condition, starting bool) Decision {
	at := func(start, later Decision) Decision {
		if starting {
			return start
		}
		return later
	}
	switch c {
	case Transient, SessionLost, LimitExceeded, Malformed:
		return Decision{Action: GoOn}
	case Unauthorized:
		return at(Decision{Exit, ExitEnvironment}, Decision{Action: GoOn})
	case Misconfigured:
		return at(Decision{Exit, ExitUsage}, Decision{Action: GoOn})
	case ChannelRefused:
		return at(Decision{Exit, ExitUsage}, Decision{Action: HaltStream})
	case ReplayInvalid:
		return Decision{Action: Restart}
	case OrgMoved:
		return Decision{Action: Reopen}
	case PositionForeign:
		return Decision{Action: BeginStream}
	case Starving:
		return Decision{Action: RouseStream}
	case EventRejected, RecordTooLarge:
		return Decision{Action: SetAside}
	case EncodeTransient:
		return Decision{Action: RetryBatch}
	case SchemaRefused:
		return Decision{Action: HaltStream}
	case KafkaTransient:
		return at(Decision{Exit, ExitEnvironment}, Decision{Action: Reopen})
	case UnknownOutcome, Torn:
		return Decision{Action: Reopen}
	case KafkaRefused:
		return at(Decision{Exit, ExitEnvironment}, Decision{Action: Reopen})
	case PositionsBad:
		return Decision{Exit, ExitEnvironment}
	case Fenced:
		return Decision{Action: StopLane}
	default:
		return Decision{Exit, ExitRuntime}
	}
}

// Classify names the condition of an error that a stage returned.
func Classify(err error) Condition {
	if src, ok := errors.AsType[*SourceError](err); ok {
		return src.Condition
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Stopped
	case fencedByOther(err):
		return Fenced
	case errors.Is(err, sink.ErrFenced):
		return UnknownOutcome
	case isPositions(err):
		return PositionsBad
	}
	if c, ok := classifySink(err); ok {
		return c
	}
	if isType[*replay.AuthorizationError](err) || isType[*replay.AuthenticationError](err) {
		return KafkaRefused
	}
	if replay.Retryable(err) {
		return KafkaTransient
	}
	return Unforeseen
}

func classifySink(err error) (Condition, bool) {
	switch {
	case isType[*sink.RecordTooLargeError](err):
		return RecordTooLarge, true
	case isType[*sink.UnknownOutcomeError](err):
		return UnknownOutcome, true
	case isType[*sink.TornError](err):
		return Torn, true
	case isType[*sink.AuthorizationError](err), isType[*sink.AuthenticationError](err),
		isType[*sink.TopicError](err), isType[*sink.RejectedError](err):
		return KafkaRefused, true
	case sink.Retryable(err):
		return KafkaTransient, true
	}
	return "", false
}

// fencedByOther tells a fence that another owner put up from the broker's
// giving up on a transaction that outlived its timeout: the latter is the same
// answer on the wire, but the lane is still ours.
func fencedByOther(err error) bool {
	if f, ok := errors.AsType[*sink.FencedError](err); ok {
		return !f.Outlived
	}
	return errors.Is(err, sink.ErrFenced)
}

func isPositions(err error) bool {
	for _, is := range []func(error) bool{
		isType[*replay.TopicMissingError], isType[*replay.NotCompactedError], isType[*replay.LaneCountError],
		isType[*replay.OtherOrgError], isType[*replay.MisplacedKeyError], isType[*replay.UnreadableError],
		isType[*PositionError],
	} {
		if is(err) {
			return true
		}
	}
	return false
}

func isType[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// classifyEncode names the condition of an error of [Encoder.Encode].
func classifyEncode(err error) Condition {
	if isType[*SourceError](err) {
		return Classify(err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Stopped
	case transform.BadEvent(err):
		return EventRejected
	case transform.SchemaRefused(err):
		return SchemaRefused
	default: // schema endpoint or registry: down, or refusing every event alike
		return EncodeTransient
	}
}
