package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// replayPlan is how many events a backfill reads and how often it is killed.
// `make chaos` asks for the long form through the environment.
func replayPlan(tb testing.TB) (events, kills int) {
	tb.Helper()
	events, kills = 20_000, 4
	for name, v := range map[string]*int{"BRIDGE_REPLAY_EVENTS": &events, "BRIDGE_REPLAY_KILLS": &kills} {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				tb.Fatalf("%s: %v", name, err)
			}
			*v = n
		}
	}
	return events, kills
}

// backfillRun is what a replay printed.
type backfillRun struct {
	plan, end struct {
		ID      string    `json:"id"`
		State   string    `json:"state"`
		Started time.Time `json:"started"`
		Records uint64    `json:"records"`
		Dropped uint64    `json:"dropped"`
		Taken   uint64    `json:"deliveries"`
	}
	counts []counted
}

type counted struct {
	Object  string    `json:"object"`
	Hour    time.Time `json:"hour"`
	Records int       `json:"records"`
}

// replay starts a backfill.
func (s *site) replay(tb testing.TB, args ...string) *process {
	tb.Helper()
	return command(tb, append([]string{"replay", "--config", s.config(tb), "--settle", "2s", "--json"}, args...)...)
}

// printed reads what a replay printed so far.
func (p *process) printed(tb testing.TB) (run backfillRun) {
	tb.Helper()
	for _, line := range strings.Split(p.output(), "\n") {
		var tag struct {
			Type string `json:"type"`
		}
		if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &tag) != nil {
			continue
		}
		var err error
		switch tag.Type {
		case "plan":
			err = json.Unmarshal([]byte(line), &run.plan)
		case "end":
			err = json.Unmarshal([]byte(line), &run.end)
		case "count":
			var c counted
			err = json.Unmarshal([]byte(line), &c)
			run.counts = append(run.counts, c)
		}
		if err != nil {
			tb.Fatalf("%v in %s", err, line)
		}
	}
	return run
}

// planned waits for the plan of a replay.
func (p *process) planned(tb testing.TB) backfillRun {
	tb.Helper()
	late := time.After(time.Minute)
	for {
		if run := p.printed(tb); run.plan.ID != "" {
			return run
		}
		select {
		case <-p.done:
			tb.Fatalf("it ended before it had a plan:\n%s", tail(p.output()))
		case <-time.After(20 * time.Millisecond):
		case <-late:
			tb.Fatalf("no plan within a minute:\n%s", tail(p.output()))
		}
	}
}

// within are the entries of a ledger that happened in a time.
func within(ledger iter.Seq[orgsim.Entry], from, to time.Time) iter.Seq[orgsim.Entry] {
	return func(yield func(orgsim.Entry) bool) {
		for e := range ledger {
			if !e.Commit.Before(from) && e.Commit.Before(to) && !yield(e) {
				return
			}
		}
	}
}

// A backfill of everything into side topics is killed again and again and resumed,
// beside the running bridge and its load: the side topics hold what happened before
// it began exactly once, the bridge's own topics hold everything exactly once, and
// neither has noticed the other.
func TestReplayIsExactlyOnce(t *testing.T) {
	events, kills := replayPlan(t)
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	objects := []string{"Account", "Contact", "Invoice__c", "Order__e"}
	for _, object := range objects {
		if err := s.org.Bulk(orgsim.Bulk{Object: object, Count: events / len(objects), Bytes: 300, Batch: 50}); err != nil {
			t.Fatal(err)
		}
	}
	live := s.read(t)
	bridge := s.start(t)
	live.wait(t, events, 3*time.Minute, bridge.output)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	loading, stopLoad := context.WithCancel(t.Context())
	defer stopLoad()
	go func() { loaded <- load.Run(loading) }()

	p := s.replay(t, "--all", "--from", "earliest")
	run := p.planned(t).plan
	side := s.readSide(t, sideMark+run.ID)
	rnd := rand.New(rand.NewPCG(5, 1)) //nolint:gosec // reproducible on purpose
	for i := range kills {
		side.wait(t, (i+1)*events/(kills+1), 2*time.Minute, p.output)
		select {
		case <-time.After(time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))):
		case <-p.done:
		}
		if i%2 == 0 {
			p.kill(t)
		} else {
			p.signal(t, syscall.SIGINT)
			if code := p.exit(t, time.Minute); code != 4 {
				t.Errorf("a replay that was interrupted ended with %d:\n%s", code, tail(p.output()))
			}
		}
		p = s.replay(t, "--resume", run.ID)
	}
	stopLoad() // silence ends the run sooner than an event that is late enough
	<-loaded
	if code := p.exit(t, 3*time.Minute); code != 0 {
		t.Fatalf("the replay ended with %d:\n%s", code, tail(p.output()))
	}
	live.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute, bridge.output)
	s.balanced(t)
	bridge.drain(t)
	s.exactly(t, live)
	s.same(t, side, within(s.org.LedgerFrom(0), time.Time{}, run.Started))
	if end := p.printed(t).end; end.State != "done" {
		t.Errorf("it ended as %+v", end)
	}
	if code := s.replay(t, "--resume", run.ID).exit(t, time.Minute); code != 2 {
		t.Errorf("a run that is done was resumed: exit code %d", code)
	}
	list := command(t, "replay", "list", "--config", s.config(t))
	if code := list.exit(t, time.Minute); code != 0 || !strings.Contains(list.output(), run.ID) || !strings.Contains(list.output(), `"done"`) {
		t.Errorf("exit code %d, %s", code, list.output())
	}
	t.Logf("%d events, %d records in the side topics, %d kills and interruptions", events, side.count(), kills)
}

