package orgsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	soqlShape = regexp.MustCompile(`(?is)^\s*SELECT\s+(.+?)\s+FROM\s+(\w+)(?:\s+WHERE\s+(.+?))?(?:\s+ORDER\s+BY\s+(\w+)(?:\s+(ASC|DESC))?)?(?:\s+LIMIT\s+(\d+))?\s*$`)
	soqlTerm  = regexp.MustCompile(`(?is)^\s*(\w+)\s*(>=|<=|!=|=|<|>)\s*('(?:[^'\\]|\\.)*'|[^\s']+)\s*$`)
	soqlAnd   = regexp.MustCompile(`(?i)\s+AND\s+`)
)

func malformed(what string) *RequestError {
	return &RequestError{Status: 400, Code: "MALFORMED_QUERY", Message: what}
}

// query understands SELECT COUNT() or a list of fields, FROM one object, WHERE
// comparisons joined by AND, ORDER BY one field, LIMIT. All rows come in one
// page.
func (c *restCall) query(all bool) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	m := soqlShape.FindStringSubmatch(c.r.URL.Query().Get("q"))
	if m == nil {
		return malformed("unexpected token: this org understands SELECT COUNT() or fields FROM object [WHERE a > b AND ...] [ORDER BY field] [LIMIT n]")
	}
	counts := strings.EqualFold(strings.ReplaceAll(m[1], " ", ""), "COUNT()")
	if n, ok := c.countSince(m[2], m[3], all); counts && ok && m[4]+m[6] == "" {
		c.ok(map[string]any{"totalSize": n, "done": true, "records": []any{}})
		return nil
	}
	rows, columns, err := c.from(m[2], all)
	if err != nil {
		return err
	}
	if rows, err = filterRows(rows, columns, m[2], m[3]); err != nil {
		return err
	}
	if m[4] != "" {
		if !columns[m[4]] {
			return noColumn(m[4], m[2])
		}
		slices.SortStableFunc(rows, func(a, b map[string]any) int { return compareValues(a[m[4]], b[m[4]]) })
		if strings.EqualFold(m[5], "DESC") {
			slices.Reverse(rows)
		}
	}
	if limit, err := strconv.Atoi(m[6]); err == nil && limit < len(rows) {
		rows = rows[:limit]
	}
	if counts {
		c.ok(map[string]any{"totalSize": len(rows), "done": true, "records": []any{}})
		return nil
	}
	return c.project(rows, columns, m[1], m[2])
}

// countSince counts rows by their times alone, without reading the rows: what
// a watch over large tables asks for. ok is false if the question is another one.
func (c *restCall) countSince(object, where string, all bool) (n int, ok bool) {
	type term struct {
		column, op string
		want       any
	}
	var terms []term
	for _, text := range soqlAnd.Split(where, -1) {
		t := soqlTerm.FindStringSubmatch(text)
		if t == nil || !slices.Contains([]string{"SystemModstamp", "LastModifiedDate", "CreatedDate"}, t[1]) {
			return 0, false
		}
		want, isTime := plainValue(literal(t[3])).(float64)
		if !isTime || len(t[3]) < 19 {
			return 0, false
		}
		terms = append(terms, term{t[1], t[2], want})
	}
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	ob := c.o.objects[object]
	if ob == nil || ob.def.IsEvent() || c.user.denied[object] {
		return 0, false
	}
	for _, r := range ob.records {
		counted := all || !r.deleted
		for _, t := range terms {
			if !counted {
				break
			}
			at := r.modstamp
			switch t.column {
			case "LastModifiedDate":
				at, _ = r.val(ob.sys.modified).(int64)
			case "CreatedDate":
				at, _ = r.val(ob.sys.created).(int64)
			}
			counted = holds(float64(at), t.op, t.want)
		}
		if counted {
			n++
		}
	}
	return n, true
}

func noColumn(name, object string) *RequestError {
	return &RequestError{Status: 400, Code: "INVALID_FIELD", Message: fmt.Sprintf("No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name.", name, object)}
}

