package orgsim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// asked is what a query over REST gave.
type asked struct {
	TotalSize      int
	Done           bool
	NextRecordsURL string `json:"nextRecordsUrl"`
	Records        []map[string]any
}

// asker asks an org over REST.
type asker struct {
	t     testing.TB
	base  string
	token string
}

func newAsker(t *testing.T, o *Org, user string) *asker {
	return &asker{t, serve(t, o), must[string](t)(o.Issue(user))}
}

const v66 = "/services/data/v66.0"

// get reads a resource; a refusal is the status, code and message.
func (a *asker) get(path string, v any) string {
	a.t.Helper()
	var raw json.RawMessage
	res := restRequest(a.t, a.base, a.token, http.MethodGet, path, "", &raw)
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(raw, v); err != nil {
			a.t.Fatalf("%s: %v: %.200s", path, err, raw)
		}
		return ""
	}
	var errs []struct{ ErrorCode, Message string }
	if err := json.Unmarshal(raw, &errs); err != nil || len(errs) != 1 {
		a.t.Fatalf("%s: %d %s", path, res.StatusCode, raw)
	}
	return fmt.Sprintf("%d %s %s", res.StatusCode, errs[0].ErrorCode, errs[0].Message)
}

func (a *asker) query(q string) (asked, string) {
	a.t.Helper()
	return a.from("query", q)
}

func (a *asker) from(resource, q string) (out asked, refused string) {
	a.t.Helper()
	refused = a.get(v66+"/"+resource+"?q="+url.QueryEscape(q), &out)
	return out, refused
}

// soqlOrg is an org at noon of a Wednesday, 2026-03-04, with five invoices of two
// accounts.
func soqlOrg(t *testing.T, change func(*Config)) (*Org, map[string]string) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	c := Config{Seed: 4, Now: func() time.Time { return now }}
	c.Objects = DefaultObjects()
	inv := slices.IndexFunc(c.Objects, func(ob Object) bool { return ob.Name == "Invoice__c" })
	c.Objects[inv].Fields = append(c.Objects[inv].Fields,
		Field{Name: "Customer__c", Type: Text, Formula: "Account__r.Name & ' / ' & Status__c"},
		Field{Name: "Double__c", Type: Currency, Formula: "Amount__c * 2"},
		Field{Name: "Scan__c", Type: Base64})
	if change != nil {
		change(&c)
	}
	o := newOrg(t, c)
	ids := map[string]string{}
	make := func(key, object string, f Fields) {
		ids[key] = must[string](t)(o.Create(object, f))
	}
	make("acme", "Account", Fields{"Name": "Acme", "Rating": "Hot", "BillingCity": "Lyon", "BillingLatitude": 45.75, "AnnualRevenue": 1e7, "NumberOfEmployees": 12})
	make("krol", "Account", Fields{"Name": Fields{"Salutation": "Dr.", "FirstName": "Ada", "LastName": "Krol"}, "ParentId": ids["acme"]})
	make("a", "Invoice__c", Fields{"Account__c": ids["acme"], "Amount__c": 20, "Due_Date__c": "2026-03-04", "Sent_At__c": "2026-03-03T23:30:00Z", "Status__c": "Open", "Tags__c": "Rush;Export", "Paid__c": true, "Cutoff__c": "13:30:00Z", "Loc__c": Fields{"Latitude": 1.5, "Longitude": -2}})
	make("b", "Invoice__c", Fields{"Account__c": ids["krol"], "Amount__c": 30.5, "Due_Date__c": "2026-02-28", "Status__c": "draft", "Tags__c": "Rush", "Notes__c": "long"})
	make("c", "Invoice__c", Fields{"Amount__c": -1, "Due_Date__c": "2025-12-31", "Status__c": "O'Neil 50%_x\\", "Contact_Email__c": "Z@example.com"})
	make("d", "Invoice__c", Fields{"Due_Date__c": "2026-03-01"})
	make("e", "Invoice__c", Fields{"Account__c": ids["acme"], "Amount__c": 20, "Quantity__c": 0.0001})
	return o, ids
}

