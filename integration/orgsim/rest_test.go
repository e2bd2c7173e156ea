package orgsim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestREST(t *testing.T) {
	o := newOrg(t, Config{Seed: 5, Now: fixedClock()})
	base := serve(t, o)
	token := must[string](t)(o.Issue(""))
	var versions []versionInfo
	restRequest(t, base, "", "GET", "/services/data/", "", &versions)
	if n := len(versions); versions[0] != (versionInfo{"Winter '24", "/services/data/v59.0", "59.0"}) || versions[n-1].Version != "66.0" || versions[n-1].Label != "Spring '26" {
		t.Errorf("versions: %v", versions)
	}
	const v66 = "/services/data/v66.0"
	var made struct {
		ID      string
		Success bool
		Errors  []struct{ StatusCode, Message string }
	}
	res := restRequest(t, base, token, "POST", v66+"/sobjects/Contact", `{"LastName":"Krol","MailingCity":"Lyon"}`, &made)
	if res.StatusCode != http.StatusCreated || !made.Success || len(made.ID) != 18 || !strings.HasSuffix(res.Header.Get("Location"), made.ID) ||
		!strings.HasPrefix(res.Header.Get("Sforce-Limit-Info"), "api-usage=") {
		t.Errorf("create: %d %+v %v", res.StatusCode, made, res.Header)
	}
	var row map[string]any
	restRequest(t, base, token, "GET", v66+"/sobjects/Contact/"+made.ID[:15], "", &row)
	if row["Name"] != "Krol" || row["LastName"] != "Krol" || row["MailingCity"] != "Lyon" || row["CreatedDate"] != "2026-03-04T09:15:22.000+0000" ||
		row["MailingAddress"].(map[string]any)["city"] != "Lyon" || row["Id"] != made.ID {
		t.Errorf("read: %v", row)
	}
	req, err := http.NewRequest("PATCH", base+v66+"/sobjects/Contact/"+made.ID, strings.NewReader(`{"Title":"CTO"}`))
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Sforce-Call-Options", "client=etl, defaultNamespace=x")
	res, err = http.DefaultClient.Do(req)
	check(t, err)
	_ = res.Body.Close()
	if _, h, _ := last(t, o); res.StatusCode != http.StatusNoContent || h["changeOrigin"] != "com/salesforce/api/rest/66.0;client=etl" {
		t.Errorf("update: %d %v", res.StatusCode, h)
	}
	res = restRequest(t, base, token, "POST", v66+"/sobjects/Order__e/", `{"Amount__c":1}`, &made)
	led := o.Ledger()
	if res.StatusCode != http.StatusCreated || made.Errors[0].StatusCode != "OPERATION_ENQUEUED" || made.Errors[0].Message != led[len(led)-1].UUID {
		t.Errorf("publish: %d %+v", res.StatusCode, made)
	}
	if res := restRequest(t, base, token, "DELETE", v66+"/sobjects/Contact/"+row["Id"].(string), "", nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %d", res.StatusCode)
	}
}

