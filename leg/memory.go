package leg

import (
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

// errNotInMemory means that a path lies on a file system that a disk is behind.
var errNotInMemory = fmt.Errorf("it is not on a file system in memory (tmpfs): %w", errors.ErrUnsupported)

// wordBytes is the size of a word.
const wordBytes = 8

// openMemory opens a file of words on a tmpfs, made all zero if it is missing or of another size. Its pages are set
// aside and locked, so that no access of them ever fails or waits: a page that had to come from a disk that hangs
// would stop the whole process, where a system call stops one thread.
func openMemory(path string, words int) (Memory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	var kind unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &kind); err != nil {
		return nil, fmt.Errorf("memory in %s: statfs: %w", path, err)
	}
	if kind.Type != unix.TMPFS_MAGIC {
		return nil, fmt.Errorf("memory in %s: %w", path, errNotInMemory)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = makeRoom(file, int64(words)*wordBytes)
	return mapMemory(file, words, unix.PROT_READ|unix.PROT_WRITE, err)
}

// readMemory opens what openMemory made, for reading alone: a store to it is a fault of the program that ends it.
func readMemory(path string, words int) (Memory, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != int64(words)*wordBytes {
		err = fmt.Errorf("it has %d bytes, not %d", info.Size(), words*wordBytes)
	}
	return mapMemory(file, words, unix.PROT_READ, err)
}

// makeRoom gives a file its size and sets its pages aside.
func makeRoom(file *os.File, sizeBytes int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != sizeBytes {
		if err := errors.Join(file.Truncate(0), file.Truncate(sizeBytes)); err != nil {
			return err
		}
	}
	return control(file, func(fd int) error { return unix.Fallocate(fd, 0, 0, sizeBytes) })
}

// mapMemory maps a file unless there is an error already, and closes it.
func mapMemory(file *os.File, words, protection int, err error) (Memory, error) {
	var mapped []byte
	if err == nil {
		err = control(file, func(fd int) (err error) {
			mapped, err = unix.Mmap(fd, 0, words*wordBytes, protection, unix.MAP_SHARED|unix.MAP_POPULATE)
			return err
		})
	}
	if err == nil {
		if err = unix.Mlock(mapped); err != nil {
			err = errors.Join(fmt.Errorf("lock it: %w", err), unix.Munmap(mapped))
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("memory in %s: %w", file.Name(), err)
	}
	return &mappedWords{mapped: mapped, words: unsafe.Slice((*uint64)(unsafe.Pointer(&mapped[0])), words)}, nil
}

// mappedWords is a file that is mapped, shared with whoever maps it next.
type mappedWords struct {
	mapped []byte
	words  []uint64 // the same bytes; a page is aligned to more than a word
}

func (m *mappedWords) Words() int                   { return len(m.words) }
func (m *mappedWords) Load(word int) uint64         { return atomic.LoadUint64(&m.words[word]) }
func (m *mappedWords) Store(word int, value uint64) { atomic.StoreUint64(&m.words[word], value) }
func (m *mappedWords) Close() error                 { return unix.Munmap(m.mapped) }