// TestSOQL is the language, by what it selects of the five invoices, in order of id.
func TestSOQL(t *testing.T) {
	o, ids := soqlOrg(t, nil)
	a := newAsker(t, o, "")
	letter := map[string]string{}
	for k, id := range ids {
		letter[id] = k
	}
	for where, want := range map[string]string{
		"":                                                    "abcde",
		"WHERE Amount__c = 20":                                "ae",
		"where amount__C >= 20":                               "abe",
		"WHERE Amount__c != 20":                               "bcd", // null is unequal
		"WHERE Amount__c <> 20.0":                             "bcd",
		"WHERE NOT Amount__c > 20":                            "acde",
		"WHERE Amount__c < 0":                                 "c",
		"WHERE Amount__c = null":                              "d",
		"WHERE Amount__c != NULL":                             "abce",
		"WHERE Amount__c IN (20, -1)":                         "ace",
		"WHERE Amount__c NOT IN (20)":                         "bcd",
		"WHERE Amount__c > 1e1":                               "abe",
		"WHERE Status__c = 'OPEN'":                            "a", // whatever the case
		"WHERE Status__c = ''":                                "de",
		"WHERE Status__c > 'e'":                               "ac",
		"WHERE Status__c LIKE 'o%'":                           "ac",
		"WHERE Status__c LIKE '_pen'":                         "a",
		"WHERE (NOT Status__c LIKE 'o%') AND Paid__c = false": "bde",
		`WHERE Status__c LIKE '%\'%50\%\_x\\\\'`:              "c",
		`WHERE Status__c = 'O\'Neil 50%_x\\'`:                 "c",
		`WHERE Status__c = '\u006Fpen'`:                       "a",
		"WHERE Paid__c = true":                                "a",
		"WHERE Paid__c != TRUE":                               "bcde",
		"WHERE Tags__c INCLUDES ('Export;Rush')":              "a",
		"WHERE Tags__c INCLUDES ('Export', 'rush')":           "ab",
		"WHERE Tags__c EXCLUDES ('Export')":                   "bcde",
		"WHERE Tags__c = 'Rush'":                              "b",
		"WHERE Due_Date__c = TODAY":                           "a",
		"WHERE Due_Date__c = 2026-02-28":                      "b",
		"WHERE Due_Date__c < THIS_MONTH":                      "bc",
		"WHERE Due_Date__c <= THIS_MONTH":                     "abcd",
		"WHERE Due_Date__c > LAST_MONTH":                      "ad",
		"WHERE Due_Date__c != THIS_YEAR":                      "ce",
		"WHERE Due_Date__c = LAST_N_DAYS:3":                   "ad", // with today
		"WHERE Due_Date__c = LAST_N_DAYS:4":                   "abd",
		"WHERE Due_Date__c = LAST_N_MONTHS:1":                 "b", // without this month
		"WHERE Due_Date__c = THIS_WEEK":                       "ad",
		"WHERE Due_Date__c = LAST_FISCAL_QUARTER":             "c",
		"WHERE Due_Date__c = N_DAYS_AGO:4":                    "b",
		"WHERE Due_Date__c = NEXT_N_DAYS:5":                   "",
		"WHERE Sent_At__c = YESTERDAY":                        "a",
		"WHERE Sent_At__c >= 2026-03-04T00:30:00+01:00":       "a",
		"WHERE Sent_At__c > 2026-03-03T23:30:00Z":             "",
		"WHERE Cutoff__c > 13:00:00.000Z":                     "a",
		"WHERE Account__r.Name = 'acme'":                      "ae",
		"WHERE Account__r.Parent.Rating = 'Hot'":              "b",
		"WHERE Account__r.Name != 'acme'":                     "bcd",
		"WHERE Invoice__c.Amount__c = -1":                     "c",
		"WHERE Owner.Email LIKE '%@orgsim.example'":           "abcde",
		"WHERE Customer__c = 'Acme / Open'":                   "a",
		"WHERE Double__c = 61":                                "b",
		"WHERE Loc__Latitude__s > 1":                          "a",
		"WHERE Amount__c = 20 AND (Paid__c = true OR Quantity__c > 0) AND NOT Status__c = 'Void'": "ae",
		"WHERE Paid__c = true OR Amount__c = -1 OR Amount__c = null":                              "acd",
		"WHERE Id > '" + ids["b"] + "' ORDER BY Id LIMIT 2":                                       "cd",
		"WHERE Id >= '" + ids["b"][:15] + "' AND Id < '" + ids["d"] + "'":                         "bc",
		"WHERE Id IN ('" + ids["a"] + "','" + ids["e"] + "') ORDER BY Id DESC":                    "ea",
		"WHERE Id <= '" + ids["c"] + "' ORDER BY Id DESC LIMIT 2":                                 "cb",
		"ORDER BY Amount__c, Id DESC":                                                             "dceab", // nulls first
		"ORDER BY Amount__c DESC NULLS LAST, Id":                                                  "baecd",
		"ORDER BY Amount__c NULLS LAST, Status__c DESC, Id LIMIT 3 OFFSET 1":                      "eab",
		"ORDER BY Account__r.Name, Due_Date__c DESC":                                              "dceab",
		"ORDER BY Id LIMIT 0": "",
	} {
		got, refused := a.query("SELECT Id FROM Invoice__c " + where)
		letters := ""
		for _, r := range got.Records {
			letters += letter[fmt.Sprint(r["Id"])]
		}
		if letters != want || got.TotalSize != len(want) || !got.Done || refused != "" {
			t.Errorf("%s: %s (%d) %s, want %s", where, letters, got.TotalSize, refused, want)
		}
		n, _ := a.query("SELECT COUNT() FROM Invoice__c " + where)
		if n.TotalSize != len(want) || len(n.Records) != 0 {
			t.Errorf("%s: counted %d, want %d", where, n.TotalSize, len(want))
		}
	}
}

