package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

const polledObject = "Entitlement"

// polledSite is a site that polls an object without change events, whole and by a query,
// beside a channel, and what an independent consumer has of it.
type polledSite struct {
	*site
	path string // of the configuration
	r    *rand.Rand
	ids  []string // of records that are not deleted

	mu    sync.Mutex
	moved chan struct{}
	table map[string]map[string]string // by topic and key: what the record says
	seen  map[string]int               // how often it was said
}

func newPolledSite(t *testing.T) *polledSite {
	t.Helper()
	cluster := kafkatest.Shared(t)
	p := &polledSite{
		site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers()), r: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // reproducible on purpose
		moved: make(chan struct{}, 1), table: map[string]map[string]string{}, seen: map[string]int{},
	}
	p.replaceOrg(t, func(c *orgsim.Config) {
		c.Objects = append(orgsim.DefaultObjects(), orgsim.Object{Name: polledObject, NoCapture: true, Fields: []orgsim.Field{
			{Name: "Name", Type: orgsim.Text}, {Name: "Status", Type: orgsim.Text}, {Name: "AccountId", Type: orgsim.Lookup, ReferenceTo: "Account"},
			{Name: "StartDate", Type: orgsim.Date}, {Name: "Site__c", Type: orgsim.Geolocation},
		}})
	})
	p.settings["lanes"] = "1"
	return p
}

// configure writes a configuration with the site's streams.
func (p *polledSite) configure(t *testing.T) {
	t.Helper()
	path := p.config(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	streams := `  - channel: /data/Invoice__ChangeEvent
    start: earliest
    snapshot: never
  - source: query
    object: Entitlement
    start: earliest
    every: 1s
    overlap: 2s
  - source: query
    soql: SELECT Id, SystemModstamp, Name, Status, Account.Name FROM Entitlement WHERE Status != 'Secret'
    name: entitlements_of_accounts
    start: earliest
    every: 1s
    overlap: 2s
`
	if err := os.WriteFile(path, append(text, streams...), 0o600); err != nil {
		t.Fatal(err)
	}
	p.path, p.channels = path, []string{"/data/Invoice__ChangeEvent", "/query/Entitlement", "/query/entitlements_of_accounts"}
}

func (p *polledSite) run(t *testing.T) *process {
	t.Helper()
	return launch(t, binary(t), nil, "run", "--config", p.path)
}

// listen starts a reader that ends with the test.
func (p *polledSite) listen(t *testing.T) {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(p.brokers...), kgo.ConsumeTopics(p.prefix+"."+polledObject, p.prefix+".entitlements_of_accounts"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.AlwaysRetryEOF(),
	)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			for r := range cl.PollFetches(ctx).RecordsAll() {
				p.take(t, r)
			}
			select {
			case p.moved <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; cl.Close() })
}

func (p *polledSite) take(t *testing.T, r *kgo.Record) {
	var v map[string]any
	if err := json.Unmarshal(r.Value, &v); err != nil {
		t.Error(err)
		return
	}
	head, _ := v["ChangeEventHeader"].(map[string]any)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[fmt.Sprintf("%s %s %d %s", r.Topic, r.Key, r.Timestamp.UnixMilli(), r.Value)]++
	table := p.table[r.Topic]
	if table == nil {
		table = map[string]string{}
		p.table[r.Topic] = table
	}
	if head["changeType"] == "DELETE" {
		delete(table, string(r.Key))
		return
	}
	account := ""
	if parent, ok := v["Account"].(map[string]any); ok {
		account = fmt.Sprint(parent["Name"])
	}
	table[string(r.Key)] = fmt.Sprint(v["Name"], v["Status"], account)
}

// written is a text of a record as the org holds it.
func written(v any) (text string) {
	if raw, ok := v.(json.RawMessage); ok && json.Unmarshal(raw, &text) == nil {
		return text
	}
	return fmt.Sprint(v)
}

