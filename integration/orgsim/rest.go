package orgsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// restCall is one REST request on its way through the resources.
type restCall struct {
	o       *Org
	w       http.ResponseWriter
	r       *http.Request
	user    *user
	version string   // "66.0"
	path    []string // behind the version
	strike  *strike  // what a fault does to a request that is carried out
}

// serveRest is /services/data and everything below it (REST API guide).
func (o *Org) serveRest(w http.ResponseWriter, r *http.Request) {
	o.stats.rest.Add(1)
	now := o.now()
	o.restCalls.add(now, 1)
	used, most := o.restCalls.total(now), o.dailyRequests()
	w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", min(used, most), most))
	s, done := o.refused(w, restName(r))
	if done {
		return
	}
	rest := strings.Trim(strings.TrimPrefix(r.URL.Path, "/services/data"), "/")
	if rest == "" {
		writeJSON(w, http.StatusOK, o.versions())
		return
	}
	path := strings.Split(rest, "/")
	if len(r.URL.RequestURI()) > maxURI {
		page(http.StatusRequestURITooLong).write(w, "")
		return
	}
	if o.cfg.DailyAPIRequests > 0 && used > most {
		(&restCall{w: w}).fail(&RequestError{Status: 403, Code: "REQUEST_LIMIT_EXCEEDED", Message: "TotalRequests Limit exceeded."})
		return
	}
	c := &restCall{o: o, w: w, r: r, path: path[1:], version: strings.TrimPrefix(path[0], "v"), strike: s}
	if err := c.serve(path[0]); err != nil {
		c.fail(err)
	}
}

type versionInfo struct {
	Label   string `json:"label"`
	URL     string `json:"url"`
	Version string `json:"version"`
}

func (o *Org) versions() []versionInfo {
	seasons := []string{"Winter", "Spring", "Summer"}
	var out []versionInfo
	for _, v := range o.cfg.Versions {
		n, _ := strconv.ParseFloat(v, 64)
		release := int(n) - 59 // 59.0 is Winter '24
		label := fmt.Sprintf("%s '%02d", seasons[(release%3+3)%3], 24+release/3)
		out = append(out, versionInfo{label, "/services/data/v" + v, v})
	}
	return out
}

func (c *restCall) fail(err error) {
	var re *RequestError
	if !errors.As(err, &re) {
		re = &RequestError{Status: 500, Code: "UNKNOWN_EXCEPTION", Message: err.Error()}
	}
	item := map[string]any{"message": re.Message, "errorCode": re.Code}
	if re.Fields != nil {
		item["fields"] = re.Fields
	}
	if re.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Token")
	}
	writeJSON(c.w, re.Status, []any{item})
}

func (c *restCall) serve(segment string) error {
	if c.o.formerHost(c.r.Host) == "" {
		c.user = c.o.caller(bearer(c.r))
	}
	if c.user == nil {
		return &RequestError{Status: 401, Code: "INVALID_SESSION_ID", Message: "Session expired or invalid"}
	}
	n, err := strconv.ParseFloat(c.version, 64)
	newest, _ := strconv.ParseFloat(c.o.cfg.Versions[len(c.o.cfg.Versions)-1], 64)
	switch {
	case err != nil || !strings.HasPrefix(segment, "v") || n < 7 || n > newest:
		return errNotFound()
	case n <= 30:
		return &RequestError{Status: 410, Code: "UNSUPPORTED_API_VERSION", Message: "API version " + c.version + " is retired"}
	}
	switch {
	case len(c.path) == 0:
		c.ok(c.resources())
		return nil
	case c.path[0] == "event" && len(c.path) == 3 && c.path[1] == "eventSchema":
		return c.schemaByID(c.path[2])
	case c.path[0] == "sobjects":
		return c.sobjects(c.path[1:])
	case c.path[0] == "limits" && len(c.path) == 1:
		c.ok(c.o.limits())
		return nil
	case (c.path[0] == "query" || c.path[0] == "queryAll") && len(c.path) == 1:
		return c.query(c.path[0] == "queryAll")
	case (c.path[0] == "query" || c.path[0] == "queryAll") && len(c.path) == 2:
		return c.more(c.path[1])
	case c.path[0] == "composite":
		return c.composite(c.path[1:])
	case c.path[0] == "jobs" && len(c.path) > 1 && c.path[1] == "query":
		return c.jobs(c.path[2:])
	}
	return errNotFound()
}

