package leg

import (
	"io"

	"github.com/holdfast-storage/holdfast/block"
)

// FS is all that a store needs of a file system, so that tests can put one underneath that loses
// power at any point. Paths are relative to the store's directory, with slashes.
//
// Nothing is durable before it was synced: a file's bytes by File.Sync, a name by SyncDir of its
// directory. Errors wrap those of package io/fs where there is one (fs.ErrNotExist, fs.ErrExist).
type FS interface {
	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)
	// Create makes a new file; one that exists is fs.ErrExist.
	Create(path string) (File, error)
	// CreateFull makes a new file of this size that reads as zeroes and whose space is set aside: a
	// later write within its size does not fail for want of space, on a file system that writes in
	// place. (One that copies on write keeps no such promise; see docs/ondisk.md.) It does not sync. No
	// room for it is an error, after which the file may be there and is to be removed.
	CreateFull(path string, sizeBytes int64) (File, error)
	// OpenData opens an existing file whose requests are multiples of blockBytes, a power of two: the
	// data of a leg, or its checksums.
	OpenData(path string, blockBytes int64) (Data, error)
	// CreateData makes new, sparse data of this size that reads as zeroes, and syncs it.
	CreateData(path string, sizeBytes int64) error
	// Mkdir makes a directory; one that exists is fs.ErrExist.
	Mkdir(path string) error
	// Rename gives a file or directory a new name in one step.
	Rename(from, to string) error
	// RemoveAll removes a file or directory with all in it; a missing one is no error.
	RemoveAll(path string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(path string) ([]string, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes the exclusive lock on a file, made if it is missing. It is held until the closer
	// is closed or the process ends. ErrInUse if another process has it.
	Lock(path string) (io.Closer, error)
	// SyncAll writes back the whole file system and returns an error of any earlier write-back
	// that nobody has heard of yet.
	SyncAll() error
	// Mount identifies the device and the mount that the directory is on.
	Mount() (Mount, error)
	// Memory opens so many words of memory at a path that is absolute and outside of the store, made all zero if they
	// are missing. The error wraps errors.ErrUnsupported if the path is not in memory, ErrInUse if it is open.
	Memory(path string, words int) (Memory, error)
	// Usage returns the file system's size and what is free for us, in bytes.
	Usage() (total, free int64, err error)
}

// Mount identifies a mounted file system within one boot.
type Mount struct {
	Device uint64 // st_dev
	ID     uint64 // of the mount; from Linux 6.8 on no later mount of this boot has it
}

// File is a small file that is read and written whole.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync puts the bytes written so far on stable storage.
	Sync() error
}

// Data is the data of one leg, or its checksums: a device over the page cache, and where it has no
// holes. Zero without block.Unmap keeps the space that is set aside.
type Data interface {
	block.Device
	// NextData returns the first run of bytes at or after off that may hold anything but zeroes,
	// an empty range if there is none.
	NextData(off int64) (block.Range, error)
	// Reserve sets space aside for what is not stored of r, so that a later write of it does not fail for want of
	// space; block.ErrNoSpace if there is none. What r reads as stays. A file system that cannot do that promises
	// nothing, and says nothing.
	Reserve(r block.Range) error
	// DropCache makes the page cache forget what it holds of r, so that the next read of it is one of
	// the medium and proves that the disk answers. What was not written back yet stays, and so may
	// whatever the kernel likes to keep.
	DropCache(r block.Range) error
	// AllocatedBytes is the space that the data takes up.
	AllocatedBytes() (int64, error)
}
