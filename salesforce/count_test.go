package salesforce_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// moment is a point of time within 2026-03-04T09:15.
func moment(t testing.TB, clock string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, "2026-03-04T09:15:"+clock)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestCountModifiedQuestion holds the query that is sent: bounds in whole seconds
// of UTC, the row of the last event never among them.
func TestCountModifiedQuestion(t *testing.T) {
	for name, tc := range map[string]struct{ after, upTo, from, to string }{
		"whole seconds":     {"22Z", "58Z", "09:15:22", "09:15:58"},
		"fractions":         {"22.001Z", "58.999Z", "09:15:23", "09:15:58"},
		"a nanosecond":      {"22.000000001Z", "58Z", "09:15:23", "09:15:58"},
		"other zones":       {"22.481+02:00", "58.5-01:30", "07:15:23", "10:45:58"},
		"across the minute": {"59.5Z", "59.5-00:01", "09:16:00", "09:16:59"},
		"one second":        {"22.5Z", "24.2Z", "09:15:23", "09:15:24"},
		"none is left":      {"22.5Z", "23.9Z", "", ""},
		"nothing":           {"22Z", "22Z", "", ""},
		"backwards":         {"58Z", "22Z", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path+" "+r.URL.RawQuery+" "+r.URL.Query().Get("q"))
				answer(200, "application/json", `{"totalSize":7,"done":true,"records":[]}`)(w, r)
			})
			client := newClient(t, server, "x")
			n, err := client.CountModified(wait(t), "ns__Invoice__c", moment(t, tc.after), moment(t, tc.upTo))
			if err != nil {
				t.Fatal(err)
			}
			if tc.from == "" {
				if n != 0 || len(asked) != 0 || client.Calls() != 0 {
					t.Errorf("%d rows, %d calls, asked %q", n, client.Calls(), asked)
				}
				return
			}
			from, to := "2026-03-04T"+tc.from+"Z", "2026-03-04T"+tc.to+"Z"
			want := "SELECT COUNT() FROM ns__Invoice__c WHERE SystemModstamp > " + from + " AND SystemModstamp <= " + to + " AND LastModifiedDate > " + from
			if n != 7 || len(asked) != 1 || client.Calls() != 1 || !strings.HasSuffix(asked[0], " "+want) {
				t.Fatalf("%d rows, %d calls, asked %q, want %s", n, client.Calls(), asked, want)
			}
			if !strings.HasPrefix(asked[0], "/services/data/v66.0/query q=") || strings.Count(asked[0], " ") != 2+strings.Count(want, " ") {
				t.Errorf("asked %q", asked[0])
			}
		})
	}
}

func TestCountModifiedRefusesNames(t *testing.T) {
	client := newClient(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }), "x")
	for _, name := range []string{
		"", " ", "Account ", "Account WHERE Id != null", "Account,Contact", "Account'", "Account--", "Account.Name", "9Account", "_x",
		"Account\n", "Account\x00", "(Account)", "Konto\u00e4", "Account%20", "Account/../x", `Account"`, "Account;",
	} {
		var config *salesforce.ConfigError
		if _, err := client.CountModified(wait(t), name, moment(t, "22Z"), moment(t, "58Z")); !errors.As(err, &config) || config.Field != "object name" {
			t.Errorf("%q: %v", name, err)
		}
	}
	for field, window := range map[string][2]time.Time{
		"after": {{}, moment(t, "58Z")},
		"upTo":  {moment(t, "22Z"), moment(t, "58Z").AddDate(2000, 0, 0)},
	} {
		var config *salesforce.ConfigError
		if _, err := client.CountModified(wait(t), "Account", window[0], window[1]); !errors.As(err, &config) || config.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// withoutModified is an org whose History object has no LastModifiedDate, and
// whose Odd object lacks SystemModstamp too.
func withoutModified(t testing.TB, asked *atomic.Int64) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		q := r.URL.Query().Get("q")
		refused := strings.Contains(q, "FROM Odd") || strings.Contains(q, "FROM History") && strings.Contains(q, "LastModifiedDate")
		if refused {
			answer(400, "application/json", `[{"errorCode":"INVALID_FIELD","message":"\n`+q+`\n^\nERROR at Row:1:Column:8\nNo such column"}]`)(w, r)
			return
		}
		answer(200, "application/json", `{"totalSize":3,"done":true,"records":[]}`)(w, r)
	})
}

// TestCountModifiedWithoutColumn: what an object lacks is asked once, and another
// object is not touched by it.
func TestCountModifiedWithoutColumn(t *testing.T) {
	var asked atomic.Int64
	client := newClient(t, withoutModified(t, &asked), "x")
	for i, tc := range []struct {
		object string
		calls  int64
		code   string
	}{
		{"History", 2, ""}, {"History", 1, ""}, {"Account", 1, ""}, {"History", 1, ""}, {"Account", 1, ""},
		{"Odd", 2, "INVALID_FIELD"}, {"Odd", 2, "INVALID_FIELD"},
	} {
		before := asked.Load()
		n, err := client.CountModified(wait(t), tc.object, moment(t, "22Z"), moment(t, "58Z"))
		var refused *salesforce.APIError
		switch {
		case tc.code == "" && (err != nil || n != 3):
			t.Errorf("%d %s: %d, %v", i, tc.object, n, err)
		case tc.code != "" && (!errors.As(err, &refused) || refused.Code != tc.code || salesforce.Retryable(err)):
			t.Errorf("%d %s: %d, %v", i, tc.object, n, err)
		}
		if calls := asked.Load() - before; calls != tc.calls {
			t.Errorf("%d %s: %d calls, want %d", i, tc.object, calls, tc.calls)
		}
	}
	if client.Calls() != uint64(asked.Load()) {
		t.Errorf("counted %d of %d calls", client.Calls(), asked.Load())
	}
}

func TestCountModifiedAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		status    int
		body      string
		want      int
		part      string
		retryable bool
	}{
		"none":             {200, `{"totalSize":0,"done":true,"records":[]}`, 0, "", false},
		"many":             {200, `{"totalSize":300000,"done":true,"records":[],"new":{}}`, 300000, "", false},
		"no size":          {200, `{"done":true,"records":[]}`, 0, "totalSize is missing", false},
		"size null":        {200, `{"totalSize":null,"done":true}`, 0, "totalSize is missing", false},
		"size negative":    {200, `{"totalSize":-1,"done":true}`, 0, "totalSize is -1", false},
		"size as text":     {200, `{"totalSize":"3","done":true}`, 0, "another shape", false},
		"not done":         {200, `{"totalSize":3,"done":false}`, 0, "not done", false},
		"done is missing":  {200, `{"totalSize":3}`, 0, "not done", false},
		"a list":           {200, `[]`, 0, "another shape", false},
		"a page":           {200, `<html><title>Maintenance</title></html>`, 0, "Maintenance", true},
		"unknown object":   {400, `[{"errorCode":"INVALID_TYPE","message":"sObject type 'Account' is not supported."}]`, 0, "API name", false},
		"too long":         {400, `[{"errorCode":"QUERY_TIMEOUT","message":"Your query request was running for too long."}]`, 0, "ran longer", true},
		"allowance is out": {403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, 0, "used up", true},
		"busy":             {503, `[{"errorCode":"SERVER_UNAVAILABLE","message":"x"}]`, 0, "SERVER_UNAVAILABLE", true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, serve(t, answer(tc.status, "application/json", tc.body)), "x")
			n, err := client.CountModified(wait(t), "Account", moment(t, "22Z"), moment(t, "58Z"))
			if n != tc.want || (err == nil) != (tc.part == "") || salesforce.Retryable(err) != tc.retryable {
				t.Fatalf("%d, %v, retryable %v", n, err, salesforce.Retryable(err))
			}
			if err != nil {
				mustContain(t, err.Error(), tc.part, "/services/data/v66.0/query")
			}
			if client.Calls() != 1 {
				t.Errorf("%d calls", client.Calls())
			}
		})
	}
}

// TestCalls: each request counts, the one that found the session ended among
// them, and one that nobody answered.
func TestCalls(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			answer(401, "application/json", `[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]`)(w, r)
			return
		}
		answer(200, "application/json", `{}`)(w, r)
	})
	client := newClient(t, server, "old", "new")
	if err := client.Get(wait(t), "/limits", nil); err != nil || client.Calls() != 2 {
		t.Fatalf("%d calls, %v", client.Calls(), err)
	}
	if err := client.Get(wait(t), "no slash", nil); err == nil || client.Calls() != 2 {
		t.Errorf("%d calls, %v", client.Calls(), err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := client.Get(wait(t), "/limits", nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if client.Calls() != 22 {
		t.Errorf("%d calls, want 22", client.Calls())
	}
	dead := newClient(t, "http://127.0.0.1:1", "x")
	if err := dead.Get(wait(t), "/limits", nil); err == nil || dead.Calls() != 1 {
		t.Errorf("%d calls, %v", dead.Calls(), err)
	}
}

func TestLimits(t *testing.T) {
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		answer(200, "application/json", `{
			"DailyApiRequests":{"Max":15000,"Remaining":14982,"My App":{"Max":1,"Remaining":1},"max":{"Max":2,"Remaining":2},"remaining":3},
			"MonthlyPlatformEventsUsageEntitlement":{"Remaining":-12,"Max":0},
			"DailyBulkV2QueryFileStorageMB":{"Max":9007199254740993,"Remaining":9007199254740993},
			"NoMax":{"Remaining":1},"NoRemaining":{"Max":1},"Null":null,"List":[1],"Text":{"Max":"1","Remaining":"1"},
			"Nulls":{"Max":null,"Remaining":null},"Apps":{"Max":{"Max":1},"Remaining":1}}`)(w, r)
	})
	got, err := newClient(t, server, "x").Limits(wait(t))
	if err != nil || asked != "/services/data/v66.0/limits" {
		t.Fatalf("asked %s, %v", asked, err)
	}
	want := map[string]salesforce.Limit{
		"DailyApiRequests":                      {Max: 15000, Remaining: 14982},
		"MonthlyPlatformEventsUsageEntitlement": {Max: 0, Remaining: -12},
		"DailyBulkV2QueryFileStorageMB":         {Max: 9007199254740993, Remaining: 9007199254740993},
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, limit := range want {
		if got[name] != limit {
			t.Errorf("%s: got %v, want %v", name, got[name], limit)
		}
	}
	for body, part := range map[string]string{`[]`: "another shape", `<html>`: "HTML"} {
		if _, err := newClient(t, serve(t, answer(200, "application/json", body)), "x").Limits(wait(t)); err == nil {
			t.Errorf("%s: no error", body)
		} else {
			mustContain(t, err.Error(), part)
		}
	}
	forbidden := newClient(t, serve(t, answer(403, "application/json", `[{"errorCode":"FORBIDDEN","message":"You do not have access"}]`)), "x")
	if _, err := forbidden.Limits(wait(t)); err == nil {
		t.Error("no error")
	} else {
		mustContain(t, err.Error(), "View Setup and Configuration")
	}
}
