package salesforce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// rowsOrg is an org with one table, as a network of its own: queries with cursors,
// reads by id, and Bulk jobs. It knows the statements that readers send and no SOQL.
type rowsOrg struct {
	mu      sync.Mutex
	rows    []rowsRecord // in the order of ids
	batch   int          // rows in one reply to a query
	short   int          // the same, for the present request
	looks   int          // how often a job is asked before it is complete
	cursors map[string][]rowsRecord
	totals  map[string]int
	jobs    map[string]*rowsJob
	made    int
	asked   []string // method and path
	sizes   []int    // of the replies, as they would be without a fault

	// fault may change what becomes of the nth request, from 0 on.
	fault func(n int, r *http.Request) rowsFault
}

type rowsRecord struct{ id, name, note string }

type rowsJob struct {
	after, upTo string
	looks       int
	state, why  string
}

// rowsFault is what goes wrong with one request.
type rowsFault struct {
	status    int    // refuse, without any effect
	code      string // of the refusal
	lost      bool   // the request does not arrive
	lostReply bool   // the reply does not
	cut       int    // the body ends after so many bytes less one; 0: whole
	quiet     bool   // and nothing shows it
	expire    bool   // cursors are gone
	failJobs  bool   // running jobs fail
	short     int    // pages have no more rows than this; 0: as many as they may
}

// newRowsOrg has n rows with texts that are hard to carry.
func newRowsOrg(n int) *rowsOrg {
	names := []string{"Acme", "", `a "quoted" one`, "a,b", "two\nlines", "two\r\nlines", "\u00fc\u2028\U0001F600", `back\slash`, `"`, `""`, " lead ", "\t\x01", "null", ","}
	org := &rowsOrg{batch: 2000, cursors: map[string][]rowsRecord{}, totals: map[string]int{}, jobs: map[string]*rowsJob{}}
	for i := range n {
		id, err := salesforce.ID18(fmt.Sprintf("001xx0000%06d", i+1))
		if err != nil {
			panic(err)
		}
		org.rows = append(org.rows, rowsRecord{id: id, name: names[i%len(names)], note: names[(i/3)%len(names)]})
	}
	return org
}

func (o *rowsOrg) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	n := len(o.asked)
	o.asked = append(o.asked, r.Method+" "+r.URL.Path)
	var f rowsFault
	if o.fault != nil {
		f = o.fault(n, r)
	}
	if f.expire {
		clear(o.cursors)
	}
	for _, job := range o.jobs {
		if f.failJobs && job.state == "InProgress" {
			job.state, job.why = "Failed", "InternalServerError : retry"
		}
	}
	if f.lost {
		return nil, io.ErrUnexpectedEOF
	}
	if f.status != 0 {
		return rowsReply(r, f.status, nil, []byte(`[{"errorCode":"`+f.code+`","message":"refused by the test"}]`)), nil
	}
	o.short = f.short
	status, header, text := o.serve(r, body)
	o.sizes = append(o.sizes, len(text))
	if err := r.Context().Err(); err != nil {
		return nil, err // of one that was given up while the org was at it
	}
	if f.lostReply {
		return nil, io.ErrUnexpectedEOF
	}
	resp := rowsReply(r, status, header, text)
	if f.cut > 0 && f.cut <= len(text) {
		var rest io.Reader = bytes.NewReader(nil)
		if !f.quiet {
			rest = brokenReader{}
		}
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(text[:f.cut-1]), rest))
	}
	return resp, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func rowsReply(r *http.Request, status int, header http.Header, text []byte) *http.Response {
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	return &http.Response{StatusCode: status, Header: header, Request: r, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(text))}
}

func (o *rowsOrg) serve(r *http.Request, body []byte) (int, http.Header, []byte) {
	path, found := strings.CutPrefix(r.URL.Path, "/services/data/v66.0")
	if !found {
		return rowsRefusal(409, "VERSION_MISMATCH")
	}
	switch {
	case len(r.URL.RequestURI()) > 16_384:
		return rowsRefusal(414, "URI_TOO_LONG")
	case path == "/query" || path == "/queryAll":
		return o.query(r.URL.Query().Get("q"))
	case strings.HasPrefix(path, "/query/"):
		return o.more(strings.TrimPrefix(path, "/query/"))
	case path == "/composite/batch":
		return o.batchQuery(body)
	case path == "/composite/sobjects/Account":
		return o.byIDs(body)
	case strings.HasPrefix(path, "/jobs/query"):
		return o.serveJob(r, strings.Trim(strings.TrimPrefix(path, "/jobs/query"), "/"), body)
	}
	return rowsRefusal(404, "NOT_FOUND")
}

