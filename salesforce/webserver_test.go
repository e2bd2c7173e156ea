package salesforce_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/sfbridge/bridge/salesforce"
)

func begin(t *testing.T, server string, change func(*salesforce.WebServer)) (*salesforce.Authorization, url.Values) {
	t.Helper()
	flow := salesforce.WebServer{LoginURL: server, ClientID: "3MVG9", RedirectURL: "http://localhost:1717/cb"}
	if change != nil {
		change(&flow)
	}
	a, err := flow.Begin()
	if err != nil {
		t.Fatal(err)
	}
	page, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	return a, page.Query()
}

func TestWebServer(t *testing.T) {
	var form url.Values
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		form = parseForm(t, r)
		body := strings.TrimSuffix(tokenJSON("access", "https://acme.example"), "}") + `,"refresh_token":"5Aep861"}`
		answer(200, "application/json", body)(w, r)
	})
	a, query := begin(t, server+"/", func(w *salesforce.WebServer) { w.ClientSecret = "s" })
	if !strings.HasPrefix(a.URL, server+"/services/oauth2/authorize?") || query.Get("response_type") != "code" ||
		query.Get("client_id") != "3MVG9" || query.Get("redirect_uri") != "http://localhost:1717/cb" ||
		query.Get("scope") != "api refresh_token" || query.Get("code_challenge_method") != "S256" || len(query) != 7 {
		t.Errorf("opens %s", a.URL)
	}
	other, _ := begin(t, server, nil)
	if len(query.Get("state")) != 43 || other.Matches(query) || !a.Matches(query) {
		t.Errorf("state %q", query.Get("state"))
	}
	redirect := url.Values{"code": {"aPrx/=="}, "state": {query.Get("state")}}
	token, refresh, err := a.Finish(wait(t), redirect)
	if err != nil || token.Access != "access" || refresh != "5Aep861" {
		t.Fatalf("%v, %q, %v", token, refresh.Reveal(), err)
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != query.Get("code_challenge") || len(form.Get("code_verifier")) < 43 {
		t.Error("the verifier does not fit the challenge")
	}
	if form.Get("grant_type") != "authorization_code" || form.Get("code") != "aPrx/==" || form.Get("client_secret") != "s" ||
		form.Get("redirect_uri") != "http://localhost:1717/cb" || form.Get("client_id") != "3MVG9" || len(form) != 6 {
		t.Errorf("sent %v", form)
	}
	if _, _, err := a.Finish(wait(t), redirect); !errors.Is(err, salesforce.ErrCodeUsed) {
		t.Errorf("a second time: %v", err)
	}
	for way, text := range outputs(t, a) {
		if strings.Contains(text, form.Get("code_verifier")) {
			t.Errorf("shows the verifier by %s: %s", way, text)
		}
	}
}

// TestCodeIsSpentOnce, whoever comes at the same time.
func TestCodeIsSpentOnce(t *testing.T) {
	asked := 0
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		answer(200, "application/json", tokenJSON("x", "https://acme.example"))(w, r)
	})
	a, query := begin(t, server, nil)
	redirect := url.Values{"code": {"c0de"}, "state": query["state"]}
	forged := url.Values{"code": {"c0de"}, "state": {query.Get("state")[1:] + "x"}}
	if _, _, err := a.Finish(wait(t), forged); !errors.Is(err, salesforce.ErrState) {
		t.Errorf("a forged state: %v", err)
	}
	var comers sync.WaitGroup
	results := make(chan error, 10)
	for range 10 {
		comers.Go(func() {
			_, _, err := a.Finish(wait(t), redirect)
			results <- err
		})
	}
	comers.Wait()
	close(results)
	good := 0
	for err := range results {
		if err == nil {
			good++
		} else if !errors.Is(err, salesforce.ErrCodeUsed) {
			t.Error(err)
		}
	}
	if good != 1 || asked != 1 {
		t.Errorf("%d logins, %d exchanges", good, asked)
	}
}

func TestWebServerRefusals(t *testing.T) {
	for _, tc := range []struct {
		redirect, reply string // one of them
		code, hint      string
		temporary       bool
	}{
		{redirect: "error=access_denied&error_description=end-user+denied+authorization", code: "access_denied", hint: "choose Allow"},
		{redirect: "error=redirect_uri_mismatch", code: "redirect_uri_mismatch", hint: "callback URLs"},
		{redirect: "error=invalid_scope", code: "invalid_scope", hint: "offline_access"},
		{redirect: "error=server_error", code: "server_error", hint: "wait", temporary: true},
		{redirect: "error=new_thing&error_description=%0Aodd", code: "new_thing", hint: "Login History"},
		{redirect: "", code: "invalid_response", hint: "Login History"},
		{reply: `{"error":"invalid_grant","error_description":"expired authorization code"}`, code: "invalid_grant", hint: "begin the login again"},
		{reply: `{"error":"invalid_grant","error_description":"invalid authorization code"}`, code: "invalid_grant", hint: "15 minutes"},
		{reply: `{"error":"invalid_grant","error_description":"invalid code verifier"}`, code: "invalid_grant", hint: "no other login"},
		{reply: `{"error":"redirect_uri_mismatch","error_description":"redirect_uri must match configuration"}`, code: "redirect_uri_mismatch", hint: "letter by letter"},
		{reply: `{"error":"invalid_client","error_description":"c0de-c0de"}`, code: "invalid_client", hint: "consumer key"},
	} {
		server := serve(t, answer(400, "application/json", tc.reply))
		a, query := begin(t, server, nil)
		redirect, err := url.ParseQuery(tc.redirect)
		if err != nil {
			t.Fatal(err)
		}
		redirect["state"] = query["state"]
		if tc.reply != "" {
			redirect.Set("code", "c0de-c0de")
		}
		_, _, err = a.Finish(wait(t), redirect)
		var refused *salesforce.OAuthError
		if !errors.As(err, &refused) || refused.Code != tc.code || refused.Temporary != tc.temporary {
			t.Fatalf("%s%s: %v", tc.redirect, tc.reply, err)
		}
		mustContain(t, refused.Hint, tc.hint)
		if strings.Contains(err.Error(), "HTTP 0") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q", err)
		}
		checkSilent(t, err, "c0de-c0de")
	}
}

func TestWebServerSettings(t *testing.T) {
	good := salesforce.WebServer{LoginURL: "https://acme.example", ClientID: "id", RedirectURL: "http://localhost:1"}
	for part, change := range map[string]func(*salesforce.WebServer){
		"WebServer.ClientID is empty":    func(w *salesforce.WebServer) { w.ClientID = "" },
		"WebServer.RedirectURL is empty": func(w *salesforce.WebServer) { w.RedirectURL = "" },
		"lacks the scheme":               func(w *salesforce.WebServer) { w.LoginURL = "acme" },
		"plain http":                     func(w *salesforce.WebServer) { w.LoginURL = "http://acme.example" },
		"making the state":               func(w *salesforce.WebServer) { w.Rand = iotest.TimeoutReader(bytes.NewReader(nil)) },
	} {
		flow := good
		change(&flow)
		if _, err := flow.Begin(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	flow := good
	flow.Rand, flow.Scopes = bytes.NewReader(make([]byte, 96)), []string{"full"}
	a, err := flow.Begin()
	if err != nil || !strings.Contains(a.URL, "state="+strings.Repeat("A", 43)) || !strings.Contains(a.URL, "scope=full") {
		t.Errorf("%v, %v", a, err)
	}
}
