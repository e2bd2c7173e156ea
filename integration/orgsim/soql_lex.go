package orgsim

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token of SOQL is.
type tokenKind uint8

const (
	tokenEnd     tokenKind = iota
	tokenName              // Id, Account.Name, LAST_N_DAYS:30, and every keyword
	tokenText              // 'text'
	tokenNumber            // 12, -1.5
	tokenTime              // 2026-03-04, 2026-03-04T09:15:22Z, 13:30:00.000Z
	tokenSign              // ( ) , = != <> < <= > >=
	maxSOQL      = 100_000 // characters of a statement
	maxSOQLText  = 4_000   // characters of a text in WHERE
	soqlSnippet  = 40      // characters of the query before the place of an error
	soqlTailSize = 20      // and behind it
)

// soqlToken is one token of a query.
type soqlToken struct {
	kind tokenKind
	text string // as it stands, of a text what it means
	at   int    // byte of the query
}

// is reports whether the token is the keyword or sign.
func (t soqlToken) is(word string) bool {
	return (t.kind == tokenName || t.kind == tokenSign) && strings.EqualFold(t.text, word)
}

// soqlError is a refusal that shows the place in the query.
func soqlError(query string, at int, code, format string, args ...any) *RequestError {
	row, column := 1, at+1
	if i := strings.LastIndexByte(query[:at], '\n'); i >= 0 {
		row, column = 1+strings.Count(query[:at], "\n"), at-i
	}
	line := query[at-min(column-1, at):]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	from := max(0, column-1-soqlSnippet)
	to := min(len(line), column-1+soqlTailSize)
	message := fmt.Sprintf("\n%s\n%s^\nERROR at Row:%d:Column:%d\n%s", strings.ToValidUTF8(line[from:to], ""),
		strings.Repeat(" ", utf8.RuneCountInString(line[from:min(column-1, to)])), row, column, fmt.Sprintf(format, args...))
	return &RequestError{Status: 400, Code: code, Message: message}
}

func malformed(format string, args ...any) *RequestError {
	return &RequestError{Status: 400, Code: "MALFORMED_QUERY", Message: fmt.Sprintf(format, args...)}
}

// lexer cuts a query into tokens.
type lexer struct {
	query string
	at    int
}

// tokens are those of the whole query; the last one is tokenEnd.
func tokens(query string) ([]soqlToken, error) {
	l := &lexer{query: query}
	var out []soqlToken
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
		if t.kind == tokenEnd {
			return out, nil
		}
	}
}

func (l *lexer) next() (soqlToken, error) {
	for l.at < len(l.query) && strings.IndexByte(" \t\r\n", l.query[l.at]) >= 0 {
		l.at++
	}
	if l.at == len(l.query) {
		return soqlToken{kind: tokenEnd, text: "<EOF>", at: l.at}, nil
	}
	switch c := l.query[l.at]; {
	case letter(c):
		return l.name(), nil
	case digit(c), (c == '-' || c == '+' || c == '.') && l.at+1 < len(l.query) && (digit(l.query[l.at+1]) || l.query[l.at+1] == '.'):
		return l.number(), nil
	case c == '\'':
		return l.quoted()
	}
	for _, sign := range []string{"!=", "<>", "<=", ">=", "(", ")", ",", "=", "<", ">"} {
		if strings.HasPrefix(l.query[l.at:], sign) {
			l.at += len(sign)
			return soqlToken{tokenSign, sign, l.at - len(sign)}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(l.query[l.at:])
	return soqlToken{}, soqlError(l.query, l.at, "MALFORMED_QUERY", "line %d:%d no viable alternative at character '%c'", 1, l.at, r)
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// name is a path of names with dots, or a date literal with its number.
func (l *lexer) name() soqlToken {
	from := l.at
	peek := func(i int, is func(byte) bool) bool { return i < len(l.query) && is(l.query[i]) }
	for peek(l.at, func(c byte) bool { return letter(c) || digit(c) }) || l.query[l.at-1] != '.' && peek(l.at, func(c byte) bool { return c == '.' }) && peek(l.at+1, letter) {
		l.at++
	}
	if peek(l.at, func(c byte) bool { return c == ':' }) && peek(l.at+1, digit) {
		for l.at++; peek(l.at, digit); {
			l.at++
		}
	}
	return soqlToken{tokenName, l.query[from:l.at], from}
}

// number is a number, or a date or time, which begin with one.
func (l *lexer) number() soqlToken {
	from, kind := l.at, tokenNumber
	for l.at++; l.at < len(l.query); l.at++ {
		c := l.query[l.at]
		switch part := l.query[from:l.at]; {
		case digit(c), c == '.':
		case c == ':' && len(part) >= 2, c == '-' && len(part) >= 4 && digit(part[3]), (c == 'T' || c == 'Z' || c == '+' || c == '-') && len(part) >= 8:
			kind = tokenTime
		case (c == 'e' || c == 'E') && l.at+1 < len(l.query) && (digit(l.query[l.at+1]) || l.query[l.at+1] == '-'), c == '-' && (part[len(part)-1]|0x20) == 'e':
		default:
			return soqlToken{kind, l.query[from:l.at], from}
		}
	}
	return soqlToken{kind, l.query[from:l.at], from}
}

// quoted is a text with its escapes undone. Those of LIKE, \_ and \%, stay for it.
func (l *lexer) quoted() (soqlToken, error) {
	from := l.at
	var b strings.Builder
	for l.at++; l.at < len(l.query); l.at++ {
		switch c := l.query[l.at]; c {
		case '\'':
			l.at++
			return soqlToken{tokenText, b.String(), from}, nil
		case '\n', '\r':
			return soqlToken{}, soqlError(l.query, l.at, "MALFORMED_QUERY", "line breaking not allowed in string literal")
		case '\\':
			if err := l.escape(&b); err != nil {
				return soqlToken{}, err
			}
		default:
			b.WriteByte(c)
		}
	}
	return soqlToken{}, soqlError(l.query, from, "MALFORMED_QUERY", "line 1:%d mismatched character '<EOF>' expecting '''", len(l.query))
}

func (l *lexer) escape(b *strings.Builder) error {
	bad := func() error {
		return soqlError(l.query, l.at, "MALFORMED_QUERY", "Invalid string literal. Illegal character sequence '%.2s' in string literal.", l.query[l.at:])
	}
	l.at++
	if l.at >= len(l.query) {
		l.at--
		return bad()
	}
	plain := map[byte]string{'n': "\n", 'N': "\n", 'r': "\r", 'R': "\r", 't': "\t", 'T': "\t", 'b': "\b", 'B': "\b", 'f': "\f", 'F': "\f",
		'"': `"`, '\'': "'", '\\': `\`, '_': `\_`, '%': `\%`}
	c := l.query[l.at]
	if text, ok := plain[c]; ok {
		b.WriteString(text)
		return nil
	}
	if (c == 'u' || c == 'U') && l.at+4 < len(l.query) {
		if n, err := strconv.ParseUint(l.query[l.at+1:l.at+5], 16, 32); err == nil {
			b.WriteRune(rune(n))
			l.at += 4
			return nil
		}
	}
	l.at--
	return bad()
}