func (c *restCall) ok(v any) { writeJSON(c.w, http.StatusOK, v) }

func (c *restCall) base() string { return "/services/data/v" + c.version }

func (c *restCall) resources() map[string]string {
	out := map[string]string{}
	for _, r := range []string{"sobjects", "query", "queryAll", "limits", "jobs"} {
		out[r] = c.base() + "/" + r
	}
	return out
}

func (c *restCall) method(allowed ...string) error {
	if slices.Contains(allowed, c.r.Method) {
		return nil
	}
	return &RequestError{Status: 405, Code: "METHOD_NOT_ALLOWED", Message: "HTTP Method '" + c.r.Method + "' not allowed. Allowed are " + strings.Join(allowed, ",")}
}

// schemaByID is GET event/eventSchema/<id>.
func (c *restCall) schemaByID(id string) error {
	c.o.mu.Lock()
	s := c.o.schemas[id]
	c.o.mu.Unlock()
	if s == nil {
		return errNotFound()
	}
	return c.schema(s)
}

func (c *restCall) schema(s *schema) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	format := c.r.URL.Query().Get("payloadFormat")
	n, _ := strconv.ParseFloat(c.version, 64)
	text := s.expanded
	switch {
	case n < 43 && format != "", format != "" && format != "EXPANDED" && format != "COMPACT":
		return &RequestError{Status: 400, Code: "INVALID_FIELD", Message: "payloadFormat is not valid: " + format}
	case n < 43, format == "COMPACT":
		text = s.compact
	}
	c.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = c.w.Write(text)
	return nil
}

// sobjects serves the resources below sobjects/.
func (c *restCall) sobjects(path []string) error {
	if len(path) == 0 {
		if err := c.method(http.MethodGet); err != nil {
			return err
		}
		list := []any{}
		for _, ob := range c.o.order {
			list = append(list, c.summary(ob))
		}
		c.ok(map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list})
		return nil
	}
	if len(path) == 2 && path[1] == "eventSchema" {
		return c.schemaByName(path[0])
	}
	switch path[0] {
	case "PushTopic":
		return c.pushTopics(path[1:])
	case "StreamingChannel":
		return c.streamingChannels(path[1:])
	}
	ob := c.o.objects[path[0]]
	if ob == nil || c.user.denied[path[0]] {
		return errNotFound()
	}
	switch {
	case len(path) == 2 && path[1] == "describe":
		if err := c.method(http.MethodGet); err != nil {
			return err
		}
		c.o.mu.Lock()
		d := c.describe(ob)
		c.o.mu.Unlock()
		c.ok(d)
		return nil
	case len(path) == 1:
		return c.collection(ob)
	case len(path) == 2 && !ob.def.IsEvent() && (path[1] == "updated" || path[1] == "deleted"):
		return c.replicate(ob, path[1] == "deleted")
	case len(path) == 3 && !ob.def.IsEvent():
		return c.blob(ob, path[1], path[2])
	case len(path) == 2 && !ob.def.IsEvent():
		return c.row(ob, path[1])
	}
	return errNotFound()
}

func (c *restCall) schemaByName(event string) error {
	for _, ob := range c.o.order {
		if ob.def.EventName() == event && !ob.def.NoCapture && !c.user.denied[ob.def.Name] {
			c.o.mu.Lock()
			s := ob.schema
			c.o.mu.Unlock()
			return c.schema(s)
		}
	}
	return errNotFound()
}

var clientOption = regexp.MustCompile(`(?:^|[,;]\s*)client=([^,;]*)`)

// txOptions name the caller and what it sent as Sforce-Call-Options.
func (c *restCall) txOptions() TxOptions {
	origin := "com/salesforce/api/rest/" + c.version
	if m := clientOption.FindStringSubmatch(c.r.Header.Get("Sforce-Call-Options")); m != nil {
		origin += ";client=" + m[1]
	}
	return TxOptions{User: c.user.Username, Origin: origin}
}

func (c *restCall) body() (Fields, error) {
	dec := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 6<<20))
	dec.UseNumber()
	var fields Fields
	if err := dec.Decode(&fields); err != nil || fields == nil {
		return nil, &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Message: "The HTTP entity body is required, but this request has no readable entity body."}
	}
	return fields, nil
}

