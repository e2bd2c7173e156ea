package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// A channel that is refused when the session is made anew, as when the user loses
// the right to read it, is told of by name, and the other one goes on, then and in
// every later session.
func TestChannelThatIsRefusedLater(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: session", func(*orgsim.Config) {})
	w.running(t)
	const why = "Subscriber does not have access to the entity in this topic"
	if err := w.org.Inject(orgsim.Fault{Kind: "reply", On: "/meta/subscribe", Error: "403::" + why}); err != nil {
		t.Fatal(err)
	}
	var refused string
	for sessions := range 3 {
		w.org.ForgetSessions()
		w.until(t, "one stream is refused and the other subscribed", often, func() bool {
			remade := w.org.Stats().SessionsOpened >= int64(sessions)+2
			r := w.report(t)
			if !remade || len(r) != 1 || r[0].State != "halted" || !strings.Contains(r[0].Message, why) {
				return false
			}
			if refused != "" && r[0].Stream != refused {
				t.Fatalf("%s was refused, and then %s", refused, r[0].Stream)
			}
			refused = r[0].Stream
			return true
		})
		well := w.channels[1-slices.Index(w.channels, refused)]
		w.until(t, "the org has the other stream's subscription, and no more", often, func() bool {
			all := w.org.Sessions()
			last := all[len(all)-1]
			return last.Closed.IsZero() && slices.Equal(last.Channels, []string{well})
		})
		for _, channel := range w.channels {
			halted := 0.0
			if channel == refused {
				halted = 1
			}
			if got := w.ofStream(t, "bridge_stream_halted", channel); got != halted {
				t.Errorf("halted of %s is %v", channel, got)
			}
			if got := w.ofStream(t, "bridge_stream_subscribed", channel); got != 1-halted {
				t.Errorf("subscribed of %s is %v", channel, got)
			}
		}
		w.create(t, rowObject, 2)
		w.create(t, noteObject, 2)
		w.until(t, "the other stream's events come", often, func() bool { return len(w.missing(well)) == 0 })
	}
	told := 0
	for line := range strings.Lines(w.bridge.output()) {
		if strings.Contains(line, refused) && strings.Contains(line, why) && strings.Contains(line, "stream is halted") {
			told++
		}
	}
	lost := w.missing(refused)
	if told != 1 || len(lost) != 6 {
		t.Errorf("the log tells %d times that %s is halted, %d of its events did not come:\n%s", told, refused, len(lost), tail(w.bridge.output()))
	}
	w.finish(t, lost)
	w.noGaps(t)
}
