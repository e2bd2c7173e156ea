package orgsim

import (
	"cmp"
	"slices"
	"strings"
)

// sortKey is one column of ORDER BY.
type sortKey struct {
	ordering
	get func(r *record) any
	ids bool // ids are in the order in which > compares them
}

// compare orders two values; nulls come first, whatever the direction, unless the
// query says otherwise.
func (k sortKey) compare(x, y any) int {
	if x == nil || y == nil {
		n := cmp.Compare(asInt(x != nil), asInt(y != nil))
		if k.nullsLast {
			n = -n
		}
		return n
	}
	var n int
	if k.ids {
		a, _ := x.(string)
		b, _ := y.(string)
		n = strings.Compare(a, b)
	} else {
		n = compareStored(x, y)
	}
	if k.desc {
		n = -n
	}
	return n
}

// sort puts rows into the query's order; equals stay in order of id. Each value is
// read once, since a name may have to be put together.
func (q *query) sort(rows []*record) {
	type keyed struct {
		r    *record
		keys []any
	}
	width := len(q.order)
	keys := make([]any, width*len(rows))
	all := make([]keyed, len(rows))
	for i, r := range rows {
		all[i] = keyed{r, keys[i*width : (i+1)*width]}
		for j, k := range q.order {
			all[i].keys[j] = k.get(r)
		}
	}
	slices.SortFunc(all, func(a, b keyed) int {
		for j, k := range q.order {
			if n := k.compare(a.keys[j], b.keys[j]); n != 0 {
				return n
			}
		}
		return strings.Compare(a.r.id, b.r.id)
	})
	for i := range all {
		rows[i] = all[i].r
	}
}
