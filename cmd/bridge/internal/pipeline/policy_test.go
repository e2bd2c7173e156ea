package pipeline

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/sink"
	"github.com/sfbridge/bridge/transform"
)

// The whole policy table. A condition without a row here fails the test.
func TestPolicyTable(t *testing.T) {
	rows := []struct {
		cond         Condition
		start, later Decision
	}{
		{Transient, Decision{Action: GoOn}, Decision{Action: GoOn}},
		{Malformed, Decision{Action: GoOn}, Decision{Action: GoOn}},
		{SessionLost, Decision{Action: GoOn}, Decision{Action: GoOn}},
		{Unauthorized, Decision{Exit, 3}, Decision{Action: GoOn}},
		{LimitExceeded, Decision{Action: GoOn}, Decision{Action: GoOn}},
		{Misconfigured, Decision{Exit, 2}, Decision{Action: GoOn}},
		{ReplayInvalid, Decision{Action: Restart}, Decision{Action: Restart}},
		{ChannelRefused, Decision{Exit, 2}, Decision{Action: HaltStream}},
		{OrgMoved, Decision{Action: Reopen}, Decision{Action: Reopen}},
		{PositionForeign, Decision{Action: BeginStream}, Decision{Action: BeginStream}},
		{Starving, Decision{Action: RouseStream}, Decision{Action: RouseStream}},
		{EventRejected, Decision{Action: SetAside}, Decision{Action: SetAside}},
		{EncodeTransient, Decision{Action: RetryBatch}, Decision{Action: RetryBatch}},
		{SchemaRefused, Decision{Action: HaltStream}, Decision{Action: HaltStream}},
		{RecordTooLarge, Decision{Action: SetAside}, Decision{Action: SetAside}},
		{KafkaTransient, Decision{Exit, 3}, Decision{Action: Reopen}},
		{UnknownOutcome, Decision{Action: Reopen}, Decision{Action: Reopen}},
		{Torn, Decision{Action: Reopen}, Decision{Action: Reopen}},
		{KafkaRefused, Decision{Exit, 3}, Decision{Action: Reopen}},
		{Fenced, Decision{Action: StopLane}, Decision{Action: StopLane}},
		{PositionsBad, Decision{Exit, 3}, Decision{Exit, 3}},
		{Unforeseen, Decision{Exit, 1}, Decision{Exit, 1}},
	}
	for _, r := range rows {
		if got := Decide(r.cond, true); got != r.start {
			t.Errorf("%s at the start: %+v, want %+v", r.cond, got, r.start)
		}
		if got := Decide(r.cond, false); got != r.later {
			t.Errorf("%s later: %+v, want %+v", r.cond, got, r.later)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, r := range []struct {
		err  error
		want Condition
	}{
		{&SourceError{Condition: LimitExceeded, Err: errLost}, LimitExceeded},
		{context.Canceled, Stopped},
		{&sink.FencedError{Err: errLost}, Fenced},
		{&sink.FencedError{Outlived: true, Err: errLost}, UnknownOutcome},
		{&sink.UnknownOutcomeError{Err: errLost}, UnknownOutcome},
		{&sink.TornError{Err: errLost}, Torn},
		{&sink.RecordTooLargeError{}, RecordTooLarge},
		{&sink.AuthorizationError{Err: errLost}, KafkaRefused},
		{&sink.AuthenticationError{Err: errLost}, KafkaRefused},
		{&sink.TopicError{Err: errLost}, KafkaRefused},
		{&sink.RejectedError{Err: errLost}, KafkaRefused},
		{&sink.UnreachableError{Err: errLost}, KafkaTransient},
		{&sink.AbortedError{Err: errLost}, KafkaTransient},
		{&replay.NotCompactedError{}, PositionsBad},
		{&replay.LaneCountError{}, PositionsBad},
		{&replay.OtherOrgError{}, PositionsBad},
		{&replay.MisplacedKeyError{}, PositionsBad},
		{&replay.UnreadableError{Err: errLost}, PositionsBad},
		{&replay.TopicMissingError{}, PositionsBad},
		{&PositionError{Err: errLost}, PositionsBad},
		{errLost, Unforeseen},
	} {
		for _, err := range []error{r.err, fmt.Errorf("wrapped: %w", r.err), errors.Join(nil, r.err)} {
			if got := Classify(err); got != r.want {
				t.Errorf("%T %v: %s, want %s", r.err, err, got, r.want)
			}
		}
	}
}

func TestClassifyEncode(t *testing.T) {
	for _, r := range []struct {
		err  error
		want Condition
	}{
		{context.Canceled, Stopped},
		{&transform.FieldError{}, EventRejected},
		{&transform.UnknownFieldError{}, EventRejected},
		{&transform.EventError{}, EventRejected},
		{&transform.UnsupportedChannelError{}, EventRejected},
		{&schemas.SchemaError{}, EventRejected},
		{&schemas.IncompatibleError{}, SchemaRefused},
		{&schemas.FetchError{Err: schemas.Permanent(errLost)}, SchemaRefused},
		{&transform.ConfigError{}, SchemaRefused},
		{&schemas.FetchError{Err: errLost}, EncodeTransient},
		{&SourceError{Condition: PositionForeign, Err: errLost}, PositionForeign},
		{&schemas.RegistryError{Status: 503}, EncodeTransient},
		{&schemas.RegistryError{Status: 401}, EncodeTransient}, // refuses every event alike
	} {
		if got := classifyEncode(fmt.Errorf("wrapped: %w", r.err)); got != r.want {
			t.Errorf("%T: %s, want %s", r.err, got, r.want)
		}
	}
}
