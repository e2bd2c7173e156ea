package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// Positions of two instances that run are moved back and forth under load, more
// often than a lane may be fenced from outside of the group. Exactly the records come
// a second time that lie between the new and the old position, all others once, and
// both instances go on.
func TestPositionsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	s.settings["lanes"] = "4"
	e := &expectation{site: s}
	r := s.read(t)
	f := s.fleet(t, 2)
	f.settle(t, 4)
	if err := s.org.StartLoad(orgsim.LoadConfig{Rate: 100}); err != nil {
		t.Fatal(err)
	}
	more := func(n int) { r.wait(t, r.count()+n, time.Minute, f.state) }
	more(600)
	f.owned(t)
	for i, share := range []float64{0.5, 0.1, 0.8} {
		channel := s.channels[i%2]
		began := time.Now()
		m := e.move(t, true, "set", "--channel", channel, "--id", s.idOf(t, channel, share))
		t.Logf("%s set from %s to %s and taken up again within %s", channel, m.Changes[0].From.Position, m.Changes[0].To.Position, time.Since(began).Round(time.Millisecond))
		more(200)
	}
	if _, errs := s.positions(t, 2, "set", "--channel", s.channels[0], "--id", "999999999", "--yes"); !strings.Contains(errs, "nothing was written") {
		t.Error(errs)
	}
	for range 2 { // there, and back again
		e.move(t, true, "undo", "--channel", s.channels[0], "--channel", s.channels[1])
		more(100)
	}
	f.settle(t, 4)
	if err := s.org.StopLoad(); err != nil {
		t.Fatal(err)
	}
	r.wait(t, e.total(), 2*time.Minute, f.state)
	for _, i := range f.instances {
		i.drain(t)
	}
	e.judge(t, r)
	for _, o := range overlaps(s.org.Sessions(), time.Now()) {
		t.Logf("%s had two subscribers for %s", o.channel, o.lasted.Round(time.Millisecond))
	}
	t.Logf("%d events, %d records", len(oracle.Expected(s.org.LedgerFrom(0), s.channels)), r.count())
}

