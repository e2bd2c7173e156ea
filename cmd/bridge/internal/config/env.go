package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds every file that is read: a configuration, a key, a
// certificate bundle. It keeps a mistyped path (/dev/zero) from filling memory.
const maxFile = 4 << 20

// Env is the world outside of the file: what ${env:NAME} and ${file:PATH} are
// taken from. A nil func knows nothing.
type Env struct {
	// Lookup returns the value of an environment variable and whether it is set.
	Lookup func(name string) (string, bool)
	// ReadFile returns a file's whole content.
	ReadFile func(path string) ([]byte, error)
}

// OSEnv is the process's environment and file system.
func OSEnv() Env {
	return Env{Lookup: os.LookupEnv, ReadFile: readFile}
}

func readFile(path string) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", maxFile)}
	}
	return data, nil
}

func (e Env) lookup(name string) (string, bool) {
	if e.Lookup == nil {
		return "", false
	}
	return e.Lookup(name)
}

func (e Env) readFile(path string) ([]byte, error) {
	if e.ReadFile == nil {
		return nil, fs.ErrNotExist
	}
	return e.ReadFile(path)
}

// fileTrouble says in words why a file could not be read; the path is named by
// the caller, so it is not repeated.
func fileTrouble(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "does not exist"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return "cannot be read: " + err.Error()
}
