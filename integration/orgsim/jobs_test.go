package orgsim

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// bulkClient is a client of Bulk API 2.0 by hand.
type bulkClient struct{ *asker }

// jobInfo is a job as the API shows it.
type jobInfo struct {
	ID, State, Object, JobType, ErrorMessage string
	APIVersion                               json.RawMessage
	NumberRecordsProcessed                   int
	TotalProcessingTime                      int
	SystemModstamp                           string
}

// do makes a request; refused is "status code message".
func (b *bulkClient) do(method, path, body string) (res *http.Response, text, refused string) {
	b.t.Helper()
	req, err := http.NewRequest(method, b.base+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	text = readBody(b.t.(*testing.T), res)
	if res.StatusCode >= 300 {
		var errs []struct{ ErrorCode, Message string }
		if json.Unmarshal([]byte(text), &errs) != nil || len(errs) != 1 {
			return res, text, fmt.Sprint(res.StatusCode)
		}
		refused = fmt.Sprintf("%d %s %s", res.StatusCode, errs[0].ErrorCode, errs[0].Message)
	}
	return res, text, refused
}

func (b *bulkClient) job(method, path, body string) (j jobInfo, refused string) {
	b.t.Helper()
	_, text, refused := b.do(method, v66+"/jobs/query"+path, body)
	if refused == "" && text != "" {
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			b.t.Fatalf("%s: %v", text, err)
		}
	}
	return j, refused
}

func (b *bulkClient) create(query string) jobInfo {
	b.t.Helper()
	raw, err := json.Marshal(map[string]string{"operation": "query", "query": query})
	if err != nil {
		b.t.Fatal(err)
	}
	j, refused := b.job("POST", "", string(raw))
	if refused != "" || j.State != "UploadComplete" {
		b.t.Fatalf("create: %s %+v", refused, j)
	}
	return j
}

func newBulkClient(t *testing.T, o *Org) *bulkClient { return &bulkClient{newAsker(t, o, "")} }

// TestBulkJob follows a job from its creation to its deletion.
func TestBulkJob(t *testing.T) {
	o, ids := soqlOrg(t, func(c *Config) {
		c.Bulk = BulkConfig{Wait: Delay{Min: time.Minute, Max: time.Minute}, Work: Delay{Min: 10 * time.Minute, Max: 10 * time.Minute}}
	})
	b := newBulkClient(t, o)
	j := b.create("SELECT id, Name, Amount__c, paid__c, Due_Date__c, Sent_At__c, Cutoff__c, Tags__c, Account__r.Name, Customer__c, Loc__Latitude__s, CreatedDate FROM Invoice__c WHERE Amount__c > 0")
	if string(j.APIVersion) != "66.0" || j.Object != "Invoice__c" || !strings.HasPrefix(j.ID, "750") {
		t.Errorf("created: %+v", j)
	}
	if _, refused := b.job("GET", "/"+j.ID+"/results", ""); refused != "400 INVALIDJOBSTATE The job is in the state UploadComplete and has no results" {
		t.Errorf("too early: %s", refused)
	}
	if _, refused := b.job("DELETE", "/"+j.ID, ""); !strings.HasPrefix(refused, "400 INVALIDJOBSTATE") {
		t.Errorf("a job at work was deleted: %s", refused)
	}
	states := ""
	for range 12 {
		o.AdvanceClock(time.Minute)
		now, _ := b.job("GET", "/"+j.ID, "")
		states += now.State[:1]
		if now.State == "InProgress" {
			// Rows are read half way: what happens before that is in the results.
			check(t, o.Update("Invoice__c", ids["b"], Fields{"Status__c": fmt.Sprint("minute ", len(states))}))
		}
	}
	done, _ := b.job("GET", "/"+j.ID[:15], "")
	if states != "IIIIIIIIIIJJ" || done.JobType != "V2Query" || done.NumberRecordsProcessed != 3 || done.TotalProcessingTime != 600_000 || done.SystemModstamp != "2026-03-04T12:11:00.000+0000" {
		t.Errorf("%s, %+v", states, done)
	}
	res, text, _ := b.do("GET", v66+"/jobs/query/"+j.ID+"/results", "")
	want := `"Id","Name","Amount__c","Paid__c","Due_Date__c","Sent_At__c","Cutoff__c","Tags__c","Account__r.Name","Customer__c","Loc__Latitude__s","CreatedDate"
"` + ids["a"] + `","INV-000001","20.0","true","2026-03-04","2026-03-03T23:30:00.000Z","13:30:00.000Z","Rush;Export","Acme","Acme / Open","1.5","2026-03-04T12:00:00.000Z"
"` + ids["b"] + `","INV-000002","30.5","false","2026-02-28","","","Rush","Ada Krol","Ada Krol / minute 5","","2026-03-04T12:00:00.000Z"
"` + ids["e"] + `","INV-000005","20.0","false","","","","","Acme","Acme / ","","2026-03-04T12:00:00.000Z"
`
	if text != want || res.Header.Get("Sforce-Locator") != "null" || res.Header.Get("Sforce-NumberOfRecords") != "3" || res.Header.Get("Content-Type") != "text/csv" {
		t.Errorf("results: %v\n%s\nwant\n%s", res.Header, text, want)
	}
	if _, _, refused := b.do("GET", "/services/data/v65.0/jobs/query/"+j.ID+"/results", ""); !strings.HasPrefix(refused, "409 ") {
		t.Errorf("another version: %s", refused)
	}
	if _, refused := b.job("PATCH", "/"+j.ID, `{"state":"Aborted"}`); !strings.HasPrefix(refused, "400 INVALIDJOBSTATE") {
		t.Errorf("a job that is over was aborted: %s", refused)
	}
	if res, _, _ := b.do("DELETE", v66+"/jobs/query/"+j.ID, ""); res.StatusCode != 204 {
		t.Errorf("deleted: %d", res.StatusCode)
	}
	if _, refused := b.job("GET", "/"+j.ID, ""); !strings.HasPrefix(refused, "404 NOT_FOUND") {
		t.Errorf("a deleted job: %s", refused)
	}
}

