package salesforce

import (
	"bytes"
	"fmt"
	"time"
)

// Row is one record, as an event of it would show it.
type Row struct {
	ID string
	// Modstamp is SystemModstamp, which has whole seconds; zero if the object lacks it.
	Modstamp time.Time
	Deleted  bool // IsDeleted
	// Missing says that a record which was asked for by its id does not exist, is
	// deleted, or is not for the user to see. The row has nothing but its ID then.
	Missing bool
	// JSON is an object with the fields of the Form. It belongs to the caller.
	JSON []byte
}

// RowError says that a row cannot be what was asked for. Reading it again would
// not help.
type RowError struct {
	Object  string
	ID      string // may be empty
	Field   string // may be empty
	Problem string
}

func (e *RowError) Error() string {
	text := "reading a row of " + e.Object
	if e.ID != "" {
		text += " with the id " + e.ID
	}
	if e.Field != "" {
		text += ", field " + e.Field
	}
	return text + ": " + e.Problem + "; try: describe the object again, its fields may have changed"
}

// rowWriter turns the cells of one row after the other into rows.
type rowWriter struct {
	form  *Form
	cells []cell // one for each column of the form
	out   []byte
}

func newRowWriter(form *Form) *rowWriter {
	return &rowWriter{form: form, cells: make([]cell, len(form.columns))}
}

// row makes the row of the cells.
func (w *rowWriter) row() (Row, error) {
	f := w.form
	var row Row
	if id := w.cells[0]; !id.null() {
		row.ID = string(bytes.Trim(id.text, `"`))
	}
	for i, c := range w.cells {
		if !c.set {
			return row, w.failure(row.ID, f.columns[i].name, "is not in the reply")
		}
	}
	if _, err := ID18(row.ID); err != nil {
		return row, w.failure("", fieldID, err.Error())
	}
	if f.modstamp >= 0 && !w.cells[f.modstamp].null() {
		t, err := parseDateTime(bytes.Trim(w.cells[f.modstamp].text, `"`))
		if err != nil {
			return row, w.failure(row.ID, fieldModstamp, "is "+quote(string(w.cells[f.modstamp].text))+", not a date and time")
		}
		row.Modstamp = t
	}
	row.Deleted = f.deleted >= 0 && string(w.cells[f.deleted].text) == "true"
	if err := w.write(row.ID); err != nil {
		return row, err
	}
	row.JSON = bytes.Clone(w.out)
	return row, nil
}

// write writes the row's JSON.
func (w *rowWriter) write(id string) error {
	w.out = append(w.out[:0], '{')
	for i := range w.form.members {
		m := &w.form.members[i]
		start := len(w.out)
		w.key(m.name)
		written, err := w.member(m, id)
		if err != nil {
			return err
		}
		if !written {
			w.out = w.out[:start]
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// member writes the value of a member; false: there is none.
func (w *rowWriter) member(m *member, id string) (bool, error) {
	hasParts := false
	for _, p := range m.parts {
		hasParts = hasParts || !w.cells[p.column].null()
	}
	// A name that is plain or has parts is a business's or a person's. A person has
	// parts; one that has neither is cleared whole.
	if m.plain >= 0 && !hasParts {
		return w.value(m.plain, id)
	}
	if !hasParts && !w.form.nulls {
		return false, nil
	}
	w.out = append(w.out, '{')
	for _, p := range m.parts {
		start := len(w.out)
		w.key(p.name)
		written, err := w.value(p.column, id)
		if err != nil {
			return false, err
		}
		if !written {
			w.out = w.out[:start]
		}
	}
	w.out = append(w.out, '}')
	return true, nil
}

// value writes the value of a column; false: there is none.
func (w *rowWriter) value(i int, id string) (bool, error) {
	c := w.cells[i]
	if c.null() {
		if w.form.nulls {
			w.out = append(w.out, "null"...)
		}
		return w.form.nulls, nil
	}
	out, err := appendCell(w.out, w.form.columns[i].kind, c)
	w.out = out
	if err != nil {
		return false, w.failure(id, w.form.columns[i].name, fmt.Sprintf("is %s, not %s: %v", quote(string(c.text[:min(len(c.text), maxShownText)])), w.form.columns[i].kind, err))
	}
	return true, nil
}

func (w *rowWriter) key(name string) {
	if last := w.out[len(w.out)-1]; last != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, '"', ':')
}

func (w *rowWriter) failure(id, field, problem string) error {
	return &RowError{Object: w.form.object, ID: id, Field: field, Problem: problem}
}
