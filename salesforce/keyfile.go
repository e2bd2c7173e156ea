package salesforce

import (
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// maxKeyFile bounds a key file, which may hold certificates too.
const maxKeyFile = 1 << 20

// KeyFile is a private key in a file that may be replaced while the program runs,
// as a mounted secret is. Make it with NewKeyFile.
type KeyFile struct {
	path     string
	password *Secret // behind a pointer: package fmt does not call methods of fields

	mu  sync.Mutex
	key *rsa.PrivateKey
	sum [sha256.Size]byte // of the text that key was read from
}

// NewKeyFile returns the key in a file, which is read when it is first asked for.
// The password may be empty.
func NewKeyFile(path string, password Secret) *KeyFile {
	return &KeyFile{path: path, password: &password}
}

// Format writes the path only: the fields hold a key.
func (f *KeyFile) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "salesforce.KeyFile(%q)", f.path)
}

// Key returns the key that is in the file now. If that cannot be read, as while
// the file is being written, it returns the last one that could, if there is one,
// with the error.
func (f *KeyFile) Key() (*rsa.PrivateKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := readKeyFile(f.path)
	if err != nil {
		return f.key, err
	}
	sum := sha256.Sum256(text)
	if f.key != nil && sum == f.sum {
		return f.key, nil
	}
	key, err := ParseProtectedKey(text, *f.password)
	if err != nil {
		return f.key, fmt.Errorf("file %s: %w", quote(f.path), err)
	}
	f.key, f.sum = key, sum
	return key, nil
}

func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, keyFileError(path, err)
	}
	defer func() { _ = file.Close() }() // read only: nothing is lost by a failed close
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err != nil {
		return nil, keyFileError(path, err)
	}
	return text, nil
}

func keyFileError(path string, err error) error {
	var wrapped *fs.PathError
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &KeyError{Problem: "file " + quote(path) + ": " + err.Error(), Try: "check the path, and that this process may read the file"}
}