func rowsRefusal(status int, code string) (int, http.Header, []byte) {
	return status, nil, []byte(`[{"errorCode":"` + code + `","message":"no"}]`)
}

// parts of the statements that readers send.
func statementPart(pattern, soql string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(soql); m != nil {
		return m[1]
	}
	return ""
}

func (o *rowsOrg) within(after, upTo string) []rowsRecord {
	var found []rowsRecord
	for _, row := range o.rows {
		if row.id > after && (upTo == "" || row.id <= upTo) {
			found = append(found, row)
		}
	}
	return found
}

func (o *rowsOrg) query(soql string) (int, http.Header, []byte) {
	end := soql[max(0, len(soql)-200):] // what readers add stands there
	rows := o.within(statementPart(`Id > '(\w+)'`, end), statementPart(`Id <= '(\w+)'`, end))
	if strings.HasPrefix(soql, "SELECT COUNT()") {
		return 200, nil, fmt.Appendf(nil, `{"totalSize":%d,"done":true,"records":[]}`, len(rows))
	}
	if strings.HasSuffix(soql, "ORDER BY Id DESC LIMIT 1") {
		slices.Reverse(rows)
	}
	if limit, err := strconv.Atoi(statementPart(`LIMIT (\d+)`, end)); err == nil {
		rows = rows[:min(limit, len(rows))]
	}
	o.made++
	cursor := "01g" + strconv.Itoa(o.made)
	o.cursors[cursor], o.totals[cursor] = rows, len(rows)
	return o.more(cursor + "-0")
}

func (o *rowsOrg) more(locator string) (int, http.Header, []byte) {
	cursor, offset, _ := strings.Cut(locator, "-")
	rows, ok := o.cursors[cursor]
	from, err := strconv.Atoi(offset)
	if !ok || err != nil {
		return rowsRefusal(400, "INVALID_QUERY_LOCATOR")
	}
	upTo := min(from+o.batch, len(rows))
	if o.short > 0 {
		upTo = min(upTo, from+o.short)
	}
	records := []json.RawMessage{}
	for _, row := range rows[from:upTo] {
		records = append(records, row.json())
	}
	page := map[string]any{"totalSize": o.totals[cursor], "done": upTo == len(rows), "records": records}
	if upTo < len(rows) {
		page["nextRecordsUrl"] = fmt.Sprintf("/services/data/v66.0/query/%s-%d", cursor, upTo)
	}
	return 200, nil, marshal(page)
}

func (o *rowsOrg) batchQuery(body []byte) (int, http.Header, []byte) {
	var batch struct {
		Requests []struct{ Method, URL string } `json:"batchRequests"`
	}
	if err := json.Unmarshal(body, &batch); err != nil || len(batch.Requests) != 1 {
		return rowsRefusal(400, "JSON_PARSER_ERROR")
	}
	u, err := url.Parse(batch.Requests[0].URL)
	if err != nil || u.Path != "v66.0/query" {
		return rowsRefusal(400, "JSON_PARSER_ERROR")
	}
	status, _, text := o.query(u.Query().Get("q"))
	return 200, nil, fmt.Appendf(nil, `{"hasErrors":false,"results":[{"statusCode":%d,"result":%s}]}`, status, text)
}

func (o *rowsOrg) byIDs(body []byte) (int, http.Header, []byte) {
	var ask struct{ IDs, Fields []string }
	if err := json.Unmarshal(body, &ask); err != nil || len(ask.IDs) > 2000 {
		return rowsRefusal(400, "JSON_PARSER_ERROR")
	}
	records := []json.RawMessage{}
	for _, id := range ask.IDs {
		i := slices.IndexFunc(o.rows, func(row rowsRecord) bool { return row.id == id })
		if i < 0 {
			records = append(records, json.RawMessage("null"))
			continue
		}
		records = append(records, o.rows[i].json())
	}
	return 200, nil, marshal(records)
}

