package salesforce_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// TestBulkRequests: what is asked, in which order, and that nothing is left behind.
func TestBulkRequests(t *testing.T) {
	org, reader := smallOrg(t)
	rows, err := reader.Bulk(wait(t), salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(rows)
	if err := errors.Join(err, rows.Close()); err != nil {
		t.Fatal(err)
	}
	sameRows(t, got, org.rows)
	const job = "/services/data/v66.0/jobs/query/7501"
	want := []string{"POST /services/data/v66.0/jobs/query", "GET " + job, "GET " + job, "GET " + job + "/results", "GET " + job + "/results", "GET " + job + "/results", "DELETE " + job}
	if !slices.Equal(org.asked, want) || len(org.jobs) != 0 {
		t.Errorf("asked %q, left %d jobs", org.asked, len(org.jobs))
	}
	if row, err := rows.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %+v, %v", row, err)
	}
	if err := rows.Close(); err != nil || len(org.asked) != len(want) {
		t.Errorf("closing twice: %v", err)
	}
}

// TestBulkCancel: wherever the reading is given up, the job is aborted and deleted.
func TestBulkCancel(t *testing.T) {
	for at := range 6 {
		org, reader := smallOrg(t)
		ctx, cancel := context.WithCancel(wait(t))
		org.fault = func(n int, _ *http.Request) rowsFault {
			if n == at {
				cancel()
			}
			return rowsFault{}
		}
		rows, err := reader.Bulk(ctx, salesforce.Selection{Form: rowsForm(t)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = readAll(rows)
		if err == nil {
			// The last reply may be read whole in spite of it.
			if at < 5 {
				t.Errorf("request %d: no error", at)
			}
		} else if !errors.Is(err, context.Canceled) || salesforce.Retryable(err) {
			t.Errorf("request %d: %v", at, err)
		}
		if err := rows.Close(); err != nil || len(org.jobs) != 0 {
			t.Errorf("request %d: %v, %d jobs left", at, err, len(org.jobs))
		}
		aborted := slices.ContainsFunc(org.asked, func(r string) bool { return strings.HasPrefix(r, "PATCH") })
		if running := at < 3; running != aborted {
			t.Errorf("request %d: asked %q, aborted %v", at, org.asked, aborted)
		}
		cancel()
	}
}

// jobReplies is an org that answers the requests of one job with what it is given.
type jobReplies struct {
	create, info string
	results      func(r *http.Request) (int, http.Header, string)
	asked        []string
}

func (o *jobReplies) RoundTrip(r *http.Request) (*http.Response, error) {
	o.asked = append(o.asked, r.Method+" "+r.URL.RequestURI())
	reply := func(text string) (*http.Response, error) {
		status := 200
		if strings.HasPrefix(text, "[") {
			status = 400
		}
		return rowsReply(r, status, nil, []byte(text)), nil
	}
	switch {
	case r.Method == http.MethodPost:
		return reply(o.create)
	case strings.HasSuffix(r.URL.Path, "/results"):
		status, header, text := o.results(r)
		return rowsReply(r, status, header, []byte(text)), nil
	case r.Method == http.MethodGet:
		return reply(o.info)
	}
	return rowsReply(r, 204, nil, nil), nil
}

const (
	jobRunning  = `{"id":"7501","state":"UploadComplete","apiVersion":59.0}`
	jobComplete = `{"id":"7501","state":"JobComplete","apiVersion":59}`
	jobEmpty    = `{"id":"7501","state":"JobComplete","apiVersion":59.0,"numberRecordsProcessed":0}`
	csvHeader   = `"Id","F__c"` + "\n"
	csvRow      = `"` + formID + `","a"` + "\n"
)

func csvHeaders(locator, rows string) http.Header {
	header := http.Header{"Content-Type": {"text/csv"}}
	if locator != "" {
		header.Set("Sforce-Locator", locator)
	}
	if rows != "" {
		header.Set("Sforce-NumberOfRecords", rows)
	}
	return header
}

func TestBulkReplies(t *testing.T) {
	page := func(status int, locator, rows, text string) func(*http.Request) (int, http.Header, string) {
		return func(*http.Request) (int, http.Header, string) { return status, csvHeaders(locator, rows), text }
	}
	one := page(200, "null", "1", csvHeader+csvRow)
	for name, tc := range map[string]struct {
		create, info string
		results      func(*http.Request) (int, http.Header, string)
		rows         int
		part         string
		retryable    bool
	}{
		"one row":            {jobRunning, jobComplete, one, 1, "", false},
		"complete at once":   {jobComplete, jobComplete, one, 1, "", false},
		"other order":        {jobRunning, jobComplete, page(200, "null", "1", "F__c,Id\r\na,"+formID+"\r\n"), 1, "", false},
		"no rows":            {jobRunning, jobComplete, page(200, "null", "0", csvHeader), 0, "", false},
		"no rows, no text":   {jobRunning, jobComplete, page(200, "null", "0", ""), 0, "", false},
		"no rows, 204":       {jobRunning, jobEmpty, page(204, "", "", ""), 0, "", false},
		"not ready, 204":     {jobRunning, jobComplete, page(204, "", "", ""), 0, "Sforce-Locator", true},
		"no locator":         {jobRunning, jobComplete, page(200, "", "1", csvHeader+csvRow), 0, "Sforce-Locator", true},
		"no number":          {jobRunning, jobComplete, page(200, "null", "", csvHeader+csvRow), 0, "Sforce-NumberOfRecords", true},
		"a page of a proxy":  {jobRunning, jobComplete, page(200, "", "", "<html>"), 0, "Sforce-Locator", true},
		"fewer rows":         {jobRunning, jobComplete, page(200, "null", "2", csvHeader+csvRow), 1, "cut off after 1 of 2", true},
		"more rows":          {jobRunning, jobComplete, page(200, "null", "1", csvHeader+csvRow+csvRow), 1, "more than the 1", true},
		"fewer values":       {jobRunning, jobComplete, page(200, "null", "1", csvHeader+`"`+formID+`"`+"\n"), 0, "1 values, the header 2", true},
		"not CSV":            {jobRunning, jobComplete, page(200, "null", "1", csvHeader+`"a"b,"c"`+"\n"), 0, "damaged", true},
		"another column":     {jobRunning, jobComplete, page(200, "null", "1", "Id,G__c\n"+csvRow), 0, "G__c", false},
		"a column twice":     {jobRunning, jobComplete, page(200, "null", "1", "Id,Id\n"+csvRow), 0, "comes twice", false},
		"a column less":      {jobRunning, jobComplete, page(200, "null", "1", "Id\n"+csvRow), 0, "1 columns", false},
		"locator, no end":    {jobRunning, jobComplete, page(200, "L", "1", csvHeader+csvRow), 2, "points to itself", false},
		"other version":      {jobRunning, jobComplete, func(*http.Request) (int, http.Header, string) { return rowsRefusalText(409, "VERSION") }, 0, "VERSION", false},
		"not complete, 400":  {jobRunning, jobComplete, func(*http.Request) (int, http.Header, string) { return rowsRefusalText(400, "INVALIDJOBSTATE") }, 0, "not ready", true},
		"unknown state":      {jobRunning, `{"id":"7501","state":"Dreaming","apiVersion":59.0}`, one, 0, `"Dreaming"`, false},
		"no state":           {`{"id":"7501","apiVersion":59.0}`, jobComplete, one, 0, "without id or state", false},
		"no version":         {`{"id":"7501","state":"InProgress"}`, jobComplete, one, 0, "apiVersion", false},
		"aborted":            {jobRunning, `{"id":"7501","state":"Aborted","apiVersion":59.0}`, one, 0, "Aborted", false},
		"failed, statement":  {jobRunning, `{"id":"7501","state":"Failed","apiVersion":59.0,"errorMessage":"INVALID_FIELD: no"}`, one, 0, "INVALID_FIELD", false},
		"failed, other":      {jobRunning, `{"id":"7501","state":"Failed","apiVersion":59.0,"errorMessage":"InternalServerError"}`, one, 0, "InternalServerError", true},
		"failed, timeout":    {jobRunning, `{"id":"7501","state":"Failed","apiVersion":59.0,"errorMessage":"InvalidBatch : Failed to process query: QUERY_TIMEOUT: too long"}`, one, 0, "too long", true},
		"refused":            {`[{"errorCode":"INVALIDENTITY","message":"Entity 'X' is not supported by the Bulk API."}]`, "", one, 0, "read it by query", false},
		"refused, later":     {jobRunning, `{"id":"7501","state":"Failed","apiVersion":59.0,"errorMessage":"X is not supported by the Bulk API"}`, one, 0, "read it by query", false},
		"refused, statement": {`[{"errorCode":"MALFORMED_QUERY","message":"unexpected token"}]`, "", one, 0, "MALFORMED_QUERY", false},
	} {
		t.Run(name, func(t *testing.T) {
			org := &jobReplies{create: tc.create, info: tc.info, results: tc.results}
			form := newForm(t, salesforce.FormConfig{Describe: describe(salesforce.Field{Name: "F__c", Type: "string"})})
			rows, err := newReader(t, org, nil).Bulk(wait(t), salesforce.Selection{Form: form})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for err == nil {
				if _, err = rows.Next(); err == nil {
					n++
				}
			}
			if n != tc.rows || (tc.part == "") != errors.Is(err, io.EOF) || salesforce.Retryable(err) != tc.retryable {
				t.Errorf("%d rows, %v, retryable %v", n, err, salesforce.Retryable(err))
			}
			mustContain(t, err.Error(), tc.part)
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
			for _, asked := range org.asked {
				if strings.Contains(asked, "7501") && !strings.Contains(asked, "/services/data/v59.0/jobs/query/7501") {
					t.Errorf("asked %s, which is not the job's version", asked)
				}
			}
		})
	}
}

func rowsRefusalText(status int, code string) (int, http.Header, string) {
	_, header, text := rowsRefusal(status, code)
	return status, header, string(text)
}

// TestBulkResume: a position that went through JSON goes on, with another reader
// and page size, and notices a result that is not the same.
func TestBulkResume(t *testing.T) {
	for stop := range smallRows + 1 {
		org, reader := smallOrg(t)
		rows, err := reader.Bulk(wait(t), salesforce.Selection{Form: rowsForm(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := rows.Start(); err != nil {
			t.Fatal(err)
		}
		var first []rowsRecord
		for range stop {
			row, err := rows.Next()
			if err != nil {
				t.Fatal(err)
			}
			first = append(first, org.rows[slices.IndexFunc(org.rows, func(r rowsRecord) bool { return r.id == row.ID })])
		}
		text := marshal(rows.Position())
		rows.Leave()
		var at salesforce.BulkPosition
		if err := json.Unmarshal(text, &at); err != nil {
			t.Fatal(err)
		}
		smaller := newReader(t, org, func(c *salesforce.ReaderConfig) { c.BulkPageRows = 2 })
		rows, err = smaller.ResumeBulk(wait(t), salesforce.Selection{Form: rowsForm(t)}, at)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := readAll(rows)
		if err := errors.Join(err, rows.Close()); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sameRows(t, append(first, rest...), org.rows)
		if org.made != 1 || len(org.jobs) != 0 {
			t.Errorf("%d jobs made, %d left", org.made, len(org.jobs))
		}
	}
	org, reader := smallOrg(t)
	org.jobs["7509"] = &rowsJob{state: "JobComplete"}
	for part, at := range map[string]salesforce.BulkPosition{
		"other rows":          {Job: "7509", APIVersion: "66.0", Row: 1, LastID: org.rows[1].id},
		"other rows than":     {Job: "7509", APIVersion: "66.0", Row: 8, LastID: org.rows[6].id},
		"the job is Gone":     {Job: "7508", APIVersion: "66.0", Row: 1, LastID: org.rows[0].id},
		"BulkRows.Position":   {Job: "7509", APIVersion: "66.0", Row: -1},
		"that BulkRows.":      {Job: "7509"},
		"none that BulkRows.": {APIVersion: "66.0"},
	} {
		rows, err := reader.ResumeBulk(wait(t), salesforce.Selection{Form: rowsForm(t)}, at)
		if err == nil {
			_, err = readAll(rows)
			rows.Leave()
		}
		if err == nil || salesforce.Retryable(err) {
			t.Fatalf("%s: %v", part, err)
		}
		mustContain(t, err.Error(), part)
	}
}

// TestBulkPlaces: no more jobs than MaxJobs, and waiting for a place ends with ctx.
func TestBulkPlaces(t *testing.T) {
	_, reader := smallOrg(t)
	first, err := reader.Bulk(wait(t), salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(wait(t))
	second, err := reader.Bulk(ctx, salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go func() { started <- second.Start() }()
	cancel()
	if err := <-started; !errors.Is(err, context.Canceled) {
		t.Errorf("a second job: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	third, err := reader.Bulk(wait(t), salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(third.Start(), third.Close()); err != nil {
		t.Error(err)
	}
}

// TestBulkPolls: looks at a job become rarer, up to half a minute.
func TestBulkPolls(t *testing.T) {
	org := newRowsOrg(1)
	org.looks = 8
	var waits []time.Duration
	reader := newReader(t, org, func(c *salesforce.ReaderConfig) {
		c.Wait = func(_ context.Context, d time.Duration) error {
			waits = append(waits, d/time.Second)
			return nil
		}
	})
	rows, err := reader.Bulk(wait(t), salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(rows); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(waits, []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}) {
		t.Errorf("waited %v", waits)
	}
}

// TestJobs: what a killed program left behind is found and ended.
func TestJobs(t *testing.T) {
	org, reader := smallOrg(t)
	org.jobs["7501"] = &rowsJob{state: "InProgress"}
	org.jobs["7502"] = &rowsJob{state: "JobComplete"}
	jobs, err := reader.Jobs(wait(t))
	if err != nil || len(jobs) != 2 {
		t.Fatalf("%+v, %v", jobs, err)
	}
	for _, job := range jobs {
		if job.CreatedBy != userID18 || job.Object != "Account" || job.APIVersion != "66.0" || job.Created.Year() != 2026 {
			t.Errorf("%+v", job)
		}
		if err := errors.Join(reader.EndJob(wait(t), job), reader.EndJob(wait(t), job)); err != nil {
			t.Error(err)
		}
	}
	if len(org.jobs) != 0 {
		t.Errorf("%d jobs left", len(org.jobs))
	}
}
