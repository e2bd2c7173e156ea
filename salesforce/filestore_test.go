package salesforce_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// tokenFile is a file with a token.
func tokenFile(t testing.TB, text string, mode fs.FileMode) salesforce.FileStore {
	t.Helper()
	path := filepath.Join(t.TempDir(), "refresh-token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return salesforce.FileStore{Path: path}
}

func TestFileStoreLoad(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		mode fs.FileMode
		part string // of the error
	}{
		"plain":           {"5Aep861.secret-token", 0o600, ""},
		"line break":      {"5Aep861.secret-token\r\n", 0o400, ""},
		"group may read":  {"5Aep861.secret-token\n", 0o440, ""},
		"world may read":  {"5Aep861.secret-token\n", 0o644, "open to every user of this machine (mode -rw-r--r--)"},
		"world may write": {"5Aep861.secret-token\n", 0o602, "chmod 600"},
		"empty":           {"", 0o600, "is empty"},
		"blank":           {" \n\n", 0o600, "is empty"},
		"two words":       {"5Aep861 secret-token", 0o600, "is no token"},
		"two lines":       {"5Aep861\nsecret-token", 0o600, "is no token"},
		"binary":          {"5Aep861\x00secret-token", 0o600, "is no token"},
		"accent":          {"5Aep861é-secret-token", 0o600, "is no token"},
		"too large":       {strings.Repeat("secret-token", 2000), 0o600, "is no token"},
	} {
		store := tokenFile(t, tc.text, tc.mode)
		got, err := store.Load(t.Context())
		if tc.part == "" {
			if err != nil || got.Reveal() != "5Aep861.secret-token" {
				t.Errorf("%s: %q, %v", name, got.Reveal(), err)
			}
			continue
		}
		var failed *salesforce.StoreError
		if !errors.As(err, &failed) || got != "" || salesforce.Retryable(err) {
			t.Fatalf("%s: %v", name, err)
		}
		mustContain(t, err.Error(), tc.part, store.Path, "try: ")
		checkSilent(t, err, "secret-token")
	}
	dir := t.TempDir()
	for path, parts := range map[string][]string{
		filepath.Join(dir, "none"): {"does not exist", "bridge login"}, dir: {"not a regular file"},
	} {
		_, err := salesforce.FileStore{Path: path}.Load(t.Context())
		if err == nil {
			t.Fatalf("%s was read", path)
		}
		mustContain(t, err.Error(), parts...)
	}
}

func TestFileStoreSave(t *testing.T) {
	store := tokenFile(t, "old", 0o440)
	dir := filepath.Dir(store.Path)
	link := salesforce.FileStore{Path: filepath.Join(dir, "link")}
	if err := os.Symlink("refresh-token", link.Path); err != nil {
		t.Fatal(err)
	}
	for _, s := range []salesforce.FileStore{store, link, {Path: filepath.Join(dir, "new")}} {
		token := salesforce.Secret("token-" + filepath.Base(s.Path))
		if err := s.Save(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context()); err != nil || got != token {
			t.Errorf("%s: %q, %v", s.Path, got.Reveal(), err)
		}
		if info, err := os.Stat(s.Path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", s.Path, info.Mode(), err)
		}
	}
	if info, err := os.Lstat(link.Path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFileStoreSaveFails(t *testing.T) {
	err := salesforce.FileStore{Path: filepath.Join(t.TempDir(), "none", "token")}.Save(t.Context(), "secret-token")
	var failed *salesforce.StoreError
	if !errors.As(err, &failed) || !errors.Is(err, fs.ErrNotExist) || salesforce.Retryable(err) {
		t.Errorf("no folder: %v", err)
	}
	checkSilent(t, err, "secret-token")
	// A folder in the way cannot be replaced by a file, and nothing is left.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "token"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := (salesforce.FileStore{Path: filepath.Join(dir, "token")}).Save(t.Context(), "secret-token"); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestFileStoreLock: one at a time, also by another name of the file; a caller who
// does not want to wait leaves.
func TestFileStoreLock(t *testing.T) {
	store := tokenFile(t, "token", 0o600)
	link := salesforce.FileStore{Path: filepath.Join(t.TempDir(), "link")}
	if err := os.Symlink(store.Path, link.Path); err != nil {
		t.Fatal(err)
	}
	unlock, err := store.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
	defer cancel()
	if _, err := link.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("two have the lock: %v", err)
	}
	var (
		holders sync.WaitGroup
		mu      sync.Mutex
		inside  int
	)
	for range 8 {
		holders.Go(func() {
			unlock, err := link.Lock(wait(t))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			if inside > 1 {
				t.Errorf("%d have the lock", inside)
			}
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			unlock()
		})
	}
	unlock()
	holders.Wait()
	_, err = salesforce.FileStore{Path: filepath.Join(t.TempDir(), "none", "token")}.Lock(t.Context())
	var failed *salesforce.StoreError
	if !errors.As(err, &failed) {
		t.Errorf("no folder: %v", err)
	}
}
