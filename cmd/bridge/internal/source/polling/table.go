package polling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// tableBase is what the tables have in common.
type tableBase struct {
	asker
	s      *stream
	object *object
	all    bool // rows in the recycle bin, too
}

// behind is the condition of rows behind a place, in the order of time and id.
func (t *tableBase) behind(p place) salesforce.Condition {
	at := salesforce.TimeLiteral(p.at)
	from := salesforce.Where(t.object.field, ">=", at)
	if p.id == "" {
		return from
	}
	return salesforce.AllOf(from, salesforce.AnyOf(
		salesforce.Where(t.object.field, ">", at), salesforce.Where(fieldID, ">", salesforce.IDLiteral(p.id))))
}

// keys are the columns that a row is told and ordered by.
func (t *tableBase) keys() []string {
	keys := []string{fieldID, t.object.field}
	if t.object.hasModstamp && t.object.field != fieldModstamp {
		keys = append(keys, fieldModstamp)
	}
	if t.all {
		keys = append(keys, fieldDeleted)
	}
	return keys
}

func (t *tableBase) order() []salesforce.Order {
	return []salesforce.Order{{Field: t.object.field}, {Field: fieldID}}
}

// page is a reply to a query.
type page struct {
	Done    *bool             `json:"done"`
	Records []json.RawMessage `json:"records"`
}

// run asks a query. Whole says that there are no more rows than those.
func (t *tableBase) run(ctx context.Context, q salesforce.Query) (records []json.RawMessage, whole bool, _ error) {
	text, err := q.SOQL()
	if err != nil {
		return nil, false, err
	}
	resource := "/query?q="
	if q.All {
		resource = "/queryAll?q="
	}
	var p page
	if err := t.get(ctx, resource+url.QueryEscape(text), &p); err != nil {
		return nil, false, err
	}
	if p.Done == nil || p.Records == nil {
		return nil, false, &salesforce.ReplyError{Path: "query", Status: 200, Problem: "it is no page of rows: records or done is missing", Temporary: true}
	}
	// What Salesforce puts on further pages is asked for by the next query.
	return p.Records, *p.Done && len(p.Records) < q.Limit, nil
}

const restTime = "2006-01-02T15:04:05.000Z0700"

// key reads what a row is told and ordered by.
func (t *tableBase) key(record json.RawMessage) (*row, error) {
	wrong := func(problem string) error {
		return &salesforce.RowError{Object: t.object.Name, Problem: problem}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(record, &fields); err != nil {
		return nil, wrong("it is no object")
	}
	r := &row{}
	if err := json.Unmarshal(fields[fieldID], &r.id); err != nil || len(r.id) != 18 {
		return nil, wrong("it has no id of 18 characters")
	}
	when := func(name string) (time.Time, error) {
		var text string
		if err := json.Unmarshal(fields[name], &text); err != nil {
			return time.Time{}, &salesforce.RowError{Object: t.object.Name, ID: r.id, Field: name, Problem: "has no time"}
		}
		at, err := time.Parse(restTime, text)
		if err != nil || at.Nanosecond() != 0 { // a query knows whole seconds
			return time.Time{}, &salesforce.RowError{Object: t.object.Name, ID: r.id, Field: name, Problem: fmt.Sprintf("is %q, not a time in whole seconds", text)}
		}
		return at.UTC(), nil
	}
	var err error
	if r.at, err = when(t.object.field); err != nil {
		return nil, err
	}
	r.paged, r.org = r.at, r.at
	if t.object.hasModstamp && t.object.field != fieldModstamp {
		if r.org, err = when(fieldModstamp); err != nil {
			return nil, err
		}
	}
	if t.all {
		if err := json.Unmarshal(fields[fieldDeleted], &r.gone); err != nil {
			return nil, wrong("it does not say whether it is deleted")
		}
	}
	return r, nil
}

// latest asks for the row that changed last.
func (t *tableBase) latest(ctx context.Context) (time.Time, error) {
	field := t.object.field
	if t.object.hasModstamp {
		field = fieldModstamp
	}
	records, _, err := t.run(ctx, salesforce.Query{
		Object: t.object.Name, Fields: t.keys(), Where: salesforce.Where(field, "!=", salesforce.NullLiteral()),
		OrderBy: []salesforce.Order{{Field: field, Descending: true}}, Limit: 1, All: t.all,
	})
	if err != nil || len(records) == 0 {
		return time.Time{}, err
	}
	r, err := t.key(records[0])
	if err != nil {
		return time.Time{}, err
	}
	return r.org, nil
}

// reader reads rows, and gives an error back at once: the source paces itself.
func (t *tableBase) reader() (*salesforce.Reader, error) {
	return salesforce.NewReader(salesforce.ReaderConfig{Client: t.cfg.Client, Spend: t.cfg.Spend, Attempts: 1})
}

func (t *tableBase) deleted(ctx context.Context, from, to time.Time) (salesforce.Changes, error) {
	r, err := t.reader()
	if err != nil {
		return salesforce.Changes{}, err
	}
	return r.Deleted(ctx, t.object.Name, from, to)
}

func (t *tableBase) missing(ctx context.Context, ids []string) (map[string]bool, error) {
	form, err := salesforce.NewForm(salesforce.FormConfig{Describe: t.object.Describe, Fields: []string{}})
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool)
	err = t.byIDs(ctx, form, ids, func(r salesforce.Row) bool {
		out[r.ID] = r.Missing
		return true
	})
	return out, err
}

