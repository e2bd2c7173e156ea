package pyreader

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

const schema = `{"type":"record","name":"Thing","namespace":"org.example","fields":[
	{"name":"id","type":"long"},
	{"name":"name","type":["null","string"],"default":null},
	{"name":"amount","type":["null","double"],"default":null},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["CREATE","UPDATE"]}},
	{"name":"tags","type":{"type":"array","items":"string"}},
	{"name":"raw","type":"bytes"},
	{"name":"by","type":{"type":"map","values":"int"}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"inner","type":["null",{"type":"record","name":"Inner","fields":[{"name":"ok","type":"boolean"},{"name":"f","type":"float"}]}]}
]}`

// thing is record i in Avro's binary encoding, written by hand, so that the test
// compares Python's reading with the specification and not with another library.
func thing(i int) []byte {
	text := func(b []byte, s string) []byte { return append(binary.AppendVarint(b, int64(len(s))), s...) }
	b := binary.AppendVarint(nil, math.MaxInt64-int64(i)) // id: more digits than a double has
	if i%2 == 0 {
		b = append(b, 0)   // name: null
		b = append(b, 1*2) // amount: double
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(i)+0.25))
	} else {
		b = text(append(b, 1*2), fmt.Sprintf("Zoë \"%d\"\n🙂", i))
		b = append(b, 0)
	}
	b = append(b, byte(i%2)*2)          // kind
	b = text(append(b, 1*2), "tag")     // tags: a block of one
	b = append(b, 0)                    // and the end
	b = text(b, "\x00\xff")             // raw
	b = text(append(b, 1*2), "k")       // by: a block of one
	b = binary.AppendVarint(b, -7)      //
	b = append(b, 0)                    // and the end
	b = binary.AppendVarint(b, 1e12+42) // at
	if i%3 == 0 {
		return append(b, 0)
	}
	b = append(b, 1*2, 1) // inner: ok
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(math.NaN())))
}

func thingJSON(i int) map[string]any {
	m := map[string]any{
		"id": json.Number(fmt.Sprint(math.MaxInt64 - int64(i))), "name": nil, "amount": nil,
		"kind": []any{"CREATE", "UPDATE"}[i%2], "tags": []any{"tag"}, "raw": base64.StdEncoding.EncodeToString([]byte("\x00\xff")),
		"by": map[string]any{"k": json.Number("-7")}, "at": json.Number("1000000000042"), "inner": nil,
	}
	if i%2 == 0 {
		m["amount"] = json.Number(fmt.Sprintf("%d.25", i))
	} else {
		m["name"] = fmt.Sprintf("Zoë \"%d\"\n🙂", i)
	}
	if i%3 != 0 {
		m["inner"] = map[string]any{"ok": true, "f": "NaN"}
	}
	return m
}

func confluent(id int, avro []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), avro...)
}

func TestReadFromApicurio(t *testing.T) { testRead(t, kafkatest.Registry(t)) }

func TestReadFromFake(t *testing.T) {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	testRead(t, registry.URL())
}

