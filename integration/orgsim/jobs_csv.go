package orgsim

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// bulkColumns are the columns of a query job in the order of the query.
func bulkColumns(q *query) ([]jobColumn, error) {
	apiError := func(format string, args ...any) error {
		return &RequestError{Status: 400, Code: "API_ERROR", Message: fmt.Sprintf(format, args...)}
	}
	s := q.soql
	if s.count || s.offset > 0 {
		return nil, apiError("COUNT() and OFFSET are not supported in Bulk Query")
	}
	var out []jobColumn
	more := 0
	for _, sel := range s.fields {
		if sel.function != "" {
			return nil, apiError("Aggregate functions and FIELDS() are not supported in Bulk Query")
		}
		col, hops, err := q.column(sel.path)
		switch {
		case err != nil:
			return nil, err
		case col.compound():
			return nil, apiError("Selecting compound data not supported in Bulk Query")
		case col.kind == Base64:
			return nil, &RequestError{Status: 400, Code: "INVALID_FIELD", Message: "Binary fields cannot be selected in bulk queries"}
		}
		c := jobColumn{col: col, get: through(hops, col.get), more: -1}
		if len(hops) > 0 || col.field != nil && col.field.Formula != "" {
			c.more = more
			more++
		}
		for _, h := range hops {
			c.name += h.name + "."
		}
		c.name += col.name
		out = append(out, c)
	}
	return out, nil
}

// head is the line of the columns' names, which begins every page.
func (j *job) head(dst []byte) []byte {
	for i := range j.columns {
		if i > 0 {
			dst = append(dst, j.delimiter)
		}
		dst = append(append(append(dst, '"'), j.columns[i].name...), '"')
	}
	return append(dst, j.lineEnd...)
}

func (j *job) line(dst []byte, m *image) []byte {
	for i := range j.columns {
		if i > 0 {
			dst = append(dst, j.delimiter)
		}
		c := &j.columns[i]
		dst = c.col.appendCSV(dst, c.value(m))
	}
	return append(dst, j.lineEnd...)
}

// bulkPageBytes ends a page of results, whatever number of rows was asked for.
const bulkPageBytes = 8 << 20

// csv renders the rows from one place to another, or as far as a page goes, and
// says where that is.
func (j *job) csv(from, to int, whole bool) (body []byte, end int) {
	body = j.head(nil)
	for end = from; end < to && (whole || end == from || len(body) < bulkPageBytes); end++ {
		body = j.line(body, &j.rows[end])
	}
	return body, end
}

// locator names a place in the results; to below 0: that of the next page.
func locator(from, to int) string {
	text := fmt.Sprint(from)
	if to >= 0 {
		text += fmt.Sprint("-", to)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func (j *job) place(text string) (from, to int, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, 0, false
	}
	first, last, ranged := strings.Cut(string(raw), "-")
	from, err = number(first, -1)
	to = -1
	if ranged && err == nil {
		to, err = number(last, -1)
	}
	if err != nil || from < 0 || from > len(j.rows) || to > len(j.rows) || ranged && to < from {
		return 0, 0, false
	}
	return from, to, true
}
