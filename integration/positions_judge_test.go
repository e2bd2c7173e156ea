package integration

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// moved is what a command that changes positions says.
type moved struct{ Changes []movedStream }

type movedStream struct {
	Channel  string
	From, To *struct{ Position string }
	Twice    *int
	Applied  bool
	TakenUp  bool `json:"taken_up"`
}

// positions runs a command that must end with a code, and returns what it prints to
// each of its outputs.
func (s *site) positions(tb testing.TB, code int, args ...string) (stdout, stderr string) {
	tb.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(tb.Context(), binary(tb), slices.Concat([]string{"positions"}, args, []string{"-c", s.config(tb)})...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		tb.Fatalf("positions %v: exit code %d, want %d, %v:\n%s%s", args, got, code, err, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// expectation is how often the events of a site are to come: once, and once more or
// less for each change of a position that has them behind it and not before it.
type expectation struct {
	*site
	changes []moved
}

// move changes positions of a bridge that runs, or not.
func (e *expectation) move(tb testing.TB, running bool, args ...string) moved {
	tb.Helper()
	out, errs := e.positions(tb, 0, append(args, "--yes", "--json")...)
	var m moved
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		tb.Fatalf("%v in %s%s", err, out, errs)
	}
	for _, c := range m.Changes {
		if !c.Applied || c.TakenUp != running {
			tb.Errorf("positions %v: %s%s", args, out, errs)
		}
	}
	e.changes = append(e.changes, m)
	return m
}

// times are how often each record is to come. By the place of the old and the new
// position among the events of the stream it says which come once more, or not.
func (e *expectation) times() map[oracle.Record]int {
	want := make(map[oracle.Record]int)
	for _, r := range oracle.Expected(e.org.LedgerFrom(0), e.channels) {
		want[r] = 1
	}
	for _, m := range e.changes {
		for _, c := range m.Changes {
			e.count(want, c.Channel, c.To.Position, c.From.Position, 1)
			e.count(want, c.Channel, c.From.Position, c.To.Position, -1)
		}
	}
	return want
}

// count adds to the records of a stream's events behind a position, up to another
// that lies behind it.
func (e *expectation) count(want map[oracle.Record]int, channel, behind, upTo string, n int) {
	var between []orgsim.Entry
	inside := false
	for entry := range e.org.LedgerFrom(0) {
		if !entry.On(channel) {
			continue
		}
		if inside {
			between = append(between, entry)
		}
		switch strconv.FormatInt(entry.ReplayID, 10) {
		case behind:
			inside = true
		case upTo:
			if !inside {
				return
			}
			for _, r := range oracle.Expected(slices.Values(between), []string{channel}) {
				want[r] += n
			}
			return
		}
	}
}

// total is how many records are to come.
func (e *expectation) total() (n int) {
	for _, times := range e.times() {
		n += times
	}
	return n
}

// judge compares what readers saw with that.
func (e *expectation) judge(tb testing.TB, readers ...*reader) {
	tb.Helper()
	got := make(map[oracle.Record]int)
	for _, r := range readers {
		r.mu.Lock()
		for _, rec := range r.seen {
			rec.Topic = ""
			got[rec]++
		}
		r.mu.Unlock()
	}
	want := e.times()
	maps.DeleteFunc(want, func(_ oracle.Record, n int) bool { return n == 0 })
	wrong := 0
	for r, n := range want {
		if got[r] != n {
			if wrong++; wrong <= 10 {
				tb.Errorf("%v came %d times, want %d", r, got[r], n)
			}
		}
		delete(got, r)
	}
	for r, n := range got {
		if wrong++; wrong <= 10 {
			tb.Errorf("%v came %d times, want none", r, n)
		}
	}
	if wrong > 0 {
		tb.Errorf("%d of %d records came another number of times", wrong, len(want))
	}
}

// idOf is the replay id of the event of a channel that is so far along what was
// published.
func (s *site) idOf(tb testing.TB, channel string, share float64) string {
	tb.Helper()
	var ids []int64
	for e := range s.org.LedgerFrom(0) {
		if e.On(channel) {
			ids = append(ids, e.ReplayID)
		}
	}
	if len(ids) < 2 {
		tb.Fatalf("%d events of %s", len(ids), channel)
	}
	return strconv.FormatInt(ids[int(share*float64(len(ids)-1))], 10)
}
