package polling

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
)

const (
	// maxAddress is how long the address of a query may be, with room for the host and
	// for what a page adds.
	maxAddress = 15_000
	// maxParents is how many parents a field's path may go through (SOQL and SOSL
	// Reference, "Understanding Relationship Query Limitations").
	maxParents = 5
)

// selection is what a query selects: fields, and those of parents within.
type selection struct {
	name  string // as Salesforce spells it
	kind  string // type of the field; empty for a parent
	parts []*selection
}

// columns are those of the rows. The id is their key and no column.
func (p *selection) columns() []schemas.Column {
	out := make([]schemas.Column, 0, len(p.parts))
	for _, f := range p.parts {
		out = append(out, schemas.Column{Name: f.name, Type: f.kind, Parts: f.columns()})
	}
	return out
}

// paths are the names that a query selects.
func (p *selection) paths(before string) (out []string) {
	for _, f := range p.parts {
		if f.kind == "" {
			out = append(out, f.paths(before+f.name+".")...)
			continue
		}
		out = append(out, before+f.name)
	}
	return out
}

func (p *selection) child(name, kind string) *selection {
	if i := slices.IndexFunc(p.parts, func(f *selection) bool { return f.name == name }); i >= 0 {
		return p.parts[i]
	}
	f := &selection{name: name, kind: kind}
	p.parts = append(p.parts, f)
	return f
}

// resolver finds what the names of a query stand for.
type resolver struct {
	asker
	s    *stream
	seen map[string]*object // parents, by name
}

// plan finds the fields of a query.
func (r *resolver) plan(ctx context.Context, d *object, q *statement) (*selection, error) {
	root := &selection{}
	selects := func(name string) bool {
		return slices.ContainsFunc(q.fields, func(f string) bool { return strings.EqualFold(f, name) })
	}
	for _, name := range []string{fieldID, d.field} {
		if !selects(name) {
			return nil, r.wrong("the query does not select "+name, "SELECT "+name+", "+strings.Join(q.fields, ", ")+" FROM "+q.object)
		}
	}
	for _, path := range q.fields {
		if strings.EqualFold(path, fieldID) || strings.EqualFold(path, fieldDeleted) {
			continue
		}
		if err := r.field(ctx, root, d, path); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (r *resolver) wrong(problem, try string) error {
	return &StreamError{Channel: r.s.channel, Problem: problem, Try: try}
}

// field adds the field that a path leads to.
func (r *resolver) field(ctx context.Context, at *selection, d *object, path string) error {
	names := strings.Split(path, ".")
	if len(names) > maxParents+1 {
		return r.wrong(fmt.Sprintf("%s goes through %d parents, and Salesforce through %d at most", path, len(names)-1, maxParents), "a nearer field")
	}
	for _, name := range names[:len(names)-1] {
		i := slices.IndexFunc(d.Fields, func(f salesforce.Field) bool { return strings.EqualFold(f.RelationshipName, name) })
		if i < 0 {
			return r.wrong(fmt.Sprintf("%s: %s has no parent %s", path, d.Name, name), "the relationship's name, such as Owner for OwnerId or Account__r for Account__c")
		}
		parent, err := r.parent(ctx, d.Fields[i].ReferenceTo, names[len(names)-1])
		if err != nil {
			return err
		}
		at, d = at.child(d.Fields[i].RelationshipName, ""), parent
	}
	f, ok := d.find(names[len(names)-1])
	if !ok {
		return r.wrong(fmt.Sprintf("%s has no field %s that the bridge's user may see", d.Name, names[len(names)-1]), "the field's API name")
	}
	switch f.Type {
	case "address", "location":
		return r.wrong(fmt.Sprintf("%s is a compound field", path), "its parts, such as BillingCity, or object: in place of soql: for all fields")
	case "base64", "anyType", "complexvalue":
		return r.wrong(fmt.Sprintf("%s has the type %s, which rows do not have", path, f.Type), "the query without it")
	}
	at.child(f.Name, f.Type)
	return nil
}

// parent describes the object that a field refers to: of several the first that has what
// is selected of it.
func (r *resolver) parent(ctx context.Context, of []string, field string) (*object, error) {
	var last *object
	for _, name := range of {
		d := r.seen[name]
		if d == nil {
			described, err := r.describe(ctx, name)
			if err != nil {
				return nil, err
			}
			d = &object{Describe: described}
			r.seen[name] = d
		}
		if _, has := d.find(field); has {
			return d, nil
		}
		last = d
	}
	if last == nil {
		return nil, r.wrong("a parent refers to no object", "the query without its fields")
	}
	return last, nil
}

// queryTable reads what a query selects. A page has all of it.
type queryTable struct {
	tableBase
	where salesforce.Condition
	plan  *selection
}

func newQueryTable(base tableBase, q *statement, plan *selection) (*queryTable, error) {
	t := &queryTable{tableBase: base, plan: plan}
	if q.where != "" {
		t.where = salesforce.SOQLCondition(q.where)
	}
	text, err := t.query(place{at: earliest(), id: "000000000000000AAA"}, largestPage).SOQL()
	if err != nil {
		return nil, &StreamError{Channel: base.s.channel, Problem: "the query cannot be asked in pages", Try: "a simpler condition", Err: err}
	}
	if n := len(url.QueryEscape(text)); n > maxAddress {
		return nil, &StreamError{Channel: base.s.channel, Problem: fmt.Sprintf("the query is %d bytes long as an address, more than the %d that Salesforce takes", n, maxAddress),
			Try: "fewer fields, or object: in place of soql:, which has no such bound"}
	}
	return t, nil
}

// query is the one for a page.
func (t *queryTable) query(behind place, n int) salesforce.Query {
	fields := t.plan.paths("")
	for _, key := range t.keys() {
		if !slices.Contains(fields, key) {
			fields = append(fields, key)
		}
	}
	return salesforce.Query{
		Object: t.object.Name, Fields: fields, Where: salesforce.AllOf(t.where, t.behind(behind)), OrderBy: t.order(), Limit: n, All: t.all,
	}
}

func (t *queryTable) page(ctx context.Context, behind place, n int) ([]*row, bool, error) {
	records, whole, err := t.run(ctx, t.query(behind, n))
	if err != nil {
		return nil, false, err
	}
	rows := make([]*row, len(records))
	for i, record := range records {
		if rows[i], err = t.key(record); err != nil {
			return nil, false, err
		}
		if !rows[i].gone {
			if rows[i].json, err = t.plan.write(nil, record); err != nil {
				return nil, false, &salesforce.RowError{Object: t.object.Name, ID: rows[i].id, Problem: err.Error()}
			}
		}
	}
	return rows, !whole, nil
}

// fill only counts: the rows have their fields.
func (t *queryTable) fill(_ context.Context, rows []*row, most int) (int, error) {
	bytes := 0
	for i, r := range rows {
		if bytes += len(r.json); bytes >= most {
			return i + 1, nil
		}
	}
	return len(rows), nil
}

// write writes what was selected of a record. Fields without a value are left out, as in
// the event of a new record; the scanner knows REST's times.
func (p *selection) write(dst []byte, record json.RawMessage) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(record, &fields); err != nil {
		return nil, fmt.Errorf("it is no object: %w", err)
	}
	dst = append(dst, '{')
	for _, f := range p.parts {
		value, ok := fields[f.name]
		if !ok {
			return nil, fmt.Errorf("it has no %s, which was asked for", f.name)
		}
		if string(value) == "null" {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), f.name...), `":`...)
		if f.kind != "" {
			dst = append(dst, value...)
			continue
		}
		var err error
		if dst, err = f.write(dst, value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}
