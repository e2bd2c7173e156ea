package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxIDs is how many records one request may name (REST API Developer Guide, "Get
// Multiple Records with Fields from One Object in a Larger Request").
const maxIDs = 2000

// IDRows reads records by their ids, in the order that they were given in. Use it
// from one goroutine at a time.
type IDRows struct {
	reader   *Reader
	ctx      context.Context // see QueryRows
	form     *Form
	writer   *rowWriter
	attempts attempts

	ids   []string // that have no row yet
	asked int      // how many of them the open reply is about
	open  *recordReader
}

// ByIDs reads records by their ids, each once, 2,000 with a call. A record that is
// not there, or not for the user, is a Row with Missing. To read records out of the
// recycle bin use Query with WhereIn and All.
func (r *Reader) ByIDs(ctx context.Context, form *Form, ids []string) (*IDRows, error) {
	if form == nil {
		return nil, &ConfigError{Field: "form", Problem: "is missing", Try: "give a form made by NewForm"}
	}
	rows := &IDRows{reader: r, ctx: ctx, form: form, writer: newRowWriter(form), attempts: attempts{reader: r}}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		full, err := ID18(id)
		if err != nil {
			return nil, &ConfigError{Field: "ids", Problem: "hold a wrong one: " + err.Error(), Try: "ids as Salesforce gave them"}
		}
		if !seen[full] {
			seen[full] = true
			rows.ids = append(rows.ids, full)
		}
	}
	return rows, nil
}

// Close implements Rows. Its error is always nil.
func (r *IDRows) Close() error {
	r.ids = nil
	r.drop()
	return nil
}

// Next implements Rows.
func (r *IDRows) Next() (Row, error) {
	for len(r.ids) > 0 {
		row, err := r.step()
		if err == nil {
			r.ids, r.asked = r.ids[1:], r.asked-1
			r.attempts.failures = 0
			if r.asked == 0 {
				r.drop()
			}
			return row, nil
		}
		r.drop()
		if err := r.attempts.failed(r.ctx, err); err != nil {
			return Row{}, err
		}
	}
	return Row{}, io.EOF
}

func (r *IDRows) step() (Row, error) {
	if r.open == nil {
		if err := r.ask(); err != nil {
			return Row{}, err
		}
	}
	if !r.open.dec.More() {
		if err := r.open.delim(']'); err != nil {
			return Row{}, err
		}
		return Row{}, r.open.s.unusable(false, fmt.Sprintf("it lacks the last %d of the records that were asked for", r.asked))
	}
	record, err := r.open.piece()
	if err != nil {
		return Row{}, err
	}
	if string(record) == "null" {
		return Row{ID: r.ids[0], Missing: true}, nil
	}
	if err := r.writer.readRecord(record); err != nil {
		return Row{}, err
	}
	row, err := r.writer.row()
	if err == nil && row.ID != r.ids[0] {
		return Row{}, r.open.s.unusable(false, "it has the record "+quote(row.ID)+" in the place of "+r.ids[0])
	}
	return row, err
}

func (r *IDRows) ask() error {
	r.asked = min(len(r.ids), maxIDs)
	body, err := json.Marshal(map[string][]string{"ids": r.ids[:r.asked], "fields": r.form.Columns()})
	if err != nil {
		return fmt.Errorf("writing a list of ids: %w", err)
	}
	path := "/composite/sobjects/" + url.PathEscape(r.form.object)
	s, err := r.reader.open(r.ctx, call{method: http.MethodPost, path: path, accept: acceptJSON, body: body})
	if err != nil {
		return err
	}
	r.open = newRecordReader(s)
	return r.open.delim('[')
}

func (r *IDRows) drop() {
	if r.open != nil {
		r.open.s.close()
		r.open = nil
	}
}
