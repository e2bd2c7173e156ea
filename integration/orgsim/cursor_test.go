package orgsim

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func readBody(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	check(t, err)
	return string(raw)
}

// TestQueryPages: membership is of the query's moment, values are of the page's.
func TestQueryPages(t *testing.T) {
	o := newOrg(t, Config{Seed: 1})
	a := newAsker(t, o, "")
	var ids []string
	for i := range 4500 {
		ids = append(ids, must[string](t)(o.Create("Account", Fields{"Name": fmt.Sprint("n", i), "Rating": "Hot"})))
	}
	const q = "SELECT Id, Name, IsDeleted FROM Account WHERE Rating = 'Hot'"
	first, _ := a.query(q)
	if first.TotalSize != 4500 || first.Done || len(first.Records) != 2000 || !strings.HasPrefix(first.NextRecordsURL, v66+"/query/01g") || !strings.HasSuffix(first.NextRecordsURL, "-2000") {
		t.Fatalf("first page: %d of %d, %s", len(first.Records), first.TotalSize, first.NextRecordsURL)
	}
	all, _ := a.from("queryAll", q)
	check(t, o.Update("Account", ids[2000], Fields{"Name": "changed", "Rating": "Cold"}))
	check(t, o.Delete("Account", ids[2001]))
	check(t, o.Delete("Account", ids[2002]))
	must[int](t)(o.EmptyBin("Account", ids[2002]))
	must[string](t)(o.Create("Account", Fields{"Name": "too late", "Rating": "Hot"}))
	var second, third, again, deleted asked
	a.get(first.NextRecordsURL, &second)
	if second.Done || second.TotalSize != 4500 || len(second.Records) != 1998 || second.Records[0]["Name"] != "changed" || second.Records[1]["Id"] != ids[2003] {
		t.Errorf("second page: %d, %v", len(second.Records), second.Records[:2])
	}
	a.get(second.NextRecordsURL, &third)
	if !third.Done || third.NextRecordsURL != "" || len(third.Records) != 500 || third.Records[499]["Id"] != ids[4499] {
		t.Errorf("last page: %d %v", len(third.Records), third.NextRecordsURL)
	}
	if a.get(first.NextRecordsURL, &again); len(again.Records) != 1998 {
		t.Errorf("a page read again: %d", len(again.Records))
	}
	if a.get(all.NextRecordsURL, &deleted); len(deleted.Records) != 1999 || deleted.Records[1]["IsDeleted"] != true {
		t.Errorf("queryAll: %d %v", len(deleted.Records), deleted.Records[1])
	}
	req, err := http.NewRequest(http.MethodGet, a.base+v66+"/query?q="+url.QueryEscape(q), nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Sforce-Query-Options", "batchSize=250")
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	if b := readBody(t, res); strings.Count(b, `"Id"`) != 250 || !strings.Contains(b, "-250\"") {
		t.Errorf("a page of 250: %.200s", b)
	}
	wide := strings.Repeat("wide ", 6000)
	for _, id := range ids[:400] {
		check(t, o.Update("Account", id, Fields{"Description": wide}))
	}
	if got, _ := a.query("SELECT Description FROM Account"); len(got.Records) > 160 || got.Done {
		t.Errorf("a page of wide rows has %d", len(got.Records))
	}
}

// TestLocators: they end with time, by being too many, and are one user's.
func TestLocators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := User{Username: "other@orgsim.example"}
		o := newOrg(t, Config{Users: []User{DefaultUser(), other}})
		check(t, o.Bulk(Bulk{Object: "Account", Count: 2100, Records: 2100}))
		client := func(user string) func(path string) (string, string) {
			token := must[string](t)(o.Issue(user))
			c := &http.Client{Transport: o.RoundTripper()}
			return func(path string) (next, refused string) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, inProcess+path, nil)
				check(t, err)
				req.Header.Set("Authorization", "Bearer "+token)
				res, err := c.Do(req)
				check(t, err)
				body := readBody(t, res)
				if res.StatusCode != 200 {
					return "", body
				}
				_, next, _ = strings.Cut(body, `"nextRecordsUrl":"`)
				next, _, _ = strings.Cut(next, `"`)
				return next, ""
			}
		}
		mine, others := client(""), client(other.Username)
		const gone = `[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]`
		open := func() string { next, _ := mine(v66 + "/query?q=SELECT+Id+FROM+Account"); return next }
		first := open()
		if _, refused := others(first); refused != gone {
			t.Errorf("another user's locator: %s", refused)
		}
		for range 2 {
			wait(14 * time.Minute)
			if _, refused := mine(first); refused != "" {
				t.Errorf("a locator that is read lives: %s", refused)
			}
		}
		wait(16 * time.Minute)
		if _, refused := mine(first); refused != gone {
			t.Errorf("an old locator: %s", refused)
		}
		first = open()
		for range 9 {
			open()
		}
		if _, refused := mine(first); refused != "" {
			t.Errorf("the tenth: %s", refused)
		}
		open()
		if _, refused := mine(first); refused != gone {
			t.Errorf("the eleventh releases the first: %s", refused)
		}
		if n := o.CloseCursors(); n != 10 {
			t.Errorf("%d were open", n)
		}
		for _, bad := range []string{"/query/01gxx000000001AAAQ-2000", "/query/x", first[len(v66):] + "9999"} {
			if _, refused := mine(v66 + bad); refused != gone {
				t.Errorf("%s: %s", bad, refused)
			}
		}
	})
}

// TestIndexedQueries: a page by id reads no more rows than it gives.
func TestIndexedQueries(t *testing.T) {
	o := newOrg(t, Config{Seed: 1})
	check(t, o.Bulk(Bulk{Object: "Account", Count: 1000, Records: 1000}))
	ob := o.objects["Account"]
	s, err := parseSOQL("SELECT Id FROM Account WHERE Id > '" + ob.index[499].id + "' AND IsDeleted = false ORDER BY Id LIMIT 10")
	check(t, err)
	q, err := o.catalogue(o.users[0]).bind(s, false)
	check(t, err)
	holds, read := q.holds, 0
	q.holds = func(r *record) bool { read++; return holds(r) }
	if rows := q.run(); len(rows) != 10 || rows[0] != ob.index[500] || read > 11 {
		t.Errorf("%d rows for %d that were read", len(rows), read)
	}
}

// TestPageMemory: a page of a large table costs what it holds, not what the table
// does.
func TestPageMemory(t *testing.T) {
	o := newOrg(t, Config{Seed: 1, DropTrimmed: true, Objects: []Object{{Name: "Small__c"}}})
	check(t, o.Bulk(Bulk{Object: "Small__c", Count: 100_000, Records: 100_000, Batch: 10_000}))
	a := newAsker(t, o, "")
	first, refused := a.query("SELECT Id FROM Small__c")
	if refused != "" || first.TotalSize != 100_000 {
		t.Fatalf("%d rows, %s", first.TotalSize, refused)
	}
	var before, after runtime.MemStats
	var page asked
	runtime.ReadMemStats(&before)
	a.get(first.NextRecordsURL, &page)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; len(page.Records) != 2000 || used > 8<<20 {
		t.Errorf("a page of %d rows took %d bytes", len(page.Records), used)
	}
}
