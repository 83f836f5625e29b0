package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-storage/holdfast/node/durable"
)

// reservationsSuffix makes the name of the file that keeps a LUN's persistent reservations of the LUN's own
// (docs/ondisk.md).
const reservationsSuffix = ".reservations"

// reservationFile implements scsi.ReservationStore with one file. There is none while nothing is kept.
type reservationFile struct{ path string }

// reservationsOf returns where a LUN's reservations are kept; "" is nowhere. Beside a device node nothing
// would outlive a restart of the system.
func reservationsOf(l LUN) (string, error) {
	if l.Reservations != "" {
		return l.Reservations, nil
	}
	info, err := os.Stat(l.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that is missing will be made, as a regular file
		return "", err
	}
	if err == nil && !info.Mode().IsRegular() {
		return "", nil
	}
	return l.Path + reservationsSuffix, nil
}

// checkReservationFiles refuses LUNs of which one's reservations would take the place of another's, or of its data.
func checkReservationFiles(luns []LUN) error {
	taken := map[string]string{} // what a file is, by its path
	claim := func(path, what string) error {
		real, err := realPath(path)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if other, ok := taken[real]; ok {
			return fmt.Errorf("%s and %s are one file, %s: give the reservations another, with reservations=FILE",
				other, what, path)
		}
		taken[real] = what
		return nil
	}
	for _, l := range luns {
		if real, err := realPath(l.Path); err == nil {
			taken[real] = "the data of LUN " + l.Path
		}
	}
	for _, l := range luns {
		path, err := reservationsOf(l)
		if err == nil && path != "" {
			err = claim(path, "the reservations of LUN "+l.Path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// realPath is the absolute path of a file that need not exist, without symbolic links in its directory.
func realPath(path string) (string, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return filepath.Abs(real)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Abs(filepath.Join(dir, filepath.Base(path)))
}

// Load implements scsi.ReservationStore.
func (f reservationFile) Load() ([]byte, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save implements scsi.ReservationStore. After a power cut the file is the old one or the new one.
func (f reservationFile) Save(data []byte) error {
	if data != nil {
		return durable.WriteFile(f.path, data, 0o600)
	}
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(f.path))
}

// explain says what to do about reservations that cannot be read.
func (f reservationFile) explain(err error) error {
	return fmt.Errorf("%w: make sure that no initiator relies on a reservation of this LUN, then remove %s",
		err, f.path)
}