// TestBulkPages: pages, locators, resultPages, delimiters and line endings.
func TestBulkPages(t *testing.T) {
	o := newOrg(t, Config{Seed: 2, Bulk: BulkConfig{PageRows: 30}})
	for i := range 100 {
		must[string](t)(o.Create("Account", Fields{"Name": fmt.Sprintf("n%02d; \"quoted\",\nline", i)}))
	}
	b := newBulkClient(t, o)
	j, _ := b.job("POST", "", `{"operation":"queryAll","query":"SELECT Id, Name FROM Account ORDER BY Id","columnDelimiter":"SEMICOLON","lineEnding":"CRLF"}`)
	var names []string
	pages, locator := 0, ""
	for locator != "null" {
		res, text, refused := b.do("GET", v66+"/jobs/query/"+j.ID+"/results?maxRecords=33&locator="+locator, "")
		if refused != "" || !strings.HasPrefix(text, "\"Id\";\"Name\"\r\n") {
			t.Fatalf("page: %s %.100s", refused, text)
		}
		r := csv.NewReader(strings.NewReader(text))
		r.Comma = ';'
		rows, err := r.ReadAll()
		check(t, err)
		if got := res.Header.Get("Sforce-NumberOfRecords"); got != fmt.Sprint(len(rows)-1) {
			t.Errorf("%s records are %d", got, len(rows)-1)
		}
		for _, row := range rows[1:] {
			names = append(names, row[1][:3])
		}
		pages++
		locator = res.Header.Get("Sforce-Locator")
	}
	if pages != 4 || len(names) != 100 || names[0] != "n00" || names[99] != "n99" {
		t.Errorf("%d pages, %d rows: %v", pages, len(names), names)
	}
	var list struct {
		ResultPages []struct{ ResultURL string }
		Done        bool
	}
	b.get(v66+"/jobs/query/"+j.ID+"/resultPages", &list)
	total := 0
	for _, p := range list.ResultPages {
		_, text, _ := b.do("GET", p.ResultURL, "")
		total += strings.Count(text, "quoted")
	}
	if !list.Done || len(list.ResultPages) != 4 || total != 100 {
		t.Errorf("resultPages: %+v, %d rows", list, total)
	}
	for _, bad := range []string{"?locator=zzzz", "?locator=%21"} {
		if _, _, refused := b.do("GET", v66+"/jobs/query/"+j.ID+"/results"+bad, ""); !strings.HasPrefix(refused, "400 INVALID_QUERY_LOCATOR") {
			t.Errorf("%s: %s", bad, refused)
		}
	}
	empty := b.create("SELECT Id FROM Contact")
	if res, text, _ := b.do("GET", v66+"/jobs/query/"+empty.ID+"/results", ""); text != "\"Id\"\n" || res.Header.Get("Sforce-NumberOfRecords") != "0" || res.Header.Get("Sforce-Locator") != "null" {
		t.Errorf("no rows: %q %v", text, res.Header)
	}
	var all struct {
		Records []jobInfo
		Done    bool
	}
	if b.get(v66+"/jobs/query?jobType=V2Query", &all); len(all.Records) != 2 || !all.Done {
		t.Errorf("list: %+v", all)
	}
	if b.get(v66+"/jobs/query?jobType=Classic", &all); len(all.Records) != 0 {
		t.Errorf("list of others: %+v", all)
	}
	o.AdvanceClock(8 * 24 * time.Hour)
	b.token = must[string](t)(o.Issue(""))
	if _, refused := b.job("GET", "/"+j.ID, ""); !strings.HasPrefix(refused, "404") {
		t.Errorf("after a week: %s", refused)
	}
}

