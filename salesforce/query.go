package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// QueryRows reads a selection by REST queries, in the order of ids: each asks for
// some rows behind the last one. It needs no cursor at Salesforce from one query
// to the next, so that it can go on at any later time: see Last. Use it from one
// goroutine at a time.
type QueryRows struct {
	reader    *Reader
	ctx       context.Context // of the whole reading, as the rows of package database/sql have
	selection Selection
	writer    *rowWriter
	attempts  attempts
	ended     bool

	last string // id of the last row that was handed out
	rows int    // that the next query asks for

	page *page
	// Of the query whose pages are being read:
	next  string // where its next page is; empty: a new query comes next
	asked int
	got   int
}

// Query reads a selection by REST queries, which all objects have that can be
// queried at all. Nothing is sent before the first Next. The rows end with ctx.
func (r *Reader) Query(ctx context.Context, selection Selection) (*QueryRows, error) {
	if err := selection.check(); err != nil {
		return nil, err
	}
	return &QueryRows{
		reader: r, ctx: ctx, selection: selection, writer: newRowWriter(selection.Form),
		attempts: attempts{reader: r}, last: selection.Range.After, rows: r.config.PageRows,
	}, nil
}

// Last is the id of the last row that was handed out: the After of a Range that
// goes on behind it.
func (q *QueryRows) Last() string { return q.last }

// Close implements Rows. Its error is always nil.
func (q *QueryRows) Close() error {
	q.ended = true
	q.drop()
	return nil
}

// Next implements Rows.
func (q *QueryRows) Next() (Row, error) {
	for !q.ended {
		row, err := q.step()
		if err == nil {
			q.last = row.ID
			q.got++
			q.attempts.failures = 0
			return row, nil
		}
		if errors.Is(err, errPageEnd) {
			err = q.turn()
		}
		if err == nil {
			continue
		}
		// The rest of the query is asked for by a new one, behind the last row: the
		// cursor may be gone, and the page has been read in part.
		q.drop()
		q.next = ""
		q.shrink(err)
		if isCode(err, codeTooLarge) && q.asked > 1 {
			continue // halving ends at one row
		}
		if isCode(err, codeInvalidLocator) && q.attempts.failures == 0 {
			q.attempts.failures = 1 // an expired cursor is nobody's trouble: no wait
			continue
		}
		if err := q.attempts.failed(q.ctx, err); err != nil {
			return Row{}, err
		}
	}
	return Row{}, io.EOF
}

// step reads one row, from a new page if none is open.
func (q *QueryRows) step() (Row, error) {
	if q.page == nil {
		if err := q.open(); err != nil {
			return Row{}, err
		}
	}
	record, err := q.page.record()
	if err != nil {
		return Row{}, err
	}
	if err := q.writer.readRecord(record); err != nil {
		return Row{}, err
	}
	row, err := q.writer.row()
	if err == nil && row.ID == q.last {
		return Row{}, q.page.s.unusable(false, "it brings the row "+quote(row.ID)+" again, though rows behind it were asked for")
	}
	return row, err
}

// open asks for the next page.
func (q *QueryRows) open() error {
	ask, batch := call{method: http.MethodGet, path: q.next, accept: acceptJSON, batch: q.asked}, false
	if q.next == "" {
		selection := q.selection
		selection.Range.After = q.last
		query := selection.query()
		query.OrderBy, query.Limit = []Order{{Field: fieldID}}, q.rows
		soql, err := query.SOQL()
		if err != nil {
			return err
		}
		q.asked, q.got = q.rows, 0
		if ask, batch, err = q.reader.statement(q.ctx, query, soql); err != nil {
			return err
		}
	}
	s, err := q.reader.open(q.ctx, ask)
	if err != nil {
		return err
	}
	q.page, err = newPage(s, batch)
	return err
}

// statement asks a statement by its URL, or in the body of a composite batch if it
// is too long for one.
func (r *Reader) statement(ctx context.Context, query Query, soql string) (call, bool, error) {
	ask := r.queryCall(query, soql)
	if len(ask.path) <= maxURI {
		return ask, false, nil
	}
	version, err := r.version(ctx)
	if err != nil {
		return call{}, false, err
	}
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	body, err := json.Marshal(map[string][]request{"batchRequests": {{http.MethodGet, "v" + version + ask.path}}})
	if err != nil {
		return call{}, false, fmt.Errorf("writing a composite batch: %w", err)
	}
	return call{method: http.MethodPost, path: "/composite/batch", accept: acceptJSON, body: body, batch: query.Limit}, true, nil
}

// turn follows a page that was read to its end.
func (q *QueryRows) turn() error {
	p := q.page
	q.drop()
	if !*p.done {
		if q.next == p.next || !isOwnPath(p.next) {
			return p.s.unusable(false, "its next page is "+quote(p.next))
		}
		q.next = p.next
		return nil
	}
	q.next = ""
	if q.got != *p.total {
		// Rows that were deleted meanwhile do that, too: the next query finds none.
		return p.s.unusable(true, fmt.Sprintf("the query has %d rows and %d came", *p.total, q.got))
	}
	q.ended = q.got < q.asked
	q.rows = min(q.rows*2, q.reader.config.PageRows)
	return nil
}

// shrink asks for less after a query that took too long or a page that broke.
func (q *QueryRows) shrink(err error) {
	var network *NetworkError
	if isCode(err, codeQueryTimeout) || isCode(err, codeTooLarge) || errors.As(err, &network) {
		q.rows = max(q.rows/2, 1)
	}
}

func (q *QueryRows) drop() {
	if q.page != nil {
		q.page.s.close()
		q.page = nil
	}
}

func isCode(err error, code string) bool {
	var refused *APIError
	return errors.As(err, &refused) && refused.Code == code
}

// isOwnPath admits a path of the REST API on the same host.
func isOwnPath(path string) bool {
	u, err := url.Parse(path)
	return err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(path, "/services/")
}
