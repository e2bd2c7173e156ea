package orgsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
)

// jobSpec is what a job is created with (Bulk API 2.0 guide, Create a Query Job).
type jobSpec struct {
	Operation       string `json:"operation"`
	Query           string `json:"query"`
	ContentType     string `json:"contentType"`
	ColumnDelimiter string `json:"columnDelimiter"`
	LineEnding      string `json:"lineEnding"`
}

func errJob(code, format string, args ...any) *RequestError {
	return &RequestError{Status: 400, Code: code, Message: fmt.Sprintf(format, args...)}
}

// jobs serves what lies below jobs/query.
func (c *restCall) jobs(path []string) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, 1<<20))
	if err != nil {
		return errJob("JSON_PARSER_ERROR", "%v", err)
	}
	c.r.Body = io.NopCloser(bytes.NewReader(body))
	return c.locked(func() error { return c.jobsLocked(path) })
}

func (c *restCall) jobsLocked(path []string) error {
	c.o.stepJobs()
	c.o.dropJobs(c.o.now())
	if len(path) == 0 {
		if c.r.Method == http.MethodPost {
			return c.createJob()
		}
		if err := c.method(http.MethodGet, http.MethodPost); err != nil {
			return err
		}
		return c.listJobs()
	}
	i := slices.IndexFunc(c.o.jobs.all, func(j *job) bool { return j.id == ID18(path[0]) })
	if i < 0 || len(path) > 2 {
		return errNotFound()
	}
	j := c.o.jobs.all[i]
	if len(path) == 1 {
		return c.oneJob(j)
	}
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	switch path[1] {
	case "results":
		return c.results(j)
	case "resultPages":
		return c.resultPages(j)
	}
	return errNotFound()
}

func (c *restCall) createJob() error {
	spec := jobSpec{ContentType: "CSV", ColumnDelimiter: "COMMA", LineEnding: "LF"}
	dec := json.NewDecoder(c.r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&spec); err != nil {
		return errJob("JSON_PARSER_ERROR", "%v", err)
	}
	now := c.o.now()
	j := &job{spec: spec, user: c.user, version: c.version, state: jobUploaded, created: now, changed: now}
	if err := c.checkJob(j); err != nil {
		return err
	}
	if c.o.bulkJobs.total(now) >= int64(c.o.cfg.Bulk.Jobs) {
		return errJob("EXCEEDEDQUOTA", "DailyBulkV2QueryJobs Limit exceeded.")
	}
	c.o.bulkJobs.add(now, 1)
	j.id = c.o.topicIDs.id18("750")
	j.due = now.Add(c.o.cfg.Bulk.Wait.draw(c.o.jobs.rnd))
	if c.strike != nil && c.strike.job != nil {
		j.fate = *c.strike.job
	}
	c.ok(c.jobInfo(j))
	c.o.jobs.all = append(c.o.jobs.all, j)
	// The answer says UploadComplete; even without delays the work begins later.
	c.o.jobs.next.Store(now.UnixNano())
	return nil
}

// checkJob finds what is wrong with a job, and makes what it needs.
func (c *restCall) checkJob(j *job) error {
	delimiters := map[string]byte{"BACKQUOTE": '`', "CARET": '^', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "TAB": '\t'}
	lines := map[string]string{"LF": "\n", "CRLF": "\r\n"}
	s := &j.spec
	var ok, known bool
	j.delimiter, ok = delimiters[s.ColumnDelimiter]
	j.lineEnd, known = lines[s.LineEnding]
	switch {
	case s.Operation != "query" && s.Operation != "queryAll":
		return errJob("INVALIDJOB", "Unsupported operation: %s", s.Operation)
	case s.ContentType != "CSV":
		return errJob("INVALIDJOB", "Unsupported content type: %s", s.ContentType)
	case !ok:
		return errJob("INVALIDJOB", "Unsupported columnDelimiter: %s", s.ColumnDelimiter)
	case !known:
		return errJob("INVALIDJOB", "Unsupported lineEnding: %s", s.LineEnding)
	}
	var err error
	if j.soql, err = parseSOQL(s.Query); err != nil {
		return err
	}
	q, err := c.catalogue().bind(j.soql, s.Operation == "queryAll")
	if err != nil {
		return err
	}
	j.object = q.table.name
	if c.o.objects[j.object] == nil {
		return errJob("INVALIDENTITY", "Entity '%s' is not supported by the Bulk API.", j.object)
	}
	j.columns, err = bulkColumns(q)
	return err
}

// jobInfo is a job as the API shows it.
func (c *restCall) jobInfo(j *job) map[string]any {
	version, err := strconv.ParseFloat(j.version, 64)
	if err != nil {
		version = 0
	}
	info := map[string]any{
		"id": j.id, "operation": j.spec.Operation, "object": j.object, "createdById": j.user.id, "createdDate": restTime(j.created.UnixMilli() / 1000 * 1000),
		"systemModstamp": restTime(j.changed.UnixMilli() / 1000 * 1000), "state": j.state, "concurrencyMode": "Parallel", "contentType": "CSV",
		"apiVersion": json.RawMessage(appendDouble(nil, version)), "lineEnding": j.spec.LineEnding, "columnDelimiter": j.spec.ColumnDelimiter,
	}
	if j.state == jobUploaded {
		return info
	}
	info["jobType"], info["retries"], info["isPkChunkingSupported"] = "V2Query", 0, len(j.soql.order) == 0 && j.soql.limit < 0
	info["numberRecordsProcessed"] = len(j.rows)
	info["totalProcessingTime"] = 0
	if j.over() && !j.began.IsZero() {
		info["totalProcessingTime"] = j.changed.Sub(j.began).Milliseconds()
	}
	if j.failure != "" {
		info["errorMessage"] = j.failure
	}
	return info
}

