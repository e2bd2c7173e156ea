package config

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// checkTemplate wants topic-safe text around the known placeholders, written
// {{.Name}}, blanks allowed.
func checkTemplate(s string) *valueError {
	return checkTemplateWith(s, func(field string) bool { return isPlaceholder(field) }, placeholders())
}

// checkRouteTemplate also knows the groups of a route's expression. Whether there
// are as many is checked when the expression is known.
func checkRouteTemplate(s string) *valueError {
	return checkTemplateWith(s, func(field string) bool { return isPlaceholder(field) || isMatch(field) },
		append(placeholders(), "{{.Match1}}", "{{.Match.name}}"))
}

func checkTemplateWith(s string, known func(field string) bool, all []string) *valueError {
	if !strings.Contains(s, "{{") {
		return checkTopic(s)
	}
	rest := s
	for rest != "" {
		before, after, open := strings.Cut(rest, "{{")
		if wrong := checkTopic(before); wrong != nil && before != "." && before != ".." {
			return &valueError{message: quote(s) + " does not make topic names: letters, digits and . _ - only, around the placeholders"}
		}
		if !open {
			return nil
		}
		inside, tail, closed := strings.Cut(after, "}}")
		if !closed {
			return &valueError{message: quote(s) + ` has a "{{" without its "}}"`}
		}
		field := strings.TrimSpace(inside)
		if !known(field) {
			wrong := &valueError{message: fmt.Sprintf("there is no placeholder %s; the placeholders are %s", quote("{{"+inside+"}}"), strings.Join(all, ", "))}
			if near, ok := nearest("{{."+strings.TrimLeft(field, ".")+"}}", all); ok {
				wrong.hint = near
			}
			return wrong
		}
		rest = tail
	}
	return nil
}

func placeholders() []string {
	return []string{"{{.Prefix}}", "{{.Object}}", "{{.Channel}}", "{{.ChangeType}}"}
}

func isPlaceholder(field string) bool { return slices.Contains(placeholders(), "{{"+field+"}}") }

const matchField = ".Match"

// isMatch says whether a placeholder is one of a route's: .Match1 or .Match.name.
func isMatch(field string) bool {
	group, ok := strings.CutPrefix(field, matchField)
	if name, named := strings.CutPrefix(group, "."); ok && named {
		return isName(name)
	}
	n, err := strconv.Atoi(group)
	return ok && err == nil && n > 0 && strconv.Itoa(n) == group
}

// usesPlaceholder says whether a checked template has {{.<name>}}.
func usesPlaceholder(template, name string) bool {
	return strings.Contains(strings.Join(strings.Fields(template), ""), "{{."+name+"}}")
}

// usesMatch says whether a checked template has a group of a route's expression.
func usesMatch(template string) bool {
	return strings.Contains(strings.Join(strings.Fields(template), ""), "{{"+matchField)
}

// checkExpression wants a regular expression.
func checkExpression(s string) *valueError {
	_, err := regexp.Compile(s)
	if err == nil {
		return nil
	}
	why := "" // the parser's own message would repeat the text
	if wrong, ok := errors.AsType[*syntax.Error](err); ok {
		why = ": " + wrong.Code.String()
	}
	return &valueError{message: quote(s) + " is not a regular expression (RE2)" + why}
}

// wholeName compiles a checked expression that a name must match as a whole.
func wholeName(expr string) (*regexp.Regexp, error) { return regexp.Compile(`\A(?:` + expr + `)\z`) }

// fill replaces the placeholders of a checked template. groups is what a route's
// expression has matched, by number, and names are the names of the groups.
func fill(template string, fields map[string]string, groups, names []string) string {
	var b strings.Builder
	for {
		before, after, open := strings.Cut(template, "{{")
		b.WriteString(before)
		inside, tail, closed := strings.Cut(after, "}}")
		if !open || !closed {
			return b.String()
		}
		field := strings.TrimSpace(inside)
		value, plain := fields[field]
		if group := groupOf(field, names); !plain && group < len(groups) {
			value = groups[group]
		}
		b.WriteString(value)
		template = tail
	}
}

// groupOf is the number of the group that a placeholder of a route means; one
// beyond all groups if there is no such.
func groupOf(field string, names []string) int {
	group := strings.TrimPrefix(field, matchField)
	if name, named := strings.CutPrefix(group, "."); named {
		if at := slices.Index(names, name); at > 0 {
			return at
		}
		return len(names)
	}
	n, err := strconv.Atoi(group)
	if err != nil || n >= len(names) {
		return len(names)
	}
	return n
}

// matchFields are the placeholders of a checked template that are a route's.
func matchFields(template string) (out []string) {
	for {
		_, after, open := strings.Cut(template, "{{")
		inside, tail, closed := strings.Cut(after, "}}")
		if !open || !closed {
			return out
		}
		if field := strings.TrimSpace(inside); isMatch(field) {
			out = append(out, field)
		}
		template = tail
	}
}
