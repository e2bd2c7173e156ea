package transform

import (
	"math"
	"strconv"
)

// wholeNumber reads a JSON number, checked before, as an integer, exactly: no
// float is involved. why says what is wrong with one that is none.
func wholeNumber(b []byte) (v int64, why string) {
	digits := b
	neg := b[0] == '-'
	if neg {
		digits = b[1:]
	}
	if len(digits) <= 18 {
		var n int64
		for _, c := range digits {
			if c -= '0'; c > 9 {
				return wholeDecimal(digits, neg)
			}
			n = n*10 + int64(c)
		}
		if neg {
			n = -n
		}
		return n, ""
	}
	return wholeDecimal(digits, neg)
}

// wholeDecimal handles what is long or has a fraction or an exponent.
func wholeDecimal(b []byte, neg bool) (int64, string) {
	var (
		buf   [20]byte // significant digits, as many as an int64 can have and one
		n     int
		exp   int  // of the last digit in buf
		point bool // behind the decimal point
		zeros int  // zeros not yet known to be significant
	)
	i := 0
	for ; i < len(b) && b[i]|0x20 != 'e'; i++ {
		c := b[i]
		if c == '.' {
			point = true
			continue
		}
		if point {
			exp--
		}
		if c == '0' {
			zeros++
			continue
		}
		if n > 0 {
			for ; zeros > 0 && n < len(buf); zeros-- {
				buf[n] = '0'
				n++
			}
		}
		zeros = 0
		if n == len(buf) {
			return 0, "does not fit"
		}
		buf[n] = c
		n++
	}
	if n == 0 {
		return 0, ""
	}
	exp += zeros + exponent(b[i:])
	switch {
	case exp < 0:
		return 0, "is not whole"
	case n+exp > 19:
		return 0, "does not fit"
	}
	var u uint64
	for _, c := range buf[:n] {
		u = u*10 + uint64(c-'0')
	}
	for ; exp > 0; exp-- {
		u *= 10
	}
	switch {
	case neg && u == 1<<63:
		return math.MinInt64, ""
	case u > math.MaxInt64:
		return 0, "does not fit"
	case neg:
		return -int64(u), ""
	}
	return int64(u), ""
}

// exponent reads "e+12"; nothing is 0. Beyond what matters it stops counting.
func exponent(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	b = b[1:]
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	n := 0
	for _, c := range b {
		if n = n*10 + int(c-'0'); n > 1<<30 {
			n = 1 << 30
		}
	}
	if neg {
		return -n
	}
	return n
}

// double reads a JSON number as the nearest float64. ok is false if it is out
// of range.
func double(b []byte) (f float64, ok bool) {
	if len(b) <= 15 && b[0] != '-' {
		var n int64
		for _, c := range b {
			if c -= '0'; c > 9 {
				n = -1
				break
			}
			n = n*10 + int64(c)
		}
		if n >= 0 {
			return float64(n), true
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil
}