func TestRESTRefusals(t *testing.T) {
	o := newOrg(t, Config{})
	base, token := serve(t, o), must[string](t)(o.Issue(""))
	const v66 = "/services/data/v66.0"
	id := must[string](t)(o.Create("Contact", Fields{"LastName": "X"}))
	check(t, o.Delete("Contact", id))
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", v66 + "/sobjects/Contact/" + id, "", 404, "NOT_FOUND"},
		{"DELETE", v66 + "/sobjects/Contact/" + id, "", 404, "ENTITY_IS_DELETED"},
		{"POST", v66 + "/sobjects/Contact", `{}`, 400, "REQUIRED_FIELD_MISSING"},
		{"POST", v66 + "/sobjects/Contact", `{`, 400, "JSON_PARSER_ERROR"},
		{"PUT", v66 + "/sobjects/Contact", ``, 405, "METHOD_NOT_ALLOWED"},
		{"GET", v66 + "/sobjects/Nope/describe", "", 404, "NOT_FOUND"},
		{"GET", v66 + "/event/eventSchema/AAAAAAAAAAAAAAAAAAAAAA", "", 404, "NOT_FOUND"},
		{"GET", v66 + "/sobjects/Order__e/eventSchema?payloadFormat=XML", "", 400, "INVALID_FIELD"},
		{"GET", "/services/data/v20.0/limits", "", 410, "UNSUPPORTED_API_VERSION"},
		{"GET", "/services/data/v99.0/limits", "", 404, "NOT_FOUND"},
		{"GET", v66 + "/query?q=" + url.QueryEscape("DROP TABLE x"), "", 400, "MALFORMED_QUERY"},
		{"GET", v66 + "/query?q=" + url.QueryEscape("SELECT Nope FROM Account"), "", 400, "INVALID_FIELD"},
		{"GET", v66 + "/query?q=" + url.QueryEscape("SELECT Id FROM Nope"), "", 400, "INVALID_TYPE"},
	} {
		var errs []struct{ ErrorCode, Message string }
		if res := restRequest(t, base, token, tc.method, tc.path, tc.body, &errs); res.StatusCode != tc.status || len(errs) != 1 || errs[0].ErrorCode != tc.code {
			t.Errorf("%s %s: %d %v, want %d %s", tc.method, tc.path, res.StatusCode, errs, tc.status, tc.code)
		}
	}
	var errs []struct{ ErrorCode, Message string }
	res := restRequest(t, base, "bad", "GET", v66+"/limits", "", &errs)
	if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != "Token" || errs[0].ErrorCode != "INVALID_SESSION_ID" || errs[0].Message != "Session expired or invalid" {
		t.Errorf("bad token: %d %v", res.StatusCode, errs)
	}
}

func TestRESTSchemasAndDescribe(t *testing.T) {
	o := newOrg(t, Config{})
	base, token := serve(t, o), must[string](t)(o.Issue(""))
	const v66 = "/services/data/v66.0"
	id := must[string](t)(o.SchemaID("Invoice__c"))
	for path, typ := range map[string]string{
		"/event/eventSchema/" + id + "?payloadFormat=COMPACT":               "record",
		"/event/eventSchema/" + id:                                          "expanded-record",
		"/sobjects/Invoice__ChangeEvent/eventSchema?payloadFormat=COMPACT":  "record",
		"/sobjects/Invoice__ChangeEvent/eventSchema?payloadFormat=EXPANDED": "expanded-record",
		"/sobjects/Order__e/eventSchema?payloadFormat=COMPACT":              "record",
	} {
		var s struct {
			Type, UUID string
			Fields     []struct{ Name string }
		}
		restRequest(t, base, token, "GET", v66+path, "", &s)
		if s.Type != typ || typ == "record" && !strings.Contains(path, "Order__e") && (s.UUID != id || s.Fields[0].Name != "ChangeEventHeader") {
			t.Errorf("%s: %+v", path, s)
		}
	}
	var d struct {
		Name      string
		KeyPrefix string
		Fields    []struct{ Name, Type, SoapType, Label string }
	}
	restRequest(t, base, token, "GET", v66+"/sobjects/Invoice__c/describe", "", &d)
	types := map[string]string{}
	for _, f := range d.Fields {
		types[f.Name] = f.Type + " " + f.SoapType
	}
	if d.KeyPrefix != "a01" || types["Loc__c"] != "location urn:location" || types["Loc__Latitude__s"] != "double xsd:double" || types["Due_Date__c"] != "date xsd:date" || types["Id"] != "id tns:ID" {
		t.Errorf("describe: %s %v", d.KeyPrefix, types)
	}
}

