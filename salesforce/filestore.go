package salesforce

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unicode"
)

const (
	// maxTokenFile bounds a token file. Refresh tokens have about a hundred characters.
	maxTokenFile = 16 << 10
	// lockPause is the time between two attempts to get the lock.
	lockPause = 50 * time.Millisecond
	// loginAgain is what gets a new refresh token.
	loginAgain = `"bridge login --token-file <path>", which gets one by a user's browser`
)

// FileStore keeps a refresh token in a file of its own: the token and a line
// break, nothing else. Where the system has file modes, a file that everybody may
// read or write is refused.
//
// The file is replaced by renaming a new one, so that it is whole at any time. The
// lock is on a second file, <path>.lock, which stays. It is the system's own and
// ends with the process. In a folder that this process may not write, such as a
// mounted secret, there is no lock: nothing can be replaced there either, so an
// app that rotates refresh tokens needs a folder that can be written.
type FileStore struct {
	Path string
}

var (
	_ Store  = FileStore{}
	_ Locker = FileStore{}
)

// Load reads the token. Its errors are *StoreError.
func (s FileStore) Load(context.Context) (Secret, error) {
	file, err := os.Open(s.Path)
	if err != nil {
		return "", s.readError(err)
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost by a failed close
	info, err := file.Stat()
	if err != nil {
		return "", s.readError(err)
	}
	if !info.Mode().IsRegular() {
		return "", &StoreError{Path: s.Path, Problem: "cannot be read: it is not a regular file", Try: "the path of the file itself"}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return "", &StoreError{
			Path: s.Path, Problem: "is open to every user of this machine (mode " + info.Mode().Perm().String() + "), and is not used",
			Try: `"chmod 600" on it (in Kubernetes: defaultMode 0400, or 0440 with fsGroup), and a new login if others may have read it`,
		}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", s.readError(err)
	}
	token := strings.TrimSpace(string(text))
	odd := strings.IndexFunc(token, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' })
	switch {
	case token == "":
		return "", &StoreError{Path: s.Path, Problem: "is empty", Try: loginAgain}
	case len(text) > maxTokenFile, odd >= 0:
		return "", &StoreError{Path: s.Path, Problem: "is no token: a token is one word of printable characters", Try: loginAgain}
	}
	return Secret(token), nil
}

func (s FileStore) readError(err error) error {
	failed := &StoreError{Path: s.Path, Problem: "cannot be read", Try: "a path that this process may read", Err: reason(err)}
	if errors.Is(err, fs.ErrNotExist) {
		failed.Problem, failed.Err, failed.Try = "does not exist", nil, loginAgain
	}
	return failed
}

// Save replaces the file by one of mode 0600 and waits until the disk has it. A
// symbolic link stays, and what it points to is replaced. Its errors are
// *StoreError; the old file is whole then.
func (s FileStore) Save(_ context.Context, token Secret) error {
	path := s.target()
	err := replaceFile(path, token.Reveal()+"\n")
	if err == nil {
		return nil
	}
	failed := &StoreError{Path: s.Path, Problem: "cannot be saved", Err: reason(err), Temporary: true, Try: "free space, and a healthy disk"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		failed.Temporary, failed.Try = false, "an existing folder"
	case unwritable(err):
		failed.Temporary = false
		failed.Try = "a file in a folder that this process may write (a mounted secret is none), or refresh tokens that the app does not rotate"
	}
	return failed
}

// target is where the token is, or will be.
func (s FileStore) target() string {
	if path, err := filepath.EvalSymlinks(s.Path); err == nil {
		return path
	}
	return s.Path
}

// replaceFile writes beside the file and renames: whoever reads, and any crash,
// finds the old text or the new one. The folder is synced too, since the name is
// its content.
func replaceFile(path, text string) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.WriteString(text)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such thing
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Lock waits for the lock that all processes with this file share, also two
// stores of one process.
func (s FileStore) Lock(ctx context.Context) (unlock func(), err error) {
	path := s.target() + ".lock"
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for {
		file, err := takeLock(path)
		switch {
		case err == nil:
			return func() { _ = file.Close() }, nil // which gives the lock back
		case unwritable(err) && !exists(path), readOnly(err):
			return func() {}, nil
		case !errors.Is(err, errLocked):
			return nil, s.lockError(path, err)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, endedError(ctx, "waiting for another process to refresh the token in "+quote(s.Path))
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s FileStore) lockError(path string, err error) error {
	return &StoreError{
		Path: s.Path, Problem: "cannot be locked by " + quote(path), Err: reason(err),
		Try: "an existing folder on a file system with locks, in which this process may write",
	}
}

// unwritable says that this process may not write there, whatever it does.
func unwritable(err error) bool {
	return errors.Is(err, fs.ErrPermission) || readOnly(err)
}

// reason leaves away what the message around it says.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
