package polling

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseSOQL(t *testing.T) {
	for text, want := range map[string]statement{
		"SELECT Id FROM Asset":                    {fields: []string{"Id"}, object: "Asset"},
		"select id,Owner.Name\n\tfrom Invoice__c": {fields: []string{"id", "Owner.Name"}, object: "Invoice__c"},
		"SELECT Id FROM Asset WHERE Name = 'LIMIT (5' AND (A = 1 OR B IN (SELECT X FROM Y LIMIT 1))": {
			fields: []string{"Id"}, object: "Asset", where: "Name = 'LIMIT (5' AND (A = 1 OR B IN (SELECT X FROM Y LIMIT 1))"},
		`SELECT Id FROM Asset WHERE Name = 'it\'s' AND CreatedDate > 2026-01-02T03:04:05Z`: {
			fields: []string{"Id"}, object: "Asset", where: `Name = 'it\'s' AND CreatedDate > 2026-01-02T03:04:05Z`},
		"SELECT Id FROM Asset WHERE CreatedDate = LAST_N_DAYS:30": {fields: []string{"Id"}, object: "Asset", where: "CreatedDate = LAST_N_DAYS:30"},
	} {
		got, err := parseSOQL("/query/x", text)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestSOQLThatHasNoPages(t *testing.T) {
	for text, says := range map[string]string{
		"":                                                  "does not begin with SELECT",
		"UPDATE Asset":                                      "does not begin with SELECT",
		"SELECT Id":                                         "no FROM",
		"SELECT Id FROM":                                    "no FROM",
		"SELECT Id FROM Asset.Name":                         "one object",
		"SELECT Id FROM Asset a":                            "where WHERE or nothing belongs",
		"SELECT Id FROM Asset, Asset.Owner":                 "where WHERE or nothing belongs",
		"SELECT Id FROM Asset WHERE":                        "nothing behind WHERE",
		"SELECT Id FROM Asset (x)":                          "behind the object",
		"SELECT Id FROM Asset LIMIT 5":                      "has LIMIT",
		"SELECT Id FROM Asset order by Id":                  "has ORDER",
		"SELECT Id FROM Asset WHERE A = 1 OFFSET 3":         "has OFFSET",
		"SELECT Name FROM Asset GROUP BY Name":              "has GROUP",
		"SELECT Id FROM Asset WITH SECURITY_ENFORCED":       "has WITH",
		"SELECT Id FROM Asset WHERE A = 1 FOR VIEW":         "has FOR",
		"SELECT Id FROM Asset ALL ROWS":                     "has ALL",
		"SELECT COUNT() FROM Asset":                         "aggregates",
		"SELECT Id, FIELDS(ALL) FROM Asset":                 "FIELDS()",
		"SELECT Id, (SELECT Id FROM Contacts) FROM Account": "subqueries",
		"SELECT Id, Name n FROM Asset":                      "alias",
		"SELECT Id, FROM Asset":                             "no name of a field",
		"SELECT Id, Name, name FROM Asset":                  "twice",
		"SELECT Id FROM Asset WHERE Name = 'x":              "without an end",
		"SELECT Id FROM Asset WHERE (A = 1":                 "not closed",
		"SELECT Id FROM Asset WHERE A = 1) OR (B = 1":       "not opened",
	} {
		_, err := parseSOQL("/query/x", text)
		wrong, ok := errors.AsType[*StreamError](err)
		if !ok || wrong.Try == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever the text, what is read of it is in it.
func FuzzSOQL(f *testing.F) {
	f.Add("SELECT Id, Owner.Name FROM Asset WHERE Name = 'x' AND (A = 1)")
	f.Add(`SELECT Id FROM Asset WHERE Name = '\`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSOQL("/query/x", text)
		if err != nil {
			return
		}
		if !strings.Contains(text, s.object) || !strings.Contains(text, s.where) || len(s.fields) == 0 {
			t.Errorf("%q: %+v", text, s)
		}
		for _, name := range s.fields {
			if !isPath(name) {
				t.Errorf("%q: the field %q", text, name)
			}
		}
	})
}
