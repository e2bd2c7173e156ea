package orgsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

const (
	mostByID  = 2000 // records that one request may name
	mostBatch = 25   // requests of a batch
)

// composite serves composite/sobjects/X, which reads records by their ids, and
// composite/batch.
func (c *restCall) composite(path []string) error {
	switch {
	case len(path) == 1 && path[0] == "batch":
		return c.compositeBatch()
	case len(path) == 2 && path[0] == "sobjects":
		return c.byIDs(path[1])
	}
	return errNotFound()
}

// byIDs answers with a record for each id, in their order, null for one that is not
// there (REST API guide, Get Multiple Records with Fields from One Object).
func (c *restCall) byIDs(object string) error {
	var ask struct {
		IDs    []string `json:"ids"`
		Fields []string `json:"fields"`
	}
	switch c.r.Method {
	case http.MethodGet:
		q := c.r.URL.Query()
		ask.IDs, ask.Fields = strings.Split(q.Get("ids"), ","), strings.Split(q.Get("fields"), ",")
	case http.MethodPost:
		if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 6<<20)).Decode(&ask); err != nil {
			return &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: err.Error()}
		}
	default:
		return c.method(http.MethodGet, http.MethodPost)
	}
	if len(ask.IDs) > mostByID {
		return &RequestError{Status: 400, Code: "EXCEEDED_ID_LIMIT", Message: fmt.Sprintf("record limit reached. cannot submit more than %d records in this request", mostByID)}
	}
	return c.locked(func() error { return c.byIDsLocked(object, ask.IDs, ask.Fields) })
}

func (c *restCall) byIDsLocked(object string, ids, fields []string) error {
	t := c.catalogue().table(object)
	if t == nil {
		return errNotFound()
	}
	var chosen choice
	for _, name := range fields {
		col := t.byName[strings.ToLower(strings.TrimSpace(name))]
		if col == nil {
			return &RequestError{Status: 400, Code: "INVALID_FIELD", Message: fmt.Sprintf("No such column '%s' on sobject of type %s", name, t.name)}
		}
		chosen.add(col)
	}
	body := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		if r := t.find(ID18(strings.TrimSpace(id))); r != nil && !r.deleted {
			body = chosen.row(body, t, r, c.base())
		} else {
			body = append(body, "null"...)
		}
	}
	c.json(append(body, ']'))
	return nil
}

// compositeBatch carries out requests that read, one after another, each at its own
// moment (REST API guide, Batch). A body of a request, richInput, is not known here.
func (c *restCall) compositeBatch() error {
	if err := c.method(http.MethodPost); err != nil {
		return err
	}
	var batch struct {
		Halt     bool `json:"haltOnError"`
		Requests []struct {
			Method string `json:"method"`
			URL    string `json:"url"`
		} `json:"batchRequests"`
	}
	err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 6<<20)).Decode(&batch)
	if err != nil || len(batch.Requests) == 0 || len(batch.Requests) > mostBatch {
		return &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: fmt.Sprintf("want batchRequests, from 1 to %d: %v", mostBatch, err)}
	}
	type outcome struct {
		Status int             `json:"statusCode"`
		Result json.RawMessage `json:"result"`
	}
	var results []outcome
	failed := false
	for _, q := range batch.Requests {
		o := outcome{Status: http.StatusPreconditionFailed, Result: json.RawMessage(`[{"errorCode":"BATCH_PROCESSING_HALTED","message":"Batch processing halted per request"}]`)}
		if !failed || !batch.Halt {
			o.Status, o.Result = c.inner(q.Method, q.URL)
		}
		failed = failed || o.Status >= http.StatusBadRequest
		results = append(results, o)
	}
	c.ok(map[string]any{"hasErrors": failed, "results": results})
	return nil
}

// inner carries out one request of a batch; its address is relative, v66.0/query?q=.
func (c *restCall) inner(method, address string) (int, json.RawMessage) {
	w := &readyResponse{header: http.Header{}, status: http.StatusOK}
	sub := &restCall{o: c.o, w: w, user: c.user}
	r, err := http.NewRequestWithContext(c.r.Context(), method, c.o.baseURL(c.r)+"/services/data/"+strings.TrimPrefix(strings.TrimPrefix(address, "/"), "services/data/"), http.NoBody)
	if err != nil || method != http.MethodGet {
		sub.fail(&RequestError{Status: 400, Code: "INVALID_BATCH_REQUEST", Message: "this org carries out GET alone: " + method + " " + address})
		return w.status, w.body
	}
	r.Header = c.r.Header.Clone()
	sub.r = r
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/services/data"), "/"), "/")
	sub.version, sub.path = strings.TrimPrefix(path[0], "v"), path[1:]
	if err := sub.serve(path[0]); err != nil {
		sub.fail(err)
	}
	if len(bytes.TrimSpace(w.body)) == 0 {
		return w.status, json.RawMessage("null")
	}
	return w.status, w.body
}
