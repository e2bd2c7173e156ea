package orgsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What PushTopics know of SOQL, and what their subscriptions' filters know: rows of
// REST's values, compared as they are rendered.

var (
	soqlShape = regexp.MustCompile(`(?is)^\s*SELECT\s+(.+?)\s+FROM\s+(\w+)(?:\s+WHERE\s+(.+?))?(?:\s+ORDER\s+BY\s+(\w+)(?:\s+(ASC|DESC))?)?(?:\s+LIMIT\s+(\d+))?\s*$`)
	soqlTerm  = regexp.MustCompile(`(?is)^\s*(\w+)\s*(>=|<=|!=|=|<|>)\s*('(?:[^'\\]|\\.)*'|[^\s']+)\s*$`)
	soqlAnd   = regexp.MustCompile(`(?i)\s+AND\s+`)
)

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
