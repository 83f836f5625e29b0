package domain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// record is what a domain's directory remembers of its latest run.
//
// Invariant: it is on disk with its token before the guest's process exists, so that a guest is
// found again even if the daemon died between starting it and noting which process it is.
type record struct {
	Order Order   `json:"order"`
	Token string  `json:"token"` // in the environment of every process of the guest
	Proc  proc.ID `json:"proc"`  // zero until it is known
	Boot  string  `json:"boot"`  // of the kernel that it was started under
	State State   `json:"state"`
}

func recordPath(dir string) string { return filepath.Join(dir, "exec.json") }

// load reads a record; ErrNone means that there is none.
func load(dir string) (record, error) {
	text, err := os.ReadFile(recordPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ErrNone
	}
	if err != nil {
		return record{}, fmt.Errorf("domain record: %w", err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("domain record %s is damaged: %w: "+
			"make sure that the guest does not run, then remove the file", recordPath(dir), err)
	}
	return r, nil
}

// save replaces the record, whole or not at all, also after a power cut: no guest survives one, but a
// record that is half there would keep its host from starting.
func (r record) save() error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	fresh := recordPath(r.Order.Dir) + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	if err := os.Rename(fresh, recordPath(r.Order.Dir)); err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	return nil
}