// TestSOQLTimeZone: the day of a date literal is that of who asks.
func TestSOQLTimeZone(t *testing.T) {
	o, _ := soqlOrg(t, func(c *Config) {
		u := DefaultUser()
		u.TimeZone = "Asia/Tokyo"
		c.Users = []User{u}
	})
	got, _ := newAsker(t, o, "").query("SELECT COUNT() FROM Invoice__c WHERE Sent_At__c = TODAY")
	if got.TotalSize != 1 {
		t.Error("23:30 UTC of yesterday is today in Tokyo")
	}
	for _, u := range []User{{Username: "x", TimeZone: "Mars/North"}, {Username: "x", DeniedFields: []string{"Account.BillingCity"}}, {Username: "x", DeniedFields: []string{"Phone"}}} {
		if _, err := New(Config{Users: []User{u}}); err == nil {
			t.Errorf("accepted: %+v", u)
		}
	}
}

// TestSOQLErrors holds the words of Salesforce.
func TestSOQLErrors(t *testing.T) {
	o, ids := soqlOrg(t, func(c *Config) {
		u := DefaultUser()
		u.DeniedFields, u.Denied = []string{"Account.Phone"}, []string{"Contact"}
		c.Users = []User{u}
	})
	a := newAsker(t, o, "")
	const more = " Please reference your WSDL or the describe call for the appropriate names."
	for q, want := range map[string]string{
		"": "MALFORMED_QUERY A query string has to be specified",
		"SELECT Id, Name, Rating, Industry, Website FROM Account WHERE Nope = 1 AND Industry = 'Banking' AND Name != 'x'": "INVALID_FIELD \ng, Industry, Website FROM Account WHERE Nope = 1 AND Industr\n                                        ^\nERROR at Row:1:Column:63\nNo such column 'Nope' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name." + more,
		"SELECT Id FORM Account":                                                  "MALFORMED_QUERY \nSELECT Id FORM Account\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FORM'",
		"SELECT Id FROM Account WHERE":                                            "MALFORMED_QUERY \nSELECT Id FROM Account WHERE\n                            ^\nERROR at Row:1:Column:29\nunexpected token: '<EOF>'",
		"SELECT Nope FROM Account":                                                "INVALID_FIELD \nSELECT Nope FROM Account\n       ^\nERROR at Row:1:Column:8\nNo such column 'Nope' on entity 'Account'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name." + more,
		"SELECT Id\nFROM Nope":                                                    "INVALID_TYPE \nFROM Nope\n     ^\nERROR at Row:2:Column:6\nsObject type 'Nope' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name." + more,
		"SELECT Id FROM Contact":                                                  "INVALID_TYPE sObject type 'Contact' is not supported.",
		"SELECT Phone FROM Account":                                               "INVALID_FIELD No such column 'Phone' on entity 'Account'.",
		"SELECT Id FROM Order__e":                                                 "INVALID_TYPE sObject type 'Order__e' is not supported.",
		"SELECT Boss.Name FROM Account":                                           "INVALID_FIELD Didn't understand relationship 'Boss' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name." + more,
		"SELECT Parent.Nope FROM Account":                                         "INVALID_FIELD No such column 'Nope' on entity 'Account'.",
		"SELECT Id, Name, id FROM Account":                                        "MALFORMED_QUERY duplicate field selected: id",
		"SELECT Id FROM Account WHERE Name = 1":                                   "INVALID_FIELD value of filter criterion for field 'Name' must be of type string and should be enclosed in quotes",
		"SELECT Id FROM Account WHERE NumberOfEmployees = '1'":                    "INVALID_FIELD value of filter criterion for field 'NumberOfEmployees' must be of type int and should not be enclosed in quotes",
		"SELECT Id FROM Account WHERE CreatedDate > '2026-03-04T00:00Z'":          "INVALID_FIELD value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in quotes",
		"SELECT Id FROM Account WHERE CreatedDate > 2026-03-04":                   "INVALID_FIELD value of filter criterion for field 'CreatedDate' must be of type dateTime",
		"SELECT Id FROM Account WHERE CreatedDate > 1500-03-04T00:00:00Z":         "INVALID_FIELD value of filter criterion for field 'CreatedDate' must be of type dateTime",
		"SELECT Id FROM Account WHERE IsDeleted = 1":                              "INVALID_FIELD value of filter criterion for field 'IsDeleted' must be of type boolean and should not be enclosed in quotes",
		"SELECT Id FROM Account WHERE Description = 'x'":                          "INVALID_FIELD field 'Description' can not be filtered in a query call",
		"SELECT Id FROM Account WHERE BillingAddress = 'x'":                       "INVALID_FIELD field 'BillingAddress' can not be filtered in a query call",
		"SELECT Id FROM Account ORDER BY Description":                             "MALFORMED_QUERY field 'Description' can not be sorted in a query call",
		"SELECT Id FROM Account WHERE Id = 'abc'":                                 "INVALID_QUERY_FILTER_OPERATOR invalid ID field: abc",
		"SELECT Id FROM Account WHERE ParentId LIKE '0%'":                         "INVALID_QUERY_FILTER_OPERATOR invalid operator on id field",
		"SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'":    "MALFORMED_QUERY unexpected token: 'OR'",
		"SELECT Id FROM Account WHERE Name = 'a":                                  "MALFORMED_QUERY mismatched character '<EOF>' expecting '''",
		`SELECT Id FROM Account WHERE Name = 'a\x'`:                               `MALFORMED_QUERY Illegal character sequence '\x' in string literal.`,
		"SELECT Id FROM Account WHERE Name = 'a\nb'":                              "MALFORMED_QUERY line breaking not allowed in string literal",
		"SELECT Id FROM Account WHERE Name = $1":                                  "MALFORMED_QUERY no viable alternative at character '$'",
		"SELECT Id FROM Account WHERE CreatedDate = LAST_N_DAYS":                  "MALFORMED_QUERY unexpected token: 'LAST_N_DAYS'",
		"SELECT Id FROM Account WHERE CreatedDate = TODAY:3":                      "MALFORMED_QUERY unexpected token: 'TODAY:3'",
		"SELECT Id FROM Account LIMIT x":                                          "MALFORMED_QUERY unexpected token: 'x'",
		"SELECT Id FROM Account OFFSET 2001":                                      "NUMBER_OUTSIDE_VALID_RANGE Maximum SOQL offset allowed is 2000",
		"SELECT FIELDS(ALL) FROM Account":                                         "MALFORMED_QUERY The SOQL FIELDS function must have a LIMIT of at most 200",
		"SELECT COUNT(), Id FROM Account":                                         "MALFORMED_QUERY unexpected token: ','",
		"SELECT Id, COUNT(Id) FROM Account":                                       "MALFORMED_QUERY Field must be grouped or aggregated: Id",
		"SELECT MAX(Id) FROM Account":                                             "MALFORMED_QUERY field Id does not support aggregate operator MAX",
		"SELECT Id FROM Account WHERE Name INCLUDES ('x')":                        "INVALID_FIELD invalid operator on field 'Name'",
		"SELECT Id FROM Account WHERE Name = '" + strings.Repeat("x", 4001) + "'": "MALFORMED_QUERY Filter value cannot be longer than 4000 characters",
	} {
		_, refused := a.query(q)
		code, words, _ := strings.Cut(want, " ")
		if !strings.HasPrefix(refused, "400 "+code+" ") || !strings.Contains(refused, words) || strings.HasPrefix(words, "\n") && refused != "400 "+want {
			t.Errorf("%.100s:\n%s\nwant %s", q, refused, want)
		}
	}
	res := restRequest(t, a.base, a.token, "GET", v66+"/query?q="+strings.Repeat("x", 17_000), "", nil)
	if res.StatusCode != 414 {
		t.Errorf("an address of 17,000 bytes: %d", res.StatusCode)
	}
	var d struct{ Fields []struct{ Name string } }
	if a.get(v66+"/sobjects/Account/describe", &d); slices.ContainsFunc(d.Fields, func(f struct{ Name string }) bool { return f.Name == "Phone" }) {
		t.Error("describe shows a field that the user may not read")
	}
	var row map[string]any
	a.get(v66+"/sobjects/Account/"+ids["acme"], &row)
	if _, shown := row["Phone"]; shown || row["BillingCity"] != "Lyon" {
		t.Errorf("the record: %v", row)
	}
}

