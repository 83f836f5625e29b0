package leg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory is words that outlive the process and not the boot: what a process left there its successor finds, and a power
// cut takes it along with the page cache. Loads and stores cost what they cost in any memory: they never wait for
// a disk. Safe for use by many goroutines; none may use it once it is closed.
type Memory interface {
	Words() int
	Load(word int) uint64
	Store(word int, value uint64)
	Close() error
}

// wordBytes is the size of a word.
const wordBytes = 8

// openMemory opens a file of words on a tmpfs, made all zero if it is missing or of another size, and locks it: one
// that another process has open is ErrInUse. Its pages are set aside and locked in memory, so that no access of them
// ever fails or waits: a page that had to come from a disk that hangs would stop the whole process, where a system
// call stops one thread. Nobody else may be able to change the directory or the file; cutting it short would end the
// process.
func openMemory(path string, words int) (Memory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := checkMemoryDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	var mapped []byte
	if err = prepareMemory(file, int64(words)*wordBytes); err == nil {
		mapped, err = mapMemory(file, words*wordBytes)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("memory in %s: %w", path, err), file.Close())
	}
	return &mappedWords{file, mapped, unsafe.Slice((*uint64)(unsafe.Pointer(&mapped[0])), words)}, nil
}

// checkMemoryDir returns why no memory is made in a directory.
func checkMemoryDir(dir string) error {
	var kind unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Statfs(dir, &kind), unix.Stat(dir, &st)); err != nil {
		return fmt.Errorf("memory in %s: %w", dir, err)
	}
	if kind.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("memory in %s: it is not on a file system in memory (tmpfs): %w", dir, errors.ErrUnsupported)
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return fmt.Errorf("memory in %s: others may change what is in it; give the node a directory of its own", dir)
	}
	return nil
}

// prepareMemory locks a file, gives it its size and sets its pages aside.
func prepareMemory(file *os.File, sizeBytes int64) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err := control(file, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrInUse
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := control(file, func(fd int) error { return unix.Fstat(fd, &st) }); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Nlink != 1 || st.Mode&0o077 != 0 {
		return errors.New("it is no file of this user alone: remove it")
	}
	if st.Size != sizeBytes {
		if err := errors.Join(file.Truncate(0), file.Truncate(sizeBytes)); err != nil {
			return err
		}
	}
	return control(file, func(fd int) error { return unix.Fallocate(fd, 0, 0, sizeBytes) })
}

// mapMemory maps a file, shared with whoever maps it next, and locks it in memory.
func mapMemory(file *os.File, sizeBytes int) (mapped []byte, err error) {
	err = control(file, func(fd int) (err error) {
		mapped, err = unix.Mmap(fd, 0, sizeBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("map it: %w", err)
	}
	if err := unix.Mlock(mapped); err != nil {
		return nil, errors.Join(fmt.Errorf("lock it in memory: %w", err), unix.Munmap(mapped))
	}
	return mapped, nil
}

// mappedWords is a file that is mapped.
type mappedWords struct {
	file   *os.File // holds the lock
	mapped []byte
	words  []uint64 // the same bytes; a page is aligned to more than a word
}

func (m *mappedWords) Words() int                   { return len(m.words) }
func (m *mappedWords) Load(word int) uint64         { return atomic.LoadUint64(&m.words[word]) }
func (m *mappedWords) Store(word int, value uint64) { atomic.StoreUint64(&m.words[word], value) }
func (m *mappedWords) Close() error                 { return errors.Join(unix.Munmap(m.mapped), m.file.Close()) }

// readMemory reads what openMemory made and a process left: stores go into this copy of it alone.
func readMemory(path string, words int) (Memory, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != int64(words)*wordBytes) {
		err = fmt.Errorf("it is no file of %d bytes", words*wordBytes)
	}
	text := make([]byte, words*wordBytes)
	if err == nil {
		_, err = file.ReadAt(text, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("memory in %s: %w", path, err)
	}
	copied := make(copiedWords, words)
	for i := range copied {
		copied[i] = binary.NativeEndian.Uint64(text[i*wordBytes:])
	}
	return copied, nil
}

// copiedWords is a copy of memory.
type copiedWords []uint64

func (c copiedWords) Words() int                   { return len(c) }
func (c copiedWords) Load(word int) uint64         { return c[word] }
func (c copiedWords) Store(word int, value uint64) { c[word] = value }
func (c copiedWords) Close() error                 { return nil }
