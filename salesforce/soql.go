package salesforce

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxSOQL is how many characters a statement may have (SOQL and SOSL Reference,
// "SOQL and SOSL Limits").
const maxSOQL = 100_000

// Query is a SELECT of one object. It is made of checked names and of literals,
// so that nothing of a value can become a part of the statement.
type Query struct {
	Object  string
	Fields  []string // API names; those of parents are dotted, such as "Owner.Name"
	Where   Condition
	OrderBy []Order
	Limit   int // 0: none
	// All finds deleted and archived rows as well. It is not a part of the
	// statement but of the resource that is asked.
	All bool
}

// Order is a field to order by. Null comes first, as is Salesforce's default.
type Order struct {
	Field      string
	Descending bool
}

// SOQL returns the statement. Its error is a *ConfigError.
func (q Query) SOQL() (string, error) {
	if !isObjectName(q.Object) {
		return "", &ConfigError{Field: "object name", Problem: "is " + quote(q.Object), Try: "letters, digits and underscores, such as Account or Invoice__c"}
	}
	if len(q.Fields) == 0 {
		return "", &ConfigError{Field: "Query.Fields", Problem: "is empty", Try: "name the fields to read"}
	}
	for _, name := range q.Fields {
		if err := checkFieldPath(name); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(q.Fields, ", ") + " FROM " + q.Object)
	if q.Where.err != nil {
		return "", q.Where.err
	}
	if q.Where.text != "" {
		b.WriteString(" WHERE " + q.Where.text)
	}
	for i, order := range q.OrderBy {
		if err := checkFieldPath(order.Field); err != nil {
			return "", err
		}
		b.WriteString([]string{" ORDER BY ", ", "}[min(i, 1)] + order.Field)
		if order.Descending {
			b.WriteString(" DESC")
		}
	}
	if q.Limit < 0 {
		return "", &ConfigError{Field: "Query.Limit", Problem: "is " + strconv.Itoa(q.Limit), Try: "a positive number, or 0 for none"}
	}
	if q.Limit > 0 {
		b.WriteString(" LIMIT " + strconv.Itoa(q.Limit))
	}
	if b.Len() > maxSOQL {
		return "", &ConfigError{Field: "query", Problem: fmt.Sprintf("has %d characters, more than the %d that Salesforce takes", b.Len(), maxSOQL), Try: "fewer fields, or shorter lists of values"}
	}
	return b.String(), nil
}

// resource is what a statement is asked of.
func (q Query) resource() string {
	if q.All {
		return "/queryAll"
	}
	return "/query"
}

// Plan is one way to run a query, as Salesforce's optimizer sees it.
type Plan struct {
	Cardinality  int64    `json:"cardinality"` // rows expected
	Fields       []string `json:"fields"`      // of the index, if one is used
	Operation    string   `json:"leadingOperationType"`
	RelativeCost float64  `json:"relativeCost"` // above 1 the query is not selective
	ObjectRows   int64    `json:"sobjectCardinality"`
	Object       string   `json:"sobjectType"`
}

// Explain has Salesforce check a query without running it, and tells how it would
// be run, the best plan first (REST API Developer Guide, "Query Performance
// Feedback"). A query that cannot run is an *APIError such as INVALID_FIELD.
func (c *Client) Explain(ctx context.Context, q Query) ([]Plan, error) {
	soql, err := q.SOQL()
	if err != nil {
		return nil, err
	}
	var reply struct {
		Plans []Plan `json:"plans"`
	}
	if err := c.Get(ctx, q.resource()+"?explain="+url.QueryEscape(soql), &reply); err != nil {
		return nil, err
	}
	return reply.Plans, nil
}

// checkFieldPath admits what can be the name of a field, of this object or of a
// parent.
func checkFieldPath(path string) error {
	for part := range strings.SplitSeq(path, ".") {
		if !isObjectName(part) {
			return &ConfigError{Field: "field name", Problem: "is " + quote(path), Try: "an API name, such as Name, Invoice__c or Owner.Name"}
		}
	}
	return nil
}