// Fifty records over two topics, a tombstone, and a transaction that was aborted.
func testRead(t *testing.T, registryURL string) {
	Build(t) // not what is timed below
	c := kafkatest.Shared(t)
	topics := []string{c.Topic(t), c.Topic(t)}
	create(t, c, topics...)
	id := register(t, registryURL, topics[0]+"-value")
	// The AvroDeserializer asks for the id among the schemas of the topic.
	if same := register(t, registryURL, topics[1]+"-value"); same != id {
		t.Fatalf("one schema has the ids %d and %d", id, same)
	}
	at := time.UnixMilli(1_700_000_000_123)
	var records, aborted []*kgo.Record
	for i := range 50 {
		r := &kgo.Record{
			Topic: topics[i%2], Key: fmt.Appendf(nil, "key-%d", i), Value: confluent(id, thing(i)), Timestamp: at,
			Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Appendf(nil, "%d", i)}, {Key: "n", Value: []byte{0, 255}}},
		}
		records = append(records, r)
		ghost := *r
		ghost.Key = []byte("aborted")
		aborted = append(aborted, &ghost)
	}
	records = append(records, &kgo.Record{Topic: topics[0], Key: []byte("gone"), Timestamp: at},
		&kgo.Record{Topic: topics[0], Value: confluent(id, thing(0)), Timestamp: at})
	transact(t, c, aborted, kgo.TryAbort)
	transact(t, c, records, kgo.TryCommit)

	began := time.Now()
	got := Read(t, c.Brokers(), registryURL+"/", topics, len(records)-1) // one more is there than asked for
	t.Logf("Python read %d records in %.1fs", len(got), time.Since(began).Seconds())
	if len(got) != len(records) {
		t.Fatalf("read %d records, want %d", len(got), len(records))
	}
	byPlace := map[string]Record{}
	for _, r := range got {
		byPlace[fmt.Sprint(r.Topic, r.Partition, r.Offset)] = r
	}
	for i, want := range records {
		r, ok := byPlace[fmt.Sprint(want.Topic, want.Partition, want.Offset)]
		if !ok {
			t.Errorf("record %d at %s/%d@%d was not read", i, want.Topic, want.Partition, want.Offset)
			continue
		}
		if (r.Key == nil) != (want.Key == nil) || string(r.Key) != string(want.Key) || r.Timestamp != at.UnixMilli() {
			t.Errorf("record %d: key %q and time %d, want %q and %d", i, r.Key, r.Timestamp, want.Key, at.UnixMilli())
		}
		if i < 50 {
			checkThing(t, &r, i, id)
		}
	}
	tombstone := byPlace[fmt.Sprint(topics[0], records[50].Partition, records[50].Offset)]
	if tombstone.Value != nil || tombstone.SchemaID != 0 {
		t.Errorf("a tombstone has value %s of schema %d", tombstone.Value, tombstone.SchemaID)
	}
}

func checkThing(t *testing.T, r *Record, i, id int) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(r.Value)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Errorf("record %d: value %s: %v", i, r.Value, err)
	}
	if !reflect.DeepEqual(value, any(thingJSON(i))) {
		t.Errorf("record %d: value\n%v, want\n%v", i, value, thingJSON(i))
	}
	if r.SchemaID != id || r.Schema != "org.example.Thing" {
		t.Errorf("record %d: schema %d %s, want %d", i, r.SchemaID, r.Schema, id)
	}
	if h, ok := r.Header("n"); !ok || string(h) != fmt.Sprint(i) || len(r.Headers) != 2 || string(r.Headers[1].Value) != "\x00\xff" {
		t.Errorf("record %d: headers %q", i, r.Headers)
	}
	if _, ok := r.Header("absent"); ok {
		t.Errorf("record %d has a header that it has not", i)
	}
}

// What a stranger cannot read must not pass.
func TestReadRefuses(t *testing.T) {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	c, p := kafkatest.Shared(t), Build(t)
	cases := []struct {
		name  string
		value func(id int) []byte
		want  string
	}{
		{"no wire format", func(int) []byte { return []byte(`{"id":1}`) }, "not in Confluent's wire format"},
		{"too short", func(int) []byte { return []byte{0, 1} }, "not in Confluent's wire format"},
		{"unknown schema", func(id int) []byte { return confluent(id+1000, thing(1)) }, "404"},
		{"cut", func(id int) []byte { return confluent(id, thing(1)[:20]) }, "cannot be decoded"},
		{"surplus", func(id int) []byte { return append(confluent(id, thing(1)), 0) }, "bytes are left"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			topic := c.Topic(t)
			create(t, c, topic)
			id := register(t, registry.URL(), topic+"-value")
			transact(t, c, []*kgo.Record{{Topic: topic, Value: confluent(id, thing(1))}, {Topic: topic, Value: tc.value(id)}}, kgo.TryCommit)
			_, err := p.read(t.Context(), c.Brokers(), registry.URL(), []string{topic}, 2, time.Minute)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), topic+"/") {
				t.Errorf("got %v, want an error that names the record and says %q", err, tc.want)
			}
		})
	}
}

func TestReadGivesUp(t *testing.T) {
	c, p := kafkatest.Shared(t), Build(t)
	topic := c.Topic(t)
	_, err := p.read(t.Context(), c.Brokers(), "http://unused.invalid", []string{topic}, 1, time.Second)
	if err == nil || !strings.Contains(err.Error(), "exist") || !strings.Contains(err.Error(), topic) {
		t.Errorf("a topic that is not there: %v", err)
	}
	create(t, c, topic)
	_, err = p.read(t.Context(), c.Brokers(), "http://unused.invalid", []string{topic}, 7, time.Second)
	if err == nil || !strings.Contains(err.Error(), "0 of 7 records") {
		t.Errorf("a record that is not there: %v", err)
	}
}

