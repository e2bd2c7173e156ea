package salesforce

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxSOQLText is how many characters a text may have in a condition.
	maxSOQLText = 4000
	soqlDate    = "2006-01-02"
)

// Condition is what rows must fulfil. The zero value is fulfilled by all. One that
// cannot be written carries its error to Query.SOQL.
type Condition struct {
	text string
	err  error
}

// Where compares a field by one of = != < <= > >=.
func Where(field, operator string, value Literal) Condition {
	if err := checkFieldPath(field); err != nil {
		return Condition{err: err}
	}
	if !slices.Contains([]string{"=", "!=", "<", "<=", ">", ">="}, operator) {
		return Condition{err: &ConfigError{Field: "operator", Problem: "is " + quote(operator), Try: "one of = != < <= > >="}}
	}
	return Condition{text: field + " " + operator + " " + value.text, err: value.failure()}
}

// WhereIn demands that a field has one of the values.
func WhereIn(field string, values ...Literal) Condition {
	if err := checkFieldPath(field); err != nil {
		return Condition{err: err}
	}
	if len(values) == 0 {
		return Condition{err: &ConfigError{Field: "values of " + field, Problem: "are none", Try: "ask nothing: no row can have one of no values"}}
	}
	texts := make([]string, len(values))
	for i, value := range values {
		if err := value.failure(); err != nil {
			return Condition{err: err}
		}
		texts[i] = value.text
	}
	return Condition{text: field + " IN (" + strings.Join(texts, ",") + ")"}
}

// AllOf demands all of the conditions. Zero ones are left out.
func AllOf(conditions ...Condition) Condition { return join(" AND ", conditions) }

// AnyOf demands at least one of the conditions. A zero one is fulfilled by all.
func AnyOf(conditions ...Condition) Condition {
	for _, c := range conditions {
		if c.text == "" && c.err == nil {
			return Condition{}
		}
	}
	return join(" OR ", conditions)
}

func join(word string, conditions []Condition) Condition {
	var texts []string
	for _, c := range conditions {
		if c.err != nil {
			return c
		}
		if c.text != "" {
			texts = append(texts, c.text)
		}
	}
	if len(texts) < 2 {
		return Condition{text: strings.Join(texts, "")}
	}
	return Condition{text: "(" + strings.Join(texts, word) + ")"}
}

// Not demands the opposite of a condition.
func Not(c Condition) Condition {
	if c.err != nil {
		return c
	}
	if c.text == "" {
		return Condition{err: &ConfigError{Field: "Not", Problem: "is given the condition that all rows fulfil", Try: "ask nothing"}}
	}
	return Condition{text: "(NOT " + c.text + ")"}
}

// Literal is a value in a condition, written as SOQL wants it.
type Literal struct {
	text string
	err  error
}

// failure is the literal's error; the zero literal is none that can be written.
func (l Literal) failure() error {
	if l.err == nil && l.text == "" {
		return &ConfigError{Field: "literal", Problem: "is empty", Try: "make it by TextLiteral, IDLiteral or one of the others"}
	}
	return l.err
}

// TextLiteral is a text (SOQL and SOSL Reference, "Quoted String Escape
// Sequences").
func TextLiteral(text string) Literal {
	if !utf8.ValidString(text) {
		return Literal{err: &ConfigError{Field: "text literal", Problem: "is " + quote(text) + ", which is not UTF-8", Try: "decode it first"}}
	}
	if n := utf8.RuneCountInString(text); n > maxSOQLText {
		return Literal{err: &ConfigError{Field: "text literal", Problem: fmt.Sprintf("has %d characters", n), Try: fmt.Sprintf("at most %d", maxSOQLText)}}
	}
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range text {
		switch {
		case r == '\'', r == '\\', r == '"':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return Literal{text: b.String()}
}

// IDLiteral is a record's id of 15 or 18 characters, in its 18-character form.
func IDLiteral(id string) Literal {
	full, err := ID18(id)
	if err != nil {
		return Literal{err: &ConfigError{Field: "id literal", Problem: "is wrong: " + err.Error(), Try: "an id as Salesforce gave it"}}
	}
	return Literal{text: "'" + full + "'"}
}

// TimeLiteral is a point of time. SOQL's have whole seconds: a fraction is cut off.
func TimeLiteral(t time.Time) Literal { return timeLiteral(t.UTC(), soqlTime) }

// DateLiteral is the day that a time has in its own zone.
func DateLiteral(t time.Time) Literal { return timeLiteral(t, soqlDate) }

func timeLiteral(t time.Time, layout string) Literal {
	if year := t.Year(); year < 1700 || year > 4000 {
		return Literal{err: &ConfigError{Field: "time literal", Problem: fmt.Sprintf("is in the year %d", year), Try: "a year from 1700 to 4000, which SOQL knows"}}
	}
	return Literal{text: t.Format(layout)}
}

// NumberLiteral is a whole number.
func NumberLiteral(n int64) Literal { return Literal{text: strconv.FormatInt(n, 10)} }

// BoolLiteral is true or false.
func BoolLiteral(b bool) Literal { return Literal{text: strconv.FormatBool(b)} }

// NullLiteral is no value.
func NullLiteral() Literal { return Literal{text: "null"} }

// SOQLCondition is a condition that somebody has written, such as "Region__c = 'EMEA'".
// It is checked to stay one, whatever it is joined with; Salesforce judges the rest.
func SOQLCondition(text string) Condition {
	wrong := func(problem string) Condition {
		return Condition{err: &ConfigError{Field: "condition", Problem: "is " + quote(text) + ": " + problem, Try: "what stands behind WHERE in a query, without ORDER BY and LIMIT"}}
	}
	depth, within := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case within && c == '\\':
			i++
		case c == '\'':
			within = !within
		case within:
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return wrong("a parenthesis is closed that was not opened")
			}
		}
	}
	switch {
	case strings.TrimSpace(text) == "":
		return wrong("it is empty")
	case within:
		return wrong("a text has no end")
	case depth > 0:
		return wrong("a parenthesis is not closed")
	}
	return Condition{text: "(" + text + ")"}
}
