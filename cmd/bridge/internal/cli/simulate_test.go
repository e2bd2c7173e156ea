package cli

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

// What `simulate` prints is enough to log in with, and nothing is left behind.
func TestSimulate(t *testing.T) {
	var stderr syncBuffer
	stop := newStopper(&stderr, nil)
	defer stop.close()
	out, stdout := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(stop, []string{"simulate", "--listen", "127.0.0.1:0", "--rate", "100"}, stdout, &stderr)
	}()
	var s simulated
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := salesforce.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	grant := salesforce.JWTBearer{LoginURL: s.URL, Audience: s.Audience, ClientID: s.ClientID, Username: s.Users[0], Key: key}
	token, err := grant.Exchange(t.Context())
	if err != nil || token.OrgID != s.OrgID {
		t.Errorf("org %q, %v; want %q", token.OrgID, err, s.OrgID)
	}
	if !slices.Contains(s.Channels, "/data/AccountChangeEvent") {
		t.Errorf("channels %v", s.Channels)
	}
	stop.stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(s.KeyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key is left behind: %v", err)
	}
}

func TestSimulateOnATakenPort(t *testing.T) {
	at, err := serve(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = at.close() }()
	code, _, stderr := call(t, "simulate", "--listen", at.url[len("http://"):])
	if code != 3 || !strings.Contains(stderr, "--listen") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
