package salesforce

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// idDigits are the digits of an id in the order in which Salesforce sorts ids.
const idDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// keyPrefixLen is how many characters of an id name its object.
const keyPrefixLen = 3

// Ranges cuts a selection into at most n ranges that can be read side by side. They
// cover it whole, rows that are made meanwhile among them, and do not overlap. They
// are of equal width in ids, and so not of equal numbers of rows. It costs two calls.
func (r *Reader) Ranges(ctx context.Context, selection Selection, n int) ([]Range, error) {
	whole := selection.Range
	if n < 1 {
		return nil, &ConfigError{Field: "number of ranges", Problem: fmt.Sprintf("is %d", n), Try: "1 or more"}
	}
	if n == 1 {
		return []Range{whole}, nil
	}
	first, last, err := r.firstAndLast(ctx, selection)
	if err != nil {
		return nil, err
	}
	if first == "" {
		return []Range{whole}, nil
	}
	var ranges []Range
	after := whole.After
	for _, cut := range cuts(first, last, n) {
		ranges = append(ranges, Range{After: after, UpTo: cut})
		after = cut
	}
	return append(ranges, Range{After: after, UpTo: whole.UpTo}), nil
}

// firstAndLast returns the ends of a selection's ids; empty: it has no rows.
func (r *Reader) firstAndLast(ctx context.Context, selection Selection) (first, last string, err error) {
	if err := selection.check(); err != nil {
		return "", "", err
	}
	query := selection.query()
	query.Fields, query.Limit = []string{fieldID}, 1
	if soql, err := query.SOQL(); err != nil || len(r.queryCall(query, soql).path) > maxURI {
		query.Where = Condition{} // wider ends will do
	}
	var ends [2]string
	for i := range ends {
		query.OrderBy = []Order{{Field: fieldID, Descending: i == 1}}
		id, err := r.oneID(ctx, query)
		if err != nil || id == "" {
			return "", "", err
		}
		ends[i] = id
	}
	return ends[0], ends[1], nil
}

// oneID asks for the id of one row; empty: there is none.
func (r *Reader) oneID(ctx context.Context, query Query) (string, error) {
	soql, err := query.SOQL()
	if err != nil {
		return "", err
	}
	attempt := attempts{reader: r}
	for {
		var reply struct {
			Done    *bool
			Records []struct{ ID string }
		}
		err := r.json(ctx, r.queryCall(query, soql), &reply)
		if err == nil && (reply.Done == nil || len(reply.Records) > 1) {
			err = errors.New("the reply to a query of one id has another shape than expected")
		}
		if err == nil {
			for _, record := range reply.Records {
				return ID18(record.ID)
			}
			return "", nil
		}
		if err := attempt.failed(ctx, err); err != nil {
			return "", err
		}
	}
}

// cuts returns up to n-1 ids that lie evenly between two. Ids of different objects
// cannot be cut, and need not be: such a selection is read as one.
func cuts(first, last string, n int) []string {
	if first[:keyPrefixLen] != last[:keyPrefixLen] {
		return nil
	}
	low, width := idNumber(first), new(big.Int)
	width.Sub(idNumber(last), low)
	if width.Sign() <= 0 {
		return nil
	}
	var ids []string
	before := ""
	for i := 1; i < n; i++ {
		at := new(big.Int).Mul(width, big.NewInt(int64(i)))
		at.Add(low, at.Div(at, big.NewInt(int64(n))))
		id, err := ID18(first[:keyPrefixLen] + idText(at))
		if err == nil && id != before && id != first && id != last {
			ids = append(ids, id)
			before = id
		}
	}
	return ids
}

func idNumber(id string) *big.Int {
	number, base := new(big.Int), big.NewInt(int64(len(idDigits)))
	for _, c := range []byte(id[keyPrefixLen:15]) {
		number.Mul(number, base)
		number.Add(number, big.NewInt(int64(strings.IndexByte(idDigits, c))))
	}
	return number
}

func idText(number *big.Int) string {
	rest, digit, base := new(big.Int).Set(number), new(big.Int), big.NewInt(int64(len(idDigits)))
	var text [15 - keyPrefixLen]byte
	for i := len(text) - 1; i >= 0; i-- {
		rest.DivMod(rest, base, digit)
		text[i] = idDigits[digit.Int64()]
	}
	return string(text[:])
}
