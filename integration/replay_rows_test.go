package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// old is an org whose history is longer than it retains events.
type old struct {
	*site
	from  time.Time // of the backfill: what happened before is not part of it
	ids   []string  // of records that were changed since, by an event that is gone
	bits  []string  // of records that were changed before alone
	moved int
}

// newOld lets an org live for 100 hours up to now.
func newOld(t *testing.T, n int) *old {
	t.Helper()
	cluster := kafkatest.Shared(t)
	o := &old{site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), rowChannel)}
	const ago = 100 * time.Hour
	o.replaceOrg(t, func(c *orgsim.Config) {
		c.Now = func() time.Time { return time.Now().Add(-ago) }
		c.Objects = []orgsim.Object{{Name: rowObject, Fields: []orgsim.Field{{Name: "Title__c", Type: orgsim.Text}, {Name: "Note__c", Type: orgsim.LongText, Length: 2000}}}}
	})
	o.settings["lanes"], o.registry = "1", "none"
	o.extra = "format: json\nsnapshot:\n  reader: rest\n  page_rows: 200\n"
	o.bits = o.create(t, 20, "untouched")
	o.org.AdvanceClock(10 * time.Hour)
	o.from = time.Now().Add(10*time.Hour - ago).Truncate(time.Second)
	o.org.AdvanceClock(time.Hour)
	o.ids = o.create(t, n, "before")
	o.change(t, o.bits[:5])
	o.remove(t, o.bits[5:8])
	o.remove(t, o.ids[n-10:])
	o.ids, o.bits = append(o.ids[:n-10], o.bits[:5]...), o.bits[8:]
	o.org.AdvanceClock(ago - 12*time.Hour) // an hour ago; the events of all that are gone by now
	o.change(t, o.ids[:n/4])
	o.remove(t, o.ids[:10])
	o.ids = append(o.ids[10:], o.create(t, 100, "lately")...)
	o.org.AdvanceClock(time.Hour)
	return o
}

func (o *old) create(t *testing.T, n int, title string) (ids []string) {
	t.Helper()
	for i := range n {
		id, err := o.org.Create(rowObject, orgsim.Fields{"Title__c": title + " " + strconv.Itoa(i), "Note__c": strings.Repeat("note ", 100)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (o *old) change(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		o.moved++
		if err := o.org.Update(rowObject, id, orgsim.Fields{"Title__c": fmt.Sprintf("change %d", o.moved)}); err != nil {
			t.Fatal(err)
		}
	}
}

func (o *old) remove(t *testing.T, ids []string) {
	t.Helper()
	for _, id := range ids {
		if err := o.org.Delete(rowObject, id); err != nil {
			t.Fatal(err)
		}
	}
}

// sideRecords are what a reader of a side topic has seen so far.
type sideRecords struct {
	mu   sync.Mutex
	seen []*kgo.Record
	more chan struct{}
}

func (o *old) side(t *testing.T, run string) *sideRecords {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(o.brokers...), kgo.ConsumeTopics(o.prefix+"."+rowObject+sideMark+run), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.AlwaysRetryEOF(),
	)
	if err != nil {
		t.Fatal(err)
	}
	r := &sideRecords{more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			r.mu.Lock()
			r.seen = append(r.seen, fetches.Records()...)
			r.mu.Unlock()
			select {
			case r.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; cl.Close() })
	return r
}

// count is how many rows and events were seen.
func (r *sideRecords) count() (rows, events int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.seen {
		if headerOf(rec, "sf-snapshot") != "" {
			rows++
		} else {
			events++
		}
	}
	return rows, events
}

func (r *sideRecords) until(t *testing.T, p *process, what string, enough func(rows, events int) bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for !enough(r.count()) {
		select {
		case <-r.more:
		case <-late:
			rows, events := r.count()
			t.Fatalf("%s: %d rows and %d events within two minutes\n%s", what, rows, events, p.told())
		}
	}
}

// table is the topic as it folds: titles by id, "" for what was deleted.
func (r *sideRecords) table(t *testing.T, run string) map[string]string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]string)
	for _, rec := range r.seen {
		var value struct {
			Title *string `json:"Title__c"` //nolint:tagliatelle // Salesforce's
		}
		id := string(rec.Key[len(rec.Key)-18:])
		if got := headerOf(rec, "sf-replay-run"); got != run {
			t.Errorf("%s is of run %q", id, got)
		}
		if task := headerOf(rec, "sf-snapshot"); task != "" && task != "replay/"+rowObject {
			t.Errorf("the row %s is of %q", id, task)
		}
		if headerOf(rec, "sf-change-type") == "DELETE" {
			out[id] = ""
			continue
		}
		if err := json.Unmarshal(rec.Value, &value); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if value.Title != nil {
			out[id] = *value.Title
		}
	}
	return out
}

