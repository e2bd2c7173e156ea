package streaming

import (
	"context"
	"errors"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
	"github.com/sfbridge/bridge/salesforce"
)

// sourceError gives an error of the client the condition under which the
// policy table knows it.
func sourceError(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if sub, ok := errors.AsType[*cometd.SubscriptionError](err); ok {
		return &pipeline.SourceError{Condition: refusal(sub.Reason), Channel: sub.Channel, Err: err}
	}
	return &pipeline.SourceError{Condition: condition(err), Err: err}
}

// refusal is the condition of a refused subscription.
func refusal(r cometd.Reason) pipeline.Condition {
	switch r {
	case cometd.ReasonReplayInvalid:
		return pipeline.ReplayInvalid
	case cometd.ReasonLimit:
		return pipeline.LimitExceeded
	case cometd.ReasonBusy:
		return pipeline.Transient
	default:
		return pipeline.ChannelRefused
	}
}

// condition is that of trouble with the session as a whole.
func condition(err error) pipeline.Condition {
	if errors.Is(err, cometd.ErrRenewed) {
		return pipeline.Starving // nothing else asks for a new session
	}
	if login, ok := errors.AsType[*cometd.AuthorizeError](err); ok {
		return loginCondition(login.Err)
	}
	if auth, ok := errors.AsType[*cometd.AuthError](err); ok {
		if auth.Fresh {
			return pipeline.Unauthorized
		}
		return pipeline.SessionLost // the client asks for a new token
	}
	if _, ok := errors.AsType[*cometd.FrameError](err); ok {
		return pipeline.Malformed
	}
	if cometd.LimitExceeded(err) {
		return pipeline.LimitExceeded
	}
	if cometd.Retryable(err) {
		return pipeline.Transient
	}
	if errors.Is(err, cometd.ErrClosed) || errors.Is(err, cometd.ErrNoSubscription) {
		return pipeline.Unforeseen
	}
	return pipeline.Misconfigured
}

// loginCondition is that of trouble with getting a token.
func loginCondition(err error) pipeline.Condition {
	_, other := errors.AsType[*OtherOrgError](err)
	_, changed := errors.AsType[*salesforce.OrgChangedError](err)
	if other || changed {
		return pipeline.PositionsBad
	}
	if salesforce.Retryable(err) {
		return pipeline.Transient
	}
	return pipeline.Unauthorized
}
