package filedev

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/block"
)

// DefaultBlockBytes is the block size when the options name none.
const DefaultBlockBytes = 512

// MaxBytes is the longest single request.
const MaxBytes = 32 << 20

// Options configures Open.
type Options struct {
	// SizeBytes is the device's size. Zero takes the size that the file has. A missing or shorter
	// regular file is made that long, without taking up space; a longer file is refused, since
	// what lies behind the end would seem to be lost.
	SizeBytes int64
	// BlockBytes is the unit of requests, a power of two; zero means DefaultBlockBytes.
	BlockBytes int64
	// ReadOnly opens the file for reading; it must exist.
	ReadOnly bool
	// Exclusive takes a lock on the file, shared with other readers if ReadOnly, and refuses the
	// file if another process holds one that is in the way. The lock ends with the device.
	Exclusive bool
}

// Open opens or makes the file at path. Errors name the path. Close the device.
func Open(path string, o Options) (*Device, error) {
	d, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("open device file %s: %w", path, err)
	}
	return d, nil
}

func open(path string, o Options) (*Device, error) {
	if o.BlockBytes == 0 {
		o.BlockBytes = DefaultBlockBytes
	}
	if o.BlockBytes < 1 || o.BlockBytes&(o.BlockBytes-1) != 0 ||
		o.SizeBytes < 0 || o.SizeBytes%o.BlockBytes != 0 {
		return nil, fmt.Errorf("size %d is no whole number of blocks of %d bytes", o.SizeBytes, o.BlockBytes)
	}
	file, made, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	size, err := prepare(file, path, o, made)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Device{file: file, path: path, limits: block.Limits{
		SizeBytes:  size,
		BlockBytes: o.BlockBytes,
		MaxBytes:   MaxBytes,
		ReadOnly:   o.ReadOnly,
		CanUnmap:   true,
		Volatile:   true,
	}}, nil
}

// openFile opens the file, making it only if a size was asked for, and takes the lock.
func openFile(path string, o Options) (file *os.File, made bool, err error) {
	flags := os.O_RDWR | unix.O_CLOEXEC
	lock := unix.LOCK_EX
	if o.ReadOnly {
		flags, lock = os.O_RDONLY|unix.O_CLOEXEC, unix.LOCK_SH
	}
	file, err = os.OpenFile(path, flags, 0)
	if errors.Is(err, os.ErrNotExist) && o.SizeBytes > 0 && !o.ReadOnly {
		file, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
		made = err == nil
	}
	if err != nil {
		return nil, false, err
	}
	if o.Exclusive {
		if err := flock(file, lock|unix.LOCK_NB); err != nil {
			err = fmt.Errorf("another process uses it (lock: %w)", err)
			return nil, false, errors.Join(err, file.Close())
		}
	}
	return file, made, nil
}

// prepare brings a regular file to the size asked for and returns the device's size.
func prepare(file *os.File, path string, o Options, made bool) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	have, err := file.Seek(0, io.SeekEnd) // a block special file tells its size only so
	if err != nil {
		return 0, err
	}
	switch {
	case !info.Mode().IsRegular() && info.Mode()&os.ModeDevice == 0:
		return 0, fmt.Errorf("it is neither a regular file nor a block device but %s", info.Mode().Type())
	case o.SizeBytes == 0 && have == 0:
		return 0, errors.New("it is empty, and no size was given")
	case o.SizeBytes == 0 && have%o.BlockBytes != 0:
		return 0, fmt.Errorf("its size %d is no whole number of blocks of %d bytes", have, o.BlockBytes)
	case o.SizeBytes == 0 || o.SizeBytes == have:
		return have, nil
	case have > o.SizeBytes:
		return 0, fmt.Errorf("it has %d bytes, more than the size of %d that was given", have, o.SizeBytes)
	case o.ReadOnly || !info.Mode().IsRegular():
		return 0, fmt.Errorf("it has %d bytes, less than the size of %d that was given", have, o.SizeBytes)
	}
	return o.SizeBytes, grow(file, path, o.SizeBytes, made)
}

// grow makes the file's new length, and its name if it is new, durable: a device that shrinks or
// goes away with a power cut would take flushed data with it.
func grow(file *os.File, path string, size int64, made bool) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	if err := file.Sync(); err != nil || !made {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func flock(file *os.File, how int) error {
	return control(file, func(fd int) error { return unix.Flock(fd, how) })
}

// control runs one system call on the file's descriptor, which stays open meanwhile, and repeats
// it when a signal interrupts it.
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
	if err != nil {
		return os.ErrClosed // the descriptor is gone, which is all that Control can refuse for
	}
	return callErr
}
