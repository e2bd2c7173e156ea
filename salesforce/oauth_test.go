package salesforce_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// oauthError is one refusal: by which grants, and what it must be made of.
type oauthError struct {
	grants, code, description string
	hint                      string
	temporary                 bool
}

func oauthErrors() []oauthError {
	const anyGrant = "jwt client_credentials password refresh"
	return []oauthError{
		{"jwt", "invalid_grant", "Audience validation failed", "set the audience to", false},
		{"jwt", "invalid_grant", "audience is invalid [audience=a login=b]", "https://test.salesforce.com", false},
		{"jwt", "invalid_grant", "user hasn't approved this consumer", "pre-authorized", false},
		{anyGrant, "invalid_grant", "user is not admin approved", "pre-authorized", false},
		{anyGrant, "invalid_app_access", "user is not admin approved to access this app", "pre-authorized", false},
		{anyGrant, "invalid_grant", "Not approved for access", "pre-authorized", false},
		{"jwt", "invalid_grant", "invalid assertion", "holds the certificate", false},
		{"jwt", "invalid_grant", "assertion expired or invalid", "signs a new assertion", true},
		{"jwt", "invalid_grant", "token validity expired", "signs a new assertion", true},
		{"jwt", "invalid_grant", "authentication failure", "holds the certificate", false},
		{"password", "invalid_grant", "authentication failure", "Username-Password Flow Disabled", false},
		{"password", "invalid_grant", "expired access/refresh token", "Login History", false},
		{"client_credentials", "invalid_grant", "authentication failure", "Login History", false},
		{"client_credentials", "invalid_grant", "no client credentials user enabled", "run-as user", false},
		{"client_credentials", "invalid_grant", "request not supported on this domain", "client credentials flow is not served", false},
		{"jwt password", "invalid_grant", "request not supported on this domain", "My Domain", false},
		{anyGrant, "invalid_grant", "inactive user", "activate and unfreeze", false},
		{anyGrant, "inactive_user", "user is inactive", "activate and unfreeze", false},
		{anyGrant, "inactive_org", "", "org's administrator", false},
		{anyGrant, "invalid_grant", "inactive organization", "org's administrator", false},
		{anyGrant, "invalid_grant", "organization is inactive", "org's administrator", false},
		{anyGrant, "invalid_grant", "ip restricted", "login IP ranges", true},
		{anyGrant, "invalid_grant", "invalid login hours", "login hours", true},
		{anyGrant, "invalid_grant", "something new", "Login History", false},
		{anyGrant, "invalid_client_id", "client identifier invalid", "consumer key", false},
		{anyGrant, "invalid_client", "invalid client credentials", "consumer key and secret", false},
		{anyGrant, "invalid_client_credentials", "client secret invalid", "consumer key and secret", false},
		{"jwt", "unsupported_grant_type", "grant type not supported", "JWT bearer flow", false},
		{"password", "unsupported_grant_type", "grant type not supported", "username-password flow is off", false},
		{"refresh", "invalid_grant", "expired access/refresh token", `"bridge login" again`, false},
		{"refresh", "invalid_grant", "token validity expired", `"bridge login" again`, false},
		{"refresh", "invalid_grant", "invalid refresh token", `"bridge login" again`, false},
		{"refresh", "unsupported_grant_type", "grant type not supported", "refresh token flow", false},
		{"client_credentials", "unsupported_grant_type", "grant type not supported", "Enable Client Credentials Flow", false},
		{anyGrant, "app_not_found", "External client app is not installed in this org", "install or create", false},
		{anyGrant, "OAUTH_APP_BLOCKED", "this app is blocked by admin", "unblock the app", false},
		{anyGrant, "invalid_scope", "x", "scope", false},
		{anyGrant, "invalid_request", "must use HTTP POST", "POST into GET", false},
		{anyGrant, "access_denied", "end-user denied authorization", "policies", false},
		{anyGrant, "redirect_uri_mismatch", "redirect_uri must match configuration", "server-to-server", false},
		{anyGrant, "unsupported_response_type", "x", "server-to-server", false},
		{anyGrant, "immediate_unsuccessful", "x", "server-to-server", false},
		{anyGrant, "rate_limit_exceeded", "login rate exceeded", "3,600", true},
		{anyGrant, "invalid_grant", "login rate exceeded", "3,600", true},
		{anyGrant, "server_error", "x", "status.salesforce.com", true},
		{anyGrant, "temporarily_unavailable", "x", "status.salesforce.com", true},
		{anyGrant, "unknown_error", "retry your request", "status.salesforce.com", true},
	}
}

