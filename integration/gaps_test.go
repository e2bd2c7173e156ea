package integration

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// listed is a gap as `bridge gaps list --json` has it.
type listed struct {
	ID, State, Reason, Channel string
	FromPosition               string `json:"from_position"`
	ToPosition                 string `json:"to_position"`
}

// says runs a command that must succeed, and returns what it says.
func (w *watched) says(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append(args, "-c", w.config(t))...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bridge %v: %v\n%s%s", args, err, out, errs.String())
	}
	return out
}

func (w *watched) ledger(t *testing.T, state string) (gaps []listed) {
	t.Helper()
	if err := json.Unmarshal(w.says(t, "gaps", "list", "--json", "--state", state), &gaps); err != nil {
		t.Fatal(err)
	}
	return gaps
}

// proof is what the ledger claims, beside what the org published and what was read.
type proof struct {
	published []orgsim.Entry
	at        map[string]int // place of a position in the org's order
	read      map[oracle.Record]bool
	channels  []string
}

func (w *watched) proof() *proof {
	p := &proof{at: make(map[string]int), read: make(map[oracle.Record]bool), channels: w.channels}
	for e := range w.org.LedgerFrom(0) {
		p.at[strconv.FormatInt(e.ReplayID, 10)] = len(p.published)
		p.published = append(p.published, e)
	}
	w.reader.mu.Lock()
	defer w.reader.mu.Unlock()
	for _, r := range w.reader.seen {
		r.Topic = ""
		p.read[r] = true
	}
	return p
}

// within says whether an event lies in a gap: behind the last event that was read
// before the hole, and before the first one that was read behind it.
func (p *proof) within(g listed, e *orgsim.Entry) bool {
	if !e.On(g.Channel) {
		return false
	}
	at := p.at[strconv.FormatInt(e.ReplayID, 10)]
	from, to := -1, len(p.published)
	if g.FromPosition != "" {
		from = p.at[g.FromPosition]
	}
	if g.ToPosition != "" {
		to = p.at[g.ToPosition]
	}
	return from < at && at < to
}

// marked says whether an event tells itself that more changed than it says.
func marked(e *orgsim.Entry) bool {
	return strings.HasPrefix(e.ChangeType, "GAP_") || slices.ContainsFunc(e.RecordIDs, func(id string) bool { return strings.HasSuffix(id, "*") })
}

// breaches are the claims of a ledger that do not hold: an event is in the topics
// unless it lies in a gap, and an event that hides others is a gap itself; and the
// ranges of gaps hold nothing that came.
func (p *proof) breaches(gaps []listed) (out []string) {
	for i := range p.published {
		e := &p.published[i]
		position := strconv.FormatInt(e.ReplayID, 10)
		for _, channel := range p.channels {
			if !e.On(channel) {
				continue
			}
			of := func(g listed) bool { return g.Channel == channel }
			inside := slices.ContainsFunc(gaps, func(g listed) bool { return of(g) && p.within(g, e) })
			read := p.has(channel, e)
			switch {
			case !read && !inside:
				out = append(out, fmt.Sprintf("%s at %s was not read, and no gap says so", channel, position))
			case read && inside:
				out = append(out, fmt.Sprintf("%s at %s was read, though a gap has it", channel, position))
			}
			if marked(e) && !inside && !slices.ContainsFunc(gaps, func(g listed) bool {
				return of(g) && g.FromPosition == position && g.ToPosition == position
			}) {
				out = append(out, fmt.Sprintf("%s at %s is a %s, and no gap says so", channel, position, e.ChangeType))
			}
		}
	}
	return out
}

// has says whether all records of an event were read.
func (p *proof) has(channel string, e *orgsim.Entry) bool {
	one := func(yield func(orgsim.Entry) bool) { yield(*e) }
	return !slices.ContainsFunc(oracle.Expected(one, []string{channel}), func(r oracle.Record) bool { return !p.read[r] })
}

// settle makes a row and a note and waits until they have come: what comes later
// than they can only be what was made later.
func (w *watched) settle(t *testing.T) {
	t.Helper()
	w.create(t, rowObject, 1)
	w.create(t, noteObject, 1)
	p := w.proof()
	last := p.published[len(p.published)-2:]
	w.until(t, "a row and a note have come", often, func() bool {
		now := w.proof()
		return now.has(rowChannel, &last[0]) && now.has(noteChannel, &last[1])
	})
}

// nuisances are faults that lose nothing.
func (w *watched) nuisances(t *testing.T) {
	t.Helper()
	for _, fault := range []func(){
		func() { w.org.ForgetSessions() },
		func() { w.org.DisconnectSessions() },
		func() { w.org.CutConnections(100) },
		func() { w.org.ExpireTokens() },
		func() { w.bridge.kill(t); w.bridge = w.start(t) },
		func() { w.org.ForgetSessions() }, // also that of the process which was killed
	} {
		w.create(t, rowObject, 20)
		fault()
		w.create(t, noteObject, 20)
		w.settle(t)
	}
	w.ready(t)
}

