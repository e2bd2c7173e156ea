package salesforce

import (
	"errors"
	"os"
	"syscall"
)

// errLocked says that another handle has the file.
var errLocked = errors.New("locked by another process")

// Windows' own numbers.
const (
	writeProtected   = syscall.Errno(19) // ERROR_WRITE_PROTECT
	sharingViolation = syscall.Errno(32) // ERROR_SHARING_VIOLATION
)

// takeLock opens the file for itself alone, until it is closed or its process
// ends: on Windows that is the lock. It does not wait.
func takeLock(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, errLocked
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

func readOnly(err error) bool { return errors.Is(err, writeProtected) }
