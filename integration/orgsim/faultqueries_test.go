package orgsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// queryFaultCases are the faults of queries and jobs, with what a reader sees. The
// org has 300 accounts.
func queryFaultCases() map[string]func(t *testing.T, o *Org, b *bulkClient) {
	const q = "SELECT Id FROM Account"
	refusedQuery := func(want string) func(*testing.T, *Org, *bulkClient) {
		return func(t *testing.T, _ *Org, b *bulkClient) {
			if _, refused := b.query(q); refused != want {
				t.Errorf("refused with %s, want %s", refused, want)
			}
			if got, refused := b.query(q); got.TotalSize != 300 || refused != "" {
				t.Errorf("once more: %d %s", got.TotalSize, refused)
			}
		}
	}
	jobEnds := func(want string) func(*testing.T, *Org, *bulkClient) {
		return func(t *testing.T, o *Org, b *bulkClient) {
			first, second := b.create(q), b.create(q)
			o.AdvanceClock(time.Second)
			a, _ := b.job("GET", "/"+first.ID, "")
			c, _ := b.job("GET", "/"+second.ID, "")
			if got := a.State + ": " + a.ErrorMessage; got != want || c.State != jobComplete {
				t.Errorf("%s, %s; want %s", got, c.State, want)
			}
		}
	}
	return map[string]func(t *testing.T, o *Org, b *bulkClient){
		"query-timeout":      refusedQuery("400 QUERY_TIMEOUT Your query request was running for too long."),
		"query-large":        refusedQuery("400 OPERATION_TOO_LARGE exceeded 100000 distinct who/what's"),
		"query-complicated":  refusedQuery("400 QUERY_TOO_COMPLICATED Query is either selecting too many fields or the filter conditions are too complicated."),
		"query-concurrent":   refusedQuery("403 REQUEST_LIMIT_EXCEEDED ConcurrentPerOrgLongTxn Limit exceeded."),
		"server-unavailable": refusedQuery("503 SERVER_UNAVAILABLE Server is temporarily unavailable"),
		"page-short": func(t *testing.T, _ *Org, b *bulkClient) {
			first, _ := b.query(q)
			if len(first.Records) != 1 || first.Done || first.TotalSize != 300 {
				t.Fatalf("a short page: %d of %d", len(first.Records), first.TotalSize)
			}
			var rest asked
			if b.get(first.NextRecordsURL, &rest); len(rest.Records) != 299 || !rest.Done {
				t.Errorf("the rest: %d", len(rest.Records))
			}
		},
		"locator-expired": func(t *testing.T, o *Org, b *bulkClient) {
			check(t, o.Inject(Fault{Kind: "page-short", On: "rest/query", Bytes: 200}))
			first, _ := b.query(q)
			for range 2 {
				if refused := b.get(first.NextRecordsURL, nil); refused != "400 INVALID_QUERY_LOCATOR invalid query locator" {
					t.Errorf("the locator: %s", refused)
				}
			}
		},
		"ids-exceeded": func(t *testing.T, o *Org, b *bulkClient) {
			at := func(d time.Duration) string { return o.now().Add(d).UTC().Format(time.RFC3339) }
			var out map[string]any
			for _, want := range []string{"400 EXCEEDED_ID_LIMIT", ""} {
				refused := b.get(v66+"/sobjects/Account/updated?start="+at(-time.Hour)+"&end="+at(time.Hour), &out)
				if (want == "") != (refused == "") || !strings.HasPrefix(refused, want) {
					t.Errorf("%q, want %q", refused, want)
				}
			}
		},
		"job-quota": func(t *testing.T, _ *Org, b *bulkClient) {
			if _, refused := b.job("POST", "", `{"operation":"query","query":"`+q+`"}`); refused != "400 EXCEEDEDQUOTA DailyBulkV2QueryJobs Limit exceeded." {
				t.Errorf("refused with %s", refused)
			}
			b.create(q)
		},
		"job-failed": jobEnds("Failed: InvalidBatch : Failed to process query: QUERY_TIMEOUT: Your query request was running for too long."),
		"job-slow":   jobEnds("InProgress: "),
	}
}

