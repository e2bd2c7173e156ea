package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// With registry.docs what is registered has labels and help texts, other labels
// make no version, and the commands show what is registered and say that nothing
// is different.
func TestDocsInTheRegistry(t *testing.T) {
	for _, c := range []struct{ name, config, doc string }{
		{"event", "", `"doc":"Rating (picklist)\nData:DynamicEnum"`},
		{"flat", "envelope: flat", `"doc":"Billing City (string)\nData:Text"`},
		{"debezium", "envelope: debezium", `"doc":"Billing City (string)\nData:Text"`},
		{"json schema", "  json_schema: true\nformat: json", `"description":"Rating (picklist)\nData:DynamicEnum"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSchemaSite(t, "  docs: describe\n"+c.config, accountEvents)
			if err := s.org.Relabel("Account", "BillingAddress", "Billing", ""); err != nil {
				t.Fatal(err)
			}
			s.publish(t, 3, nil)
			s.runs(t, 3)
			if err := s.org.Relabel("Account", "Rating", "Temperature", "How promising it is."); err != nil {
				t.Fatal(err)
			}
			s.publish(t, 3, nil)
			s.runs(t, 6)
			got, _ := s.fake.GetSchema("salesforce.Account-value", 1)
			if !strings.Contains(got.Schema.Schema, c.doc) {
				t.Errorf("registered without docs: %s", got.Schema.Schema)
			}
			if _, second := s.fake.GetSchema("salesforce.Account-value", 2); second {
				t.Error("a label made a version")
			}
			const now = `Temperature (picklist)\nHow promising it is.\nData:DynamicEnum`
			for _, name := range []string{"Account", s.schemaID(t, "Account")} {
				if got := s.call(t, 0, "show", name); !strings.Contains(got, now) {
					t.Errorf("%s, as it would be registered: %s", name, got)
				}
				got := s.call(t, 0, "show", name, "--registry")
				if !strings.Contains(got, `Rating (picklist)`) || strings.Contains(got, "Temperature") {
					t.Errorf("%s, as it is registered: %s", name, got)
				}
			}
			if got := s.call(t, 0, "diff", "Account"); !strings.Contains(got, "are the same\n") || !strings.Contains(got, "in docs alone") {
				t.Error(got)
			}
			if got := s.call(t, 0, "list"); !strings.Contains(got, "in sync") {
				t.Error(got)
			}
			s.addField(t, "Score__c")
			var found schemaDiff
			if err := json.Unmarshal([]byte(s.call(t, 1, "diff", "Account", "--json")), &found); err != nil || found.Same || len(found.Changes) == 0 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

// runs has the bridge write until there are n records, and ends it.
func (s *schemaSite) runs(t *testing.T, n int) {
	t.Helper()
	r := s.run(t)
	eventually(t, func() error {
		if got := len(s.records(t)); got < n {
			return fmt.Errorf("%d of %d records", got, n)
		}
		return nil
	})
	r.drain()
}

// Without the option nothing is asked and registered beyond Salesforce's remarks;
// with it, docs come with the next version.
func TestDocsComeWithTheNextVersion(t *testing.T) {
	s := newSchemaSite(t, "", accountEvents)
	s.publish(t, 2, nil)
	s.runs(t, 2)
	s.edit(t, "registry:\n", "registry:\n  docs: describe\n")
	s.publish(t, 2, nil)
	s.runs(t, 4)
	if _, second := s.fake.GetSchema("salesforce.Account-value", 2); second {
		t.Error("docs made a version")
	}
	s.addField(t, "Score__c")
	s.publish(t, 2, orgsim.Fields{"Score__c": 1})
	s.runs(t, 6)
	for version, has := range map[int]bool{1: false, 2: true} {
		got, ok := s.fake.GetSchema("salesforce.Account-value", version)
		if !ok || strings.Contains(got.Schema.Schema, "(picklist)") != has {
			t.Errorf("version %d: %s", version, got.Schema.Schema)
		}
	}
}
