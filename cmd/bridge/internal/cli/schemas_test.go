package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/schemas"
)

// seed registers a text as somebody else would.
func (s *schemaSite) seed(t *testing.T, subject, text string) {
	t.Helper()
	if _, _, err := s.fake.RegisterSchema(subject, sr.Schema{Schema: text}); err != nil {
		t.Fatal(err)
	}
}

// New schemas in mid-stream are new versions, without a restart, and each has its
// record; a restart finds them recorded.
func TestSchemasLive(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents, contactEvents)
	s.publish(t, 20, nil)
	r := s.run(t)
	ids := []string{s.schemaID(t, "Account")}
	for i := range 5 {
		name := fmt.Sprintf("Field%d__c", i)
		s.addField(t, name)
		s.publish(t, 20, orgsim.Fields{name: 1})
		ids = append(ids, s.schemaID(t, "Account"))
	}
	r.exactly(accountEvents)
	r.drain()
	r.exactly(accountEvents)
	if _, ok := s.fake.GetSchema("salesforce.Account-value", 6); !ok {
		t.Error("the subject has no six versions")
	}
	again := s.run(t)
	if _, err := s.org.Create("Contact", orgsim.Fields{"Name": map[string]any{"LastName": "Krol"}}); err != nil {
		t.Fatal(err)
	}
	s.publish(t, 3, nil)
	again.exactly(accountEvents, contactEvents)
	again.drain()

	got := s.changes(t)
	if len(got) != 7 {
		t.Fatalf("%d records of schema changes, want six of accounts and one of contacts: %+v", len(got), got)
	}
	for i, c := range got[:6] {
		if c.Object != "Account" || c.Event != "AccountChangeEvent" || c.Channel != accountEvents || c.NewSchemaID != ids[i] ||
			*c.Subject != "salesforce.Account-value" || *c.Version != i+1 || c.key != s.org.ID()+"/Account/"+ids[i] {
			t.Errorf("change %d: %+v", i, c)
		}
		if i == 0 {
			if c.OldSchemaID != nil || c.Compared || len(c.Changes) > 0 {
				t.Errorf("the first: %+v", c)
			}
			continue
		}
		if *c.OldSchemaID != ids[i-1] || !c.Compared || len(c.Changes) != 1 || c.Changes[0].Kind != "added" || c.Changes[0].Path != fmt.Sprintf("Field%d__c", i-1) {
			t.Errorf("change %d: %+v", i, c)
		}
	}
	if c := got[6]; c.Object != "Contact" || c.OldSchemaID != nil {
		t.Errorf("of contacts: %+v", c)
	}
}

// The topic keeps the last record of each key, however long the bridge runs.
func TestSchemaChangesTopic(t *testing.T) {
	s := newSchemaSite(t, "format: json", accountEvents)
	s.publish(t, 2, nil)
	r := s.run(t)
	r.exactly(accountEvents)
	r.drain()
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	configs, err := adm.DescribeTopicConfigs(t.Context(), "demo.schema-changes")
	if err != nil {
		t.Fatal(err)
	}
	policy := ""
	for _, c := range configs[0].Configs {
		if c.Key == "cleanup.policy" {
			policy = c.MaybeValue()
		}
	}
	topics, err := adm.ListTopics(t.Context(), "demo.schema-changes")
	if n := len(topics["demo.schema-changes"].Partitions); err != nil || policy != "compact" || n != 1 {
		t.Errorf("cleanup.policy %q, %d partitions, %v", policy, n, err)
	}
	// Without a registry the record has no place in one.
	records, err := readTopic(t.Context(), s.kafka, "demo.schema-changes")
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	var got changeRecord
	if err := json.Unmarshal(records[0].Value, &got); err != nil || got.Object != "Account" || got.Subject != nil || got.RegistryID != nil {
		t.Errorf("%s: %v", records[0].Value, err)
	}
	if table := s.call(t, 0, "list"); !strings.Contains(table, "no registry") {
		t.Error(table)
	}
	for _, args := range [][]string{{"diff", "Account"}, {"show", "Account", "--registry"}} {
		if got := s.call(t, 2, args...); !strings.Contains(got, "names no registry") {
			t.Error(got)
		}
	}
}

func (s *schemaSite) call(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out, stderr := call(t, append(append([]string{"schemas"}, args...), "-c", s.path)...)
	if code != want {
		t.Errorf("schemas %v: exit code %d, want %d: %s%s", args, code, want, out, stderr)
	}
	return out + stderr
}

