package orgsim

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestRecordsByID: each id has its place, whether its record is there or not.
func TestRecordsByID(t *testing.T) {
	o, ids := soqlOrg(t, nil)
	b := newBulkClient(t, o)
	check(t, o.Delete("Invoice__c", ids["b"]))
	const path = v66 + "/composite/sobjects/Invoice__c"
	want := fmt.Sprintf(`[{"attributes":{"type":"Invoice__c","url":"/services/data/v66.0/sobjects/Invoice__c/%s"},"Id":"%[1]s","Amount__c":-1.0},null,null,{"attributes":{"type":"Invoice__c","url":"/services/data/v66.0/sobjects/Invoice__c/%[2]s"},"Id":"%[2]s","Amount__c":20.0}]`, ids["c"], ids["a"])
	list := []string{ids["c"], ids["b"], "a01000000000001AAA", ids["a"][:15]}
	raw, err := json.Marshal(map[string]any{"ids": list, "fields": []string{"Id", "Amount__c"}})
	check(t, err)
	if _, text, refused := b.do("POST", path, string(raw)); text != want || refused != "" {
		t.Errorf("%s %s", text, refused)
	}
	if _, text, _ := b.do("GET", path+"?fields=Id,Amount__c&ids="+strings.Join(list, ","), ""); text != want {
		t.Errorf("by address: %s", text)
	}
	many, err := json.Marshal(map[string]any{"ids": make([]string, 2001), "fields": []string{"Id"}})
	check(t, err)
	for body, want := range map[string]string{
		string(many):                      "400 EXCEEDED_ID_LIMIT ",
		`{"ids":[],"fields":["Nope__c"]}`: "400 INVALID_FIELD No such column 'Nope__c' on sobject of type Invoice__c",
		`{`:                               "400 JSON_PARSER_ERROR ",
	} {
		if _, _, refused := b.do("POST", path, body); !strings.HasPrefix(refused, want) {
			t.Errorf("%.40s: %s", body, refused)
		}
	}
	check(t, o.Inject(Fault{Kind: "http-503", On: "rest/by-ids"}))
	if _, _, refused := b.do("POST", path, string(raw)); refused != "503" {
		t.Errorf("a fault: %s", refused)
	}
}

// TestBatch: several reads in one request, which go on after a refusal or do not.
func TestBatch(t *testing.T) {
	o, ids := soqlOrg(t, nil)
	b := newBulkClient(t, o)
	good := `{"method":"GET","url":"v66.0/query?q=` + url.QueryEscape("SELECT COUNT() FROM Account") + `"}`
	bad := `{"method":"GET","url":"v66.0/sobjects/Account/001000000000001AAA"}`
	record := `{"method":"GET","url":"v66.0/sobjects/Account/` + ids["acme"] + `?fields=Rating"}`
	for halt, want := range map[string]string{"false": "200 404 200", "true": "200 404 412"} {
		var out struct {
			HasErrors bool
			Results   []struct {
				StatusCode int
				Result     json.RawMessage
			}
		}
		_, text, refused := b.do("POST", v66+"/composite/batch", `{"haltOnError":`+halt+`,"batchRequests":[`+good+`,`+bad+`,`+record+`]}`)
		check(t, json.Unmarshal([]byte(text), &out))
		got := ""
		for _, r := range out.Results {
			got += fmt.Sprint(r.StatusCode, " ")
		}
		if strings.TrimSpace(got) != want || !out.HasErrors || refused != "" || string(out.Results[0].Result) != `{"totalSize":2,"done":true,"records":[]}` {
			t.Errorf("halt %s: %s %s", halt, text, refused)
		}
	}
	if _, text, _ := b.do("POST", v66+"/composite/batch", `{"batchRequests":[{"method":"DELETE","url":"v66.0/sobjects/Account/`+ids["acme"]+`"}]}`); !strings.Contains(text, "INVALID_BATCH_REQUEST") {
		t.Errorf("a write: %s", text)
	}
}