// same compares what was read with what the entries of the ledger demand.
func (s *site) same(tb testing.TB, r *reader, ledger iter.Seq[orgsim.Entry]) {
	tb.Helper()
	want := oracle.Expected(ledger, s.channels)
	r.wait(tb, len(want), 30*time.Second, func() string { return "" })
	r.mu.Lock()
	got := slices.Clone(r.seen)
	r.mu.Unlock()
	diff := oracle.Compare(want, got)
	for _, d := range diff[:min(len(diff), 10)] {
		tb.Error(d)
	}
	if len(diff) > 0 {
		tb.Errorf("%d differences between %d records wanted and %d read", len(diff), len(want), len(got))
	}
}

// From a time on comes what happened then and later, nothing earlier, whether the
// index of times knows a place or not.
func TestReplayFromTimes(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	const ago = 50 * time.Hour
	began := time.Now().Add(-ago)
	s.replaceOrg(t, func(c *orgsim.Config) { c.Now = func() time.Time { return time.Now().Add(-ago) } })
	s.extra = "batch: {max_events: 20}\n" // so that a catch-up commits often, as a live bridge does
	load, err := s.org.NewLoad(orgsim.LoadConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const step = 3 * time.Minute
	for passed := time.Duration(0); passed < ago-step; passed += step {
		if err := load.Step(); err != nil {
			t.Fatal(err)
		}
		s.org.AdvanceClock(step)
	}
	bridge, live := s.start(t), s.read(t)
	live.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute, bridge.output)
	bridge.drain(t)
	times := replayTimes(t)
	rnd := rand.New(rand.NewPCG(7, 1)) //nolint:gosec // reproducible on purpose
	dropped := uint64(0)
	for i := range times {
		from := began.Add(time.Duration(rnd.Int64N(int64(ago)))).UTC().Truncate(time.Second)
		args := []string{"--all", "--from-time", from.Format(time.RFC3339), "--settle", "300ms"}
		to := time.Now()
		if i%2 == 1 {
			to = from.Add(time.Duration(rnd.Int64N(int64(time.Since(from)))))
			to = to.Truncate(time.Second).Add(time.Second)
			args = append(args, "--to-time", to.Format(time.RFC3339))
		}
		t.Run(strconv.Itoa(i), func(t *testing.T) { // each with a reader that ends with it
			p := s.replay(t, args...)
			if code := p.exit(t, time.Minute); code != 0 {
				t.Fatalf("from %s: exit code %d:\n%s", from, code, tail(p.output()))
			}
			run := p.printed(t)
			dropped += run.end.Dropped
			want := within(s.org.LedgerFrom(0), from, to)
			if n := len(oracle.Expected(want, s.channels)); n > 0 {
				s.same(t, s.readSide(t, sideMark+run.plan.ID), want)
			} else if run.end.Records != 0 {
				t.Errorf("from %s to %s: %d records, want none", from, to, run.end.Records)
			}
			if t.Failed() {
				t.Fatalf("%v: %+v", args, run)
			}
		})
	}
	t.Logf("%d random times: nothing missing, nothing earlier; %d events were read and dropped", times, dropped)
}

