// Package durable writes small files whole or not at all, and so that they survive a power cut:
// identities, configurations and the node's few facts that must never be forgotten.
//
// It is not for data: legs and the raft log have their own formats.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path. When it returns nil the new content survives a power cut;
// with an error the old content, or the new one, is there whole. Two writers of one path must not
// overlap.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, os.Rename)
}

// CreateFile is WriteFile for a file that must not exist: it returns an error that wraps
// fs.ErrExist, and changes nothing, if it does.
func CreateFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, func(fresh, path string) error {
		if err := os.Link(fresh, path); err != nil {
			return err
		}
		return os.Remove(fresh)
	})
}

func write(path string, data []byte, mode fs.FileMode, install func(fresh, path string) error) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = fresh.Write(data)
	err = errors.Join(err, fresh.Chmod(mode), fresh.Sync(), fresh.Close())
	if err == nil {
		err = install(fresh.Name(), path)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(fresh.Name()) // it is the reader's problem no more: path is untouched
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// SyncDir makes the names in a directory survive a power cut.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