func TestSchemasList(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents, contactEvents, "/event/Order__e")
	text := s.call(t, 0, "show", "Account")
	s.seed(t, "salesforce.Account-value", text)
	s.seed(t, "salesforce.Contact-value", strings.Replace(text, "AccountChangeEvent", "ContactChangeEvent", 1))
	var rows []schemaRow
	if err := json.Unmarshal([]byte(s.call(t, 0, "list", "--json")), &rows); err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	account, contact, order := rows[0], rows[1], rows[2]
	if !account.InSync || account.State != "in sync" || account.Subject != "salesforce.Account-value" || account.Version != 1 ||
		account.RegistryID == 0 || account.SchemaID != s.schemaID(t, "Account") || account.Object != "Account" || account.Event != "AccountChangeEvent" {
		t.Errorf("%+v", account)
	}
	if contact.InSync || contact.State != "differs" || contact.Version != 1 || !strings.Contains(contact.Detail, "field AccountId added") {
		t.Errorf("%+v", contact)
	}
	if order.InSync || order.State != "not registered" || order.Topic != "salesforce.Order__e" || order.SchemaID != s.schemaID(t, "Order__e") {
		t.Errorf("%+v", order)
	}
	table := s.call(t, 0, "list")
	for _, want := range []string{"CHANNEL ", account.SchemaID, "in sync", "differs", "not registered", "/event/Order__e"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	s.breaks(answers(503, ``))
	if got := s.call(t, 0, "list"); !strings.Contains(got, "problem: schema registry: look up a schema under salesforce.Account-value: status 503") {
		t.Errorf("the registry is down:\n%s", got)
	}
}

