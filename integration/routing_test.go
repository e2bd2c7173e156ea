package integration

import (
	"context"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

const (
	allChannel    = "/data/ChangeEvents"
	ordersChannel = "/event/Orders__chn"
)

// routed is a site whose configuration says more of topics.
type routed struct {
	*site
	url    string            // of the registry
	topics string            // further configuration text of the section topics
	of     map[string]string // the same of streams, by channel
}

func newRouted(t *testing.T, channels ...string) *routed {
	t.Helper()
	cluster := kafkatest.Shared(t)
	r := &routed{site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), channels...), url: kafkatest.Registry(t), of: map[string]string{}}
	r.registry = r.url + "\n  subject_strategy: topic_record" // the configuration has it behind the url
	return r
}

// write writes the configuration and returns its path.
func (r *routed) write(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(r.config(t))
	if err != nil {
		t.Fatal(err)
	}
	out := strings.Replace(string(text), "  partitions: 6\n", "  partitions: 6\n"+r.topics, 1)
	for channel, more := range r.of {
		out = strings.Replace(out, "  - channel: "+channel+"\n", "  - channel: "+channel+"\n"+more, 1)
	}
	path := filepath.Join(r.dir, "routed.yaml")
	write(t, path, out)
	return path
}

// run starts the bridge.
func (r *routed) run(t *testing.T) *process {
	t.Helper()
	return command(t, "run", "--config", r.write(t))
}

// created are the topics of records that exist, without the site's own.
func (r *routed) created(t *testing.T) []string {
	t.Helper()
	listed, err := kadm.NewClient(r.admin(t)).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range listed.Names() {
		rest, ours := strings.CutPrefix(name, r.prefix+".")
		if ours && !slices.Contains([]string{"positions", "gaps", "schema-changes", "signals", "notifications"}, rest) {
			out = append(out, rest)
		}
	}
	return out
}

