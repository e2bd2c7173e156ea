package orgsim

import (
	"fmt"
	"testing"
)

// Rows that changed in one second are read in pages, each behind the last id of the one
// before: ORDER BY and > agree about ids.
func TestPagesByTimeAndID(t *testing.T) {
	o, _ := soqlOrg(t, nil)
	a := newAsker(t, o, "")
	for range 300 {
		_, err := o.Create("Contact", Fields{"Name": Fields{"LastName": "Byron"}})
		check(t, err)
	}
	rows, err := o.Rows("Contact")
	check(t, err)
	at := rows[len(rows)-1].SystemModstamp.Format("2006-01-02T15:04:05Z")
	seen, last := map[string]bool{}, "000000000000000AAA"
	for {
		page, _ := a.from("query", fmt.Sprintf(
			"SELECT Id FROM Contact WHERE SystemModstamp >= 2000-01-01T00:00:00Z AND (SystemModstamp > %s OR Id > '%s') ORDER BY SystemModstamp, Id LIMIT 7", at, last))
		if len(page.Records) == 0 {
			break
		}
		for _, r := range page.Records {
			last, _ = r["Id"].(string)
			if seen[last] {
				t.Fatalf("%s comes twice", last)
			}
			seen[last] = true
		}
	}
	if len(seen) != len(rows) {
		t.Errorf("%d of %d rows", len(seen), len(rows))
	}
}
