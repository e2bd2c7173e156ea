package orgsim

import (
	"strings"
	"time"
)

// query is a soql made ready to run on the tables of a user.
type query struct {
	soql       *soql
	cat        *catalogue
	table      *table
	now        time.Time // in the user's time zone
	choice     *choice   // what is selected
	aggregates []aggregate
	holds      func(r *record) bool // nil: always
	ids        idRange
	all        bool // deleted rows too
	order      []sortKey
	byID       int // the order is that of the index: 1, backwards: -1
}

// choice is a node of what is selected: a column, or a parent with its own.
type choice struct {
	name string
	col  *soqlColumn
	hop  hop
	kids []*choice
}

const maxHops = 5

// walk finds the column of a path such as Name or Account.Owner.Name; bad is the
// name that was not found, with the table in at.
func (c *catalogue) walk(t *table, path string) (col *soqlColumn, hops []hop, bad string) {
	names := strings.Split(path, ".")
	if len(names) > 1 && strings.EqualFold(names[0], t.name) {
		if _, ok := c.hop(t, names[0]); !ok {
			names = names[1:] // the object's own name may stand before a field
		}
	}
	for _, name := range names[:len(names)-1] {
		h, ok := c.hop(t, name)
		if !ok || len(hops) == maxHops {
			return nil, nil, name
		}
		hops = append(hops, h)
		t = h.to
	}
	name := names[len(names)-1]
	col = t.byName[strings.ToLower(name)]
	if col == nil {
		return nil, hops, name
	}
	return col, hops, ""
}

// through reads a value at the end of some hops; null where one leads nowhere.
func through(hops []hop, get func(r *record) any) func(r *record) any {
	if len(hops) == 0 {
		return get
	}
	return func(r *record) any {
		for _, h := range hops {
			if r = h.follow(r); r == nil {
				return nil
			}
		}
		return get(r)
	}
}

const (
	moreAboutNames  = " Please reference your WSDL or the describe call for the appropriate names."
	moreAboutFields = " If you are attempting to use a custom field, be sure to append the '__c' after the custom field name." + moreAboutNames
)

// bind resolves the names of a query.
func (c *catalogue) bind(s *soql, all bool) (*query, error) {
	t := c.table(s.object.text)
	if t == nil {
		return nil, soqlError(s.text, s.object.at, "INVALID_TYPE", "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name.%s", s.object.text, moreAboutNames)
	}
	q := &query{soql: s, cat: c, table: t, all: all, now: c.o.now().In(c.user.zone), choice: &choice{}}
	if err := q.choose(); err != nil {
		return nil, err
	}
	var err error
	if s.where != nil {
		if q.holds, err = q.predicate(s.where); err != nil {
			return nil, err
		}
		q.ids = q.bounds(s.where)
	}
	return q, q.orderings()
}

// column resolves a path of the query.
func (q *query) column(path soqlToken) (*soqlColumn, []hop, error) {
	col, hops, bad := q.cat.walk(q.table, path.text)
	if bad == "" {
		return col, hops, nil
	}
	names := strings.Split(path.text, ".")
	if bad != names[len(names)-1] {
		return nil, nil, soqlError(q.soql.text, path.at, "INVALID_FIELD", "Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name.%s", bad, moreAboutNames)
	}
	t := q.table
	if len(hops) > 0 {
		t = hops[len(hops)-1].to
	}
	return nil, nil, soqlError(q.soql.text, path.at, "INVALID_FIELD", "No such column '%s' on entity '%s'.%s", bad, t.name, moreAboutFields)
}

// choose resolves the SELECT list.
func (q *query) choose() error {
	for _, s := range q.soql.fields {
		switch s.function {
		case "":
			if err := q.chooseField(s.path); err != nil {
				return err
			}
		case "FIELDS":
			if err := q.chooseFields(s.path); err != nil {
				return err
			}
		default:
			if err := q.aggregate(s); err != nil {
				return err
			}
		}
	}
	if len(q.aggregates) > 0 && len(q.choice.kids) > 0 {
		return malformed("Field must be grouped or aggregated: %s", q.choice.kids[0].name)
	}
	return nil
}

func (q *query) chooseField(path soqlToken) error {
	col, hops, err := q.column(path)
	if err != nil {
		return err
	}
	at := q.choice
	for _, h := range hops {
		at = at.into(h)
	}
	if !at.add(col) {
		return malformed("duplicate field selected: %s", path.text)
	}
	return nil
}

func (c *choice) add(col *soqlColumn) bool {
	for _, kid := range c.kids {
		if kid.col == col {
			return false
		}
	}
	c.kids = append(c.kids, &choice{name: col.name, col: col})
	return true
}

func (c *choice) into(h hop) *choice {
	for _, kid := range c.kids {
		if kid.col == nil && kid.name == h.name {
			return kid
		}
	}
	kid := &choice{name: h.name, hop: h}
	c.kids = append(c.kids, kid)
	return kid
}

// chooseFields is FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM).
func (q *query) chooseFields(which soqlToken) error {
	kind := strings.ToUpper(which.text)
	switch {
	case kind != "ALL" && kind != "STANDARD" && kind != "CUSTOM":
		return soqlError(q.soql.text, which.at, "MALFORMED_QUERY", "unexpected token: '%s'", which.text)
	case kind != "STANDARD" && (q.soql.limit < 0 || q.soql.limit > 200):
		return malformed("The SOQL FIELDS function must have a LIMIT of at most 200")
	}
	for _, col := range q.table.columns {
		custom := col.field != nil && col.field.custom()
		if kind != "ALL" && custom != (kind == "CUSTOM") {
			continue
		}
		if !q.choice.add(col) {
			return malformed("duplicate field selected: %s", col.name)
		}
	}
	return nil
}

// orderings resolves ORDER BY.
func (q *query) orderings() error {
	q.byID = 1
	for i, o := range q.soql.order {
		col, hops, err := q.column(o.path)
		if err != nil {
			return err
		}
		if !col.sortable() {
			return soqlError(q.soql.text, o.path.at, "MALFORMED_QUERY", "field '%s' can not be sorted in a query call", o.path.text)
		}
		if i == 0 && col.kind == idKind && len(hops) == 0 {
			if o.desc {
				q.byID = -1
			}
			return nil // an id decides alone
		}
		q.byID = 0
		q.order = append(q.order, sortKey{o, through(hops, col.get), col.kind == idKind || col.kind == Lookup})
		if col.kind == idKind && len(hops) == 0 {
			return nil
		}
	}
	return nil
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