// changedSince is what the org has of what was changed since, as a table.
func (o *old) changedSince(t *testing.T) map[string]string {
	t.Helper()
	rows, err := o.org.Rows(rowObject)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for _, row := range rows {
		switch {
		case row.SystemModstamp.Before(o.from):
		case row.Deleted:
			want[row.ID] = ""
		default:
			var title string
			if raw, ok := row.Fields["Title__c"].(json.RawMessage); ok && json.Unmarshal(raw, &title) != nil {
				t.Fatalf("%s has no readable title", row.ID)
			}
			want[row.ID] = title
		}
	}
	return want
}

// A backfill from before what the org retains has rows of what was changed since, and
// then the events. It is killed among the rows and among the events, while the org
// changes on: in the end its topic is what the org has.
func TestReplayFromBeforeRetention(t *testing.T) {
	const n = 8000
	o := newOld(t, n)
	earliest := o.earliest(t)
	p := o.replay(t, "--channel", rowChannel, "--from-time", o.from.UTC().Format(time.RFC3339))
	run := p.planned(t).plan.ID
	side := o.side(t, run)
	side.until(t, p, "some rows", func(rows, _ int) bool { return rows >= 1000 })
	p.kill(t)
	rows, events := side.count()
	if rows >= n {
		t.Fatalf("it was to be killed among the rows, and had %d", rows)
	}
	o.change(t, o.ids[:3000])
	p = o.replay(t, "--resume", run)
	side.until(t, p, "some of the later events", func(_, now int) bool { return now >= events+500 })
	p.kill(t)
	p = o.replay(t, "--resume", run)
	o.change(t, o.ids[100:200])
	if code := p.exit(t, 5*time.Minute); code != 0 {
		t.Fatalf("the replay ended with %d:\n%s", code, tail(p.output()))
	}
	want := o.changedSince(t)
	got := o.folded(t, side, run, want)
	for _, id := range o.bits {
		if _, ok := got[id]; ok {
			t.Errorf("%s was not changed since, and is there", id)
		}
	}
	o.seam(t, run, earliest)
	total, events := side.count()
	t.Logf("%d records of %d; %d rows and %d events in the topic; at the first kill %d rows", len(got), len(want), total, events, rows)
}

// folded waits until a side topic folds to what is wanted.
func (o *old) folded(t *testing.T, side *sideRecords, run string, want map[string]string) map[string]string {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		got := side.table(t, run)
		var faults []string
		for id, title := range want {
			if have, ok := got[id]; !ok || have != title {
				faults = append(faults, fmt.Sprintf("%s is %q (%v), want %q", id, have, ok, title))
			}
		}
		if len(faults) == 0 {
			return got
		}
		select {
		case <-side.more:
		case <-late:
			t.Fatalf("%d faults, such as %v", len(faults), faults[:min(len(faults), 5)])
		}
	}
}

// earliest is the first event that the org retains.
func (o *old) earliest(t *testing.T) orgsim.Entry {
	t.Helper()
	for e := range o.org.LedgerFrom(o.org.LedgerLen() - o.org.Retained()) {
		return e
	}
	t.Fatal("the org retains nothing")
	return orgsim.Entry{}
}