// byIDs reads records until they are all read, or take says that it is enough.
func (t *tableBase) byIDs(ctx context.Context, form *salesforce.Form, ids []string, take func(salesforce.Row) bool) error {
	r, err := t.reader()
	if err != nil {
		return err
	}
	rows, err := r.ByIDs(ctx, form, ids)
	if err != nil {
		return err
	}
	for {
		one, err := rows.Next()
		if errors.Is(err, io.EOF) || err == nil && !take(one) {
			return rows.Close()
		}
		if err != nil {
			return errors.Join(err, rows.Close())
		}
	}
}

// objectTable reads whole records. A page is of keys alone, and the records are read by
// their ids: that has no bound for the number of fields, and costs nothing where nothing
// has changed.
type objectTable struct {
	tableBase
	form *salesforce.Form
	time string // the field in the record's JSON; empty where SystemModstamp tells
}

func newObjectTable(base tableBase, form *salesforce.Form) *objectTable {
	t := &objectTable{tableBase: base, form: form}
	if base.object.field != fieldModstamp {
		t.time = base.object.field
	}
	return t
}

func (t *objectTable) page(ctx context.Context, behind place, n int) ([]*row, bool, error) {
	records, whole, err := t.run(ctx, salesforce.Query{
		Object: t.object.Name, Fields: t.keys(), Where: t.behind(behind), OrderBy: t.order(), Limit: n, All: t.all,
	})
	if err != nil {
		return nil, false, err
	}
	rows := make([]*row, len(records))
	for i, record := range records {
		if rows[i], err = t.key(record); err != nil {
			return nil, false, err
		}
	}
	return rows, !whole, nil
}

func (t *objectTable) fill(ctx context.Context, rows []*row, most int) (int, error) {
	var ids []string
	for _, r := range rows {
		if !r.gone {
			ids = append(ids, r.id)
		}
	}
	at, bytes := 0, 0
	var failed error
	err := t.byIDs(ctx, t.form, ids, func(one salesforce.Row) bool {
		for rows[at].id != one.ID {
			at++
		}
		failed = t.into(rows[at], one)
		at++
		bytes += len(one.JSON)
		return failed == nil && bytes < most
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	for at < len(rows) && rows[at].gone {
		at++
	}
	return at, nil
}

// into fills a row from its record.
func (t *objectTable) into(r *row, one salesforce.Row) error {
	r.json, r.lost = one.JSON, one.Missing
	switch {
	case one.Missing:
	case t.time == "":
		r.at = one.Modstamp
	default:
		var fields map[string]json.RawMessage
		var text string
		err := json.Unmarshal(one.JSON, &fields)
		if err == nil {
			err = json.Unmarshal(fields[t.time], &text)
		}
		at, wrong := time.Parse(time.RFC3339, text)
		if err != nil || wrong != nil {
			return &salesforce.RowError{Object: t.object.Name, ID: one.ID, Field: t.time, Problem: "has no time"}
		}
		r.at = at.UTC()
	}
	return nil
}
