package salesforce_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

// openRows is a way to read all rows of an org of a few.
type openRows func(*salesforce.Reader, context.Context, *salesforce.Form, *rowsOrg) (salesforce.Rows, error)

// readers are the ways by name.
func readers() map[string]openRows {
	long := longCondition()
	return map[string]openRows{
		"query": func(r *salesforce.Reader, ctx context.Context, form *salesforce.Form, _ *rowsOrg) (salesforce.Rows, error) {
			return r.Query(ctx, salesforce.Selection{Form: form})
		},
		"bulk": func(r *salesforce.Reader, ctx context.Context, form *salesforce.Form, _ *rowsOrg) (salesforce.Rows, error) {
			return r.Bulk(ctx, salesforce.Selection{Form: form})
		},
		"ids": func(r *salesforce.Reader, ctx context.Context, form *salesforce.Form, org *rowsOrg) (salesforce.Rows, error) {
			var ids []string
			for _, row := range org.rows {
				ids = append(ids, row.id)
			}
			return r.ByIDs(ctx, form, ids)
		},
		"long query": func(r *salesforce.Reader, ctx context.Context, form *salesforce.Form, _ *rowsOrg) (salesforce.Rows, error) {
			return r.Query(ctx, salesforce.Selection{Form: form, Where: long})
		},
	}
}

// longCondition is fulfilled by all rows of the org, which does not read it, and
// too long for a URL.
func longCondition() salesforce.Condition {
	var values []salesforce.Literal
	for i := range 700 {
		values = append(values, salesforce.TextLiteral(fmt.Sprintf("value number %d", i)))
	}
	return salesforce.WhereIn("Name", values...)
}

const smallRows = 7

// smallOrg has pages of two kinds: three rows with a query and two in a reply.
func smallOrg(t testing.TB) (*rowsOrg, *salesforce.Reader) {
	t.Helper()
	org := newRowsOrg(smallRows)
	org.batch, org.looks = 2, 1
	return org, newReader(t, org, func(c *salesforce.ReaderConfig) { c.PageRows, c.BulkPageRows = 3, 3 })
}

// TestRowsEveryFault breaks each request of each reader in each way, replies at
// each of their bytes, and demands that each row comes once.
func TestRowsEveryFault(t *testing.T) {
	for name, open := range readers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			readWith := func(at int, fault rowsFault) *rowsOrg {
				org, reader := smallOrg(t)
				org.fault = func(n int, _ *http.Request) rowsFault {
					if n == at {
						return fault
					}
					return rowsFault{}
				}
				rows, err := open(reader, t.Context(), rowsForm(t), org)
				if err != nil {
					t.Fatal(err)
				}
				got, err := readAll(rows)
				if err != nil {
					t.Fatalf("request %d, %+v: %v", at, fault, err)
				}
				sameRows(t, got, org.rows)
				if err := rows.Close(); err != nil {
					t.Fatalf("request %d, %+v: closing: %v", at, fault, err)
				}
				return org
			}
			faults, whole := 0, readWith(-1, rowsFault{})
			for at := range whole.asked {
				for _, fault := range everyFault(whole.sizes[at]) {
					readWith(at, fault)
					faults++
				}
			}
			t.Logf("%d requests, %d faults", len(whole.asked), faults)
		})
	}
}

// everyFault is what can happen to a request whose reply has so many bytes.
func everyFault(size int) []rowsFault {
	faults := []rowsFault{
		{status: 420, code: "ENHANCE_YOUR_CALM"}, {status: 429, code: "TOO_MANY"}, {status: 503, code: "SERVER_UNAVAILABLE"},
		{status: 403, code: "REQUEST_LIMIT_EXCEEDED"}, {status: 400, code: "QUERY_TIMEOUT"}, {status: 401, code: "INVALID_SESSION_ID"},
		{lost: true}, {lostReply: true}, {expire: true}, {failJobs: true}, {expire: true, lostReply: true},
	}
	for cut := 1; cut <= size; cut++ {
		faults = append(faults, rowsFault{cut: cut}, rowsFault{cut: cut, quiet: true})
	}
	return faults
}

// TestRowsRandomFaults breaks several requests of one reading.
func TestRowsRandomFaults(t *testing.T) {
	for name, open := range readers() {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(400) {
				random := rand.New(rand.NewPCG(seed, 1))
				org := newRowsOrg(40)
				org.batch, org.looks = 1+random.IntN(9), random.IntN(3)
				reader := newReader(t, org, func(c *salesforce.ReaderConfig) {
					c.PageRows, c.BulkPageRows, c.Attempts = 1+random.IntN(20), 1+random.IntN(20), 50
				})
				org.fault = func(int, *http.Request) rowsFault { return randomFault(random) }
				rows, err := open(reader, wait(t), rowsForm(t), org)
				if err != nil {
					t.Fatal(err)
				}
				got, err := readAll(rows)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				sameRows(t, got, org.rows)
			}
		})
	}
}

func randomFault(random *rand.Rand) rowsFault {
	switch random.IntN(12) {
	case 0:
		return rowsFault{status: []int{420, 429, 500, 502, 503}[random.IntN(5)], code: "SERVER_UNAVAILABLE"}
	case 1:
		return rowsFault{lost: true}
	case 2:
		return rowsFault{lostReply: true}
	case 3:
		return rowsFault{expire: true}
	case 4:
		return rowsFault{failJobs: true}
	case 5, 6:
		return rowsFault{cut: 1 + random.IntN(2000), quiet: random.IntN(2) == 0, short: random.IntN(4)}
	case 7:
		return rowsFault{short: 1 + random.IntN(3)}
	}
	return rowsFault{}
}

// TestRowsGoOnAfterError: what Next could not read it reads when it is called
// again, and nobody waits for what waiting does not cure.
func TestRowsGoOnAfterError(t *testing.T) {
	for name, open := range readers() {
		t.Run(name, func(t *testing.T) {
			for at := range 4 {
				org, reader := smallOrg(t)
				broken := true
				org.fault = func(n int, _ *http.Request) rowsFault {
					if n >= at && broken {
						return rowsFault{status: 503, code: "SERVER_UNAVAILABLE"}
					}
					return rowsFault{}
				}
				rows, err := open(reader, wait(t), rowsForm(t), org)
				if err != nil {
					t.Fatal(err)
				}
				first, err := readAll(rows)
				if len(org.asked) <= at {
					break // all is read with fewer requests
				}
				if !salesforce.Retryable(err) {
					t.Fatalf("%d: %v", at, err)
				}
				if len(org.asked) != at+8 {
					t.Errorf("%d: %d requests, want 8 attempts", at, len(org.asked)-at)
				}
				broken = false
				rest, err := readAll(rows)
				if err != nil {
					t.Fatal(err)
				}
				sameRows(t, append(first, rest...), org.rows)
			}
		})
	}
}