// TestOAuthErrors: each error of the token endpoint has its hint and its class.
func TestOAuthErrors(t *testing.T) {
	key := newKey(t)
	for _, tc := range oauthErrors() {
		for name := range strings.FieldsSeq(tc.grants) {
			t.Run(name+" "+tc.code+" "+tc.description, func(t *testing.T) {
				server := serve(t, answer(400, "application/json;charset=UTF-8",
					fmt.Sprintf(`{"error":%q,"error_description":%q}`, tc.code, tc.description)))
				grants := map[string]salesforce.Grant{
					"jwt":                salesforce.JWTBearer{LoginURL: server, ClientID: "id", Username: "u", Key: key},
					"client_credentials": salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s3cr3t"},
					"refresh":            &salesforce.RefreshToken{LoginURL: server, ClientID: "id", Store: &memory{token: "5Aep861"}},
					"password":           salesforce.Password{LoginURL: server, ClientID: "id", Username: "u", Password: "p4ssw0rd"},
				}
				_, err := grants[name].Exchange(wait(t))
				var refused *salesforce.OAuthError
				if !errors.As(err, &refused) {
					t.Fatalf("got %v", err)
				}
				if refused.Code != tc.code || refused.Status != 400 || refused.Host != strings.TrimPrefix(server, "http://") ||
					refused.Skew != 0 || (refused.Description != tc.description && tc.description != "") {
					t.Errorf("got %+v", refused)
				}
				mustContain(t, refused.Hint, tc.hint)
				mustContain(t, err.Error(), tc.code+": "+refused.Description+" (HTTP 400)", "; try: ")
				if salesforce.Retryable(err) != tc.temporary || salesforce.Unauthorized(err) == tc.temporary {
					t.Errorf("retryable %v, unauthorized %v", salesforce.Retryable(err), salesforce.Unauthorized(err))
				}
			})
		}
	}
}

// TestOAuthPages: what answers at the login URL is not always a token endpoint.
func TestOAuthPages(t *testing.T) {
	const page = "<!DOCTYPE html><html><head><title>Salesforce &mdash; Sorry</title></head></html>"
	for _, tc := range []struct {
		status                  int
		body, description, hint string
		temporary               bool
	}{
		{404, page, `an HTML page titled "Salesforce &mdash; Sorry" instead of JSON`, "lightning.force.com", false},
		{405, "<html></html>", "an HTML page instead of JSON", "lightning.force.com", false},
		{403, "Blocked\x00 by\nproxy", `the text "Blocked by proxy" instead`, "proxy or firewall", false},
		{407, "", "an empty body", "proxy its credentials", false},
		{420, "", "an empty body", "wait", true},
		{429, "", "an empty body", "wait", true},
		{500, `{"other":1}`, "instead of the API's JSON", "wait", true},
		{503, page, "HTML page", "maintenance", true},
		{501, page, "HTML page", "login URL", false},
		{500, `{"error":"invalid_client"}`, "no description", "consumer key", true},
	} {
		server := serve(t, answer(tc.status, "text/plain", tc.body))
		_, err := salesforce.ClientCredentials{LoginURL: server, ClientID: "id", ClientSecret: "s"}.Exchange(wait(t))
		var refused *salesforce.OAuthError
		if !errors.As(err, &refused) || refused.Status != tc.status || salesforce.Retryable(err) != tc.temporary {
			t.Fatalf("%d: %v", tc.status, err)
		}
		mustContain(t, refused.Description, tc.description)
		mustContain(t, refused.Hint, tc.hint)
	}
	long := serve(t, answer(400, "text/plain", strings.Repeat("ab ", 10_000)))
	_, err := salesforce.ClientCredentials{LoginURL: long, ClientID: "id", ClientSecret: "s"}.Exchange(wait(t))
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("a long page makes a long error: %v", err)
	}
}

