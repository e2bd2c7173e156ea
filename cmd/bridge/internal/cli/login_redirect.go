package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

const (
	// maxPasted bounds a pasted address; a code has about a hundred characters.
	maxPasted = 64 << 10
	// goodbye is how long the last page may take to reach the browser.
	goodbye = 2 * time.Second
)

// errNoInput says that nothing can come any more.
var errNoInput = errors.New("standard input ended before an address was pasted; try: a terminal, or a --redirect-url on this machine")

// redirectReceiver waits for the browser to come back: to a port on loopback, or
// as text that the user pastes.
type redirectReceiver struct {
	url  string // as it must be registered
	path string

	listener net.Listener // nil: nothing listens
	server   *http.Server
	served   chan error
	auth     *salesforce.Authorization
	got      chan url.Values // the first redirect that belongs to auth
	dry      chan struct{}   // closed when standard input has ended
}

// listenForRedirect opens the port of the redirect URL. A URL of another machine
// can only be pasted.
func listenForRedirect(ctx context.Context, opts loginOptions) (*redirectReceiver, error) {
	u, err := url.Parse(opts.redirect)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("--redirect-url %q is no URL; try: %s", opts.redirect, defaultRedirect))
	}
	r := &redirectReceiver{url: opts.redirect, path: u.Path, got: make(chan url.Values, 1), dry: make(chan struct{})}
	if r.path == "" {
		r.path = "/"
	}
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
	case !opts.noBrowser:
		return nil, exit(pipeline.ExitUsage, fmt.Errorf(
			"--redirect-url %q is not http on this machine; try: %s, or --no-browser, which takes the address from you", opts.redirect, defaultRedirect))
	default:
		return r, nil
	}
	return r, r.listen(ctx, u)
}

func (r *redirectReceiver) listen(ctx context.Context, u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "80"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return exit(pipeline.ExitEnvironment, fmt.Errorf(
			"waiting for the browser: %w; try: end the other login, or another port by --redirect-url, which must be one of the app's callback URLs", err))
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && port == "0" {
		u.Host = net.JoinHostPort(u.Hostname(), fmt.Sprint(tcp.Port))
		r.url = u.String()
	}
	r.listener = l
	return nil
}

// begin waits for the redirect of a login from now on.
func (r *redirectReceiver) begin(a *salesforce.Authorization) {
	r.auth = a
	if r.listener == nil {
		return
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxPasted}
	r.served = make(chan error, 1)
	go func() { r.served <- r.server.Serve(r.listener) }() // owned: close ends it and waits
}

// wait returns the query of the first redirect that belongs to this login.
func (r *redirectReceiver) wait(ctx context.Context) (url.Values, error) {
	dry := r.dry
	if r.listener != nil {
		dry = nil // the browser can still come by itself
	}
	select {
	case query := <-r.got:
		return query, nil
	case <-dry:
		select {
		case query := <-r.got: // the last line was the one
			return query, nil
		default:
			return nil, errNoInput
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close lets the last page reach the browser, and frees the port.
func (r *redirectReceiver) close() {
	if r.server == nil {
		if r.listener != nil {
			_ = r.listener.Close() // the login did not begin
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if r.server.Shutdown(ctx) != nil {
		_ = r.server.Close() // a browser that keeps its connection does not keep us
	}
	<-r.served
}

// take accepts the first redirect of this login, and says what it was.
func (r *redirectReceiver) take(query url.Values) (accepted bool, problem string) {
	if !r.auth.Matches(query) {
		return false, "this is not the end of the login that is under way"
	}
	select {
	case r.got <- query:
		return true, ""
	default:
		return false, "this login has been used"
	}
}

// ServeHTTP answers the browser. The pages show nothing that came with the
// request, and name no other address that could see it.
func (r *redirectReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Connection", "close")
	switch {
	case req.URL.Path != r.path:
		page(w, http.StatusNotFound, "There is nothing here.")
		return
	case req.Method != http.MethodGet:
		page(w, http.StatusMethodNotAllowed, "Only a browser's redirect is expected here.")
		return
	}
	query := req.URL.Query()
	if accepted, problem := r.take(query); !accepted {
		page(w, http.StatusBadRequest, "Nothing was done: "+problem+". Go back to the terminal and begin again.")
		return
	}
	if query.Get("error") != "" {
		page(w, http.StatusOK, "Salesforce refused the login. The terminal tells why; you can close this window.")
		return
	}
	page(w, http.StatusOK, "Salesforce let you in. The terminal tells the rest; you can close this window.")
}

func page(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html><head><title>bridge login</title></head><body><p>%s</p></body></html>\n", html.EscapeString(text))
}

// readFrom takes pasted addresses, until one belongs to this login or the input
// ends. The goroutine stays with a terminal that nobody types into, whose read
// cannot be ended; the process ends soon after.
func (r *redirectReceiver) readFrom(in io.Reader, stderr io.Writer) {
	go func() {
		defer close(r.dry)
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxPasted)
		for lines.Scan() {
			text := strings.TrimSpace(lines.Text())
			if text == "" {
				continue
			}
			problem := "this is no address"
			if u, err := url.Parse(text); err == nil && u.RawQuery != "" {
				var accepted bool
				if accepted, problem = r.take(u.Query()); accepted {
					return
				}
			}
			// The text is not repeated: it may hold a code.
			_, _ = fmt.Fprintf(stderr, "Not taken: %s. Paste the whole address, from %s to its end:\n", problem, r.url)
		}
	}()
}
