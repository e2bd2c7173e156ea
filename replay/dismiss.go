package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Dismiss takes members out of a consumer group in their place, as if their
// sessions had run out: each of them learns with its next heartbeat that its lanes
// are lost, and joins again. A lane whose position was changed by somebody else is
// taken up anew by that, at once, where its owner would only notice at its next
// commit. One that has gone by itself meanwhile is no error.
func Dismiss(ctx context.Context, client []kgo.Opt, group, reason string, members ...Member) error {
	cl, err := kgo.NewClient(client...)
	if err != nil {
		return &ConfigError{Field: "Client", Err: err}
	}
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range members {
		leaving := kmsg.NewLeaveGroupRequestMember()
		leaving.MemberID, leaving.Reason = m.ID, &reason
		req.Members = append(req.Members, leaving)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("consumer group %q: %w", group, err)
	}
	errs := []error{kerr.ErrorForCode(resp.ErrorCode)}
	for _, m := range resp.Members {
		errs = append(errs, kerr.ErrorForCode(m.ErrorCode))
	}
	for _, err := range errs {
		switch {
		case err == nil, errors.Is(err, kerr.UnknownMemberID):
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			return &AuthorizationError{Operation: "Read", Group: group, Err: err}
		default:
			return fmt.Errorf("consumer group %q: %w", group, err)
		}
	}
	return nil
}
