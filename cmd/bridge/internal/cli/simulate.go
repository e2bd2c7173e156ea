package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// simulateOptions are the flags of `simulate`.
type simulateOptions struct {
	listen  string
	keyFile string
	rate    float64
	seed    uint64
	json    bool
}

func newSimulate(stop *stopper) *cobra.Command {
	var opts simulateOptions
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run a simulated Salesforce org, to test consumers and CI against",
		Long: `Run a simulated Salesforce org: OAuth, CometD with replay, REST, Change Data
Capture, Platform Events, a PushTopic and a generic streaming channel, and a
control API to change records and to inject faults. It costs no allocation and
needs no account. Everything is forgotten when it stops.`,
		Example: `  bridge simulate --listen 127.0.0.1:8443 --rate 5
  curl -s 127.0.0.1:8443/orgsim/                # what the control API can do
  curl -s -X POST 127.0.0.1:8443/orgsim/bulk -d '{"object":"Account","count":1000}'
  curl -s 127.0.0.1:8443/orgsim/ledger`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.rate < 0 {
				return exit(pipeline.ExitUsage, errors.New("--rate must not be negative"))
			}
			opts.json = opts.json || !isTerminal(cmd.OutOrStdout())
			return simulate(stop.intake, opts, cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.listen, "listen", "127.0.0.1:8443", "address to listen on; port 0 takes a free one")
	f.StringVar(&opts.keyFile, "key-file", "", "write the connected app's private key here (default: a file in the system's temporary folder)")
	f.Float64Var(&opts.rate, "rate", 0, "changes a second that the org makes by itself; 0 is none")
	f.Uint64Var(&opts.seed, "seed", 1, "seed of ids and data: the same seed makes the same org")
	f.BoolVar(&opts.json, "json", false, "print JSON, one object (the default when not on a terminal)")
	return cmd
}

// simulated is what a client of the org must know.
type simulated struct {
	URL          string   `json:"url"`
	OrgID        string   `json:"org_id"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"` // of an org that exists nowhere
	KeyFile      string   `json:"key_file"`
	Audience     string   `json:"audience"`
	Users        []string `json:"users"`
	Channels     []string `json:"channels"`
	Control      string   `json:"control"`
}

func simulate(intake context.Context, opts simulateOptions, stdout io.Writer) (err error) {
	org, key, err := newOrg(opts.seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, org.Close()) }()
	if _, err := org.CreatePushTopic(orgsim.DefaultPushTopic()); err != nil {
		return err
	}
	if _, err := org.CreateStreamingChannel("/u/notifications"); err != nil {
		return err
	}
	at, err := serve(intake, opts.listen, org.Handler())
	if err != nil {
		return exit(pipeline.ExitEnvironment, err)
	}
	defer func() { err = errors.Join(err, at.close()) }()
	path, err := writeKey(opts.keyFile, key)
	if err != nil {
		return exit(pipeline.ExitEnvironment, err)
	}
	if opts.keyFile == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(path))) }()
	}
	if opts.rate > 0 {
		if err := org.StartLoad(orgsim.LoadConfig{Rate: opts.rate}); err != nil {
			return err
		}
	}
	app := orgsim.DefaultApp(nil)
	s := simulated{
		URL: at.url, OrgID: org.ID(), ClientID: app.ClientID, ClientSecret: app.ClientSecret, KeyFile: path,
		Audience: "https://login.salesforce.com", Users: []string{orgsim.DefaultUser().Username},
		Channels: org.Channels(), Control: at.url + "/orgsim/",
	}
	if err := s.show(opts.json, stdout); err != nil {
		return err
	}
	<-intake.Done()
	return nil
}

func writeKey(path string, key []byte) (string, error) {
	if path == "" {
		dir, err := os.MkdirTemp("", "bridge-simulate-")
		if err != nil {
			return "", fmt.Errorf("making a folder for the key: %w", err)
		}
		path = filepath.Join(dir, "client.key")
	}
	return path, os.WriteFile(path, key, 0o600)
}

func (s simulated) show(asJSON bool, w io.Writer) error {
	if asJSON {
		return writeJSON(w, s)
	}
	_, err := fmt.Fprintf(w, `simulated Salesforce org %s at %s

  client id      %s
  client secret  %s
  key file       %s
  audience       %s
  users          %s
  control API    %s
  channels       %s

In a bridge's configuration:

org:
  login_url: %s
  auth:
    type: jwt_bearer
    client_id: %s
    username: %s
    audience: %s
    private_key: ${file:%s}

Ctrl-C stops it; everything is forgotten then.
`, s.OrgID, s.URL, s.ClientID, s.ClientSecret, s.KeyFile, s.Audience, strings.Join(s.Users, " "), s.Control,
		strings.Join(s.Channels, "\n                 "), s.URL, s.ClientID, s.Users[0], s.Audience, s.KeyFile)
	return err
}
