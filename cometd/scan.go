package cometd

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// maxDepth bounds the nesting of one message. Salesforce's payloads nest less
// than ten levels; the bound keeps a hostile reply from exhausting the stack.
const maxDepth = 512

// The scanning functions take a buffer and an index and return the index just
// behind what they scanned. A negative result is not an index: short says that
// the buffer ended first, any other says that the JSON is invalid and where.
const short = -1

func bad(pos int) int            { return -2 - pos }
func badPosition(result int) int { return -2 - result }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue scans one JSON value that begins at i, after white space.
// Numbers need a byte behind them to be known as whole: at the end of the
// buffer they are short, which is right for the members of a message.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return short
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i)
	case c == '{':
		return skipObject(b, i, depth)
	case c == '[':
		return skipArray(b, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(b, i)
	case c == 't':
		return skipWord(b, i, "true")
	case c == 'f':
		return skipWord(b, i, "false")
	case c == 'n':
		return skipWord(b, i, "null")
	}
	return bad(i)
}

func skipWord(b []byte, i int, word string) int {
	for k := range len(word) {
		if i+k >= len(b) {
			return short
		}
		if b[i+k] != word[k] {
			return bad(i + k)
		}
	}
	return i + len(word)
}

func skipObject(b []byte, i, depth int) int {
	if depth >= maxDepth {
		return bad(i)
	}
	i++
	for first := true; ; first = false {
		_, v := nextMember(b, i, first)
		if v < 0 {
			return v
		}
		if b[v] == '}' {
			return v + 1
		}
		if i = skipValue(b, v, depth+1); i < 0 {
			return i
		}
	}
}

func skipArray(b []byte, i, depth int) int {
	if depth >= maxDepth {
		return bad(i)
	}
	i++
	for first := true; ; first = false {
		i = skipSpace(b, i)
		if i >= len(b) {
			return short
		}
		switch {
		case b[i] == ']':
			return i + 1
		case first:
		case b[i] == ',':
			if i = skipSpace(b, i+1); i >= len(b) {
				return short
			}
		default:
			return bad(i)
		}
		if first && b[i] == ',' {
			return bad(i)
		}
		if i = skipValue(b, i, depth+1); i < 0 {
			return i
		}
	}
}

// nextMember steps to the next member of an object: i is the index behind the
// opening brace (first) or behind the last value. It returns the member's name
// as written between its quotes and the index of its value. When the object
// ends, the index is that of the closing brace: no value begins with one.
func nextMember(b []byte, i int, first bool) (name []byte, v int) {
	i = skipSpace(b, i)
	if i >= len(b) {
		return nil, short
	}
	if b[i] == '}' {
		return nil, i
	}
	if !first {
		if b[i] != ',' {
			return nil, bad(i)
		}
		if i = skipSpace(b, i+1); i >= len(b) {
			return nil, short
		}
	}
	if b[i] != '"' {
		return nil, bad(i)
	}
	end := skipString(b, i)
	if end < 0 {
		return nil, end
	}
	name = b[i+1 : end-1]
	if i = skipSpace(b, end); i >= len(b) {
		return nil, short
	}
	if b[i] != ':' {
		return nil, bad(i)
	}
	if i = skipSpace(b, i+1); i >= len(b) {
		return nil, short
	}
	if b[i] == '}' {
		return nil, bad(i)
	}
	return name, i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// skipString scans a string from its opening quote. Most bytes of an event are
// inside strings, so eight are looked at in one step until one of them is a
// quote, a backslash or a control character.
func skipString(b []byte, i int) int {
	i++
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			quote := x ^ (ones * '"')
			slash := x ^ (ones * '\\')
			hit := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x) & highs
			if hit != 0 {
				i += bits.TrailingZeros64(hit) >> 3
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= 0x20 {
			i++
		}
		if i >= len(b) {
			return short
		}
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i = skipEscape(b, i); i < 0 {
				return i
			}
		default:
			return bad(i)
		}
	}
}

func skipEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return short
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) {
				return short
			}
			if c := b[k] | 0x20; (b[k] < '0' || b[k] > '9') && (c < 'a' || c > 'f') {
				return bad(k)
			}
		}
		return i + 6
	}
	return bad(i + 1)
}

func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i >= len(b) {
		return short
	}
	switch {
	case b[i] == '0':
		i++
	case b[i] >= '1' && b[i] <= '9':
		i = skipDigits(b, i)
	default:
		return bad(i)
	}
	if i < len(b) && b[i] == '.' {
		if i = skipSomeDigits(b, i+1); i < 0 {
			return i
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i = skipSomeDigits(b, i); i < 0 {
			return i
		}
	}
	if i >= len(b) {
		return short
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}

func skipSomeDigits(b []byte, i int) int {
	if i >= len(b) {
		return short
	}
	if b[i] < '0' || b[i] > '9' {
		return bad(i)
	}
	return skipDigits(b, i)
}

// parseInt reads a JSON number as an int64, exactly: no fraction, no exponent,
// no overflow.
func parseInt(b []byte) (n int64, ok bool) {
	digits := b
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}

// unquote gives the text of a scanned string, from between its quotes. The
// slow way is for escapes and for bytes outside ASCII, which have to be checked.
func unquote(raw []byte) string {
	for _, c := range raw {
		if c == '\\' || c >= 0x80 {
			return unquoteSlow(raw)
		}
	}
	return string(raw)
}

func unquoteSlow(raw []byte) string {
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(quoted, '"')
	quoted = append(quoted, raw...)
	quoted = append(quoted, '"')
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		// Cannot be: the scanner has accepted these bytes as a string.
		return string(raw)
	}
	return s
}

// memberName returns the name as it is to be compared: the bytes themselves
// unless the sender used escapes in it.
func memberName(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	return []byte(unquoteSlow(raw))
}

// boundary finds where a message ends that arrives in many pieces, looking at
// each byte once. It knows strings and nesting, not grammar: the message is
// parsed, once, when it is whole.
type boundary struct {
	depth   int
	text    bool // inside a string
	escaped bool // behind a backslash in a string
}

// find scans on from i and returns the index behind the message's end, or short.
func (f *boundary) find(b []byte, i int) int {
	for ; i < len(b); i++ {
		c := b[i]
		switch {
		case f.escaped:
			f.escaped = false
		case f.text:
			switch c {
			case '"':
				f.text = false
			case '\\':
				f.escaped = true
			}
		case c == '"':
			f.text = true
		case c == '{' || c == '[':
			f.depth++
		case c == '}' || c == ']':
			if f.depth--; f.depth <= 0 {
				return i + 1
			}
		}
	}
	return short
}