// What comes on a channel of several kinds is known from what came on it.
func TestSchemasListOfAChannelOfSeveralKinds(t *testing.T) {
	s := newSchemaSite(t, "", "/data/ChangeEvents")
	list := func() (rows []schemaRow) {
		if err := json.Unmarshal([]byte(s.call(t, 0, "list", "--json")), &rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if rows := list(); len(rows) != 1 || rows[0].State != "unseen" {
		t.Errorf("%+v", rows)
	}
	s.publish(t, 2, nil)
	r := s.run(t)
	eventually(t, func() error {
		if n := len(s.changes(t)); n != 1 {
			return fmt.Errorf("%d schema changes", n)
		}
		return nil
	})
	r.drain()
	if rows := list(); len(rows) != 1 || rows[0].Event != "AccountChangeEvent" || rows[0].Object != "Account" || !rows[0].InSync {
		t.Errorf("%+v", rows)
	}
}

func TestSchemasShow(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	text := s.call(t, 0, "show", "Account")
	if !strings.HasPrefix(text, "{\n  \"type\": \"record\",\n  \"name\": \"AccountChangeEvent\"") || !strings.Contains(text, "timestamp-millis") {
		t.Errorf("not what is registered:\n%.300s", text)
	}
	for _, same := range []string{"AccountChangeEvent", s.schemaID(t, "Account")} {
		if got := s.call(t, 0, "show", same); got != text {
			t.Errorf("%s is something else:\n%.300s", same, got)
		}
	}
	if got := s.call(t, 3, "show", "Account", "--registry"); !strings.Contains(got, "nothing is registered under subject salesforce.Account-value") {
		t.Error(got)
	}
	s.seed(t, "salesforce.Account-value", text)
	for _, name := range []string{"Account", s.schemaID(t, "Account")} {
		var shown shownSchema
		if err := json.Unmarshal([]byte(s.call(t, 0, "show", name, "--registry", "--json")), &shown); err != nil {
			t.Fatal(err)
		}
		if shown.Subject != "salesforce.Account-value" || shown.Version != 1 || !strings.Contains(string(shown.Schema), "AccountChangeEvent") {
			t.Errorf("%s: %+v", name, shown)
		}
	}
	// A platform event that is not configured, and a name with the form of an id.
	if got := s.call(t, 0, "show", "Order__e"); !strings.Contains(got, `"name": "Order__e"`) {
		t.Error(got)
	}
	if got := s.call(t, 3, "show", "OpportunityContactRole"); !strings.Contains(got, "OpportunityContactRoleChangeEvent") {
		t.Error(got)
	}
	if got := s.call(t, 2, "show", "Account", "--registry", "--salesforce"); !strings.Contains(got, "exclude each other") {
		t.Error(got)
	}
	for name, want := range map[string]string{"Gap": string(schemas.Gap().JSON), "SchemaChange": string(schemas.SchemaChange().JSON)} {
		var shown shownSchema
		if err := json.Unmarshal([]byte(s.call(t, 0, "show", name, "--json")), &shown); err != nil || string(shown.Schema) != want {
			t.Errorf("%s: %s, %v", name, shown.Schema, err)
		}
	}
}

func TestSchemasDiff(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	if got := s.call(t, 1, "diff", "Account"); !strings.Contains(got, "nothing is registered under salesforce.Account-value") {
		t.Error(got)
	}
	s.seed(t, "salesforce.Account-value", s.call(t, 0, "show", "Account"))
	if got := s.call(t, 0, "diff", "Account"); !strings.Contains(got, "salesforce.Account-value version 1 (id 1) are the same") {
		t.Error(got)
	}
	s.addField(t, "Score__c")
	if got := s.call(t, 1, "diff", "Account"); !strings.Contains(got, "are different\n  field Score__c added (null|double)\n") {
		t.Error(got)
	}
	var found schemaDiff
	if err := json.Unmarshal([]byte(s.call(t, 1, "diff", "AccountChangeEvent", "--json")), &found); err != nil {
		t.Fatal(err)
	}
	if found.Same || !found.Registered || len(found.Changes) != 1 || found.Changes[0] != (fieldDiff{Kind: "added", Path: "Score__c", New: "null|double"}) {
		t.Errorf("%+v", found)
	}
	s.breaks(answers(503, ``))
	if got := s.call(t, 3, "diff", "Account"); !strings.Contains(got, "status 503") {
		t.Error(got)
	}
	s.call(t, 3, "diff", "Nope__e")
	if got, _, stderr := call(t, "schemas", "diff"); got != 2 || !strings.Contains(stderr, "accepts 1 arg(s)") {
		t.Errorf("exit code %d, %s", got, stderr)
	}
}

// What is shown, looked up and compared is the schema of the values that the
// bridge writes: in their envelope, with the field for unknown keys, as a JSON
// Schema. What is shown can be registered in advance: a bridge that registers
// nothing then finds it.
func TestSchemasAreThoseOfTheValues(t *testing.T) {
	for _, c := range []struct{ name, config, stream, has string }{
		{"flat", "envelope: flat", "", `"name":"BillingCity"`},
		{"debezium", "envelope: debezium", "", `"namespace":"bridge.debezium.AccountChangeEvent"`},
		{"unknown keys", "", "on_unknown_field: keep", `"name":"_extras"`},
		{"both", "envelope: flat", "on_unknown_field: keep", `"name":"_extras"`},
		{"json schema", "  json_schema: true\nformat: json", "", `"additionalProperties":false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSchemaSite(t, "  auto_register: false\n"+c.config, accountEvents)
			s.edit(t, "    start: earliest\n", "    start: earliest\n    "+c.stream+"\n")
			var shown shownSchema
			if err := json.Unmarshal([]byte(s.call(t, 0, "show", "Account", "--json")), &shown); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(shown.Schema), c.has) || shown.Event != "AccountChangeEvent" {
				t.Errorf("%s: %s", shown.Event, shown.Schema)
			}
			if byID := s.call(t, 0, "show", shown.SchemaID); byID != s.call(t, 0, "show", "Account") {
				t.Errorf("by its id: %s", byID)
			}
			typ := sr.TypeAvro
			for i, name := range []string{"Account", "SchemaChange"} {
				if c.name == "json schema" && i == 0 {
					typ = sr.TypeJSON
				}
				subject := []string{"salesforce.Account-value", "demo.schema-changes-value"}[i]
				if _, _, err := s.fake.RegisterSchema(subject, sr.Schema{Schema: s.call(t, 0, "show", name), Type: typ}); err != nil {
					t.Fatal(err)
				}
				typ = sr.TypeAvro
			}
			if got := s.call(t, 0, "diff", "Account"); !strings.Contains(got, "are the same") {
				t.Error(got)
			}
			if got := s.call(t, 0, "list"); !strings.Contains(got, "in sync") {
				t.Error(got)
			}
			s.call(t, 0, "show", "Account", "--registry")
			s.publish(t, 3, nil)
			r := s.run(t)
			eventually(t, func() error {
				if n := len(s.records(t)); n < 3 {
					return fmt.Errorf("%d records", n)
				}
				return nil
			})
			r.drain()
			s.addField(t, "Score__c")
			if got := s.call(t, 1, "diff", "Account"); !strings.Contains(got, "are different") {
				t.Error(got)
			}
		})
	}
}

// edit changes the configuration.
func (s *schemaSite) edit(t *testing.T, old, fresh string) {
	t.Helper()
	text, err := os.ReadFile(s.path)
	if err == nil {
		err = os.WriteFile(s.path, bytes.ReplaceAll(text, []byte(old), []byte(fresh)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
