package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// bornFile says which release made a data directory, by the highest cluster version that it knew. A
// directory without it is of the first release. Where no older release ever ran there is none to go back to,
// so a new cluster need not wait before it uses its newest version.
const bornFile = "born.json"

type born struct {
	Version int `json:"version"`
}

// readBorn returns what the file says. It only hints at how long to wait, but a damaged one is not passed
// over in silence: the directory is no longer as it was.
func readBorn(dir string) (int, error) {
	path := filepath.Join(dir, bornFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return VersionFirst, nil
	}
	var b born
	if err == nil {
		err = decodeStrict(text, &b)
	}
	if err == nil && b.Version < VersionFirst {
		err = fmt.Errorf("%w: version %d", ErrCorrupt, b.Version)
	}
	if err != nil {
		return 0, damaged(path, err)
	}
	return b.Version, nil
}

func writeBorn(dir string, version int) error {
	text, err := json.Marshal(born{version})
	if err == nil {
		err = writeSynced(filepath.Join(dir, bornFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("open coordinator data: %w", err)
	}
	return nil
}
