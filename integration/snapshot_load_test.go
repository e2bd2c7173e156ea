package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// folded is a topic as a reader folds it, which never stops reading.
type folded struct {
	mu     sync.Mutex
	titles map[string]string // of the records that are there, by key
	rows   map[string]int    // how often each was written as a row
	events int
	delays []time.Duration // of events since they were last asked for
	done   bool            // a task has told of its end
}

// arrivals notes when a record came, on it: that a reader is busy with many rows does not
// make the events behind them late.
type arrivals struct{}

type arrival struct{}

func (arrivals) OnFetchRecordBuffered(r *kgo.Record) {
	r.Context = context.WithValue(context.Background(), arrival{}, time.Now())
}

// fold applies one record.
func (f *folded) fold(rec *kgo.Record) {
	var value struct {
		Header struct {
			NulledFields []string `json:"nulledFields"`
		} `json:"ChangeEventHeader"` //nolint:tagliatelle // Salesforce's
		Title *string `json:"Title__c"` //nolint:tagliatelle // Salesforce's
	}
	change, key := headerOf(rec, "sf-change-type"), string(rec.Key)
	_ = json.Unmarshal(rec.Value, &value) // a tombstone has none
	f.mu.Lock()
	defer f.mu.Unlock()
	switch change {
	case "DELETE":
		delete(f.titles, key)
	case "SNAPSHOT":
		f.rows[key]++
		fallthrough
	default:
		if value.Title != nil {
			f.titles[key] = *value.Title
		}
	}
	if change != "SNAPSHOT" {
		f.events++
		at, _ := rec.Context.Value(arrival{}).(time.Time)
		f.delays = append(f.delays, at.Sub(rec.Timestamp))
	}
}

// notice takes what is told of a task.
func (f *folded) notice(rec *kgo.Record) {
	var told struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(rec.Value, &told) == nil && told.Type == "done" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.done = true
	}
}

// follow reads the topics of an object and of notifications until the test ends.
func follow(t *testing.T, brokers []string, topic, notices string) *folded {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic, notices), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.AlwaysRetryEOF(), kgo.WithHooks(arrivals{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	f := &folded{titles: make(map[string]string), rows: make(map[string]int)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			fetches := cl.PollFetches(ctx)
			for rec := range fetches.RecordsAll() {
				if rec.Topic == notices {
					f.notice(rec)
				} else {
					f.fold(rec)
				}
			}
		}
	}()
	t.Cleanup(func() { stop(); <-ended; cl.Close() })
	return f
}

// until waits for what has to be seen in the end.
func (f *folded) until(t *testing.T, p *process, what string, seen func() bool) {
	t.Helper()
	late := time.After(20 * time.Minute)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !seen() {
		select {
		case <-look.C:
		case <-p.done:
			t.Fatalf("%s: the bridge has ended\n%s", what, tail(p.output()))
		case <-late:
			t.Fatalf("%s: it does not come\n%s", what, tail(p.output()))
		}
	}
}

func (f *folded) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// count is how many records were written as rows.
func (f *folded) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rows)
}

// late takes the delays of the events since the last call, and says what is usual.
func (f *folded) late() (p50, p99 time.Duration, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.delays
	f.delays = nil
	if len(d) == 0 {
		return 0, 0, 0
	}
	slices.Sort(d)
	return d[len(d)/2], d[len(d)*99/100], len(d)
}

// differs says how the topic is not what the org has; nil if it is.
func (f *folded) differs(org *orgsim.Org) (faults []string) {
	rows, err := org.Rows(rowObject)
	if err != nil {
		return []string{err.Error()}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	living := 0
	for _, row := range rows {
		if row.Deleted {
			if _, there := f.titles[row.ID]; there {
				faults = append(faults, row.ID+" is deleted, and in the topic")
			}
			continue
		}
		living++
		var want string
		if raw, ok := row.Fields["Title__c"].(json.RawMessage); ok && json.Unmarshal(raw, &want) != nil {
			faults = append(faults, row.ID+" has no readable title")
		}
		if got := f.titles[row.ID]; got != want {
			faults = append(faults, fmt.Sprintf("%s is %q in the topic and %q in the org", row.ID, got, want))
		}
	}
	if len(f.titles) != living && len(faults) == 0 {
		faults = append(faults, fmt.Sprintf("%d records in the topic, %d in the org", len(f.titles), living))
	}
	return faults
}

// compareDelays logs how late events were during the snapshot and how late they are
// without one, for as many seconds as BRIDGE_SNAPSHOT_CALM asks for. Kills would hide it.
func (f *folded) compareDelays(t *testing.T, kills int) {
	t.Helper()
	calm := fromEnv(t, "BRIDGE_SNAPSHOT_CALM", 0)
	if kills > 0 || calm == 0 {
		return
	}
	p50, p99, n := f.late()
	<-time.After(time.Duration(calm) * time.Second)
	plain50, plain99, m := f.late()
	t.Logf("delay from commit to reader: during the snapshot p50 %s p99 %s (%d events), without p50 %s p99 %s (%d events)", p50, p99, n, plain50, plain99, m)
}

// equals waits until the topic is what the org has.
func (f *folded) equals(t *testing.T, p *process, org *orgsim.Org) {
	t.Helper()
	var faults []string
	late := time.After(2 * time.Minute)
	for {
		if faults = f.differs(org); len(faults) == 0 {
			return
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-late:
			t.Fatalf("the topic is not what the org has: %d faults, such as %v\n%s", len(faults), faults[:min(len(faults), 5)], tail(p.output()))
		}
	}
}

// changer changes an org at a steady rate.
type changer struct {
	org *orgsim.Org
	ids []string
	rnd *rand.Rand
	n   int
}

// run makes so many changes a second until ctx ends.
func (c *changer) run(ctx context.Context, perSecond int) error {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.change(); err != nil {
				return err
			}
		}
	}
}

