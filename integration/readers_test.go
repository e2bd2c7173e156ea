package integration

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/foreign/java"
	"github.com/sfbridge/bridge/integration/foreign/python"
	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// stranger is a reader that shares no code with the bridge's writer.
type stranger struct {
	name, libraries string
	read            func(t *testing.T, brokers []string, registryURL string, topics []string, want int) []foreign.Record
}

func strangers(t *testing.T) []stranger {
	const gomod = "../go.mod"
	program := func(name, libraries string, open func(testing.TB) *foreign.Reader) stranger {
		return stranger{name, libraries, func(t *testing.T, brokers []string, registryURL string, topics []string, want int) []foreign.Record {
			return open(t).Read(t, brokers, registryURL, topics, want)
		}}
	}
	return []stranger{
		program("Java", java.Libraries(), java.Reader),
		program("Python", python.Libraries(), python.Reader),
		{"Go", "franz-go " + versionIn(t, gomod, `twmb/franz-go v(\S+)`) + ", hamba/avro " + versionIn(t, gomod, `hamba/avro/v2 v(\S+)`), readWithGo},
	}
}

func versionIn(t *testing.T, path, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has nothing like %s", path, pattern)
	}
	return string(found[1])
}

// Strangers read what the bridge wrote, in three languages, by what a real
// registry says of it: every record that the ledger demands and no other, each
// with its topic, time, headers and every field's value, and the gap ledger.
func TestReadersAgreeWithTheLedger(t *testing.T) {
	cluster := kafkatest.Shared(t)
	s := newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), fourChannels...)
	s.registry = kafkatest.Registry(t)
	began := time.Now()
	everything(t, s)
	want := withTombstones(oracle.Expected(s.org.LedgerFrom(0), s.channels))
	gaps := 0
	for e := range s.org.LedgerFrom(0) {
		if reasonOf(e) != "" {
			gaps++
		}
	}
	ledger := s.name + ".gaps"
	topics := []string{ledger}
	for _, o := range orgsim.DefaultObjects() {
		topics = append(topics, s.prefix+"."+o.Name)
	}

	var first []foreign.Record
	table := []string{fmt.Sprintf("%-7s %-45s %8s %8s %13s %11s", "reader", "libraries", "seconds", "records", "field values", "differences")}
	for _, f := range strangers(t) {
		t.Run(f.name, func(t *testing.T) {
			before := time.Now()
			records := f.read(t, s.brokers, s.registry, topics, len(want)+gaps)
			took := time.Since(before)
			j := s.judge(t, began)
			j.all(want, records, ledger)
			if first == nil {
				first = records
			} else {
				j.agree(first, records)
			}
			for _, d := range j.differences[:min(len(j.differences), 20)] {
				t.Error(d)
			}
			if len(j.differences) > 0 {
				t.Errorf("%d differences", len(j.differences))
			}
			table = append(table, fmt.Sprintf("%-7s %-45s %8.1f %8d %13d %11d", f.name, f.libraries, took.Seconds(), j.records, j.values, len(j.differences)))
		})
	}
	t.Logf("%d events, %d records demanded, %d entries of the gap ledger\n%s", s.org.LedgerLen(), len(want), gaps, strings.Join(table, "\n"))
}

// everything makes the org publish all that a record can say, and the bridge
// write it.
func everything(t *testing.T, s *site) {
	t.Helper()
	load, err := s.org.NewLoad(orgsim.LoadConfig{Events: 600})
	if err != nil {
		t.Fatal(err)
	}
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := s.read(t)
	p := s.startCompacted(t)
	half := len(withTombstones(oracle.Expected(s.org.LedgerFrom(0), s.channels)))
	r.wait(t, half, 2*time.Minute, p.output)
	// The rest while the stream runs: what comes after AddField has a new schema.
	script(t, s.org)
	all := len(withTombstones(oracle.Expected(s.org.LedgerFrom(0), s.channels)))
	r.wait(t, all, 2*time.Minute, p.output)
	s.balanced(t)
	p.drain(t)
}