// marks are events that say that more changed than they tell.
func (w *watched) marks(t *testing.T) {
	t.Helper()
	ids := []string{"a0A000000000001AAA", "a0A000000000002AAA"}
	for _, err := range []error{
		w.org.Emit(rowObject, "GAP_UPDATE", ids...), w.org.Emit(rowObject, "GAP_OVERFLOW"), w.org.EmitWildcard(noteObject), w.org.Emit(noteObject, "GAP_DELETE", ids[0]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.settle(t)
}

// expire has the org forget what the bridge has not read yet.
func (w *watched) expire(t *testing.T) {
	t.Helper()
	w.bridge.drain(t)
	w.create(t, noteObject, 3)
	w.create(t, rowObject, 5)
	w.create(t, noteObject, 2)
	w.create(t, rowObject, 2)
	w.org.Trim(4)
	w.bridge = w.start(t)
	w.settle(t)
	w.ready(t)
}

// starve has the org withhold rows until the bridge goes on without them.
func (w *watched) starve(t *testing.T) {
	t.Helper()
	if err := w.org.Starve(orgsim.Starvation{Channel: rowChannel, Until: orgsim.StarveTip}); err != nil {
		t.Fatal(err)
	}
	w.starving(t)
	before := len(w.froms(rowChannel))
	w.create(t, noteObject, 1) // the request that is held ends with it
	w.until(t, "the stream is subscribed at the tip", often, func() bool {
		froms := w.froms(rowChannel)
		return len(froms) > before && froms[len(froms)-1] == "-1"
	})
	w.settle(t)
	w.ready(t)
}

// What an empty ledger proves: under faults that lose nothing it stays empty, and
// everything is in the topics.
func TestEmptyLedgerIsAProof(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: session", func(*orgsim.Config) {})
	w.running(t)
	w.nuisances(t)
	if gaps := w.ledger(t, "all"); len(gaps) > 0 {
		t.Errorf("the ledger has %+v", gaps)
	}
	for _, breach := range w.proof().breaches(nil) {
		t.Error(breach)
	}
	for _, channel := range w.channels {
		if n := w.openGaps(t, channel); n != 0 {
			t.Errorf("%s has %v open gaps", channel, n)
		}
	}
	w.finish(t, nil)
	w.noGaps(t)
}

// What a ledger with entries proves: whatever is missing lies in one of them, and
// what lies in none is complete.
func TestLedgerNamesEverythingThatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWatched(t, "on_starvation: tip", func(*orgsim.Config) {})
	w.running(t)
	w.nuisances(t)
	w.marks(t)
	w.expire(t)
	w.starve(t)
	w.marks(t)
	w.nuisances(t)

	gaps, p := w.ledger(t, "open"), w.proof()
	for _, breach := range p.breaches(gaps) {
		t.Error(breach)
	}
	reasons := make(map[string]int)
	for i, g := range gaps {
		reasons[g.Reason+" of "+g.Channel]++
		if without := slices.Delete(slices.Clone(gaps), i, i+1); len(p.breaches(without)) == 0 {
			t.Errorf("nothing is told without %+v: the test would not notice that it is not there", g)
		}
	}
	want := map[string]int{
		"replay_id_refused of " + rowChannel: 1, "replay_id_refused of " + noteChannel: 1, "starvation of " + rowChannel: 1,
		"gap_event of " + rowChannel: 2, "overflow of " + rowChannel: 2, "wildcard of " + noteChannel: 2, "gap_event of " + noteChannel: 2,
	}
	if fmt.Sprint(reasons) != fmt.Sprint(want) {
		t.Errorf("gaps %v, want %v", reasons, want)
	}
	w.waives(t, gaps)
	lost := slices.Concat(w.missing(rowChannel), w.missing(noteChannel))
	t.Logf("%d events published, %d of them lost in %d gaps", len(p.published), len(lost), len(gaps))
	w.finish(t, lost)
}

// openGaps is how many gaps of a stream the process says are open; -1 if it does not
// know.
func (w *watched) openGaps(t *testing.T, channel string) float64 {
	t.Helper()
	body, _, err := get(t.Context(), "http://"+w.ops+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	if sample := fmt.Sprintf("bridge_gaps_open{stream=%q}", channel); strings.Contains(string(body), sample) {
		return w.metric(t, sample)
	}
	return -1
}

// waives waives gaps while the bridge runs, which takes notice.
func (w *watched) waives(t *testing.T, gaps []listed) {
	t.Helper()
	open := map[string]float64{}
	for _, g := range gaps {
		open[g.Channel]++
	}
	agreed := func() bool {
		return w.openGaps(t, rowChannel) == open[rowChannel] && w.openGaps(t, noteChannel) == open[noteChannel]
	}
	w.until(t, "the metrics say what the ledger says", often, agreed)
	waived := gaps[:3]
	args := []string{"gaps", "waive", "--reason", "a test"}
	for _, g := range waived {
		args = append(args, g.ID)
		open[g.Channel]--
	}
	w.says(t, args...)
	w.until(t, "the metrics say that gaps were waived", often, agreed)
	if left := w.ledger(t, "open"); len(left) != len(gaps)-len(waived) {
		t.Errorf("%d gaps are open, want %d", len(left), len(gaps)-len(waived))
	}
	if got := w.ledger(t, "waived"); len(got) != len(waived) || got[0].FromPosition != waived[0].FromPosition {
		t.Errorf("waived are %+v, want %+v", got, waived)
	}
}
