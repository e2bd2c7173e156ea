package salesforce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxRowBytes bounds one row: 16 MiB unpacked, as for other replies.
	maxRowBytes = 16 << 20
	// headBytes is how much of a reply is kept to tell what came instead of JSON.
	headBytes = 1 << 10
)

// recordReader reads a reply of JSON piece by piece.
type recordReader struct {
	s    *stream
	dec  *json.Decoder
	raw  json.RawMessage // of the last piece
	left int             // bytes that may come before the next piece is whole
	head []byte
}

func newRecordReader(s *stream) *recordReader {
	r := &recordReader{s: s, left: maxRowBytes}
	r.dec = json.NewDecoder(r)
	return r
}

// Read hands the decoder what it asks for, up to the bound of a row.
func (r *recordReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errTooLarge
	}
	n, err := r.s.Read(p[:min(len(p), r.left)])
	r.left -= n
	if room := headBytes - len(r.head); room > 0 {
		r.head = append(r.head, p[:min(n, room)]...)
	}
	return n, err
}

// piece reads the next value.
func (r *recordReader) piece() (json.RawMessage, error) {
	err := r.dec.Decode(&r.raw)
	r.left = maxRowBytes
	return r.raw, r.failure(err)
}

// value decodes the next value.
func (r *recordReader) value(v any) error {
	text, err := r.piece()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return r.s.unusable(false, "it has another shape than expected: "+clean(err.Error()))
	}
	return nil
}

// delim demands a bracket.
func (r *recordReader) delim(want json.Delim) error {
	token, err := r.dec.Token()
	if err != nil {
		return r.failure(err)
	}
	if token != want {
		return r.s.unusable(false, fmt.Sprintf("it has another shape than expected: %s where %v belongs", quote(fmt.Sprint(token)), want))
	}
	return nil
}

// failure tells a reply that was cut off from one that is something else.
func (r *recordReader) failure(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooLarge):
		return r.s.unusable(false, "a row of it is larger than 16 MiB")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &NetworkError{Host: r.s.host, Path: r.s.path, Err: fmt.Errorf("the reply was cut off: %w", io.ErrUnexpectedEOF)}
	case errors.As(err, &syntax):
		if head := bytes.TrimSpace(r.head); len(head) > 0 && (head[0] == '{' || head[0] == '[') {
			return r.s.unusable(true, "it is damaged: "+clean(err.Error()))
		}
		got := reply{status: r.s.status, header: r.s.header, body: r.head}
		return r.s.unusable(true, "it is "+got.describe())
	}
	return err
}

// page is one reply to a query, alone or as the one result of a composite batch.
type page struct {
	*recordReader
	within bool // records are being read

	total   *int
	done    *bool
	next    string
	records bool
}

// newPage reads up to the members of the page.
func newPage(s *stream, batch bool) (*page, error) {
	p := &page{recordReader: newRecordReader(s)}
	if err := p.delim('{'); err != nil || !batch {
		return p, err
	}
	return p, p.enterBatch()
}

// enterBatch goes into the first result of a composite batch.
func (p *page) enterBatch() error {
	if err := p.find("results"); err != nil {
		return err
	}
	if err := p.delim('['); err != nil {
		return err
	}
	if err := p.delim('{'); err != nil {
		return err
	}
	status := 0
	for p.dec.More() {
		name, err := p.dec.Token()
		if err != nil {
			return p.failure(err)
		}
		switch name {
		case "statusCode":
			err = p.value(&status)
		case "result":
			var token json.Token
			if token, err = p.dec.Token(); err == nil && token == json.Delim('{') {
				return nil
			}
			if err == nil && token == json.Delim('[') {
				return p.refusal(status)
			}
		default:
			_, err = p.piece()
		}
		if err != nil {
			return p.failure(err)
		}
	}
	if err := p.delim('}'); err != nil {
		return err
	}
	return p.s.unusable(false, "a batch without a result")
}

// find goes to the value of a member.
func (p *page) find(want string) error {
	for p.dec.More() {
		name, err := p.dec.Token()
		if err != nil {
			return p.failure(err)
		}
		if name == want {
			return nil
		}
		if _, err := p.piece(); err != nil {
			return err
		}
	}
	if _, err := p.dec.Token(); err != nil {
		return p.failure(err)
	}
	return p.s.unusable(false, quote(want)+" is missing")
}

// refusal reads the errors that stand in place of a result.
func (p *page) refusal(status int) error {
	var errs []json.RawMessage
	for p.dec.More() && len(errs) < maxErrorsTold {
		text, err := p.piece()
		if err != nil {
			return err
		}
		errs = append(errs, bytes.Clone(text))
	}
	if _, err := p.dec.Token(); err != nil {
		return p.failure(err)
	}
	for status == 0 && p.dec.More() {
		name, err := p.dec.Token()
		if err == nil && name == "statusCode" {
			err = p.value(&status)
		} else if err == nil {
			_, err = p.piece()
		}
		if err != nil {
			return p.failure(err)
		}
	}
	if status == 0 {
		if err := p.delim('}'); err != nil {
			return err
		}
	}
	body, err := json.Marshal(errs)
	if err != nil {
		return p.s.unusable(false, "its errors cannot be read: "+clean(err.Error()))
	}
	return apiError(&reply{status: status, header: p.s.header, body: body}, p.s.path, p.s.secret)
}

// record reads the next record; errPageEnd tells that there is none, and then the
// other members are known.
func (p *page) record() (json.RawMessage, error) {
	for {
		if p.within {
			if p.dec.More() {
				return p.piece()
			}
			if err := p.delim(']'); err != nil {
				return nil, err
			}
			p.within = false
		}
		token, err := p.dec.Token()
		if err != nil {
			return nil, p.failure(err)
		}
		if token == json.Delim('}') {
			return nil, p.end()
		}
		switch token {
		case "records":
			p.records, p.within = true, true
			err = p.delim('[')
		case "totalSize":
			err = p.value(&p.total)
		case "done":
			err = p.value(&p.done)
		case "nextRecordsUrl":
			err = p.value(&p.next)
		default:
			_, err = p.piece()
		}
		if err != nil {
			return nil, err
		}
	}
}

// end checks that the page says all that it must.
func (p *page) end() error {
	switch {
	case !p.records, p.total == nil, p.done == nil:
		return p.s.unusable(false, "it is no page of rows: records, totalSize or done is missing")
	case !*p.done && p.next == "":
		return p.s.unusable(false, "it is not the last page and does not say where the next one is")
	}
	return errPageEnd
}