// change changes some records as people would, several of them twice within a second.
func (p *polledSite) change(t *testing.T, account string, changes int) {
	t.Helper()
	for i := range changes {
		var err error
		switch n := len(p.ids); {
		case n < 20 || p.r.IntN(3) == 0:
			var id string
			if id, err = p.org.Create(polledObject, orgsim.Fields{"Name": fmt.Sprintf("e%d", i), "Status": "New", "AccountId": account, "StartDate": "2026-05-06"}); err == nil {
				p.ids = append(p.ids, id)
			}
		case p.r.IntN(5) == 0:
			at := p.r.IntN(n)
			err = p.org.Delete(polledObject, p.ids[at])
			p.ids = append(p.ids[:at], p.ids[at+1:]...)
		default:
			err = p.org.Update(polledObject, p.ids[p.r.IntN(n)], orgsim.Fields{"Status": fmt.Sprintf("s%d", p.r.IntN(1_000_000))})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// differences tells how the topics differ from the org.
func (p *polledSite) differences(t *testing.T) (out []string) {
	t.Helper()
	rows, err := p.org.Rows(polledObject)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for topic, account := range map[string]string{p.prefix + "." + polledObject: "", p.prefix + ".entitlements_of_accounts": "Acme"} {
		n := 0
		for _, r := range rows {
			if r.Deleted {
				continue
			}
			n++
			if want, got := written(r.Fields["Name"])+written(r.Fields["Status"])+account, p.table[topic][r.ID]; got != want {
				out = append(out, fmt.Sprintf("%s: %s is %q in the org, and %q in the topic", topic, r.ID, want, got))
			}
		}
		if len(p.table[topic]) != n {
			out = append(out, fmt.Sprintf("%s has %d records, and the org %d", topic, len(p.table[topic]), n))
		}
	}
	return out
}

// equal waits until the topics are the org.
func (p *polledSite) equal(t *testing.T, bridge *process) {
	t.Helper()
	late := time.After(time.Minute)
	for len(p.differences(t)) > 0 {
		select {
		case <-p.moved:
		case <-late:
			t.Fatalf("%s\n%s", strings.Join(p.differences(t), "\n"), tail(bridge.output()))
		}
	}
}

// An object without change events comes exactly once, whole and by a query, through a
// bridge that is killed amid it.
func TestPolledObjectExactlyOnce(t *testing.T) {
	p := newPolledSite(t)
	p.registry, p.extra = "none", "format: json\n"
	p.configure(t)
	account, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	p.change(t, account, 1500)
	p.listen(t)
	bridge := p.run(t)
	for range 4 {
		for range 8 {
			p.change(t, account, 60)
			select {
			case <-p.moved:
			case <-time.After(250 * time.Millisecond):
			}
		}
		bridge.kill(t)
		p.change(t, account, 100)
		bridge = p.run(t)
	}
	p.equal(t, bridge)
	if err := p.org.AddField(polledObject, orgsim.Field{Name: "Tier__c", Type: orgsim.Text}); err != nil {
		t.Fatal(err)
	}
	p.change(t, account, 100)
	p.equal(t, bridge)
	p.balanced(t)
	bridge.drain(t)
	if twice, seen := p.twice(), p.different(); len(twice) > 0 || seen < 1000 {
		t.Errorf("%d records, twice: %s", seen, strings.Join(twice, "\n"))
	}
	list := command(t, "positions", "list", "--config", p.path)
	if code := list.exit(t, time.Minute); code != 0 || !strings.Contains(list.output(), "/query/Entitlement") {
		t.Errorf("positions list: exit code %d\n%s", code, list.output())
	}
	show := command(t, "schemas", "show", "entitlements_of_accounts", "--config", p.path)
	if code := show.exit(t, time.Minute); code != 0 || !strings.Contains(show.output(), "Parent_Account") {
		t.Errorf("schemas show: exit code %d\n%s", code, show.output())
	}
	p.rewound(t)
}

// different is how many records came, each counted once.
func (p *polledSite) different() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// twice are the records that came more than once.
func (p *polledSite) twice() (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for what, times := range p.seen {
		if times > 1 {
			out = append(out, what)
		}
	}
	return out
}

// rewound has the rows of the object read again.
func (p *polledSite) rewound(t *testing.T) {
	t.Helper()
	rewind := command(t, "positions", "rewind", "--config", p.path, "--channel", "/query/Entitlement", "--to-earliest", "--yes")
	if code := rewind.exit(t, time.Minute); code != 0 {
		t.Fatalf("positions rewind: exit code %d\n%s", code, rewind.output())
	}
	bridge := p.run(t)
	late := time.After(time.Minute)
	for len(p.twice()) < len(p.ids) {
		select {
		case <-p.moved:
		case <-late:
			t.Fatalf("%d of %d rows came again\n%s", len(p.twice()), len(p.ids), tail(bridge.output()))
		}
	}
	for _, what := range p.twice() {
		if !strings.HasPrefix(what, p.prefix+"."+polledObject+" ") {
			t.Errorf("it came again, too: %s", what)
		}
	}
	bridge.drain(t)
}

// The schemas of rows are registered as others are, and a field that is added makes
// another version.
func TestPolledRowsInTheRegistry(t *testing.T) {
	p := newPolledSite(t)
	p.configure(t)
	account, err := p.org.Create("Account", orgsim.Fields{"Name": "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	p.change(t, account, 30)
	bridge := p.run(t)
	p.versions(t, "[1]", bridge)
	bridge.drain(t)
	if err := p.org.AddField(polledObject, orgsim.Field{Name: "Tier__c", Type: orgsim.Text}); err != nil {
		t.Fatal(err)
	}
	p.change(t, account, 30)
	bridge = p.run(t) // which describes the object anew
	p.versions(t, "[1,2]", bridge)
	bridge.drain(t)
	list := command(t, "schemas", "list", "--config", p.path)
	if code := list.exit(t, time.Minute); code != 0 || strings.Count(list.output(), "/query/") != 2 {
		t.Errorf("schemas list: exit code %d\n%s", code, list.output())
	}
}

// versions waits until the subject of the object's rows has these versions.
func (p *polledSite) versions(t *testing.T, want string, bridge *process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		got, _, err := get(ctx, p.registry+"/subjects/"+p.prefix+"."+polledObject+"-value/versions")
		if strings.TrimSpace(string(got)) == want {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s, %v, want %s\n%s", got, err, want, tail(bridge.output()))
		}
	}
}
