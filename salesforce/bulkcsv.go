package salesforce

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	csvBufferBytes = 64 << 10
	// maxCSVRow bounds one row, as maxRowBytes does for JSON.
	maxCSVRow = maxRowBytes
)

// errCSVCut says that the text ends within a row.
var errCSVCut = errors.New("the text ends within a row")

// csvSyntaxError is text that is not CSV.
type csvSyntaxError struct {
	row     int // the header line is row 0
	problem string
}

func (e *csvSyntaxError) Error() string {
	return fmt.Sprintf("row %d is not CSV: %s", e.row, e.problem)
}

// csvReader reads rows by RFC 4180. Package encoding/csv cannot be used: it turns
// CR LF within a value into LF, which changes it, and skips an empty line, which is
// a row of one column without a value.
type csvReader struct {
	src    io.Reader
	framed bool  // the end of src is known to be the end of the text
	err    error // of src
	buf    []byte
	at     int // where the next row begins in buf
	row    int
	crlf   bool // lines end in CR LF, as the header line tells
	fields [][]byte
	// scratch holds values that have quotes within.
	scratch []byte
}

// newCSVReader reads from a source. One that is not framed may end early without an
// error: then a last line counts only if it has an end.
func newCSVReader(src io.Reader, framed bool) *csvReader {
	return &csvReader{src: src, framed: framed, buf: make([]byte, 0, csvBufferBytes)}
}

// next reads a row. The values are good until the next call. io.EOF comes only
// after a whole row; errCSVCut, or what the source says, tells of half a one.
func (r *csvReader) next() ([][]byte, error) {
	for {
		end, err := r.parse(r.buf[r.at:])
		if err != nil {
			return nil, err
		}
		if end > 0 {
			r.at += end
			r.row++
			return r.fields, nil
		}
		if r.err != nil {
			return nil, r.ending()
		}
		r.fill()
	}
}

// ending says how the text ended.
func (r *csvReader) ending() error {
	if !errors.Is(r.err, io.EOF) {
		return r.err
	}
	if len(r.buf) > r.at {
		return errCSVCut
	}
	return io.EOF
}

// ended says that nothing follows what is in the buffer.
func (r *csvReader) ended() bool { return r.framed && errors.Is(r.err, io.EOF) }

// fill reads until the buffer is full, so that a long row is not parsed once for
// each piece of it. A row that fills the buffer doubles it.
func (r *csvReader) fill() {
	if r.at > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.at:])]
		r.at = 0
	}
	if len(r.buf) == cap(r.buf) {
		if cap(r.buf) >= maxCSVRow {
			r.err = errTooLarge
			return
		}
		r.buf = append(make([]byte, 0, 2*cap(r.buf)), r.buf...)
	}
	for len(r.buf) < cap(r.buf) && r.err == nil {
		var n int
		n, r.err = r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
	}
}

// parse reads the row at the beginning of text into fields and returns its length
// with the line's end; 0: the text does not hold it whole.
func (r *csvReader) parse(text []byte) (int, error) {
	r.fields, r.scratch = r.fields[:0], r.scratch[:0]
	for i := 0; i < len(text); {
		value, n, err := r.value(text[i:])
		if err != nil || n < 0 {
			return 0, err
		}
		quoted := n > 0 && text[i] == '"'
		i += n
		if i == len(text) {
			if !r.ended() {
				return 0, nil
			}
			r.fields = append(r.fields, value)
			return i, nil
		}
		end := text[i] == '\n'
		switch {
		case end && !quoted && len(value) > 0 && value[len(value)-1] == '\r' && (r.crlf || r.row == 0):
			value, r.crlf = value[:len(value)-1], true
		case text[i] == '\r':
			if i+1 == len(text) {
				return 0, nil
			}
			if r.row == 0 {
				r.crlf = true
			}
			if text[i+1] != '\n' || !r.crlf {
				return 0, &csvSyntaxError{r.row, "a value goes on behind its closing quote"}
			}
			i, end = i+1, true
		case !end && text[i] != ',':
			return 0, &csvSyntaxError{r.row, "a value goes on behind its closing quote"}
		}
		r.fields = append(r.fields, value)
		i++
		if end {
			return i, nil
		}
	}
	return 0, nil
}

// value reads one value and returns the length of its text; -1: it is not whole. A
// quote that ends the text may be the first of two: parse asks for more then.
func (r *csvReader) value(text []byte) ([]byte, int, error) {
	if text[0] != '"' {
		n := bytes.IndexAny(text, ",\n\"")
		if n < 0 {
			if !r.ended() {
				return nil, -1, nil
			}
			return text, len(text), nil
		}
		if text[n] == '"' {
			return nil, 0, &csvSyntaxError{r.row, "a quote within a value that does not begin with one"}
		}
		return text[:n:n], n, nil
	}
	start, from := len(r.scratch), 1
	for i := 1; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return nil, -1, nil
		}
		i += n
		if i+1 < len(text) && text[i+1] == '"' {
			r.scratch = append(r.scratch, text[from:i+1]...)
			i += 2
			from = i
			continue
		}
		if from == 1 {
			return text[1:i:i], i + 1, nil
		}
		r.scratch = append(r.scratch, text[from:i]...)
		return r.scratch[start:len(r.scratch):len(r.scratch)], i + 1, nil
	}
}
