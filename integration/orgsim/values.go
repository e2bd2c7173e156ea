package orgsim

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Fields are the values of a record or event by API name. Values: nil (to
// clear), string, bool, any integer or float, json.Number, time.Time, and
// map[string]any or Fields for a compound field, whose components may also be
// given flat as REST does (MailingCity). Dates are "2006-01-02", date-times
// RFC 3339, times of day "15:04:05.000Z".
type Fields map[string]any

// Stored values: string, bool, float64 (doubles), int64 (integers; epoch
// milliseconds of date-times; milliseconds of a time of day), []any (the
// components of a compound), or nil.

const (
	eventTimeLayout = "2006-01-02T15:04:05.000Z"
	restTimeLayout  = "2006-01-02T15:04:05.000-0700"
	dateLayout      = "2006-01-02"
	dayMillis       = 24 * 60 * 60 * 1000
)

// coerce turns a caller's value into a stored one.
func (f *field) coerce(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch f.Type {
	case Checkbox:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case Integer:
		if n, ok := asFloat(v); ok && n == math.Trunc(n) && math.Abs(n) <= math.MaxInt32 {
			return int64(n), nil
		}
	case Number, Currency, Percent:
		if n, ok := asFloat(v); ok {
			return n, nil
		}
	case Date:
		if s, ok := asDate(v); ok {
			return s, nil
		}
	case DateTime:
		if ms, ok := asMillis(v); ok {
			return ms, nil
		}
	case Time:
		if ms, ok := asTimeOfDay(v); ok {
			return ms, nil
		}
	case PersonName, Address, Geolocation:
		return f.coerceParts(nil, v)
	case AccountName:
		if s, ok := v.(string); ok {
			return f.coerceText(s)
		}
		return f.coerceParts(nil, v)
	default:
		if s, ok := v.(string); ok {
			return f.coerceText(s)
		}
	}
	return nil, &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Fields: []string{f.Name},
		Message: fmt.Sprintf("Cannot deserialize instance of %s from %v, field %s", f.Type, v, f.Name)}
}

// coerceText bounds a text; an empty one is null, as in Salesforce.
func (f *field) coerceText(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) > f.Length && utf8.RuneCountInString(s) > f.Length {
		return nil, &RequestError{Status: 400, Code: "STRING_TOO_LONG", Fields: []string{f.Name},
			Message: fmt.Sprintf("%s: data value too large: %.20s... (max length=%d)", f.Label, s, f.Length)}
	}
	if f.Restricted && !slices.Contains(f.Values, s) {
		return nil, &RequestError{Status: 400, Code: "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", Fields: []string{f.Name},
			Message: fmt.Sprintf("%s: bad value for restricted picklist field: %s", f.Label, s)}
	}
	return s, nil
}

// coerceParts lays the given components over the old ones.
func (f *field) coerceParts(old []any, v any) (any, error) {
	given, ok := v.(map[string]any)
	if !ok {
		given, ok = v.(Fields)
	}
	if !ok {
		return nil, &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Fields: []string{f.Name},
			Message: fmt.Sprintf("Cannot deserialize compound field %s from %T", f.Name, v)}
	}
	out := make([]any, len(f.parts))
	copy(out, old)
	for name, pv := range given {
		i := slices.IndexFunc(f.parts, func(p part) bool { return strings.EqualFold(p.name, name) })
		if i < 0 {
			return nil, &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{f.Name},
				Message: fmt.Sprintf("No such column '%s' on compound field '%s'", name, f.Name)}
		}
		c, err := f.coercePart(i, pv)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return nilIfEmpty(out), nil
}

func (f *field) coercePart(i int, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if f.parts[i].number {
		if n, ok := asFloat(v); ok {
			return n, nil
		}
	} else if s, ok := v.(string); ok {
		return f.coerceText(s)
	}
	return nil, &RequestError{Status: 400, Code: "JSON_PARSER_ERROR", Fields: []string{f.Name},
		Message: fmt.Sprintf("Cannot deserialize %s.%s from %v", f.Name, f.parts[i].name, v)}
}

func nilIfEmpty(parts []any) any {
	for _, p := range parts {
		if p != nil {
			return parts
		}
	}
	return nil
}

func asFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case float32:
		return float64(n), true
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

func asDate(v any) (string, bool) {
	switch t := v.(type) {
	case time.Time:
		return t.UTC().Format(dateLayout), true
	case string:
		_, err := time.Parse(dateLayout, t)
		return t, err == nil
	}
	return "", false
}

func asMillis(v any) (int64, bool) {
	switch t := v.(type) {
	case time.Time:
		return t.UnixMilli(), true
	case int64:
		return t, true
	case string:
		for _, layout := range []string{time.RFC3339Nano, restTimeLayout, "2006-01-02T15:04:05-0700", dateLayout} {
			if p, err := time.Parse(layout, t); err == nil {
				return p.UnixMilli(), true
			}
		}
	}
	return 0, false
}

