package schemas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/schemas"
)

// people is what people of an org call its things, and who asked.
type people struct {
	mu     sync.Mutex
	label  string
	fields []schemas.FieldDescription
	fails  error
	asked  []string
}

func (p *people) DescribeObject(_ context.Context, object string) (*schemas.Description, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, object)
	if p.fails != nil {
		return nil, p.fails
	}
	return &schemas.Description{Label: p.label, Fields: p.fields}, nil
}

func newPeople() *people {
	return &people{label: "Firma", fields: []schemas.FieldDescription{
		{Name: "Id", Label: "Record ID", Type: "id"},
		{Name: "Rating", Label: "Bewertung", Help: "How \"promising\" it\n is.", Type: "picklist"},
		{Name: "BillingAddress", Label: "Rechnungsanschrift", Type: "address"},
		{Name: "BillingCity", Label: "Ort", Type: "string"},
		{Name: "Since__c", Label: "Seit: wann", Type: "date"},
		{Name: "Unseen__c", Label: "Unseen", Type: "string"},
	}}
}

func described(p *people) func(*schemas.RegistryConfig) {
	return func(c *schemas.RegistryConfig) { c.Describer = p }
}

const docHeader = `{"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[{"name":"entityName","type":"string"},{"name":"recordIds","type":{"type":"array","items":"string"}}]}}`

// account is a change event of an object, with a field more for each name.
func account(t *testing.T, more ...string) *schemas.Schema {
	t.Helper()
	fields := []string{
		docHeader,
		`{"name":"Rating","type":["null","string"],"doc":"Data:DynamicEnum"}`,
		`{"name":"BillingAddress","type":["null",{"type":"record","name":"Address","fields":[{"name":"City","type":["null","string"],"doc":"Data:Text"}]}]}`,
		`{"name":"ShippingAddress","type":["null","Address"]}`,
		`{"name":"Since__c","type":["null","long"],"doc":"Data:DateOnly:00N1"}`,
	}
	for _, name := range more {
		fields = append(fields, `{"name":"`+name+`","type":["null","string"]}`)
	}
	return mustParse(t, strings.Replace(event(fields...), "X__e", "AccountChangeEvent", 1))
}

// TestDocumented holds where docs go in each shape of an event, and that nothing
// but docs is another. The texts are a promise to readers.
func TestDocumented(t *testing.T) {
	const rating, since = "Bewertung (picklist)\nHow \"promising\" it is.\nData:DynamicEnum", "Seit: wann (date)\nData:DateOnly:00N1"
	event := account(t)
	flat, err := schemas.Flat(event)
	if err != nil {
		t.Fatal(err)
	}
	debezium, err := schemas.Debezium(event)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		s    *schemas.Schema
		want map[string]string // by path; "" is the record of the fields
	}{
		{"event", event, map[string]string{
			"": "Firma", "Rating": rating, "Since__c": since, "BillingAddress": "Rechnungsanschrift (address)", "ShippingAddress": "",
			"BillingAddress.City": "Data:Text",
		}},
		{"flat", flat, map[string]string{
			"": "Firma", "Rating": rating, "Since__c": since, "BillingCity": "Ort (string)\nData:Text", "ShippingCity": "Data:Text",
			"Id": "Record ID (id)\nThe record's id, of 18 characters", "_entityName": "",
		}},
		{"debezium", debezium, map[string]string{"after": "", "after.Rating": rating, "before.Rating": rating, "after.BillingCity": "Ort (string)\nData:Text"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := string(c.s.JSON)
			p := newPeople()
			out, err := newRegistry(t, nil, described(p)).Documented(t.Context(), c.s)
			if err != nil {
				t.Fatal(err)
			}
			if string(c.s.JSON) != before || out.ID != c.s.ID || out.FullName != c.s.FullName || len(p.asked) != 1 || p.asked[0] != "Account" {
				t.Errorf("the schema itself was changed, or asked for: %v", p.asked)
			}
			if diff := schemas.Diff(c.s, out); len(diff) == 0 || len(diff.Structural()) > 0 {
				t.Errorf("other than docs: %s", diff.Structural())
			}
			if _, err := avro.ParseWithCache(string(out.JSON), "", &avro.SchemaCache{}); err != nil {
				t.Error(err)
			}
			for path, want := range c.want {
				if got := docAt(t, out, path); got != want {
					t.Errorf("%q: %q, want %q", path, got, want)
				}
			}
			inJSON, err := newRegistry(t, nil, described(p)).Documented(t.Context(), schemas.JSONSchema(c.s))
			if err != nil || inJSON.TextType != schemas.JSONSchemaText || !strings.Contains(string(inJSON.JSON), `"description":"Bewertung (picklist)\nHow`) ||
				!strings.Contains(string(inJSON.JSON), `"description":"Firma"`) {
				t.Errorf("as a JSON Schema: %s, %v", inJSON.JSON, err)
			}
			if diff := schemas.Diff(schemas.JSONSchema(c.s), inJSON); len(diff) != 1 || len(diff.Structural()) > 0 {
				t.Errorf("as a JSON Schema, other than docs: %s", diff)
			}
		})
	}
}

// docAt is the doc of a field by its path, that of the record for "".
func docAt(t *testing.T, s *schemas.Schema, path string) string {
	t.Helper()
	var at map[string]any
	if err := json.Unmarshal(s.JSON, &at); err != nil {
		t.Fatal(err)
	}
	named := make(map[string]map[string]any)
	for name := range strings.SplitSeq(path, ".") {
		if name == "" {
			break
		}
		fields, ok := record(at, named)["fields"].([]any)
		if !ok {
			t.Fatalf("%s: no record before %s", path, name)
		}
		var found map[string]any
		for _, one := range fields {
			f := one.(map[string]any)
			record(f, named)
			if f["name"] == name {
				found = f
				break
			}
		}
		if found == nil {
			t.Fatalf("no field %s", path)
		}
		at = found
	}
	doc, _ := at["doc"].(string)
	return doc
}

