package orgsim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	callback = "http://localhost:1717/OauthRedirect"
	verifier = "a-verifier-of-at-least-forty-three-characters-1234"
)

// authorize opens the address as a browser does, and returns where it is sent, or
// the page that it gets.
func authorize(t *testing.T, base string, change func(url.Values)) (url.Values, string) {
	t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	ask := url.Values{
		"response_type": {"code"}, "client_id": {DefaultApp(nil).ClientID}, "redirect_uri": {callback}, "state": {"s&t=1"},
		"scope": {"api refresh_token"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if change != nil {
		change(ask)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(base + "/services/oauth2/authorize?" + ask.Encode())
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(t, err)
	if res.StatusCode != http.StatusFound {
		return nil, string(body)
	}
	where, err := url.Parse(res.Header.Get("Location"))
	check(t, err)
	if !strings.HasPrefix(where.String(), callback+"?") || where.Query().Get("state") != "s&t=1" {
		t.Errorf("sent to %s", where)
	}
	return where.Query(), ""
}

func codeForm(code string, kv ...string) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "client_id": {DefaultApp(nil).ClientID},
		"redirect_uri": {callback}, "code_verifier": {verifier},
	}
	for i := 0; i < len(kv); i += 2 {
		form.Set(kv[i], kv[i+1])
	}
	return form
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {DefaultApp(nil).ClientID}}
}

// webLogin logs in and returns access and refresh token.
func webLogin(t *testing.T, base string) (access, refresh string) {
	t.Helper()
	back, page := authorize(t, base, nil)
	status, got := tokenRequest(t, base, codeForm(back.Get("code")))
	if status != http.StatusOK || got["refresh_token"] == "" {
		t.Fatalf("HTTP %d %v, %s", status, got, page)
	}
	return got["access_token"], got["refresh_token"]
}

func lives(t *testing.T, base, access string) bool {
	t.Helper()
	return restRequest(t, base, access, "GET", "/services/data/v66.0/limits", "", nil).StatusCode == http.StatusOK
}

func TestAuthorize(t *testing.T) {
	for name, tc := range map[string]struct {
		conf   OAuth
		change func(url.Values)
		err    string // brought by the redirect
		page   string // in place of a redirect
	}{
		"allowed":           {},
		"registered":        {conf: OAuth{Callbacks: []string{"https://a.example", callback}}},
		"no method is S256": {change: func(v url.Values) { v.Del("code_challenge_method") }},
		"secret, no PKCE":   {conf: OAuth{NeedSecret: true}, change: func(v url.Values) { v.Del("code_challenge") }},
		"denied":            {conf: OAuth{Deny: true}, err: "access_denied"},
		"no PKCE":           {change: func(v url.Values) { v.Del("code_challenge") }, err: "invalid_request"},
		"plain PKCE":        {change: func(v url.Values) { v.Set("code_challenge_method", "plain") }, err: "invalid_request"},
		"implicit":          {change: func(v url.Values) { v.Set("response_type", "token") }, err: "unsupported_response_type"},
		"other app":         {change: func(v url.Values) { v.Set("client_id", "x") }, page: "invalid_client_id"},
		"not registered":    {conf: OAuth{Callbacks: []string{callback + "/"}}, page: "redirect_uri_mismatch"},
		"another machine":   {change: func(v url.Values) { v.Set("redirect_uri", "http://evil.example") }, page: "redirect_uri_mismatch"},
		"no redirect":       {change: func(v url.Values) { v.Del("redirect_uri") }, page: "redirect_uri_mismatch"},
	} {
		o := newOrg(t, Config{})
		o.SetOAuth(tc.conf)
		back, page := authorize(t, serve(t, o), tc.change)
		if back.Get("error") != tc.err || !strings.Contains(page, tc.page) || (page != "") != (tc.page != "") {
			t.Errorf("%s: %v %s", name, back, page)
		}
		if good := tc.err == "" && tc.page == ""; good != (back.Get("code") != "") {
			t.Errorf("%s: code %q", name, back.Get("code"))
		}
	}
}

