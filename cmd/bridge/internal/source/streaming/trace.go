package streaming

import (
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cometd"
)

// held is how long an answer must have been waited for to show that the org had
// nothing to send. It holds a request for 110 s; what is answered at once may be
// answered before the replay of a new subscription begins.
const held = 10 * time.Second

// clientTrace turns what the client tells into what a lane wants to know.
func clientTrace(streams []pipeline.Resume, t pipeline.SourceTrace) cometd.Trace {
	return cometd.Trace{
		Subscribed: func(channel string) { t.Subscribed(channel, true) },
		Reconnect: func(reason error, _ time.Duration) {
			for _, s := range streams { // subscriptions die with their session
				t.Subscribed(s.Channel, false)
			}
			if reason == nil {
				t.SessionEnded(pipeline.SessionLost)
				return
			}
			t.SessionEnded(condition(reason))
		},
		Reply: func(r cometd.ReplyInfo) {
			if r.Err == nil {
				t.Alive()
			}
			if r.Empty && r.Elapsed >= held {
				t.Idle()
			}
		},
	}
}
