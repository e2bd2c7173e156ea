package orgsim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Parts of REST, by which faults can be meant for some of its requests.
const (
	onQuery     = "rest/query"       // query, queryAll
	onMore      = "rest/query-more"  // a locator
	onReplicate = "rest/replication" // updated, deleted
	onIDs       = "rest/by-ids"      // composite/sobjects
	onNewJob    = "rest/job-create"
	onJob       = "rest/job" // what else is done with jobs
	onResults   = "rest/job-results"
)

func restParts() []string {
	return []string{onQuery, onMore, onReplicate, onIDs, onNewJob, onJob, onResults}
}

// restName is the part of REST that a request is for.
func restName(r *http.Request) string {
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/services/data"), "/"), "/")
	if len(path) < 3 && !(len(path) == 2 && (path[1] == "query" || path[1] == "queryAll")) {
		return "rest"
	}
	switch last := path[len(path)-1]; {
	case path[1] == "query" || path[1] == "queryAll":
		if len(path) == 2 {
			return onQuery
		}
		return onMore
	case path[1] == "sobjects" && len(path) == 4 && (last == "updated" || last == "deleted"):
		return onReplicate
	case path[1] == "composite" && path[2] == "sobjects":
		return onIDs
	case path[1] != "jobs":
		return "rest"
	case len(path) == 3 && r.Method == http.MethodPost:
		return onNewJob
	case last == "results" || last == "resultPages":
		return onResults
	}
	return onJob
}

// refusal is an answer of REST with one error.
func refusal(status int, code, message string) *answer {
	body, err := json.Marshal([]map[string]string{{"message": message, "errorCode": code}})
	if err != nil {
		body = nil
	}
	return &answer{status: status, contentType: jsonType, body: string(body)}
}

// QueryFaultKinds lists the kinds of fault that happen to queries, their pages, and
// bulk jobs. A reader must get through all of them, by asking again or for less.
func QueryFaultKinds() []FaultKind {
	refused := func(name string, status int, code, message string, on ...string) FaultKind {
		return FaultKind{Name: name, Fits: on, Text: fmt.Sprintf("%d %s: %s", status, code, message),
			strike: func(*Fault) *strike { return &strike{http: refusal(status, code, message)} }}
	}
	return []FaultKind{
		refused("query-timeout", 400, "QUERY_TIMEOUT", "Your query request was running for too long.", onQuery, onMore),
		refused("query-large", 400, "OPERATION_TOO_LARGE", "exceeded 100000 distinct who/what's", onQuery),
		refused("query-complicated", 400, "QUERY_TOO_COMPLICATED", "Query is either selecting too many fields or the filter conditions are too complicated.", onQuery, onNewJob),
		refused("query-concurrent", 403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", onQuery, onMore, onReplicate),
		refused("server-unavailable", 503, "SERVER_UNAVAILABLE", "Server is temporarily unavailable", "rest"),
		{Name: "locator-expired", Text: "400 INVALID_QUERY_LOCATOR: the query's locator ends", Fits: []string{onMore},
			strike: func(*Fault) *strike {
				return &strike{locator: true, http: refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")}
			}},
		{Name: "page-short", Text: "a page has fewer rows than could be (bytes: how many; default 1)", Fits: []string{onQuery, onMore, onResults},
			draw: func(f *Fault, r *rand.Rand) {
				if r != nil && f.Bytes == 0 {
					f.Bytes = 1 + r.IntN(300)
				}
			},
			strike: func(f *Fault) *strike { return &strike{rows: max(f.Bytes, 1)} }},
		refused("ids-exceeded", 400, "EXCEEDED_ID_LIMIT", "exceeded the limit of 600000 ids: ask for a shorter time", onReplicate),
		refused("job-quota", 400, "EXCEEDEDQUOTA", "DailyBulkV2QueryJobs Limit exceeded.", onNewJob),
		{Name: "job-failed", Text: "the job ends Failed: by a timeout, after too many retries, or by an unknown error", Fits: []string{onNewJob}, Modes: []string{"timeout", "retries", "unknown"},
			strike: func(f *Fault) *strike {
				return &strike{job: &jobFate{failure: map[string]string{
					"timeout": "InvalidBatch : Failed to process query: QUERY_TIMEOUT: Your query request was running for too long.",
					"retries": "InternalServerError : Retried more than fifteen times",
					"unknown": "InternalServerError : UNKNOWN_EXCEPTION: An unexpected error occurred.",
				}[f.Mode]}}
			}},
		{Name: "job-slow", Text: "the job is in progress for longer (for; default 10 min)", Fits: []string{onNewJob},
			strike: func(f *Fault) *strike {
				orDefault(&f.For, 10*time.Minute)
				return &strike{job: &jobFate{longer: f.For}}
			}},
	}
}

// QueryMix has what a reader of queries and bulk jobs must come through with every
// row read: about one request in six goes wrong. DefaultMix().With(QueryMix()) adds
// it to what a stream must come through.
func QueryMix() Mix {
	mix := Mix{
		"rest:server-unavailable": .02, "rest:http-429": .01, "rest:http-420": .01, "rest:http-504": .01, "rest:dropped": .01, "rest:reply-lost": .02,
		"rest:token-http-401": .01, "rest:http-html": .005, onMore + ":locator-expired": .05,
		onNewJob + ":job-quota": .05, onNewJob + ":job-failed": .1, onNewJob + ":job-slow": .1, onReplicate + ":ids-exceeded": .05,
	}
	for _, on := range []string{onQuery, onMore} {
		mix[on+":query-timeout"], mix[on+":query-concurrent"], mix[on+":page-short"] = .03, .02, .1
	}
	mix[onResults+":page-short"] = .1
	return mix
}
