package salesforce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// cellKind is how the values of a field are written.
type cellKind uint8

const (
	cellNone cellKind = iota // change events do not have the type
	cellText
	cellBool
	cellNumber
	cellInteger
	cellDate
	cellDateTime
	cellTime
)

// kindOf knows the field types of change events (Change Data Capture Developer
// Guide, "Change Event Fields"; Object Reference, "Field Types"). Types that are
// not in the list, new ones too, are left out by name and never guessed.
func kindOf(fieldType string) cellKind {
	switch fieldType {
	case "string", "picklist", "multipicklist", "textarea", "phone", "url", "email", "combobox", "encryptedstring", "id", "reference":
		return cellText
	case "boolean":
		return cellBool
	case "double", "currency", "percent":
		return cellNumber
	case "int", "long":
		return cellInteger
	case "date":
		return cellDate
	case "datetime":
		return cellDateTime
	case "time":
		return cellTime
	}
	return cellNone
}

func (k cellKind) String() string {
	return [...]string{"nothing", "a text", "true or false", "a number", "a whole number", "a date", "a date and time", "a time"}[k]
}

// cell is one value of a row, as it came.
type cell struct {
	text []byte // JSON, or the text of a CSV value; nil: no value
	set  bool   // the row has the column
	csv  bool
}

func (c cell) null() bool { return c.text == nil }

const (
	restDateTime = "2006-01-02T15:04:05Z0700"
	isoDateTime  = "2006-01-02T15:04:05Z07:00"
	eventTime    = "2006-01-02T15:04:05.000Z"
)

var errCell = errors.New("the value does not fit the field's type")

// appendCell writes a value that is not null as an event has it.
func appendCell(dst []byte, kind cellKind, c cell) ([]byte, error) {
	text := c.text
	if kind == cellText {
		if c.csv {
			return appendText(dst, text)
		}
		if text[0] != '"' {
			return dst, errCell
		}
		return append(dst, text...), nil
	}
	quoted := kind >= cellDate
	if quoted && !c.csv {
		if len(text) < 2 || text[0] != '"' {
			return dst, errCell
		}
		text = text[1 : len(text)-1]
	}
	switch kind {
	case cellBool:
		if s := string(text); s != "true" && s != "false" {
			return dst, errCell
		}
	case cellNumber, cellInteger:
		if !isNumber(text) || kind == cellInteger && bytes.ContainsAny(text, ".eE") {
			return dst, errCell
		}
	case cellDate:
		if !hasShape(text, "0000-00-00") {
			return dst, errCell
		}
	case cellTime:
		if !hasShape(text, "00:00:00.000Z") {
			return dst, errCell
		}
	case cellDateTime:
		return appendDateTime(dst, text)
	}
	if quoted {
		return append(append(append(dst, '"'), text...), '"'), nil
	}
	return append(dst, text...), nil
}

// appendDateTime writes ...Z for the ...+0000 of REST.
func appendDateTime(dst, text []byte) ([]byte, error) {
	const toMillis = len("2006-01-02T15:04:05.000")
	if hasShape(text, "0000-00-00T00:00:00.000Z") || hasShape(text, "0000-00-00T00:00:00.000+0000") && bytes.HasSuffix(text, []byte("+0000")) {
		dst = append(append(dst, '"'), text[:toMillis]...)
		return append(dst, `Z"`...), nil
	}
	t, err := parseDateTime(text)
	if err != nil {
		return dst, errCell
	}
	return append(t.AppendFormat(append(dst, '"'), eventTime), '"'), nil
}

func parseDateTime(text []byte) (time.Time, error) {
	t, err := time.Parse(restDateTime, string(text))
	if err != nil {
		t, err = time.Parse(isoDateTime, string(text))
	}
	return t.UTC(), err
}

// hasShape compares a text with a pattern in which 0 is any digit.
func hasShape(text []byte, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i, c := range text {
		if pattern[i] == '0' {
			if c < '0' || c > '9' {
				return false
			}
		} else if c != pattern[i] {
			return false
		}
	}
	return true
}

func isNumber(text []byte) bool {
	if len(text) == 0 || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return false
	}
	return json.Valid(text) && text[len(text)-1] > ' '
}

// appendText writes a text as a JSON string. Salesforce's text is UTF-8; other
// bytes would have to be guessed.
func appendText(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return dst, fmt.Errorf("%w: it is not UTF-8", errCell)
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, text[from:]...), '"'), nil
}
