package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// past is how far the org's clock is behind at first in these tests, and retention
// how long it keeps events: what happens before the clock is put right is not
// retained afterwards.
const past, retention = 3 * time.Hour, 2 * time.Hour

// newAged makes a site whose org lives in the past.
func newAged(t *testing.T, change func(*orgsim.Config)) *watched {
	t.Helper()
	w := newWatched(t, "retention: 2h", func(c *orgsim.Config) {
		c.Now = func() time.Time { return time.Now().Add(-past) }
		c.MaxAssertion = past + time.Hour
		c.Retention = retention
		change(c)
	})
	w.watch("daily_calls: 0")
	return w
}

// froms are the replay ids that the channel was subscribed with, in the order of
// the sessions.
func (w *watched) froms(channel string) (out []string) {
	for _, s := range w.org.Sessions() {
		for _, sub := range s.Subscriptions {
			if sub.Channel == channel {
				out = append(out, sub.From)
			}
		}
	}
	return out
}

// A stream had its last event longer ago than the org retains events, and was read
// until a moment ago: its position is refused, and nothing is lost.
func TestQuietStreamWhosePositionAgedOut(t *testing.T) {
	t.Parallel()
	w := newAged(t, func(c *orgsim.Config) { c.Hold = 10*time.Second + 100*time.Millisecond })
	w.running(t)
	w.until(t, "the streams are known to be quiet", often, func() bool {
		return w.ofStream(t, "bridge_stream_retention_left_seconds", rowChannel) > 0 &&
			w.ofStream(t, "bridge_stream_retention_left_seconds", noteChannel) > 0
	})
	if left := w.ofStream(t, "bridge_stream_position_left_seconds", rowChannel); left > 0 {
		t.Errorf("the position has %v s left", left)
	}
	w.bridge.drain(t)
	w.org.AdvanceClock(past)
	w.create(t, rowObject, 3)
	w.create(t, noteObject, 1)
	w.bridge = w.start(t)
	w.arrive(t)
	w.ready(t)
	for _, channel := range w.channels {
		if got := w.froms(channel); !slices.Equal(got, []string{"-2", "-2"}) {
			t.Errorf("%s was subscribed from %v", channel, got)
		}
	}
	if out := w.bridge.output(); strings.Count(out, "nothing is lost") != 2 {
		t.Errorf("the log does not say that nothing is lost:\n%s", tail(out))
	}
	w.finish(t, nil)
	w.noGaps(t)
}

// A stream that was away for longer than the org retains events has a hole in the
// ledger, whether the org refuses its position or not, and what is still retained
// comes once.
func TestStreamThatWasAwayForTooLong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		byID   bool
		lost   int    // events of each stream that happened meanwhile and are not retained
		reason string // of the rows' hole; the position of the notes is refused in any case
	}{
		{"position refused", false, 2, "replay_id_refused"},
		{"position accepted", true, 0, "retention_passed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newAged(t, func(o *orgsim.Config) { o.ExpireByID = c.byID })
			w.create(t, noteObject, 1)
			w.create(t, rowObject, 1) // the newest of the events that are not retained
			w.bridge = w.start(t)
			w.arrive(t)
			w.ready(t)
			before := map[string]oracle.Record{}
			for _, channel := range w.channels {
				before[channel] = oracle.Expected(w.org.LedgerFrom(0), []string{channel})[0]
			}
			w.bridge.drain(t)
			w.org.AdvanceClock(past - retention - 10*time.Minute)
			for range c.lost {
				w.create(t, noteObject, 1)
				w.create(t, rowObject, 1)
			}
			lost := slices.Concat(w.missing(noteChannel), w.missing(rowChannel))
			w.org.AdvanceClock(retention + 10*time.Minute)
			w.create(t, rowObject, 2)
			w.create(t, noteObject, 2)
			retained := map[string]oracle.Record{}
			for _, channel := range w.channels {
				retained[channel] = w.missing(channel)[c.lost]
			}

			w.bridge = w.start(t)
			got := w.gaps(t, func(all []gap) bool { return len(all) >= 2 })
			w.ready(t)
			reasons := map[string]string{rowChannel: c.reason, noteChannel: "replay_id_refused"}
			for _, g := range got {
				from, to := before[g.Channel].ReplayID, retained[g.Channel].ReplayID
				if g.Reason != reasons[g.Channel] || g.State != "open" || g.FromPosition != strconv.FormatInt(from, 10) || g.ToPosition != strconv.FormatInt(to, 10) {
					t.Errorf("%+v, want %s from %d to %d", g, reasons[g.Channel], from, to)
				}
				delete(reasons, g.Channel)
			}
			if len(reasons) != 0 || len(got) != 2 {
				t.Errorf("the ledger has %+v", got)
			}
			w.finish(t, lost)
		})
	}
}
