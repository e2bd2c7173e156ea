//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package salesforce

import (
	"errors"
	"os"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("locked by another process")

// takeLock refuses: to go on without a lock could cost the only token.
func takeLock(path string) (*os.File, error) {
	return nil, &os.PathError{Op: "lock", Path: path, Err: errors.ErrUnsupported}
}

func readOnly(error) bool { return false }
