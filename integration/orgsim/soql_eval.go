package orgsim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// predicate compiles a condition. SOQL has two truth values: a comparison with a
// field that is null is false, but != and NOT IN are true then.
func (q *query) predicate(c condition) (func(r *record) bool, error) {
	switch c := c.(type) {
	case *negation:
		inner, err := q.predicate(c.term)
		if err != nil {
			return nil, err
		}
		return func(r *record) bool { return !inner(r) }, nil
	case *junction:
		return q.junction(c)
	case *comparison:
		return q.compare(c)
	}
	panic("orgsim: a condition of another kind")
}

func (q *query) junction(j *junction) (func(r *record) bool, error) {
	terms := make([]func(r *record) bool, len(j.terms))
	for i, t := range j.terms {
		var err error
		if terms[i], err = q.predicate(t); err != nil {
			return nil, err
		}
	}
	return func(r *record) bool {
		for _, t := range terms {
			if t(r) == j.or {
				return j.or
			}
		}
		return !j.or
	}, nil
}

// compare compiles one comparison.
func (q *query) compare(c *comparison) (func(r *record) bool, error) {
	col, hops, err := q.column(c.path)
	if err != nil {
		return nil, err
	}
	if !col.filterable() {
		return nil, q.refuse(c, "INVALID_FIELD", "field '%s' can not be filtered in a query call", c.path.text)
	}
	get := through(hops, col.get)
	tests := make([]func(v any) bool, len(c.values))
	for i, v := range c.values {
		if tests[i], err = q.test(col, c, v); err != nil {
			return nil, err
		}
	}
	switch c.op {
	case "IN", "INCLUDES":
		if set := textSet(col, c.values); set != nil && c.op == "IN" {
			return func(r *record) bool { s, ok := get(r).(string); return ok && set[s] }, nil
		}
		return func(r *record) bool { return anyHolds(tests, get(r)) }, nil
	case "NOT IN", "EXCLUDES":
		return func(r *record) bool { return !anyHolds(tests, get(r)) }, nil
	}
	test := tests[0]
	return func(r *record) bool { return test(get(r)) }, nil
}

// textSet makes a long list of ids a set; nil for anything else.
func textSet(col *soqlColumn, values []soqlToken) map[string]bool {
	if col.kind != idKind && col.kind != Lookup || len(values) < 8 {
		return nil
	}
	set := map[string]bool{}
	for _, v := range values {
		if v.kind != tokenText {
			return nil
		}
		set[ID18(v.text)] = true
	}
	return set
}

func anyHolds(tests []func(v any) bool, v any) bool {
	return slices.ContainsFunc(tests, func(t func(v any) bool) bool { return t(v) })
}

func (q *query) refuse(c *comparison, code, format string, args ...any) error {
	return soqlError(q.soql.text, c.path.at, code, format, args...)
}

// test compiles the comparison of a column's values with one literal.
func (q *query) test(col *soqlColumn, c *comparison, v soqlToken) (func(v any) bool, error) {
	op := c.op
	switch op {
	case "IN", "NOT IN":
		op = "="
	case "INCLUDES", "EXCLUDES":
		if col.kind != MultiPicklist || v.kind != tokenText {
			return nil, q.refuse(c, "INVALID_FIELD", "invalid operator on field '%s': %s is for multi-select picklists and texts", c.path.text, strings.ToLower(op))
		}
		return includes(v.text), nil
	}
	if v.is("null") || v.kind == tokenText && v.text == "" && col.kind != Checkbox {
		return testNull(op), nil
	}
	switch col.kind {
	case idKind, Lookup:
		return q.testID(c, op, v)
	case Checkbox:
		return q.testFlag(c, op, v)
	case Integer, Number, Currency, Percent:
		return q.testNumber(col, c, op, v)
	case Date, DateTime, Time:
		return q.testTime(col, c, op, v)
	default:
		if v.kind != tokenText {
			return nil, q.wrongType(c, "string", true)
		}
		if op == "LIKE" {
			return like(v.text), nil
		}
		return func(have any) bool {
			s, ok := have.(string)
			return holdsOp(op, ok, func() int { return compareText(s, v.text) })
		}, nil
	}
}

func (q *query) wrongType(c *comparison, kind string, quoted bool) error {
	not := " and should not be enclosed in quotes"
	if quoted {
		not = " and should be enclosed in quotes"
	}
	return q.refuse(c, "INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s%s", c.path.text, kind, not)
}

// holdsOp decides by the order of a value that is there; null is only unequal.
func holdsOp(op string, there bool, order func() int) bool {
	if !there {
		return op == "!="
	}
	switch n := order(); op {
	case "=":
		return n == 0
	case "!=":
		return n != 0
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	default:
		return n >= 0
	}
}

func testNull(op string) func(v any) bool {
	return func(v any) bool {
		switch op {
		case "=":
			return v == nil
		case "!=":
			return v != nil
		}
		return false // nothing lies before or behind null
	}
}