// TestQueryShapes: the forms of values, compound fields and relations.
func TestQueryShapes(t *testing.T) {
	o, ids := soqlOrg(t, nil)
	a := newAsker(t, o, "")
	ask := func(q, want string) {
		t.Helper()
		var out struct{ Records json.RawMessage }
		if refused := a.get(v66+"/query?q="+url.QueryEscape(q), &out); refused != "" || string(out.Records) != want {
			t.Errorf("%s\n%s %s\nwant %s", q, out.Records, refused, want)
		}
	}
	at := func(object, id string) string {
		return `"attributes":{"type":"` + object + `","url":"/services/data/v66.0/sobjects/` + object + "/" + id + `"}`
	}
	ask("SELECT Id, name, BillingAddress, BillingCity, AnnualRevenue, NumberOfEmployees, CreatedDate, Phone FROM Account WHERE Name = 'Acme'",
		`[{`+at("Account", ids["acme"])+`,"Id":"`+ids["acme"]+`","Name":"Acme","BillingAddress":{"city":"Lyon","country":null,"countryCode":null,"geocodeAccuracy":null,"latitude":45.75,"longitude":null,"postalCode":null,"state":null,"stateCode":null,"street":null},"BillingCity":"Lyon","AnnualRevenue":1.0E7,"NumberOfEmployees":12,"CreatedDate":"2026-03-04T12:00:00.000+0000","Phone":null}]`)
	ask("SELECT Name, FirstName, Parent.Name, Parent.Parent.Name FROM Account WHERE LastName = 'krol'",
		`[{`+at("Account", ids["krol"])+`,"Name":"Ada Krol","FirstName":"Ada","Parent":{`+at("Account", ids["acme"])+`,"Name":"Acme","Parent":null}}]`)
	ask("SELECT Paid__c, Due_Date__c, Sent_At__c, Cutoff__c, Tags__c, Loc__c, Loc__Longitude__s, Amount__c, Double__c, Customer__c, Scan__c FROM Invoice__c WHERE Paid__c = true",
		`[{`+at("Invoice__c", ids["a"])+`,"Paid__c":true,"Due_Date__c":"2026-03-04","Sent_At__c":"2026-03-03T23:30:00.000+0000","Cutoff__c":"13:30:00.000Z","Tags__c":"Rush;Export","Loc__c":{"latitude":1.5,"longitude":-2.0},"Loc__Longitude__s":-2.0,"Amount__c":20.0,"Double__c":40.0,"Customer__c":"Acme / Open","Scan__c":"/services/data/v66.0/sobjects/Invoice__c/`+ids["a"]+`/Scan__c"}]`)
	ask("SELECT COUNT(Amount__c), MAX(Amount__c) top, SUM(Amount__c), MIN(SystemModstamp), COUNT_DISTINCT(Account__c), AVG(Quantity__c) FROM Invoice__c",
		`[{"attributes":{"type":"AggregateResult"},"expr0":4,"top":30.5,"expr2":69.5,"expr3":"2026-03-04T12:00:00.000+0000","expr4":2,"expr5":1.0E-4}]`)
	check(t, o.Delete("Account", ids["acme"]))
	ask("SELECT Parent.Name FROM Account", `[{`+at("Account", ids["krol"])+`,"Parent":null}]`)
	all, _ := a.query("SELECT FIELDS(ALL) FROM Invoice__c LIMIT 1")
	if len(all.Records[0]) < 25 {
		t.Errorf("FIELDS(ALL): %v", all.Records)
	}
	res := restRequest(t, a.base, a.token, "GET", v66+"/sobjects/Invoice__c/"+ids["a"]+"/Scan__c", "", nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/octetstream" {
		t.Errorf("the content: %d %v", res.StatusCode, res.Header)
	}
	refused := restRequest(t, a.base, a.token, "PATCH", v66+"/sobjects/Invoice__c/"+ids["a"], `{"Double__c":3}`, nil)
	if refused.StatusCode != 400 {
		t.Errorf("a formula was written: %d", refused.StatusCode)
	}
	for _, e := range o.Ledger() {
		if strings.Contains(string(e.Payload), "Double__c") || strings.Contains(string(e.Payload), "Scan__c") {
			t.Errorf("an event has a derived field: %s", e.Payload)
		}
	}
	var plans struct {
		Plans []queryPlan
	}
	a.get(v66+"/query?explain="+url.QueryEscape("SELECT Id FROM Invoice__c WHERE Id > '"+ids["c"]+"' AND Amount__c > 3"), &plans)
	if p := plans.Plans[0]; p.LeadingOperationType != "Index" || p.Cardinality != 3 || p.SobjectCardinality != 5 || p.SobjectType != "Invoice__c" {
		t.Errorf("explain: %+v", plans)
	}
	if _, err := New(Config{Objects: []Object{{Name: "X__c", Fields: []Field{{Name: "F__c", Type: Text, Formula: "Nope__c"}}}}}); err == nil {
		t.Error("a formula of a field that is not there")
	}
}

