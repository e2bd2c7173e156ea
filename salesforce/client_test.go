package salesforce_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestNewClientRefuses(t *testing.T) {
	tokens := fixedTokens(t, "https://acme.example")
	for _, tc := range []struct {
		config salesforce.ClientConfig
		part   string
	}{
		{salesforce.ClientConfig{}, "Tokens is missing"},
		{salesforce.ClientConfig{Tokens: tokens, APIVersion: "v66.0"}, "without a v"},
		{salesforce.ClientConfig{Tokens: tokens, APIVersion: "66"}, "not two numbers"},
		{salesforce.ClientConfig{Tokens: tokens, APIVersion: "66.0/../x"}, "not two numbers"},
		{salesforce.ClientConfig{Tokens: tokens, APIVersion: "+66.0"}, "not two numbers"},
		{salesforce.ClientConfig{Tokens: tokens, APIVersion: "99999999999999999999.0"}, "too large"},
	} {
		_, err := salesforce.NewClient(tc.config)
		var config *salesforce.ConfigError
		if !errors.As(err, &config) || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("got %v, want %q", err, tc.part)
		}
	}
}

func TestGetSendsAndDecodes(t *testing.T) {
	var asked, authorization, agent, accept string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked, authorization = r.Method+" "+r.RequestURI, r.Header.Get("Authorization")
		agent, accept = r.UserAgent(), r.Header.Get("Accept")
		answer(200, "application/json", `{"big":9007199254740993,"nested":{"n":1.0E7}}`)(w, r)
	})
	client := newClient(t, server, "00Dxx!AQ.4_")
	var v map[string]any
	if err := client.Get(wait(t), "/query?q=SELECT+Id+FROM+Account", &v); err != nil {
		t.Fatal(err)
	}
	if asked != "GET /services/data/v66.0/query?q=SELECT+Id+FROM+Account" || authorization != "Bearer 00Dxx!AQ.4_" ||
		accept != "application/json" || agent != "sfbridge" {
		t.Errorf("asked %q with %q, %q, %q", asked, authorization, accept, agent)
	}
	if v["big"] != json.Number("9007199254740993") {
		t.Errorf("a number lost digits: %v", v["big"])
	}
	var typed struct{ Big int64 }
	if err := client.Get(wait(t), "/services/data/v59.0/query/01g-2000", &typed); err != nil || typed.Big != 9007199254740993 {
		t.Errorf("%v, %v", typed, err)
	}
	if asked != "GET /services/data/v59.0/query/01g-2000" {
		t.Errorf("asked %q", asked)
	}
	if err := client.Get(wait(t), "/x", nil); err != nil {
		t.Errorf("a reply that is not decoded: %v", err)
	}
	own, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: fixedTokens(t, server, "x"), APIVersion: "66.0", UserAgent: "acme/1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Get(wait(t), "/x", nil); err != nil || agent != "acme/1" {
		t.Errorf("agent %q, %v", agent, err)
	}
}

func TestGetRefusesPaths(t *testing.T) {
	client := newClient(t, "https://acme.example", "x")
	for _, path := range []string{"", "limits", "https://evil.example/", "@evil.example", "/a b%zz", "/\x00", "/x#y"} {
		var config *salesforce.ConfigError
		if err := client.Get(t.Context(), path, nil); !errors.As(err, &config) {
			t.Errorf("path %q: %v", path, err)
		}
	}
}