func (c *changer) change() error {
	c.n++
	title := orgsim.Fields{"Title__c": fmt.Sprintf("change %d", c.n)}
	i := c.rnd.IntN(len(c.ids))
	switch k := c.rnd.IntN(20); {
	case k == 0:
		id, err := c.org.Create(rowObject, title)
		c.ids = append(c.ids, id)
		return err
	case k == 1 && len(c.ids) > 1:
		id := c.ids[i]
		c.ids = slices.Delete(c.ids, i, i+1)
		return c.org.Delete(rowObject, id)
	default:
		return c.org.Update(rowObject, c.ids[i], title)
	}
}

func fromEnv(t *testing.T, name string, instead int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return instead
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A snapshot is taken while the org changes 200 times a second, and the bridge is killed
// again and again: in the end the topic is what the org has. BRIDGE_SNAPSHOT_ROWS,
// _KILLS and _READER (rest or bulk) ask for the long form, and without kills _CALM for a
// comparison of delays.
func TestTopicEqualsOrg(t *testing.T) {
	n, kills := fromEnv(t, "BRIDGE_SNAPSHOT_ROWS", 8000), fromEnv(t, "BRIDGE_SNAPSHOT_KILLS", 3)
	reader := os.Getenv("BRIDGE_SNAPSHOT_READER")
	if reader == "" {
		reader = "auto"
	}
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), rowChannel)
	s.replaceOrg(t, func(c *orgsim.Config) {
		c.Objects = []orgsim.Object{{Name: rowObject, Fields: []orgsim.Field{{Name: "Title__c", Type: orgsim.Text}, {Name: "Note__c", Type: orgsim.LongText, Length: 2000}}}}
	})
	s.settings["lanes"], s.registry = "1", "none"
	s.extra = fmt.Sprintf("format: json\nsnapshot:\n  reader: %s\n  bulk_from: 20000\n", reader)
	s.settings["snapshot"], s.settings["start"] = "initial", "latest"
	c := &changer{org: s.org, rnd: rand.New(rand.NewPCG(1, 1))} //nolint:gosec // reproducible on purpose
	for i := range n {
		id, err := s.org.Create(rowObject, orgsim.Fields{"Title__c": fmt.Sprintf("before %d", i), "Note__c": strings.Repeat("note ", 120)})
		if err != nil {
			t.Fatal(err)
		}
		c.ids = append(c.ids, id)
	}
	f := follow(t, s.brokers, s.prefix+"."+rowObject, s.name+".notifications")
	ctx, stop := context.WithCancel(t.Context())
	changed := make(chan error, 1)
	go func() { changed <- c.run(ctx, 200) }()
	p, began := s.start(t), time.Now()
	f.until(t, p, "the first row", func() bool { return f.count() > 0 })
	f.late()
	for i := range kills {
		f.until(t, p, fmt.Sprintf("%d rows before kill %d", (i+1)*n/(kills+1), i+1), func() bool { return f.count() >= (i+1)*n/(kills+1) })
		p.kill(t)
		p = s.start(t)
	}
	f.until(t, p, "the end of the snapshot", f.ended)
	took := time.Since(began)
	f.compareDelays(t, kills)
	stop()
	if err := <-changed; err != nil {
		t.Fatal(err)
	}
	f.equals(t, p, s.org)
	p.drain(t)
	doubled := 0
	for _, times := range f.rows {
		doubled += times - 1
	}
	t.Logf("%d rows with %d kills in %s (%.0f rows/s), %d changes meanwhile; %d rows came more than once", n, kills, took.Round(100*time.Millisecond), float64(n)/took.Seconds(), c.n, doubled)
}
