package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// TestQueryRequests: keyset pages, and cursors within them only.
func TestQueryRequests(t *testing.T) {
	org, reader := smallOrg(t)
	var statements, options []string
	org.fault = func(_ int, r *http.Request) rowsFault {
		statements = append(statements, r.URL.Path+"?"+r.URL.Query().Get("q"))
		options = append(options, r.Header.Get("Sforce-Query-Options"))
		return rowsFault{}
	}
	where := salesforce.Where("Name", "!=", salesforce.TextLiteral("x"))
	rows, err := reader.Query(wait(t), salesforce.Selection{Form: rowsForm(t), Where: where, All: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(rows)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, got, org.rows)
	const data, selected = "/services/data/v66.0", "SELECT Id, SystemModstamp, IsDeleted, Name, Note__c FROM Account WHERE "
	want := []string{
		data + "/queryAll?" + selected + "Name != 'x' ORDER BY Id LIMIT 3", data + "/query/01g1-2?",
		data + "/queryAll?" + selected + "(Name != 'x' AND Id > '" + org.rows[2].id + "') ORDER BY Id LIMIT 3", data + "/query/01g2-2?",
		data + "/queryAll?" + selected + "(Name != 'x' AND Id > '" + org.rows[5].id + "') ORDER BY Id LIMIT 3",
	}
	if !slices.Equal(statements, want) || rows.Last() != org.rows[6].id {
		t.Errorf("asked %q, want %q", statements, want)
	}
	if options[0] != "batchSize=200" {
		t.Errorf("options %q", options)
	}
}

// TestQueryAdapts: a query that takes too long is asked for less, and for more
// again when that went well.
func TestQueryAdapts(t *testing.T) {
	for code, waits := range map[string]int{"QUERY_TIMEOUT": 3, "OPERATION_TOO_LARGE": 0} {
		org := newRowsOrg(100)
		var limits []string
		org.fault = func(_ int, r *http.Request) rowsFault {
			limit := statementPart(`LIMIT (\d+)`, r.URL.Query().Get("q"))
			limits = append(limits, limit)
			if len(limits) < 4 {
				return rowsFault{status: 400, code: code}
			}
			return rowsFault{}
		}
		waited := 0
		reader := newReader(t, org, func(c *salesforce.ReaderConfig) {
			c.PageRows = 40
			c.Wait = func(context.Context, time.Duration) error { waited++; return nil }
		})
		rows, err := reader.Query(wait(t), salesforce.Selection{Form: rowsForm(t)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(rows)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, got, org.rows)
		if !slices.Equal(limits, []string{"40", "20", "10", "5", "10", "20", "40", "40"}) || waited != waits {
			t.Errorf("%s: limits %q, waited %d times", code, limits, waited)
		}
	}
	org := newRowsOrg(1)
	org.fault = func(int, *http.Request) rowsFault { return rowsFault{status: 400, code: "OPERATION_TOO_LARGE"} }
	rows, err := newReader(t, org, nil).Query(wait(t), salesforce.Selection{Form: rowsForm(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Next(); err == nil || salesforce.Retryable(err) || len(org.asked) != 11 {
		t.Errorf("%v after %d requests, want 2,000 halved down to 1", err, len(org.asked))
	}
}

// fixedReply answers everything with one text.
type fixedReply string

func (f fixedReply) RoundTrip(r *http.Request) (*http.Response, error) {
	return rowsReply(r, 200, nil, []byte(f)), nil
}

func TestQueryRefusesPages(t *testing.T) {
	record := `{"Id":"` + formID + `","F__c":"a"}`
	for name, tc := range map[string]struct {
		page, part string
		retryable  bool
	}{
		"a page of a proxy":  {`<html><title>Maintenance</title></html>`, `titled "Maintenance"`, true},
		"a token":            {`<html><title>Bearer first</title></html>`, "Bearer [redacted]", true},
		"empty":              {``, "cut off", true},
		"a list":             {`[]`, "another shape", false},
		"no records":         {`{"totalSize":0,"done":true}`, "no page of rows", false},
		"no size":            {`{"records":[],"done":true}`, "no page of rows", false},
		"not done?":          {`{"records":[],"totalSize":0}`, "no page of rows", false},
		"no next":            {`{"records":[],"totalSize":5,"done":false}`, "where the next one is", false},
		"next elsewhere":     {`{"records":[],"totalSize":5,"done":false,"nextRecordsUrl":"https://evil.example/services/x"}`, "evil.example", false},
		"next to elsewhere":  {`{"records":[],"totalSize":5,"done":false,"nextRecordsUrl":"//evil.example/services/x"}`, "evil.example", false},
		"next is the same":   {`{"records":[],"totalSize":5,"done":false,"nextRecordsUrl":"/services/data/v66.0/query/1"}`, "query/1", false},
		"size is too large":  {`{"records":[],"totalSize":2,"done":true}`, "has 2 rows and 0 came", true},
		"the same row again": {`{"records":[` + record + `,` + record + `],"totalSize":2,"done":true}`, "again", false},
		"damaged":            {`{"records":[?`, "damaged", true},
		"records as object":  {`{"records":{}}`, "another shape", false},
		"size as text":       {`{"totalSize":"1"}`, "another shape", false},
		"huge row":           {`{"records":[{"Id":"` + strings.Repeat("x", 17<<20), "larger than 16 MiB", false},
	} {
		t.Run(name, func(t *testing.T) {
			form := newForm(t, salesforce.FormConfig{Describe: describe(salesforce.Field{Name: "F__c", Type: "string"})})
			rows, err := newReader(t, fixedReply(tc.page), nil).Query(wait(t), salesforce.Selection{Form: form})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = rows.Next()
			}
			if salesforce.Retryable(err) != tc.retryable {
				t.Errorf("retryable %v: %v", salesforce.Retryable(err), err)
			}
			mustContain(t, err.Error(), tc.part)
		})
	}
}

// TestQueryBatchRefusal: a statement that goes in a body is refused in one, too.
func TestQueryBatchRefusal(t *testing.T) {
	for _, reply := range []string{
		`{"hasErrors":true,"results":[{"statusCode":400,"result":[{"errorCode":"MALFORMED_QUERY","message":"no"},{"errorCode":"X","message":"no again"}]}]}`,
		`{"results":[{"result":[{"errorCode":"MALFORMED_QUERY","message":"no; no again"}],"more":1,"statusCode":400}]}`,
	} {
		rows, err := newReader(t, fixedReply(reply), nil).Query(wait(t), salesforce.Selection{Form: rowsForm(t), Where: longCondition()})
		if err != nil {
			t.Fatal(err)
		}
		_, err = rows.Next()
		var refused *salesforce.APIError
		if !errors.As(err, &refused) || refused.Code != "MALFORMED_QUERY" || refused.Status != 400 || refused.Message != "no; no again" {
			t.Errorf("%#v", err)
		}
	}
	for _, reply := range []string{`{}`, `{"results":[{}]}`, `{"results":[{"result":1}]}`, `{"results":[]}`, `{"results":1}`} {
		rows, err := newReader(t, fixedReply(reply), nil).Query(wait(t), salesforce.Selection{Form: rowsForm(t), Where: longCondition()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rows.Next(); err == nil {
			t.Errorf("%s: no error", reply)
		}
	}
}

func TestByIDs(t *testing.T) {
	org := newRowsOrg(2100)
	reader := newReader(t, org, nil)
	ids := []string{"001xx00009999zz"}
	for _, row := range org.rows {
		ids = append(ids, row.id, row.id[:15])
	}
	rows, err := reader.ByIDs(wait(t), rowsForm(t), ids)
	if err != nil {
		t.Fatal(err)
	}
	first, err := rows.Next()
	if err != nil || !first.Missing || first.ID[:15] != ids[0] || first.JSON != nil {
		t.Errorf("%+v, %v", first, err)
	}
	got, err := readAll(rows)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, got, org.rows)
	if len(org.asked) != 2 {
		t.Errorf("%d calls", len(org.asked))
	}
	for part, text := range map[string]string{"in the place of": `[{"Id":"` + formID + `"}]`, "lacks the last 1": `[]`, "another shape": `{}`} {
		form := newForm(t, salesforce.FormConfig{Describe: describe()})
		rows, err := newReader(t, fixedReply(text), nil).ByIDs(wait(t), form, ids[:1])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rows.Next(); err == nil || salesforce.Retryable(err) {
			t.Errorf("%s: %v", text, err)
		} else {
			mustContain(t, err.Error(), part)
		}
	}
	if _, err := reader.ByIDs(wait(t), rowsForm(t), []string{"'"}); err == nil {
		t.Error("an id that is none")
	}
}

// TestRanges: they cover what there is and what comes, each row once.
func TestRanges(t *testing.T) {
	for _, size := range []int{0, 1, 2, 50} {
		for _, n := range []int{1, 2, 7, 100} {
			org := newRowsOrg(size)
			reader := newReader(t, org, nil)
			ranges, err := reader.Ranges(wait(t), salesforce.Selection{Form: rowsForm(t)}, n)
			if err != nil || len(ranges) > n || size == 50 && n == 7 && len(ranges) != 7 {
				t.Fatalf("%d of %d rows: %v, %v", n, size, ranges, err)
			}
			if ranges[0].After != "" || ranges[len(ranges)-1].UpTo != "" {
				t.Errorf("open ends: %v", ranges)
			}
			var all []rowsRecord
			for _, part := range ranges {
				rows, err := reader.Query(wait(t), salesforce.Selection{Form: rowsForm(t), Range: part})
				if err != nil {
					t.Fatal(err)
				}
				got, err := readAll(rows)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, got...)
			}
			sameRows(t, all, org.rows)
		}
	}
	long := salesforce.Selection{Form: rowsForm(t), Where: longCondition()}
	if ranges, err := newReader(t, newRowsOrg(50), nil).Ranges(wait(t), long, 4); err != nil || len(ranges) != 4 {
		t.Errorf("of a long statement: %v, %v", ranges, err)
	}
	if _, err := newReader(t, newRowsOrg(1), nil).Ranges(wait(t), salesforce.Selection{Form: rowsForm(t)}, 0); err == nil {
		t.Error("no ranges at all")
	}
}

// changesOrg answers updated and deleted for each minute of a time.
type changesOrg struct {
	asked   []string
	longest time.Duration // that it answers
	covered time.Time
}

func (o *changesOrg) RoundTrip(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	o.asked = append(o.asked, q.Get("start")+" "+q.Get("end"))
	from, err1 := time.Parse(time.RFC3339, q.Get("start"))
	to, err2 := time.Parse(time.RFC3339, q.Get("end"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if to.Sub(from) > o.longest {
		return rowsReply(r, 400, nil, []byte(`[{"errorCode":"EXCEEDED_ID_LIMIT","message":"no"}]`)), nil
	}
	covered := to
	if o.covered.Before(to) {
		covered = o.covered
	}
	const rest = "2006-01-02T15:04:05.000+0000"
	text := fmt.Sprintf(`{"ids":["u%d"],"latestDateCovered":%q}`, len(o.asked), covered.Format(rest))
	if strings.HasSuffix(r.URL.Path, "/deleted/") {
		text = fmt.Sprintf(`{"deletedRecords":[{"id":"d%d","deletedDate":%q}],"earliestDateAvailable":%q,"latestDateCovered":%q}`,
			len(o.asked), from.Format(rest), o.covered.AddDate(0, 0, -15).Format(rest), covered.Format(rest))
	}
	return rowsReply(r, 200, nil, []byte(text)), nil
}

func TestChanges(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 59, 1, time.UTC)
	to := from.AddDate(0, 0, 45)
	org := &changesOrg{longest: 31 * 24 * time.Hour, covered: to.Add(time.Hour)}
	reader := newReader(t, org, nil)
	got, err := reader.Updated(wait(t), "Account", from, to)
	want := []string{"2026-01-01T00:00:00Z 2026-01-30T23:59:00Z", "2026-01-30T23:59:00Z 2026-02-15T00:01:00Z"}
	if err != nil || !slices.Equal(org.asked, want) || !slices.Equal(got.IDs, []string{"u1", "u2"}) || !got.Covered.Equal(to.Truncate(time.Minute).Add(time.Minute)) {
		t.Errorf("%+v, %v, asked %q", got, err, org.asked)
	}
	// Too many ids: half the time. What is not complete yet ends it.
	org.longest, org.covered, org.asked = 10*24*time.Hour, from.AddDate(0, 0, 10), nil
	got, err = reader.Deleted(wait(t), "Account", from, to)
	if err != nil || len(org.asked) != 4 || len(got.Deleted) != 2 || got.Deleted[0].At.IsZero() || !got.Covered.Equal(org.covered.Truncate(time.Millisecond)) || !got.Earliest.Before(from) {
		t.Errorf("%+v, %v, asked %q", got, err, org.asked)
	}
	for _, bad := range []struct {
		object   string
		from, to time.Time
	}{{"Account/..", from, to}, {"Account", to, from}, {"Account", from.Truncate(time.Minute), from.Truncate(time.Minute)}} {
		var config *salesforce.ConfigError
		if _, err := reader.Updated(wait(t), bad.object, bad.from, bad.to); !errors.As(err, &config) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := newReader(t, fixedReply(`{"ids":[]}`), nil).Updated(wait(t), "Account", from, to); err == nil {
		t.Error("no latestDateCovered")
	}
}

// TestOpen takes the cheaper way, and the other one where Bulk API refuses.
func TestOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		rows  int
		fault func(r *http.Request) rowsFault
		want  string
	}{
		"few":         {9, nil, "*salesforce.QueryRows"},
		"many":        {10, nil, "*salesforce.BulkRows"},
		"refused":     {10, refuse(http.MethodPost, "INVALIDENTITY"), "*salesforce.QueryRows"},
		"count hangs": {3, refuse(http.MethodGet, "QUERY_TIMEOUT"), "*salesforce.BulkRows"},
	} {
		t.Run(name, func(t *testing.T) {
			org := newRowsOrg(tc.rows)
			org.fault = func(n int, r *http.Request) rowsFault {
				if tc.fault != nil && n < 2 {
					return tc.fault(r)
				}
				return rowsFault{}
			}
			reader := newReader(t, org, func(c *salesforce.ReaderConfig) { c.BulkFrom = 10 })
			rows, err := reader.Open(wait(t), salesforce.Selection{Form: rowsForm(t)})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%T", rows); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			got, err := readAll(rows)
			if err := errors.Join(err, rows.Close()); err != nil {
				t.Fatal(err)
			}
			sameRows(t, got, org.rows)
		})
	}
	org := newRowsOrg(20)
	org.fault = func(_ int, r *http.Request) rowsFault { return refuse(http.MethodPost, "API_DISABLED_FOR_ORG")(r) }
	reader := newReader(t, org, func(c *salesforce.ReaderConfig) { c.BulkFrom = 10 })
	if rows, err := reader.Open(wait(t), salesforce.Selection{Form: rowsForm(t)}); err == nil {
		t.Errorf("%T", rows)
	}
	if rows, err := reader.Open(wait(t), salesforce.Selection{}); err == nil || rows != nil {
		t.Errorf("without a form: %T, %v", rows, err)
	}
}

func refuse(method, code string) func(*http.Request) rowsFault {
	return func(r *http.Request) rowsFault {
		if r.Method == method {
			return rowsFault{status: 400, code: code}
		}
		return rowsFault{}
	}
}

// TestSpend: every request is paid for, and none that cannot be paid is sent.
func TestSpend(t *testing.T) {
	for name, open := range readers() {
		t.Run(name, func(t *testing.T) {
			org, _ := smallOrg(t)
			budget, empty := 2, errors.New("the budget is spent")
			var client *salesforce.Client
			reader := newReader(t, org, func(c *salesforce.ReaderConfig) {
				client = c.Client
				c.PageRows, c.BulkPageRows = 3, 3
				c.Spend = func(_ context.Context, calls int) error {
					if budget < calls {
						return empty
					}
					budget -= calls
					return nil
				}
			})
			rows, err := open(reader, wait(t), rowsForm(t), org)
			if err != nil {
				t.Fatal(err)
			}
			first, err := readAll(rows)
			if name != "ids" && (!errors.Is(err, empty) || len(org.asked) != 2) {
				t.Errorf("%v after %d requests", err, len(org.asked))
			}
			budget = 100
			rest, err := readAll(rows)
			if err := errors.Join(err, rows.Close()); err != nil {
				t.Fatal(err)
			}
			if name != "ids" || len(first) == 0 {
				sameRows(t, append(first, rest...), org.rows)
			}
			if paid := 100 - budget; paid > 0 && client.Calls() != uint64(len(org.asked)) {
				t.Errorf("%d calls, %d requests", client.Calls(), len(org.asked))
			}
		})
	}
}

func TestNewReaderRefuses(t *testing.T) {
	var config *salesforce.ConfigError
	if _, err := salesforce.NewReader(salesforce.ReaderConfig{}); !errors.As(err, &config) {
		t.Error(err)
	}
	client := newClient(t, "https://acme.example", "x")
	for _, c := range []salesforce.ReaderConfig{{Client: client, Attempts: -1}, {Client: client, MaxJobs: -1}, {Client: client, PageRows: -1}} {
		if _, err := salesforce.NewReader(c); !errors.As(err, &config) {
			t.Error(err)
		}
	}
	reader := newReader(t, newRowsOrg(0), nil)
	for _, selection := range []salesforce.Selection{
		{}, {Form: rowsForm(t), Where: salesforce.WhereIn("Name")}, {Form: rowsForm(t), Range: salesforce.Range{After: "x"}}, {Form: rowsForm(t), Range: salesforce.Range{UpTo: "'"}},
	} {
		if _, err := reader.Query(wait(t), selection); !errors.As(err, &config) {
			t.Errorf("query: %v", err)
		}
		if _, err := reader.Bulk(wait(t), selection); !errors.As(err, &config) {
			t.Errorf("bulk: %v", err)
		}
	}
	if _, err := reader.ByIDs(wait(t), nil, nil); !errors.As(err, &config) {
		t.Error(err)
	}
}

// TestRangesSideBySide: ranges that are read at the same time bring each row once,
// within one budget and with no more jobs than MaxJobs.
func TestRangesSideBySide(t *testing.T) {
	for name, open := range map[string]func(*salesforce.Reader, salesforce.Selection) (salesforce.Rows, error){
		"query": func(r *salesforce.Reader, s salesforce.Selection) (salesforce.Rows, error) {
			return r.Query(t.Context(), s)
		},
		"bulk": func(r *salesforce.Reader, s salesforce.Selection) (salesforce.Rows, error) {
			return r.Bulk(t.Context(), s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			org := newRowsOrg(500)
			org.looks = 2
			most := 0
			org.fault = func(n int, _ *http.Request) rowsFault {
				most = max(most, len(org.jobs)) // under the org's lock
				return rowsFault{lostReply: n%7 == 3 && name == "query", cut: n % 5 * 300}
			}
			var spent atomic.Int64
			reader := newReader(t, org, func(c *salesforce.ReaderConfig) {
				c.PageRows, c.BulkPageRows, c.MaxJobs, c.Attempts = 20, 20, 2, 1000
				c.Spend = func(_ context.Context, calls int) error { spent.Add(int64(calls)); return nil }
			})
			ranges, err := reader.Ranges(t.Context(), salesforce.Selection{Form: rowsForm(t)}, 6)
			if err != nil {
				t.Fatal(err)
			}
			parts := make([][]rowsRecord, len(ranges))
			var wg sync.WaitGroup
			for i, part := range ranges {
				wg.Go(func() {
					rows, err := open(reader, salesforce.Selection{Form: rowsForm(t), Range: part})
					if err != nil {
						t.Error(err)
						return
					}
					parts[i], err = readAll(rows)
					if err := errors.Join(err, rows.Close()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			sameRows(t, slices.Concat(parts...), org.rows)
			if most > 2 || len(org.jobs) != 0 || spent.Load() != int64(len(org.asked)) {
				t.Errorf("%d jobs at once, %d left, %d of %d requests paid for", most, len(org.jobs), spent.Load(), len(org.asked))
			}
		})
	}
}
