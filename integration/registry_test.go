package integration

import (
	"bytes"
	"context"
	wire "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// realRegistry is a site with a registry that checks compatibility.
type realRegistry struct {
	*site
	url     string
	subject string
	reader  *reader
}

func newRealRegistry(t *testing.T) *realRegistry {
	t.Helper()
	cluster := kafkatest.Shared(t)
	r := &realRegistry{site: newSite(t, strings.ToLower(cluster.Topic(t)), cluster.Brokers(), "/data/AccountChangeEvent"), url: kafkatest.Registry(t)}
	r.registry = r.url
	r.subject = r.prefix + ".Account-value"
	r.reader = r.read(t)
	return r
}

// ask sends a request to the registry and decodes its answer.
func (r *realRegistry) ask(t *testing.T, method, path string, body, into any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%v in %s", err, answer)
		}
	}
}

func (r *realRegistry) backward(t *testing.T) {
	t.Helper()
	r.ask(t, http.MethodPut, "/config/"+r.subject, map[string]string{"compatibility": "BACKWARD"}, nil)
}

func (r *realRegistry) latest(t *testing.T, subject string) (text string, version int) {
	t.Helper()
	var got struct {
		Schema  string
		Version int
	}
	r.ask(t, http.MethodGet, "/subjects/"+subject+"/versions/latest", nil, &got)
	return got.Schema, got.Version
}

