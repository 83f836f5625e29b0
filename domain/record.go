package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// record is what a domain's directory remembers of its latest run.
//
// Invariant: it is on disk with its token before the guest's process exists, so that a guest is
// found again even if the daemon died between starting it and noting which process it is.
type record struct {
	Driver string   `json:"-"` // whose record it is: it stands in the name of the file
	Order  Order    `json:"order"`
	Token  string   `json:"token"` // in the environment of every process of the guest
	Proc   proc.ID  `json:"proc"`  // zero until it is known
	Boot   string   `json:"boot"`  // of the kernel that it was started under
	State  State    `json:"state"`
	Needed []needed `json:"needed,omitempty"` // without which the main process is killed
}

// unsettled reports whether the start of the run was not seen through: which process its guest is was never noted, and
// a driver that has somebody else start it cannot say whether one still comes about.
func (r record) unsettled() bool { return r.Token != "" && r.Proc.IsZero() }

// recordPath returns the file of one driver's record, so that no driver takes another's guest for its own.
func recordPath(dir, driver string) string { return filepath.Join(dir, driver+".json") }

// load reads a record; ErrNone means that there is none.
func load(dir, driver string) (record, error) {
	text, err := os.ReadFile(recordPath(dir, driver))
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ErrNone
	}
	if err != nil {
		return record{}, fmt.Errorf("domain record: %w", err)
	}
	r := record{Driver: driver}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, fmt.Errorf("domain record %s is damaged: %w: "+
			"make sure that the guest does not run, then remove the file", recordPath(dir, driver), err)
	}
	if len(r.Order.Settings) > 0 { // indented in the file, for whoever reads it
		var one bytes.Buffer
		if err := json.Compact(&one, r.Order.Settings); err != nil {
			return record{}, fmt.Errorf("domain record %s: settings: %w", recordPath(dir, driver), err)
		}
		r.Order.Settings = one.Bytes()
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
	path := recordPath(r.Order.Dir, r.Driver)
	// A name of its own: who watched a guest's end and who adopts it may write at the same time.
	f, err := os.CreateTemp(r.Order.Dir, filepath.Base(path)+".new*")
	if err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("domain record: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// forget removes a record, with what a daemon that died while it wrote one left behind.
func forget(dir, driver string) error {
	path := recordPath(dir, driver)
	unfinished, err := filepath.Glob(globbed(path) + ".new*")
	if err != nil {
		return fmt.Errorf("domain record: %w", err)
	}
	for _, name := range append(unfinished, path) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("domain record: %w", err)
		}
	}
	return nil
}

// globbed returns a pattern that matches the path alone.
func globbed(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