// owned checks that each stream is listed with its position and the instance that
// carries it.
func (f *fleet) owned(tb testing.TB) {
	tb.Helper()
	carries := make(map[string]string)
	for _, i := range f.instances {
		o, err := i.ownership(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range o.Streams {
			if s.Owned {
				carries[s.Stream] = o.Instance
			}
		}
	}
	var rows []struct {
		Channel, Position, Instance, State string
		Cliff                              float64 `json:"hours_to_cliff"`
		Gaps                               *int    `json:"open_gaps"`
	}
	out, errs := f.site.positions(tb, 0, "list", "--json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != len(f.site.channels) {
		tb.Fatalf("%v in %s%s", err, out, errs)
	}
	for _, r := range rows {
		if r.State != "stored" || r.Position == "" || r.Instance != carries[r.Channel] || r.Cliff < 71.9 || r.Cliff > 72 || r.Gaps == nil || *r.Gaps != 0 {
			tb.Errorf("%+v, carried by %v", r, carries)
		}
	}
}

// The streams go back to a time, all with one command, while the bridge rests: what
// happened before it does not come again, what happened since does, and the
// estimate is not below that.
func TestPositionsGoBackToATime(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	r := s.read(t)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	carry := func(steps, again int) {
		t.Helper()
		p := s.start(t)
		for range steps {
			if err := load.Step(); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(t, len(oracle.Expected(s.org.LedgerFrom(0), s.channels))+again, time.Minute, p.output)
		p.drain(t)
	}
	s.org.AdvanceClock(-100 * time.Second) // more than an index looks back, less than a login may be late
	carry(150, 0)
	s.org.AdvanceClock(100 * time.Second)
	index := s.org.LedgerLen()
	carry(150, 0)
	var from time.Time
	for e := range s.org.LedgerFrom(index) {
		from = e.Commit
		break
	}
	out, _ := s.positions(t, 0, "rewind", "--all", "--to-time", from.Format(time.RFC3339Nano), "--yes", "--json")
	var m moved
	if err := json.Unmarshal([]byte(out), &m); err != nil || len(m.Changes) != len(s.channels) {
		t.Fatalf("%v in %s", err, out)
	}
	again := oracle.Expected(s.org.LedgerFrom(index), s.channels)
	told := 0
	for _, c := range m.Changes {
		if c.Twice == nil {
			t.Fatalf("no estimate in %s", out)
		}
		told += *c.Twice
	}
	if told < len(again) {
		t.Errorf("%d records were told to come again, and %d do", told, len(again))
	}
	carry(20, len(again))
	want := make(map[oracle.Record]int)
	for _, rec := range oracle.Expected(s.org.LedgerFrom(0), s.channels) {
		want[rec]++
	}
	for _, rec := range again {
		want[rec]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.seen {
		rec.Topic = ""
		want[rec]--
	}
	for rec, n := range want {
		if n != 0 {
			t.Errorf("%v came %d times too rarely", rec, n)
		}
	}
	t.Logf("%d records came again, about %d were told", len(again), told)
}

// A bridge of another name, with topics and lanes of its own, goes on where the
// exported one stopped: together they have everything once.
func TestPositionsMoveToAnotherBridge(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	next := *s
	next.name, next.prefix, next.dir, next.ops = s.name+"-next", s.prefix+"-next", t.TempDir(), freeAddress(t)
	next.settings = maps.Clone(s.settings)
	next.settings["lanes"] = "3"
	key, err := os.ReadFile(filepath.Join(s.dir, "client.key"))
	if err == nil {
		err = os.WriteFile(filepath.Join(next.dir, "client.key"), key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	load, err := s.org.NewLoad(orgsim.LoadConfig{Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	publish := func() {
		for range 150 {
			if err := load.Step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	published := func() int { return len(oracle.Expected(s.org.LedgerFrom(0), s.channels)) }
	old, fresh := s.read(t), next.read(t)
	p := s.start(t)
	publish()
	old.wait(t, published(), time.Minute, p.output)
	p.drain(t)
	first := published()
	text, _ := s.positions(t, 0, "export")
	path := filepath.Join(next.dir, "positions.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	publish()
	next.positions(t, 0, "import", "--file", path)
	p = next.start(t)
	publish()
	fresh.wait(t, published()-first, time.Minute, p.output)
	p.drain(t)
	(&expectation{site: s}).judge(t, old, fresh)
	t.Logf("%d records of the old bridge, %d of the new one", old.count(), fresh.count())
}

// A bridge takes over from a connector that has stopped in the middle: from the topic
// of its worker's offsets, with exactly what follows its replay id.
func TestSwitchFromAConnector(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Shared(t)
	const channel = "/data/AccountChangeEvent"
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), channel)
	const events, reached = 80, 30
	var ids []int64
	for range events {
		if _, err := s.org.Create("Account", orgsim.Fields{"Name": "Acme"}); err != nil {
			t.Fatal(err)
		}
	}
	for e := range s.org.LedgerFrom(0) {
		ids = append(ids, e.ReplayID)
	}
	offsets := s.name + "-connect-offsets"
	admin := s.admin(t)
	if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), 5, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, offsets); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[:reached] { // the last one counts
		record := &kgo.Record{Topic: offsets, Key: fmt.Appendf(nil, `["sf-cdc",{"channel":%q}]`, channel), Value: fmt.Appendf(nil, `{"replayId":%d}`, id)}
		if err := admin.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s.positions(t, 0, "import", "--from", "confluent-connect", "--connector", "sf-cdc", "--offsets-topic", offsets)
	r := s.read(t)
	p := s.start(t)
	r.wait(t, events-reached, time.Minute, p.output)
	p.drain(t)
	want := oracle.Expected(s.org.LedgerFrom(reached), s.channels)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range oracle.Compare(want, r.seen) {
		t.Error(d)
	}
}

// What the messages ask for, one after the other, is what it takes: nothing that the
// bridge does not need itself.
func TestPositionsRights(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Authorizer(), kafkatest.User("bridge", "bridge-secret"))
	const channel = "/data/AccountChangeEvent"
	s := newSite(t, "rights", cluster.Brokers(), channel)
	for range 2 {
		if _, err := s.org.Create("Account", orgsim.Fields{"Name": "Acme"}); err != nil {
			t.Fatal(err)
		}
	}
	s.createPositions(t, 2, "compact")
	s.storePosition(t, "stream/"+s.org.ID()+channel, fmt.Sprintf(`{"v":1,"position":%q,"source":"cometd"}`, s.idOf(t, channel, 1)))
	adm := kadm.NewClient(s.admin(t))
	s.brokers = cluster.SASLBrokers()
	s.kafka = "  sasl:\n    mechanism: plain\n    username: bridge\n    password: bridge-secret\n"
	path, first := s.config(t), s.idOf(t, channel, 0)
	advice := regexp.MustCompile(`try: kafka-acls.sh .* --operation (\w+) --(topic|group|transactional-id) (\S+)`)
	granted := make(map[string]bool)
	for code := -1; code != 0; {
		p := command(t, "positions", "set", "--channel", channel, "--id", first, "--yes", "-c", path)
		code = p.exit(t, time.Minute)
		m := advice.FindStringSubmatch(p.output())
		if code == 0 && m == nil {
			break
		}
		if code != 3 || m == nil || len(granted) > 20 {
			t.Fatalf("exit code %d:\n%s", code, p.output())
		}
		granted[m[2]+" "+m[3]+" "+m[1]] = true
		if err := allow(t.Context(), adm, m[1], m[2], m[3]); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"group rights Describe", "topic rights.gaps Create", "topic rights.gaps Describe", "topic rights.gaps Write", "topic rights.positions Describe", "topic rights.positions DescribeConfigs", "topic rights.positions Read",
		"topic rights.positions Write", "topic rights.positions.migrating Describe", "transactional-id rights-lane-1 Write",
	}
	if got := slices.Sorted(maps.Keys(granted)); !slices.Equal(got, want) {
		t.Errorf("it took\n%v, want\n%v", got, want)
	}
}
