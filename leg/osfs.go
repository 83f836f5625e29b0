package leg

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/filedev"
)

// OSFS returns the FS of a directory of the operating system, which must exist.
func OSFS(dir string) FS { return osFS{dir} }

type osFS struct{ dir string }

func (f osFS) path(p string) string { return filepath.Join(f.dir, filepath.FromSlash(p)) }

func (f osFS) Open(p string) (File, error) {
	file, err := os.OpenFile(f.path(p), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

func (f osFS) Create(p string) (File, error) {
	file, err := os.OpenFile(f.path(p), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{file}, nil
}

// osFile syncs with fdatasync, which carries the length with it.
type osFile struct{ *os.File }

func (f osFile) Sync() error { return control(f.File, unix.Fdatasync) }

func (f osFS) CreateData(p string, sizeBytes int64) error {
	file, err := os.OpenFile(f.path(p), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(sizeBytes), file.Sync(), file.Close())
}

// CreateFull lets the file system set extents aside that read as zeroes. One that cannot gets zeroes
// written, which come to the same where it writes in place.
func (f osFS) CreateFull(p string, sizeBytes int64) (File, error) {
	file, err := os.OpenFile(f.path(p), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = control(file, func(fd int) error { return unix.Fallocate(fd, 0, 0, sizeBytes) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = writeZeroes(file, sizeBytes)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set %d bytes aside for %s: %w", sizeBytes, f.path(p), err), file.Close())
	}
	return osFile{file}, nil
}

func writeZeroes(file *os.File, sizeBytes int64) error {
	zeroes := make([]byte, min(sizeBytes, 1<<20))
	for off := int64(0); off < sizeBytes; off += int64(len(zeroes)) {
		if _, err := file.WriteAt(zeroes[:min(sizeBytes-off, int64(len(zeroes)))], off); err != nil {
			return err
		}
	}
	return nil
}

func (f osFS) Mkdir(p string) error { return os.Mkdir(f.path(p), 0o700) }

func (f osFS) Rename(from, to string) error { return os.Rename(f.path(from), f.path(to)) }

func (f osFS) RemoveAll(p string) error { return os.RemoveAll(f.path(p)) }

func (f osFS) ReadDir(p string) ([]string, error) {
	entries, err := os.ReadDir(f.path(p))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (f osFS) SyncDir(p string) error {
	return f.withDir(p, func(dir *os.File) error { return dir.Sync() })
}

// SyncAll calls syncfs(2) on a descriptor opened for it, which so hears of errors that no other
// descriptor was told of.
func (f osFS) SyncAll() error {
	return f.withDir(".", func(dir *os.File) error { return control(dir, unix.Syncfs) })
}

func (f osFS) withDir(p string, do func(*os.File) error) error {
	dir, err := os.Open(f.path(p))
	if err != nil {
		return err
	}
	return errors.Join(do(dir), dir.Close())
}

// Lock takes an open file description lock: it belongs to the descriptor, so no other open of the
// same file in this process can drop it by accident, and it lives until the kernel has closed the
// descriptor, I/O in flight included.
func (f osFS) Lock(p string) (io.Closer, error) {
	file, err := os.OpenFile(f.path(p), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = control(file, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.path(p), err), file.Close())
	}
	return file, nil
}

// Mount asks for the id of the mount that the kernel never gives out again. The older kind of id is
// free again after an unmount, which drops the cache, so that the next mount would look the same.
func (f osFS) Mount() (Mount, error) {
	var st unix.Statx_t
	mask := unix.STATX_BASIC_STATS | unix.STATX_MNT_ID | unix.STATX_MNT_ID_UNIQUE
	if err := unix.Statx(unix.AT_FDCWD, f.dir, 0, mask, &st); err != nil {
		return Mount{}, fmt.Errorf("statx %s: %w", f.dir, err)
	}
	if st.Mask&(unix.STATX_MNT_ID|unix.STATX_MNT_ID_UNIQUE) == 0 {
		return Mount{},
			fmt.Errorf("statx %s: the kernel tells no mount id (Linux 6.8, or at least 5.8, is needed)", f.dir)
	}
	return Mount{Device: unix.Mkdev(st.Dev_major, st.Dev_minor), ID: st.Mnt_id}, nil
}

func (f osFS) Memory(path string, words int) (Memory, error) { return openMemory(path, words) }

func (f osFS) Usage() (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", f.dir, err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}

// osData is the file device with a second descriptor for what a device does not offer.
type osData struct {
	*filedev.Device
	side *os.File

	mu  sync.Mutex
	run block.Range // of data, as NextData found it last; some of it may have become a hole since
}

func (f osFS) OpenData(p string, blockBytes int64) (Data, error) {
	device, err := filedev.Open(f.path(p), filedev.Options{BlockBytes: blockBytes})
	if err != nil {
		return nil, err
	}
	side, err := os.OpenFile(f.path(p), os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, device.Close())
	}
	return &osData{Device: device, side: side}, nil
}

func (d *osData) Reserve(r block.Range) error {
	err := control(d.side, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, r.Off, r.Len)
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		err = fmt.Errorf("%w: %w", block.ErrNoSpace, err)
	}
	if err != nil {
		return fmt.Errorf("data file %s: set aside %s: %w", d.Path(), r, err)
	}
	return nil
}

// NextData remembers the run that it found last: whoever goes through the file asks again within it, and to find the
// end of a run some file systems look at every page of it. What it says of holes is always asked anew.
func (d *osData) NextData(off int64) (block.Range, error) {
	d.mu.Lock()
	run := d.run
	d.mu.Unlock()
	if run.Off <= off && off < run.End() {
		return block.Range{Off: off, Len: run.End() - off}, nil
	}
	run, err := d.seekData(off)
	if err == nil && !run.Empty() {
		d.mu.Lock()
		d.run = run
		d.mu.Unlock()
	}
	return run, err
}

func (d *osData) seekData(off int64) (block.Range, error) {
	size := d.Limits().SizeBytes
	if off >= size {
		return block.Range{Off: size}, nil
	}
	var start, end int64
	err := control(d.side, func(fd int) (err error) {
		if start, err = unix.Seek(fd, off, unix.SEEK_DATA); err != nil {
			return err
		}
		end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // no data behind off
		return block.Range{Off: size}, nil
	case errors.Is(err, unix.EINVAL): // the file system knows no holes
		return block.Range{Off: off, Len: size - off}, nil
	case err != nil:
		return block.Range{}, fmt.Errorf("data file %s: seek data at %d: %w", d.Path(), off, err)
	}
	return block.Range{Off: start, Len: min(end, size) - start}, nil
}

// largestFolioBytes is the most that the page cache holds as one piece. The kernel drops only pieces
// that lie wholly inside the range that it is given.
const largestFolioBytes = 2 << 20

func (d *osData) DropCache(r block.Range) error {
	r = r.AlignOut(largestFolioBytes)
	err := control(d.side, func(fd int) error { return unix.Fadvise(fd, r.Off, r.Len, unix.FADV_DONTNEED) })
	if err != nil {
		return fmt.Errorf("data file %s: drop the cache of %s: %w", d.Path(), r, err)
	}
	return nil
}

func (d *osData) AllocatedBytes() (int64, error) {
	var st unix.Stat_t
	if err := control(d.side, func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return 0, fmt.Errorf("data file %s: stat: %w", d.Path(), err)
	}
	return st.Blocks * 512, nil
}

func (d *osData) Close() error { return errors.Join(d.Device.Close(), d.side.Close()) }

// control runs one system call on a descriptor, which stays open meanwhile, and repeats it when a
// signal interrupts it.
func control(file *os.File, call func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		for callErr = unix.EINTR; callErr == unix.EINTR; {
			callErr = call(int(fd))
		}
	})
	return errors.Join(err, callErr)
}