// create publishes accounts, which the bridge has not seen yet.
func (r *realRegistry) create(t *testing.T, n int, fields orgsim.Fields) {
	t.Helper()
	for i := range n {
		all := orgsim.Fields{"Name": fmt.Sprint("Account ", i)}
		for name, value := range fields {
			all[name] = value
		}
		if _, err := r.org.Create("Account", all); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *realRegistry) arrived(t *testing.T, p *process) {
	t.Helper()
	r.reader.wait(t, len(oracle.Expected(r.org.LedgerFrom(0), r.channels)), time.Minute, func() string { return tail(p.output()) })
}

// schemas runs the command and checks its exit code.
func (r *realRegistry) schemas(t *testing.T, code int, args ...string) string {
	t.Helper()
	p := command(t, append(append([]string{"schemas"}, args...), "--config", r.config(t))...)
	if got := p.exit(t, time.Minute); got != code {
		t.Errorf("schemas %v: exit code %d, want %d\n%s", args, got, code, p.output())
	}
	return p.output()
}

// A registry that checks compatibility takes each new schema of a stream as a
// version; one that it refuses halts the stream with the difference, and goes to
// a new subject where that is asked for.
func TestRegistryThatChecks(t *testing.T) {
	r := newRealRegistry(t)
	r.create(t, 5, nil)
	p := r.start(t)
	r.arrived(t, p)
	r.backward(t)
	for _, name := range []string{"Score__c", "Rank__c"} {
		if err := r.org.AddField("Account", orgsim.Field{Name: name, Type: orgsim.Number}); err != nil {
			t.Fatal(err)
		}
		r.create(t, 5, orgsim.Fields{name: 1})
		r.arrived(t, p)
	}
	text, version := r.latest(t, r.subject)
	if version != 3 {
		t.Errorf("the subject has version %d, want 3", version)
	}
	if got := r.schemas(t, 0, "diff", "Account"); !strings.Contains(got, "are the same") {
		t.Error(got)
	}
	// Somebody else registers what the org will not have.
	theirs := strings.Replace(text, `{"name":"Rank__c"`, `{"name":"Level__c","type":["null","string"],"default":null},{"name":"Rank__c"`, 1)
	r.ask(t, http.MethodPost, "/subjects/"+r.subject+"/versions", map[string]string{"schema": theirs}, nil)
	if err := r.org.AddField("Account", orgsim.Field{Name: "Level__c", Type: orgsim.Number}); err != nil {
		t.Fatal(err)
	}
	if got := r.schemas(t, 1, "diff", "Account"); !strings.Contains(got, "field Level__c retyped from null|string to null|double") {
		t.Error(got)
	}
	r.create(t, 5, orgsim.Fields{"Level__c": 1})
	if code := p.exit(t, time.Minute); code != 4 {
		t.Errorf("exit code %d with its only stream halted, want 4", code)
	}
	for _, want := range []string{"subject " + r.subject + " refuses schema com.sforce.eventbus.AccountChangeEvent", "latest version 4",
		"field Level__c retyped from null|string to null|double", "registry.on_incompatible"} {
		if !strings.Contains(p.output(), want) {
			t.Errorf("the halt does not say %q:\n%s", want, tail(p.output()))
		}
	}

	r.registry = r.url + "\n  on_incompatible: new_subject"
	p = r.start(t)
	r.arrived(t, p)
	r.balanced(t)
	p.drain(t)
	r.exactly(t, r.reader)
	if _, version := r.latest(t, r.subject+"-v2"); version != 1 {
		t.Errorf("the new subject has version %d", version)
	}
	want := []string{r.subject + " 1", r.subject + " 2", r.subject + " 3", r.subject + "-v2 1"}
	if got := r.changes(t, len(want)); !slices.Equal(got, want) {
		t.Errorf("schema changes at %v, want %v", got, want)
	}
	if got := r.schemas(t, 0, "list", "--json"); !strings.Contains(got, `"subject":"`+r.subject+`-v2","version":1`) || !strings.Contains(got, `"in_sync":true`) {
		t.Error(got)
	}
}

// Schemas of the other envelopes evolve as those of events do: a registry that
// checks takes a field more, readers read what is before and after it, and a field
// of another type halts the stream.
func TestRegistryChecksEnvelopes(t *testing.T) {
	for envelope, c := range map[string]struct{ schema, in string }{
		"flat":     {schema: "bridge.flat.AccountChangeEvent"},
		"debezium": {schema: "bridge.debezium.AccountChangeEvent.Envelope", in: "before."},
	} {
		t.Run(envelope, func(t *testing.T) {
			r := newRealRegistry(t)
			r.extra = "envelope: " + envelope + "\n"
			r.create(t, 5, nil)
			p := r.start(t)
			r.arrived(t, p)
			r.backward(t)
			if err := r.org.AddField("Account", orgsim.Field{Name: "Score__c", Type: orgsim.Number}); err != nil {
				t.Fatal(err)
			}
			r.create(t, 5, orgsim.Fields{"Score__c": 1.5})
			r.arrived(t, p)
			text, version := r.latest(t, r.subject)
			if version != 2 || !strings.Contains(text, "Score__c") {
				t.Errorf("the subject has version %d, want 2 with the field: %s", version, text)
			}
			r.scored(t)
			r.backwardRead(t, text)
			// Somebody else registers what the org will not have.
			theirs := strings.Replace(text, `{"name":"Score__c"`, `{"name":"Level__c","type":["null","string"],"default":null},{"name":"Score__c"`, 1)
			r.ask(t, http.MethodPost, "/subjects/"+r.subject+"/versions", map[string]string{"schema": theirs}, nil)
			if err := r.org.AddField("Account", orgsim.Field{Name: "Level__c", Type: orgsim.Number}); err != nil {
				t.Fatal(err)
			}
			r.create(t, 5, orgsim.Fields{"Level__c": 1})
			if code := p.exit(t, time.Minute); code != 4 {
				t.Errorf("exit code %d with its only stream halted, want 4", code)
			}
			for _, want := range []string{"subject " + r.subject + " refuses schema " + c.schema, "latest version 3",
				"field " + c.in + "Level__c retyped from null|string to null|double"} {
				if !strings.Contains(p.output(), want) {
					t.Errorf("the halt does not say %q:\n%s", want, tail(p.output()))
				}
			}
		})
	}
}

// scored checks that strangers read five accounts of before a field was added and
// five with it, all the same.
func (r *realRegistry) scored(t *testing.T) {
	t.Helper()
	var first []foreign.Record
	for _, s := range strangers(t) {
		t.Run(s.name, func(t *testing.T) {
			records := s.read(t, r.brokers, r.url, []string{r.prefix + ".Account"}, 10)
			scores := map[string]int{}
			for i := range records {
				scores[scoreOf(t, records[i].Value)]++
			}
			if want := map[string]int{"no such field": 5, "1.5": 5}; !maps.Equal(scores, want) {
				t.Errorf("scores %v, want %v", scores, want)
			}
			j := &judge{}
			if first == nil {
				first = records
			}
			if j.agree(first, records); len(j.differences) > 0 {
				t.Errorf("%q", j.differences)
			}
		})
	}
}

func scoreOf(t *testing.T, value json.RawMessage) string {
	t.Helper()
	var row map[string]any
	if err := json.Unmarshal(value, &row); err != nil {
		t.Fatal(err)
	}
	if after, ok := row["after"].(map[string]any); ok {
		row = after
	}
	score, ok := row["Score__c"]
	if !ok {
		return "no such field"
	}
	return fmt.Sprint(score)
}

// backwardRead checks what BACKWARD is for: a consumer that has the newest schema
// reads with it the five accounts of before the field as well.
func (r *realRegistry) backwardRead(t *testing.T, newest string) {
	t.Helper()
	reader, err := avro.ParseWithCache(newest, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	d := newDecoder(r.url)
	scores := map[string]int{}
	for _, rec := range recordsOf(t, r.brokers, r.prefix+".Account", 10) {
		writer, err := d.schema(t.Context(), int(wire.BigEndian.Uint32(rec.Value[1:5])))
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := avro.NewSchemaCompatibility().Resolve(reader, writer)
		if err != nil {
			t.Fatal(err)
		}
		value, err := d.value(resolved, rec.Value[5:])
		if err != nil {
			t.Fatal(err)
		}
		scores[scoreOf(t, value)]++
	}
	if want := map[string]int{"<nil>": 5, "1.5": 5}; !maps.Equal(scores, want) {
		t.Errorf("with the newest schema the scores are %v, want %v", scores, want)
	}
}

// Where nothing may be registered, a stream goes as far as somebody else has
// registered its schemas.
func TestRegistryThatIsOnlyRead(t *testing.T) {
	r := newRealRegistry(t)
	r.registry = r.url + "\n  auto_register: false"
	for subject, name := range map[string]string{r.subject: "Account", r.name + ".schema-changes-value": "SchemaChange"} {
		r.ask(t, http.MethodPost, "/subjects/"+subject+"/versions", map[string]string{"schema": r.schemas(t, 0, "show", name)}, nil)
	}
	r.create(t, 5, nil)
	p := r.start(t)
	r.arrived(t, p)
	p.drain(t)
	if err := r.org.AddField("Account", orgsim.Field{Name: "Score__c", Type: orgsim.Number}); err != nil {
		t.Fatal(err)
	}
	r.create(t, 5, orgsim.Fields{"Score__c": 1})
	p = r.start(t)
	if code := p.exit(t, time.Minute); code != 4 || !strings.Contains(p.output(), "without these changes: field Score__c added (null|double)") {
		t.Errorf("exit code %d:\n%s", code, tail(p.output()))
	}
	if _, version := r.latest(t, r.subject); version != 1 {
		t.Errorf("version %d was registered", version)
	}
	r.ask(t, http.MethodPost, "/subjects/"+r.subject+"/versions", map[string]string{"schema": r.schemas(t, 0, "show", "Account")}, nil)
	p = r.start(t)
	r.arrived(t, p)
	p.drain(t)
	r.exactly(t, r.reader)
}

// changes reads where in the registry the recorded schemas are.
func (r *realRegistry) changes(t *testing.T, n int) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumeTopics(r.name+".schema-changes"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var schema struct{ Schema string }
	r.ask(t, http.MethodGet, "/subjects/"+r.name+".schema-changes-value/versions/1", nil, &schema)
	parsed, err := avro.ParseWithCache(schema.Schema, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []string
	for len(out) < n && ctx.Err() == nil {
		for rec := range cl.PollFetches(ctx).RecordsAll() {
			var got struct {
				Subject *string `avro:"subject"`
				Version *int    `avro:"version"`
			}
			if err := avro.Unmarshal(parsed, rec.Value[5:], &got); err != nil {
				t.Fatal(err)
			}
			if got.Subject == nil || got.Version == nil {
				t.Fatalf("the registry did not say where %s is", rec.Key)
			}
			out = append(out, fmt.Sprint(*got.Subject, " ", *got.Version))
		}
	}
	return out
}