func TestClockSkew(t *testing.T) {
	key := newKey(t)
	served := time.Date(2026, 3, 4, 9, 15, 22, 0, time.UTC)
	for _, tc := range []struct {
		description string
		ahead       time.Duration
		date        string // overrides the server's time
		skew        time.Duration
		hint        string
		temporary   bool
	}{
		{"invalid assertion", 10 * time.Minute, "", 10 * time.Minute, "it is 10m0s ahead of Salesforce's", false},
		{"invalid assertion", -4*time.Minute - 12*time.Second, "", -4*time.Minute - 12*time.Second, "it is 4m12s behind Salesforce's", false},
		{"assertion expired or invalid", -3 * time.Minute, "", -3 * time.Minute, "set the clock", false},
		{"invalid_grant", 2 * time.Minute, "", 2 * time.Minute, "set the clock", false},
		// The assertion is valid by both clocks: something else is wrong.
		{"invalid assertion", 59 * time.Second, "", 59 * time.Second, "holds the certificate", false},
		{"assertion expired or invalid", -119 * time.Second, "", -119 * time.Second, "signs a new assertion", true},
		{"invalid assertion", 2 * time.Second, "", 0, "holds the certificate", false},
		// The text names a cause that is not the clock.
		{"user hasn't approved this consumer", time.Hour, "", time.Hour, "pre-authorized", false},
		{"audience is invalid", time.Hour, "", time.Hour, "set the audience", false},
		// No measure.
		{"invalid assertion", time.Hour, "yesterday", 0, "holds the certificate", false},
	} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			date := tc.date
			if date == "" {
				date = served.Format(http.TimeFormat)
			}
			w.Header().Set("Date", date)
			answer(400, "application/json", fmt.Sprintf(`{"error":"invalid_grant","error_description":%q}`, tc.description))(w, r)
		})
		_, err := salesforce.JWTBearer{
			LoginURL: server, ClientID: "id", Username: "u", Key: key,
			Now: func() time.Time { return served.Add(tc.ahead) },
		}.Exchange(wait(t))
		var refused *salesforce.OAuthError
		if !errors.As(err, &refused) || refused.Skew != tc.skew || refused.Temporary != tc.temporary {
			t.Errorf("%s, %v ahead: %+v", tc.description, tc.ahead, refused)
			continue
		}
		mustContain(t, refused.Hint, tc.hint)
	}
}

// FuzzTokenReply: whatever the token endpoint answers, there is a token or an
// error, of one line, that shows nothing of what was sent.
func FuzzTokenReply(f *testing.F) {
	f.Add(200, []byte(tokenJSON("00Dxx!AQ4", "https://acme.my.salesforce.com")))
	f.Add(200, []byte(`{"access_token":"x","instance_url":"https://acme.example","expires_in":"7200","refresh_token":"next"}`))
	f.Add(200, []byte(`{"error":"server_error"}`))
	f.Add(400, []byte(`{"error":"invalid_grant","error_description":"expired access/refresh token"}`))
	f.Add(503, []byte("<html><title>Down for maintenance</title></html>"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		network := transportFunc(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
		})
		store := &memory{token: "5Aep861-hunter2"}
		token, err := (&salesforce.RefreshToken{
			LoginURL: "https://acme.example", ClientID: "id", Store: store, HTTP: &http.Client{Transport: network},
		}).Exchange(t.Context())
		if (err == nil) != (token.Access != "") || store.token == "" {
			t.Errorf("token %v, error %v", token, err)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q", err)
		}
	})
}
