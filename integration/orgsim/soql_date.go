package orgsim

import (
	"strconv"
	"strings"
	"time"
)

// period is what a date literal of SOQL means, by the day it is asked on and in the
// time zone of who asks: from inclusive, to exclusive (SOQL and SOSL Reference,
// "Date Formats and Date Literals").
type period struct {
	name string // in upper case, without its number
	n    int
}

// periodNamed reads a date literal, TODAY or LAST_N_DAYS:30.
func periodNamed(text string) (period, bool) {
	name, count, counted := strings.Cut(strings.ToUpper(text), ":")
	p := period{name: name}
	if counted {
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > 100_000 {
			return p, false
		}
		p.n = n
	}
	_, _, ok := p.span(time.Unix(0, 0).UTC())
	return p, ok
}

// span is the period as seen at a moment, whose location counts.
func (p period) span(now time.Time) (from, to time.Time, ok bool) {
	switch p.name {
	case "YESTERDAY":
		from, to = units("DAY", now, -1, 0)
	case "TODAY":
		from, to = units("DAY", now, 0, 1)
	case "TOMORROW":
		from, to = units("DAY", now, 1, 2)
	case "LAST_90_DAYS":
		from, _ = units("DAY", now, -90, 0)
		to = now
	case "NEXT_90_DAYS":
		from, to = units("DAY", now, 1, 91)
	default:
		return p.unit(now)
	}
	return from, to, p.n == 0
}

// unit is a period that is named after a unit of the calendar. The fiscal year
// begins in January.
func (p period) unit(now time.Time) (from, to time.Time, ok bool) {
	name := strings.Replace(p.name, "FISCAL_", "", 1)
	if strings.Contains(p.name, "FISCAL_") && !strings.Contains(name, "QUARTER") && !strings.Contains(name, "YEAR") {
		return from, to, false
	}
	one := p.n == 0
	for _, unit := range []string{"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"} {
		switch {
		case one && unit != "DAY" && name == "THIS_"+unit:
			from, to = units(unit, now, 0, 1)
		case one && unit != "DAY" && name == "LAST_"+unit:
			from, to = units(unit, now, -1, 0)
		case one && unit != "DAY" && name == "NEXT_"+unit:
			from, to = units(unit, now, 1, 2)
		case !one && name == "LAST_N_DAYS" && unit == "DAY":
			from, to = units(unit, now, -p.n, 1) // with today, unlike those of the other units
		case !one && name == "LAST_N_"+unit+"S":
			from, to = units(unit, now, -p.n, 0)
		case !one && name == "NEXT_N_"+unit+"S":
			from, to = units(unit, now, 1, p.n+1)
		case !one && name == "N_"+unit+"S_AGO":
			from, to = units(unit, now, -p.n, -p.n+1)
		default:
			continue
		}
		return from, to, true
	}
	return from, to, false
}

// units are the beginnings of the units that lie so many after the present one.
// Weeks begin on Sunday.
func units(unit string, now time.Time, first, last int) (from, to time.Time) {
	y, m, d := now.Date()
	at := func(n int) time.Time {
		switch unit {
		case "DAY":
			return time.Date(y, m, d+n, 0, 0, 0, 0, now.Location())
		case "WEEK":
			return time.Date(y, m, d-int(now.Weekday())+7*n, 0, 0, 0, 0, now.Location())
		case "MONTH":
			return time.Date(y, m+time.Month(n), 1, 0, 0, 0, 0, now.Location())
		case "QUARTER":
			return time.Date(y, (m-1)/3*3+1+time.Month(3*n), 1, 0, 0, 0, 0, now.Location())
		default:
			return time.Date(y+n, 1, 1, 0, 0, 0, 0, now.Location())
		}
	}
	return at(first), at(last)
}

// soqlMoment reads a date-time of SOQL: with an offset, from 1700 to 4000.
func soqlMoment(text string) (int64, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), t.Year() >= 1700 && t.Year() <= 4000
		}
	}
	return 0, false
}

// soqlDay reads a date of SOQL.
func soqlDay(text string) (string, bool) {
	t, err := time.Parse(dateLayout, text)
	return text, err == nil && t.Year() >= 1700 && t.Year() <= 4000
}
