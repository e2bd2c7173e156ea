package orgsim

import (
	"slices"
	"strconv"
	"strings"
)

// row appends a record as REST shows it, with what is chosen of it.
func (c *choice) row(dst []byte, t *table, r *record, base string) []byte {
	dst = append(dst, `{"attributes":{"type":"`...)
	dst = append(dst, t.name...)
	dst = append(dst, `","url":"`...)
	dst = append(dst, base...)
	dst = append(dst, "/sobjects/"...)
	dst = append(dst, t.name...)
	dst = append(dst, '/')
	dst = append(dst, r.id...)
	dst = append(dst, `"}`...)
	for _, kid := range c.kids {
		dst = append(dst, ',', '"')
		dst = append(dst, kid.name...)
		dst = append(dst, '"', ':')
		if kid.col != nil {
			dst = kid.col.appendREST(dst, kid.col.get(r), base)
			continue
		}
		if to := kid.hop.follow(r); to != nil {
			dst = kid.row(dst, kid.hop.to, to, base)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// appendREST renders a value as REST shows it: date-times end in +0000, compound
// fields are objects with components in order of their names.
func (c *soqlColumn) appendREST(dst []byte, v any, base string) []byte {
	switch t := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		if c.kind == Base64 {
			t = base + t
		}
		return appendString(dst, t)
	case bool:
		return strconv.AppendBool(dst, t)
	case float64:
		return appendDouble(dst, t)
	case int64:
		switch c.kind {
		case DateTime:
			dst = appendMillis(dst, t)
			return append(dst[:len(dst)-2], `+0000"`...)
		case Time:
			return appendTimeOfDay(dst, t)
		}
		return strconv.AppendInt(dst, t, 10)
	case []any:
		return c.appendParts(dst, t)
	}
	panic("orgsim: a value that no column has")
}

func (c *soqlColumn) appendParts(dst []byte, vals []any) []byte {
	order := make([]int, len(c.field.parts))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(c.field.parts[a].name, c.field.parts[b].name) })
	dst = append(dst, '{')
	for n, i := range order {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, lowerFirst(c.field.parts[i].name)...)
		dst = append(dst, '"', ':')
		switch v := vals[i].(type) {
		case string:
			dst = appendString(dst, v)
		case float64:
			dst = appendDouble(dst, v)
		default:
			dst = append(dst, "null"...)
		}
	}
	return append(dst, '}')
}

// appendCSV renders a value as a cell of Bulk API: quoted, null as nothing,
// date-times end in Z (Bulk API 2.0 guide, valid CSV).
func (c *soqlColumn) appendCSV(dst []byte, v any) []byte {
	dst = append(dst, '"')
	switch t := v.(type) {
	case string:
		for {
			i := strings.IndexByte(t, '"')
			if i < 0 {
				dst = append(dst, t...)
				break
			}
			dst = append(append(dst, t[:i]...), `""`...)
			t = t[i+1:]
		}
	case bool:
		dst = strconv.AppendBool(dst, t)
	case float64:
		dst = appendDouble(dst, t)
	case int64:
		at := len(dst) - 1
		switch c.kind {
		case DateTime:
			return appendMillis(dst[:at], t)
		case Time:
			return appendTimeOfDay(dst[:at], t)
		}
		dst = strconv.AppendInt(dst, t, 10)
	}
	return append(dst, '"')
}

// aggregateRow appends the one row of a query with aggregate functions.
func (q *query) aggregateRow(dst []byte) []byte {
	dst = append(dst, `{"attributes":{"type":"AggregateResult"}`...)
	for i := range q.aggregates {
		a := &q.aggregates[i]
		dst = append(dst, ',')
		dst = appendString(dst, a.alias)
		dst = append(dst, ':')
		v, col := a.result()
		if col == nil {
			col = &soqlColumn{kind: Integer}
		}
		dst = col.appendREST(dst, v, "")
	}
	return append(dst, '}')
}
