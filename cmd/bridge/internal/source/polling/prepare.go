package polling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
)

const (
	fieldID       = "Id"
	fieldModstamp = "SystemModstamp"
	fieldDeleted  = "IsDeleted"
	typeDateTime  = "datetime"
)

// prepare describes the stream's object, unless that was done lately, and tells the
// catalog what schema its rows have now.
func (s *stream) prepare(ctx context.Context) error {
	if !s.described.IsZero() && (s.looking || time.Since(s.described) < describeEvery) {
		return nil
	}
	if err := s.cfg.open(ctx, s); err != nil {
		return err
	}
	s.described = time.Now()
	return nil
}

// opener makes the tables of streams.
type opener struct{ cfg *Config }

// asker sends requests that are counted.
type asker struct{ cfg *Config }

func (a asker) get(ctx context.Context, path string, v any) error {
	if err := a.cfg.Spend(ctx, 1); err != nil {
		return err
	}
	return a.cfg.Client.Get(ctx, path, v)
}

func (a asker) describe(ctx context.Context, object string) (*salesforce.Describe, error) {
	if err := a.cfg.Spend(ctx, 1); err != nil {
		return nil, err
	}
	return a.cfg.Client.Describe(ctx, object)
}

// object is an object with the fields that are polled by.
type object struct {
	*salesforce.Describe
	field       string // that rows are ordered by
	hasModstamp bool
}

