package orgsim

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestReplication: windows are whole minutes, the end is not covered before its
// time, and what was emptied from the bin limits how far back deletions go.
func TestReplication(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Now: func() time.Time { return now }, MaxReplicationIDs: 4})
	a := newAsker(t, o, "")
	var ids []string
	for range 5 {
		ids = append(ids, must[string](t)(o.Create("Contact", Fields{"LastName": "x"})))
		o.AdvanceClock(time.Minute)
	}
	// Created at 9:00 ... 9:04; it is 9:05.
	check(t, o.Delete("Contact", ids[0]))
	check(t, o.Touch("Contact", ids[1]))
	o.AdvanceClock(time.Minute)
	type lists struct {
		IDs     []string
		Deleted []struct{ ID, DeletedDate string } `json:"deletedRecords"`
		First   string                             `json:"earliestDateAvailable"`
		Last    string                             `json:"latestDateCovered"`
	}
	ask := func(what, start, end string) (string, string) {
		t.Helper()
		var out lists
		refused := a.get(v66+"/sobjects/Contact/"+what+"/?start="+url.QueryEscape(start)+"&end="+url.QueryEscape(end), &out)
		var which []string
		for i, id := range ids {
			for _, got := range out.IDs {
				if got == id {
					which = append(which, fmt.Sprint(i))
				}
			}
			for _, got := range out.Deleted {
				if got.ID == id {
					which = append(which, fmt.Sprint(i, "@", got.DeletedDate[11:19]))
				}
			}
		}
		if refused != "" {
			return refused, ""
		}
		return strings.Join(which, " "), out.Last[11:19] + strings.TrimSuffix(" "+out.First, " ")
	}
	for _, tc := range []struct{ what, start, end, want, last string }{
		{"updated", "2026-03-04T09:02:59+00:00", "2026-03-04T09:04:59+00:00", "2 3", "09:04:00"}, // 9:02 to 9:04
		{"updated", "2026-03-04T10:03:00+01:00", "2026-03-04T09:05:00Z", "3 4", "09:05:00"},
		{"updated", "2026-03-04T09:04:00Z", "2026-03-04T10:00:00Z", "1 4", "09:06:00"}, // touched at 9:05; nothing behind the clock's minute
		{"deleted", "2026-03-04T09:00:00Z", "2026-03-04T10:00:00Z", "0@09:05:00", "09:06:00 2026-03-04T09:00:00.000+0000"},
		{"deleted", "2026-03-04T09:00:00Z", "2026-03-04T09:05:00Z", "", "09:05:00 2026-03-04T09:00:00.000+0000"},
		{"updated", "2026-03-04T09:02:01Z", "2026-03-04T09:02:59Z", "400 INVALID_REPLICATION_DATE startDate must be at least one minute greater than endDate", ""},
		{"updated", "2026-02-02T09:02:00Z", "2026-03-04T09:02:00Z", "400 INVALID_REPLICATION_DATE startDate before org allowable start date of 30 days", ""},
		{"deleted", "2026-02-16T09:02:00Z", "2026-03-04T09:02:00Z", "400 INVALID_REPLICATION_DATE startDate before org allowable start date of 15 days", ""},
		{"updated", "2026-03-05T09:02:00Z", "2026-03-06T09:02:00Z", "400 INVALID_REPLICATION_DATE startDate cannot be in the future", ""},
		{"updated", "yesterday", "2026-03-04T09:02:00Z", `400 INVALID_ARGUMENT start is "yesterday", which is no date-time with an offset`, ""},
	} {
		if got, last := ask(tc.what, tc.start, tc.end); got != tc.want || last != tc.last {
			t.Errorf("%s %s %s: %q %q, want %q %q", tc.what, tc.start, tc.end, got, last, tc.want, tc.last)
		}
	}
	must[string](t)(o.Create("Contact", Fields{"LastName": "y"}))
	o.AdvanceClock(time.Minute)
	if got, _ := ask("updated", "2026-03-04T09:00:00Z", "2026-03-04T10:00:00Z"); !strings.HasPrefix(got, "400 EXCEEDED_ID_LIMIT") {
		t.Errorf("five ids: %s", got)
	}
	if n, err := o.EmptyBin("Contact"); n != 1 || err != nil {
		t.Errorf("the bin: %d %v", n, err)
	}
	if got, _ := ask("deleted", "2026-03-04T09:04:00Z", "2026-03-04T10:00:00Z"); !strings.Contains(got, "is before earliestDateAvailable 2026-03-04T09:05:00") {
		t.Errorf("before what was emptied: %s", got)
	}
	if all, _ := a.from("queryAll", "SELECT COUNT() FROM Contact"); all.TotalSize != 5 {
		t.Errorf("%d are left", all.TotalSize)
	}
}

// TestTouch: SystemModstamp moves and nothing else, unless somebody changes the
// record in the same transaction.
func TestTouch(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 0, 20, 987e6, time.UTC)
	o := newOrg(t, Config{Now: func() time.Time { return now }})
	a := newAsker(t, o, "")
	id := must[string](t)(o.Create("Contact", Fields{"LastName": "x"}))
	o.AdvanceClock(time.Hour)
	check(t, o.Touch("Contact", id))
	const q = "SELECT SystemModstamp, LastModifiedDate FROM Contact"
	got, _ := a.query(q)
	if r := got.Records[0]; r["SystemModstamp"] != "2026-03-04T10:00:20.000+0000" || r["LastModifiedDate"] != "2026-03-04T09:00:20.000+0000" || o.LedgerLen() != 1 {
		t.Errorf("touched: %v, %d events", r, o.LedgerLen())
	}
	check(t, o.Transact(TxOptions{}, func(tx *Tx) error {
		check(t, tx.Touch("Contact", id))
		if tx.Update("Contact", id, Fields{"Nope": 1}) == nil {
			t.Error("a field that is not there was written")
		}
		return nil
	}))
	if o.LedgerLen() != 1 {
		t.Error("an update that failed makes a touch an event")
	}
	check(t, o.Transact(TxOptions{}, func(tx *Tx) error {
		check(t, tx.Touch("Contact", id))
		return tx.Update("Contact", id, Fields{"Title": "CTO"})
	}))
	if o.LedgerLen() != 2 {
		t.Error("an update after a touch gives no event")
	}
}
