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
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// exampleOrg is a stand-in for an org: one version, one schema.
func exampleOrg() *httptest.Server {
	var org *httptest.Server
	org = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/services/oauth2/token":
			if r.FormValue("client_id") == "unknown" {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`)
				return
			}
			_, _ = io.WriteString(w, tokenJSON("00Dxx0000001gPL!AQ4AQPx", org.URL))
		case "/services/data/":
			_, _ = io.WriteString(w, `[{"version":"9.0"},{"version":"66.0"}]`)
		default:
			_, _ = io.WriteString(w, `{"name":"Low_Ink__e","type":"record","fields":[]}`)
		}
	}))
	return org
}

// Log in with a key, and read the schema of an event.
func Example() {
	org := exampleOrg()
	defer org.Close()
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		fmt.Println(err)
		return
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(made)})

	key, err := salesforce.ParsePrivateKey(text)
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := salesforce.NewTokenSource(salesforce.JWTBearer{
		LoginURL: org.URL, // "" is https://login.salesforce.com
		ClientID: "3MVG9...",
		Username: "bridge@acme.example",
		Key:      key,
	})
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: tokens})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	id, err := client.Organization(ctx)
	fmt.Println(id, err)
	version, err := client.APIVersion(ctx)
	fmt.Println(version, err)
	schema, err := client.EventSchema(ctx, "5E5OtZj5_Gm6Vax9XMXH9A")
	fmt.Println(string(schema), err)
	token, err := tokens.Token(ctx)
	fmt.Println(token.Access, err)
	// Output:
	// 00Dxx0000001gPLEAY <nil>
	// 66.0 <nil>
	// {"name":"Low_Ink__e","type":"record","fields":[]} <nil>
	// [redacted] <nil>
}

// A refused login says what to change, and whether waiting helps.
func ExampleOAuthError() {
	org := exampleOrg()
	defer org.Close()
	_, err := salesforce.ClientCredentials{LoginURL: org.URL, ClientID: "unknown", ClientSecret: "secret"}.Exchange(context.Background())
	var refused *salesforce.OAuthError
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, "-", refused.Description)
		fmt.Println(refused.Hint[:29])
	}
	fmt.Println(salesforce.Retryable(err), salesforce.Unauthorized(err))
	// Output:
	// invalid_grant - user hasn't approved this consumer
	// approve the user for the app:
	// false true
}

// Rows that were changed, but no events: something is wrong with the stream.
func ExampleClient_CountModified() {
	org := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Query().Get("q"))
		_, _ = io.WriteString(w, `{"totalSize":300000,"done":true,"records":[]}`)
	}))
	defer org.Close()
	tokens := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
		return salesforce.Token{Access: "00Dxx0000001gPL!AQ4AQPx", InstanceURL: org.URL}, nil
	}))
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: tokens, APIVersion: "66.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	lastEvent := time.Date(2026, 3, 4, 9, 15, 22, 481e6, time.UTC)
	n, err := client.CountModified(context.Background(), "Account", lastEvent, lastEvent.Add(time.Hour))
	fmt.Println(n, err, "with", client.Calls(), "call")
	// Output:
	// SELECT COUNT() FROM Account WHERE SystemModstamp > 2026-03-04T09:15:23Z AND SystemModstamp <= 2026-03-04T10:15:22Z AND LastModifiedDate > 2026-03-04T09:15:23Z
	// 300000 <nil> with 1 call
}

func ExampleID18() {
	fmt.Println(salesforce.ID18("00Dxx0000001gPL"))
	// Output: 00Dxx0000001gPLEAY <nil>
}
