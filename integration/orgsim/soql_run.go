package orgsim

import (
	"math"
	"slices"
	"strings"
)

// idRange is what a condition says of the ids that can fulfil it.
type idRange struct {
	from, to string // inclusive; "": open
}

// bounds finds the ids that a condition admits, by the comparisons of the id that
// must all hold. What it leaves in is still tested.
func (q *query) bounds(c condition) idRange {
	var out idRange
	switch c := c.(type) {
	case *junction:
		if c.or {
			return out
		}
		for _, t := range c.terms {
			b := q.bounds(t)
			out.from = max(out.from, b.from)
			if out.to == "" || b.to != "" && b.to < out.to {
				out.to = b.to
			}
		}
	case *comparison:
		col, hops, err := q.column(c.path)
		if err != nil || col.kind != idKind || len(hops) > 0 || c.values[0].kind != tokenText || c.values[0].text == "" {
			return out
		}
		switch c.op {
		case ">", ">=":
			out.from = ID18(c.values[0].text)
		case "<", "<=":
			out.to = ID18(c.values[0].text)
		case "=":
			out.from = ID18(c.values[0].text)
			out.to = out.from
		case "IN":
			out = listed(c.values)
		}
	}
	return out
}

func listed(values []soqlToken) idRange {
	var out idRange
	for _, v := range values {
		id := ID18(v.text)
		if v.kind != tokenText {
			return idRange{}
		}
		if out.from == "" || id < out.from {
			out.from = id
		}
		out.to = max(out.to, id)
	}
	return out
}

// candidates are the rows that the index leaves.
func (q *query) candidates() []*record {
	rows := q.table.rows
	from, to := 0, len(rows)
	if q.ids.from != "" {
		from = placeOf(rows, q.ids.from)
	}
	if q.ids.to != "" {
		to = placeOf(rows, q.ids.to)
		for to < len(rows) && rows[to].id == q.ids.to {
			to++
		}
	}
	return rows[min(from, to):to]
}

// each calls f with the rows that fulfil the query's condition, in order of id or
// backwards, until it says no.
func (q *query) each(rows []*record, f func(r *record) bool) {
	for i := range rows {
		r := rows[i]
		if q.byID < 0 {
			r = rows[len(rows)-1-i]
		}
		if (q.all || !r.deleted) && (q.holds == nil || q.holds(r)) && !f(r) {
			return
		}
	}
}

// run finds the rows that the query gives, in its order.
func (q *query) run() []*record { return q.runOn(q.candidates()) }

func (q *query) runOn(rows []*record) []*record {
	most := math.MaxInt
	if q.soql.limit >= 0 {
		most = q.soql.offset + q.soql.limit
	}
	var out []*record
	if q.byID != 0 {
		if most > 0 {
			q.each(rows, func(r *record) bool { out = append(out, r); return len(out) < most })
		}
	} else {
		q.each(rows, func(r *record) bool { out = append(out, r); return true })
		q.sort(out)
	}
	out = out[:min(len(out), most)]
	return out[min(q.soql.offset, len(out)):]
}

// count is how many rows the query gives.
func (q *query) count() int {
	n := 0
	q.each(q.candidates(), func(*record) bool { n++; return q.soql.limit < 0 || n < q.soql.limit+q.soql.offset })
	if q.soql.limit == 0 {
		return 0
	}
	return max(0, n-q.soql.offset)
}

// aggregate is a function over all rows of the query.
type aggregate struct {
	name     string // COUNT, MIN ...
	alias    string
	col      *soqlColumn
	get      func(r *record) any
	seen     map[any]bool
	rows     int
	sum      float64
	best     any
	distinct bool
}

// aggregate compiles a function of the SELECT list; without GROUP BY there is one
// row of results.
func (q *query) aggregate(s selected) error {
	if !slices.Contains([]string{"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"}, s.function) {
		return soqlError(q.soql.text, s.path.at, "MALFORMED_QUERY", "unexpected token: '%s'", s.function)
	}
	col, hops, err := q.column(s.path)
	if err != nil {
		return err
	}
	number := col.kind == Integer || col.kind == Number || col.kind == Currency || col.kind == Percent
	counts := strings.HasPrefix(s.function, "COUNT")
	adds := s.function == "SUM" || s.function == "AVG"
	if !col.filterable() || adds && !number || !counts && (col.kind == idKind || col.kind == Lookup || col.kind == Checkbox) {
		return soqlError(q.soql.text, s.path.at, "MALFORMED_QUERY", "field %s does not support aggregate operator %s", s.path.text, s.function)
	}
	a := aggregate{name: s.function, alias: s.alias, col: col, get: through(hops, col.get), distinct: s.function == "COUNT_DISTINCT", seen: map[any]bool{}}
	if a.alias == "" {
		a.alias = "expr" + string(rune('0'+len(q.aggregates)%10))
	}
	q.aggregates = append(q.aggregates, a)
	return nil
}

// total computes the aggregates.
func (q *query) total() {
	q.each(q.candidates(), func(r *record) bool {
		for i := range q.aggregates {
			q.aggregates[i].add(r)
		}
		return true
	})
}

func (a *aggregate) add(r *record) {
	v := a.get(r)
	if v == nil {
		return
	}
	if a.distinct && a.seen[v] {
		return
	}
	if a.distinct {
		a.seen[v] = true
	}
	a.rows++
	if n, ok := asFloat(v); ok {
		a.sum += n
	}
	if a.best == nil || a.name == "MIN" && compareStored(v, a.best) < 0 || a.name == "MAX" && compareStored(v, a.best) > 0 {
		a.best = v
	}
}

// result is the value, and the column whose form it has; a count has none.
func (a *aggregate) result() (v any, col *soqlColumn) {
	switch a.name {
	case "COUNT", "COUNT_DISTINCT":
		return int64(a.rows), nil
	case "MIN", "MAX":
		return a.best, a.col
	}
	if a.rows == 0 {
		return nil, a.col
	}
	if a.name == "AVG" {
		return a.sum / float64(a.rows), a.col
	}
	return a.sum, a.col
}
