package cli

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

func orgWith(t *testing.T, change func(*config.Org)) *http.Client {
	t.Helper()
	org := config.Org{LoginURL: "https://login.salesforce.com"}
	change(&org)
	transport, err := orgTransport(org)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func ask(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// Every request takes the configured proxy, and names itself to it.
func TestTransportProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("Proxy-Authorization"))
	}))
	defer proxy.Close()
	client := orgWith(t, func(o *config.Org) {
		o.ProxyURL = config.NewSecret(strings.Replace(proxy.URL, "http://", "http://bridge:hunter2@", 1))
	})
	got, err := ask(t, client, "http://acme.my.salesforce.com/services/oauth2/token")
	if err != nil || got != "acme.my.salesforce.com Basic YnJpZGdlOmh1bnRlcjI=" {
		t.Errorf("%q, %v", got, err)
	}
	proxy.Close()
	_, err = ask(t, client, "https://acme.my.salesforce.com/")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a dead proxy: %v", err)
	}
}

// The whole login goes that way, OAuth and REST alike.
func TestLoginUsesTheProxy(t *testing.T) {
	org, _, err := newOrg(1)
	if err != nil {
		t.Fatal(err)
	}
	paths := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.URL.Path
		r.RequestURI = r.URL.Path
		org.Handler().ServeHTTP(w, r)
	}))
	defer proxy.Close()
	cfg := config.Org{LoginURL: "http://org.example", AllowPlainHTTP: true, ProxyURL: config.NewSecret(proxy.URL)}
	cfg.Auth = config.Auth{Type: config.AuthPassword, ClientID: "3MVG9orgsimDefaultConsumerKey", ClientSecret: config.NewSecret("orgsim-secret"),
		Username: "bridge@orgsim.example", Password: config.NewSecret("correct-horse"), SecurityToken: config.NewSecret("Xq7")}
	o, err := login(context.Background(), cfg, &tokenCounter{})
	if err != nil || o.id != org.ID() {
		t.Fatal(err)
	}
	if first, second := <-paths, <-paths; first != "/services/oauth2/token" || second != "/services/data/" {
		t.Errorf("asked for %s and %s", first, second)
	}
}

func TestTransportTrust(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "in") }))
	defer server.Close()
	server.Config.ErrorLog = nil
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if got, err := ask(t, orgWith(t, func(o *config.Org) { o.TLS.CAPEM = ca }), server.URL); err != nil || got != "in" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := ask(t, orgWith(t, func(*config.Org) {}), server.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody named is trusted: %v", err)
	}
	if _, err := orgTransport(config.Org{TLS: config.OrgTLS{CAPEM: []byte("x")}}); err == nil {
		t.Error("text was taken for a certificate")
	}
}