func replayTimes(tb testing.TB) int {
	tb.Helper()
	text := os.Getenv("BRIDGE_REPLAY_TIMES")
	if text == "" {
		return 6
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("BRIDGE_REPLAY_TIMES: %v", err)
	}
	return n
}

// What cannot be is refused with a message and an exit code, and nothing is written.
func TestReplaysThatCannotBe(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	r := s.read(t)
	bridge := s.start(t)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: 50})
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), time.Minute, bridge.output)
	bridge.drain(t)
	accounts := []string{"--channel", "/data/AccountChangeEvent"}
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no channel":            {[]string{"--from", "earliest"}, 2, "say which channels"},
		"no beginning":          {accounts, 2, "say where to begin"},
		"two ends":              {append(accounts, "--from", "earliest", "--to", "now", "--to-id", "3"), 2, "exclude each other"},
		"unknown channel":       {[]string{"--channel", "/data/AcountChangeEvent", "--from", "earliest"}, 2, "it has /data/AccountChangeEvent"},
		"id for many channels":  {[]string{"--all", "--from-id", "3"}, 2, "a replay id belongs to one channel"},
		"no id":                 {append(accounts, "--from-id", "abc"), 2, "is no replay id"},
		"id of the future":      {append(accounts, "--from-id", "999999999999"), 2, "has not come yet"},
		"last id of the future": {append(accounts, "--from", "earliest", "--to-id", "999999999999"), 2, "has not come yet"},
		"time in the future":    {append(accounts, "--from-time", future), 2, "lies in the future"},
		"end in the future":     {append(accounts, "--from", "earliest", "--to-time", future), 2, "lies in the future"},
		"no time":               {append(accounts, "--from-time", "yesterday"), 2, "is no time"},
		"too long ago":          {append(accounts, "--from-time", "100h", "--no-rows"), 2, "retains its events for 72h"},
		"no rows":               {[]string{"--channel", "/event/Order__e", "--from-time", "100h"}, 2, "they are of no object"},
		"rows at an end":        {append(accounts, "--from-time", "100h", "--to-time", "90h"), 2, "not at an end in the past"},
		"what rows do not say":  {append(accounts, "--from-time", "100h", "--change-type", "UPDATE"), 2, "--change-type SNAPSHOT too"},
		"empty range":           {append(accounts, "--from-time", "1h", "--to-time", "2h"), 2, "nothing lies between"},
		"no topic":              {append(accounts, "--from", "earliest", "--into", "a b"), 2, "is no topic's name"},
		"itself":                {append(accounts, "--from", "earliest", "--into", "{{.Topic}}"), 2, "in place"},
		"unknown placeholder":   {append(accounts, "--from", "earliest", "--into", "{{.Object}}"), 2, "unknown placeholder"},
		"not confirmed":         {append(accounts, "--from", "earliest", "--in-place"), 2, "was not confirmed"},
		"no such run":           {[]string{"--resume", "x"}, 2, "there is no run"},
		"no record id":          {append(accounts, "--from", "earliest", "--record-id", "001"), 2, "is not a record id"},
		"resume and more":       {[]string{"--resume", "x", "--all"}, 2, "as it was begun"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.replay(t, tt.args...)
			if code := p.exit(t, time.Minute); code != tt.code || !strings.Contains(p.output(), tt.want) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, tt.code, tt.want, tail(p.output()))
			}
		})
	}
	t.Run("partitions that differ", func(t *testing.T) {
		s.makeTopic(t, s.prefix+".Account.narrow", 1, nil)
		p := s.replay(t, append(accounts, "--from", "earliest", "--into", "{{.Topic}}.narrow")...)
		if code := p.exit(t, time.Minute); code != 3 || !strings.Contains(p.output(), "has 1 partitions and") {
			t.Errorf("exit code %d:\n%s", code, tail(p.output()))
		}
	})
	t.Run("allocation used up", func(t *testing.T) {
		refusal := orgsim.Refusal{On: "/meta/connect", Error: "403::Organization total events daily limit exceeded", Times: 1000}
		if err := s.org.Refuse(refusal); err != nil {
			t.Fatal(err)
		}
		p := s.replay(t, append(accounts, "--from", "earliest")...)
		if code := p.exit(t, time.Minute); code != 3 || !strings.Contains(p.output(), "delivers no more") || !strings.Contains(p.output(), "--resume") {
			t.Errorf("exit code %d:\n%s", code, tail(p.output()))
		}
	})
	if n, want := r.count(), len(oracle.Expected(s.org.LedgerFrom(0), s.channels)); n != want {
		t.Errorf("%d records in the topics, want %d as before", n, want)
	}
}

