//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package salesforce

import (
	"errors"
	"os"
	"syscall"
)

// errLocked says that another open file has the lock.
var errLocked = errors.New("locked by another process")

// takeLock opens the file, or makes it, and locks it until it is closed or its
// process ends. It does not wait.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return nil, errLocked
	}
	return nil, err
}

func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
