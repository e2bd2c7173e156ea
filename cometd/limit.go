package cometd

import "errors"

// LimitExceeded says whether the server refused because an allocation of the
// org is used up (concurrent clients, daily deliveries, connections), which
// takes minutes or hours to cure and is worth an alert.
func LimitExceeded(err error) bool {
	var reply *ReplyError
	return errors.As(err, &reply) && reply.class == classLimit
}