// record is the record that a field or a type has, and notes its name.
func record(n any, named map[string]map[string]any) map[string]any {
	switch n := n.(type) {
	case map[string]any:
		if n["type"] == "record" {
			named[fmt.Sprint(n["name"])] = n
			return n
		}
		return record(n["type"], named)
	case []any:
		for _, branch := range n {
			if found := record(branch, named); found != nil {
				return found
			}
		}
	case string:
		return named[n[strings.LastIndexByte(n, '.')+1:]]
	}
	return nil
}

// TestDescribedObjects: whose description is asked for, "" for none.
func TestDescribedObjects(t *testing.T) {
	change := func(name string) *schemas.Schema {
		return mustParse(t, strings.Replace(event(docHeader, `{"name":"A","type":["null","string"]}`), "X__e", name, 1))
	}
	c := newOrg("SELECT Id FROM Invoice__c").catalog()
	topic, err := c.PushTopic(t.Context(), "Invoices")
	if err != nil {
		t.Fatal(err)
	}
	generic, err := c.Generic()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		s    *schemas.Schema
		want string
	}{
		{change("AccountChangeEvent"), "Account"},
		{change("Invoice__ChangeEvent"), "Invoice__c"},
		{change("acme__Invoice__ChangeEvent"), "acme__Invoice__c"},
		{mustParse(t, event(`{"name":"A","type":"string"}`)), "X__e"},
		{topic, "Invoice__c"},
		{generic, ""},
		{schemas.Gap(), ""},
		{schemas.SchemaChange(), ""},
		{schemas.StringKey(), ""},
	} {
		p := newPeople()
		out, err := newRegistry(t, nil, described(p)).Documented(t.Context(), c.s)
		if got := strings.Join(p.asked, " "); err != nil || got != c.want || c.want == "" && out != c.s {
			t.Errorf("%s: asked for %q, want %q: %v", c.s.FullName, got, c.want, err)
		}
		if c.s == topic && !strings.Contains(string(out.JSON), `"doc":"Record ID (id)\nData:EntityId"`) {
			t.Errorf("%s", out.JSON)
		}
	}
}

// TestDescribedOnce: a field with a doc whose type has one too has one description.
func TestDescribedOnce(t *testing.T) {
	s := mustParse(t, strings.Replace(event(strings.Replace(docHeader, `"type":"record",`, `"type":"record","doc":"of the type",`, 1)), `{"name":"ChangeEventHeader","type":{`, `{"name":"ChangeEventHeader","doc":"of the field","type":{`, 1))
	text := string(schemas.JSONSchema(s).JSON)
	if !strings.Contains(text, `"ChangeEventHeader":{"description":"of the field","type":"object"`) || strings.Count(text, "description") != 1 {
		t.Error(text)
	}
}

// TestUndescribed: an org that does not tell costs a schema its docs, once for an
// object, and nobody else anything.
func TestUndescribed(t *testing.T) {
	var told []error
	p := newPeople()
	p.fails = errors.New("404 NOT_FOUND")
	fake := srfake.NewRegistry()
	r := client(t, fake, func(http.ResponseWriter, *http.Request) bool { return false }, described(p), func(c *schemas.RegistryConfig) {
		c.Undescribed = func(err error) { told = append(told, err) }
	})
	for i, s := range []*schemas.Schema{account(t), account(t, "A__c"), account(t)} {
		if _, err := r.Register(t.Context(), "x", s); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(p.asked) != 1 || len(told) != 2 || !errors.Is(told[0], p.fails) || told[0].Error() != "no docs for the schemas of Account: 404 NOT_FOUND" {
		t.Errorf("asked %v, told %v", p.asked, told)
	}
	if got, ok := fake.GetSchema("x", 1); !ok || got.Schema.Schema != string(account(t).JSON) {
		t.Errorf("registered: %v", got)
	}
}

// TestTooManyDocs: what a registry might not take is registered without.
func TestTooManyDocs(t *testing.T) {
	p := newPeople()
	p.fields[1].Help = strings.Repeat("x", 600<<10)
	fake := srfake.NewRegistry()
	r := client(t, fake, func(http.ResponseWriter, *http.Request) bool { return false }, described(p))
	if _, err := r.Documented(t.Context(), account(t)); err == nil || !strings.Contains(err.Error(), "more than the") {
		t.Error(err)
	}
	if _, err := r.Register(t.Context(), "x", account(t)); err != nil {
		t.Error(err)
	}
}

// TestSlowDescribe: a schema waits five seconds for its docs and no more, also
// when many ask; who gives up earlier spoils it for nobody.
func TestSlowDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		slow := schemas.DescriberFunc(func(ctx context.Context, _ string) (*schemas.Description, error) {
			asked++
			<-ctx.Done()
			return nil, ctx.Err()
		})
		fake := srfake.NewRegistry()
		r := client(t, fake, func(http.ResponseWriter, *http.Request) bool { return false }, func(c *schemas.RegistryConfig) { c.Describer = slow })
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Register(hasty, "x", account(t)); !errors.Is(err, context.DeadlineExceeded) || !schemas.Retryable(err) {
			t.Errorf("got %v", err)
		}
		start := time.Now()
		for _, s := range []*schemas.Schema{account(t), account(t, "A__c")} {
			if _, err := r.Register(t.Context(), "x", s); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 5*time.Second || asked != 2 {
			t.Errorf("it took %v, asked %d times", took, asked)
		}
	})
}
