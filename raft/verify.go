package raft

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"

	hraft "github.com/hashicorp/raft"
)

// verify reads the whole store: the database's size and log entries, and the newest snapshot.
func (st *store) verify() error {
	if err := verifyBoltSize(st.path()); err != nil {
		return damaged(st.path(), err)
	}
	newest, err := st.newestSnapshot()
	if err != nil {
		return err
	}
	logs, err := openBolt(st.path(), true)
	if err != nil {
		return err
	}
	err = guarded(func() error { return verifyLog(logs, newest) })
	if err = errors.Join(err, logs.Close()); err != nil {
		return damaged(st.path(), err)
	}
	return nil
}

// verifyLog reads every log entry. They must follow each other without a gap, and reach back to the
// snapshot.
func verifyLog(logs hraft.LogStore, snapshot snapshotName) error {
	first, err := logs.FirstIndex()
	if err != nil {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil {
		return err
	}
	if last == 0 {
		return nil
	}
	if last > snapshot.index && first > snapshot.index+1 {
		return fmt.Errorf("%w: its log begins at entry %d, the newest snapshot ends at entry %d",
			ErrCorrupt, first, snapshot.index)
	}
	for i := first; i <= last; i++ {
		var entry hraft.Log
		if err := logs.GetLog(i, &entry); err != nil {
			return fmt.Errorf("%w: log entry %d: %w", ErrCorrupt, i, err)
		}
		if entry.Index != i {
			return fmt.Errorf("%w: log entry %d says that it is %d", ErrCorrupt, i, entry.Index)
		}
		if entry.Type != hraft.LogCommand {
			continue
		}
		if _, err := decodeCommand(entry.Data); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
	}
	return nil
}

// snapshotName is the name of a snapshot's directory, by which snapshots are ordered.
type snapshotName struct {
	name                string
	term, index, millis uint64
}

// newestSnapshot checks the newest snapshot and returns its name, the zero name if there is none.
// Older ones do not matter: raft would fall back to them, but the log may no longer reach so far.
func (st *store) newestSnapshot() (snapshotName, error) {
	dir := filepath.Join(st.dir, snapshotsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return snapshotName{}, damaged(dir, err)
	}
	var newest snapshotName
	for _, e := range entries {
		s := snapshotName{name: e.Name()}
		if strings.HasSuffix(s.name, ".tmp") {
			continue // never completed
		}
		if _, err := fmt.Sscanf(s.name, "%d-%d-%d", &s.term, &s.index, &s.millis); err != nil {
			continue // none of raft's
		}
		if newest.name == "" || newest.before(s) {
			newest = s
		}
	}
	if newest.name == "" {
		return newest, nil
	}
	_, r, err := st.snaps.Open(newest.name)
	if err == nil {
		_, _, err = ReadSnapshot(r)
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		return snapshotName{}, damaged(filepath.Join(dir, newest.name), err)
	}
	return newest, nil
}

func (s snapshotName) before(o snapshotName) bool {
	return cmp.Or(
		cmp.Compare(s.term, o.term), cmp.Compare(s.index, o.index), cmp.Compare(s.millis, o.millis)) < 0
}

// The fields of a bolt meta page that tell how long the file must be, by their offset in the page.
const (
	boltMagic        = 0xED0CDAED
	boltMetaAt       = 16 // after the page header
	boltPageSizeAt   = 24
	boltPagesAt      = 56 // number of pages in use
	boltTxAt         = 64
	boltChecksumAt   = 72
	boltMetaEnd      = 80
	boltPageSizeLeft = 64 << 10 // bolt's largest page
)

// verifyBoltSize refuses a database that is empty, has no valid meta page, or is shorter than its
// meta page says: bolt maps the file and would fault beyond its end, or take an empty one for new.
func verifyBoltSize(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var newest, pages, pageSize uint64
	for _, at := range []int64{0, 4096, int64(os.Getpagesize()), 16 << 10, boltPageSizeLeft} {
		meta := make([]byte, boltMetaEnd)
		if _, err := f.ReadAt(meta, at); err != nil {
			continue // shorter than that
		}
		word := func(at int) uint64 { return binary.NativeEndian.Uint64(meta[at:]) }
		sum := fnv.New64a()
		_, _ = sum.Write(meta[boltMetaAt:boltChecksumAt]) // a hash never fails
		valid := binary.NativeEndian.Uint32(meta[boltMetaAt:]) == boltMagic && sum.Sum64() == word(boltChecksumAt)
		if valid && (pages == 0 || word(boltTxAt) > newest) {
			newest, pages = word(boltTxAt), word(boltPagesAt)
			pageSize = uint64(binary.NativeEndian.Uint32(meta[boltPageSizeAt:]))
		}
	}
	if pages == 0 {
		return fmt.Errorf("%w: it has %d bytes and no valid meta page", ErrCorrupt, info.Size())
	}
	if need := pages * pageSize; uint64(info.Size()) < need {
		return fmt.Errorf("%w: it has %d of %d bytes", ErrCorrupt, info.Size(), need)
	}
	return nil
}
