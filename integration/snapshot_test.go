package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// rows is a site whose bridge reads rows, with a reader of what it wrote.
type rows struct {
	*site
	ids []string // of the rows that were there before the bridge began
	*told
}

// told is what an independent consumer saw of the rows.
type told struct {
	mu     sync.Mutex
	events []rowRecord // in the order of each key
	moved  chan struct{}
}

// rowRecord is what matters here of a record.
type rowRecord struct {
	key, change, title, task string
}

// newRows makes an org with so many rows, of which the events are gone already.
func newRows(t *testing.T, n int) *rows {
	t.Helper()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), rowChannel)
	s.replaceOrg(t, func(c *orgsim.Config) {
		title := []orgsim.Field{{Name: "Title__c", Type: orgsim.Text}}
		c.Objects = []orgsim.Object{{Name: rowObject, Fields: title}}
	})
	s.settings["lanes"], s.registry, s.extra = "1", "none", "format: json\n"
	s.settings["snapshot"], s.settings["start"] = "initial", "latest"
	r := &rows{site: s}
	r.ids = r.create(t, n)
	r.told = r.listen(t)
	return r
}

func (r *rows) create(t *testing.T, n int) (ids []string) {
	t.Helper()
	for first := 0; first < n; first += 200 {
		if err := r.org.Transact(orgsim.TxOptions{}, func(tx *orgsim.Tx) error {
			for i := first; i < min(first+200, n); i++ {
				id, err := tx.Create(rowObject, orgsim.Fields{"Title__c": fmt.Sprintf("before %d", i)})
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// listen starts a reader that ends with the test.
func (r *rows) listen(t *testing.T) *told {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(r.brokers...), kgo.ConsumeTopics(r.prefix+"."+rowObject),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.AlwaysRetryEOF(),
	)
	if err != nil {
		t.Fatal(err)
	}
	seen := &told{moved: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for rec := range cl.PollFetches(ctx).RecordsAll() {
				seen.take(rec)
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; cl.Close() })
	return seen
}

func (s *told) take(rec *kgo.Record) {
	one := rowRecord{key: string(rec.Key), change: headerOf(rec, "sf-change-type"), task: headerOf(rec, "sf-snapshot")}
	var value struct {
		Title string `json:"Title__c"` //nolint:tagliatelle // Salesforce's
	}
	if json.Unmarshal(rec.Value, &value) == nil {
		one.title = value.Title
	}
	s.mu.Lock()
	s.events = append(s.events, one)
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// of are the records of a kind of change, by key.
func (s *told) of(change string) map[string][]rowRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]rowRecord)
	for _, e := range s.events {
		if e.change == change {
			out[e.key] = append(out[e.key], e)
		}
	}
	return out
}

// until waits for what has to be seen in the end.
func (s *told) until(t *testing.T, what string, p *process, done func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for !done() {
		select {
		case <-s.moved:
		case <-time.After(often):
		case <-late:
			t.Fatalf("%s: not within a minute\n%s", what, tail(p.output()))
		}
	}
}

// once checks that each row was written once by a kind of task, with what it had.
func (r *rows) once(t *testing.T, task string) {
	t.Helper()
	seen := r.of("SNAPSHOT")
	for i, id := range r.ids {
		if got := seen[id]; len(got) != 1 || got[0].title != fmt.Sprintf("before %d", i) || !strings.HasPrefix(got[0].task, task) {
			t.Errorf("row %d, %s, came as %+v", i, id, got)
		}
	}
	if len(seen) != len(r.ids) {
		t.Errorf("%d rows were written of %d", len(seen), len(r.ids))
	}
}

// A stream that begins has the rows that were there before, each once, and the events
// of what came later.
func TestRowsFromBefore(t *testing.T) {
	t.Parallel()
	r := newRows(t, 30)
	p := r.start(t)
	r.until(t, "all rows", p, func() bool { return len(r.of("SNAPSHOT")) == len(r.ids) })
	if err := r.org.Update(rowObject, r.ids[0], orgsim.Fields{"Title__c": "after"}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the event", p, func() bool { return len(r.of("UPDATE")) == 1 })
	p.drain(t)
	p = r.start(t) // a stream that has begun does not begin again
	if err := r.org.Update(rowObject, r.ids[1], orgsim.Fields{"Title__c": "after"}); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the event of the next start", p, func() bool { return len(r.of("UPDATE")) == 2 })
	p.drain(t)
	r.once(t, "initial/")
}

// What somebody asks for is read by condition, or by ids, and what cannot be asked for
// is told at once.
func TestRowsAreAskedFor(t *testing.T) {
	t.Parallel()
	r := newRows(t, 40)
	r.settings["snapshot"] = "when_needed"
	p := r.start(t)
	r.listens(t, p)

	out := r.says(t, 0, "snapshot", "--entity", rowObject, "--where", "Title__c LIKE 'before 1%'", "--json")
	last := lastNotice(t, out)
	if last.Type != "done" || last.Rows != 11 || !strings.HasPrefix(last.Task, "snapshot/") {
		t.Errorf("it was told: %+v\n%s", last, out)
	}
	r.until(t, "the rows of the condition", p, func() bool { return len(r.of("SNAPSHOT")) >= 11 })
	for want, args := range map[string][]string{
		"no stream of the configuration carries change events of Account": {"snapshot", "--entity", "Account"},
		"no stream of the configuration has the channel":                  {"snapshot", "--entity", rowObject, "--stream", "/data/LeadChangeEvent"},
		"Nothing__c":            {"snapshot", "--entity", rowObject, "--where", "Nothing__c = 1"},
		"is not closed":         {"snapshot", "--entity", rowObject, "--where", "(Title__c = 'x'"},
		"there is no such task": {"snapshot", "stop", "--entity", "Account"},
		"is done":               {"snapshot", "pause", "--task", last.Task},
	} {
		if got := r.says(t, 2, args...); !strings.Contains(got, want) {
			t.Errorf("bridge %v says: %s", args, got)
		}
	}
	if listed := r.tasks(t); len(listed) != 1 || listed[0].Task != last.Task || listed[0].State != "done" || listed[0].Object != rowObject {
		t.Errorf("status lists %+v", listed)
	}
	reread := lastNotice(t, r.says(t, 0, "snapshot", "reread", "--entity", rowObject, "--ids", r.ids[0]+","+r.ids[1], "--json"))
	if reread.Type != "done" || reread.Rows != 2 {
		t.Errorf("reread was told: %+v", reread)
	}
	p.drain(t)
	if got := len(r.of("SNAPSHOT")); got != 13 && got != 12 { // by how many of the two had the condition
		t.Errorf("%d records had rows", got)
	}
	if got := r.says(t, 3, "snapshot", "--entity", rowObject); !strings.Contains(got, "the signal stays in") {
		t.Errorf("without an instance it says: %s", got)
	}
	p = r.start(t)
	r.until(t, "what was asked for while nobody ran", p, func() bool { return len(r.of("SNAPSHOT")) == len(r.ids) })
	p.drain(t)
}

// A snapshot whose calls are used up waits; it can be paused, resumed and stopped
// then, and the next one goes through.
func TestRowsArePausedAndStopped(t *testing.T) {
	t.Parallel()
	r := newRows(t, 2500)
	r.settings["snapshot"] = "when_needed"
	r.extra += "snapshot: {parallel: 1, page_rows: 200}\n"
	r.settings["private_key"] += "\n  max_api_calls_per_day: 5"
	p := r.start(t)
	r.listens(t, p)
	follower := command(t, "snapshot", "--entity", rowObject, "-c", r.config(t))
	r.until(t, "the first rows", p, func() bool {
		return len(r.of("SNAPSHOT")) >= 200 && strings.Contains(follower.output(), `"type":"chunk"`)
	})
	follower.signal(t, syscall.SIGINT)
	if code := follower.exit(t, time.Minute); code != 4 || !strings.Contains(follower.output(), "bridge snapshot stop --stream "+rowChannel+" --task snapshot/0") {
		t.Errorf("whoever does not follow any more gets %d: %s", code, follower.output())
	}
	for _, step := range []struct{ verb, state string }{{"pause", "paused"}, {"resume", "running"}, {"pause", "paused"}, {"stop", "aborted"}} {
		r.says(t, 0, "snapshot", step.verb, "--entity", rowObject, "--json")
		if got := r.tasks(t); len(got) != 1 || got[0].State != step.state || got[0].Rows < 200 || got[0].Total != 2500 {
			t.Errorf("after %s it is %+v", step.verb, got)
		}
	}
	if body, code, err := get(t.Context(), "http://"+r.ops+"/readyz"); err != nil || code != 200 {
		t.Errorf("it is not ready: %s %v", body, err)
	}
	p.drain(t)
	r.settings["private_key"] = strings.TrimSuffix(r.settings["private_key"], "\n  max_api_calls_per_day: 5")
	p = r.start(t)
	r.listens(t, p)
	if n := lastNotice(t, r.says(t, 0, "snapshot", "--entity", rowObject, "--json")); n.Type != "done" || n.Rows != len(r.ids) {
		t.Errorf("the next was told %+v", n)
	}
	p.drain(t)
}

// A snapshot that is killed goes on: its rows and how far it has come are one
// transaction, so that each row comes once.
func TestRowsOnceThroughKills(t *testing.T) {
	t.Parallel()
	r := newRows(t, 6000)
	r.extra += "snapshot: {reader: rest, parallel: 2, page_rows: 200}\n"
	p := r.start(t)
	for _, mark := range []int{1, 1500, 3000, 4500} {
		r.until(t, fmt.Sprintf("%d rows", mark), p, func() bool { return len(r.of("SNAPSHOT")) >= mark })
		p.kill(t)
		p = r.start(t)
	}
	r.until(t, "all rows", p, func() bool { return len(r.of("SNAPSHOT")) == len(r.ids) })
	p.drain(t)
	r.once(t, "initial/")
}

// What a gap event does not say is read, and its gap closes with the last row; by
// itself, or when somebody asks.
func TestGapsAreRepaired(t *testing.T) {
	for _, mode := range []string{"auto", "manual"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := newRows(t, 20)
			r.settings["snapshot"] = "when_needed\n    repair: " + mode
			p := r.start(t)
			r.listens(t, p)
			if err := r.org.Emit(rowObject, "GAP_UPDATE", r.ids[3], r.ids[4]); err != nil {
				t.Fatal(err)
			}
			r.until(t, "the event", p, func() bool { return len(r.of("GAP_UPDATE")) == 2 })
			if mode == "manual" {
				gaps := r.gaps(t, "open")
				if len(gaps) != 1 || len(r.of("SNAPSHOT")) != 0 {
					t.Fatalf("nobody has asked, and there are %+v", gaps)
				}
				if n := lastNotice(t, r.says(t, 0, "gaps", "repair", gaps[0].ID, "--json")); n.Type != "done" || n.Rows != 2 {
					t.Errorf("it was told %+v", n)
				}
				if out := r.says(t, 0, "gaps", "repair", "--all-open"); !strings.Contains(out, "no gap is open that can be repaired") {
					t.Errorf("of no gaps it says %s", out)
				}
			}
			r.until(t, "the rows", p, func() bool { return len(r.of("SNAPSHOT")) == 2 && len(r.gaps(t, "repaired")) == 1 })
			p.drain(t)
			for _, i := range []int{3, 4} {
				if got := r.of("SNAPSHOT")[r.ids[i]]; len(got) != 1 || got[0].title != fmt.Sprintf("before %d", i) || !strings.HasPrefix(got[0].task, "repair/") {
					t.Errorf("row %d came as %+v", i, got)
				}
			}
			if gaps := r.gaps(t, "repaired"); len(gaps) != 1 || !strings.Contains(gaps[0].Detail, "2 rows were read from the org") {
				t.Errorf("the ledger has %+v", gaps)
			}
		})
	}
}

// listens waits until the bridge follows signals.
func (r *rows) listens(t *testing.T, p *process) {
	t.Helper()
	late := time.After(time.Minute)
	for !r.subscribed(t.Context()) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-late:
			t.Fatalf("it does not run:\n%s", tail(p.output()))
		}
	}
}

func (r *rows) subscribed(ctx context.Context) bool {
	_, code, err := get(ctx, "http://"+r.ops+"/readyz")
	return err == nil && code == 200
}

// tasks are those that the command lists.
func (r *rows) tasks(t *testing.T) (out []struct {
	Task, State, Object string
	Rows, Total         int
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.says(t, 0, "snapshot", "status", "--json")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *rows) gaps(t *testing.T, state string) (out []struct{ ID, State, Detail string }) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.says(t, 0, "gaps", "list", "--json", "--state", state)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// notice is what the commands print of a task, with --json.
type notice struct {
	Type, Task, Why string
	Rows            int
}

func lastNotice(t *testing.T, out string) (n notice) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &n); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return n
}

// says runs a command, which must end with an exit code, and returns what it says.
func (r *rows) says(t *testing.T, code int, args ...string) string {
	t.Helper()
	p := command(t, append(args, "-c", r.config(t))...)
	if got := p.exit(t, time.Minute); got != code {
		t.Errorf("bridge %v: exit code %d, want %d\n%s", args, got, code, p.output())
	}
	return p.output()
}
