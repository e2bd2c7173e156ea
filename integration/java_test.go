package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/javareader"
	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// Apache's own clients for Java read what the bridge wrote, by what a real
// registry says of it: every record of the ledger, each field with its value.
func TestJavaReadsEveryRecord(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	s.registry = kafkatest.Registry(t)
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: 600})
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A field is added while the stream runs: the next event has a new schema.
	if err := s.org.AddField("Account", orgsim.Field{Name: "Score__c", Type: orgsim.Number}); err != nil {
		t.Fatal(err)
	}
	id, err := s.org.Create("Account", orgsim.Fields{"Name": "Späti", "Score__c": 12.5})
	if err != nil {
		t.Fatal(err)
	}
	// A gap event is a record and an entry of the gap ledger.
	if err := s.org.Emit("Account", "GAP_UPDATE", id); err != nil {
		t.Fatal(err)
	}
	want := oracle.Expected(s.org.LedgerFrom(0), s.channels)
	r := s.read(t)
	p := s.start(t)
	r.wait(t, len(want), 2*time.Minute, p.output)
	s.balanced(t)
	p.drain(t)
	s.exactly(t, r)

	topics := make([]string, 0, 4)
	for _, object := range []string{"Account", "Contact", "Invoice__c", "Order__e"} {
		topics = append(topics, s.prefix+"."+object)
	}
	records := javareader.Read(t, cluster.Brokers(), s.registry, topics, len(want))
	if len(records) != len(want) {
		t.Errorf("Java read %d records, want %d", len(records), len(want))
	}
	payloads := make(map[string]map[string]any, len(want))
	for e := range s.org.LedgerFrom(0) {
		payloads[strconv.FormatInt(e.ReplayID, 10)] = decode(t, e.Payload)
	}
	compared, scored := 0, false
	for _, rec := range records {
		payload, ok := payloads[header(rec, "sf-replay-id")]
		if !ok {
			t.Fatalf("no event with the replay id of %+v", rec)
		}
		compared += sameFields(t, header(rec, "sf-replay-id"), payload, decode(t, rec.Value))
		scored = scored || strings.Contains(string(rec.Value), `"Score__c":12.5`) && strings.Contains(string(rec.Value), id)
	}
	if !scored {
		t.Error("the field that was added while the stream ran did not arrive")
	}
	gaps := javareader.Read(t, cluster.Brokers(), s.registry, []string{s.name + ".gaps"}, 1)
	if len(gaps) != 1 || !strings.Contains(string(gaps[0].Value), `"reason":"gap_event"`) || !strings.Contains(string(gaps[0].Value), id) {
		t.Errorf("gap ledger: %+v", gaps)
	}
	t.Logf("Java decoded %d records and agreed on %d field values", len(records), compared)
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return out
}

// sameFields checks that every field that Salesforce sent has its value in the
// record, and every other one is null, and counts them.
func sameFields(t *testing.T, at string, sent, got map[string]any) int {
	t.Helper()
	n := 0
	for _, name := range slices.Sorted(maps.Keys(got)) {
		value, ok := sent[name]
		if parts, nested := value.(map[string]any); nested {
			inner, isRecord := got[name].(map[string]any)
			if !isRecord {
				t.Errorf("replay id %s: %s is %v, want a record", at, name, got[name])
				continue
			}
			n += sameFields(t, at, parts, inner)
			continue
		}
		if !ok && name != "nulledFields" && name != "diffFields" && got[name] != nil {
			t.Errorf("replay id %s: %s is %v and Salesforce did not send it", at, name, got[name])
		}
		if ok && !sameValue(value, got[name]) {
			t.Errorf("replay id %s: %s is %v, Salesforce sent %v", at, name, got[name], value)
		}
		n++
	}
	for name := range sent {
		if _, ok := got[name]; !ok {
			t.Errorf("replay id %s: %s is missing", at, name)
		}
	}
	return n
}

// sameValue compares what Salesforce wrote in JSON with what an Avro reader has:
// times are milliseconds there, numbers may be written in other ways.
func sameValue(sent, got any) bool {
	switch v := sent.(type) {
	case json.Number:
		a, errA := v.Float64()
		b, errB := strconv.ParseFloat(fmt.Sprint(got), 64)
		exact := strings.ContainsAny(v.String(), ".eE") || v.String() == fmt.Sprint(got)
		return errA == nil && errB == nil && a == b && exact
	case string:
		if _, isNumber := got.(json.Number); isNumber {
			return fmt.Sprint(millis(v)) == fmt.Sprint(got)
		}
	}
	return fmt.Sprint(sent) == fmt.Sprint(got)
}

// millis is the number that a date, a time or both become.
func millis(text string) int64 {
	for layout, midnight := range map[string]bool{"2006-01-02T15:04:05.000Z": false, "2006-01-02": false, "15:04:05.000Z": true} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if midnight {
			return at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()
		}
		return at.UnixMilli()
	}
	return -1
}

func header(r javareader.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
