package salesforce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

// verbs are those of package fmt for text, and some that do not fit it.
func verbs() []string {
	return []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s", "%T %v"}
}

// outputs renders a value in every way in which it could come to light.
func outputs(t *testing.T, value any) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, verb := range verbs() {
		args := []any{value}
		if strings.HasPrefix(verb, "%T") {
			args = []any{value, value}
		}
		out[verb] = fmt.Sprintf(verb, args...)
	}
	out["Sprint"] = fmt.Sprint(value)
	text, err := json.Marshal(value)
	if err == nil {
		out["json"] = string(text)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("value", "value", value)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "value", value)
	out["slog"] = log.String()
	return out
}

func TestSecretsAreNeverShown(t *testing.T) {
	const secret = "hunter2-0123456789"
	source := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
		return salesforce.Token{Access: secret}, nil
	}))
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: source})
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	values := map[string]any{
		"Secret":             salesforce.Secret(secret),
		"pointer to Secret":  func() *salesforce.Secret { s := salesforce.Secret(secret); return &s }(),
		"Token":              salesforce.Token{Access: secret},
		"pointer to Token":   &salesforce.Token{Access: secret},
		"Tokens":             []salesforce.Token{{Access: secret}},
		"ClientCredentials":  salesforce.ClientCredentials{ClientSecret: secret},
		"Password":           &salesforce.Password{Password: secret, ClientSecret: secret, SecurityToken: secret},
		"JWTBearer":          salesforce.JWTBearer{Key: key, ClientID: "id"},
		"RefreshToken":       &salesforce.RefreshToken{ClientSecret: secret, Store: &memory{token: secret}},
		"WebServer":          salesforce.WebServer{ClientSecret: secret},
		"KeyFile":            salesforce.NewKeyFile("x", secret),
		"somebody's KeyFile": struct{ key *salesforce.KeyFile }{salesforce.NewKeyFile("x", secret)},
		"TokenSource":        source,
		"Client":             client,
		"source of password": salesforce.NewTokenSource(salesforce.Password{Password: secret}),
		"somebody's structs": struct {
			tokens *salesforce.TokenSource
			deeper struct{ client any }
		}{source, struct{ client any }{client}},
		"somebody's source": struct{ tokens *salesforce.TokenSource }{
			salesforce.NewTokenSource(salesforce.Password{Password: secret}),
		},
	}
	forbidden := []string{secret, "68756e74657232", "68756E74657232", key.D.String(), fmt.Sprintf("%x", key.D)}
	for name, value := range values {
		for way, text := range outputs(t, value) {
			for _, part := range forbidden {
				if strings.Contains(text, part) {
					t.Errorf("%s shows its secret by %s: %s", name, way, text)
				}
			}
		}
	}
	if got := salesforce.Secret(secret).Reveal(); got != secret {
		t.Errorf("Reveal gives %q", got)
	}
	if got := fmt.Sprintf("%s|%v", salesforce.Secret("x"), salesforce.Secret("")); got != "[redacted]|" {
		t.Errorf("shown as %q", got)
	}
	text, err := json.Marshal(map[string]salesforce.Secret{"key": secret})
	if err != nil || strings.Contains(string(text), "hunter") {
		t.Errorf("as a value of JSON: %s, %v", text, err)
	}
}

// TestServersThatEchoSecrets: whatever a server writes back, no error shows it.
func TestServersThatEchoSecrets(t *testing.T) {
	const secret = "hunter2-0123456789"
	for _, body := range []string{
		`{"error":"invalid_grant","error_description":"wrong password ` + secret + `"}`,
		`{"error":"` + secret + `","error_description":"x"}`,
		`you sent ` + secret,
		`<html><title>` + secret + `</title></html>`,
		`[{"errorCode":"` + secret + `","message":"` + secret + `","fields":["` + secret + `"]}]`,
		`{"error":"x","error_description":"` + strings.Repeat("y", 295) + secret + `"}`,
		`{"access_token":"` + secret + `","token_type":"MAC"}`,
		`{"access_token":"` + secret + `"`,
		`{"access_token":"` + secret + `","instance_url":"acme"}`,
		`{"access_token":"` + secret + `","instance_url":"https://acme.example","id":"nonsense"}`,
	} {
		for _, status := range []int{200, 400, 403, 500} {
			server := serve(t, answer(status, "text/plain", body))
			_, err := salesforce.Password{
				LoginURL: server, ClientID: "id", ClientSecret: secret, Username: "u", Password: secret, SecurityToken: secret,
			}.Exchange(wait(t))
			if err == nil {
				t.Fatalf("status %d, body %s: no error", status, body)
			}
			var v []int
			errs := []error{err, newClient(t, server, secret).Get(wait(t), "/x", &v)}
			for _, err := range errs {
				if err == nil {
					t.Fatalf("status %d, body %s: no error", status, body)
				}
				checkSilent(t, err, secret, "hunter2")
			}
		}
	}
}

// checkSilent checks an error and everything that it wraps.
func checkSilent(t *testing.T, err error, forbidden ...string) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for way, text := range outputs(t, err) {
			for _, part := range forbidden {
				if strings.Contains(text, part) {
					t.Errorf("%T shows %q by %s: %s", err, part, way, text)
				}
			}
		}
	}
}

func TestURLsWithPasswordsAreNotShown(t *testing.T) {
	for _, raw := range []string{
		"https://user:hunter2@acme.example", "user:hunter2@acme.example", "https://user:hunter2/x@acme.example",
		"http://user:hunter2@acme.example", "https://acme.example?password=hunter2", "ftp://user:hunter2@acme.example",
		"https://user:hunter2 @acme.example",
	} {
		_, err := salesforce.ClientCredentials{LoginURL: raw, ClientID: "id", ClientSecret: "x"}.Exchange(t.Context())
		var config *salesforce.ConfigError
		if !errors.As(err, &config) {
			t.Fatalf("%s: %v", raw, err)
		}
		checkSilent(t, err, "hunter2")
	}
}
