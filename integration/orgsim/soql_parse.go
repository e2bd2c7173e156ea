package orgsim

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// soql is a query as it was written.
type soql struct {
	text   string
	count  bool       // SELECT COUNT()
	fields []selected // else
	object soqlToken
	where  condition // nil: none
	order  []ordering
	limit  int // -1: none
	offset int
}

// selected is one thing of a SELECT list: a field, or a function of one.
type selected struct {
	path     soqlToken
	function string // FIELDS, or an aggregate in upper case; "": the field itself
	alias    string
}

type ordering struct {
	path      soqlToken
	desc      bool
	nullsLast bool
}

// condition is a node of a WHERE clause: *junction, *negation or *comparison.
type condition any

type junction struct {
	or    bool
	terms []condition
}

type negation struct{ term condition }

type comparison struct {
	path   soqlToken
	op     string // = != < <= > >= LIKE IN NOT IN INCLUDES EXCLUDES
	values []soqlToken
}

// parser reads a query by recursive descent.
type parser struct {
	text   string
	tokens []soqlToken
	at     int
}

// parseSOQL reads a statement of the subset that the org knows.
func parseSOQL(text string) (*soql, error) {
	if strings.TrimSpace(text) == "" {
		return nil, malformed("A query string has to be specified")
	}
	if utf8.RuneCountInString(text) > maxSOQL {
		return nil, malformed("SOQL statements cannot be longer than %d characters.", maxSOQL)
	}
	all, err := tokens(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: all}
	return p.statement()
}

func (p *parser) peek() soqlToken { return p.tokens[p.at] }

func (p *parser) next() soqlToken {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// take moves on if the next token is the word.
func (p *parser) take(word string) bool {
	if !p.peek().is(word) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(words ...string) error {
	for _, w := range words {
		if !p.take(w) {
			return p.unexpected(p.peek())
		}
	}
	return nil
}

func (p *parser) unexpected(t soqlToken) error {
	return soqlError(p.text, t.at, "MALFORMED_QUERY", "unexpected token: '%s'", t.text)
}

func (p *parser) name() (soqlToken, error) {
	t := p.next()
	if t.kind != tokenName {
		return t, p.unexpected(t)
	}
	return t, nil
}

func (p *parser) statement() (*soql, error) {
	q := &soql{text: p.text, limit: -1}
	if err := p.expect("SELECT"); err != nil {
		return nil, err
	}
	if err := p.list(q); err != nil {
		return nil, err
	}
	if err := p.expect("FROM"); err != nil {
		return nil, err
	}
	var err error
	if q.object, err = p.name(); err != nil {
		return nil, err
	}
	if p.take("WHERE") {
		if q.where, err = p.conditions(); err != nil {
			return nil, err
		}
	}
	if p.take("ORDER") {
		if err := p.orders(q); err != nil {
			return nil, err
		}
	}
	if p.take("LIMIT") {
		if q.limit, err = p.count(); err != nil {
			return nil, err
		}
	}
	if p.take("OFFSET") {
		if q.offset, err = p.count(); err != nil {
			return nil, err
		}
		if q.offset > maxOffset {
			return nil, &RequestError{Status: 400, Code: "NUMBER_OUTSIDE_VALID_RANGE", Message: "Maximum SOQL offset allowed is 2000"}
		}
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.unexpected(t)
	}
	return q, nil
}

const maxOffset = 2000

func (p *parser) count() (int, error) {
	t := p.next()
	n, err := strconv.Atoi(t.text)
	if t.kind != tokenNumber || err != nil || n < 0 {
		return 0, p.unexpected(t)
	}
	return n, nil
}

// list reads what is selected.
func (p *parser) list(q *soql) error {
	for {
		path, err := p.name()
		if err != nil {
			return err
		}
		s := selected{path: path}
		if p.take("(") {
			s.function = strings.ToUpper(path.text)
			if s.function == "COUNT" && p.take(")") {
				q.count = true
				return p.alone(q)
			}
			if s.path, err = p.name(); err != nil {
				return err
			}
			if err := p.expect(")"); err != nil {
				return err
			}
			if t := p.peek(); t.kind == tokenName && !t.is("FROM") {
				s.alias = p.next().text
			}
		}
		q.fields = append(q.fields, s)
		if !p.take(",") {
			return nil
		}
	}
}

// alone refuses COUNT() beside anything else.
func (p *parser) alone(q *soql) error {
	if len(q.fields) > 0 || p.peek().is(",") {
		return p.unexpected(p.peek())
	}
	return nil
}

func (p *parser) orders(q *soql) error {
	if err := p.expect("BY"); err != nil {
		return err
	}
	for {
		path, err := p.name()
		if err != nil {
			return err
		}
		o := ordering{path: path}
		if p.take("DESC") {
			o.desc = true
		} else {
			p.take("ASC")
		}
		if p.take("NULLS") {
			if o.nullsLast = p.take("LAST"); !o.nullsLast {
				if err := p.expect("FIRST"); err != nil {
					return err
				}
			}
		}
		q.order = append(q.order, o)
		if !p.take(",") {
			return nil
		}
	}
}

// conditions reads terms joined by AND or by OR: both at one level need
// parentheses.
func (p *parser) conditions() (condition, error) {
	first, err := p.term()
	if err != nil {
		return nil, err
	}
	join := &junction{terms: []condition{first}}
	join.or = p.peek().is("OR")
	word := "AND"
	if join.or {
		word = "OR"
	}
	for p.take(word) {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		join.terms = append(join.terms, t)
	}
	if t := p.peek(); t.is("OR") || t.is("AND") {
		return nil, p.unexpected(t)
	}
	if len(join.terms) == 1 {
		return first, nil
	}
	return join, nil
}

func (p *parser) term() (condition, error) {
	if p.take("NOT") {
		t, err := p.term()
		return &negation{t}, err
	}
	if p.take("(") {
		c, err := p.conditions()
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, error) {
	path, err := p.name()
	if err != nil {
		return nil, err
	}
	c := &comparison{path: path}
	op := p.next()
	switch {
	case op.is("NOT"):
		c.op = "NOT IN"
		if err := p.expect("IN"); err != nil {
			return nil, err
		}
	case op.is("IN"), op.is("INCLUDES"), op.is("EXCLUDES"), op.is("LIKE"):
		c.op = strings.ToUpper(op.text)
	case op.is("<>"):
		c.op = "!="
	case op.kind == tokenSign && strings.ContainsAny(op.text, "=<>"):
		c.op = op.text
	default:
		return nil, p.unexpected(op)
	}
	if c.op != "NOT IN" && c.op != "IN" && c.op != "INCLUDES" && c.op != "EXCLUDES" {
		v, err := p.value()
		c.values = []soqlToken{v}
		return c, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		c.values = append(c.values, v)
		if !p.take(",") {
			return c, p.expect(")")
		}
	}
}

func (p *parser) value() (soqlToken, error) {
	t := p.next()
	switch t.kind {
	case tokenEnd, tokenSign:
		return t, p.unexpected(t)
	case tokenName:
		_, isPeriod := periodNamed(t.text)
		if !isPeriod && !t.is("null") && !t.is("true") && !t.is("false") {
			return t, p.unexpected(t)
		}
	case tokenText:
		if utf8.RuneCountInString(t.text) > maxSOQLText {
			return t, soqlError(p.text, t.at, "MALFORMED_QUERY", "Filter value cannot be longer than %d characters", maxSOQLText)
		}
	case tokenNumber, tokenTime:
	}
	return t, nil
}
