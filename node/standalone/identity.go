package standalone

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block/filedev"
)

// identityAttribute is the extended attribute that holds a file's identity: it stays with the file
// when that is renamed or moved, and goes with it when another takes its name.
const identityAttribute = "user.holdfast.serial"

// identify returns the serial number of a LUN: what its options say, else what its file carries, else a
// new one that the file is given. Where a file can carry none (a block special file, a file system
// without user attributes, a file that is not writable and never was served writable) it is derived
// from what the system knows the file by.
func identify(l LUN, d *filedev.Device) (string, error) {
	if l.Serial != "" {
		return l.Serial, nil
	}
	have := make([]byte, 256)
	n, err := unix.Getxattr(l.Path, identityAttribute, have)
	switch {
	case err == nil && n > 0:
		return string(have[:n]), nil
	case err == nil, errors.Is(err, unix.ENODATA):
		if !d.Limits().ReadOnly {
			if id, given, err := giveIdentity(l.Path); given || err != nil {
				return id, err
			}
		}
	case !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM):
		return "", fmt.Errorf("serial number of %s: read attribute %s: %w", l.Path, identityAttribute, err)
	}
	return derivedIdentity(l.Path)
}

// giveIdentity gives the file a new identity, durably; given is false where files cannot carry one.
func giveIdentity(path string) (id string, given bool, err error) {
	id = "hf" + rand.Text()
	err = unix.Setxattr(path, identityAttribute, []byte(id), unix.XATTR_CREATE)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return "", false, nil
	}
	if err == nil {
		err = syncFile(path)
	}
	if err != nil {
		return "", false, fmt.Errorf("serial number of %s: write attribute %s: %w", path, identityAttribute, err)
	}
	return id, true, nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// derivedIdentity is of the path, and for a regular file of its inode and birth too, so that another
// file under the same name is another LUN.
func derivedIdentity(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	text := absolute
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return "", fmt.Errorf("serial number of %s: %w", path, err)
	}
	if s.Mode&unix.S_IFMT == unix.S_IFREG {
		text = fmt.Sprintf("%s\x00%d\x00%d.%d", absolute, s.Ino, s.Btime.Sec, s.Btime.Nsec)
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8]), nil
}
