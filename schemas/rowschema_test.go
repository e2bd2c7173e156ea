package schemas_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
)

func rowFields() []schemas.Column {
	text := func(names ...string) (out []schemas.Column) {
		for _, n := range names {
			out = append(out, schemas.Column{Name: n, Type: "string"})
		}
		return out
	}
	return []schemas.Column{
		{Name: "Name", Type: "string", Parts: text("FirstName", "LastName")},
		{Name: "MailingAddress", Type: "address", Parts: text("City")},
		{Name: "OtherAddress", Type: "address", Parts: text("City", "Planet")},
		{Name: "Opened__c", Type: "datetime"}, {Name: "Day__c", Type: "date"}, {Name: "Hour__c", Type: "time"},
		{Name: "Count__c", Type: "int"}, {Name: "Rate__c", Type: "percent"}, {Name: "Open__c", Type: "boolean"},
		{Name: "CreatedDate", Type: "datetime"},
		{Name: "Owner", Parts: []schemas.Column{{Name: "Name", Type: "string"}, {Name: "Manager", Parts: text("Name")}}},
	}
}

// Rows have the types that a change event of the same fields has.
func TestRowsHaveTheTypesOfChangeEvents(t *testing.T) {
	s, err := schemas.Rows(schemas.RowSchema{Object: "Contact", Fields: rowFields()})
	if err != nil {
		t.Fatal(err)
	}
	if s.FullName != "com.sforce.eventbus.ContactChangeEvent" || !s.ChangeEvent || len(s.ID) != 22 {
		t.Errorf("%s, change event: %v, id %q", s.FullName, s.ChangeEvent, s.ID)
	}
	want := map[string]string{
		"Name": "record com.sforce.eventbus.PersonName", "MailingAddress": "record com.sforce.eventbus.Address", "OtherAddress": "record com.sforce.eventbus.Address",
		"Opened__c": "long", "Day__c": "long", "Hour__c": "int", "Count__c": "int", "Rate__c": "double", "Open__c": "boolean", "CreatedDate": "long",
		"Owner": "record com.sforce.eventbus.Parent_Owner",
	}
	for name, kind := range want {
		at := s.Root.Field(name)
		if at < 0 || !s.Root.Fields[at].Type.Nullable() {
			t.Errorf("%s is missing, or cannot be null", name)
			continue
		}
		n := s.Root.Fields[at].Type.Branches[1]
		if got := strings.TrimSpace(n.Kind.String() + " " + n.Name); got != kind {
			t.Errorf("%s is %s, want %s", name, got, kind)
		}
	}
	temporal := func(name string) schemas.Temporal {
		return s.Root.Fields[s.Root.Field(name)].Type.Branches[1].Temporal
	}
	if temporal("Opened__c") != schemas.DateTime || temporal("Day__c") != schemas.Date || temporal("Hour__c") != schemas.Time || temporal("CreatedDate") != schemas.DateTime {
		t.Error("times are not marked as such")
	}
	address := s.Root.Fields[s.Root.Field("MailingAddress")].Type.Branches[1]
	if address.Field("Street") != 0 || address.Field("Planet") != len(address.Fields)-1 {
		t.Errorf("an address has not what both fields need: %v", address.Fields)
	}
}

// The same fields have the same id, and one more field has another.
func TestRowSchemaIsKnownByWhatItIs(t *testing.T) {
	first, err := schemas.Rows(schemas.RowSchema{Object: "Contact", Fields: rowFields()})
	if err != nil {
		t.Fatal(err)
	}
	again, err := schemas.Rows(schemas.RowSchema{Object: "Contact", Fields: rowFields()})
	if err != nil || again.ID != first.ID {
		t.Errorf("%q and %q: %v", first.ID, again.ID, err)
	}
	more, err := schemas.Rows(schemas.RowSchema{Object: "Contact", Fields: append(rowFields(), schemas.Column{Name: "New__c", Type: "string"})})
	if err != nil || more.ID == first.ID {
		t.Errorf("a field more has the id %q: %v", more.ID, err)
	}
	catalog := schemas.NewCatalog(schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return nil, errors.New("nobody knows it")
	}))
	catalog.Keep(first)
	if got, err := catalog.Schema(t.Context(), first.ID); err != nil || got != first {
		t.Errorf("the catalog has %v: %v", got, err)
	}
}

func TestAccountNamesAreTextsOrRecords(t *testing.T) {
	s, err := schemas.Rows(schemas.RowSchema{Object: "Account", Fields: rowFields()[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Root.Fields[1].Type; len(n.Branches) != 3 || n.Branches[1].Kind != schemas.KindString || n.Branches[2].Name != "com.sforce.eventbus.Switchable_PersonName" {
		t.Errorf("%v", n.Branches)
	}
}

func TestRowFieldsThatNoSchemaHas(t *testing.T) {
	for _, f := range []schemas.Column{{Name: "A b", Type: "string"}, {Name: "What__c", Type: "complexvalue"}} {
		_, err := schemas.Rows(schemas.RowSchema{Object: "Thing__c", Fields: []schemas.Column{f}})
		if _, ok := errors.AsType[*schemas.SchemaError](err); !ok {
			t.Errorf("%v: %v", f, err)
		}
	}
}