// seamEntry is an entry of the gap ledger.
type seamEntry struct {
	Channel    string    `json:"channel"`
	Reason     string    `json:"reason"`
	State      string    `json:"state"`
	Detail     string    `json:"detail"`
	FromTime   time.Time `json:"from_time"`
	ToTime     time.Time `json:"to_time"`
	ToPosition string    `json:"to_position"`
}

// seams are all entries of the gap ledger.
func (s *site) seams(t *testing.T) (gaps []seamEntry) {
	t.Helper()
	list := command(t, "gaps", "list", "--config", s.config(t), "--json", "--state", "all")
	if code := list.exit(t, time.Minute); code != 0 {
		t.Fatalf("exit code %d: %s", code, list.output())
	}
	if err := json.Unmarshal([]byte(list.output()), &gaps); err != nil {
		t.Fatalf("%v in %s", err, list.output())
	}
	return gaps
}

// seam checks the one entry of the gap ledger: it says what the rows stand for, and is
// no gap that somebody has to fill.
func (o *old) seam(t *testing.T, run string, first orgsim.Entry) {
	t.Helper()
	gaps := o.seams(t)
	if len(gaps) != 1 {
		t.Fatalf("%d entries: %+v", len(gaps), gaps)
	}
	g := gaps[0]
	if g.Reason != "rows_for_events" || g.State != "waived" || !strings.Contains(g.Detail, run) ||
		!g.FromTime.Equal(o.from) || !g.ToTime.Equal(first.Commit) || g.ToPosition != fmt.Sprint(first.ReplayID) {
		t.Errorf("from %s to %s, %d: %+v", o.from, first.Commit, first.ReplayID, g)
	}
}