func TestQueryFaults(t *testing.T) {
	for _, k := range QueryFaultKinds() {
		if queryFaultCases()[k.Name] == nil {
			t.Errorf("no case for %s", k.Name)
		}
	}
	for kind, see := range queryFaultCases() {
		t.Run(kind, func(t *testing.T) {
			o := newOrg(t, Config{Seed: 1})
			check(t, o.Bulk(Bulk{Object: "Account", Count: 300, Records: 300}))
			b := newBulkClient(t, o)
			check(t, o.Inject(Fault{Kind: kind}))
			see(t, o, b)
			if o.FaultCounts()[kind] != 1 {
				t.Errorf("counted: %v", o.FaultCounts())
			}
		})
	}
}

// TestQueryMix: who asks again, by the last id, reads every row once.
func TestQueryMix(t *testing.T) {
	o := newOrg(t, Config{Seed: 1})
	check(t, o.Bulk(Bulk{Object: "Account", Count: 3000, Records: 3000}))
	check(t, o.RunFaults(Faults(7, QueryMix())))
	token := must[string](t)(o.Issue(""))
	client := &http.Client{Transport: o.RoundTripper(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var got []string
	last, failed := "", 0
	for ended := false; !ended && failed < 1000; {
		q := "SELECT Id FROM Account ORDER BY Id LIMIT 50"
		if last != "" {
			q = "SELECT Id FROM Account WHERE Id > '" + last + "' ORDER BY Id LIMIT 50"
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, inProcess+v66+"/query?q="+url.QueryEscape(q), nil)
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		var page asked
		res, err := client.Do(req)
		if err == nil {
			err = json.Unmarshal([]byte(readBody(t, res)), &page)
		}
		if err != nil || res.StatusCode != 200 {
			failed++
			token = must[string](t)(o.Issue(""))
			continue
		}
		for _, r := range page.Records {
			last = fmt.Sprint(r["Id"])
			got = append(got, last)
		}
		ended = page.Done && len(page.Records) < 50
	}
	if rows := must[[]Row](t)(o.Rows("Account")); len(got) != len(rows) || !slices.IsSorted(got) || failed == 0 || o.FaultCounts()["page-short"] == 0 {
		t.Errorf("%d rows of %d, %d requests failed: %v", len(got), len(rows), failed, o.FaultCounts())
	}
}

// TestFaultsOnParts: a fault can be meant for all of REST or for a part; a plan's
// mix too.
func TestFaultsOnParts(t *testing.T) {
	o := newOrg(t, Config{Seed: 1, Faults: &FaultPlan{Seed: 1, Mix: Mix{"rest/query:http-429": 1}}})
	b := newBulkClient(t, o)
	status := func(path string) string {
		res := restRequest(t, b.base, b.token, "GET", path, "", nil)
		return fmt.Sprint(res.StatusCode)
	}
	const query = v66 + "/query?q=SELECT+Id+FROM+Account"
	check(t, o.Inject(Fault{Kind: "http-420", On: "rest/job"}))
	check(t, o.Inject(Fault{Kind: "http-503", On: "rest", Skip: 1}))
	got := ""
	for _, path := range []string{v66 + "/limits", query, query, v66 + "/limits", v66 + "/jobs/query", v66 + "/jobs/query"} {
		got += status(path) + " "
	}
	if got != "200 503 429 200 420 200 " {
		t.Errorf("statuses: %s", got)
	}
	for _, f := range []Fault{{Kind: "http-503", On: "rest/nothing"}, {Kind: "query-large", On: "rest"}, {Kind: "job-slow", On: "rest/query"}} {
		if o.Inject(f) == nil {
			t.Errorf("accepted: %+v", f)
		}
	}
}
