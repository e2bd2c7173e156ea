package salesforce

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// lastLocator is the locator behind the last page: the word, not an empty value
// (Bulk API 2.0 Developer Guide, "Get Results for a Query Job").
const lastLocator = "null"

// bulkPage is one page of a job's result.
type bulkPage struct {
	s       *stream
	csv     *csvReader
	writer  *rowWriter
	columns []int // of the form, in the order of the page
	locator string
	rows    int // that the page has
	read    int
}

// open asks for the page of the position and goes to the row behind it.
func (b *BulkRows) open() error {
	path := jobPath(b.job.ID, b.job.APIVersion) + "/results?maxRecords=" + strconv.Itoa(b.reader.config.BulkPageRows)
	if b.at.Locator != "" {
		path += "&locator=" + url.QueryEscape(b.at.Locator)
	}
	s, err := b.reader.open(b.ctx, call{method: http.MethodGet, path: path, accept: acceptCSV})
	if err != nil {
		return err
	}
	p := &bulkPage{s: s, csv: newCSVReader(s, s.framed), writer: newRowWriter(b.selection.Form)}
	b.page = p
	if err := p.begin(b.job.Processed == 0); err != nil {
		return err
	}
	return b.skip()
}

// begin reads the headers and the header line. A result without rows may have
// neither.
func (p *bulkPage) begin(empty bool) error {
	p.locator = p.s.header.Get("Sforce-Locator")
	count, known := recordCount(p.s.header)
	if empty && (p.s.status == http.StatusNoContent || count == 0) {
		p.locator = lastLocator
		return nil
	}
	// A page that does not say what follows it may come from something in between:
	// to take it for the last one would lose rows.
	if !known || p.locator == "" {
		return p.s.unusable(true, "it is no page of a job's result: Sforce-Locator or Sforce-NumberOfRecords is missing")
	}
	p.rows = count
	header, err := p.csv.next()
	if errors.Is(err, io.EOF) && count == 0 {
		return nil
	}
	if err != nil {
		return p.failure(err)
	}
	return p.header(header)
}

// recordCount is how many rows a page has, without its header line.
func recordCount(header http.Header) (int, bool) {
	count, err := strconv.Atoi(header.Get("Sforce-NumberOfRecords"))
	if err != nil || count < 0 {
		return 0, false
	}
	return count, true
}

// header maps the columns of the page to those of the form.
func (p *bulkPage) header(names [][]byte) error {
	form := p.writer.form
	seen := make([]bool, len(form.columns))
	for _, name := range names {
		at, known := form.byName[string(name)]
		if !known || seen[at] {
			return p.s.unusable(false, "it has the column "+quote(string(name))+", which was not asked for or comes twice")
		}
		seen[at] = true
		p.columns = append(p.columns, at)
	}
	if len(names) != len(form.columns) {
		return p.s.unusable(false, fmt.Sprintf("it has %d columns, not the %d that were asked for", len(names), len(form.columns)))
	}
	return nil
}

// skip passes over rows that were handed out before the page broke. Salesforce may
// give fewer of them with one page than before: then the others are on the next.
func (b *BulkRows) skip() error {
	p := b.page
	for range b.at.Row {
		err := p.read1()
		if errors.Is(err, errPageEnd) {
			if p.locator == lastLocator || p.locator == b.at.Locator {
				return p.changed()
			}
			b.at.Locator, b.at.Row = p.locator, b.at.Row-p.read
			b.drop()
			return nil
		}
		if err != nil {
			return err
		}
	}
	if id := p.writer.cells[0].text; b.at.Row > 0 && string(id) != b.at.LastID {
		return p.changed()
	}
	return nil
}

func (p *bulkPage) changed() error {
	return p.s.unusable(false, "the result has other rows than when it was first read")
}

// row reads one row.
func (p *bulkPage) row() (Row, error) {
	if err := p.read1(); err != nil {
		return Row{}, err
	}
	return p.writer.row()
}

// read1 reads one line into the cells; errPageEnd says that there is none, and that
// the page has brought as many as it promised.
func (p *bulkPage) read1() error {
	if p.read == p.rows {
		return p.whole()
	}
	values, err := p.csv.next()
	if err != nil {
		return p.failure(err)
	}
	if len(values) != len(p.columns) {
		return p.s.unusable(true, fmt.Sprintf("row %d has %d values, the header %d", p.read+1, len(values), len(p.columns)))
	}
	p.read++
	for i, value := range values {
		c := cell{set: true, csv: true}
		if len(value) > 0 { // Bulk API has no other sign for null
			c.text = value
		}
		p.writer.cells[p.columns[i]] = c
	}
	return nil
}

// whole checks that nothing follows the rows that the page was said to have.
func (p *bulkPage) whole() error {
	if p.columns == nil {
		return errPageEnd
	}
	if _, err := p.csv.next(); err == nil {
		return p.s.unusable(true, fmt.Sprintf("it has more than the %d rows that it says", p.rows))
	}
	return errPageEnd // what else comes, if only an error, holds no row
}

// failure tells a page that was cut off from one that is something else.
func (p *bulkPage) failure(err error) error {
	var syntax *csvSyntaxError
	switch {
	case errors.Is(err, errTooLarge):
		return p.s.unusable(false, "a row of it is larger than 16 MiB")
	case errors.As(err, &syntax):
		return p.s.unusable(true, "it is damaged: "+syntax.Error())
	case errors.Is(err, io.EOF), errors.Is(err, errCSVCut):
		return &NetworkError{Host: p.s.host, Path: p.s.path, Err: fmt.Errorf("the page was cut off after %d of %d rows: %w", p.read, p.rows, io.ErrUnexpectedEOF)}
	}
	return err
}

// turn follows a page that was read to its end.
func (b *BulkRows) turn() error {
	p := b.page
	b.drop()
	if p.locator == lastLocator {
		b.ended = true
		return nil
	}
	if p.locator == b.at.Locator || strings.TrimSpace(p.locator) == "" {
		return p.s.unusable(false, "its locator points to itself")
	}
	b.at.Locator, b.at.Row, b.at.LastID = p.locator, 0, ""
	return nil
}