func asTimeOfDay(v any) (int64, bool) {
	switch t := v.(type) {
	case time.Time:
		return t.UTC().UnixMilli() % dayMillis, true
	case int64:
		return t, t >= 0 && t < dayMillis
	case string:
		for _, layout := range []string{"15:04:05Z07:00", "15:04:05", "15:04"} {
			if p, err := time.Parse(layout, t); err == nil {
				return (int64(p.Hour())*3600+int64(p.Minute())*60+int64(p.Second()))*1000 + int64(p.Nanosecond())/1e6, true
			}
		}
	}
	return 0, false
}

// appendValue renders a whole value as it stands in an event.
func (f *field) appendValue(dst []byte, v any) []byte {
	switch t := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		return appendString(dst, t)
	case bool:
		return strconv.AppendBool(dst, t)
	case float64:
		return appendDouble(dst, t)
	case int64:
		switch f.Type {
		case DateTime:
			return appendMillis(dst, t)
		case Time:
			return appendTimeOfDay(dst, t)
		default:
			return strconv.AppendInt(dst, t, 10)
		}
	case []any:
		return f.appendParts(dst, t, func(i int) bool { return t[i] != nil })
	}
	panic(fmt.Sprintf("orgsim: a stored value of type %T in field %s", v, f.Name))
}

// appendParts renders the components of a compound for which take is true.
func (f *field) appendParts(dst []byte, vals []any, take func(int) bool) []byte {
	dst = append(dst, '{')
	first := true
	for i, p := range f.parts {
		if !take(i) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, p.name...)
		dst = append(dst, '"', ':')
		var v any
		if i < len(vals) {
			v = vals[i]
		}
		dst = f.appendValue(dst, v)
	}
	return append(dst, '}')
}

// appendDouble writes a number as Java does, which is what Salesforce shows:
// 20.0, 1.0E7, 1.25E-4.
func appendDouble(dst []byte, v float64) []byte {
	abs := math.Abs(v)
	if abs != 0 && (abs >= 1e7 || abs < 1e-3) {
		s := strconv.FormatFloat(v, 'E', -1, 64)
		mant, exp, _ := strings.Cut(s, "E")
		if !strings.Contains(mant, ".") {
			mant += ".0"
		}
		dst = append(dst, mant...)
		dst = append(dst, 'E')
		if strings.HasPrefix(exp, "-") {
			dst = append(dst, '-')
		}
		return append(dst, strings.TrimLeft(exp, "+-0")...)
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if !slices.Contains(dst[at:], '.') {
		dst = append(dst, '.', '0')
	}
	return dst
}

func appendMillis(dst []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		return t.AppendFormat(dst, `"`+eventTimeLayout+`"`)
	}
	hour, minute, second := t.Clock()
	milli := t.Nanosecond() / 1e6
	d := func(n int) byte { return byte('0' + n%10) } //nolint:gosec // a digit
	return append(dst, '"', d(year/1000), d(year/100), d(year/10), d(year), '-', d(int(month)/10), d(int(month)), '-', d(day/10), d(day),
		'T', d(hour/10), d(hour), ':', d(minute/10), d(minute), ':', d(second/10), d(second), '.', d(milli/100), d(milli/10), d(milli), 'Z', '"')
}

func appendTimeOfDay(dst []byte, ms int64) []byte {
	return fmt.Appendf(dst, `"%02d:%02d:%02d.%03dZ"`, ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}

// appendString writes a JSON string; the text is valid UTF-8.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// restValue is the value as REST shows it (date-times end in +0000).
func (f *field) restValue(v any) any {
	switch t := v.(type) {
	case int64:
		if f.Type == DateTime {
			return time.UnixMilli(t).UTC().Format(restTimeLayout)
		}
	case []any:
		if f.Type == AccountName || f.Type == PersonName {
			return fullName(t)
		}
		out := map[string]any{}
		for i, p := range f.parts {
			out[lowerFirst(p.name)] = rawPart(t[i])
		}
		return out
	}
	if v == nil {
		return nil
	}
	return json.RawMessage(f.appendValue(nil, v))
}

func rawPart(v any) any {
	if n, ok := v.(float64); ok {
		return json.RawMessage(appendDouble(nil, n))
	}
	return v
}

// fullName joins the components of a person's name but the first, the salutation
// (Object Reference, Contact).
func fullName(parts []any) string {
	var words []string
	for _, p := range parts[1:] {
		if s, ok := p.(string); ok {
			words = append(words, s)
		}
	}
	return strings.Join(words, " ")
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func sameValue(a, b any) bool {
	pa, ok := a.([]any)
	pb, ok2 := b.([]any)
	if ok || ok2 {
		return ok && ok2 && slices.Equal(pa, pb)
	}
	return a == b
}
