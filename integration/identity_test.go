package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// holes waits until both streams have a hole in the ledger, and checks that there is
// one of each, for that reason, behind the position that was stored.
func (w *watched) holes(t *testing.T, reason string) {
	t.Helper()
	got := w.gaps(t, func(all []gap) bool { return len(all) >= 2 })
	var channels []string
	for _, g := range got {
		channels = append(channels, g.Channel)
		if g.Reason != reason || g.State != "open" || g.FromPosition == "" || g.FromTime.IsZero() || !g.ToTime.After(g.FromTime) {
			t.Errorf("gap %+v", g)
		}
	}
	slices.Sort(channels)
	if !slices.Equal(channels, []string{noteChannel, rowChannel}) {
		t.Errorf("gaps of %v", channels)
	}
}

// again stops the bridge, makes events, and starts it: it goes on where it was.
func (w *watched) again(t *testing.T) {
	t.Helper()
	w.bridge.drain(t)
	w.create(t, rowObject, 3)
	w.create(t, noteObject, 1)
	w.bridge = w.start(t)
	w.ready(t)
	w.holes(t, "org_changed") // no more than there were
	w.arrive(t)
}

// A sandbox that is refreshed is another org, whose bus takes the old positions for
// its own. The bridge ends, and refuses to start, until it is told that this may be;
// then nothing of the new org is missing or doubled, and the holes are in the ledger.
func TestRefreshedSandbox(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_expired: earliest", func(*orgsim.Config) {})
	w.running(t)
	w.create(t, rowObject, 5)
	w.arrive(t)
	old := w.org.ID()
	w.org.RefreshSandbox()
	w.create(t, rowObject, 9)
	w.create(t, noteObject, 7)
	if code := w.bridge.exit(t, startWithin); code != 3 || !strings.Contains(w.bridge.output(), old) {
		t.Fatalf("the bridge that ran ended with %d:\n%s", code, tail(w.bridge.output()))
	}
	w.failsToStart(t, 3, "belongs to org "+old, "not to org "+w.org.ID(), "on_other_org: restart", "refresh")

	w.settings["private_key"] += "\n  on_other_org: restart"
	w.bridge = w.start(t)
	w.ready(t)
	w.holes(t, "org_changed")
	w.arrive(t)
	w.again(t)
	w.finish(t, nil)
}

// Two instances that find the old org's positions at the same time: one of them gives
// them up, and what the other does meanwhile does no harm. One that is fenced may end,
// and is started again, as whatever runs it would.
func TestRefreshedSandboxOfTwoInstances(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_expired: earliest", func(*orgsim.Config) {})
	w.settings["private_key"] += "\n  on_other_org: restart"
	w.running(t)
	w.bridge.drain(t)
	w.org.RefreshSandbox()
	w.create(t, rowObject, 9)
	w.create(t, noteObject, 7)
	second := *w.site
	second.ops, second.file = freeAddress(t), "second.yaml"
	w.bridge = w.start(t)
	other := second.start(t)
	tick := time.NewTicker(often)
	defer tick.Stop()
	late := time.After(time.Minute)
	for want := len(oracle.Expected(w.org.LedgerFrom(0), w.channels)); w.reader.count() < want; {
		select {
		case <-w.bridge.done:
			if code := w.bridge.exit(t, startWithin); code != 3 {
				t.Fatalf("ended with %d:\n%s", code, tail(w.bridge.output()))
			}
			w.bridge = w.start(t)
		case <-other.done:
			if code := other.exit(t, startWithin); code != 3 {
				t.Fatalf("ended with %d:\n%s", code, tail(other.output()))
			}
			other = second.start(t)
		case <-tick.C:
		case <-late:
			t.Fatalf("%d of %d records\n%s\n%s", w.reader.count(), want, tail(w.bridge.output()), tail(other.output()))
		}
	}
	w.holes(t, "org_changed")
	other.drain(t)
	w.bridge.drain(t)
	w.exactly(t, w.reader)
}

// With a stream that must not go on by itself the start is refused, and nothing is
// changed.
func TestRefreshedSandboxOfAStreamThatHalts(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_expired: halt", func(*orgsim.Config) {})
	w.settings["private_key"] += "\n  on_other_org: restart"
	w.running(t)
	w.bridge.drain(t)
	w.org.RefreshSandbox()
	w.failsToStart(t, 3, "on_expired is halt", "nothing was changed")
	w.settings["start"] = strings.Replace(w.settings["start"], "halt", "earliest", 1)
	w.create(t, rowObject, 2)
	w.bridge = w.start(t)
	w.ready(t)
	w.holes(t, "org_changed")
	w.finish(t, nil)
}

// An org that is migrated has a new bus, which refuses the old positions or takes
// them for its own, while the bridge runs or does not. Whatever is published there
// comes, once, and the holes are in the ledger.
func TestMigratedOrg(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		anyID, stops bool
	}{
		{"ids refused, bridge runs", false, false},
		{"ids taken, bridge runs", true, false},
		{"ids refused, bridge stopped", false, true},
		{"ids taken, bridge stopped", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t, "on_expired: earliest", func(*orgsim.Config) {})
			w.running(t)
			w.create(t, rowObject, 5)
			w.arrive(t)
			if c.stops {
				w.bridge.drain(t)
			}
			w.org.MigrateInstance("USA412", c.anyID)
			w.create(t, rowObject, 9) // among them one with the id that is stored
			w.create(t, noteObject, 7)
			if c.stops {
				w.bridge = w.start(t)
			}
			w.holes(t, "org_changed")
			w.arrive(t)
			w.ready(t)
			if out := w.bridge.output(); !strings.Contains(out, "SIM1 to USA412") {
				t.Errorf("the log does not say from where to where:\n%s", tail(out))
			}
			w.again(t)
			w.finish(t, nil)
		})
	}
}

func TestMigratedOrgHaltsWhereTheStreamSaysSo(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_expired: halt", func(*orgsim.Config) {})
	w.running(t)
	w.org.MigrateInstance("", true)
	w.create(t, rowObject, 2)
	if code := w.bridge.exit(t, startWithin); code != 4 || !strings.Contains(w.bridge.output(), "SIM1 to SIM2") {
		t.Fatalf("the bridge that ran ended with %d:\n%s", code, tail(w.bridge.output()))
	}
	w.failsToStart(t, 4, "SIM1 to SIM2", "on_expired is halt", "earliest or latest")
	w.noGaps(t)
}

// A switch between two sites of one instance ends the sessions, and changes nothing.
func TestSwitchOfSites(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_expired: earliest", func(*orgsim.Config) {})
	w.running(t)
	for range 3 {
		w.org.ForgetSessions()
		w.create(t, rowObject, 4)
		w.create(t, noteObject, 1)
		w.arrive(t)
	}
	w.ready(t)
	w.finish(t, nil)
	w.noGaps(t)
}
