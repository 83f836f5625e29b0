package domain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// xlDiskPath returns the file that a volume is, for as long as its storage daemon runs.
func xlDiskPath(dir string, index int) string {
	return filepath.Join(dir, fmt.Sprintf("disk%d", index))
}

// xlPIDPath returns the file in which a volume's storage daemon writes its number.
func xlPIDPath(dir string, index int) string { return xlDiskPath(dir, index) + ".pid" }

// storageDaemons returns the processes that serve a guest's volumes. Without one of them the guest's disk fails for
// good, and nothing that is started in its place would be asked.
func (h xenHost) storageDaemons(r record) ([]needed, error) {
	var all []needed
	for i, v := range r.Order.Volumes {
		n, err := neededFrom("the storage daemon of volume "+v.Name, xlPIDPath(r.Order.Dir, i), r.Token)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// openDisks makes a file of each volume, by a storage daemon of its own that stays. It has the environment of the
// guest, so that it is found and ended with it.
func (x xen) openDisks(ctx context.Context, env []string) error {
	for i, v := range x.order.Volumes {
		args, err := x.storageDaemon(i)
		if err != nil {
			return fmt.Errorf("for Xen: %w", err)
		}
		path := xlDiskPath(x.order.Dir, i)
		if err := errors.Join(unmount(path), os.WriteFile(path, nil, 0o600)); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		// It has opened the export, and its file is there, when what was started returns.
		if _, err := runXen(ctx, xlAnswer, env, args[0], args[1:]...); err != nil {
			return fmt.Errorf("volume %s: its export cannot be made a file for Xen: %w", v.Name, err)
		}
	}
	return nil
}

// storageDaemon returns the command line of a volume's storage daemon.
func (x xen) storageDaemon(index int) ([]string, error) {
	v := x.order.Volumes[index]
	e, err := nbdExport(v, x.settings.ReconnectDelay)
	if err != nil {
		return nil, err
	}
	return []string{x.settings.StorageDaemon, "--daemonize", "--pidfile", xlPIDPath(x.order.Dir, index),
		"--blockdev", oneLine(map[string]any{"driver": "nbd", "node-name": "volume",
			"server": map[string]string{"type": "unix", "path": e.socket}, "export": e.name,
			"reconnect-delay": e.delay, "discard": "unmap"}),
		"--export", oneLine(map[string]any{"type": "fuse", "id": "disk", "node-name": "volume", "writable": true,
			"mountpoint": xlDiskPath(x.order.Dir, index), "growable": false, "allow-other": "off"}),
	}, nil
}

// closeDisks takes away the files that volumes were. Whoever has one open is killed after it.
func (x xen) closeDisks() error {
	var failed []error
	for i := range x.order.Volumes {
		path := xlDiskPath(x.order.Dir, i)
		err := unmount(path)
		if gone := os.Remove(path); err == nil && !os.IsNotExist(gone) {
			err = gone
		}
		if gone := os.Remove(xlPIDPath(x.order.Dir, i)); err == nil && !os.IsNotExist(gone) {
			err = gone
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// unmount takes away what is mounted on a path, if anything is, also when nobody serves it any more.
func unmount(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil: // there may be another one below it
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		case errors.Is(err, unix.EPERM) && !mounted(path):
			return nil // without root there is nothing that could be mounted
		default:
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

// mounted reports whether something is mounted on a path; also if that is not known.
func mounted(path string) bool {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true
		}
	}
	return false
}