// TestBulkChunks: each chunk is read at its own moment.
func TestBulkChunks(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Seed: 2, Now: func() time.Time { return now }, Bulk: BulkConfig{Chunk: 2, Work: Delay{Min: 4 * time.Minute}}})
	var ids []string
	for range 6 {
		ids = append(ids, must[string](t)(o.Create("Account", Fields{"Name": "minute 0"})))
	}
	b := newBulkClient(t, o)
	read := func(query string) string {
		j := b.create(query)
		for i := range 5 {
			for _, id := range ids {
				check(t, o.Update("Account", id, Fields{"Name": fmt.Sprint("minute ", i)}))
			}
			o.AdvanceClock(time.Minute)
		}
		_, text, _ := b.do("GET", v66+"/jobs/query/"+j.ID+"/results", "")
		return text
	}
	if got := read("SELECT Name FROM Account"); got != "\"Name\"\n\"minute 0\"\n\"minute 0\"\n\"minute 1\"\n\"minute 1\"\n\"minute 2\"\n\"minute 2\"\n" {
		t.Errorf("chunks: %s", got)
	}
	if got := read("SELECT Name FROM Account ORDER BY Name"); got != "\"Name\"\n"+strings.Repeat("\"minute 1\"\n", 6) {
		t.Errorf("with an order: %s", got)
	}
}

// TestBulkParallel: more jobs than may run wait; aborting one makes room.
func TestBulkParallel(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Now: func() time.Time { return now }, Bulk: BulkConfig{Parallel: 2, Jobs: 5, Work: Delay{Min: time.Hour}}})
	b := newBulkClient(t, o)
	var jobs []jobInfo
	for range 5 {
		jobs = append(jobs, b.create("SELECT Id FROM Account"))
	}
	states := func() (s string) {
		for _, j := range jobs {
			got, _ := b.job("GET", "/"+j.ID, "")
			s += got.State[:1]
		}
		return s
	}
	if s := states(); s != "IIUUU" {
		t.Errorf("at first: %s", s)
	}
	if j, refused := b.job("PATCH", "/"+jobs[0].ID, `{"state":"Aborted"}`); j.State != "Aborted" || refused != "" {
		t.Errorf("abort: %+v %s", j, refused)
	}
	if s := states(); s != "AIIUU" {
		t.Errorf("after an abort: %s", s)
	}
	o.AdvanceClock(time.Hour)
	if s := states(); s != "AJJII" {
		t.Errorf("an hour later: %s", s)
	}
	if _, refused := b.job("POST", "", `{"operation":"query","query":"SELECT Id FROM Account"}`); refused != "400 EXCEEDEDQUOTA DailyBulkV2QueryJobs Limit exceeded." {
		t.Errorf("the sixth job: %s", refused)
	}
	var limits map[string]struct{ Max, Remaining int }
	b.get(v66+"/limits", &limits)
	if l := limits["DailyBulkV2QueryJobs"]; l.Max != 5 || l.Remaining != 0 {
		t.Errorf("limits: %+v", l)
	}
}

// TestBulkAfterAbort: a job that waited begins when another is aborted, and what
// happens later is not in its results.
func TestBulkAfterAbort(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	o := newOrg(t, Config{Now: func() time.Time { return now }, Bulk: BulkConfig{Parallel: 1}})
	id := must[string](t)(o.Create("Account", Fields{"Name": "before"}))
	b := newBulkClient(t, o)
	check(t, o.Inject(Fault{Kind: "job-slow", For: time.Hour}))
	slow, waiting := b.create("SELECT Id FROM Account"), b.create("SELECT Name FROM Account")
	if j, _ := b.job("GET", "/"+slow.ID, ""); j.State != "InProgress" {
		t.Fatalf("the slow job: %+v", j)
	}
	b.job("PATCH", "/"+slow.ID, `{"state":"Aborted"}`)
	o.AdvanceClock(time.Minute)
	check(t, o.Update("Account", id, Fields{"Name": "after"}))
	if _, text, _ := b.do("GET", v66+"/jobs/query/"+waiting.ID+"/results", ""); text != "\"Name\"\n\"before\"\n" {
		t.Errorf("results: %s", text)
	}
}

