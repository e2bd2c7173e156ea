package orgsim

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func fixedClock() func() time.Time {
	at := time.Date(2026, 3, 4, 9, 15, 22, 481e6, time.UTC)
	return func() time.Time { return at }
}

// last is the last ledger entry with its payload split into header and fields.
func last(t *testing.T, o *Org) (Entry, map[string]any, map[string]json.RawMessage) {
	t.Helper()
	led := o.Ledger()
	e := led[len(led)-1]
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Payload, &fields); err != nil {
		t.Fatalf("payload is not JSON: %v: %s", err, e.Payload)
	}
	var header map[string]any
	if err := json.Unmarshal(fields["ChangeEventHeader"], &header); err != nil {
		t.Fatal(err)
	}
	delete(fields, "ChangeEventHeader")
	return e, header, fields
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func body(fields map[string]json.RawMessage) string {
	var out []string
	for k, v := range fields {
		out = append(out, k+"="+string(v))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestLifeOfARecord(t *testing.T) {
	o := newOrg(t, Config{Seed: 7, Now: fixedClock(), Users: []User{{Username: "a@b"}, {Username: "c@d"}}})
	id := must[string](t)(o.Create("Contact", Fields{"LastName": "Krol", "FirstName": "Ada", "MailingCity": "Lyon",
		"MailingAddress": map[string]any{"Latitude": 45.76}, "Birthdate": "1990-02-03", "Phone": ""}))
	e, h, f := last(t, o)
	user := `"` + o.users[0].id + `"`
	want := `Birthdate="1990-02-03" CreatedById=` + user + ` CreatedDate="2026-03-04T09:15:22.000Z" HasOptedOutOfEmail=false LastModifiedById=` + user +
		` LastModifiedDate="2026-03-04T09:15:22.000Z" MailingAddress={"City":"Lyon","Latitude":45.76} Name={"FirstName":"Ada","LastName":"Krol"} OwnerId=` + user
	if body(f) != want {
		t.Errorf("CREATE\n got %s\nwant %s", body(f), want)
	}
	if e.Event != "ContactChangeEvent" || e.ChangeType != "CREATE" || h["changeType"] != "CREATE" || h["entityName"] != "Contact" ||
		fmt.Sprint(h["recordIds"]) != "["+id+"]" || h["commitUser"] != o.users[0].id || fmt.Sprint(h["changedFields"]) != "[]" ||
		h["transactionKey"] != e.TransactionKey || e.Commit.UnixMilli() != int64(h["commitTimestamp"].(float64)) || h["sequenceNumber"] != 1.0 {
		t.Errorf("CREATE header %v\nentry %+v", h, e)
	}
	if !regexp.MustCompile(`"commitNumber":9007199\d{9},`).Match(e.Payload) {
		t.Errorf("commit number is not above 2^53: %s", e.Payload)
	}

	check(t, o.Transact(TxOptions{User: "c@d", Origin: "x;client=y"}, func(tx *Tx) error {
		return tx.Update("Contact", id, Fields{"MailingCity": nil, "MailingStreet": "Rue 1", "Birthdate": nil, "Title": "CTO", "LastName": "Krol"})
	}))
	_, h, f = last(t, o)
	if got, want := body(f), `Birthdate=null LastModifiedById="`+o.users[1].id+`" LastModifiedDate="2026-03-04T09:15:22.000Z" MailingAddress={"Street":"Rue 1","City":null} Title="CTO"`; got != want {
		t.Errorf("UPDATE\n got %s\nwant %s", got, want)
	}
	if got := fmt.Sprint(h["changedFields"]); got != "[MailingAddress.Street MailingAddress.City Title Birthdate LastModifiedDate LastModifiedById]" || h["changeOrigin"] != "x;client=y" {
		t.Errorf("UPDATE changedFields %s, origin %v", got, h["changeOrigin"])
	}

	check(t, o.Delete("Contact", id))
	if e, _, f = last(t, o); e.ChangeType != "DELETE" || len(f) != 0 {
		t.Errorf("DELETE: %s", e.Payload)
	}
	var re *RequestError
	if err := o.Update("Contact", id, Fields{"Title": "x"}); !errors.As(err, &re) || re.Code != "ENTITY_IS_DELETED" {
		t.Errorf("update of a deleted record: %v", err)
	}
	check(t, o.Undelete("Contact", id))
	if e, _, f = last(t, o); e.ChangeType != "UNDELETE" || string(f["Title"]) != `"CTO"` || f["Birthdate"] != nil {
		t.Errorf("UNDELETE: %s", e.Payload)
	}
	rows := must[[]Row](t)(o.Rows("Contact"))
	if len(rows) != 1 || rows[0].ID != id || rows[0].Deleted {
		t.Errorf("rows: %+v", rows)
	}
}

func TestEveryKindOfField(t *testing.T) {
	o := newOrg(t, Config{Now: fixedClock()})
	acc := must[string](t)(o.Create("Account", Fields{"Name": "Acme \"A\"\n", "AnnualRevenue": 12345678.5, "NumberOfEmployees": 12}))
	if _, _, f := last(t, o); string(f["Name"]) != `"Acme \"A\"\n"` || string(f["AnnualRevenue"]) != "1.23456785E7" || string(f["NumberOfEmployees"]) != "12" {
		t.Errorf("account: %s", body(f))
	}
	must[string](t)(o.Create("Account", Fields{"LastName": "Krol", "FirstName": "Ada"}))
	if _, _, f := last(t, o); string(f["Name"]) != `{"FirstName":"Ada","LastName":"Krol"}` {
		t.Errorf("person account: %s", f["Name"])
	}
	id := must[string](t)(o.Create("Invoice__c", Fields{"Account__c": acc, "Amount__c": 20, "Quantity__c": json.Number("0.00012"), "Discount__c": 12.5, "Paid__c": true,
		"Due_Date__c": "2026-04-01", "Sent_At__c": "2026-03-04T10:15:22.123+0100", "Cutoff__c": "13:30:00.000Z", "Status__c": "Open",
		"Tags__c": "Rush;Export", "Loc__Latitude__s": 1.5, "Loc__Longitude__s": -2}))
	_, _, f := last(t, o)
	for name, want := range map[string]string{"Name": `"INV-000001"`, "Account__c": `"` + acc + `"`, "Amount__c": "20.0", "Quantity__c": "1.2E-4", "Discount__c": "12.5",
		"Paid__c": "true", "Due_Date__c": `"2026-04-01"`, "Sent_At__c": `"2026-03-04T09:15:22.123Z"`, "Cutoff__c": `"13:30:00.000Z"`,
		"Tags__c": `"Rush;Export"`, "Loc__c": `{"Latitude":1.5,"Longitude":-2.0}`} {
		if string(f[name]) != want {
			t.Errorf("%s = %s, want %s", name, f[name], want)
		}
	}
	check(t, o.Update("Invoice__c", id, Fields{"Loc__Latitude__s": 3}))
	if _, h, f := last(t, o); string(f["Loc__c"]) != `{"Latitude":3.0,"Longitude":-2.0}` || fmt.Sprint(h["changedFields"]) != "[LastModifiedDate Loc__c]" {
		t.Errorf("a location is sent whole: %s %v", f["Loc__c"], h["changedFields"])
	}
	check(t, o.Update("Invoice__c", id, Fields{"Loc__c": nil}))
	if _, _, f := last(t, o); string(f["Loc__c"]) != "null" {
		t.Errorf("a cleared location: %s", f["Loc__c"])
	}
	must[string](t)(o.Publish("Order__e", Fields{"Amount__c": 0.2, "Express__c": false}))
	led := o.Ledger()
	e := led[len(led)-1]
	want := `{"CreatedDate":"2026-03-04T09:15:22.481Z","CreatedById":"` + o.users[0].id + `","Order_Number__c":null,"Status__c":null,"Amount__c":0.2,"Express__c":false,"Ordered_At__c":null,"Delivery_Date__c":null,"Details__c":null}`
	if string(e.Payload) != want || e.UUID == "" || e.ChangeType != "" {
		t.Errorf("platform event %s\nwant %s", e.Payload, want)
	}
}

func TestRefusedChangesLeaveNothing(t *testing.T) {
	o := newOrg(t, Config{})
	id := must[string](t)(o.Create("Account", Fields{"Name": "Acme"}))
	for _, tc := range []struct {
		fields Fields
		code   string
	}{
		{Fields{"Nope": 1}, "INVALID_FIELD"}, {Fields{"AnnualRevenue": "much"}, "JSON_PARSER_ERROR"}, {Fields{"Name": nil}, "REQUIRED_FIELD_MISSING"},
		{Fields{"Sic": strings.Repeat("x", 21)}, "STRING_TOO_LONG"}, {Fields{"CreatedDate": "2026-01-01"}, "INVALID_FIELD_FOR_INSERT_UPDATE"},
		{Fields{"Site": "ok", "BillingAddress": Fields{"Planet": "Mars"}}, "INVALID_FIELD"}, {Fields{"NumberOfEmployees": 1.5}, "JSON_PARSER_ERROR"},
	} {
		var re *RequestError
		if err := o.Update("Account", id, tc.fields); !errors.As(err, &re) || re.Code != tc.code || Retryable(err) {
			t.Errorf("%v: %v, want %s", tc.fields, err, tc.code)
		}
	}
	err := o.Transact(TxOptions{}, func(tx *Tx) error {
		_, err1 := tx.Create("Account", Fields{"Name": "Gone"})
		err2 := tx.Update("Account", id, Fields{"Site": "Gone"})
		return errors.Join(err1, err2, tx.Delete("Account", id), errors.New("changed my mind"))
	})
	if err == nil || err.Error() != "changed my mind" {
		t.Errorf("transaction: %v", err)
	}
	rows := must[[]Row](t)(o.Rows("Account"))
	if len(rows) != 1 || rows[0].Deleted || rows[0].Fields["Site"] != nil || o.LedgerLen() != 1 {
		t.Errorf("after a failed transaction: %+v, ledger %d", rows, o.LedgerLen())
	}
}

func TestTransactions(t *testing.T) {
	o := newOrg(t, Config{})
	var ids []string
	for _, n := range []string{"A", "B", "C"} {
		ids = append(ids, must[string](t)(o.Create("Account", Fields{"Name": n})))
	}
	check(t, o.UpdateAll("Account", ids, Fields{"Rating": "Hot"}))
	if e, h, _ := last(t, o); fmt.Sprint(e.RecordIDs) != fmt.Sprint(ids) || fmt.Sprint(h["recordIds"]) != fmt.Sprint(ids) || o.LedgerLen() != 4 {
		t.Errorf("merged event: %+v", e)
	}
	check(t, o.UpdateAll("Account", ids[:1], Fields{"Rating": "Cold"}))
	check(t, o.UpdateAll("Account", ids, Fields{"Rating": "Cold"}))
	led := o.Ledger()
	if n := len(led); n != 7 || len(led[5].RecordIDs) != 1 || len(led[6].RecordIDs) != 2 || led[5].TransactionKey != led[6].TransactionKey || led[6].Sequence != 2 {
		t.Errorf("changes that differ are not merged: %+v", led[5:])
	}
	var fresh string
	check(t, o.Transact(TxOptions{}, func(tx *Tx) (err error) {
		if fresh, err = tx.Create("Contact", Fields{"LastName": "X"}); err != nil {
			return err
		}
		brief, err := tx.Create("Contact", Fields{"LastName": "Brief"})
		_, err2 := tx.Publish("Order__e", nil)
		return errors.Join(err, err2, tx.Update("Contact", fresh, Fields{"Title": "CTO"}), tx.Delete("Contact", brief),
			tx.Update("Account", ids[0], Fields{"Site": "HQ"}), tx.Delete("Account", ids[0]))
	}))
	var got []string
	for _, e := range o.Ledger()[7:] {
		got = append(got, fmt.Sprint(e.Event, " ", e.ChangeType, " ", e.Sequence, " ", strings.Contains(string(e.Payload), "CTO")))
	}
	if want := "[ContactChangeEvent CREATE 1 true Order__e  2 false AccountChangeEvent DELETE 3 false]"; fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	o2 := newOrg(t, Config{NoMerge: true, OmitChangedFields: true})
	a, b := must[string](t)(o2.Create("Account", Fields{"Name": "A"})), must[string](t)(o2.Create("Account", Fields{"Name": "B"}))
	check(t, o2.UpdateAll("Account", []string{a, b}, Fields{"Site": "x"}))
	if _, h, _ := last(t, o2); o2.LedgerLen() != 4 || h["changedFields"] != nil {
		t.Errorf("without merging and changedFields: %d events, header %v", o2.LedgerLen(), h)
	}
}

func TestEventsBesideTheStore(t *testing.T) {
	o := newOrg(t, Config{TextDiffs: true})
	id := must[string](t)(o.Create("Account", Fields{"Name": "A", "Description": strings.Repeat("line\n", 400)}))
	check(t, o.Emit("Account", "GAP_UPDATE", id))
	if e, _, f := last(t, o); e.ChangeType != "GAP_UPDATE" || len(f) != 0 {
		t.Errorf("gap: %s", e.Payload)
	}
	check(t, o.Emit("Account", "GAP_OVERFLOW"))
	if e, _, _ := last(t, o); e.RecordIDs[0] != "000000000000000AAA" {
		t.Errorf("overflow: %+v", e)
	}
	check(t, o.EmitWildcard("Account"))
	if e, _, _ := last(t, o); e.ChangeType != "UPDATE" || e.RecordIDs[0] != "001*" {
		t.Errorf("wildcard: %+v", e)
	}
	if o.Emit("Account", "SNAPSHOT", id) == nil || o.Emit("Account", "GAP_CREATE") == nil || o.Emit("Order__e", "GAP_CREATE", id) == nil {
		t.Error("nonsense is published")
	}
	text := strings.Repeat("line\n", 200) + "new\n" + strings.Repeat("line\n", 200)
	check(t, o.Update("Account", id, Fields{"Description": text}))
	_, _, f := last(t, o)
	var diff struct{ Diff string }
	if err := json.Unmarshal(f["Description"], &diff); err != nil || !strings.HasPrefix(diff.Diff, fmt.Sprintf("--- \n+++ %x\n\n@@ -", sha256.Sum256([]byte(text)))) || !strings.Contains(diff.Diff, "\n+new\n") {
		t.Errorf("diff: %v %s", err, f["Description"])
	}
	check(t, o.UpdateDiff("Account", id, "Description", "short"))
	if _, _, f := last(t, o); !strings.HasPrefix(string(f["Description"]), `{"diff":"--- `) {
		t.Errorf("diff on demand: %s", f["Description"])
	}
}

func TestSchemas(t *testing.T) {
	o := newOrg(t, Config{Seed: 4})
	for _, name := range []string{"Account", "Contact", "Invoice__c", "Order__e"} {
		id := must[string](t)(o.SchemaID(name))
		raw, ok := o.Schema(id)
		if !ok || !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(id) {
			t.Fatalf("%s: schema id %q", name, id)
		}
		var s struct {
			Name, Namespace, Type, UUID string
			Fields                      []struct {
				Name string
				Type any
				Doc  string
			}
		}
		if err := json.Unmarshal(raw, &s); err != nil || s.Namespace != "com.sforce.eventbus" || s.Type != "record" || s.UUID != id {
			t.Errorf("%s: %v %s", name, err, raw)
		}
		t.Logf("%s: %s", name, raw)
	}
	must[string](t)(o.Publish("Order__e", nil))
	old := o.Ledger()[0].SchemaID
	check(t, o.AddField("Order__e", Field{Name: "Score__c", Type: Number}))
	must[string](t)(o.Publish("Order__e", Fields{"Score__c": 1}))
	e := o.Ledger()[1]
	if e.SchemaID == old || !strings.Contains(string(e.Payload), `"Score__c":1.0}`) {
		t.Errorf("after adding a field: %s %s", e.SchemaID, e.Payload)
	}
	if raw, ok := o.Schema(old); !ok || strings.Contains(string(raw), "Score__c") {
		t.Error("the old schema changed or is gone")
	}
	if err := o.AddField("Order__e", Field{Name: "Score__c", Type: Number}); err == nil {
		t.Error("a field is added twice")
	}
	// Records made before know the field too.
	id := must[string](t)(o.Create("Account", Fields{"Name": "A"}))
	check(t, o.AddField("Account", Field{Name: "Tier__c", Type: Picklist, Values: []string{"1"}, Restricted: true}))
	check(t, o.Update("Account", id, Fields{"Tier__c": "1"}))
	if err := o.Update("Account", id, Fields{"Tier__c": "2"}); err == nil {
		t.Error("a restricted picklist takes anything")
	}
}

func TestDeterminism(t *testing.T) {
	run := func(seed uint64) string {
		o := newOrg(t, Config{Seed: seed, Now: fixedClock()})
		l, err := o.NewLoad(LoadConfig{})
		check(t, err)
		for range 500 {
			check(t, l.Step())
		}
		if l.Published() != o.LedgerLen() {
			t.Errorf("load says %d events, ledger has %d", l.Published(), o.LedgerLen())
		}
		var b strings.Builder
		kinds := map[string]int{}
		for e := range o.LedgerFrom(0) {
			fmt.Fprintln(&b, e.ReplayID, string(e.Payload))
			kinds[e.ChangeType]++
			if len(e.RecordIDs) > 1 {
				kinds["merged"]++
			}
		}
		for _, k := range []string{"CREATE", "UPDATE", "DELETE", "UNDELETE", "", "merged"} {
			if kinds[k] == 0 {
				t.Errorf("seed %d: the load made no %q: %v", seed, k, kinds)
			}
		}
		return b.String()
	}
	a, b, c := run(1), run(1), run(2)
	if a != b {
		t.Error("one seed gives two ledgers")
	}
	if a == c {
		t.Error("two seeds give one ledger")
	}
}

func TestReplayIDsGrowWithGaps(t *testing.T) {
	o := newOrg(t, Config{})
	check(t, o.Bulk(Bulk{Object: "Order__e", Count: 2000}))
	led := o.Ledger()
	gaps := 0
	for i := 1; i < len(led); i++ {
		if led[i].ReplayID <= led[i-1].ReplayID {
			t.Fatalf("id %d follows %d", led[i].ReplayID, led[i-1].ReplayID)
		}
		if led[i].ReplayID > led[i-1].ReplayID+1 {
			gaps++
		}
	}
	if gaps < 200 {
		t.Errorf("only %d gaps", gaps)
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]string{"001D000000IqhSL": "001D000000IqhSLIAZ", "00Dxx0000001gPL": "00Dxx0000001gPLEAY", "short": "short"} {
		if got := ID18(id); got != want {
			t.Errorf("ID18(%s) = %s, want %s", id, got, want)
		}
	}
}

func TestRetention(t *testing.T) {
	o := newOrg(t, Config{DropTrimmed: true})
	check(t, o.Bulk(Bulk{Object: "Order__e", Count: 3000}))
	o.AdvanceClock(71 * time.Hour)
	if n := o.Retained(); n != 3000 {
		t.Errorf("retained after 71 h: %d", n)
	}
	must[string](t)(o.Publish("Order__e", nil))
	o.AdvanceClock(2 * time.Hour)
	if n := o.Retained(); n != 1 {
		t.Errorf("retained after 73 h: %d", n)
	}
	led := o.Ledger()
	if o.LedgerLen() != 3001 || led[len(led)-1].Index != 3000 || len(led) > 1024 {
		t.Errorf("ledger after retention: %d entries, length %d", len(led), o.LedgerLen())
	}
}

func TestBadConfig(t *testing.T) {
	for what, cfg := range map[string]Config{
		"objects":  {Objects: []Object{{Name: "A"}, {Name: "A"}}},
		"no type":  {Objects: []Object{{Name: "A", Fields: []Field{{Name: "B"}}}}},
		"event":    {Objects: []Object{{Name: "A__e", Fields: []Field{{Name: "B__c", Type: Address}}}}},
		"prefix":   {Objects: []Object{{Name: "A", KeyPrefix: "1"}}},
		"channel":  {Channels: []Channel{{Name: "/data/X"}}},
		"member":   {Channels: []Channel{{Name: "/data/X__chn", Members: []string{"Order__e"}}}},
		"nameless": {Users: []User{{}}},
	} {
		var ce *ConfigError
		if _, err := New(cfg); !errors.As(err, &ce) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
