package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/salesforce"
)

// secretKey is the name of the token in a Kubernetes Secret: the file's name, once
// it is mounted.
const secretKey = "refresh-token"

// keeper is where a refresh token goes.
type keeper interface {
	// check says whether keep can work, before a user is bothered.
	check() error
	keep(ctx context.Context, l *loginRun, token salesforce.Token, refresh salesforce.Secret) error
}

var (
	_ keeper = fileKeeper{}
	_ keeper = secretKeeper{}
)

func newKeeper(opts loginOptions, configured string) (keeper, error) {
	switch {
	case opts.tokenFile != "" && opts.secretName != "":
		return nil, exit(pipeline.ExitUsage, errors.New("--token-file and --kubernetes-secret exclude each other"))
	case opts.secretName != "":
		return newSecretKeeper(opts)
	case opts.namespace != "":
		return nil, exit(pipeline.ExitUsage, errors.New("--namespace goes with --kubernetes-secret"))
	case opts.tokenFile != "":
		configured = opts.tokenFile
	}
	if configured == "" {
		return nil, exit(pipeline.ExitUsage, errors.New("where to keep the refresh token: --token-file PATH, --kubernetes-secret NAME, or a --config with org.auth.token_file"))
	}
	return fileKeeper{path: configured}, nil
}

// fileKeeper writes the token to a file.
type fileKeeper struct{ path string }

func (k fileKeeper) check() error {
	if info, err := os.Stat(k.path); err == nil && !info.Mode().IsRegular() {
		return exit(pipeline.ExitUsage, fmt.Errorf("token file %q is not a regular file", k.path))
	}
	probe, err := os.CreateTemp(filepath.Dir(k.path), ".bridge-login-*")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return exit(pipeline.ExitUsage, fmt.Errorf("token file %q cannot be written: %w; try: --token-file in an existing folder that you may write", k.path, err))
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// kept is what `login --json` tells.
type kept struct {
	OrgID       string `json:"org_id"`
	UserID      string `json:"user_id"`
	InstanceURL string `json:"instance_url"`
	LoginURL    string `json:"login_url"`
	ClientID    string `json:"client_id"`
	TokenFile   string `json:"token_file"`
}

func (k fileKeeper) keep(ctx context.Context, l *loginRun, token salesforce.Token, refresh salesforce.Secret) error {
	store := salesforce.FileStore{Path: k.path}
	unlock, err := store.Lock(ctx) // a running bridge may be about to replace the file
	if err == nil {
		err = store.Save(ctx, refresh)
		unlock()
	}
	if err != nil {
		return exit(pipeline.ExitEnvironment, err)
	}
	if l.opts.json {
		return writeJSON(l.stdout, kept{
			OrgID: token.OrgID, UserID: token.UserID, InstanceURL: token.InstanceURL,
			LoginURL: l.org.LoginURL, ClientID: l.org.Auth.ClientID, TokenFile: k.path,
		})
	}
	if _, err := fmt.Fprintf(l.stdout, "refresh token of user %s in org %s (%s) is in %s\n", token.UserID, token.OrgID, token.InstanceURL, k.path); err != nil {
		return err
	}
	if l.opts.config != "" {
		return nil
	}
	_, err = fmt.Fprintf(l.stdout, `
In a bridge's configuration:

org:
  login_url: %s
  auth:
    type: refresh_token
    client_id: %s
    token_file: %s
`, l.org.LoginURL, l.org.Auth.ClientID, k.path)
	return err
}

// secretKeeper prints the token as a Kubernetes Secret.
type secretKeeper struct {
	name, namespace string
	json            bool
}

func newSecretKeeper(opts loginOptions) (keeper, error) {
	name := regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)
	space := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	switch {
	case !name.MatchString(opts.secretName):
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("--kubernetes-secret %q is no name of a Secret: lower-case letters, digits, - and . within", opts.secretName))
	case opts.namespace != "" && !space.MatchString(opts.namespace):
		return nil, exit(pipeline.ExitUsage, fmt.Errorf("--namespace %q is no name of a namespace: lower-case letters, digits, and - within", opts.namespace))
	}
	return secretKeeper{name: opts.secretName, namespace: opts.namespace, json: opts.json}, nil
}

func (secretKeeper) check() error { return nil }

// manifest is a Kubernetes Secret.
type manifest struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Type       string            `json:"type"`
	Data       map[string]string `json:"data"`
}

func (k secretKeeper) keep(_ context.Context, l *loginRun, token salesforce.Token, refresh salesforce.Secret) error {
	m := manifest{
		APIVersion: "v1", Kind: "Secret", Metadata: map[string]string{"name": k.name}, Type: "Opaque",
		Data: map[string]string{secretKey: base64.StdEncoding.EncodeToString([]byte(refresh.Reveal()))},
	}
	if k.namespace != "" {
		m.Metadata["namespace"] = k.namespace
	}
	var err error
	if k.json {
		err = writeJSON(l.stdout, m)
	} else {
		_, err = io.WriteString(l.stdout, m.yaml())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.stderr, "refresh token of user %s in org %s (%s) is in the Secret %s, key %s; mount it with defaultMode 0400, "+
		"or 0440 with fsGroup. A mounted Secret cannot be replaced: leave refresh token rotation off in the app, or use a volume.\n",
		token.UserID, token.OrgID, token.InstanceURL, k.name, secretKey)
	return err
}

// yaml writes the names in quotes: a name such as 1e3 would be a number.
func (m manifest) yaml() string {
	text := "apiVersion: v1\nkind: Secret\nmetadata:\n"
	for _, key := range []string{"name", "namespace"} {
		if value := m.Metadata[key]; value != "" {
			text += fmt.Sprintf("  %s: %q\n", key, value)
		}
	}
	return text + "type: " + m.Type + "\ndata:\n  " + secretKey + ": " + m.Data[secretKey] + "\n"
}
