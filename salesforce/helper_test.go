package salesforce_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sfbridge/bridge/salesforce"
)

const (
	orgID15  = "00Dxx0000001gPL"
	orgID18  = "00Dxx0000001gPLEAY"
	userID18 = "005xx000001SvogAAC"
)

// grantFunc is a grant made of a function.
type grantFunc func(ctx context.Context) (salesforce.Token, error)

func (f grantFunc) Exchange(ctx context.Context) (salesforce.Token, error) { return f(ctx) }

// transportFunc is a network made of a function.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve runs a server on loopback until the test ends.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// answer writes a reply.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// tokenJSON is a token endpoint's reply of success.
func tokenJSON(access, instance string) string {
	return fmt.Sprintf(`{"access_token":%q,"instance_url":%q,"id":"https://login.salesforce.com/id/%s/%s",`+
		`"token_type":"Bearer","issued_at":"1772615722481","scope":"api"}`, access, instance, orgID18, userID18)
}

// fixedTokens is a source whose nth exchange gives the nth of the tokens.
func fixedTokens(t testing.TB, instance string, access ...string) *salesforce.TokenSource {
	t.Helper()
	next := 0
	return salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
		if next == len(access) {
			return salesforce.Token{}, errors.New("no more tokens in this test")
		}
		next++
		return salesforce.Token{Access: salesforce.Secret(access[next-1]), InstanceURL: instance, OrgID: orgID18}, nil
	}))
}

// newClient asks the server with version 66.0 and one token per exchange.
func newClient(t testing.TB, instance string, access ...string) *salesforce.Client {
	t.Helper()
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: fixedTokens(t, instance, access...), APIVersion: "66.0"})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// wait is a context that ends a test that hangs.
func wait(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// mustContain checks a text for parts.
func mustContain(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not contain %q", text, part)
		}
	}
}

// parseForm reads the form of a token request, which must not be in the URL.
func parseForm(t testing.TB, r *http.Request) url.Values {
	t.Helper()
	if err := r.ParseForm(); err != nil {
		t.Error(err)
	}
	if r.URL.RawQuery != "" {
		t.Errorf("the token request has the query %q", r.URL.RawQuery)
	}
	return r.PostForm
}

// pemBody is what a PEM file of testdata holds.
func pemBody(t testing.TB, name string) []byte {
	t.Helper()
	block, _ := pem.Decode(keyText(t, name))
	if block == nil {
		t.Fatalf("%s is not PEM", name)
	}
	return block.Bytes
}

// pemPKCS8 is the text of a key.
func pemPKCS8(t testing.TB, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("PRIVATE KEY", der)
}

// acceptSigned is a token endpoint that takes the assertions of one key.
func acceptSigned(t testing.TB, key func() *rsa.PublicKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, err := jwt.Parse(parseForm(t, r).Get("assertion"), func(*jwt.Token) (any, error) { return key(), nil })
		if err != nil {
			answer(400, "application/json", `{"error":"invalid_grant","error_description":"invalid assertion"}`)(w, r)
			return
		}
		answer(200, "application/json", tokenJSON("x", "https://acme.example"))(w, r)
	}
}