// TestRelabel: labels and help texts are told by describe, and are no part of a
// schema.
func TestRelabel(t *testing.T) {
	o := newOrg(t, Config{})
	base, token := serve(t, o), must[string](t)(o.Issue(""))
	id := must[string](t)(o.SchemaID("Account"))
	check(t, o.Relabel("Account", "", "Customer", ""))
	check(t, o.Relabel("Account", "Rating", "Temperature", "How promising it is."))
	if o.Relabel("Account", "BillingCity", "Town", "") == nil || o.Relabel("Nothing", "", "x", "") == nil {
		t.Error("what is not there got a label")
	}
	var d struct {
		Label  string
		Fields []struct{ Name, Label, InlineHelpText string }
	}
	restRequest(t, base, token, "GET", "/services/data/v66.0/sobjects/Account/describe", "", &d)
	told := map[string]string{}
	for _, f := range d.Fields {
		told[f.Name] = f.Label + ": " + f.InlineHelpText
	}
	if d.Label != "Customer" || told["Rating"] != "Temperature: How promising it is." || told["Site"] != "Site: " {
		t.Errorf("describe: %s %v", d.Label, told)
	}
	if now := must[string](t)(o.SchemaID("Account")); now != id {
		t.Error("a label made another schema")
	}
}

func TestQuery(t *testing.T) {
	now := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Now: func() time.Time { return now }})
	base, token := serve(t, o), must[string](t)(o.Issue(""))
	for i := range 5 {
		must[string](t)(o.Create("Account", Fields{"Name": fmt.Sprint("N", i), "NumberOfEmployees": i * 9}))
		o.AdvanceClock(time.Minute)
	}
	rows := must[[]Row](t)(o.Rows("Account"))
	check(t, o.Delete("Account", rows[0].ID))
	ask := func(resource, q string) (total int, names []string) {
		t.Helper()
		var out struct {
			TotalSize int
			Done      bool
			Records   []map[string]any
		}
		restRequest(t, base, token, "GET", "/services/data/v66.0/"+resource+"?q="+url.QueryEscape(q), "", &out)
		if !out.Done {
			t.Errorf("%s: not done", q)
		}
		for _, r := range out.Records {
			names = append(names, fmt.Sprint(r["Name"]))
		}
		return out.TotalSize, names
	}
	for q, want := range map[string]string{
		"SELECT COUNT() FROM Account": "4 []",
		"SELECT COUNT() FROM Account WHERE SystemModstamp > 2026-03-04T09:02:00Z":                    "2 []",
		"select count() from Account where SystemModstamp >= 2026-03-04T10:02:00+01:00 AND Id != ''": "3 []",
		"SELECT Id, Name FROM Account WHERE NumberOfEmployees > 9 ORDER BY Name DESC LIMIT 2":        "2 [N4 N3]",
		"SELECT Name FROM Account WHERE Name = 'N3'":                                                 "1 [N3]",
		"SELECT Name FROM Organization":                                                              "1 [Orgsim]",
	} {
		n, names := ask("query", q)
		if got := fmt.Sprint(n, " ", names); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	if n, _ := ask("queryAll", "SELECT COUNT() FROM Account"); n != 5 {
		t.Errorf("queryAll: %d", n)
	}
	var org struct{ Records []struct{ ID string } }
	restRequest(t, base, token, "GET", "/services/data/v66.0/query?q=SELECT+Id+FROM+Organization", "", &org)
	if org.Records[0].ID != o.ID() {
		t.Errorf("organisation: %+v", org)
	}
}

// control posts to the control API.
func control(t *testing.T, base string) func(path, body string) map[string]any {
	return func(path, body string) map[string]any {
		t.Helper()
		var out map[string]any
		restRequest(t, base, "", "POST", "/orgsim/"+path, body, &out)
		return out
	}
}

