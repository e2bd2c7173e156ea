package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
)

// freePort is a redirect URL that takes any port.
const freePort = "http://localhost:0/callback"

// loginOrg is a simulated org on a port.
func loginOrg(t *testing.T, conf orgsim.OAuth) (*orgsim.Org, string) {
	t.Helper()
	org, _, err := newOrg(1)
	if err != nil {
		t.Fatal(err)
	}
	org.SetOAuth(conf)
	server := httptest.NewServer(org.Handler())
	t.Cleanup(server.Close)
	return org, server.URL
}

// loginCase is one `bridge login` with a test as its user.
type loginCase struct {
	args []string
	in   io.Reader
	// open is the user's browser; nil goes where it is sent.
	open func(ctx context.Context, url string) error
	// printed is told the address to open, in a goroutine of its own.
	printed func(url string)
	stop    *stopper
}

// pages are what the browsers of a test have shown.
type pages struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	text []string
}

// visit is a browser that follows redirects, as browsers do.
func (p *pages) visit(t *testing.T, url string) {
	p.wg.Go(func() {
		status, body := get(t, url)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.text = append(p.text, fmt.Sprint(status, " ", body))
	})
}

func (p *pages) all() string {
	p.wg.Wait()
	return strings.Join(p.text, "\n")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(body)
}

// watched is standard error that looks for the address to open.
type watched struct {
	printed func(string)

	mu   sync.Mutex
	text string
	told bool
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text += string(p)
	for word := range strings.FieldsSeq(w.text) {
		if strings.Contains(word, "/services/oauth2/authorize?") && w.printed != nil && !w.told {
			w.told = true
			go w.printed(word)
		}
	}
	return len(p), nil
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text
}

func (c loginCase) run(t *testing.T) (code int, stdout, stderr string) {
	t.Helper()
	var out bytes.Buffer
	errs := &watched{printed: c.printed}
	if c.stop == nil {
		c.stop = newStopper(errs, nil)
		defer c.stop.close()
	}
	if c.in == nil {
		c.in = strings.NewReader("")
	}
	root := &cobra.Command{Use: "bridge", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(loginWith(c.stop, c.open))
	root.SetArgs(append([]string{"login"}, c.args...))
	root.SetIn(c.in)
	root.SetOut(&out)
	root.SetErr(errs)
	if err := root.ExecuteContext(context.Background()); err != nil {
		_, _ = fmt.Fprintf(errs, "bridge: %v\n", err)
		code = exitCode(err)
	}
	return code, out.String(), errs.String()
}

func client() []string { return []string{"--client-id", orgsim.DefaultApp(nil).ClientID} }

// refreshed logs in with the token in a file.
func refreshed(t *testing.T, at, path string) (salesforce.Token, error) {
	t.Helper()
	return (&salesforce.RefreshToken{
		LoginURL: at, ClientID: orgsim.DefaultApp(nil).ClientID, Store: salesforce.FileStore{Path: path},
	}).Exchange(t.Context())
}

func hides(t *testing.T, secret string, texts ...string) {
	t.Helper()
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	for _, text := range texts {
		if secret == "" || strings.Contains(text, secret) || strings.Contains(text, encoded) {
			t.Errorf("the token %q is shown by: %s", secret, text)
		}
	}
}