// TestBulkStorage: results beyond the day's allowance fail their job.
func TestBulkStorage(t *testing.T) {
	o := newOrg(t, Config{Seed: 3, Bulk: BulkConfig{Megabyte: 1}})
	for range 40 {
		must[string](t)(o.Create("Account", Fields{"Name": "wide", "Description": strings.Repeat("x", 20_000)}))
	}
	b := newBulkClient(t, o)
	first, second := b.create("SELECT Description FROM Account"), b.create("SELECT Description FROM Account")
	a, _ := b.job("GET", "/"+first.ID, "")
	c, _ := b.job("GET", "/"+second.ID, "")
	if a.State != "JobComplete" || c.State != "Failed" || !strings.Contains(c.ErrorMessage, "DailyBulkV2QueryFileStorageMB") {
		t.Errorf("%+v, %+v", a, c)
	}
}

func TestBulkRefusals(t *testing.T) {
	o, _ := soqlOrg(t, func(c *Config) { c.Bulk = BulkConfig{EarlyStatus: 412, Wait: Delay{Min: time.Minute}} })
	b := newBulkClient(t, o)
	for body, want := range map[string]string{
		`{"operation":"query","query":"SELECT BillingAddress FROM Account"}`:              "400 API_ERROR Selecting compound data not supported in Bulk Query",
		`{"operation":"query","query":"SELECT Loc__c FROM Invoice__c"}`:                   "400 API_ERROR Selecting compound data not supported in Bulk Query",
		`{"operation":"query","query":"SELECT Scan__c FROM Invoice__c"}`:                  "400 INVALID_FIELD Binary fields cannot be selected in bulk queries",
		`{"operation":"query","query":"SELECT COUNT() FROM Account"}`:                     "400 API_ERROR COUNT() and OFFSET are not supported in Bulk Query",
		`{"operation":"query","query":"SELECT MAX(CreatedDate) FROM Account"}`:            "400 API_ERROR Aggregate functions",
		`{"operation":"query","query":"SELECT Id FROM Organization"}`:                     "400 INVALIDENTITY Entity 'Organization' is not supported by the Bulk API.",
		`{"operation":"query","query":"SELECT Nope FROM Account"}`:                        "400 INVALID_FIELD ",
		`{"operation":"query","query":"SELECT Id FORM Account"}`:                          "400 MALFORMED_QUERY ",
		`{"operation":"insert","query":"SELECT Id FROM Account"}`:                         "400 INVALIDJOB Unsupported operation: insert",
		`{"operation":"query","query":"SELECT Id FROM Account","columnDelimiter":"DOT"}`:  "400 INVALIDJOB Unsupported columnDelimiter: DOT",
		`{"operation":"query","query":"SELECT Id FROM Account","lineEnding":"CR"}`:        "400 INVALIDJOB Unsupported lineEnding: CR",
		`{"operation":"query","query":"SELECT Id FROM Account","contentType":"JSON"}`:     "400 INVALIDJOB Unsupported content type: JSON",
		`{"operation":"query","query":"SELECT Id FROM Account","concurrency":"Parallel"}`: "400 JSON_PARSER_ERROR ",
		`{"operation":`: "400 JSON_PARSER_ERROR ",
	} {
		if _, refused := b.job("POST", "", body); !strings.HasPrefix(refused, want) {
			t.Errorf("%s: %s", body, refused)
		}
	}
	j := b.create("SELECT Id FROM Account")
	if _, refused := b.job("GET", "/"+j.ID+"/results", ""); refused != "412 JOB_NOT_COMPLETE The job is not complete" {
		t.Errorf("too early: %s", refused)
	}
	if _, refused := b.job("PUT", "/"+j.ID, ""); !strings.HasPrefix(refused, "405") {
		t.Errorf("PUT: %s", refused)
	}
	if _, refused := b.job("PATCH", "/"+j.ID, `{"state":"Open"}`); !strings.HasPrefix(refused, "400 INVALIDJOB ") {
		t.Errorf("another state: %s", refused)
	}
}