// from reads the object's rows in order of id.
func (c *restCall) from(object string, all bool) (rows []map[string]any, columns map[string]bool, err error) {
	if strings.EqualFold(object, "Organization") {
		row := c.o.organizationRow()
		return []map[string]any{row}, keySet(row), nil
	}
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	if (object == "PushTopic" || object == "StreamingChannel") && !c.user.denied[object] {
		rows = c.streamingRows(object)
		return rows, keySet(map[string]any{"Id": 0, "Name": 0, "Query": 0, "ApiVersion": 0, "IsActive": 0, "Description": 0, "NotifyForFields": 0}), nil
	}
	ob := c.o.objects[object]
	if ob == nil || ob.def.IsEvent() || c.user.denied[object] {
		return nil, nil, &RequestError{Status: 400, Code: "INVALID_TYPE", Message: fmt.Sprintf("sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name.", object)}
	}
	for _, id := range sortedKeys(ob.records) {
		if r := ob.records[id]; all || !r.deleted {
			rows = append(rows, ob.restFields(r))
		}
	}
	return rows, keySet(ob.restFields(&record{})), nil
}

func keySet(m map[string]any) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

func filterRows(rows []map[string]any, columns map[string]bool, object, where string) ([]map[string]any, error) {
	if where == "" {
		return rows, nil
	}
	for _, text := range soqlAnd.Split(where, -1) {
		t := soqlTerm.FindStringSubmatch(text)
		if t == nil {
			return nil, malformed("unexpected token: " + text)
		}
		if !columns[t[1]] {
			return nil, noColumn(t[1], object)
		}
		want := literal(t[3])
		rows = slices.DeleteFunc(rows, func(row map[string]any) bool { return !holds(row[t[1]], t[2], want) })
	}
	return rows, nil
}

// literal is a SOQL value as restFields would hold it, as far as comparing goes.
func literal(s string) any {
	if strings.HasPrefix(s, "'") {
		return strings.NewReplacer(`\'`, `'`, `\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(s[1 : len(s)-1])
	}
	switch strings.ToLower(s) {
	case "null":
		return nil
	case "true", "false":
		return strings.EqualFold(s, "true")
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n
	}
	return s
}

func holds(v any, op string, want any) bool {
	n := compareValues(v, want)
	switch op {
	case "=":
		return n == 0
	case "!=":
		return n != 0
	case "<":
		return v != nil && n < 0
	case "<=":
		return v != nil && n <= 0
	case ">":
		return v != nil && n > 0
	default:
		return v != nil && n >= 0
	}
}

func compareValues(a, b any) int {
	a, b = plainValue(a), plainValue(b)
	if x, ok := a.(float64); ok {
		if y, ok := b.(float64); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// plainValue turns rendered values back: numbers and points of time to
// float64, texts to string.
func plainValue(v any) any {
	if raw, ok := v.(json.RawMessage); ok {
		var plain any
		if json.Unmarshal(raw, &plain) == nil {
			v = plain
		}
	}
	if s, ok := v.(string); ok && len(s) > 18 && s[4] == '-' {
		for _, layout := range []string{restTimeLayout, time.RFC3339Nano} {
			if t, err := time.Parse(layout, s); err == nil {
				return float64(t.UnixMilli())
			}
		}
	}
	return v
}

func (c *restCall) project(rows []map[string]any, columns map[string]bool, list, object string) error {
	names := strings.Split(list, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
		if !columns[names[i]] {
			return noColumn(names[i], object)
		}
	}
	records := make([]any, 0, len(rows))
	for _, row := range rows {
		id, _ := row["Id"].(string)
		out := map[string]any{"attributes": c.attributes(object, id)}
		for _, n := range names {
			out[n] = row[n]
		}
		records = append(records, out)
	}
	c.ok(map[string]any{"totalSize": len(records), "done": true, "records": records})
	return nil
}
