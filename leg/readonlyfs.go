package leg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block/filedev"
)

// readOnlyFS is a directory of which nothing is opened for writing, so that it may be on a file system
// that is mounted read-only.
type readOnlyFS struct{ osFS }

func readOnlyError(op, path string) error {
	return &fs.PathError{Op: op, Path: path, Err: fs.ErrPermission}
}

func (f readOnlyFS) Open(p string) (File, error) {
	file, err := os.Open(f.path(p))
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

func (f readOnlyFS) OpenData(p string, blockBytes int64) (Data, error) {
	device, err := filedev.Open(f.path(p), filedev.Options{BlockBytes: blockBytes, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	side, err := os.Open(f.path(p))
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &osData{Device: device, side: side}, nil
}

// Lock takes the lock shared with other readers. A file that is missing locks nobody out: a node that
// uses the store has made it.
func (f readOnlyFS) Lock(p string) (io.Closer, error) {
	file, err := os.Open(f.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	err = control(file, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.path(p), err), file.Close())
	}
	return file, nil
}

// Memory reads what is there.
func (f readOnlyFS) Memory(path string, words int) (Memory, error) { return readMemory(path, words) }

func (f readOnlyFS) Create(p string) (File, error) { return nil, readOnlyError("create", p) }
func (f readOnlyFS) CreateFull(p string, _ int64) (File, error) {
	return nil, readOnlyError("create", p)
}
func (f readOnlyFS) CreateData(p string, _ int64) error { return readOnlyError("create", p) }
func (f readOnlyFS) Mkdir(p string) error               { return readOnlyError("mkdir", p) }
func (f readOnlyFS) Rename(p, _ string) error           { return readOnlyError("rename", p) }
func (f readOnlyFS) RemoveAll(p string) error           { return readOnlyError("remove", p) }
func (f readOnlyFS) SyncDir(p string) error             { return readOnlyError("sync", p) }

// SyncAll is refused too: it would take away from the node the error of a write-back that nobody has
// heard of yet.
func (f readOnlyFS) SyncAll() error { return readOnlyError("syncfs", ".") }
