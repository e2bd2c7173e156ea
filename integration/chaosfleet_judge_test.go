package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
)

// judge compares what was read, and what is known, with the org's ledger.
func (c *trial) judge() {
	if err := c.site.org.StopLoad(); err != nil {
		c.t.Error(err)
	}
	c.settled()
	want := oracle.Expected(c.site.org.LedgerFrom(0), c.site.channels)
	if c.atLeastOnce {
		missing := make(map[oracle.Record]bool, len(want))
		for _, rec := range want {
			missing[rec] = true
		}
		c.reader.until(c.t, missing, patience, c.state)
	} else {
		c.reader.wait(c.t, len(want), patience, c.state)
	}
	c.settled()
	c.countersBalance()
	for _, m := range c.members {
		m.drain(c.t)
	}
	if c.atLeastOnce {
		c.doubles(want)
	} else {
		c.site.exactly(c.t, c.reader)
	}
	c.positionsAreTheTips()
	if gaps := c.records(c.site.name + ".gaps"); len(gaps) > 0 {
		c.t.Errorf("%d entries in the gap ledger, the first is %s", len(gaps), gaps[0].Value)
	}
	c.overlapsEnd()
	for _, point := range failpoints(c.atLeastOnce) {
		if c.done["kill at "+point] < c.plan.points {
			c.t.Errorf("%d kills at %s, want %d", c.done["kill at "+point], point, c.plan.points)
		}
	}
}

// doubles counts what came again.
func (c *trial) doubles(want []oracle.Record) {
	c.pause(session) // for the reader to see the last of it
	c.doubled, c.stale = c.reader.count()-len(want), c.staleKeys(want)
	if c.doubled > c.explained {
		c.t.Errorf("%d records came again, more than the %d that the unclean ends explain", c.doubled, c.explained)
	}
}

// staleKeys counts the keys whose last record is not that of their last event: an
// owner that was away and is not fenced may write after its successor.
func (c *trial) staleKeys(want []oracle.Record) (n int) {
	type place struct{ channel, key string }
	newest, last := make(map[place]int64), make(map[place]int64)
	for _, r := range want {
		newest[place{r.Channel, r.Key}] = r.ReplayID
	}
	c.reader.mu.Lock()
	defer c.reader.mu.Unlock()
	for _, r := range c.reader.seen {
		last[place{r.Channel, r.Key}] = r.ReplayID
	}
	for p, replayID := range newest {
		if last[p] != replayID {
			n++
		}
	}
	return n
}

// countersBalance checks the counter law of those that are alive, and that no
// stream is halted.
func (c *trial) countersBalance() {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for i, m := range c.members {
		for {
			problem := m.imbalance(ctx)
			if problem == nil {
				break
			}
			if ctx.Err() != nil {
				c.t.Fatalf("instance %d: %v", i, problem)
			}
			c.pause(50 * time.Millisecond)
		}
	}
}

func (m *member) imbalance(ctx context.Context) error {
	body, _, err := get(ctx, "http://"+m.ops+"/status")
	if err != nil {
		return err
	}
	var st struct {
		Streams []struct {
			Stream                                 string
			Received, Produced, Filtered, Returned uint64
			DeadLettered                           uint64 `json:"dead_lettered"`
			InFlight                               uint64 `json:"in_flight"`
			Halted                                 bool
		}
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return err
	}
	for _, s := range st.Streams {
		if s.Halted || s.DeadLettered > 0 || s.InFlight != 0 || s.Received != s.Produced+s.Filtered+s.Returned {
			return fmt.Errorf("halted, dead letters, or counters that do not balance: %+v", s)
		}
	}
	return nil
}

// positionsAreTheTips checks that the last position of each stream is that of the
// last event that the org published on it. Without transactions an owner that wakes
// up may have put it back: then it is that of an earlier one.
func (c *trial) positionsAreTheTips() {
	tips, all := make(map[string]string), make(map[string]bool)
	for e := range c.site.org.LedgerFrom(0) {
		for _, channel := range c.site.channels {
			if e.On(channel) {
				tips[channel] = strconv.FormatInt(e.ReplayID, 10)
				all[channel+tips[channel]] = true
			}
		}
	}
	got := make(map[string]string)
	for _, r := range c.records(c.site.name + ".positions") {
		rest, ok := strings.CutPrefix(string(r.Key), "stream/") // barriers and moments are there too
		if !ok {
			continue
		}
		var entry struct{ Position string }
		_, channel, _ := strings.Cut(rest, "/") // behind the org's id
		if err := json.Unmarshal(r.Value, &entry); err != nil {
			c.t.Errorf("position of %s: %v", r.Key, err)
		}
		got["/"+channel] = entry.Position
	}
	if c.atLeastOnce {
		for channel := range tips {
			if !all[channel+got[channel]] {
				c.t.Errorf("the position of %s is %q, which is no event of it", channel, got[channel])
			}
		}
		return
	}
	if !maps.Equal(got, tips) {
		c.t.Errorf("the positions are %v, and the org's tips %v", got, tips)
	}
}

// records are those of a topic's finished transactions; none if there is no such
// topic.
func (c *trial) records(topic string) []*kgo.Record {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	all, err := contents(ctx, c.site.brokers, topic, kgo.ReadCommitted())
	if err != nil {
		c.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
}

// overlapsEnd checks that a stream had two subscribers only as long as the org
// keeps a session whose client is gone, or as long as one was stopped or cut off.
// With a clock that jumps the org's times say nothing.
func (c *trial) overlapsEnd() {
	if c.plan.jumps > 0 {
		return
	}
	c.overlapped = overlaps(c.site.org.Sessions(), time.Now())
	most := c.hold + c.lapse + 4*session
	for _, o := range c.overlapped {
		if o.lasted > most {
			c.t.Errorf("%s had two subscribers for %s at %s; a session that nobody holds ends within %s", o.channel, o.lasted, o.began.Format(time.RFC3339Nano), most)
		}
	}
}

func (c *trial) summary(took time.Duration) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.done)) {
		fmt.Fprintf(&b, "\n  %-36s %6d", name, c.done[name])
	}
	kills := 0
	for name, n := range c.done {
		if strings.HasPrefix(name, "kill") {
			kills += n
		}
	}
	longest := time.Duration(0)
	for _, o := range c.overlapped {
		longest = max(longest, o.lasted)
	}
	c.t.Logf("seed %d, %s, %s: %d records published, %d read, %d of them again (%d are explained without transactions), the last record of %d keys is an older one; %d SIGKILLs of instances, %d leaders moved, a stream had two subscribers %d times, for %s at most%s",
		c.plan.seed, c.site.settings["delivery"], took.Round(time.Second),
		len(oracle.Expected(c.site.org.LedgerFrom(0), c.site.channels)), c.reader.count(), c.doubled, c.explained, c.stale,
		kills, c.moved, len(c.overlapped), longest.Round(time.Millisecond), b.String())
}
