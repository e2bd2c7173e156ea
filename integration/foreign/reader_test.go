package foreign_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/foreign/java"
	"github.com/sfbridge/bridge/integration/foreign/python"
	"github.com/sfbridge/bridge/integration/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// Every reader does all that the package promises.
func TestReaders(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *foreign.Reader{"Java": java.Reader, "Python": python.Reader} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			t.Run("Apicurio", func(t *testing.T) { testRead(t, r, kafkatest.Registry(t)) })
			t.Run("fake registry", func(t *testing.T) {
				registry := srfake.New()
				t.Cleanup(registry.Close)
				testRead(t, r, registry.URL())
			})
			t.Run("refuses", func(t *testing.T) { testRefuses(t, r) })
			t.Run("gives up", func(t *testing.T) { testGivesUp(t, r) })
		})
	}
}

// Fifty records over two topics, a tombstone, and a transaction that was aborted.
func testRead(t *testing.T, reader *foreign.Reader, registryURL string) {
	c := kafkatest.Shared(t)
	topics := []string{c.Topic(t), c.Topic(t)}
	create(t, c, topics...)
	id := register(t, registryURL, topics[0]+"-value")
	// Some deserializers ask for the id among the schemas of the topic.
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
	got := reader.Read(t, c.Brokers(), registryURL+"/", topics, len(records)-1) // one more is there than asked for
	t.Logf("%s read %d records in %.1fs", reader.Language, len(got), time.Since(began).Seconds())
	if len(got) != len(records) {
		t.Fatalf("read %d records, want %d", len(got), len(records))
	}
	byPlace := map[string]foreign.Record{}
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

func checkThing(t *testing.T, r *foreign.Record, i, id int) {
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
func testRefuses(t *testing.T, reader *foreign.Reader) {
	registry := srfake.New()
	t.Cleanup(registry.Close)
	c := kafkatest.Shared(t)
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
			_, err := reader.Run(t.Context(), foreign.Query{Brokers: c.Brokers(), Registry: registry.URL(), Topics: []string{topic}, Want: 2, Limit: time.Minute})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), topic+"/") {
				t.Errorf("got %v, want an error that names the record and says %q", err, tc.want)
			}
		})
	}
}

func testGivesUp(t *testing.T, reader *foreign.Reader) {
	c := kafkatest.Shared(t)
	topic := c.Topic(t)
	read := func(want int) error {
		_, err := reader.Run(t.Context(), foreign.Query{Brokers: c.Brokers(), Registry: "http://unused.invalid", Topics: []string{topic}, Want: want, Limit: time.Second})
		return err
	}
	if err := read(1); err == nil || !strings.Contains(err.Error(), "exist") || !strings.Contains(err.Error(), topic) {
		t.Errorf("a topic that is not there: %v", err)
	}
	create(t, c, topic)
	if err := read(7); err == nil || !strings.Contains(err.Error(), "0 of 7 records") {
		t.Errorf("a record that is not there: %v", err)
	}
}