func TestAuthorizationCode(t *testing.T) {
	o := newOrg(t, Config{Apps: []App{DefaultApp(nil), {ClientID: "other"}}})
	base := serve(t, o)
	for name, tc := range map[string]struct {
		kv      []string
		advance time.Duration
		err     string
	}{
		"good":           {},
		"with secret":    {kv: []string{"client_secret", DefaultApp(nil).ClientSecret}},
		"wrong secret":   {kv: []string{"client_secret", "x"}, err: "invalid client credentials"},
		"other app":      {kv: []string{"client_id", "other"}, err: "invalid authorization code"},
		"no app":         {kv: []string{"client_id", ""}, err: "client identifier invalid"},
		"no such code":   {kv: []string{"code", "x"}, err: "invalid authorization code"},
		"wrong verifier": {kv: []string{"code_verifier", "x"}, err: "invalid code verifier"},
		"no verifier":    {kv: []string{"code_verifier", ""}, err: "invalid code verifier"},
		"other redirect": {kv: []string{"redirect_uri", callback + "2"}, err: "redirect_uri must match configuration"},
		"late":           {advance: 15 * time.Minute, err: "expired authorization code"},
	} {
		back, _ := authorize(t, base, nil)
		o.AdvanceClock(tc.advance)
		_, got := tokenRequest(t, base, codeForm(back.Get("code"), tc.kv...))
		if got["error_description"] != tc.err || (got["access_token"] == "") != (tc.err != "") {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A code that comes again ends what the first exchange gave.
	back, _ := authorize(t, base, nil)
	_, got := tokenRequest(t, base, codeForm(back.Get("code")))
	if _, again := tokenRequest(t, base, codeForm(back.Get("code"))); again["error"] != "invalid_grant" {
		t.Errorf("a second time: %v", again)
	}
	if lives(t, base, got["access_token"]) {
		t.Error("the access token of a code that was used twice lives")
	}
	if _, got := tokenRequest(t, base, refreshForm(got["refresh_token"])); got["error_description"] != "expired access/refresh token" {
		t.Errorf("its refresh token: %v", got)
	}
	// No refresh token without the scope, or if the app gives none.
	back, _ = authorize(t, base, func(v url.Values) { v.Set("scope", "api") })
	if _, got := tokenRequest(t, base, codeForm(back.Get("code"))); got["access_token"] == "" || got["refresh_token"] != "" {
		t.Errorf("without the scope: %v", got)
	}
	o.SetOAuth(OAuth{NoRefresh: true, NeedSecret: true})
	back, _ = authorize(t, base, nil)
	if _, got := tokenRequest(t, base, codeForm(back.Get("code"))); got["error"] != "invalid_client" {
		t.Errorf("without the secret: %v", got)
	}
	if _, got := tokenRequest(t, base, codeForm(back.Get("code"), "client_secret", DefaultApp(nil).ClientSecret)); got["access_token"] == "" || got["refresh_token"] != "" {
		t.Errorf("an app without refresh tokens: %v", got)
	}
}

func TestRefreshTokens(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	access, refresh := webLogin(t, base)
	_, got := tokenRequest(t, base, refreshForm(refresh))
	if got["refresh_token"] != "" || !lives(t, base, got["access_token"]) || !lives(t, base, access) {
		t.Errorf("without rotation: %v", got)
	}
	o.SetOAuth(OAuth{Rotate: true})
	_, got = tokenRequest(t, base, refreshForm(refresh))
	second := got["refresh_token"]
	if second == "" || second == refresh {
		t.Fatalf("with rotation: %v", got)
	}
	_, got = tokenRequest(t, base, refreshForm(second))
	third, last := got["refresh_token"], got["access_token"]
	if third == "" || !lives(t, base, last) {
		t.Fatalf("the second rotation: %v", got)
	}
	// A rotated one comes again: all is over.
	for _, token := range []string{refresh, third, second} {
		if status, got := tokenRequest(t, base, refreshForm(token)); status != http.StatusBadRequest || got["error_description"] != "expired access/refresh token" {
			t.Errorf("HTTP %d %v", status, got)
		}
	}
	if lives(t, base, access) || lives(t, base, last) {
		t.Error("access tokens outlive the misuse of their refresh token")
	}
	if _, got := tokenRequest(t, base, refreshForm("x")); got["error"] != "invalid_grant" {
		t.Errorf("an unknown one: %v", got)
	}
}

func TestRefreshTokenLimit(t *testing.T) {
	o := newOrg(t, Config{})
	base := serve(t, o)
	o.SetOAuth(OAuth{Authorizations: 2, Rotate: true})
	var tokens []string
	for range 3 {
		_, refresh := webLogin(t, base)
		tokens = append(tokens, refresh)
	}
	for i, token := range tokens {
		_, got := tokenRequest(t, base, refreshForm(token))
		if (got["access_token"] == "") != (i == 0) {
			t.Errorf("authorization %d of 3 with 2 kept: %v", i+1, got)
		}
	}
}

func TestRevoke(t *testing.T) {
	base := serve(t, newOrg(t, Config{}))
	revoke := func(token string) int {
		res, err := http.PostForm(base+"/services/oauth2/revoke", url.Values{"token": {token}})
		check(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	access, refresh := webLogin(t, base)
	if revoke(access) != http.StatusOK || lives(t, base, access) || revoke(access) != http.StatusBadRequest {
		t.Error("an access token")
	}
	_, got := tokenRequest(t, base, refreshForm(refresh))
	if revoke(refresh) != http.StatusOK || lives(t, base, got["access_token"]) || revoke(refresh) != http.StatusBadRequest {
		t.Error("a refresh token")
	}
	if _, got := tokenRequest(t, base, refreshForm(refresh)); got["error"] != "invalid_grant" {
		t.Errorf("a revoked refresh token: %v", got)
	}
}

// An org that tells when tokens end ends them then, though they are used.
func TestTellExpiry(t *testing.T) {
	o := newOrg(t, Config{TokenLifetime: time.Hour})
	base := serve(t, o)
	if res := restRequest(t, base, "", "POST", "/orgsim/oauth", `{"tellExpiry":true}`, nil); res.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d", res.StatusCode)
	}
	app := DefaultApp(nil)
	res, err := http.PostForm(base+"/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "client_secret": {app.ClientSecret},
	})
	check(t, err)
	defer res.Body.Close()
	var got struct {
		Access  string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	check(t, json.NewDecoder(res.Body).Decode(&got))
	if got.Expires != 3600 {
		t.Errorf("expires_in %d", got.Expires)
	}
	for _, want := range []bool{true, true, false} {
		o.AdvanceClock(25 * time.Minute)
		if lives(t, base, got.Access) != want {
			t.Errorf("lives: %v", !want)
		}
	}
}
