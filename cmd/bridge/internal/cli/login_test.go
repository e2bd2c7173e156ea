package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
)

// The user allows, the token is in the file, and it is worth something.
func TestLoginByBrowser(t *testing.T) {
	org, at := loginOrg(t, orgsim.OAuth{Rotate: true})
	path := filepath.Join(t.TempDir(), "refresh-token")
	var shown pages
	code, stdout, stderr := loginCase{
		args: append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", path),
		open: func(_ context.Context, url string) error { shown.visit(t, url); return nil },
	}.run(t)
	if code != 0 || !strings.Contains(stdout, org.ID()) || !strings.Contains(stdout, "token_file: "+path) {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	if page := shown.all(); !strings.Contains(page, "200 ") || !strings.Contains(page, "Salesforce let you in") {
		t.Errorf("the browser shows %s", page)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("token file: %v, %v", info, err)
	}
	first, err := salesforce.FileStore{Path: path}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hides(t, first.Reveal(), stdout, stderr, shown.all())
	if token, err := refreshed(t, at, path); err != nil || token.OrgID != org.ID() {
		t.Fatalf("%v, %v", token, err)
	}
	if second, err := (salesforce.FileStore{Path: path}).Load(t.Context()); err != nil || second == first {
		t.Errorf("the rotated token is not in the file: %v", err)
	}
}

// The command line's own app has a secret, and the answer is for programs.
func TestLoginJSON(t *testing.T) {
	org, at := loginOrg(t, orgsim.OAuth{NeedSecret: true})
	dir := t.TempDir()
	path, secretFile := filepath.Join(dir, "token"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(orgsim.DefaultApp(nil).ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var shown pages
	code, stdout, stderr := loginCase{
		args: append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", path, "--client-secret-file", secretFile, "--json"),
		open: func(_ context.Context, url string) error { shown.visit(t, url); return nil },
	}.run(t)
	shown.all()
	var told kept
	if err := json.Unmarshal([]byte(stdout), &told); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s\n%s", code, err, stdout, stderr)
	}
	if told.OrgID != org.ID() || told.TokenFile != path || told.LoginURL != at || told.UserID == "" || told.InstanceURL != at {
		t.Errorf("%+v", told)
	}
	hides(t, orgsim.DefaultApp(nil).ClientSecret, stdout, stderr)
}

// The manifest is on standard output and nothing of the token is elsewhere.
func TestLoginKubernetesSecret(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		_, at := loginOrg(t, orgsim.OAuth{})
		var shown pages
		args := append(client(), "--login-url", at, "--redirect-url", freePort, "--kubernetes-secret", "1e3", "--namespace", "crm")
		if asJSON {
			args = append(args, "--json")
		}
		code, stdout, stderr := loginCase{
			args: args, open: func(_ context.Context, url string) error { shown.visit(t, url); return nil },
		}.run(t)
		var m struct {
			APIVersion string `yaml:"apiVersion"`
			Kind, Type string
			Metadata   struct{ Name, Namespace any }
			Data       map[string]string
		}
		if err := yaml.Unmarshal([]byte(stdout), &m); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v\n%s\n%s", code, err, stdout, stderr)
		}
		if m.APIVersion != "v1" || m.Kind != "Secret" || m.Type != "Opaque" || m.Metadata.Name != "1e3" || m.Metadata.Namespace != "crm" {
			t.Errorf("%+v", m)
		}
		token, err := base64.StdEncoding.DecodeString(m.Data["refresh-token"])
		if err != nil {
			t.Fatal(err)
		}
		hides(t, string(token), stderr, shown.all())
		path := filepath.Join(t.TempDir(), "mounted")
		if err := os.WriteFile(path, token, 0o440); err != nil {
			t.Fatal(err)
		}
		if _, err := refreshed(t, at, path); err != nil {
			t.Error(err)
		}
	}
}