func (c *restCall) oneJob(j *job) error {
	switch c.r.Method {
	case http.MethodGet:
		c.ok(c.jobInfo(j))
		return nil
	case http.MethodPatch:
		fields, err := c.body()
		switch {
		case err != nil:
			return err
		case fields["state"] != jobAborted:
			return errJob("INVALIDJOB", "A query job can only be changed to the state Aborted")
		case j.over():
			return errJob("INVALIDJOBSTATE", "Aborting already %s Job not allowed", j.state)
		}
		j.due = c.o.now()
		c.o.endJob(j, jobAborted, "")
		c.ok(c.jobInfo(j))
		return nil
	case http.MethodDelete:
		if !j.over() {
			return errJob("INVALIDJOBSTATE", "Deleting %s Job not allowed", j.state)
		}
		c.o.jobs.all = slices.DeleteFunc(c.o.jobs.all, func(k *job) bool { return k == j })
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return c.method(http.MethodGet, http.MethodPatch, http.MethodDelete)
}

// listPage is how many jobs one page of the list has.
const listPage = 1000

func (c *restCall) listJobs() error {
	q := c.r.URL.Query()
	from := 0
	if l := q.Get("queryLocator"); l != "" {
		n, _, ok := (&job{rows: make([]image, len(c.o.jobs.all))}).place(l)
		if !ok {
			return errLocator()
		}
		from = n
	}
	if t := q.Get("jobType"); t != "" && t != "V2Query" || q.Get("isPkChunkingEnabled") == "true" || q.Get("concurrencyMode") == "serial" {
		from = len(c.o.jobs.all)
	}
	to := min(from+listPage, len(c.o.jobs.all))
	list := []any{}
	for _, j := range c.o.jobs.all[from:to] {
		list = append(list, c.jobInfo(j))
	}
	out := map[string]any{"done": to == len(c.o.jobs.all), "records": list, "nextRecordsUrl": nil}
	if to < len(c.o.jobs.all) {
		out["nextRecordsUrl"] = c.base() + "/jobs/query?queryLocator=" + locator(to, -1)
	}
	c.ok(out)
	return nil
}

// hasResults refuses to show the results of a job that has none.
func (c *restCall) hasResults(j *job) error {
	switch {
	case j.version != c.version:
		return &RequestError{Status: 409, Code: "INVALIDVERSION", Message: fmt.Sprintf("the job was created with version %s, its results were asked for with %s", j.version, c.version)}
	case j.state == jobComplete:
		return nil
	case j.over() || c.o.cfg.Bulk.EarlyStatus == http.StatusBadRequest:
		return errJob("INVALIDJOBSTATE", "The job is in the state %s and has no results", j.state)
	}
	return &RequestError{Status: c.o.cfg.Bulk.EarlyStatus, Code: "JOB_NOT_COMPLETE", Message: "The job is not complete"}
}

// results is a page of the results.
func (c *restCall) results(j *job) error {
	if err := c.hasResults(j); err != nil {
		return err
	}
	q := c.r.URL.Query()
	from, to, ok := 0, -1, true
	if l := q.Get("locator"); l != "" {
		from, to, ok = j.place(l)
	}
	if !ok {
		return errLocator()
	}
	rows, err := number(q.Get("maxRecords"), c.o.cfg.Bulk.PageRows)
	if err != nil || rows < 1 {
		return errJob("INVALID_ARGUMENT", "maxRecords is %q, which is no number of records", q.Get("maxRecords"))
	}
	if c.strike != nil && c.strike.rows > 0 {
		rows = min(rows, c.strike.rows)
	}
	whole := to >= 0
	if !whole {
		to = min(from+rows, len(j.rows))
	}
	body, end := j.csv(from, to, whole)
	next := "null"
	if end < len(j.rows) {
		next = locator(end, -1)
	}
	h := c.w.Header()
	h.Set("Content-Type", "text/csv")
	h.Set("Sforce-NumberOfRecords", strconv.Itoa(end-from))
	h.Set("Sforce-Locator", next)
	_, _ = c.w.Write(body)
	return nil
}

// resultPages names up to five pages that can be read at the same time.
func (c *restCall) resultPages(j *job) error {
	if err := c.hasResults(j); err != nil {
		return err
	}
	from, ok := 0, true
	if l := c.r.URL.Query().Get("locator"); l != "" {
		from, _, ok = j.place(l)
	}
	if !ok {
		return errLocator()
	}
	const most = 5
	base := c.base() + "/jobs/query/" + j.id
	pages := []any{}
	for len(pages) < most && (from < len(j.rows) || len(pages) == 0) {
		to := min(from+c.o.cfg.Bulk.PageRows, len(j.rows))
		pages = append(pages, map[string]string{"resultUrl": base + "/results?locator=" + locator(from, to)})
		from = to
	}
	out := map[string]any{"resultPages": pages, "done": from == len(j.rows), "nextRecordsUrl": nil}
	if from < len(j.rows) {
		out["nextRecordsUrl"] = base + "/resultPages?locator=" + locator(from, -1)
	}
	c.ok(out)
	return nil
}