// wantRow says whether a row fulfils a condition, in the plainest way.
type wantRow func(r map[string]any) bool

// randomCondition makes a condition as text and as what it means.
func randomCondition(rnd *rand.Rand, depth int) (string, wantRow) {
	if depth > 0 && rnd.IntN(3) > 0 {
		a, wantA := randomCondition(rnd, depth-1)
		b, wantB := randomCondition(rnd, depth-1)
		switch rnd.IntN(3) {
		case 0:
			return "(" + a + " AND " + b + ")", func(r map[string]any) bool { return wantA(r) && wantB(r) }
		case 1:
			return "(" + a + " OR " + b + ")", func(r map[string]any) bool { return wantA(r) || wantB(r) }
		default:
			return "(NOT " + a + ")", func(r map[string]any) bool { return !wantA(r) }
		}
	}
	op := []string{"=", "!=", "<", "<=", ">", ">="}[rnd.IntN(6)]
	holds := func(there bool, n int) bool {
		return there && (op == "=" && n == 0 || op == "<" && n < 0 || op == "<=" && n <= 0 || op == ">" && n > 0 || op == ">=" && n >= 0) || op == "!=" && (!there || n != 0)
	}
	switch rnd.IntN(5) {
	case 0:
		n := rnd.IntN(6)
		return fmt.Sprintf("NumberOfEmployees %s %d", op, n), func(r map[string]any) bool {
			v, ok := r["NumberOfEmployees"].(float64)
			return holds(ok, int(v)-n)
		}
	case 1:
		word := string(rune('a' + rnd.IntN(4)))
		return fmt.Sprintf("Site %s '%s'", op, strings.ToUpper(word)), func(r map[string]any) bool {
			v, ok := r["Site"].(string)
			return holds(ok, strings.Compare(strings.ToLower(v), word))
		}
	case 2:
		return "Site IN ('a', 'C')", func(r map[string]any) bool { return r["Site"] == "a" || r["Site"] == "c" }
	case 3:
		id := fmt.Sprintf("001000000000%03d", rnd.IntN(1000))
		return fmt.Sprintf("Id %s '%s'", op, id), func(r map[string]any) bool {
			return holds(true, strings.Compare(fmt.Sprint(r["Id"]), ID18(id)))
		}
	default:
		at := time.Date(2026, 3, 4, 12, rnd.IntN(5), 0, 0, time.UTC)
		return fmt.Sprintf("SystemModstamp %s %s", op, at.Format(time.RFC3339)), func(r map[string]any) bool {
			v, err := time.Parse(restTimeLayout, fmt.Sprint(r["SystemModstamp"]))
			return holds(err == nil, v.Compare(at))
		}
	}
}

