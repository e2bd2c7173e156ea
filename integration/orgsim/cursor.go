package orgsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	pageRows    = 2000    // of a page, and at most
	fewestRows  = 200     // that Sforce-Query-Options may ask for
	pageBytes   = 4 << 20 // a page ends when it has as many
	openCursors = 10      // of one user; another one releases the oldest
)

// cursor is a query whose rows are read page by page. Which rows it has was decided
// when the query was sent; their values are those of the moment a page is read, and
// what was deleted by then is left out.
type cursor struct {
	id    string
	q     *query
	rows  []*record
	batch int
	used  time.Time
}

// keep opens a cursor; the caller holds o.mu.
func (o *Org) keep(c *cursor) {
	c.id = o.topicIDs.id18("01g")
	mine := 0
	for i := len(o.cursors) - 1; i >= 0; i-- {
		if o.cursors[i].q.cat.user != c.q.cat.user {
			continue
		}
		if mine++; mine >= openCursors {
			o.cursors = slices.Delete(o.cursors, i, i+1)
		}
	}
	o.cursors = append(o.cursors, c)
}

// expireCursors closes what nobody has read for long.
func (o *Org) expireCursors(now time.Time) {
	o.cursors = slices.DeleteFunc(o.cursors, func(c *cursor) bool { return now.Sub(c.used) > o.cfg.LocatorLifetime })
}

// CloseCursors ends all query locators, as time does, and returns how many there were.
func (o *Org) CloseCursors() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.cursors)
	o.cursors = nil
	return n
}

// forgetLocator closes the cursor that a request names.
func (o *Org) forgetLocator(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cursors = slices.DeleteFunc(o.cursors, func(c *cursor) bool { return strings.Contains(path, c.id[:15]) })
}

func errLocator() *RequestError {
	return &RequestError{Status: 400, Code: "INVALID_QUERY_LOCATOR", Message: "invalid query locator"}
}

// more is query/<locator>: a page of a query sent before.
func (c *restCall) more(locator string) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	return c.locked(func() error { return c.moreLocked(locator) })
}

func (c *restCall) moreLocked(locator string) error {
	id, place, _ := strings.Cut(locator, "-")
	offset, err := strconv.Atoi(place)
	now := c.o.now()
	c.o.expireCursors(now)
	i := slices.IndexFunc(c.o.cursors, func(k *cursor) bool { return k.id == ID18(id) && k.q.cat.user == c.user })
	if err != nil || offset < 0 || i < 0 || offset > len(c.o.cursors[i].rows) {
		return errLocator()
	}
	k := c.o.cursors[i]
	k.used = now
	c.json(c.page(k, offset))
	return nil
}

// page renders the rows of a cursor from an offset on; the caller holds o.mu.
func (c *restCall) page(k *cursor, offset int) []byte {
	dst := append(make([]byte, 0, 64<<10), `{"totalSize":`...)
	dst = strconv.AppendInt(dst, int64(len(k.rows)), 10)
	head := len(dst)
	rows := []byte(`,"records":[`)
	first, batch := true, k.batch
	if s := c.strike; s != nil && s.rows > 0 {
		batch = s.rows
	}
	at := offset
	for ; at < len(k.rows) && at-offset < batch && len(rows) < pageBytes; at++ {
		r := k.rows[at]
		if r.deleted && !k.q.all || k.q.table.find(r.id) != r {
			continue
		}
		if !first {
			rows = append(rows, ',')
		}
		first = false
		rows = k.q.choice.row(rows, k.q.table, r, c.base())
	}
	if at == len(k.rows) {
		dst = append(dst[:head], `,"done":true`...)
	} else {
		if k.id == "" {
			c.o.keep(k)
		}
		dst = append(dst[:head], `,"done":false,"nextRecordsUrl":"`...)
		dst = append(append(dst, c.base()...), "/query/"...)
		dst = strconv.AppendInt(append(append(dst, k.id...), '-'), int64(at), 10)
		dst = append(dst, '"')
	}
	return append(append(dst, rows...), "]}"...)
}

// batch is how many rows a page should have, by the header that asks for it.
func (c *restCall) batch() int {
	for _, option := range strings.FieldsFunc(c.r.Header.Get("Sforce-Query-Options"), func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(option), "=")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && strings.EqualFold(name, "batchSize") {
			return min(max(n, fewestRows), pageRows)
		}
	}
	return pageRows
}