// startCompacted starts the bridge with record topics that are compacted, so
// that a tombstone follows a DELETE.
func (s *site) startCompacted(t *testing.T) *process {
	t.Helper()
	path := s.config(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const partitions = "  partitions: 6\n"
	if strings.Count(string(text), partitions) != 1 {
		t.Fatalf("no section of topics in\n%s", text)
	}
	write(t, path, strings.Replace(string(text), partitions, partitions+"  settings: {cleanup.policy: compact}\n", 1))
	return command(t, "run", "--config", path)
}

// script publishes, one by one, what a load may or may not have drawn.
func script(t *testing.T, org *orgsim.Org) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func(object string, fields orgsim.Fields) string {
		t.Helper()
		id, err := org.Create(object, fields)
		must(err)
		return id
	}
	must(org.AddField("Account", orgsim.Field{Name: "Score__c", Type: orgsim.Number}))
	one := create("Account", orgsim.Fields{"Name": "Späti \"24/7\" 🙂", "Score__c": 12.5, "NumberOfEmployees": 1<<31 - 1})
	two := create("Account", orgsim.Fields{"Name": orgsim.Fields{"FirstName": "Zoë", "LastName": "Ångström"}, "NumberOfEmployees": -1<<31 + 1,
		"Description": "first\nsecond\nthird", "BillingAddress": orgsim.Fields{"City": "Malmö", "Latitude": -0.1, "Longitude": 1e-7}})
	must(org.UpdateAll("Account", []string{one, two}, orgsim.Fields{"Rating": "Hot", "Score__c": 9007199254740993}))
	must(org.UpdateUngrouped("Account", []string{one, two}, orgsim.Fields{"Rating": "Cold"}))
	must(org.UpdateDiff("Account", two, "Description", "first\nzweite\nthird"))
	must(org.Update("Account", two, orgsim.Fields{"Score__c": nil, "NumberOfEmployees": nil, "BillingAddress": orgsim.Fields{"City": nil, "Latitude": 1}}))
	must(org.Update("Account", two, orgsim.Fields{"BillingAddress": nil}))

	contact := create("Contact", orgsim.Fields{"Name": orgsim.Fields{"LastName": "Iyer"}, "Birthdate": "1700-01-01", "HasOptedOutOfEmail": true, "Email": "a@example.org"})
	create("Contact", orgsim.Fields{"Name": orgsim.Fields{"LastName": "Berg"}, "Birthdate": "4000-12-31", "ReportsToId": contact})
	invoice := create("Invoice__c", orgsim.Fields{"Account__c": one, "Amount__c": 1e18, "Quantity__c": 0.30000000000000004, "Discount__c": -100,
		"Due_Date__c": "1969-12-31", "Sent_At__c": "1969-12-31T23:59:59.999Z", "Cutoff__c": "00:00:00.000Z", "Tags__c": "Rush;Export",
		"Notes__c": strings.Repeat("\u0001\t\\ Änderung 契約\u2028\n", 4000), "Loc__c": orgsim.Fields{"Latitude": 90, "Longitude": -180}, "Paid__c": true})
	must(org.Update("Invoice__c", invoice, orgsim.Fields{"Cutoff__c": "23:59:59.999Z", "Sent_At__c": "4000-12-31T23:59:59.999Z", "Loc__c": nil}))
	must(org.Delete("Invoice__c", invoice))
	must(org.Undelete("Invoice__c", invoice))
	must(org.Delete("Contact", contact))

	for _, fields := range []orgsim.Fields{
		{"Order_Number__c": "O-1", "Status__c": "Zürich", "Amount__c": 0.1, "Express__c": true, "Ordered_At__c": "2026-02-28T23:59:59.999Z",
			"Delivery_Date__c": "2028-02-29", "Details__c": "{\"a\":1}"},
		{"Order_Number__c": "O-2"},
	} {
		_, err := org.Publish("Order__e", fields)
		must(err)
	}
	for _, change := range []string{"GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE"} {
		must(org.Emit("Account", change, one))
	}
	must(org.Emit("Contact", "GAP_OVERFLOW"))
	must(org.EmitWildcard("Invoice__c"))
}

