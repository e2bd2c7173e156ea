package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// loginOptions are the flags of `login`.
type loginOptions struct {
	config           string
	loginURL         string
	clientID         string
	clientSecret     string
	clientSecretFile string
	redirect         string
	tokenFile        string
	secretName       string
	namespace        string
	timeout          time.Duration
	noBrowser        bool
	json             bool
}

// browser opens a URL for the user.
type browser func(ctx context.Context, url string) error

// defaultRedirect is the callback URL that Salesforce's own command line has, so
// that many apps have it already.
const defaultRedirect = "http://localhost:1717/OauthRedirect"

func newLogin(stop *stopper) *cobra.Command { return loginWith(stop, openBrowser) }

func loginWith(stop *stopper, open browser) *cobra.Command {
	var opts loginOptions
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in by a browser, and keep the refresh token for org.auth.type: refresh_token",
		Long: `Log in by a browser, and keep the refresh token for org.auth.type: refresh_token.

The app's callback URLs must hold the --redirect-url, letter by letter, and its
scopes api and refresh_token. The token goes into a file of mode 0600, or, as a
Kubernetes Secret, to standard output; it is shown nowhere else.

Without a browser on this machine, --no-browser prints the address to open on
another one. That browser ends at an address that it cannot reach: paste it here.

Exit codes: 0 the token is kept, 1 interrupted, 2 usage or configuration,
3 Salesforce or the user refused, nobody came, or the port is taken.`,
		Example: `  bridge login --config bridge.yaml
  bridge login --login-url https://acme.my.salesforce.com --client-id 3MVG9… --token-file refresh-token
  bridge login -c bridge.yaml --no-browser --kubernetes-secret acme-login | kubectl apply -f -`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := newLoginRun(opts, cmd.Flags().Changed, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			l.in, l.stdout, l.open = cmd.InOrStdin(), cmd.OutOrStdout(), open
			return l.run(stop.intake)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&opts.config, "config", "c", "", "configuration file to take login URL, client, proxy and token file from")
	f.StringVar(&opts.loginURL, "login-url", salesforce.ProductionLoginURL, "where to log in: the org's My Domain, https://test.salesforce.com …")
	f.StringVar(&opts.clientID, "client-id", "", "consumer key of the app")
	f.StringVar(&opts.clientSecret, "client-secret", "", "consumer secret, if the app asks for it; other users of this machine can see it here")
	f.StringVar(&opts.clientSecretFile, "client-secret-file", "", "file of the consumer secret")
	f.StringVar(&opts.redirect, "redirect-url", defaultRedirect, "one of the app's callback URLs; port 0 takes a free one, for apps that do not compare it")
	f.StringVar(&opts.tokenFile, "token-file", "", "write the refresh token to this file (default: org.auth.token_file of the configuration)")
	f.StringVar(&opts.secretName, "kubernetes-secret", "", "print a Secret of this name with the refresh token instead")
	f.StringVar(&opts.namespace, "namespace", "", "namespace of the Secret")
	f.DurationVar(&opts.timeout, "timeout", 5*time.Minute, "how long to wait for the user")
	f.BoolVar(&opts.noBrowser, "no-browser", false, "print the address to open; take the one where it ends from standard input, too")
	f.BoolVar(&opts.json, "json", false, "print JSON")
	return cmd
}

// loginRun is one `login` with everything that it needs.
type loginRun struct {
	opts   loginOptions
	org    config.Org
	keep   keeper
	in     io.Reader
	stdout io.Writer
	stderr io.Writer
	open   browser
}

// newLoginRun puts flags and configuration together: a flag that was given wins.
func newLoginRun(opts loginOptions, given func(string) bool, stderr io.Writer) (*loginRun, error) {
	l := &loginRun{opts: opts, stderr: stderr, org: config.Org{LoginURL: opts.loginURL}}
	if opts.config != "" {
		cfg, err := loginConfig(opts.config, stderr)
		if err != nil {
			return nil, err
		}
		l.org = cfg.Org
		if given("login-url") {
			l.org.LoginURL = opts.loginURL
		}
	}
	auth := &l.org.Auth
	if given("client-id") {
		auth.ClientID = opts.clientID
	}
	if given("client-secret") && given("client-secret-file") {
		return nil, exit(pipeline.ExitUsage, errors.New("--client-secret and --client-secret-file exclude each other"))
	}
	if given("client-secret") {
		auth.ClientSecret = config.NewSecret(opts.clientSecret)
	}
	if given("client-secret-file") {
		text, err := os.ReadFile(opts.clientSecretFile)
		if err != nil {
			return nil, exit(pipeline.ExitUsage, fmt.Errorf("--client-secret-file: %w", err))
		}
		auth.ClientSecret = config.NewSecret(strings.TrimSpace(string(text)))
	}
	switch {
	case auth.ClientID == "":
		return nil, exit(pipeline.ExitUsage, errors.New("--client-id is missing: the consumer key of the app, or a --config that has it"))
	case opts.timeout <= 0:
		return nil, exit(pipeline.ExitUsage, errors.New("--timeout must be positive"))
	}
	var err error
	l.keep, err = newKeeper(opts, auth.TokenFile)
	return l, err
}

