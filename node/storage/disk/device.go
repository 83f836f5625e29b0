package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Sysfs is where the kernel shows its devices.
const Sysfs = "/sys"

// ErrNone is wrapped when there is no disk to look at: the reason stands in the message.
var ErrNone = errors.New("not there")

// Device is the whole disk below a directory, as the kernel names it.
type Device struct {
	Name     string // sda, nvme0n1
	Physical bool   // it may have SMART; loop and virtual devices have none
	sysfs    string
}

// Find returns the disk that a directory's file system lies on. A partition stands for its disk, a mapped device
// (LVM, dm-crypt) for the one below it. The error wraps ErrNone if there is not exactly one.
func Find(sysfs, dir string) (Device, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return Device{}, fmt.Errorf("disk below %s: %w", dir, err)
	}
	major, minor := unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))
	if major == 0 {
		return Device{}, fmt.Errorf("disk below %s: %w: its file system lies on no single device", dir, ErrNone)
	}
	return find(sysfs, major, minor)
}

func find(sysfs string, major, minor uint32) (Device, error) {
	link := filepath.Join(sysfs, "dev", "block", fmt.Sprintf("%d:%d", major, minor))
	path, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		return Device{}, fmt.Errorf("%w: the kernel shows no device %d:%d", ErrNone, major, minor)
	}
	if err != nil {
		return Device{}, err
	}
	for range 4 { // a partition on a mapped device on a partition …
		if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
			path = filepath.Dir(path)
			continue
		}
		below, err := os.ReadDir(filepath.Join(path, "slaves"))
		if err != nil || len(below) == 0 {
			break
		}
		if len(below) > 1 {
			return Device{}, fmt.Errorf("%w: %s lies on %d devices", ErrNone, filepath.Base(path), len(below))
		}
		if path, err = filepath.EvalSymlinks(filepath.Join(path, "slaves", below[0].Name())); err != nil {
			return Device{}, err
		}
	}
	name := filepath.Base(path)
	return Device{Name: name, Physical: physical(name), sysfs: path}, nil
}

// physical reports whether a device of this name is a drive of the machine's own.
func physical(name string) bool {
	for _, prefix := range []string{"sd", "nvme", "hd"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Errors returns how many requests the kernel saw fail on the device since it was found; false if the
// kernel does not count them for this kind of device.
func (d Device) Errors() (uint64, bool) {
	text, err := os.ReadFile(filepath.Join(d.sysfs, "device", "ioerr_cnt"))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 0, 64) // SCSI writes 0x…
	return n, err == nil
}

// Path returns the device's node, for programs that want one.
func (d Device) Path() string { return "/dev/" + d.Name }