// identity is what the oracle compares of a record, which readWithGo has read.
func identity(t *testing.T, r *foreign.Record) oracle.Record {
	t.Helper()
	rec := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Offset: r.Offset}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	id, err := oracle.Read(rec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func headerIn(r *foreign.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// Two channels of several kinds, whose events go by a map, by routes, by what is
// said of single entities and by the template, with keys in Avro: every record is
// in its topic, exactly once, where a stranger reads key and value by the schemas
// in the registry.
func TestRouting(t *testing.T) {
	t.Parallel()
	r := newRouted(t, allChannel, ordersChannel)
	r.replaceOrg(t, func(c *orgsim.Config) {
		c.Objects = append(orgsim.DefaultObjects(), orgsim.Object{Name: "Return__e", Fields: []orgsim.Field{{Name: "Reason__c", Type: orgsim.Text}}})
		c.Channels = []orgsim.Channel{{Name: ordersChannel, Members: []string{"Order__e", "Return__e"}}}
	})
	r.topics = `  key_format: avro
  map: {Account: "{{.Prefix}}.mapped"}
  routes:
    - {match: '(?P<what>\w+)__c', topic: "{{.Prefix}}.custom.{{.Match.what}}"}
    - {match: '(\w+)__(e)', topic: "{{.Prefix}}.all-{{.Match2}}"}
`
	r.of[ordersChannel] = "    entities: {Order__e: {topic: \"{{.Prefix}}.orders.{{.Object}}\", key: Order_Number__c}}\n"
	p := r.run(t)
	r.publish(t)

	topicOf := map[string]string{
		"Account": "mapped", "Contact": "Contact", "Invoice__c": "custom.Invoice", "Order__e": "orders.Order__e", "Return__e": "all-e",
	}
	topics := slices.Sorted(maps.Values(topicOf))
	for i := range topics {
		topics[i] = r.prefix + "." + topics[i]
	}
	want := oracle.Expected(r.org.LedgerFrom(0), r.channels)
	records := readWithGo(t, r.brokers, r.url, topics, len(want))
	r.balanced(t)
	p.drain(t)

	keys := &decoder{registry: r.url, schemas: map[int]avro.Schema{}, api: avro.Config{}.Freeze()}
	partitions := kgo.StickyKeyPartitioner(nil) // as Kafka's Java client has it: by the bytes of the key
	ofKey := map[string]string{}
	seen := map[string]int{}
	var got []oracle.Record
	for i := range records {
		rec := &records[i]
		object := headerIn(rec, "sf-object")
		if want := r.prefix + "." + topicOf[object]; rec.Topic != want {
			t.Errorf("a record of %s is in %s, want %s", object, rec.Topic, want)
		}
		seen[object]++
		text := r.readKey(t, keys, rec)
		if at := partitions.ForTopic(rec.Topic).Partition(&kgo.Record{Key: rec.Key}, 6); int32(at) != rec.Partition {
			t.Errorf("the key %q of %s is in partition %d, and belongs into %d", text, rec.Topic, rec.Partition, at)
		}
		if before, ok := ofKey[text]; ok && before != string(rec.Key) {
			t.Errorf("the key %q is %x and %x", text, before, rec.Key)
		}
		ofKey[text] = string(rec.Key)
		rec.Key = []byte(text)
		if object == "Order__e" {
			rec.Key = r.orderKey(t, rec)
		}
		got = append(got, identity(t, rec))
	}
	for _, d := range oracle.Compare(want, got) {
		t.Error(d)
	}
	if len(seen) != len(topicOf) || seen["Order__e"] < 10 || seen["Return__e"] < 10 || seen["Account"] < 5 {
		t.Errorf("records by object: %v", seen)
	}
	if created := r.created(t); !slices.Equal(created, slices.Sorted(maps.Values(topicOf))) {
		t.Errorf("topics %v, want those of %v", created, topicOf)
	}
}

// publish makes changes of all objects, and events of both kinds.
func (r *routed) publish(t *testing.T) {
	t.Helper()
	load, err := r.org.NewLoad(orgsim.LoadConfig{Objects: []string{"Account", "Contact", "Invoice__c"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := load.Step(); err != nil {
			t.Fatal(err)
		}
		event, fields := "Order__e", orgsim.Fields{"Order_Number__c": "N-" + strconv.Itoa(i%7)}
		if i%3 == 0 {
			event, fields = "Return__e", orgsim.Fields{"Reason__c": "too small"}
		}
		if _, err := r.org.Publish(event, fields); err != nil {
			t.Fatal(err)
		}
	}
}

// readKey reads a key by the schema that it names, which is registered for its
// topic.
func (r *routed) readKey(t *testing.T, d *decoder, rec *foreign.Record) string {
	t.Helper()
	if len(rec.Key) < 6 || rec.Key[0] != 0 {
		t.Fatalf("the key %x in %s is not in the wire format", rec.Key, rec.Topic)
	}
	id := int(wire.BigEndian.Uint32(rec.Key[1:5]))
	schema, err := d.schema(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if schema.String() != `"string"` {
		t.Fatalf("the schema %d of a key is %s", id, schema)
	}
	var text string
	if err := avro.Unmarshal(schema, rec.Key[5:], &text); err != nil {
		t.Fatal(err)
	}
	body, status, err := get(t.Context(), r.url+"/subjects/"+rec.Topic+"-key/versions/latest")
	var latest struct {
		ID int `json:"id"`
	}
	if err != nil || json.Unmarshal(body, &latest) != nil || latest.ID != id {
		t.Fatalf("%s-key: %d %s %v, want the id %d", rec.Topic, status, body, err, id)
	}
	return text
}

// orderKey checks that a record is keyed by the number of its order, and returns
// what the oracle takes for the key of an event.
func (r *routed) orderKey(t *testing.T, rec *foreign.Record) []byte {
	t.Helper()
	var value struct {
		Number string `json:"Order_Number__c"`
	}
	if err := json.Unmarshal(rec.Value, &value); err != nil || value.Number == "" || value.Number != string(rec.Key) {
		t.Errorf("the order %s (%v) has the key %q", rec.Value, err, rec.Key)
	}
	return []byte(headerIn(rec, "sf-event-uuid"))
}

// Two entities that by their names alone come into one topic, which nobody asked
// for: the stream halts before the second one, nothing of it is set aside or mixed
// in, and with a topic for each all of it comes.
func TestTopicsThatMeet(t *testing.T) {
	t.Parallel()
	r := newRouted(t, allChannel)
	r.topics = "  routes:\n    - {match: '(A|C).*', topic: \"{{.Prefix}}.{{.Object}}\"}\n"
	r.of[allChannel] = "    entities: {Account: {topic: \"{{.Prefix}}.Contact\"}}\n"
	if _, err := r.org.Create("Account", orgsim.Fields{"Name": "A"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.org.Create("Contact", orgsim.Fields{"LastName": "C"}); err != nil {
			t.Fatal(err)
		}
	}
	p := r.run(t)
	if code := p.exit(t, startWithin); code != 4 {
		t.Errorf("exit code %d, want 4", code)
	}
	want := fmt.Sprintf(`the change events of Contact would go to the topic %q by topic route (A|C).*, where the change events of Account go by topic of Account on /data/ChangeEvents, and nothing says that they shall be in one; try: a topic of their own`,
		r.prefix+".Contact")
	if out := strings.ReplaceAll(p.output(), `\"`, `"`); !strings.Contains(out, want) {
		t.Errorf("the output does not say %s:\n%s", want, tail(out))
	}
	if created := r.created(t); !slices.Equal(created, []string{"Contact"}) {
		t.Errorf("topics %v", created)
	}
	if first := readWithGo(t, r.brokers, r.url, []string{r.prefix + ".Contact"}, 1); len(first) != 1 || headerIn(&first[0], "sf-object") != "Account" {
		t.Errorf("records %v", first)
	}

	r.of[allChannel] = ""
	r.topics = "  routes:\n    - {match: '(A|C).*', topic: \"{{.Prefix}}.new.{{.Object}}\"}\n"
	p = r.run(t)
	rest := readWithGo(t, r.brokers, r.url, []string{r.prefix + ".new.Contact"}, 3)
	p.drain(t)
	if created := r.created(t); len(rest) != 3 || !slices.Equal(created, []string{"Contact", "new.Contact"}) {
		t.Errorf("%d records, topics %v", len(rest), created)
	}
}

// A name that only an event's object makes the bridge's own halts the stream too.
func TestOwnTopicOfAnObject(t *testing.T) {
	t.Parallel()
	r := newRouted(t, allChannel)
	r.replaceOrg(t, func(c *orgsim.Config) {
		c.Objects = append(orgsim.DefaultObjects(), orgsim.Object{Name: "gaps__c", Fields: []orgsim.Field{{Name: "Name", Type: orgsim.Text}}})
	})
	r.topics = "  routes:\n    - {match: '(\\w+)__c', topic: \"{{.Prefix}}.{{.Match1}}\"}\n"
	if _, err := r.org.Create("gaps__c", orgsim.Fields{"Name": "G"}); err != nil {
		t.Fatal(err)
	}
	p := r.run(t)
	code := p.exit(t, startWithin)
	want := fmt.Sprintf("topic route (\\w+)__c gives the topic %q, which is the bridge's own; try: another name", r.name+".gaps")
	if out := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(p.output()); code != 4 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, want 4 and %s:\n%s", code, want, tail(out))
	}
}

// What can be known of topics before any event is told by every command that reads
// the configuration.
func TestTopicsThatCannotBe(t *testing.T) {
	t.Parallel()
	r := newRouted(t, "/data/AccountChangeEvent", "/topic/Account")
	r.topics = "  map: {Account: " + r.name + "_gaps}\n"
	for _, args := range [][]string{{"config", "validate"}, {"run"}, {"schemas", "list"}} {
		p := command(t, append(args, "--config", r.write(t))...)
		code := p.exit(t, startWithin)
		want := fmt.Sprintf(`topics.map.Account: "%s_gaps" differs from the bridge's own topic "%[1]s.gaps" only by . and _`, r.name)
		if out := p.output(); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, want 2 and %s:\n%s", args, code, want, out)
		}
	}
	r.topics = ""
	p := command(t, "config", "validate", "--config", r.write(t))
	if code := p.exit(t, startWithin); code != 2 || !strings.Contains(p.output(), "the events of /topic/Account would go to the topic") {
		t.Errorf("exit code %d:\n%s", code, p.output())
	}
}

// sentTogether is one event of a Salesforce transaction, as records tell of it or
// the org's ledger.
type sentTogether struct {
	Sequence int
	Object   string
	Keys     []string
}

// The changes of one Salesforce transaction go to the topics of their objects, by
// the lanes of their streams. Their headers put them together again: all of one
// sf-transaction-key, ordered by sf-sequence, complete when sf-record-count of each
// is there; and what one stream brings of them comes in that order.
func TestTransactionsAcrossTopics(t *testing.T) {
	t.Parallel()
	r := newRouted(t, "/data/AccountChangeEvent", "/data/ContactChangeEvent", "/data/Invoice__ChangeEvent")
	r.settings["lanes"] = "8"
	r.extra = "format: json\n"
	p := r.run(t)
	for n := range 20 {
		r.transact(t, n)
	}
	published := map[string][]sentTogether{}
	total := 0
	for e := range r.org.LedgerFrom(0) {
		published[e.TransactionKey] = append(published[e.TransactionKey], sentTogether{e.Sequence, e.Object, e.RecordIDs})
		total += len(e.RecordIDs)
	}
	if len(published) != 20 {
		t.Fatalf("%d transactions were published", len(published))
	}
	records := r.consume(t, []string{"Account", "Contact", "Invoice__c"}, total)
	p.drain(t)
	if lanes := strings.Count(p.output(), `"lane runs"`); lanes < 2 {
		t.Errorf("%d lanes had streams: nothing is shown", lanes)
	}

	read := map[string]map[int]*sentTogether{}
	last := map[string]int{} // by transaction and place
	for _, rec := range records {
		id, sequence := headerOf(rec, "sf-transaction-key"), number(t, rec, "sf-sequence")
		place := fmt.Sprint(id, rec.Topic, rec.Partition)
		if sequence < last[place] {
			t.Errorf("the event %d of %s comes behind its event %d in %s/%d", sequence, id, last[place], rec.Topic, rec.Partition)
		}
		last[place] = sequence
		if read[id] == nil {
			read[id] = map[int]*sentTogether{}
		}
		event, ok := read[id][sequence]
		if !ok {
			event = &sentTogether{sequence, headerOf(rec, "sf-object"), make([]string, number(t, rec, "sf-record-count"))}
			read[id][sequence] = event
		}
		event.Keys[number(t, rec, "sf-record-index")] = string(rec.Key)
	}
	for id, want := range published {
		var got []sentTogether
		for _, sequence := range slices.Sorted(maps.Keys(read[id])) {
			got = append(got, *read[id][sequence])
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("transaction %s is read as\n%v\nand was\n%v", id, got, want)
		}
	}
}

// transact changes several objects in one transaction, in another order each time.
func (r *routed) transact(t *testing.T, n int) {
	t.Helper()
	err := r.org.Transact(orgsim.TxOptions{}, func(tx *orgsim.Tx) error {
		for step := range 6 {
			var err error
			switch (n + step*step) % 3 {
			case 0:
				_, err = tx.Create("Account", orgsim.Fields{"Name": fmt.Sprint("A", n, step)})
			case 1:
				_, err = tx.Create("Contact", orgsim.Fields{"LastName": fmt.Sprint("C", n, step)})
			default:
				_, err = tx.Create("Invoice__c", nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// consume reads n records of the topics of objects, in the order of each partition.
func (r *routed) consume(t *testing.T, objects []string, n int) []*kgo.Record {
	t.Helper()
	topics := make([]string, len(objects))
	for i, object := range objects {
		topics[i] = r.prefix + "." + object
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumeTopics(topics...),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(250*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records", len(out), n)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func number(t *testing.T, rec *kgo.Record, header string) int {
	t.Helper()
	n, err := strconv.Atoi(headerOf(rec, header))
	if err != nil {
		t.Fatalf("header %s of %s: %v", header, rec.Topic, err)
	}
	return n
}