func TestControlAPIChangesAndLedger(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	post := control(t, base)
	id, _ := post("create", `{"object":"Account","fields":{"Name":"Acme"}}`)["id"].(string)
	post("update", `{"object":"Account","id":"`+id+`","fields":{"Rating":"Hot"}}`)
	post("delete", `{"object":"Account","ids":["`+id+`"]}`)
	post("undelete", `{"object":"Account","ids":["`+id+`"]}`)
	post("publish", `{"object":"Order__e","fields":{"Amount__c":5}}`)
	if s := post("touch", `{"object":"Account","id":"`+id+`"}`); s["count"] != 1.0 {
		t.Errorf("touch: %v", s)
	}
	if s := post("empty-bin", `{"object":"Account"}`); s["count"] != 0.0 {
		t.Errorf("empty-bin: %v", s)
	}
	if s := post("close-cursors", ""); s["count"] != 0.0 {
		t.Errorf("close-cursors: %v", s)
	}
	post("emit", `{"object":"Account","changeType":"GAP_UPDATE","id":"`+id+`"}`)
	post("bulk", `{"object":"Order__e","count":10}`)
	if s := post("field", `{"object":"Account","field":{"name":"Tier__c","type":"string"}}`); len(fmt.Sprint(s["schemaId"])) != 22 {
		t.Errorf("field: %v", s)
	}
	if s := post("update", `{"object":"Account","id":"x","fields":{}}`); !strings.Contains(fmt.Sprint(s["error"]), "NOT_FOUND") {
		t.Errorf("an error: %v", s)
	}
	if s := post("create", `{"objekt":"Account"}`); !strings.Contains(fmt.Sprint(s["error"]), "objekt") {
		t.Errorf("an unknown key: %v", s)
	}
	res, err := http.Get(base + "/orgsim/ledger?from=1&limit=5")
	check(t, err)
	defer res.Body.Close()
	var kinds []string
	for sc := bufio.NewScanner(res.Body); sc.Scan(); {
		var e Entry
		check(t, json.Unmarshal(sc.Bytes(), &e))
		if want := o.Ledger()[e.Index]; string(want.Payload) != string(e.Payload) || want.ReplayID != e.ReplayID {
			t.Errorf("ledger line %s", sc.Text())
		}
		kinds = append(kinds, e.Event+" "+e.ChangeType)
	}
	if want := "[AccountChangeEvent UPDATE AccountChangeEvent DELETE AccountChangeEvent UNDELETE Order__e  AccountChangeEvent GAP_UPDATE]"; fmt.Sprint(kinds) != want {
		t.Errorf("ledger: %v", kinds)
	}
	follow, err := http.Get(base + "/orgsim/ledger?from=16&limit=1&follow=true")
	check(t, err)
	defer follow.Body.Close()
	post("publish", `{"object":"Order__e"}`)
	line, err := bufio.NewReader(follow.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"index":16,`) {
		t.Errorf("following: %s %v", line, err)
	}
}

func TestControlAPIFaultsAndLoad(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	post := control(t, base)
	post("bulk", `{"object":"Order__e","count":17}`)
	newClient(t, o, base, nil).ready(-1, "/event/Order__e")
	for _, fault := range []string{"cut-connections", "forget-sessions", "expire-tokens"} {
		if s := post(fault, ""); s["count"] != 1.0 {
			t.Errorf("%s: %v", fault, s)
		}
	}
	if s := post("trim", `{"keep":3}`); s["count"] != 14.0 {
		t.Errorf("trim: %v", s)
	}
	post("load/start", `{"rate":1000,"seed":3}`)
	until(t, "the load to publish", func() bool { return o.LedgerLen() > 30 })
	post("load/stop", "")
	var stats Stats
	restRequest(t, base, "", "GET", "/orgsim/stats", "", &stats)
	if stats.SessionsOpened != 1 || stats.SessionsForgotten != 1 || stats.EventsPublished != int64(o.LedgerLen()) {
		t.Errorf("stats: %+v", stats)
	}
	var index map[string]any
	restRequest(t, base, "", "GET", "/orgsim/", "", &index)
	if index["orgId"] != o.ID() {
		t.Errorf("index: %v", index)
	}
}