func TestInstanceURLs(t *testing.T) {
	for _, tc := range []struct {
		instance string
		allow    bool
		sent     string
	}{
		{"https://acme.my.salesforce.com", false, "https://acme.my.salesforce.com"},
		{"https://acme.my.salesforce.com/", false, "https://acme.my.salesforce.com"},
		{"http://127.0.0.1:8080", false, "http://127.0.0.1:8080"},
		{"http://org.example", true, "http://org.example"},
		{"http://org.example", false, ""},
		{"acme.my.salesforce.com", false, ""},
		{"//acme.my.salesforce.com", false, ""},
		{"https://user:hunter2@acme.example", false, ""},
		{"https://acme.example/path", false, ""},
		{"", false, ""},
	} {
		var sent string
		network := transportFunc(func(r *http.Request) (*http.Response, error) {
			sent = r.URL.Scheme + "://" + r.URL.Host
			return nil, io.ErrUnexpectedEOF
		})
		client, err := salesforce.NewClient(salesforce.ClientConfig{
			Tokens: fixedTokens(t, tc.instance, "x"), APIVersion: "66.0",
			HTTP: &http.Client{Transport: network}, AllowPlainHTTP: tc.allow,
		})
		if err != nil {
			t.Fatal(err)
		}
		err = client.Get(t.Context(), "/limits", nil)
		var config *salesforce.ConfigError
		if sent != tc.sent || errors.As(err, &config) != (tc.sent == "") {
			t.Errorf("%q: sent to %q, %v", tc.instance, sent, err)
		}
		checkSilent(t, err, "hunter2")
	}
}

func TestRenewOn401(t *testing.T) {
	const ended = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`
	for name, tc := range map[string]struct {
		status  int
		body    string
		renewed bool
	}{
		"session ended":   {401, ended, true},
		"no body":         {401, "", true},
		"HTML":            {401, "<html></html>", true},
		"userinfo":        {403, "Bad_OAuth_Token", true},
		"not for REST":    {401, `[{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}]`, false},
		"agent":           {401, `[{"message":"Connected app is not attached to Agent","errorCode":"INVALID_SESSION_ID"}]`, false},
		"other code":      {401, `[{"message":"x","errorCode":"INVALID_AUTH_HEADER"}]`, false},
		"forbidden":       {403, `[{"message":"x","errorCode":"INSUFFICIENT_ACCESS"}]`, false},
		"wrong status":    {400, ended, false},
		"server in pain":  {503, "", false},
		"too many":        {429, "", false},
		"not found":       {404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`, false},
		"still not there": {401, `{"error":"INVALID_SESSION_ID","error_description":"x"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.Header.Get("Authorization"))
				if r.Header.Get("Authorization") == "Bearer new" {
					answer(200, "application/json", `{}`)(w, r)
					return
				}
				answer(tc.status, "application/json", tc.body)(w, r)
			})
			err := newClient(t, server, "old", "new").Get(wait(t), "/limits", nil)
			if tc.renewed != (err == nil) {
				t.Errorf("got %v", err)
			}
			want := "Bearer old"
			if tc.renewed {
				want += " Bearer new"
			}
			if got := strings.Join(seen, " "); got != want {
				t.Errorf("sent %s, want %s", got, want)
			}

			// A second refusal is the caller's.
			seen = nil
			err = newClient(t, server, "old", "older", "oldest").Get(wait(t), "/limits", nil)
			var refused *salesforce.APIError
			if !errors.As(err, &refused) || refused.Status != tc.status || len(seen) > 2 {
				t.Errorf("after %d requests: %v", len(seen), err)
			}
			if unauthorized := tc.status == 401 || name == "userinfo"; salesforce.Unauthorized(err) != unauthorized {
				t.Errorf("Unauthorized(%v) is %v", err, !unauthorized)
			}
		})
	}
}

func TestRenewFails(t *testing.T) {
	server := serve(t, answer(401, "application/json", `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`))
	login := serve(t, answer(400, "application/json", `{"error":"invalid_grant","error_description":"inactive user"}`))
	first := true
	source := salesforce.NewTokenSource(grantFunc(func(ctx context.Context) (salesforce.Token, error) {
		if first {
			first = false
			return salesforce.Token{Access: "old", InstanceURL: server}, nil
		}
		return salesforce.ClientCredentials{LoginURL: login, ClientID: "id", ClientSecret: "s"}.Exchange(ctx)
	}))
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: source, APIVersion: "66.0"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // by renewal, then by the first request for a token
		err = client.Get(wait(t), "/limits", nil)
		var refused *salesforce.OAuthError
		if !errors.As(err, &refused) || !salesforce.Unauthorized(err) || salesforce.Retryable(err) {
			t.Fatalf("got %v", err)
		}
	}
}

// TestManyRequestsOneRenewal: a session that ends under many requests is renewed once.
func TestManyRequestsOneRenewal(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			answer(401, "application/json", `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)(w, r)
			return
		}
		answer(200, "application/json", `[{"version":"66.0"}]`)(w, r)
	})
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: fixedTokens(t, server, "old", "new")})
	if err != nil {
		t.Fatal(err)
	}
	ctx := wait(t)
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			if version, err := client.APIVersion(ctx); err != nil || version != "66.0" {
				t.Errorf("%q, %v", version, err)
			}
		})
	}
	callers.Wait()
}

func TestAPIErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		text   string // of the error
		retry  bool
	}{
		"array": {
			404, `[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`,
			"getting /services/data/v66.0/limits: NOT_FOUND: The requested resource does not exist (HTTP 404); try: check the name", false,
		},
		"fields": {
			400, `[{"message":"Required fields are missing: [Name]","errorCode":"REQUIRED_FIELD_MISSING","fields":["Name","X"]}]`,
			"REQUIRED_FIELD_MISSING: Required fields are missing: [Name] (HTTP 400), fields Name, X", false,
		},
		"several":      {400, `[{"errorCode":"A","message":"one"},{"errorCode":"B","message":"two"}]`, "A: one; two (HTTP 400)", false},
		"object":       {400, `{"errorCode":"A","message":"one"}`, "A: one (HTTP 400)", false},
		"OAuth object": {403, `{"error":"A","error_description":"one"}`, "A: one (HTTP 403)", false},
		"empty array":  {400, `[]`, `the text "[]" instead`, false},
		"other object": {400, `{"x":1}`, `instead of the API's JSON (HTTP 400)`, false},
		"HTML":         {503, "<html><head><title>Down</title>", `an HTML page titled "Down" instead of JSON (HTTP 503); try: wait`, true},
		"XML":          {500, "<?xml version=\"1.0\"?><Errors/>", `the text "<?xml version=`, true},
		"no body":      {502, "", "an empty body", true},
		"calm":         {420, "", "try: wait", true},
		"too many":     {429, "", "try: wait", true},
		"internal":     {500, `[{"errorCode":"UNKNOWN_EXCEPTION","message":"x"}]`, "UNKNOWN_EXCEPTION", true},
		"gateway":      {504, "", "try: wait", true},
		"not possible": {501, "", "an empty body", false},
		"limit":        {403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]`, "used up its API requests", true},
		"unavailable":  {400, `[{"errorCode":"SERVER_UNAVAILABLE","message":"x"}]`, "SERVER_UNAVAILABLE", true},
		"no API":       {403, `[{"errorCode":"API_DISABLED_FOR_ORG","message":"x"}]`, "API Enabled", false},
		"forbidden":    {403, `[{"errorCode":"INSUFFICIENT_ACCESS","message":"x"}]`, "permission set", false},
		"retired":      {410, `[{"errorCode":"GONE","message":"x"}]`, "newer API version", false},
		"ambiguous":    {300, `["/a","/b"]`, "HTTP 300", false},
		"REST refused": {401, `[{"errorCode":"INVALID_SESSION_ID","message":"This session is not valid for use with the REST API"}]`, "session policy", false},
		"agent":        {401, `[{"errorCode":"INVALID_SESSION_ID","message":"Connected app is not attached to Agent"}]`, "attach the connected app", false},
		"unauthorised": {401, `[{"errorCode":"INVALID_AUTH_HEADER","message":"x"}]`, "Lock sessions", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, answer(tc.status, "text/plain", tc.body))
			err := newClient(t, server, "x").Get(wait(t), "/limits?secret=1", nil)
			var refused *salesforce.APIError
			if !errors.As(err, &refused) || refused.Status != tc.status || refused.Path != "/services/data/v66.0/limits" {
				t.Fatalf("got %v", err)
			}
			mustContain(t, err.Error(), tc.text)
			if salesforce.Retryable(err) != tc.retry {
				t.Errorf("Retryable(%v) is %v", err, !tc.retry)
			}
			checkSilent(t, err, "secret=1")
		})
	}
}

func TestManyErrorsMakeOneLine(t *testing.T) {
	one := `{"errorCode":"A","message":"` + strings.Repeat("long ", 1000) + `"}`
	server := serve(t, answer(400, "application/json", "["+strings.Repeat(one+",", 50)+one+"]"))
	err := newClient(t, server, "x").Get(wait(t), "/limits", nil)
	if err == nil || len(err.Error()) > 2000 || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %d characters", len(fmt.Sprint(err)))
	}
}

func TestUnusableReplies(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		part  string
		retry bool
	}{
		"HTML":      {"<!doctype html><title>Maintenance</title>", `an HTML page titled "Maintenance"`, true},
		"no title":  {"<html><title>x", "an HTML page instead", true},
		"empty":     {"", "an empty body", true},
		"cut":       {`{"a":`, "instead of the API's JSON", true},
		"more":      {`{}{}`, "instead of the API's JSON", true},
		"shape":     {`[1]`, "another shape", false},
		"too large": {`"` + strings.Repeat("x", 16<<20) + `"`, "larger than 16 MiB", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, answer(200, "", tc.body))
			var v struct{ A int }
			err := newClient(t, server, "x").Get(wait(t), "/limits", &v)
			var unusable *salesforce.ReplyError
			if !errors.As(err, &unusable) || salesforce.Retryable(err) != tc.retry || salesforce.Unauthorized(err) {
				t.Fatalf("got %v", err)
			}
			mustContain(t, err.Error(), tc.part, "/services/data/v66.0/limits", "HTTP 200")
			if len(err.Error()) > 1000 {
				t.Error("the error is as long as the reply")
			}
		})
	}
}

// TestGzip: packed replies are read, and the bound is on what they unpack to.
func TestGzip(t *testing.T) {
	packed := func(size int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Error("gzip is not asked for")
			}
			w.Header().Set("Content-Encoding", "gzip")
			pack, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(pack, `"`+strings.Repeat("x", size)+`"`)
			_ = pack.Close()
		}
	}
	var text string
	if err := newClient(t, serve(t, packed(16<<20-2)), "x").Get(wait(t), "/x", &text); err != nil || len(text) != 16<<20-2 {
		t.Errorf("%d characters, %v", len(text), err)
	}
	var unusable *salesforce.ReplyError
	if err := newClient(t, serve(t, packed(16<<20-1)), "x").Get(wait(t), "/x", &text); !errors.As(err, &unusable) {
		t.Errorf("got %v", err)
	}
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "not gzip")
	})
	var network *salesforce.NetworkError
	if err := newClient(t, broken, "x").Get(wait(t), "/x", &text); !errors.As(err, &network) {
		t.Errorf("got %v", err)
	}
}

func TestRedirects(t *testing.T) {
	other := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked for %s with %q", r.URL, r.Header.Get("Authorization"))
	})
	var hops atomic.Int64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/services/away":
			http.Redirect(w, r, other+"/maintenance?session=1", http.StatusFound)
		case "/services/nowhere":
			w.WriteHeader(http.StatusFound)
		case "/services/near":
			http.Redirect(w, r, "/services/here", http.StatusTemporaryRedirect)
		case "/services/loop":
			hops.Add(1)
			http.Redirect(w, r, "/services/loop", http.StatusFound)
		default:
			if r.Header.Get("Authorization") != "Bearer x" {
				t.Errorf("within the host the token is missing: %q", r.Header.Get("Authorization"))
			}
			answer(200, "application/json", `{}`)(w, r)
		}
	})
	client := newClient(t, server, "x")
	if err := client.Get(wait(t), "/services/near", nil); err != nil {
		t.Errorf("a redirect within the host: %v", err)
	}
	for _, path := range []string{"/services/away", "/services/loop", "/services/nowhere"} {
		err := client.Get(wait(t), path, nil)
		var refused *salesforce.APIError
		if !errors.As(err, &refused) || refused.Status != http.StatusFound || !salesforce.Retryable(err) {
			t.Fatalf("%s: %v", path, err)
		}
		if path == "/services/away" {
			mustContain(t, err.Error(), "a redirect to "+other, "access token must not go")
		}
		checkSilent(t, err, "session=1")
	}
	if n := hops.Load(); n != 5 {
		t.Errorf("%d hops, want 5", n)
	}
}