func (d *object) find(name string) (salesforce.Field, bool) {
	i := slices.IndexFunc(d.Fields, func(f salesforce.Field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return salesforce.Field{}, false
	}
	return d.Fields[i], true
}

// open describes what a stream reads and makes its table.
func (o *opener) open(ctx context.Context, s *stream) error {
	var q *statement
	name := s.what.Object
	if s.what.SOQL != "" {
		var err error
		if q, err = parseSOQL(s.channel, s.what.SOQL); err != nil {
			return err
		}
		name = q.object
	}
	a := asker{o.cfg}
	described, err := a.describe(ctx, name)
	if err != nil {
		return err
	}
	d := &object{Describe: described}
	if err := s.suits(d); err != nil {
		return err
	}
	base := tableBase{asker: a, s: s, object: d, all: s.deletions == QueryAll}
	if q != nil {
		return o.openStatement(ctx, s, base, q)
	}
	return o.openObject(s, base)
}

// Schema is the schema that the rows of a stream have now.
func Schema(ctx context.Context, cfg Config, channel string) (*schemas.Schema, error) {
	cfg.fill()
	s := &stream{cfg: &cfg, what: cfg.Streams[channel].filled(), channel: channel}
	if err := (&opener{cfg: &cfg}).open(ctx, s); err != nil {
		return nil, err
	}
	return cfg.Catalog.Schema(ctx, s.schemaID)
}

// suits checks that the object can be polled as it is configured.
func (s *stream) suits(d *object) error {
	wrong := func(problem, try string) error {
		return &StreamError{Channel: s.channel, Problem: problem, Try: try}
	}
	if !d.Queryable {
		return wrong(d.Name+" cannot be queried", "another object")
	}
	f, ok := d.find(s.what.Field)
	if !ok || f.Type != typeDateTime {
		return wrong(fmt.Sprintf("%s has no field %s of the type datetime that the bridge's user may see", d.Name, s.what.Field),
			"incremental_field: SystemModstamp, LastModifiedDate or CreatedDate, whichever the object has")
	}
	d.field = f.Name
	_, d.hasModstamp = d.find(fieldModstamp)
	_, deletable := d.find(fieldDeleted)
	possible := deletable && d.field == fieldModstamp // the deletion of a row moves no other field
	switch s.deletions = s.what.Deletions; {
	case s.deletions == DeletionsAuto && possible:
		s.deletions = QueryAll
	case s.deletions == DeletionsAuto:
		s.deletions = Deleted
	case s.deletions == QueryAll && !possible:
		return wrong(d.Name+" cannot have deletions: query_all, which needs the field IsDeleted, and SystemModstamp as incremental_field", "deletions: deleted")
	}
	s.entity = d.Name
	return nil
}

// openObject makes the table of a whole object.
func (o *opener) openObject(s *stream, base tableBase) error {
	form, err := salesforce.NewForm(salesforce.FormConfig{Describe: base.object.Describe})
	if err != nil {
		return err
	}
	if err := s.keep(o.cfg.Catalog, "", formColumns(base.object, form)); err != nil {
		return err
	}
	s.table = newObjectTable(base, form)
	return nil
}

// keep makes the schema of the rows and tells the catalog.
func (s *stream) keep(catalog *schemas.Catalog, namespace string, columns []schemas.Column) error {
	schema, err := schemas.Rows(schemas.RowSchema{Namespace: namespace, Object: s.entity, Fields: columns})
	if err != nil {
		return &StreamError{Channel: s.channel, Problem: "its rows have no schema", Try: "a query that leaves the field out", Err: err}
	}
	catalog.Keep(schema)
	s.schemaID = schema.ID
	return nil
}

// formColumns are the columns of rows as a form writes them: compounds with their parts
// within, and nothing that it leaves out.
func formColumns(d *object, form *salesforce.Form) []schemas.Column {
	left := map[string]bool{fieldID: true, fieldModstamp: true, fieldDeleted: true}
	for _, l := range form.Left() {
		left[l.Name] = true
	}
	known := map[string]bool{}
	for _, f := range d.Fields {
		known[f.Name] = true
	}
	compound := func(f salesforce.Field) bool { return f.CompoundName != f.Name && known[f.CompoundName] }
	var out []schemas.Column
	for _, f := range d.Fields {
		if left[f.Name] || compound(f) {
			continue
		}
		c := schemas.Column{Name: f.Name, Type: f.Type}
		for _, p := range d.Fields {
			if compound(p) && p.CompoundName == f.Name && !left[p.Name] {
				c.Parts = append(c.Parts, schemas.Column{Name: partName(f.Name, p.Name), Type: partType(p.Type)})
			}
		}
		out = append(out, c)
	}
	return out
}

// partName is the name that change events have for a part of a compound: City for
// BillingCity of BillingAddress, Latitude for Spot__Latitude__s of Spot__c.
func partName(compound, name string) string {
	if base, ok := strings.CutSuffix(compound, "__c"); ok {
		return strings.TrimSuffix(strings.TrimPrefix(name, base+"__"), "__s")
	}
	return strings.TrimPrefix(name, strings.TrimSuffix(compound, "Address"))
}

// partType is the type that change events have for a part: a number or a text.
func partType(kind string) string {
	if kind == "double" {
		return kind
	}
	return "string"
}

// openStatement makes the table of a query.
func (o *opener) openStatement(ctx context.Context, s *stream, base tableBase, q *statement) error {
	plan, err := (&resolver{asker: base.asker, s: s, seen: map[string]*object{}}).plan(ctx, base.object, q)
	if err != nil {
		return err
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(s.channel, "/"), "/")
	if err := s.keep(o.cfg.Catalog, "bridge.query."+name, plan.columns()); err != nil {
		return err
	}
	t, err := newQueryTable(base, q, plan)
	if err != nil {
		return err
	}
	s.table = t
	return t.explained(ctx)
}

// explained has Salesforce check the query, and warns of one that reads the whole table.
func (t *queryTable) explained(ctx context.Context) error {
	if err := t.cfg.Spend(ctx, 1); err != nil {
		return err
	}
	q := t.query(place{at: time.Now()}, 1)
	q.All = false // only the other resource explains
	plans, err := t.cfg.Client.Explain(ctx, q)
	if err != nil {
		if refused, ok := errors.AsType[*salesforce.APIError](err); ok && !salesforce.Retryable(err) && !salesforce.Unauthorized(err) {
			return &StreamError{Channel: t.s.channel, Problem: "Salesforce refuses the query", Try: "the query in the developer console, as the bridge's user", Err: refused}
		}
		return err
	}
	if len(plans) > 0 && plans[0].RelativeCost > 1 {
		t.cfg.Warn(t.s.channel, fmt.Sprintf("the query is not selective: Salesforce would read it by %s at %.1f times the cost of an index; try: a condition on an indexed field, or a longer time between two looks",
			plans[0].Operation, plans[0].RelativeCost))
	}
	return nil
}
