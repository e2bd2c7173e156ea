package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/streaming"
	"github.com/sfbridge/bridge/cometd"
)

// probeTimeout bounds a handshake, a subscription and the farewell.
const probeTimeout = time.Minute

// probe asks the org whether it takes a start of a channel, in a session of its
// own that ends before any event is delivered.
func (b *bridge) probe(ctx context.Context, channel string, start pipeline.Start) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	subscribed := false
	trace := pipeline.SourceTrace{
		Subscribed: func(_ string, on bool) {
			if on {
				subscribed = true
				cancel() // events come with the next request, which is not sent any more
			}
		},
		SessionEnded: func(pipeline.Condition) {}, Rewind: func(string) bool { return false }, Alive: func() {}, Idle: func() {},
	}
	src, err := streaming.Open(b.streaming(), []pipeline.Resume{{Channel: channel, Start: start}}, trace)
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("%s: %w", channel, err))
	}
	defer func() {
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), opsTimeout)
		defer done()
		_ = src.Close(closing) // the session would lapse by itself
	}()
	for {
		_, err := src.Next(ctx)
		if subscribed {
			return nil
		}
		if ctx.Err() != nil {
			return exit(pipeline.ExitEnvironment, fmt.Errorf("%s: the org did not answer whether it takes the replay id: %w", channel, errors.Join(err, context.Cause(ctx))))
		}
		if err != nil && refused(err) {
			return err
		}
	}
}

// refused gives an error of the source, if it is the org's answer, its exit code.
func refused(err error) bool {
	switch pipeline.Classify(err) {
	case pipeline.ReplayInvalid, pipeline.ChannelRefused, pipeline.Misconfigured, pipeline.Unauthorized, pipeline.LimitExceeded:
		return true
	}
	return false
}

// streaming is how a session at the org is opened.
func (b *bridge) streaming() streaming.Config {
	return streaming.Config{
		Client: cometd.Config{Transport: b.org.transport.Clone()},
		Tokens: b.org.tokens, APIVersion: b.org.apiVersion, OrgID: b.org.id,
	}
}
