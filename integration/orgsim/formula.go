package orgsim

import (
	"fmt"
	"strconv"
	"strings"
)

// formula makes the function that computes a formula field. A formula reads stored
// fields of its record and of parents, no other formulas.
func (c *catalogue) formula(t *table, f *field) (func(r *record) any, error) {
	product := f.Type == Number || f.Type == Currency || f.Type == Percent || f.Type == Integer
	sign := "&"
	if product {
		sign = "*"
	}
	var terms []func(r *record) any
	for _, text := range strings.Split(f.Formula, sign) {
		term, err := c.formulaTerm(t, strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
	}
	switch {
	case len(terms) == 1:
		return terms[0], nil
	case product:
		return func(r *record) any { return multiply(terms, r) }, nil
	default:
		return func(r *record) any { return join(terms, r) }, nil
	}
}

func (c *catalogue) formulaTerm(t *table, text string) (func(r *record) any, error) {
	if len(text) > 1 && strings.HasPrefix(text, "'") && strings.HasSuffix(text, "'") {
		plain := text[1 : len(text)-1]
		return func(*record) any { return plain }, nil
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return func(*record) any { return n }, nil
	}
	col, hops, bad := c.walk(t, text)
	if bad != "" || col.field != nil && col.field.Formula != "" {
		return nil, fmt.Errorf("the formula has %q, which is neither a stored field of %s or of a parent, a 'text' nor a number", text, t.name)
	}
	return through(hops, col.get), nil
}

// multiply is null if a factor is.
func multiply(terms []func(r *record) any, r *record) any {
	product := 1.0
	for _, term := range terms {
		n, ok := asFloat(term(r))
		if !ok {
			return nil
		}
		product *= n
	}
	return product
}

// join takes nulls for empty; nothing at all is null.
func join(terms []func(r *record) any, r *record) any {
	var b strings.Builder
	for _, term := range terms {
		switch v := term(r).(type) {
		case nil:
		case string:
			b.WriteString(v)
		default:
			b.WriteString(fmt.Sprint(v))
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return b.String()
}

// checkFields finds formulas and denied fields that name what is not there.
func (o *Org) checkFields() error {
	c := o.catalogue(&user{})
	for _, ob := range o.order {
		for _, f := range ob.derived {
			if f.Formula == "" {
				continue
			}
			if _, err := c.formula(c.of(ob), f); err != nil {
				return &ConfigError{"objects." + ob.def.Name + "." + f.Name, err.Error()}
			}
		}
	}
	for _, u := range o.users {
		for _, denied := range u.DeniedFields {
			object, name, _ := strings.Cut(denied, ".")
			ob := o.objects[object]
			if ob == nil || ob.derivedNamed(name) == nil && !ob.wholeField(name) {
				return &ConfigError{"users." + u.Username, "there is no field " + quoted(denied) + ": want Object.Field, not a part of a compound field"}
			}
		}
	}
	return nil
}
