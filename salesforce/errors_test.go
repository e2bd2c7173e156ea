package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestRetryableAndUnauthorized(t *testing.T) {
	for _, tc := range []struct {
		err                     error
		retryable, unauthorized bool
	}{
		{nil, false, false},
		{errors.New("other"), false, false},
		{context.Canceled, false, false},
		{context.DeadlineExceeded, true, false},
		{io.ErrUnexpectedEOF, false, false}, // not an error of this package until it is a NetworkError
		{&salesforce.NetworkError{Err: io.ErrUnexpectedEOF}, true, false},
		{errors.Join(context.Canceled, &salesforce.NetworkError{Err: io.EOF}), false, false},
		{&salesforce.ConfigError{}, false, false},
		{&salesforce.KeyError{}, false, false},
		{&salesforce.OrgChangedError{}, false, false},
		{&salesforce.ReplyError{Temporary: true}, true, false},
		{&salesforce.ReplyError{}, false, false},
		{&salesforce.OAuthError{Temporary: true, Status: 400}, true, false},
		{&salesforce.OAuthError{Status: 400}, false, true},
		{&salesforce.APIError{Status: 401, Code: "INVALID_SESSION_ID"}, false, true},
		{&salesforce.APIError{Status: 401, Message: "This session is not valid for use with the REST API"}, false, true},
		{&salesforce.APIError{Status: 403}, false, false},
		{&salesforce.APIError{Status: 420}, true, false},
		{&salesforce.APIError{Status: 400, Code: "QUERY_TIMEOUT"}, true, false},
		{&salesforce.APIError{Status: 400, Code: "EXCEEDEDQUOTA"}, true, false},
		{&salesforce.APIError{Status: 400, Code: "INVALID_TYPE"}, false, false},
		{&salesforce.APIError{Status: 307}, true, false},
		{&salesforce.APIError{Status: 304}, false, false},
	} {
		for _, err := range []error{tc.err, fmt.Errorf("doing this: %w", tc.err)} {
			if tc.err == nil {
				err = nil
			}
			if salesforce.Retryable(err) != tc.retryable || salesforce.Unauthorized(err) != tc.unauthorized {
				t.Errorf("%T %v: retryable %v, unauthorized %v", tc.err, err, salesforce.Retryable(err), salesforce.Unauthorized(err))
			}
		}
	}
	network := &salesforce.NetworkError{Host: "acme.example", Path: "/x", Err: io.EOF}
	if !errors.Is(network, io.EOF) {
		t.Error("a NetworkError hides what the network said")
	}
}
