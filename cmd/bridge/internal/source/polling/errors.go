package polling

import (
	"context"
	"errors"
	"fmt"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// StreamError says that a stream cannot be read as it is configured.
type StreamError struct {
	Channel string
	Problem string
	Try     string
	Err     error // may be nil
}

func (e *StreamError) Error() string {
	text := "the rows of " + e.Channel + " cannot be read: " + e.Problem
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + "; try: " + e.Try
}

// Unwrap returns what Salesforce said.
func (e *StreamError) Unwrap() error { return e.Err }

// codeLimit is Salesforce's word for a used up allowance of API requests.
const codeLimit = "REQUEST_LIMIT_EXCEEDED"

// sourceError gives an error the condition under which the policy table knows it.
func sourceError(channel string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*pipeline.SourceError](err); ok {
		return err
	}
	c := condition(err)
	if c != pipeline.ChannelRefused {
		return &pipeline.SourceError{Condition: c, Err: fmt.Errorf("polling %s: %w", channel, err)}
	}
	if _, ok := errors.AsType[*StreamError](err); !ok {
		err = &StreamError{Channel: channel, Problem: "the org refuses it", Try: "the object's and the fields' names, and what the bridge's user may read", Err: err}
	}
	return &pipeline.SourceError{Condition: c, Channel: channel, Err: err}
}

func condition(err error) pipeline.Condition {
	if _, changed := errors.AsType[*salesforce.OrgChangedError](err); changed {
		return pipeline.PositionsBad
	}
	if _, bad := errors.AsType[*StreamError](err); bad {
		return pipeline.ChannelRefused
	}
	if salesforce.Unauthorized(err) {
		return pipeline.Unauthorized
	}
	if api, ok := errors.AsType[*salesforce.APIError](err); ok && api.Code == codeLimit {
		return pipeline.LimitExceeded
	}
	if salesforce.Retryable(err) {
		return pipeline.Transient
	}
	if refusal(err) {
		return pipeline.ChannelRefused
	}
	if _, ok := errors.AsType[*salesforce.ConfigError](err); ok {
		return pipeline.Misconfigured
	}
	return pipeline.LimitExceeded // of whoever counts the calls: nothing else is left
}

// refusal says whether the org answered, and what it answered will not change by asking
// again.
func refusal(err error) bool {
	_, refused := errors.AsType[*salesforce.APIError](err)
	_, reply := errors.AsType[*salesforce.ReplyError](err)
	_, row := errors.AsType[*salesforce.RowError](err)
	return refused || reply || row
}

// outdated says whether the object may be another than it was described as.
func outdated(err error) bool {
	if salesforce.Retryable(err) || salesforce.Unauthorized(err) {
		return false
	}
	_, refused := errors.AsType[*salesforce.APIError](err)
	_, row := errors.AsType[*salesforce.RowError](err)
	return refused || row
}

// Codes of queries that have too many rows, or take too long.
const (
	codeTimeout  = "QUERY_TIMEOUT"
	codeTooLarge = "OPERATION_TOO_LARGE"
)

// tooMuch says whether a smaller page may be without the error.
func tooMuch(err error) bool {
	if reply, ok := errors.AsType[*salesforce.ReplyError](err); ok {
		return !reply.Temporary
	}
	api, ok := errors.AsType[*salesforce.APIError](err)
	return ok && (api.Code == codeTimeout || api.Code == codeTooLarge)
}