func (o *rowsOrg) serveJob(r *http.Request, path string, body []byte) (int, http.Header, []byte) {
	id, rest, _ := strings.Cut(path, "/")
	job := o.jobs[id]
	switch {
	case id == "" && r.Method == http.MethodPost:
		o.made++
		id = "750" + strconv.Itoa(o.made)
		soql := string(body)
		o.jobs[id] = &rowsJob{
			state: "InProgress", looks: o.looks,
			after: statementPart(`Id \\u003e '(\w+)'`, soql), upTo: statementPart(`Id \\u003c= '(\w+)'`, soql),
		}
		return 200, nil, o.jobs[id].json(id)
	case id == "":
		var list []json.RawMessage
		for id, job := range o.jobs {
			list = append(list, job.json(id))
		}
		return 200, nil, marshal(map[string]any{"done": true, "records": list})
	case job == nil:
		return rowsRefusal(404, "NOT_FOUND")
	case rest == "results":
		return o.results(job, r.URL.Query())
	case r.Method == http.MethodPatch:
		job.state = "Aborted"
		return 200, nil, job.json(id)
	case r.Method == http.MethodDelete && job.state == "InProgress":
		return rowsRefusal(400, "INVALIDJOBSTATE")
	case r.Method == http.MethodDelete:
		delete(o.jobs, id)
		return 204, nil, nil
	}
	if job.looks--; job.looks < 0 && job.state == "InProgress" {
		job.state = "JobComplete"
	}
	return 200, nil, job.json(id)
}

func (j *rowsJob) json(id string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"operation":"query","object":"Account","createdById":%q,"createdDate":"2026-03-04T09:15:22.000+0000",`+
		`"state":%q,"apiVersion":66.0,"jobType":"V2Query","errorMessage":%q}`, id, userID18, j.state, j.why)
}

func (o *rowsOrg) results(job *rowsJob, query url.Values) (int, http.Header, []byte) {
	if job.state != "JobComplete" {
		return rowsRefusal(400, "INVALIDJOBSTATE")
	}
	rows := o.within(job.after, job.upTo)
	from, most := 0, 1000
	if locator := query.Get("locator"); locator != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(locator, "loc"))
	}
	if n, err := strconv.Atoi(query.Get("maxRecords")); err == nil {
		most = n
	}
	if o.short > 0 {
		most = min(most, o.short)
	}
	upTo := min(from+most, len(rows))
	text := []byte(`"Id","SystemModstamp","IsDeleted","Name","Note__c"` + "\n")
	for _, row := range rows[from:upTo] {
		text = append(text, row.csv()...)
	}
	header := http.Header{"Content-Type": {"text/csv"}, "Sforce-Locator": {"null"}, "Sforce-Numberofrecords": {strconv.Itoa(upTo - from)}}
	if upTo < len(rows) {
		header.Set("Sforce-Locator", "loc"+strconv.Itoa(upTo))
	}
	return 200, header, text
}

func (r rowsRecord) json() json.RawMessage {
	null := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	return marshal(map[string]any{
		"attributes": map[string]string{"type": "Account", "url": "/services/data/v66.0/sobjects/Account/" + r.id},
		"Id":         r.id, "SystemModstamp": "2026-03-04T09:15:22.000+0000", "IsDeleted": false, "Name": null(r.name), "Note__c": null(r.note),
	})
}

func (r rowsRecord) csv() string {
	quote := func(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }
	return quote(r.id) + `,"2026-03-04T09:15:22.000Z","false",` + quote(r.name) + "," + quote(r.note) + "\n"
}

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func rowsForm(t testing.TB) *salesforce.Form {
	t.Helper()
	form, err := salesforce.NewForm(salesforce.FormConfig{Describe: &salesforce.Describe{Name: "Account", Fields: []salesforce.Field{
		{Name: "Id", Type: "id"}, {Name: "IsDeleted", Type: "boolean"}, {Name: "Name", Type: "string"},
		{Name: "Note__c", Type: "textarea"}, {Name: "SystemModstamp", Type: "datetime"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// newReader reads from the org and waits for nothing.
func newReader(t testing.TB, org http.RoundTripper, change func(*salesforce.ReaderConfig)) *salesforce.Reader {
	t.Helper()
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: fixedTokens(t, "https://acme.example", "first", "second"), APIVersion: "66.0", HTTP: &http.Client{Transport: org},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := salesforce.ReaderConfig{Client: client, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	if change != nil {
		change(&config)
	}
	reader, err := salesforce.NewReader(config)
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// readAll reads to the end, or up to an error.
func readAll(rows salesforce.Rows) ([]rowsRecord, error) {
	var all []rowsRecord
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		var fields struct {
			Name string `json:"Name"`
			Note string `json:"Note__c"`
		}
		if err := json.Unmarshal(row.JSON, &fields); err != nil {
			return all, fmt.Errorf("%s: %w", row.JSON, err)
		}
		all = append(all, rowsRecord{id: row.ID, name: fields.Name, note: fields.Note})
	}
}

// sameRows demands each row of the org exactly once.
func sameRows(t testing.TB, got, want []rowsRecord) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("read %d rows, want %d:\n%q\n%q", len(got), len(want), got, want)
	}
}