// loginConfig reads a configuration. That its token file does not exist yet is no
// news here.
func loginConfig(path string, stderr io.Writer) (*config.Config, error) {
	cfg, problems, err := config.Load(path, config.OSEnv())
	if err != nil {
		return nil, exit(pipeline.ExitUsage, err)
	}
	told := problems[:0]
	for _, p := range problems {
		if p.Severity == config.Error || p.Path != "org.auth.token_file" {
			told = append(told, p)
		}
	}
	if err := printProblems(stderr, told); err != nil {
		return nil, err
	}
	if config.HasErrors(told) {
		return nil, exit(pipeline.ExitUsage, errReported)
	}
	return cfg, nil
}

// run logs in and keeps the token. Whether it can be kept is seen before anybody
// is asked to log in.
func (l *loginRun) run(intake context.Context) error {
	if err := l.keep.check(); err != nil {
		return err
	}
	token, refresh, err := l.login(intake)
	switch {
	case err != nil && intake.Err() != nil:
		return exit(pipeline.ExitRuntime, errors.New("login interrupted: nothing was stored"))
	case err != nil:
		return err
	case refresh == "":
		return exit(pipeline.ExitEnvironment, errors.New("salesforce gave no refresh token: give the app the scope "+
			`"Perform requests at any time (refresh_token, offline_access)", and a refresh token policy other than `+
			`"Immediately expire refresh token"`))
	}
	// What was granted is kept even if we are asked to stop now.
	return l.keep.keep(context.WithoutCancel(intake), l, token, refresh)
}

// login is the user's part and the exchange of what it brings.
func (l *loginRun) login(intake context.Context) (salesforce.Token, salesforce.Secret, error) {
	fail := func(err error) (salesforce.Token, salesforce.Secret, error) { return salesforce.Token{}, "", err }
	transport, err := orgTransport(l.org)
	if err != nil {
		return fail(exit(pipeline.ExitUsage, err))
	}
	defer transport.CloseIdleConnections()
	at, err := listenForRedirect(intake, l.opts)
	if err != nil {
		return fail(err)
	}
	defer at.close()
	authorization, err := salesforce.WebServer{
		LoginURL: l.org.LoginURL, ClientID: l.org.Auth.ClientID, ClientSecret: secret(l.org.Auth.ClientSecret),
		RedirectURL: at.url, AllowPlainHTTP: l.org.AllowPlainHTTP,
		HTTP: &http.Client{Timeout: httpTimeout, Transport: transport},
	}.Begin()
	if err != nil {
		return fail(exit(pipeline.ExitUsage, err))
	}
	at.begin(authorization)
	ctx, cancel := context.WithTimeout(intake, l.opts.timeout)
	defer cancel()
	if err := l.tell(ctx, at, authorization.URL); err != nil {
		return fail(err)
	}
	redirect, err := at.wait(ctx)
	if err != nil {
		return fail(l.nobody(err, at))
	}
	token, refresh, err := authorization.Finish(intake, redirect)
	if err != nil {
		return fail(outside("salesforce login", err))
	}
	return token, refresh, nil
}

// tell shows the user where to go.
func (l *loginRun) tell(ctx context.Context, at *redirectReceiver, url string) error {
	if l.opts.noBrowser {
		at.readFrom(l.in, l.stderr)
		_, err := fmt.Fprintf(l.stderr, "Open this address in a browser, and log in:\n\n  %s\n\n"+
			"If that browser then shows no page, paste the address where it ended (it begins with %s) here:\n", url, at.url)
		return err
	}
	if _, err := fmt.Fprintf(l.stderr, "Opening the browser. If none opens, go to this address on this machine:\n\n  %s\n\n", url); err != nil {
		return err
	}
	if err := l.open(ctx, url); err != nil {
		_, err = fmt.Fprintf(l.stderr, "No browser opened (%v). Waiting for you to open the address; --no-browser works from another machine.\n", err)
		return err
	}
	return nil
}

// nobody explains why no redirect came.
func (l *loginRun) nobody(err error, at *redirectReceiver) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("nobody came back from the browser within %v; try: again with a longer --timeout; if the browser showed "+
			"redirect_uri_mismatch, add %s to the app's callback URLs (it takes up to 10 minutes), or give one of them by --redirect-url",
			l.opts.timeout, at.url)
	}
	return exit(pipeline.ExitEnvironment, err)
}

// openBrowser starts the system's way to open a URL and does not wait for it: some
// of these programs end with the browser.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