func (q *query) testID(c *comparison, op string, v soqlToken) (func(v any) bool, error) {
	switch {
	case op == "LIKE":
		return nil, q.refuse(c, "INVALID_QUERY_FILTER_OPERATOR", "invalid operator on id field")
	case v.kind != tokenText:
		return nil, q.wrongType(c, "ID", true)
	case len(v.text) != 15 && len(v.text) != 18:
		return nil, q.refuse(c, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", v.text)
	}
	want := ID18(v.text)
	return func(have any) bool {
		s, ok := have.(string)
		return holdsOp(op, ok, func() int { return cmp.Compare(s, want) })
	}, nil
}

func (q *query) testFlag(c *comparison, op string, v soqlToken) (func(v any) bool, error) {
	if !v.is("true") && !v.is("false") {
		return nil, q.wrongType(c, "boolean", false)
	}
	if op != "=" && op != "!=" {
		return nil, q.refuse(c, "INVALID_FIELD", "invalid operator on boolean field '%s'", c.path.text)
	}
	want := v.is("true") == (op == "=")
	return func(have any) bool { b, _ := have.(bool); return b == want }, nil
}

func (q *query) testNumber(col *soqlColumn, c *comparison, op string, v soqlToken) (func(v any) bool, error) {
	n, err := strconv.ParseFloat(v.text, 64)
	if v.kind != tokenNumber || err != nil || op == "LIKE" {
		return nil, q.wrongType(c, string(col.kind), false)
	}
	return func(have any) bool {
		switch x := have.(type) {
		case float64:
			return holdsOp(op, true, func() int { return cmp.Compare(x, n) })
		case int64:
			return holdsOp(op, true, func() int { return cmp.Compare(float64(x), n) })
		}
		return holdsOp(op, false, nil)
	}, nil
}

// testTime compares dates, date-times and times of day, with literals and with the
// periods that date literals are.
func (q *query) testTime(col *soqlColumn, c *comparison, op string, v soqlToken) (func(v any) bool, error) {
	kind := map[Kind]string{Date: "date", DateTime: "dateTime", Time: "time"}[col.kind]
	if op == "LIKE" {
		return nil, q.wrongType(c, kind, false)
	}
	if p, ok := periodNamed(v.text); ok && v.kind == tokenName && col.kind != Time {
		from, to, _ := p.span(q.now)
		if col.kind == Date {
			return within(op, from.Format(dateLayout), to.Format(dateLayout)), nil
		}
		return within(op, from.UnixMilli(), to.UnixMilli()), nil
	}
	if v.kind != tokenTime {
		return nil, q.wrongType(c, kind, false)
	}
	switch col.kind {
	case Date:
		if day, ok := soqlDay(v.text); ok {
			return ordered(op, day), nil
		}
	case DateTime:
		if ms, ok := soqlMoment(v.text); ok {
			return ordered(op, ms), nil
		}
	default:
		if ms, ok := asTimeOfDay(v.text); ok {
			return ordered(op, ms), nil
		}
	}
	return nil, q.wrongType(c, kind, false)
}

func ordered[T cmp.Ordered](op string, want T) func(v any) bool {
	return func(have any) bool {
		v, ok := have.(T)
		return holdsOp(op, ok, func() int { return cmp.Compare(v, want) })
	}
}

// within compares with a period: what lies in it is equal to it.
func within[T cmp.Ordered](op string, from, to T) func(v any) bool {
	return func(have any) bool {
		v, ok := have.(T)
		return holdsOp(op, ok, func() int {
			switch {
			case v < from:
				return -1
			case v >= to:
				return 1
			}
			return 0
		})
	}
}

// includes holds when all of the values, joined by ;, are selected.
func includes(values string) func(v any) bool {
	want := strings.Split(values, ";")
	return func(have any) bool {
		s, ok := have.(string)
		if !ok {
			return false
		}
		got := strings.Split(s, ";")
		return !slices.ContainsFunc(want, func(w string) bool {
			return !slices.ContainsFunc(got, func(g string) bool { return strings.EqualFold(g, w) })
		})
	}
}

// like matches % and _, whatever the case.
func like(pattern string) func(v any) bool {
	var want []rune // -1: any text, -2: any character
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped, r != '%' && r != '_' && r != '\\':
			want, escaped = append(want, fold(r)), false
		case r == '%':
			want = append(want, -1)
		case r == '_':
			want = append(want, -2)
		default:
			escaped = true
		}
	}
	return func(have any) bool {
		s, ok := have.(string)
		return ok && likeRunes([]rune(s), want)
	}
}

func likeRunes(s, want []rune) bool {
	at, w, star, mark := 0, 0, -1, 0
	for at < len(s) {
		switch {
		case w < len(want) && want[w] == -1:
			star, mark = w, at
			w++
		case w < len(want) && (want[w] == -2 || want[w] == fold(s[at])):
			at, w = at+1, w+1
		case star >= 0:
			mark++
			at, w = mark, star+1
		default:
			return false
		}
	}
	for w < len(want) && want[w] == -1 {
		w++
	}
	return w == len(want)
}

func fold(r rune) rune { return unicode.ToLower(r) }

// compareText orders texts as SOQL does, whatever their case.
func compareText(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" && b != "" {
		if a[0] == b[0] && a[0] < utf8.RuneSelf {
			a, b = a[1:], b[1:]
			continue
		}
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			if c := cmp.Compare(fold(x), fold(y)); c != 0 {
				return c
			}
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b))
}

// compareStored orders two values of one column.
func compareStored(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return compareText(x, y)
		}
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return cmp.Compare(asInt(x), asInt(y))
		}
	}
	x, _ := asFloat(a)
	y, _ := asFloat(b)
	return cmp.Compare(x, y)
}

// location is a user's time zone.
func location(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(name)
}