// collection is sobjects/<Object>: create, or publish for a platform event.
func (c *restCall) collection(ob *object) error {
	if c.r.Method == http.MethodGet {
		c.ok(map[string]any{"objectDescribe": c.summary(ob), "recentItems": []any{}})
		return nil
	}
	if err := c.method(http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	fields, err := c.body()
	if err != nil {
		return err
	}
	var id string
	err = c.o.Transact(c.txOptions(), func(tx *Tx) error {
		if ob.def.IsEvent() {
			id, err = tx.Publish(ob.def.Name, fields)
		} else {
			id, err = tx.Create(ob.def.Name, fields)
		}
		return err
	})
	if err != nil {
		return err
	}
	problems := []any{}
	if ob.def.IsEvent() {
		// The id is a placeholder; the event's UUID is in the message.
		problems = append(problems, map[string]any{"statusCode": "OPERATION_ENQUEUED", "message": id, "fields": []string{}})
		id = ID18("e01" + ob.prefix + "000000001")
	} else {
		c.w.Header().Set("Location", c.base()+"/sobjects/"+ob.def.Name+"/"+id)
	}
	writeJSON(c.w, http.StatusCreated, map[string]any{"id": id, "success": true, "errors": problems})
	return nil
}

// row is sobjects/<Object>/<id>.
func (c *restCall) row(ob *object, id string) error {
	if len(id) != 15 && len(id) != 18 {
		return &RequestError{Status: 404, Code: "NOT_FOUND", Message: "Provided external ID field does not exist or is not accessible: " + id}
	}
	method := c.r.Method
	if o := c.r.Header.Get("X-HTTP-Method-Override"); method == http.MethodPost && o != "" {
		method = o
	} else if o := c.r.URL.Query().Get("_HttpMethod"); method == http.MethodPost && o != "" {
		method = o
	}
	switch method {
	case http.MethodGet:
		return c.read(ob, id)
	case http.MethodPatch:
		fields, err := c.body()
		if err != nil {
			return err
		}
		err = c.o.Transact(c.txOptions(), func(tx *Tx) error { return tx.Update(ob.def.Name, id, fields) })
		if err != nil {
			return err
		}
	case http.MethodDelete:
		err := c.o.Transact(c.txOptions(), func(tx *Tx) error { return tx.Delete(ob.def.Name, id) })
		if err != nil {
			return err
		}
	default:
		return c.method(http.MethodGet, http.MethodPatch, http.MethodDelete)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// read is the record as its columns show it, all of them or those in fields=.
func (c *restCall) read(ob *object, id string) error {
	return c.locked(func() error { return c.readLocked(ob, id) })
}

func (c *restCall) readLocked(ob *object, id string) error {
	r := ob.records[ID18(id)]
	if r == nil || r.deleted {
		return errNotFound()
	}
	t := c.catalogue().of(ob)
	var chosen choice
	for _, name := range strings.Split(c.r.URL.Query().Get("fields"), ",") {
		if name == "" {
			continue
		}
		col := t.byName[strings.ToLower(name)]
		if col == nil {
			return &RequestError{Status: 400, Code: "INVALID_FIELD", Message: fmt.Sprintf("No such column '%s' on sobject of type %s", name, ob.def.Name)}
		}
		chosen.add(col)
	}
	if chosen.kids == nil {
		for _, col := range t.columns {
			chosen.add(col)
		}
	}
	c.json(chosen.row(nil, t, r, c.base()))
	return nil
}

// blob is the content of a binary field, which only says whose it is.
func (c *restCall) blob(ob *object, id, name string) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	return c.locked(func() error { return c.blobLocked(ob, id, name) })
}

func (c *restCall) blobLocked(ob *object, id, name string) error {
	f, r := ob.derivedNamed(name), ob.records[ID18(id)]
	if f == nil || f.Type != Base64 || c.user.hidden(ob, f) || r == nil || r.deleted {
		return errNotFound()
	}
	c.w.Header().Set("Content-Type", "application/octetstream")
	_, _ = fmt.Fprintf(c.w, "%s of %s", f.Name, r.id)
	return nil
}

func (c *restCall) attributes(object, id string) map[string]string {
	return map[string]string{"type": object, "url": c.base() + "/sobjects/" + object + "/" + id}
}