// TestSOQLAgainstPlainReading compares many random conditions, orders and
// limits with a reading of all rows.
func TestSOQLAgainstPlainReading(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Seed: 9, Now: func() time.Time { return now }})
	for i := range 300 {
		f := Fields{"Name": fmt.Sprint("n", i)}
		if rnd.IntN(4) > 0 {
			f["NumberOfEmployees"] = rnd.IntN(6)
		}
		if rnd.IntN(4) > 0 {
			f["Site"] = string(rune('a' + rnd.IntN(4)))
		}
		id := must[string](t)(o.Create("Account", f))
		o.AdvanceClock(time.Second)
		if rnd.IntN(6) == 0 {
			check(t, o.Delete("Account", id))
		}
	}
	cat := o.catalogue(o.users[0])
	var rows []map[string]any
	all := o.objects["Account"].index
	for i, r := range all {
		// Ids that conditions can hit.
		delete(o.objects["Account"].records, r.id)
		r.id = ID18(fmt.Sprintf("001000000000%03d", i*3))
		o.objects["Account"].records[r.id] = r
		raw := (&choice{kids: []*choice{{name: "Id", col: cat.table("Account").byName["id"]}, {name: "NumberOfEmployees", col: cat.table("Account").byName["numberofemployees"]},
			{name: "Site", col: cat.table("Account").byName["site"]}, {name: "SystemModstamp", col: cat.table("Account").byName["systemmodstamp"]}, {name: "IsDeleted", col: cat.table("Account").byName["isdeleted"]}}}).row(nil, cat.table("Account"), r, "")
		var row map[string]any
		check(t, json.Unmarshal(raw, &row))
		rows = append(rows, row)
	}
	for range 1500 {
		text, want := randomCondition(rnd, 4)
		order, limit, queryAll := rnd.IntN(3), rnd.IntN(40), rnd.IntN(2) == 0
		q := "SELECT Id FROM Account WHERE " + text + []string{"", " ORDER BY Id DESC", " ORDER BY NumberOfEmployees DESC NULLS LAST, Id"}[order] + fmt.Sprint(" LIMIT ", limit)
		var ids []string
		for _, r := range rows {
			if want(r) && (queryAll || r["IsDeleted"] == false) {
				ids = append(ids, fmt.Sprint(r["Id"]))
			}
		}
		switch order {
		case 1:
			slices.Reverse(ids)
		case 2:
			count := map[string]float64{}
			for _, r := range rows {
				n, ok := r["NumberOfEmployees"].(float64)
				if !ok {
					n = -1
				}
				count[fmt.Sprint(r["Id"])] = n
			}
			slices.SortStableFunc(ids, func(a, b string) int { return int(count[b] - count[a]) })
		}
		ids = ids[:min(limit, len(ids))]
		s, err := parseSOQL(q)
		check(t, err)
		bound, err := cat.bind(s, queryAll)
		check(t, err)
		var got []string
		for _, r := range bound.run() {
			got = append(got, r.id)
		}
		if !slices.Equal(got, ids) || bound.count() != len(ids) {
			t.Fatalf("%s (all %v)\n%v, counted %d\nwant %v", q, queryAll, got, bound.count(), ids)
		}
	}
}