// Without a browser here, the address comes back by the terminal; what does not
// belong to this login is not taken.
func TestLoginHeadless(t *testing.T) {
	const elsewhere = "https://login.salesforce.com/services/oauth2/success"
	_, at := loginOrg(t, orgsim.OAuth{Callbacks: []string{elsewhere}})
	path := filepath.Join(t.TempDir(), "token")
	in, typed := io.Pipe()
	code, stdout, stderr := loginCase{
		args: append(client(), "--login-url", at, "--redirect-url", elsewhere, "--token-file", path, "--no-browser"),
		in:   in,
		open: func(context.Context, string) error { return errors.New("a browser was opened") },
		printed: func(url string) {
			other := strings.Replace(authorized(t, url), "state=", "state=x", 1)
			_, _ = io.WriteString(typed, "hello\n\n"+other+"\n"+authorized(t, url)+"\n")
			_ = typed.Close()
		},
	}.run(t)
	if code != 0 || strings.Count(stderr, "Not taken") != 2 || strings.Contains(stderr, "code=") {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	if _, err := refreshed(t, at, path); err != nil {
		t.Error(err)
	}
}

// authorized opens the address elsewhere and returns where that browser ends.
func authorized(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Get(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusFound {
		t.Errorf("HTTP %d", res.StatusCode)
	}
	return res.Header.Get("Location")
}

// Also when nobody types, the redirect is awaited: a tunnel may bring it.
func TestLoginHeadlessByTunnel(t *testing.T) {
	_, at := loginOrg(t, orgsim.OAuth{})
	var shown pages
	code, _, stderr := loginCase{
		args: append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", filepath.Join(t.TempDir(), "token"), "--no-browser"),
		printed: func(address string) {
			end, err := url.Parse(authorized(t, address))
			if err != nil {
				t.Error(err)
				return
			}
			other := *end
			query := end.Query()
			query.Set("state", "forged")
			other.RawQuery = query.Encode()
			wrong := *end
			wrong.Path = "/favicon.ico"
			for address, want := range map[string]int{other.String(): 400, wrong.String(): 404} {
				if status, body := get(t, address); status != want || strings.Contains(body, "forged") {
					t.Errorf("%s: HTTP %d %s", address, status, body)
				}
			}
			shown.visit(t, end.String())
		},
	}.run(t)
	if code != 0 || !strings.Contains(shown.all(), "let you in") {
		t.Errorf("exit code %d, %s\n%s", code, shown.all(), stderr)
	}
}

// What can go wrong, what is said, and that nothing is stored then.
func TestLoginFails(t *testing.T) {
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	for name, c := range map[string]struct {
		conf  orgsim.OAuth
		args  []string
		stay  bool // the user goes nowhere
		code  int
		parts []string
	}{
		"denied":      {conf: orgsim.OAuth{Deny: true}, code: 3, parts: []string{"access_denied", "choose Allow"}},
		"no refresh":  {conf: orgsim.OAuth{NoRefresh: true}, code: 3, parts: []string{"no refresh token", "offline_access"}},
		"needs a key": {conf: orgsim.OAuth{NeedSecret: true}, code: 3, parts: []string{"invalid_client", "consumer key and secret"}},
		"mismatch": {
			conf: orgsim.OAuth{Callbacks: []string{"https://elsewhere.example"}}, args: []string{"--timeout", "300ms"}, code: 3,
			parts: []string{"nobody came back", "redirect_uri_mismatch", "add http://localhost:"},
		},
		"nobody":      {stay: true, args: []string{"--timeout", "50ms"}, code: 3, parts: []string{"within 50ms", "--timeout"}},
		"port in use": {args: []string{"--redirect-url", taken.URL + "/x"}, code: 3, parts: []string{"in use", "--redirect-url"}},
		"nothing typed": {
			args: []string{"--redirect-url", "https://a.example/x", "--no-browser"}, stay: true, code: 3, parts: []string{"standard input ended"},
		},
		"no folder":  {args: []string{"--token-file", "/nowhere/token"}, code: 2, parts: []string{"/nowhere/token", "no such file"}},
		"a folder":   {args: []string{"--token-file", "/"}, code: 2, parts: []string{"not a regular file"}},
		"plain http": {args: []string{"--login-url", "http://acme.example"}, code: 2, parts: []string{"plain http"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, at := loginOrg(t, c.conf)
			dir := t.TempDir()
			var shown pages
			code, stdout, stderr := loginCase{
				args: append(append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", filepath.Join(dir, "token")), c.args...),
				open: func(_ context.Context, url string) error {
					if !c.stay {
						shown.visit(t, url)
					}
					return nil
				},
			}.run(t)
			shown.all()
			if code != c.code || stdout != "" {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stdout)
			}
			for _, part := range c.parts {
				if !strings.Contains(stderr, part) {
					t.Errorf("does not say %q:\n%s", part, stderr)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestLoginWithoutAnyBrowser(t *testing.T) {
	_, at := loginOrg(t, orgsim.OAuth{})
	var shown pages
	code, _, stderr := loginCase{
		args:    append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", filepath.Join(t.TempDir(), "token")),
		open:    func(context.Context, string) error { return errors.New("no such program") },
		printed: func(url string) { shown.visit(t, url) },
	}.run(t)
	shown.all()
	if code != 0 || !strings.Contains(stderr, "No browser opened (no such program)") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestLoginInterrupted(t *testing.T) {
	_, at := loginOrg(t, orgsim.OAuth{})
	stop := newStopper(io.Discard, nil)
	defer stop.close()
	code, _, stderr := loginCase{
		args: append(client(), "--login-url", at, "--redirect-url", freePort, "--token-file", filepath.Join(t.TempDir(), "token")),
		open: func(context.Context, string) error { stop.stop(); return nil },
		stop: stop,
	}.run(t)
	if code != 1 || !strings.Contains(stderr, "nothing was stored") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestLoginUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "--client-id is missing"},
		{client(), "where to keep the refresh token"},
		{append(client(), "--token-file", "x", "--kubernetes-secret", "y"), "exclude each other"},
		{append(client(), "--token-file", "x", "--namespace", "y"), "--namespace goes with"},
		{append(client(), "--kubernetes-secret", "Acme"), "no name of a Secret"},
		{append(client(), "--kubernetes-secret", "acme", "--namespace", "a.b"), "no name of a namespace"},
		{append(client(), "--client-secret", "hunter2", "--client-secret-file", "x"), "exclude each other"},
		{append(client(), "--client-secret-file", "/nowhere"), "/nowhere"},
		{append(client(), "--timeout", "0s", "--token-file", "x"), "--timeout must be positive"},
		{append(client(), "--token-file", "x", "--redirect-url", "https://a.example"), "--no-browser"},
		{append(client(), "--token-file", "x", "--redirect-url", "::"), "is no URL"},
		{append(client(), "--token-file", "x", "--login-url", "https://u:hunter2@a.example", "--redirect-url", freePort), "user name"},
		{[]string{"--config", "/nowhere.yaml"}, "/nowhere.yaml"},
	} {
		code, _, stderr := loginCase{args: c.args}.run(t)
		if code != 2 || !strings.Contains(stderr, c.says) || strings.Contains(stderr, "hunter2") {
			t.Errorf("bridge login %v: exit code %d, %q; want 2 and %q", c.args, code, stderr, c.says)
		}
	}
}

// The same file is what the login reads and what the bridge then runs with.
func TestLoginForConfiguration(t *testing.T) {
	org, at := loginOrg(t, orgsim.OAuth{Rotate: true, TellExpiry: true})
	dir := t.TempDir()
	path := filepath.Join(dir, "bridge.yaml")
	text := fmt.Sprintf(`name: acme
org:
  login_url: %s
  auth:
    type: refresh_token
    client_id: %s
    token_file: refresh-token
streams:
  - channel: /data/AccountChangeEvent
kafka:
  brokers: [localhost:9092]
format: json
`, at, orgsim.DefaultApp(nil).ClientID)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var shown pages
	code, stdout, stderr := loginCase{
		args: []string{"--config", path, "--redirect-url", freePort},
		open: func(_ context.Context, url string) error { shown.visit(t, url); return nil },
	}.run(t)
	shown.all()
	if code != 0 || strings.Contains(stderr, "warning") || strings.Contains(stdout, "auth:") {
		t.Fatalf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	cfg, problems, err := config.Load(path, config.OSEnv())
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	o, err := login(t.Context(), cfg.Org, &tokenCounter{})
	if err != nil || o.id != org.ID() {
		t.Fatal(err)
	}
	token, err := o.tokens.Token(t.Context())
	if left := time.Until(token.Expires); err != nil || left < time.Hour {
		t.Errorf("the token ends in %v, %v", left, err)
	}
	if !bytes.HasPrefix(mustRead(t, filepath.Join(dir, "refresh-token")), []byte("5Aep861")) {
		t.Error("the token is not beside the configuration")
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
