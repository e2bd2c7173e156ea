package maven

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Cached returns the directory of that name in the cache that this project's
// tests share (bridge-test in the user's cache directory), and calls fill to make
// it if it is not there yet. The name is the key: put the version, or a hash of
// what it is made from, into it.
//
// fill gets an empty directory of another name and must not keep paths into it.
// If it returns an error nothing stays.
func Cached(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	base = filepath.Join(base, "bridge-test")
	final := filepath.Join(base, name)
	if there(final) {
		return final, nil
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(base, name+".lock"))
	if err != nil {
		return "", fmt.Errorf("wait for the process that fills %s: %w", final, err)
	}
	defer unlock()
	if there(final) {
		return final, nil
	}
	if err := create(ctx, base, name, fill); err != nil {
		return "", fmt.Errorf("fill %s: %w", final, err)
	}
	return final, nil
}

// create is called under the lock.
func create(ctx context.Context, base, name string, fill func(context.Context, string) error) error {
	// Under the lock nobody else is at work: what lies there was left by a process
	// that was killed.
	left, err := filepath.Glob(filepath.Join(base, name+".tmp-*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		removeAll(dir)
	}
	tmp, err := os.MkdirTemp(base, name+".tmp-")
	if err != nil {
		return err
	}
	defer removeAll(tmp)
	if err := fill(ctx, tmp); err != nil {
		return err
	}
	final := filepath.Join(base, name)
	if err := os.Rename(tmp, final); err != nil && !there(final) {
		return err
	}
	return nil
}

func there(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir()
}

// removeAll removes a temporary directory. One that cannot be removed costs disk
// space and nothing else.
func removeAll(dir string) {
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "maven: left behind: %v\n", err)
	}
}
