package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// isTerminal says whether w is one, so that what is piped is for machines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Widths of the columns; the last one takes what is left of the line.
const (
	timeWidth  = 12
	topicWidth = 26
	keyWidth   = 36
	opWidth    = 9
)

// table prints records as aligned, coloured lines.
type table struct {
	w      io.Writer
	colour bool
	width  int
}

func newTable(w io.Writer) *table {
	width, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || width < 80 {
		width = 160
	}
	return &table{w: w, colour: isTerminal(w) && os.Getenv("NO_COLOR") == "", width: width}
}

func (t *table) header() error {
	return t.line("", "time", "topic", "key", "operation", "fields")
}

func (t *table) record(d delivered) error {
	fields := make([]string, len(d.Changed))
	for i, f := range d.Changed {
		fields[i] = f.Name + "=" + f.Value
	}
	return t.line(colourOf(d.Operation), d.Time.Local().Format("15:04:05.000"), d.Topic, d.Key, d.Operation, strings.Join(fields, " "))
}

func (t *table) line(colour, at, topic, key, op, fields string) error {
	left := t.width - timeWidth - topicWidth - keyWidth - opWidth - 4
	line := pad(at, timeWidth) + " " + pad(topic, topicWidth) + " " + pad(key, keyWidth) + " "
	op = pad(op, opWidth)
	if t.colour && colour != "" {
		op = "\x1b[" + colour + "m" + op + "\x1b[0m"
	}
	_, err := fmt.Fprintln(t.w, strings.TrimRight(line+op+" "+cut(printable(fields), left), " "))
	return err
}

// colourOf is the terminal's colour of an operation.
func colourOf(op string) string {
	switch op {
	case "CREATE", "UNDELETE":
		return "32" // green
	case "UPDATE":
		return "33" // yellow
	case "DELETE", "TOMBSTONE":
		return "31" // red
	case "EVENT":
		return "36" // cyan
	default:
		return "35" // magenta: gaps
	}
}

func pad(s string, width int) string {
	s = cut(s, width)
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// printable keeps what a record says from moving the cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
}

// tagged writes one JSON object a line, each with its type first.
func tagged(w io.Writer, kind string, v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	body := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	line := `{"type":` + strconv.Quote(kind)
	if len(body) > 2 {
		line += ","
	}
	_, err := fmt.Fprintln(w, line+string(body[1:]))
	return err
}