// A dry run counts what a run would write and writes nothing; filters, the budget and
// the id of the end bound what comes.
func TestReplayWhatIsWanted(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: 400})
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(s.org.LedgerFrom(0))
	accounts := slices.DeleteFunc(slices.Clone(all), func(e orgsim.Entry) bool { return e.Event != "AccountChangeEvent" })
	someone := accounts[len(accounts)/2].RecordIDs[0]
	last := accounts[len(accounts)/3]
	of := func(entries []orgsim.Entry, keep func(orgsim.Entry, string) bool) (n int) {
		for _, e := range entries {
			for _, id := range append(slices.Clone(e.RecordIDs), e.UUID)[:max(1, len(e.RecordIDs))] {
				if keep(e, id) {
					n++
				}
			}
		}
		return n
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want int
	}{
		"dry":         {[]string{"--all", "--from", "earliest", "--dry-run"}, 0, 0},
		"entity":      {[]string{"--all", "--from", "earliest", "--entity", "Account"}, 0, of(accounts, func(orgsim.Entry, string) bool { return true })},
		"change type": {[]string{"--all", "--from", "earliest", "--change-type", "DELETE"}, 0, of(all, func(e orgsim.Entry, _ string) bool { return e.ChangeType == "DELETE" })},
		"record": {[]string{"--all", "--from", "earliest", "--record-id", someone[:15]}, 0,
			of(all, func(_ orgsim.Entry, id string) bool { return id == someone })},
		"up to an id": {[]string{"--channel", "/data/AccountChangeEvent", "--from", "earliest", "--to-id", fmt.Sprint(last.ReplayID)}, 0,
			of(accounts, func(e orgsim.Entry, _ string) bool { return e.ReplayID <= last.ReplayID })},
		"behind an id": {[]string{"--channel", "/data/AccountChangeEvent", "--from-id", fmt.Sprint(last.ReplayID)}, 0,
			of(accounts, func(e orgsim.Entry, _ string) bool { return e.ReplayID > last.ReplayID })},
		"between them": {[]string{"--channel", "/data/AccountChangeEvent", "--from-id", fmt.Sprint(accounts[2].ReplayID), "--to-id", fmt.Sprint(last.ReplayID)}, 0,
			of(accounts, func(e orgsim.Entry, _ string) bool {
				return e.ReplayID > accounts[2].ReplayID && e.ReplayID <= last.ReplayID
			})},
		"budget": {[]string{"--all", "--from", "earliest", "--max-events", "100"}, 4, -1},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.replay(t, tt.args...)
			if code := p.exit(t, time.Minute); code != tt.code {
				t.Fatalf("exit code %d, want %d:\n%s", code, tt.code, tail(p.output()))
			}
			run := p.printed(t)
			switch {
			case name == "dry":
				sum := 0
				for _, c := range run.counts {
					sum += c.Records
				}
				if want := of(all, func(orgsim.Entry, string) bool { return true }); sum != want {
					t.Errorf("%d records counted, want %d", sum, want)
				}
				list := command(t, "replay", "list", "--config", s.config(t))
				if code := list.exit(t, time.Minute); code != 0 || bytes.Contains([]byte(list.output()), []byte(run.plan.ID)) {
					t.Errorf("a dry run is in the list, or exit code %d: %s", code, list.output())
				}
			case tt.want < 0:
				if run.end.Taken < 100 || run.end.State != "stopped" || run.end.Records == 0 {
					t.Errorf("%+v", run.end)
				}
			default:
				side := s.readSide(t, sideMark+run.plan.ID)
				side.wait(t, tt.want, 30*time.Second, p.output)
				if int(run.end.Records) != tt.want { //nolint:gosec // a small count
					t.Errorf("%d records, want %d: %+v", run.end.Records, tt.want, run.end)
				}
			}
		})
	}
}