// A channel of which the org retains nothing has its rows too, and does not keep those
// of the others waiting for ever; its seam ends where that was seen.
func TestReplayRowsOfSilentChannels(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent", "/data/ContactChangeEvent")
	const ago = 100 * time.Hour
	s.replaceOrg(t, func(c *orgsim.Config) { c.Now = func() time.Time { return time.Now().Add(-ago) } })
	s.org.AdvanceClock(time.Hour)
	var ids []string
	for _, object := range []string{"Account", "Contact", "Account", "Contact", "Account"} {
		field := map[string]string{"Account": "Name", "Contact": "LastName"}[object]
		id, err := s.org.Create(object, orgsim.Fields{field: "old"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	s.org.AdvanceClock(ago - 2*time.Hour)
	if err := s.org.Update("Account", ids[0], orgsim.Fields{"Name": "new"}); err != nil {
		t.Fatal(err)
	}
	s.org.AdvanceClock(time.Hour)
	p := s.replay(t, "--all", "--from-time", "99h30m")
	if code := p.exit(t, 2*time.Minute); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, tail(p.output()))
	}
	if run := p.rowsRun(t); run.End.Rows != len(ids) || run.End.Taken != 1 || len(run.End.Unsure) > 0 {
		t.Errorf("%+v", run)
	}
	ends := make(map[string]seamEntry)
	for _, g := range s.seams(t) {
		ends[g.Channel] = g
	}
	for e := range s.org.LedgerFrom(s.org.LedgerLen() - 1) {
		if g := ends[s.channels[0]]; g.ToPosition != fmt.Sprint(e.ReplayID) || !g.ToTime.Equal(e.Commit) {
			t.Errorf("the seam before %d of %s is %+v", e.ReplayID, e.Commit, g)
		}
	}
	if g := ends[s.channels[1]]; len(ends) != 2 || g.ToPosition != "" || time.Since(g.ToTime) > time.Minute || g.State != "waived" {
		t.Errorf("the seam of a silent channel is %+v", g)
	}
}

// What a run reads can be told before, filtered and bounded, as of events: a dry run
// counts rows and writes nothing, and one that has used its calls up goes on later.
func TestReplayRowsThatAreWanted(t *testing.T) {
	t.Parallel()
	const n = 1000
	o := newOld(t, n)
	o.channels = []string{"/data/ChangeEvents"}
	args := func(more ...string) []string {
		return append([]string{"--channel", "/data/ChangeEvents", "--from-time", o.from.UTC().Format(time.RFC3339)}, more...)
	}
	living := 0
	want := o.changedSince(t)
	for _, title := range want {
		if title != "" {
			living++
		}
	}
	ended := func(t *testing.T, code int, p *process) rowsRun {
		t.Helper()
		if got := p.exit(t, 2*time.Minute); got != code {
			t.Fatalf("exit code %d, want %d:\n%s", got, code, tail(p.output()))
		}
		return p.rowsRun(t)
	}
	t.Run("entities that nobody knows", func(t *testing.T) {
		if p := o.replay(t, args()...); p.exit(t, time.Minute) != 2 || !strings.Contains(p.output(), "try: --entity") {
			t.Error(tail(p.output()))
		}
	})
	t.Run("an entity that is not there", func(t *testing.T) {
		if p := o.replay(t, args("--entity", "Rwo__c")...); p.exit(t, time.Minute) != 2 || !strings.Contains(p.output(), "rows of Rwo__c cannot be read") {
			t.Error(tail(p.output()))
		}
	})
	t.Run("dry", func(t *testing.T) {
		run := ended(t, 0, o.replay(t, args("--entity", rowObject, "--dry-run")...))
		if len(run.Plan.RowsOf) != 1 || run.Plan.RowsOf[0].Rows != living || run.Plan.RowsOf[0].Calls == 0 || run.End.Rows != 0 || run.End.Dropped != 0 || run.End.Taken == 0 {
			t.Errorf("%d rows are there: %+v", living, run)
		}
	})
	t.Run("one record", func(t *testing.T) {
		id := o.ids[len(o.ids)-150] // the events of which are gone
		run := ended(t, 0, o.replay(t, args("--entity", rowObject, "--record-id", id, "--change-type", "SNAPSHOT")...))
		side := o.side(t, run.Plan.ID)
		side.until(t, nil, "the row", func(rows, _ int) bool { return rows > 0 })
		if got := side.table(t, run.Plan.ID); len(got) != 1 || got[id] != want[id] || run.End.Rows != 1 || run.Plan.RowsOf[0].Rows != 1 {
			t.Errorf("%v, want %q: %+v", got, want[id], run)
		}
	})
	t.Run("few calls", func(t *testing.T) {
		p := o.replay(t, args("--entity", rowObject, "--max-api-calls", "7")...)
		first := ended(t, 4, p)
		if first.End.Calls > 7 || !strings.Contains(p.output(), "--max-api-calls 7") {
			t.Errorf("%+v", first)
		}
		last := ended(t, 0, o.replay(t, "--resume", first.Plan.ID))
		side := o.side(t, first.Plan.ID)
		side.until(t, nil, "the rows", func(rows, _ int) bool { return rows >= living })
		o.folded(t, side, first.Plan.ID, want)
		if sum := first.End.Rows + last.End.Rows; first.End.Rows == 0 || last.End.Rows == 0 || sum < living {
			t.Errorf("%d and %d rows of %d", first.End.Rows, last.End.Rows, living)
		}
	})
}

// rowsRun is what a replay says of its rows.
type rowsRun struct {
	Plan struct {
		ID     string
		RowsOf []struct{ Rows, Calls int } `json:"rows_of"`
	}
	End struct {
		Rows, Calls, Dropped int
		Taken                int `json:"deliveries"`
		Unsure               []string
	}
}

func (p *process) rowsRun(t *testing.T) (run rowsRun) {
	t.Helper()
	for line := range strings.SplitSeq(p.output(), "\n") {
		var err error
		switch {
		case strings.HasPrefix(line, `{"type":"plan"`):
			err = json.Unmarshal([]byte(line), &run.Plan)
		case strings.HasPrefix(line, `{"type":"end"`):
			err = json.Unmarshal([]byte(line), &run.End)
		}
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
	}
	return run
}

// told is what a process has said; nothing without one.
func (p *process) told() string {
	if p == nil {
		return ""
	}
	return tail(p.output())
}