func TestParse(t *testing.T) {
	cases := []struct{ out, path, version, want string }{
		{"3\n11\n7\n/usr/bin/python3.11\n", "/usr/bin/python3.11", "3.11.7", ""},
		{"3\n14\n0\n/opt/my python/bin/python3\n", "/opt/my python/bin/python3", "3.14.0", ""},
		{"3\n10\n12\n/usr/bin/python3\n", "", "", "/usr/bin/python3 is Python 3.10.12, at least 3.11 is needed"},
		{"4\n12\n0\n/usr/bin/python3\n", "", "", "is Python 4.12.0"},
		{"hello", "", "", "says no version"},
		{"", "", "", "says no version"},
	}
	for _, c := range cases {
		path, version, err := parse(c.out)
		if path != c.path || version != c.version || (err == nil) != (c.want == "") {
			t.Errorf("%q: %q, %q, %v", c.out, path, version, err)
		}
		var tool *maven.ToolError
		if err != nil && (!errors.As(err, &tool) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want an error that says %q", c.out, err, c.want)
		}
	}
}

// Every line pins one version of one package: otherwise what the cache holds
// would not be what its key says.
func TestRequirementsArePinned(t *testing.T) {
	pin, n := regexp.MustCompile(`^[A-Za-z0-9._-]+==[0-9][0-9.]*$`), 0
	for line := range strings.Lines(requirements) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if n++; !pin.MatchString(line) {
			t.Errorf("requirement %q has no exact version", line)
		}
	}
	if said := Versions(); n < 2 || strings.Count(said, ",") != 1 || !strings.Contains(said, "fastavro 1") {
		t.Errorf("%d requirements, libraries %q", n, said)
	}
}

func TestMissing(t *testing.T) {
	var unavailable *kafkatest.UnavailableError
	if err := missing(&maven.ToolError{Tool: "python3", Reason: "not found"}); !errors.As(err, &unavailable) {
		t.Errorf("without python3: %v", err)
	}
	if err := missing(&maven.RunError{Tool: "pip"}); !errors.As(err, &unavailable) {
		t.Errorf("without the packages: %v", err)
	}
	if err := missing(&maven.RunError{Tool: checkTool}); errors.As(err, &unavailable) {
		t.Errorf("a list that is not complete: %v", err)
	}
}

// A machine without Python says so, as one without Java does.
func TestWithoutPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var unavailable *kafkatest.UnavailableError
	if _, err := build(t.Context()); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "python3: not found") {
		t.Errorf("got %v", err)
	}
}

func register(t *testing.T, registryURL, subject string) (id int) {
	t.Helper()
	client, err := sr.NewClient(sr.URLs(registryURL))
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateSchema(t.Context(), subject, sr.Schema{Schema: schema})
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	return made.ID
}

func create(t *testing.T, c *kafkatest.Cluster, topics ...string) {
	t.Helper()
	client := dial(t, c)
	responses, err := kadm.NewClient(client).CreateTopics(t.Context(), 3, 1, nil, topics...)
	if err = errors.Join(err, responses.Error()); err != nil {
		t.Fatalf("create topics: %v", err)
	}
}

func transact(t *testing.T, c *kafkatest.Cluster, records []*kgo.Record, end kgo.TransactionEndTry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := dial(t, c, kgo.TransactionalID(c.Topic(t)))
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	// franz-go 1.22.2 ends a transaction without sending anything as long as its
	// own table of topics lacks the partitions that were written to.
	for _, r := range records {
		for leader := int32(-1); leader < 0; {
			var err error
			if leader, _, err = client.PartitionLeader(r.Topic, r.Partition); err != nil || ctx.Err() != nil {
				t.Fatalf("leader of partition %d of %s: %v", r.Partition, r.Topic, errors.Join(err, ctx.Err()))
			}
		}
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		t.Fatalf("end the transaction: %v", err)
	}
}

func dial(t *testing.T, c *kafkatest.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
