package salesforce_test

import (
	"strings"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestID18(t *testing.T) {
	for _, tc := range []struct{ id, want string }{
		{orgID15, orgID18},
		{orgID18, orgID18},
		{"005xx000001Svog", userID18},
		{"001D000000IRFma", "001D000000IRFmaIAH"}, // from Salesforce's documentation
		{"000000000000000", "000000000000000AAA"}, // the id of no record
		{"ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"}, // all bits set
		{"AbcdeaBcdeabCde", "AbcdeaBcdeabCdeBCE"}, // bits 0, 1, 2
		{"abcDeabcdE00000", "abcDeabcdE00000IQA"}, // bits 3, 4
	} {
		got, err := salesforce.ID18(tc.id)
		if err != nil || got != tc.want {
			t.Errorf("ID18(%q) = %q, %v; want %q", tc.id, got, err, tc.want)
		}
	}
}

func TestID18Refuses(t *testing.T) {
	for _, tc := range []struct{ id, part string }{
		{"", "0 characters"},
		{"00Dxx0000001gP", "14 characters"},
		{"00Dxx0000001gPLEA", "17 characters"},
		{"00Dxx0000001gPLEAYX", "19 characters"},
		{"00Dxx0000001gP*", "neither letter nor digit"},
		{"00Dxx0000001gP\xc3", "neither letter nor digit"},
		{"00DXX0000001GPLEAY", "case may have been changed"},
		{"00dxx0000001gpleay", "case may have been changed"},
		{"00Dxx0000001gPLEAX", "EAY fits"},
	} {
		got, err := salesforce.ID18(tc.id)
		if err == nil || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("ID18(%q) = %q, %v; want an error with %q", tc.id, got, err, tc.part)
		}
	}
}
