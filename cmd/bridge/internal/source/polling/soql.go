package polling

import (
	"fmt"
	"slices"
	"strings"
)

// statement is a query as far as it has to be understood to be asked in pages: what
// stands between SELECT and FROM, the object, and the condition.
type statement struct {
	fields []string // as written: Name, Owner.Name
	object string
	where  string // empty for none
}

// word is a word of a query outside of texts and parentheses.
type word struct {
	text     string
	from, to int
}

func (w word) is(text string) bool { return strings.EqualFold(w.text, text) }

// parseSOQL reads a query. What it cannot be read in pages with is an error that says
// what to leave out.
func parseSOQL(channel, text string) (*statement, error) {
	wrong := func(problem, try string) error {
		return &StreamError{Channel: channel, Problem: fmt.Sprintf("soql %q %s", shortened(text), problem), Try: try}
	}
	words, problem := wordsOf(text)
	if problem != "" {
		return nil, wrong(problem, "the query in the developer console")
	}
	if len(words) == 0 || !words[0].is("SELECT") {
		return nil, wrong("does not begin with SELECT", "SELECT Id, SystemModstamp, Name FROM Entitlement")
	}
	from := slices.IndexFunc(words, func(w word) bool { return w.is("FROM") })
	if from < 0 || from+1 == len(words) {
		return nil, wrong("has no FROM with an object", "SELECT Id, SystemModstamp, Name FROM Entitlement")
	}
	s := &statement{object: words[from+1].text}
	if !isName(s.object) {
		return nil, wrong(fmt.Sprintf("reads from %q; one object is read", s.object), "one stream for each object")
	}
	var err error
	if s.fields, err = selected(text[words[0].to:words[from].from], wrong); err != nil {
		return nil, err
	}
	rest := words[from+2:]
	if len(rest) == 0 {
		if tail := strings.TrimSpace(text[words[from+1].to:]); tail != "" {
			return nil, wrong(fmt.Sprintf("has %q behind the object", tail), "WHERE and a condition, or nothing")
		}
		return s, nil
	}
	for _, w := range rest {
		if why, refused := refusedClause(w.text); refused {
			return nil, wrong("has "+strings.ToUpper(w.text)+": "+why, "the query without it")
		}
	}
	if !rest[0].is("WHERE") {
		return nil, wrong(fmt.Sprintf("has %q behind the object, where WHERE or nothing belongs", rest[0].text), "one object without an alias")
	}
	if s.where = strings.TrimSpace(text[rest[0].to:]); s.where == "" {
		return nil, wrong("has nothing behind WHERE", "a condition, or no WHERE")
	}
	return s, nil
}

// refusedClause knows the words that a query in pages has no place for, outside of
// parentheses.
func refusedClause(text string) (why string, refused bool) {
	switch strings.ToUpper(text) {
	case "ORDER":
		return "rows are ordered by the incremental field and the id", true
	case "LIMIT", "OFFSET":
		return "a page has the bounds that the bridge gives it", true
	case "GROUP", "HAVING":
		return "groups have no id and no time of their last change", true
	case "WITH", "USING", "FOR":
		return "rows are read as the bridge's user sees them, and looked at only", true
	case "ALL":
		return "deletions says how deleted records are found", true
	}
	return "", false
}

// selected reads the list of fields.
func selected(list string, wrong func(problem, try string) error) ([]string, error) {
	var fields []string
	for part := range strings.SplitSeq(list, ",") {
		name := strings.TrimSpace(part)
		switch {
		case strings.ContainsAny(name, "()"):
			return nil, wrong(fmt.Sprintf("selects %q: aggregates, functions, FIELDS() and subqueries are no fields of a row", name), "names of fields, or object: in place of soql: for all of them")
		case strings.ContainsAny(name, " \t\r\n"):
			return nil, wrong(fmt.Sprintf("selects %q: a field has no alias and no TYPEOF", name), "names of fields with commas between them")
		case !isPath(name):
			return nil, wrong(fmt.Sprintf("selects %q, which is no name of a field", name), "names such as Name, Region__c or Owner.Name")
		}
		if slices.ContainsFunc(fields, func(f string) bool { return strings.EqualFold(f, name) }) {
			return nil, wrong(fmt.Sprintf("selects %s twice", name), "each field once")
		}
		fields = append(fields, name)
	}
	return fields, nil
}

// wordsOf finds the words outside of texts and parentheses.
func wordsOf(text string) (words []word, problem string) {
	depth, start := 0, -1
	end := func(i int) {
		if start >= 0 && depth == 0 {
			words = append(words, word{text[start:i], start, i})
		}
		start = -1
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\'':
			end(i)
			for i++; i < len(text) && text[i] != '\''; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return nil, "has a text without an end"
			}
		case c == '(':
			end(i)
			depth++
		case c == ')':
			end(i)
			if depth--; depth < 0 {
				return nil, "closes a parenthesis that was not opened"
			}
		case isWordByte(c) || c == '.':
			if start < 0 {
				start = i
			}
		default:
			end(i)
		}
	}
	end(len(text))
	if depth > 0 {
		return nil, "has a parenthesis that is not closed"
	}
	return words, ""
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isName says whether a text is a name as Salesforce gives them.
func isName(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isWordByte(c) || i == 0 && (c == '_' || c <= '9') {
			return false
		}
	}
	return text != ""
}

func isPath(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if !isName(part) {
			return false
		}
	}
	return true
}

// shortened is a query as a message shows it.
func shortened(text string) string {
	const most = 80
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
