package orgsim

import (
	"net/http"
	"strconv"
)

// maxURI is the longest request line's address; a longer query needs a shorter one.
const maxURI = 16_384

// query is query?q=, queryAll?q= and query?explain=.
func (c *restCall) query(all bool) error {
	if err := c.method(http.MethodGet); err != nil {
		return err
	}
	ask := c.r.URL.Query()
	if ask.Has("explain") && !ask.Has("q") {
		return c.explain(ask.Get("explain"))
	}
	s, err := parseSOQL(ask.Get("q"))
	if err != nil {
		return err
	}
	return c.locked(func() error {
		body, err := c.answer(s, all)
		if err == nil {
			c.json(body)
		}
		return err
	})
}

// answer runs a query on the org as it is now; the caller holds o.mu.
func (c *restCall) answer(s *soql, all bool) ([]byte, error) {
	q, err := c.catalogue().bind(s, all)
	switch {
	case err != nil:
		return nil, err
	case s.count:
		return append(strconv.AppendInt([]byte(`{"totalSize":`), int64(q.count()), 10), `,"done":true,"records":[]}`...), nil
	case len(q.aggregates) > 0:
		q.total()
		return append(q.aggregateRow([]byte(`{"totalSize":1,"done":true,"records":[`)), "]}"...), nil
	}
	now := c.o.now()
	c.o.expireCursors(now)
	return c.page(&cursor{q: q, rows: q.run(), batch: c.batch(), used: now}, 0), nil
}

// catalogue has the tables as the caller may see them.
func (c *restCall) catalogue() *catalogue {
	cat := c.o.catalogue(c.user)
	cat.version = c.version
	return cat
}

// queryPlan is one line of an explanation (REST API guide, Query Performance Feedback).
type queryPlan struct {
	Cardinality          int      `json:"cardinality"`
	Fields               []string `json:"fields"`
	LeadingOperationType string   `json:"leadingOperationType"`
	Notes                []any    `json:"notes"`
	RelativeCost         float64  `json:"relativeCost"`
	SobjectCardinality   int      `json:"sobjectCardinality"`
	SobjectType          string   `json:"sobjectType"`
}

// explain says how a query would be run: over the index of ids or over the table.
func (c *restCall) explain(text string) error {
	s, err := parseSOQL(text)
	if err != nil {
		return err
	}
	return c.locked(func() error { return c.planOf(s) })
}

func (c *restCall) planOf(s *soql) error {
	q, err := c.catalogue().bind(s, false)
	if err != nil {
		return err
	}
	n := len(q.candidates())
	p := queryPlan{Cardinality: n, Fields: []string{}, LeadingOperationType: "TableScan", Notes: []any{}, RelativeCost: 1.5, SobjectCardinality: len(q.table.rows), SobjectType: q.table.name}
	if q.ids != (idRange{}) {
		p.Fields, p.LeadingOperationType = []string{"Id"}, "Index"
		p.RelativeCost = float64(n) / float64(max(1, len(q.table.rows)))
	}
	c.ok(map[string]any{"plans": []queryPlan{p}, "sourceQuery": s.text})
	return nil
}