// withTombstones adds those that follow the records of a DELETE.
func withTombstones(records []oracle.Record) []oracle.Record {
	var out []oracle.Record
	for _, r := range records {
		out = append(out, r)
		if r.Operation == "DELETE" {
			r.Operation = oracle.Tombstone
			out = append(out, r)
		}
	}
	return out
}

// all judges everything that a reader read.
func (j *judge) all(want []oracle.Record, records []foreign.Record, ledger string) {
	var gaps, rest []foreign.Record
	for _, r := range records {
		if r.Topic == ledger {
			gaps = append(gaps, r)
		} else {
			rest = append(rest, r)
		}
	}
	j.identities(want, rest)
	for i := range rest {
		j.record(&rest[i])
	}
	j.gaps(gaps)
	j.covered()
}

// covered checks that every field of every object had a value in some record,
// that there was every kind of record, and that a schema changed on the way:
// otherwise less was compared than it seems.
func (j *judge) covered() {
	for _, kind := range []string{"", "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE",
		"GAP_OVERFLOW", "merged", "tombstone", "nulledFields", "diffFields"} {
		if j.kinds[kind] == 0 {
			j.differ("no record of the kind %q", kind)
		}
	}
	for _, o := range orgsim.DefaultObjects() {
		for _, f := range o.Fields {
			if !j.valued[o.Name+"."+f.Name] {
				j.differ("no record has a value for %s.%s", o.Name, f.Name)
			}
		}
	}
	if !j.valued["Account.Score__c"] || len(j.schemas["Account"]) < 2 || len(j.schemas["Contact"]) != 1 {
		j.differ("the schema that changed while the stream ran: ids %v", j.schemas)
	}
}

// agree checks that a reader saw what the first one saw, byte for byte where
// there are bytes, and number for number where there are numbers.
func (j *judge) agree(first, records []foreign.Record) {
	place := func(r *foreign.Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
	was := map[string]*foreign.Record{}
	for i := range first {
		was[place(&first[i])] = &first[i]
	}
	for i := range records {
		b := &records[i]
		a := was[place(b)]
		if a == nil {
			j.differ("%s: the first reader did not see it", place(b))
			continue
		}
		if (a.Key == nil) != (b.Key == nil) || string(a.Key) != string(b.Key) || a.Timestamp != b.Timestamp ||
			a.Schema != b.Schema || a.SchemaID != b.SchemaID || !slices.Equal(headerLines(a), headerLines(b)) {
			j.differ("%s: key, time, headers or schema differ from what the first reader saw:\n%+v\n%+v", place(b), a, b)
		}
		if (a.Value == nil) != (b.Value == nil) {
			j.differ("%s: one reader sees a tombstone", place(b))
			continue
		}
		if a.Value == nil {
			continue
		}
		x, errX := parseObject(a.Value)
		y, errY := parseObject(b.Value)
		if errX != nil || errY != nil || !sameTree(x, y) {
			j.differ("%s: the readers see\n%.3000s (%v)\n%.3000s (%v)", place(b), a.Value, errX, b.Value, errY)
		}
	}
}

// sameTree is equality of two readings, in which a double may be spelt in two
// ways.
func sameTree(a, b any) bool {
	x, ok := a.(map[string]any)
	if !ok {
		return reflect.TypeOf(a) == reflect.TypeOf(b) && sameValue(a, b)
	}
	y, ok := b.(map[string]any)
	if !ok || len(x) != len(y) {
		return false
	}
	for name := range x {
		other, there := y[name]
		if !there || !sameTree(x[name], other) {
			return false
		}
	}
	return true
}
