package transform

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text checks the text whose first byte is at i and returns the place of its
// closing quote: no control characters, escapes by RFC 8259, proper UTF-8, and
// every surrogate paired, so that what uses the text later cannot fail.
func (s *scan) text(i int) (end int, escaped bool, err error) {
	p := s.p
	for {
		// Eight bytes at a time as long as nothing needs a look: the high bit of
		// each byte of m is set where there is a quote, a backslash, a control
		// character or a byte beyond ASCII (and perhaps, falsely, behind one).
		for i+8 <= len(p) {
			x := binary.LittleEndian.Uint64(p[i:])
			quote := x ^ '"'*ones
			slash := x ^ '\\'*ones
			m := ((quote - ones) &^ quote) | ((slash - ones) &^ slash) | ((x - ' '*ones) &^ x) | x
			if m &= highs; m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		c := s.at(i)
		switch {
		case c == '"':
			return i, escaped, nil
		case c == '\\':
			escaped = true
			if i, err = s.escape(i); err != nil {
				return i, true, err
			}
		case c < ' ':
			if i >= len(p) {
				return i, escaped, s.syntax(i, "the text does not end")
			}
			return i, escaped, s.syntax(i, "a control character in a text")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(p[i:])
			if r == utf8.RuneError && n == 1 {
				return i, escaped, s.syntax(i, "the text is not UTF-8")
			}
			i += n
		}
	}
}

// escape checks the escape at i and returns the place after it.
func (s *scan) escape(i int) (int, error) {
	switch s.at(i + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		u, ok := hex4(s.p, i+2)
		switch {
		case !ok:
			return i, s.syntax(i, "an escape without four hex digits")
		case u < 0xd800 || u > 0xdfff:
			return i + 6, nil
		case u < 0xdc00 && s.at(i+6) == '\\' && s.at(i+7) == 'u':
			if low, ok := hex4(s.p, i+8); ok && low >= 0xdc00 && low <= 0xdfff {
				return i + 12, nil
			}
		}
		return i, s.syntax(i, "half a surrogate pair, which UTF-8 cannot express")
	}
	return i, s.syntax(i, "an unknown escape")
}

func hex4(p []byte, i int) (rune, bool) {
	if i+4 > len(p) {
		return 0, false
	}
	var r rune
	for _, c := range p[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape appends a text that was checked, with its escapes resolved.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		switch c = text[i+1]; c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(text, i+2)
			i += 6
			if r >= 0xd800 && r <= 0xdbff {
				low, _ := hex4(text, i+2)
				r = (r-0xd800)<<10 | (low - 0xdc00) + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
		i += 2
	}
	return dst
}
