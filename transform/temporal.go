package transform

const (
	dayMillis = 24 * 60 * 60 * 1000
)

// epochMillis reads "2026-03-04T09:15:22.481Z" and "2026-03-04" (midnight UTC).
// The fraction may be missing or longer if nothing below a millisecond would be
// lost; the zone is Z, +hh:mm or +hhmm (Streaming API guide: all three are
// found).
func epochMillis(b []byte) (int64, bool) {
	days, ok := date(b)
	if !ok {
		return 0, false
	}
	if len(b) == 10 {
		return days * dayMillis, true
	}
	if b[10] != 'T' {
		return 0, false
	}
	ms, rest, ok := clock(b[11:])
	if !ok {
		return 0, false
	}
	offset, ok := zone(rest)
	return days*dayMillis + ms - offset, ok
}

// daysSince1970 reads "2026-03-04".
func daysSince1970(b []byte) (int64, bool) {
	if len(b) != 10 {
		return 0, false
	}
	return date(b)
}

// millisOfDay reads "13:30:00.000Z"; the Z may be missing.
func millisOfDay(b []byte) (int64, bool) {
	ms, rest, ok := clock(b)
	return ms, ok && (len(rest) == 0 || len(rest) == 1 && rest[0] == 'Z')
}

// date reads the date that b starts with.
func date(b []byte) (days int64, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	yh, ok1 := two(b)
	yl, ok2 := two(b[2:])
	m, ok3 := two(b[5:])
	d, ok4 := two(b[8:])
	y := yh*100 + yl
	if !ok1 || !ok2 || !ok3 || !ok4 || m < 1 || m > 12 || d < 1 || d > monthDays(y, m) {
		return 0, false
	}
	return civilDays(y, m, d), true
}

// clock reads the time of day that b starts with.
func clock(b []byte) (ms int64, rest []byte, ok bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, nil, false
	}
	h, ok1 := two(b)
	m, ok2 := two(b[3:])
	s, ok3 := two(b[6:])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 59 {
		return 0, nil, false
	}
	ms = ((h*60+m)*60 + s) * 1000
	b = b[8:]
	if len(b) == 0 || b[0] != '.' {
		return ms, b, true
	}
	i, unit := 1, int64(100)
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if unit == 0 && b[i] != '0' {
			return 0, nil, false
		}
		ms += unit * int64(b[i]-'0')
		unit /= 10
	}
	return ms, b[i:], i > 1
}

// zone reads the offset from UTC that is all of b, in milliseconds.
func zone(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) == 6 && b[3] == ':' {
		b = []byte{b[0], b[1], b[2], b[4], b[5]}
	}
	if len(b) != 5 || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	h, ok1 := two(b[1:])
	m, ok2 := two(b[3:])
	if !ok1 || !ok2 || h > 23 || m > 59 {
		return 0, false
	}
	offset := (h*60 + m) * 60_000
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// two reads two digits.
func two(b []byte) (int64, bool) {
	h, l := b[0]-'0', b[1]-'0'
	return int64(h)*10 + int64(l), h <= 9 && l <= 9
}

func monthDays(y, m int64) int64 {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// civilDays counts days since 1970-01-01 in the proleptic Gregorian calendar:
// years from March on, so that the leap day is the last (Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms").
func civilDays(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := (y + 400) / 400
	yoe := y + 400 - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return (era-1)*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}
