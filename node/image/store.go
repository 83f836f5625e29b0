package image

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

var (
	// ErrNone means that a blob is not here.
	ErrNone = errors.New("this node does not have it")
	// ErrUnverified means that its file has to be read first.
	ErrUnverified = errors.New("its file has not been verified yet")
	// ErrWrong means that a file was not what its name says.
	ErrWrong = errors.New("its content is not what its digest says")
	// ErrUnreadable means that the disk did not give a file.
	ErrUnreadable = errors.New("its file cannot be read: look at the disk of data_dir")
	// ErrNoRoom means that the file system has to keep what is left for the node's own data.
	ErrNoRoom = errors.New("there is no room for it in data_dir")
)

// The names of what is no blob yet, or not any more.
const (
	partSuffix   = ".part"
	badSuffix    = ".bad"
	uploadPrefix = "upload-"
)

const (
	copyBytes = 1 << 20 // that are read and written at once
	blobMode  = 0o400
	partMode  = 0o600
	// reserveMax is the most that is left free of the file system, which has the coordinators' log as well.
	reserveMax   = 1 << 30
	reserveParts = 20 // of a small one this part
)

// store is the directory of blobs. It is safe for concurrent use; what writes one blob does not overlap.
type store struct {
	dir  string
	sync func(*os.File) error // tests have it fail
	// checked is when the blobs were last right, this daemon or one before.
	checked *checked

	files sync.Mutex // held while a file gets or loses the name of a blob; before mu
	mu    sync.Mutex // guards what follows; never held across I/O
	blobs map[volume.Digest]*blob
}

// blob is one file.
type blob struct {
	size     int64
	verified time.Time // when its bytes were last known to be right by this daemon; zero = not yet
	form     fileForm  // of the file then
}

// fileForm tells whether a file is the one that was verified, as far as that is known without reading it.
type fileForm struct {
	device, inode uint64
	size          int64
	changed       time.Time
}

func formOf(info fs.FileInfo) fileForm {
	f := fileForm{size: info.Size(), changed: info.ModTime()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		f.device, f.inode = uint64(s.Dev), s.Ino
	}
	return f
}

// openStore makes the directory if it is missing and finds the blobs in it. Uploads of a daemon before are gone.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	s := &store{dir: dir, sync: (*os.File).Sync, blobs: make(map[volume.Digest]*blob)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	for _, e := range entries {
		digest := volume.Digest("sha256:" + e.Name())
		info, err := e.Info()
		switch {
		case strings.HasPrefix(e.Name(), uploadPrefix), halfChecked(e.Name()):
			err = os.Remove(filepath.Join(dir, e.Name()))
		case err == nil && digest.Check() == nil && info.Mode().IsRegular():
			s.blobs[digest] = &blob{size: info.Size()}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("images: %w", err)
		}
	}
	s.checked = openChecked(dir, s.blobs, time.Now())
	return s, nil
}

func (s *store) path(d volume.Digest) string { return filepath.Join(s.dir, d.Hex()) }
func (s *store) part(d volume.Digest) string { return s.path(d) + partSuffix }

// state returns what is known of a blob, false if it is not here.
func (s *store) state(d volume.Digest) (blob, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[d]
	if b == nil {
		return blob{}, false
	}
	return *b, true
}

// digests returns the blobs that are here.
func (s *store) digests() []volume.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []volume.Digest
	for d := range s.blobs {
		all = append(all, d)
	}
	return all
}

// open opens a blob that was verified. A file that is not the one that was is not opened, and has to be verified.
func (s *store) open(d volume.Digest) (*os.File, error) {
	b, here := s.state(d)
	switch {
	case !here:
		return nil, ErrNone
	case b.verified.IsZero():
		return nil, ErrUnverified
	}
	f, err := os.Open(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		s.doubt(d) // verify notes that it is gone
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	info, err := f.Stat()
	if err == nil && formOf(info) != b.form {
		s.doubt(d)
		err = ErrUnverified
	}
	if err != nil {
		_ = f.Close() // only read from
		return nil, err
	}
	return f, nil
}

// sound returns an error unless a blob's file can be opened and is the one that was verified.
func (s *store) sound(d volume.Digest) error {
	f, err := s.open(d)
	if err != nil {
		return err
	}
	return f.Close()
}

// doubt has a blob verified anew before it is used again. It reports whether the blob is here.
func (s *store) doubt(d volume.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[d]
	if b != nil {
		b.verified = time.Time{}
	}
	return b != nil
}

// verify reads a blob and holds it against its digest. What is wrong, or the disk does not give, is put aside, and the
// error wraps ErrWrong or ErrUnreadable; when ctx ends nothing is known. pace, if not nil, is called after each piece,
// with its bytes.
func (s *store) verify(ctx context.Context, d volume.Digest, pace func(int)) error {
	before, err := os.Stat(s.path(d))
	var f *os.File
	if err == nil {
		f, err = os.Open(s.path(d))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.forget(d)
		return fmt.Errorf("%w: its file is gone", ErrWrong)
	case faulty(err):
		return errors.Join(fmt.Errorf("%w: %w", ErrUnreadable, err), s.putAside(d, before))
	case err != nil:
		return fmt.Errorf("images: %w", err) // as when too many files are open: it says nothing about this one
	}
	defer f.Close() // only read from
	if before, err = f.Stat(); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	if err = s.read(ctx, d, f, before, pace); err == nil || ctx.Err() != nil {
		return err
	}
	if !errors.Is(err, ErrWrong) {
		err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return errors.Join(err, s.putAside(d, before))
}

// faulty reports whether an error of opening a file tells of the disk, or of what is on it.
func faulty(err error) bool {
	for _, code := range []syscall.Errno{syscall.EIO, syscall.EREMOTEIO, syscall.ENXIO, syscall.ENODEV, syscall.ENODATA,
		syscall.EUCLEAN, syscall.EBADMSG} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// putAside takes a file that is wrong or unreadable out of use, unless another one has taken its place meanwhile. It
// stays for whoever wants to look.
func (s *store) putAside(d volume.Digest, wrong fs.FileInfo) error {
	s.files.Lock()
	defer s.files.Unlock()
	now, err := os.Stat(s.path(d))
	if err == nil && !os.SameFile(now, wrong) {
		return nil
	}
	s.forget(d)
	if err == nil {
		err = os.Rename(s.path(d), s.path(d)+badSuffix)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// read holds the bytes of a file against a digest.
func (s *store) read(ctx context.Context, d volume.Digest, f *os.File, before fs.FileInfo, pace func(int)) error {
	sum, buffer := sha256.New(), make([]byte, copyBytes)
	for {
		n, err := f.Read(buffer)
		sum.Write(buffer[:n])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if pace != nil {
			pace(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if volume.DigestOf([sha256.Size]byte(sum.Sum(nil))) != d {
		return ErrWrong
	}
	s.right(d, before)
	return nil
}

// right notes that a blob's file, which is this one, has been found to be what it should be.
func (s *store) right(d volume.Digest, file fs.FileInfo) {
	now := time.Now()
	s.mu.Lock()
	s.blobs[d] = &blob{size: file.Size(), verified: now, form: formOf(file)}
	s.mu.Unlock()
	s.checked.note(d, now)
}

func (s *store) forget(d volume.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, d)
}

// install makes a file of the directory, whose bytes were hashed as they were written, the file of a blob. The file is
// closed. Unless it is known to be on the disk it is removed: what failed to be written is given from memory as if it
// were there, and whoever goes on with it would have that synced without an error.
func (s *store) install(f *os.File, d volume.Digest) error {
	err := errors.Join(f.Chmod(blobMode), s.sync(f))
	info, statErr := f.Stat()
	if err = errors.Join(err, statErr, f.Close()); err != nil {
		return fmt.Errorf("images: %w", errors.Join(err, os.Remove(f.Name())))
	}
	s.files.Lock()
	defer s.files.Unlock()
	if err = os.Rename(f.Name(), s.path(d)); err == nil {
		err = durable.SyncDir(s.dir)
	}
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	_ = os.Remove(s.path(d) + badSuffix) // what it was kept for has been made good
	s.right(d, info)
	return nil
}

// remove deletes a blob and what there is of it besides, unless somebody wants it by then. A guest that has it open
// goes on with it.
func (s *store) remove(d volume.Digest, wanted func() bool) error {
	s.files.Lock()
	defer s.files.Unlock()
	if wanted() {
		return nil
	}
	defer s.forget(d) // once it is gone: whoever finds that it is not here finds no file either
	s.checked.forget(d)
	var failed []error
	for _, path := range []string{s.path(d), s.part(d), s.path(d) + badSuffix} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// leftovers returns the blobs of which something is here, whole or not.
func (s *store) leftovers() []volume.Digest {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil // it is looked at again
	}
	seen := make(map[volume.Digest]bool)
	var all []volume.Digest
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), partSuffix), badSuffix)
		if d := volume.Digest("sha256:" + name); d.Check() == nil && !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
	return all
}

// room returns an error unless so many more bytes leave enough for the rest of the node.
func (s *store) room(bytes int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &fs); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	free, total := int64(fs.Bavail)*fs.Bsize, int64(fs.Blocks)*fs.Bsize
	if reserve := min(reserveMax, total/reserveParts); free-bytes < reserve {
		return fmt.Errorf("%w: it takes %s, and %s of %s are free, of which %s stay so", ErrNoRoom,
			volume.SizeText(bytes), volume.SizeText(free), volume.SizeText(total), volume.SizeText(reserve))
	}
	return nil
}

// makeRoom is room for a blob that is fetched anew: what was put aside of it goes before that fails.
func (s *store) makeRoom(d volume.Digest, bytes int64) error {
	err := s.room(bytes)
	if errors.Is(err, ErrNoRoom) && os.Remove(s.path(d)+badSuffix) == nil {
		return s.room(bytes)
	}
	return err
}
